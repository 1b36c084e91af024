//! How the phones of a DN are called, and how they are made to answer: by their page, at the last moment, or once for all.

use std::time::Instant;

use super::Gateway;
use super::page::PAGE_TYPE;
use crate::call::{AnswerMode, Call, Declined, Direction, LegKind, Procedure, Signal, Wish};
use crate::id::{CallId, LegId};
use crate::registrar::Binding;
use crate::sip::endpoint::{ClientTx, Header};
use crate::sip::message::{Message, Name};

/// Headers by which a phone answers by itself; each make knows one of them.
fn auto_answer_headers(realm: &str) -> [Header; 2] {
    [
        ("Call-Info".to_owned(), format!("<sip:{realm}>;answer-after=0").into_bytes()),
        ("Alert-Info".to_owned(), format!("<sip:{realm}>;info=alert-autoanswer").into_bytes()),
    ]
}

/// Returns true where an INVITE of the trunk asks for an answer at once, without a NOTIFY talk to come (genesys.md).
pub(super) fn wants_answer(invite: &Message) -> bool {
    let says = |name, hints: &[&str]| {
        invite.headers(name).any(|value| {
            let value = String::from_utf8_lossy(value).to_ascii_lowercase().replace(' ', "");
            value.split([';', ',']).any(|part| hints.contains(&part))
        })
    };
    says(Name::CallInfo, &["answer-after=0"])
        || says(Name::AlertInfo, &["info=alert-autoanswer", "info=auto-answer", "answer-after=0"])
}

impl Gateway {
    /// Returns what the phones of a DN can be called by.
    pub(super) fn reachable(&mut self, dn: &str, now: Instant) -> Vec<Binding> {
        let bindings: Vec<Binding> = self.registrar.lookup(dn, now).into_iter().cloned().collect();
        bindings.into_iter().filter(|binding| self.peers.flow(&binding.path).is_some()).collect()
    }

    /// A call for a DN has begun: its phones ring, or we ring for them.
    pub(super) fn alert(&mut self, call: CallId, at_once: bool, now: Instant) {
        let Some(dn) = self.calls.get(call).map(|call| call.parties.dn.clone()) else { return };
        let mode = self.admission.answer(&dn);
        if mode != AnswerMode::Page {
            self.signal(call, Signal::Alerting(mode), now);
        }
        match mode {
            AnswerMode::Page => self.call_phones(call, now),
            AnswerMode::Deferred => {}
            AnswerMode::Nailed => match self.standing_leg(&dn) {
                Some((standing, leg)) => self.take_standing(call, standing, leg, now),
                None => self.call_phones(call, now),
            },
        }
        if at_once {
            self.signal(call, Signal::Wish { what: Wish::Answer, by: None }, now);
        }
    }

    /// Calls all phones of the DN.
    pub(super) fn call_phones(&mut self, call: CallId, now: Instant) {
        let Some(found) = self.calls.get(call) else { return };
        let (dn, Some(worker)) = (found.parties.dn.clone(), found.legs.first().map(|leg| leg.media.worker)) else {
            return;
        };
        let legs = found.legs.len();
        for binding in self.reachable(&dn, now) {
            self.ring(call, worker, &binding, now);
        }
        if self.calls.get(call).is_some_and(|call| call.legs.len() == legs) {
            self.signal(call, Signal::NoTarget, now);
        }
    }

    /// Returns the headers by which a phone of this call answers unasked, where it is to.
    pub(super) fn answer_hints(&self, call: CallId) -> Vec<Header> {
        let asks = |call: &&Call| call.parties.direction == Direction::Inbound || call.is_summons();
        let called = self.calls.get(call).filter(asks);
        match called.map(|call| self.admission.answer(&call.parties.dn)) {
            Some(AnswerMode::Deferred | AnswerMode::Nailed) => auto_answer_headers(&self.realm).into(),
            Some(AnswerMode::Page) | None => Vec::new(),
        }
    }

    /// Tells the page what to do: JsSIP raises an INFO as `newInfo`, also while it rings.
    pub(super) fn tell_page(&mut self, call: CallId, leg: LegId, command: &str, now: Instant) {
        let session = self.calls.get(call).and_then(|call| call.leg(leg)).and_then(|leg| leg.session);
        let Some(session) = session else { return };
        let body = format!("{{\"command\":\"{command}\"}}");
        match self.endpoint.info(session, PAGE_TYPE, body.as_bytes(), now) {
            Some(tx) => self.calls.await_info(tx, call, leg),
            None => self.not_told(call, leg, 481, now),
        }
    }

    /// The response to an INFO of [`Gateway::tell_page`] or to a key, or that there is none; false: it was none of them.
    pub(super) fn info_answered(&mut self, tx: ClientTx, status: Option<u16>, now: Instant) -> bool {
        if status.is_some_and(|status| status < 200) {
            return self.calls.awaits_info(tx);
        }
        let Some((call, leg)) = self.calls.take_told(tx) else { return false };
        let kind = self.calls.of_leg(leg).and_then(|call| self.calls.get(call)?.leg(leg)).map(|leg| leg.kind);
        if kind == Some(LegKind::Trunk) {
            self.key_taken(leg, status, now);
        } else if status.is_none_or(|status| status >= 300) {
            self.not_told(call, leg, status.unwrap_or(408), now);
        }
        true
    }

    /// A phone that rings does not know how to answer unasked: it rings on for whoever sits before it, and the desktop that
    /// has asked for an answer is to know.
    fn not_told(&mut self, call: CallId, leg: LegId, status: u16, now: Instant) {
        let Some(found) = self.calls.get(call) else { return };
        let rings = matches!(found.procedure, Some(Procedure::Setup(_) | Procedure::Summons(_)));
        if !rings || found.leg(leg).is_none_or(|leg| leg.session.is_none()) {
            return;
        }
        self.counters.deaf_pages += 1;
        tracing::warn!(%call, %leg, dn = found.parties.dn, status, "the phone could not be told to answer, and rings on");
        let dn = found.dn_of(leg).to_owned();
        self.decline(call, Some(&dn), Declined::Refused(status), now);
    }
}
