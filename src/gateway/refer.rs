//! REFER within a call (RFC 3515, RFC 3891, RFC 3892, RFC 4488): from the browser, who hands its party on; from the trunk,
//! which hands the agent on. And the page's INFO, which asks for the same.
//!
//! ```text
//! 202 or 200   set out; progress by NOTIFY sipfrag or INFO
//! 400          no Refer-To, two, or one that cannot be read
//! 403          the DN may not dial it; not the agent's own calls; a call that is not answered; another connection
//! 404          `Replaces` names no dialog of ours
//! 416          neither SIP nor tel
//! 491          another change of the call is under way
//! ```
//! A missing dialog in `Replaces` is never 481: JsSIP takes a 481 for the end of the dialog that the REFER came in.
//! A REFER outside a dialog is another matter: [`super::summons`].

use std::time::Instant;

use super::page::{PageCommand, is_number};
use super::transfers::Aim;
use super::{Gateway, identity};
use crate::call::procedure::Reporter;
use crate::call::{LegKind, Signal, Wish};
use crate::id::{CallId, LegId};
use crate::path::Path;
use crate::sip::endpoint::{Header, ServerTx};
use crate::sip::message::{Message, Name};
use crate::sip::refer::{ReferError, ReferTo, ReferredBy, Replaces};

/// Longest Refer-To and Referred-By that are read.
pub(super) const MAX_VALUE: usize = 2048;

impl Gateway {
    /// A REFER in a dialog.
    pub(super) fn refer(&mut self, call: CallId, leg: LegId, tx: ServerTx, refer: &Message, path: Path, now: Instant) {
        let aim = self.aim_of(call, leg, refer, path);
        let plan = aim.and_then(|aim| self.plan_transfer(call, Some(leg), aim));
        match plan {
            Ok(plan) => {
                self.reply(tx, refer, 202, &[], now);
                let is_silent = refer.header(Name::ReferSub).is_some_and(|value| value.eq_ignore_ascii_case(b"false"));
                let by = if is_silent { Reporter::Nobody } else { Reporter::Refer(refer.cseq().number) };
                self.set_out(plan, by, now);
            }
            Err(status) => {
                self.counters.refused += 1;
                self.reply(tx, refer, status, &[], now);
            }
        }
    }

    /// Reads where a REFER points to.
    fn aim_of(&self, call: CallId, leg: LegId, refer: &Message, path: Path) -> Result<Aim, u16> {
        let found = self.calls.get(call).and_then(|call| call.leg(leg)).ok_or(481u16)?;
        let is_agent = found.kind == LegKind::Browser;
        // Who has read a dialog's tags somewhere is not yet its browser.
        if is_agent && found.path.flow() != path.flow() {
            return Err(403);
        }
        let mut values = refer.headers(Name::ReferTo);
        let (Some(value), None) = (values.next(), values.next()) else { return Err(400) };
        if value.len() > MAX_VALUE {
            return Err(400);
        }
        let target = ReferTo::parse(value).map_err(|error| match error {
            ReferError::Scheme => 416u16,
            _ => 400,
        })?;
        if let (true, Some(replaces)) = (is_agent, &target.replaces) {
            return self.call_of(replaces).filter(|with| *with != call).map(Aim::Call).ok_or(404);
        }
        let to = identity::user(&target.target).filter(|number| is_number(number)).ok_or(400u16)?;
        let headers = if is_agent { Vec::new() } else { carried(refer, target.replaces.as_ref()) };
        Ok(Aim::Number { to, headers })
    }

    /// Finds the call of a dialog that a browser names. JsSIP writes the tags of a call that it took the other way round.
    fn call_of(&self, replaces: &Replaces) -> Option<CallId> {
        let Replaces { call_id, to_tag, from_tag, .. } = replaces;
        let found = self.endpoint.find_dialog(call_id, to_tag, from_tag);
        let session = found.or_else(|| self.endpoint.find_dialog(call_id, from_tag, to_tag))?;
        let (call, leg) = self.calls.of_session(session)?;
        let is_agent = self.calls.get(call)?.leg(leg).is_some_and(|leg| leg.kind == LegKind::Browser);
        is_agent.then_some(call)
    }

    /// Finds an agent's call by the Call-ID of its dialog with the browser.
    fn call_named(&self, dn: &str, call_id: &str) -> Option<CallId> {
        let is_it = |call: &&crate::call::Call| {
            let session = call.leg_of_dn(dn).and_then(|leg| leg.session);
            let dialog = session.and_then(|session| self.endpoint.dialog_ids(session));
            dialog.is_some_and(|dialog| dialog.call_id == call_id)
        };
        self.calls.iter().find(is_it).map(|call| call.id)
    }

    /// What the page asks for by INFO.
    pub(super) fn page_command(
        &mut self,
        call: CallId,
        leg: LegId,
        tx: ServerTx,
        info: &Message,
        path: Path,
        now: Instant,
    ) {
        let Some(found) = self.calls.get(call) else { return self.reply(tx, info, 481, &[], now) };
        let own = found.leg(leg).filter(|own| own.kind == LegKind::Browser);
        if own.is_none_or(|own| own.path.flow() != path.flow()) {
            return self.reply(tx, info, 403, &[], now);
        }
        let dn = found.dn_of(leg).to_owned();
        let Ok(command) = PageCommand::parse(info.body()) else { return self.reply(tx, info, 400, &[], now) };
        let other = |with: &str| self.call_named(&dn, with).filter(|with| *with != call).ok_or(404u16);
        let aim = match command {
            PageCommand::Hold => return self.wished(call, leg, Wish::Hold, tx, info, now),
            PageCommand::Retrieve => return self.wished(call, leg, Wish::Retrieve, tx, info, now),
            PageCommand::Conference { with } => {
                let outcome = other(&with).and_then(|with| self.confer(call, Some(leg), with, now));
                let status = outcome.err().unwrap_or(200);
                return self.reply(tx, info, status, &[], now);
            }
            PageCommand::Transfer { to } => Ok(Aim::Number { to, headers: Vec::new() }),
            PageCommand::Complete { with } => other(&with).map(Aim::Call),
        };
        match aim.and_then(|aim| self.plan_transfer(call, Some(leg), aim)) {
            Ok(plan) => {
                self.reply(tx, info, 200, &[], now);
                self.set_out(plan, Reporter::Page, now);
            }
            Err(status) => self.reply(tx, info, status, &[], now),
        }
    }

    fn wished(&mut self, call: CallId, leg: LegId, what: Wish, tx: ServerTx, info: &Message, now: Instant) {
        self.reply(tx, info, 200, &[], now);
        self.signal(call, Signal::Wish { what, by: Some(leg) }, now);
    }
}

/// What of the trunk's REFER goes into the INVITE: who referred, and which dialog is replaced.
pub(super) fn carried(refer: &Message, replaces: Option<&Replaces>) -> Vec<Header> {
    let mut headers = Vec::new();
    let by = refer.header(Name::ReferredBy).filter(|by| by.len() <= MAX_VALUE && ReferredBy::parse(by).is_ok());
    headers.extend(by.map(|by| ("Referred-By".to_owned(), by.to_vec())));
    if let Some(replaces) = replaces {
        headers.push(("Replaces".to_owned(), replaces.to_string().into_bytes()));
        headers.push(("Require".to_owned(), b"replaces".to_vec()));
    }
    headers
}
