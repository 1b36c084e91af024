//! Carries out what a call decided: the one place where [`Action`]s become messages and orders.

use std::time::Instant;

use super::{Gateway, Output};
use crate::call::{Action, EventKind, Signal};
use crate::id::{CallId, LegId, WorkerId};
use crate::plan::{Order, Topology};
use crate::sip::endpoint::Header;

/// Headers of our 180, 183 and 200 (genesys.md: some peers want to be told before they send NOTIFY talk).
pub(super) fn answer_headers() -> Vec<Header> {
    vec![("Allow-Events".to_owned(), b"talk, hold".to_vec())]
}

impl Gateway {
    /// Tells a call a signal and does what follows.
    pub(super) fn signal(&mut self, call: CallId, signal: Signal, now: Instant) {
        let Some(found) = self.calls.get_mut(call) else { return };
        let actions = found.on(signal, now);
        for action in actions {
            self.perform(call, action, now);
        }
        self.calls.schedule(call);
    }

    fn perform(&mut self, call: CallId, action: Action, now: Instant) {
        match action {
            Action::Progress { status, early_media } => self.progress(call, status, early_media, now),
            Action::Accept => self.accept(call, now),
            Action::Reject { status } => self.reject_caller(call, status, now),
            Action::HangUp { leg, reason } => {
                if let Some(session) = self.calls.end_session(call, leg) {
                    self.endpoint.hang_up(session, &[("Reason".to_owned(), reason)], now);
                }
            }
            Action::CloseMedia(leg) => self.close_media(call, leg),
            Action::Forget(leg) => self.calls.forget_leg(call, leg),
            Action::NoteSilence(leg) => self.note_silence(call, leg),
            Action::TryTarget(target) => self.try_target(call, target, now),
            Action::Connect(one, other) => self.connect(call, one, other),
            Action::Emit(kind) => self.emit(call, kind, now),
            Action::Finish => self.finish(call),
        }
    }

    fn note_silence(&mut self, call: CallId, leg: LegId) {
        let Some(trunk) = self.peers.trunk(0) else { return };
        tracing::warn!(%call, %leg, trunk = trunk.name, "no answer from the trunk");
        self.peers.count(0, |counters| counters.silent += 1);
    }

    fn progress(&mut self, call: CallId, status: u16, early_media: bool, now: Instant) {
        let Some(caller) = self.calls.get_mut(call).and_then(|call| call.caller()) else { return };
        let Some(session) = caller.session else { return };
        // An answer can go out early only where there was an offer (RFC 3261 13.2.1).
        let sdp = (early_media && !caller.media.is_waiting()).then_some(caller.media.sdp.as_slice());
        let status = if status == 183 && sdp.is_none() { 180 } else { status };
        self.endpoint.progress(session, status, sdp, &answer_headers(), now);
    }

    fn accept(&mut self, call: CallId, now: Instant) {
        let Some(caller) = self.calls.get_mut(call).and_then(|call| call.caller()) else { return };
        let Some(session) = caller.session else { return };
        self.endpoint.answer(session, &caller.media.sdp, &answer_headers(), now);
        self.counters.answered += 1;
    }

    fn reject_caller(&mut self, call: CallId, status: u16, now: Instant) {
        let Some(leg) = self.calls.get_mut(call).and_then(|call| call.caller()).map(|leg| leg.id) else { return };
        let Some(session) = self.calls.end_session(call, leg) else { return };
        let headers = self.refusal_headers(status);
        self.endpoint.reject(session, status, None, &headers, now);
    }

    /// Returns Retry-After where a status asks for it (RFC 3261 21.5.4).
    pub(super) fn refusal_headers(&self, status: u16) -> Vec<Header> {
        match status {
            503 => vec![("Retry-After".to_owned(), self.policy.retry_after.as_secs().to_string().into_bytes())],
            _ => Vec::new(),
        }
    }

    fn close_media(&mut self, call: CallId, leg: LegId) {
        let Some(found) = self.calls.get_mut(call).and_then(|call| call.leg_mut(leg)) else { return };
        if std::mem::take(&mut found.open) {
            let worker = found.media.worker;
            self.order(worker, Order::Close(leg));
        }
    }

    fn connect(&mut self, call: CallId, one: LegId, other: LegId) {
        let pair = Topology::Pair(one, other);
        let Some(found) = self.calls.get_mut(call) else { return };
        if found.topology.as_ref() == Some(&pair) {
            return;
        }
        let Some(worker) = found.leg(one).map(|leg| leg.media.worker) else { return };
        found.topology = Some(pair.clone());
        self.order(worker, Order::Connect(pair));
    }

    pub(super) fn order(&mut self, worker: WorkerId, order: Order) {
        self.outputs.push_back(Output::Media(worker, order));
    }

    pub(super) fn emit(&mut self, call: CallId, kind: EventKind, now: Instant) {
        if let Some(found) = self.calls.get_mut(call) {
            let event = found.event(kind, now);
            self.outputs.push_back(Output::Event(event));
        }
    }

    fn finish(&mut self, call: CallId) {
        if let Some(gone) = self.calls.remove(call) {
            self.ports.unplace(&gone.parties.dn);
        }
    }
}
