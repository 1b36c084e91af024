//! Commands that ask something of a call, as REST and embedding programs wish it. Where two of our DNs talk, either of them may
//! ask: the leg of who asks says which side of the call is meant.
//!
//! Transfer and conference change who takes part. Whoever wishes them by a command was told that it will be tried, and does
//! not see that an ACK is still on its way. So where a short change of the call is under way, it keeps the command and gives
//! it back when that is done ([`Call::keep`]); REFER and INFO have a response, and hear 491.
//!
//! [`Call::keep`]: crate::call::Call::keep

use std::time::Instant;

use super::Gateway;
use super::transfers::{Aim, status_of};
use crate::call::procedure::Reporter;
use crate::call::{CallCommand, Command, Declined, EventKind, ReleaseCause, Signal, Wish};
use crate::id::{CallId, LegId};
use crate::plan::Digit;

impl Gateway {
    /// Carries out what is asked of a call. `by`: the DN whose agent asks.
    pub(super) fn command_on(&mut self, call: CallId, by: Option<String>, what: CallCommand, now: Instant) {
        let Some(found) = self.calls.get(call) else { return };
        let leg = match &by {
            Some(dn) => found.leg_of_dn(dn).map(|leg| leg.id),
            None => found.agent_leg().map(|leg| leg.id),
        };
        // A phone may still be to be called; who has left has no more say.
        let is_called = |dn: &String| *dn == found.parties.dn || (found.parties.local && *dn == found.parties.peer);
        if leg.is_none() && by.as_ref().is_some_and(|dn| found.is_answered() || !is_called(dn)) {
            return;
        }
        let wish = |what| Signal::Wish { what, by: leg };
        match what {
            CallCommand::Release => self.signal(call, Signal::Release(ReleaseCause::Command), now),
            CallCommand::HangUp => self.command_hang_up(call, leg, now),
            CallCommand::Answer => self.signal(call, wish(Wish::Answer), now),
            CallCommand::Hold => self.signal(call, wish(Wish::Hold), now),
            CallCommand::Retrieve => self.signal(call, wish(Wish::Retrieve), now),
            CallCommand::Capture { on } => self.command_capture(call, on, now),
            CallCommand::SendDigits { digits } => self.command_digits(call, leg, digits, now),
            parties => self.command_parties(call, (by, leg), parties, now),
        }
    }

    /// The agent leaves; where the call cannot do without, it ends.
    fn command_hang_up(&mut self, call: CallId, leg: Option<LegId>, now: Instant) {
        let goes_on = |leg: &LegId| self.calls.get(call).is_some_and(|call| call.outlives(*leg));
        match leg.filter(goes_on) {
            Some(leg) => self.part(call, leg, ReleaseCause::Command, now),
            None => self.signal(call, Signal::Release(ReleaseCause::Command), now),
        }
    }

    fn command_digits(&mut self, call: CallId, leg: Option<LegId>, digits: Vec<Digit>, now: Instant) {
        let Some(found) = self.calls.get(call).filter(|call| call.is_answered()) else { return };
        let Some(leg) = leg else { return };
        let mut to = found.hearers(leg);
        if to.is_empty() {
            to.extend(found.other_leg(leg).map(|leg| (leg.media.worker, leg.id)));
        }
        if to.is_empty() {
            return;
        }
        for digit in digits {
            self.press(call, &to, digit, now);
            self.emit(call, EventKind::Digit { digit, from_agent: true }, now);
        }
    }

    /// Begins a transfer or a conference, has it kept, or says why it is not to be.
    fn command_parties(
        &mut self,
        call: CallId,
        (by, leg): (Option<String>, Option<LegId>),
        what: CallCommand,
        now: Instant,
    ) {
        let number = |to: String| Aim::Number { to, headers: Vec::new() };
        let outcome = match what.clone() {
            CallCommand::BlindTransfer { to } => self.command_transfer(call, leg, number(to), now),
            CallCommand::AttendedTransfer { with } => self.command_transfer(call, leg, Aim::Call(with), now),
            CallCommand::Conference { with } => self.confer(call, leg, with, now),
            CallCommand::SingleStepConference { to } => {
                let plan = self.plan_transfer(call, leg, number(to.clone()));
                plan.and_then(|plan| self.add(&plan, to, now))
            }
            _ => return,
        };
        let Err(status) = outcome else { return };
        match self.keep(Command::OnCall { call, by: by.clone(), what }, status) {
            Ok(None) => {}
            Ok(Some(older)) => {
                if let Some(call) = older.call() {
                    self.decline(call, older.by(), Declined::Busy, now);
                }
            }
            Err(()) => self.decline(call, by.as_deref(), Declined::Refused(status), now),
        }
    }

    /// Tells that what somebody wished of a call does not come about. `by`: the DN; `None`: the call's own agent.
    pub(super) fn decline(&mut self, call: CallId, by: Option<&str>, why: Declined, now: Instant) {
        let Some(found) = self.calls.get(call) else { return };
        let by_agent = by.is_none_or(|dn| dn == found.parties.dn);
        self.emit(call, EventKind::Declined { why, by_agent }, now);
    }

    /// Has a command that was refused with this status kept by the call that is busy; returns the one that it has driven
    /// out. An error where it is not to be kept.
    fn keep(&mut self, command: Command, status: u16) -> Result<Option<Command>, ()> {
        let busy = status_of(Declined::Busy);
        let is_busy = |id: &CallId| self.calls.get(*id).is_some_and(|call| call.may_begin() == Err(Declined::Busy));
        let by = [command.call(), command.with()].into_iter().flatten().find(is_busy).filter(|_| status == busy);
        let found = by.and_then(|by| self.calls.get_mut(by)).ok_or(())?;
        found.keep(command).map_err(drop)
    }

    fn command_transfer(&mut self, call: CallId, by: Option<LegId>, aim: Aim, now: Instant) -> Result<(), u16> {
        let plan = self.plan_transfer(call, by, aim)?;
        self.set_out(plan, Reporter::Nobody, now);
        Ok(())
    }
}
