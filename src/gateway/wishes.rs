//! Commands that change who takes part in a call: transfer and conference, as REST and embedding programs wish them.
//!
//! Whoever wishes by a command was told that it will be tried, and does not see that an ACK is still on its way. So where a
//! short change of the call is under way, it keeps the command and gives it back when that is done ([`Call::keep`]);
//! REFER and INFO have a response, and hear 491.
//!
//! [`Call::keep`]: crate::call::Call::keep

use std::time::Instant;

use super::Gateway;
use super::transfers::{Aim, status_of};
use crate::call::procedure::Reporter;
use crate::call::{Command, Declined, EventKind};
use crate::id::CallId;

impl Gateway {
    /// Begins a transfer or a conference, has it kept, or says why it is not to be.
    pub(super) fn command_parties(&mut self, command: Command, now: Instant) {
        let Some(call) = command.call() else { return };
        let number = |to: String| Aim::Number { to, headers: Vec::new() };
        let outcome = match command.clone() {
            Command::BlindTransfer { to, .. } => self.command_transfer(call, number(to), now),
            Command::AttendedTransfer { with, .. } => self.command_transfer(call, Aim::Call(with), now),
            Command::Conference { with, .. } => self.confer(call, None, with, now),
            Command::SingleStepConference { to, .. } => {
                let plan = self.plan_transfer(call, None, number(to.clone()));
                plan.and_then(|plan| self.add(&plan, to, now))
            }
            _ => return,
        };
        let Err(status) = outcome else { return };
        match self.keep(command, status) {
            Ok(None) => {}
            Ok(Some(call)) => self.emit(call, EventKind::Declined { why: Declined::Busy }, now),
            Err(()) => self.emit(call, EventKind::Declined { why: Declined::Refused(status) }, now),
        }
    }

    /// Has a command that was refused with this status kept by the call that is busy; returns the call whose own wish it
    /// has driven out. An error where it is not to be kept.
    fn keep(&mut self, command: Command, status: u16) -> Result<Option<CallId>, ()> {
        let busy = status_of(Declined::Busy);
        let is_busy = |id: &CallId| self.calls.get(*id).is_some_and(|call| call.may_begin() == Err(Declined::Busy));
        let by = [command.call(), command.with()].into_iter().flatten().find(is_busy).filter(|_| status == busy);
        let found = by.and_then(|by| self.calls.get_mut(by)).ok_or(())?;
        found.keep(command).map(|older| older.and_then(|older| older.call())).map_err(drop)
    }

    fn command_transfer(&mut self, call: CallId, aim: Aim, now: Instant) -> Result<(), u16> {
        let plan = self.plan_transfer(call, None, aim)?;
        self.set_out(plan, Reporter::Nobody, now);
        Ok(())
    }
}
