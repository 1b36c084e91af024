//! Carries out what a call decided: the one place where [`Action`]s become messages and orders.

use std::time::Instant;

use super::{Gateway, Output, identity};
use crate::call::{Action, Call, CaptureEnd, EventKind, LegKind, Nailed, ParkSource, ReleaseCause, Signal};
use crate::id::{CallId, LegId, WorkerId};
use crate::path::{Path, Transport};
use crate::plan::{Order, Topology};
use crate::sdp::description;
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
        self.carry_out(call, actions, now);
    }

    /// Does what a call decided.
    pub(super) fn carry_out(&mut self, call: CallId, actions: Vec<Action>, now: Instant) {
        for action in actions {
            self.perform(call, action, now);
        }
        if self.calls.get(call).is_some_and(|call| call.is_releasing()) {
            self.tell_referrer_why(call, now);
        }
        self.calls.schedule(call);
    }

    fn perform(&mut self, call: CallId, action: Action, now: Instant) {
        match action {
            Action::Progress { status, early_media } => {
                self.progress(call, status, early_media, now);
                self.tell_referrer(call, 180, false, now);
            }
            Action::Accept => {
                self.accept(call, now);
                self.tell_referrer(call, 200, true, now);
            }
            Action::Reject { status } => self.reject_caller(call, status, now),
            Action::HangUp { leg, reason } => {
                if let Some(session) = self.calls.end_session(call, leg) {
                    if let Some(dialog) = self.endpoint.dialog_ids(session) {
                        self.calls.ended.note(dialog, now);
                    }
                    self.endpoint.hang_up(session, &[("Reason".to_owned(), reason)], now);
                }
            }
            Action::CloseMedia(leg) => self.close_media(call, leg),
            Action::Forget(leg) => {
                self.flows.forget(leg);
                self.calls.forget_leg(call, leg);
            }
            Action::Resumed { old, .. } => self.resumed(call, old),
            Action::NoteSilence(leg) => self.note_silence(call, leg, now),
            Action::TryTarget(target) => self.try_target(call, target, now),
            Action::Connect(one, other) => self.connect(call, one, other),
            Action::Mix(legs) => self.mix(call, &legs),
            Action::Park { leg, source } => self.park(call, leg, source),
            Action::Reinvite { leg, direction } => self.reinvite(call, leg, direction, now),
            Action::Report { leg, by, status, last } => self.report_transfer(call, leg, by, (status, last), now),
            Action::ReleaseOther(other) => self.signal(other, Signal::Release(ReleaseCause::Transferred), now),
            Action::AskToAnswer(leg) => self.tell_page(call, leg, "answer", now),
            Action::AskToRetrieve(leg) => self.tell_page(call, leg, "retrieve", now),
            Action::CallPhones => self.call_phones(call, now),
            Action::Stand(leg) => self.stand(call, leg, now),
            Action::Settle(known) => {
                if let Some(peer) = self.calls.get_mut(call).and_then(|call| call.settle(&known)) {
                    self.emit(call, EventKind::ParticipantsUpdated { parties: vec![peer] }, now);
                }
            }
            Action::Obey(command) => self.command(command, now),
            Action::Decline { call, by, why } => self.decline(call, by.as_deref(), why, now),
            Action::Emit(kind) => self.emit(call, kind, now),
            Action::Finish => {
                self.tell_referrer_why(call, now);
                let over = self.calls.get(call).map(|call| (call.parties.dn.clone(), call.since));
                self.finish(call);
                if let Some((dn, since)) = over {
                    self.nail_again(&dn, since, now);
                }
            }
        }
    }

    fn progress(&mut self, call: CallId, status: u16, early_media: bool, now: Instant) {
        let Some(caller) = self.calls.get_mut(call).and_then(|call| call.caller()) else { return };
        let Some(session) = caller.session else { return };
        // An answer can go out early only where there was an offer (RFC 3261 13.2.1); our offer must, where the PRACK is to
        // bring the answer (RFC 3262 5).
        let is_said = match caller.media.is_waiting() {
            true => self.endpoint.owes_offer(session),
            false => early_media,
        };
        let sdp = is_said.then(|| caller.media.sdp.clone());
        let status = if status == 183 && sdp.is_none() { 180 } else { status };
        let headers = self.headers_for_caller(call);
        self.endpoint.progress(session, status, sdp.as_deref(), &headers, now);
    }

    fn accept(&mut self, call: CallId, now: Instant) {
        let Some(caller) = self.calls.get_mut(call).and_then(|call| call.caller()) else { return };
        let Some(session) = caller.session else { return };
        let sdp = caller.media.sdp.clone();
        let headers = self.headers_for_caller(call);
        self.endpoint.answer(session, &sdp, &headers, now);
        self.counters.answered += 1;
    }

    /// Returns what stands in our responses to the caller's INVITE; a browser hears what the trunk said of the call.
    fn headers_for_caller(&self, call: CallId) -> Vec<Header> {
        let mut headers = answer_headers();
        let of_browser = |call: &&Call| call.legs.first().is_some_and(|caller| caller.kind == LegKind::Browser);
        if let Some(found) = self.calls.get(call).filter(of_browser) {
            headers.extend(identity::told_to_browser(&found.parties));
        }
        headers
    }

    fn reject_caller(&mut self, call: CallId, status: u16, now: Instant) {
        let Some(leg) = self.calls.get_mut(call).and_then(|call| call.caller()).map(|leg| leg.id) else { return };
        let Some(session) = self.calls.end_session(call, leg) else { return };
        if self.endpoint.is_confirmed(session) {
            // It was called so that it calls.
            let reason = ReleaseCause::Refused(status).reason().into_bytes();
            return self.endpoint.hang_up(session, &[("Reason".to_owned(), reason)], now);
        }
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
        let Some(found) = self.calls.get_mut(call) else { return };
        let Some(worker) = found.leg(one).map(|leg| leg.media.worker) else { return };
        if found.topology.pair(one, other) {
            self.order(worker, Order::Connect(Topology::Pair(one, other)));
        }
    }

    fn mix(&mut self, call: CallId, legs: &[LegId]) {
        let Some(found) = self.calls.get_mut(call) else { return };
        let first = legs.first().and_then(|leg| found.leg(*leg));
        let Some(worker) = first.map(|leg| leg.media.worker) else { return };
        if found.topology.mix(legs) {
            self.order(worker, Order::Connect(Topology::Mix(legs.to_vec())));
        }
    }

    fn park(&mut self, call: CallId, leg: LegId, source: ParkSource) {
        let Some(found) = self.calls.get_mut(call) else { return };
        let Some(worker) = found.leg(leg).filter(|leg| leg.open).map(|leg| leg.media.worker) else { return };
        let of_trunk = found.leg(leg).filter(|leg| leg.kind == LegKind::Trunk);
        let stream = |path: &Path| if path.flow().is_some() { Transport::Tcp } else { Transport::Udp };
        let trunk = of_trunk.and_then(|leg| self.reach.trunk_of(&leg.path, stream(&leg.path)));
        if found.topology.park(leg, source) {
            let source = self.ports.source(source, trunk.and_then(|trunk| self.peers.trunk(trunk)));
            self.order(worker, Order::Connect(Topology::Parked(leg, source)));
        }
    }

    /// Sends a re-INVITE with our offer, or says at once that it cannot be sent.
    fn reinvite(&mut self, call: CallId, leg: LegId, direction: description::Direction, now: Instant) {
        let Some(found) = self.calls.get_mut(call).and_then(|call| call.leg_mut(leg)) else { return };
        let busy = found.media.is_waiting();
        let sent = found.session.filter(|_| !busy).map(|session| {
            found.media.offer_direction(direction);
            let sent = self.endpoint.reinvite(session, Some(&found.media.sdp), &answer_headers(), now);
            if sent.is_err() {
                found.media.withdraw();
            }
            sent
        });
        if !matches!(sent, Some(Ok(()))) {
            self.signal(call, Signal::ReinviteDone { leg, status: 491 }, now);
        }
    }

    pub(super) fn order(&mut self, worker: WorkerId, order: Order) {
        self.ports.ordered(worker, &order);
        self.outputs.push_back(Output::Media(worker, order));
    }

    pub(super) fn emit(&mut self, call: CallId, kind: EventKind, now: Instant) {
        if matches!(kind, EventKind::Released { .. }) {
            self.end_capture(call, CaptureEnd::CallEnded, now);
        }
        let is_first = kind == EventKind::Dialing;
        if let Some(found) = self.calls.get_mut(call).filter(|call| call.nailed != Nailed::Alone) {
            let event = found.event(kind, now);
            self.outputs.push_back(Output::Event(event));
        }
        if is_first {
            self.capture_if_wanted(call, now);
        }
    }

    pub(super) fn finish(&mut self, call: CallId) {
        self.trunks.forget(call);
        if let Some(gone) = self.calls.remove(call) {
            for leg in &gone.legs {
                self.flows.forget(leg.id);
            }
            for (dn, is_call) in &gone.placed {
                match is_call {
                    true => self.ports.unplace(dn),
                    false => drop(self.ports.unplace_standing(dn)),
                }
            }
        }
    }
}
