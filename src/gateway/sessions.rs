//! What the SIP sessions and the media threads tell, in a call's words.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::Gateway;
use super::identity;
use super::perform::answer_headers;
use crate::call::{EventKind, LegKind, ReleaseCause, Signal};
use crate::id::{CallId, LegId, WorkerId};
use crate::path::Transport;
use crate::plan::Report;
use crate::sdp::description::Direction;
use crate::sip::endpoint::{DialogId, EndReason, Event, FailReason, SessionId};
use crate::sip::message::{Message, Name};

impl Gateway {
    pub(super) fn event(&mut self, event: Event, now: Instant) {
        match event {
            Event::Request { tx, message, path, transport } => self.request(tx, message, path, transport, now),
            Event::Invited { session, message, path, transport } => {
                self.invited(session, &message, path, transport, now);
            }
            Event::Provisional { session, fork, message, .. } => self.provisional(session, &fork, &message, now),
            Event::Answered { session, fork, message, .. } => self.answered(session, &fork, &message, now),
            Event::Refused { session, status, message } => {
                let Some((call, leg)) = self.terminal(session, message.as_ref(), now) else { return };
                let again = message.as_ref().filter(|_| (300..400).contains(&status));
                if let Some(target) = again.and_then(|message| self.redirected(call, leg, message)) {
                    return self.signal(call, Signal::Redirected { leg, target }, now);
                }
                self.signal(call, Signal::Refused { leg, status, heard: message.is_some() }, now);
            }
            Event::Cancelled { session, message } => {
                let Some((call, leg)) = self.terminal(session, Some(&message), now) else { return };
                let cause = self.side(call, leg);
                self.signal(call, Signal::Ended { leg, cause, reason: reason(&message) }, now);
            }
            Event::Acked { session, sdp, message } => self.acked(session, sdp, &message, now),
            Event::Reinvited { session, message, path, .. } => {
                self.heard_by(session, &path, now);
                self.reinvited(session, &message, now);
            }
            Event::ReinviteCancelled { session } => self.reinvite_cancelled(session),
            Event::InDialog { session, tx, message, path } => {
                self.heard_by(session, &path, now);
                self.in_dialog(session, tx, &message, path, now);
            }
            Event::FlowLost { session } => self.flow_lost(session, now),
            Event::Ended { session, why } => self.ended(session, why, now),
            Event::ReinviteAnswered { session, message } => self.reinvite_answered(session, &message, now),
            Event::ReinviteRefused { session, status, message } => {
                if !self.reinvite_challenged(session, message.as_ref(), now) {
                    self.reinvite_refused(session, status, now);
                }
            }
            Event::Challenged { session, message, request } => self.challenged(session, &message, &request, now),
            // Of requests of ours that are no INVITE only OPTIONS, REGISTER, REFER and INFO are waited for.
            Event::Response { tx, message } => {
                let status = Some(message.status());
                if !self.info_answered(tx, status, now) && !self.dialog_asked(tx, status, now) {
                    self.responded(tx, Some(&message), now);
                    self.trunk_answered(tx, &message, now);
                }
            }
            Event::RequestFailed { tx, why } => {
                if !self.info_answered(tx, None, now) && !self.dialog_asked(tx, None, now) {
                    self.responded(tx, None, now);
                    self.trunk_failed(tx, why == FailReason::Transport, now);
                }
            }
            Event::Pracked { session, sdp, message } => self.pracked(session, sdp, &message, now),
            Event::Updated { session, message } => {
                if let Some((call, leg)) = self.calls.of_session(session) {
                    self.note_uuid(call, leg, &message, now);
                    self.renamed_by(call, leg, &message, now);
                }
            }
            Event::Refreshed { session, message } => self.refreshed(session, &message, now),
            Event::Unproved(asked) => self.unproved(asked, now),
        }
    }

    /// The session is over by its peer; the call keeps the identifier that its last message carried.
    fn terminal(&mut self, session: SessionId, message: Option<&Message>, now: Instant) -> Option<(CallId, LegId)> {
        let (call, leg) = self.calls.of_session(session)?;
        if let Some(message) = message {
            self.note_uuid(call, leg, message, now);
        }
        self.calls.end_session(call, leg);
        Some((call, leg))
    }

    /// Keeps what the trunk says of a call: the identifier that joins it to its CTI call, and its user data. A browser
    /// changes neither.
    pub(super) fn note_uuid(&mut self, call: CallId, leg: LegId, message: &Message, now: Instant) {
        let Some(found) = self.calls.get_mut(call) else { return };
        let uuid = identity::call_uuid(message);
        if !found.is_told_by(leg, uuid.as_deref()) {
            return;
        }
        let Some(leg) = found.leg(leg) else { return };
        let transport = if leg.path.flow().is_some() { Transport::Tcp } else { Transport::Udp };
        let trunk = self.peers.trunk(self.reach.trunk_of(&leg.path, transport).unwrap_or(0));
        let fields = trunk.map(|trunk| identity::carried_in(message, &trunk.carry)).unwrap_or_default();
        let uuid = uuid.filter(|uuid| found.parties.call_uuid.as_ref() != Some(uuid));
        let data = identity::merged(&found.parties.data, fields);
        let changed = (uuid.is_some(), data.is_some());
        found.parties.call_uuid = uuid.or(found.parties.call_uuid.take());
        found.parties.data = data.unwrap_or_else(|| Arc::clone(&found.parties.data));
        if changed.0 {
            self.emit(call, EventKind::CallUuidChanged, now);
        }
        if changed.1 {
            self.emit(call, EventKind::AttachedDataChanged, now);
        }
    }

    fn side(&self, call: CallId, leg: LegId) -> ReleaseCause {
        match self.calls.get(call).and_then(|call| call.leg(leg)).map(|leg| leg.kind) {
            Some(LegKind::Browser) => ReleaseCause::Agent,
            _ => ReleaseCause::Trunk,
        }
    }

    fn provisional(&mut self, session: SessionId, fork: &str, message: &Message, now: Instant) {
        let Some((call, leg)) = self.calls.of_session(session) else { return };
        self.note_uuid(call, leg, message, now);
        // A browser that rings has nothing to say yet; the trunk's early media is heard.
        let early = self.calls.get(call).and_then(|c| c.leg(leg)).is_some_and(|leg| leg.kind == LegKind::Trunk)
            && has_sdp(message)
            && self.take_answer(call, leg, message.body(), false);
        if early && let Some(leg) = self.calls.get_mut(call).and_then(|call| call.leg_mut(leg)) {
            leg.media.note_early(fork, message.body(), message.has_option(Name::Require, "100rel"));
        }
        let status = if early { 183 } else { message.status() };
        self.signal(call, Signal::Ringing { leg, status, early_media: early }, now);
    }

    /// Applies an answer; false where it is of no use.
    fn take_answer(&mut self, call: CallId, leg: LegId, sdp: &[u8], last: bool) -> bool {
        let Some(found) = self.calls.get_mut(call).and_then(|call| call.leg_mut(leg)) else { return false };
        let worker = found.media.worker;
        match found.media.take_answer(leg, sdp, last) {
            Ok(order) => {
                if let Some(order) = order {
                    self.order(worker, order);
                }
                true
            }
            Err(error) => {
                tracing::debug!(%call, %leg, %error, "answer refused");
                false
            }
        }
    }

    /// Applies an answer to what was answered before; false where it is of no use.
    fn take_another(&mut self, call: CallId, leg: LegId, sdp: &[u8]) -> bool {
        let Some(found) = self.calls.get_mut(call).and_then(|call| call.leg_mut(leg)) else { return false };
        let worker = found.media.worker;
        match found.media.answered_anew(leg, sdp) {
            Ok(order) => {
                order.into_iter().for_each(|order| self.order(worker, order));
                true
            }
            Err(error) => {
                tracing::debug!(%call, %leg, %error, "answer refused");
                false
            }
        }
    }

    /// A refresh repeats what we have said; the peer's answer need not be what it was (RFC 3264 8).
    fn refreshed(&mut self, session: SessionId, message: &Message, now: Instant) {
        let Some((call, leg)) = self.calls.of_session(session) else { return };
        self.note_uuid(call, leg, message, now);
        let Some(media) = self.calls.get(call).and_then(|c| c.leg(leg)).map(|leg| &leg.media) else { return };
        let before = media.peer_direction();
        // An offer of ours that waits for its turn has its own answer to come.
        if has_sdp(message) && !media.is_waiting() && self.take_another(call, leg, message.body()) {
            self.reoffered(call, leg, before, now);
        }
    }

    fn answered(&mut self, session: SessionId, fork: &str, message: &Message, now: Instant) {
        self.endpoint.ack(session, None, now);
        let Some((call, leg)) = self.calls.of_session(session) else { return };
        self.note_uuid(call, leg, message, now);
        let media = self.calls.get_mut(call).and_then(|call| call.leg_mut(leg)).map(|leg| &mut leg.media);
        // Of several forks that were heard early, the one that answered is heard from now on.
        let settled = media.as_ref().is_some_and(|media| !media.is_waiting());
        let early = media.and_then(|media| media.early_of(fork));
        let good = match (has_sdp(message), early) {
            (true, None) if settled => self.take_another(call, leg, message.body()),
            (true, _) => self.take_answer(call, leg, message.body(), true),
            (false, Some(early)) => self.take_answer(call, leg, &early, true),
            // Neither its 2xx nor anything before said what to talk by.
            (false, None) => false,
        };
        if good {
            self.nail(call, leg);
            return self.signal(call, Signal::Answered { leg }, now);
        }
        if let Some(session) = self.calls.end_session(call, leg) {
            let reason = b"SIP;cause=488;text=\"Not Acceptable Here\"".to_vec();
            self.endpoint.hang_up(session, &[("Reason".to_owned(), reason)], now);
        }
        self.signal(call, Signal::Refused { leg, status: 488, heard: true }, now);
    }

    /// The trunk has heard our early media; its PRACK has the answer where our 183 had the offer (RFC 3262 5).
    fn pracked(&mut self, session: SessionId, sdp: Option<Bytes>, prack: &Message, now: Instant) {
        let Some((call, leg)) = self.calls.of_session(session) else { return };
        self.note_uuid(call, leg, prack, now);
        let waiting = self.calls.get(call).and_then(|c| c.leg(leg)).is_some_and(|leg| leg.media.is_waiting());
        if let Some(sdp) = sdp.filter(|_| waiting) {
            self.take_answer(call, leg, &sdp, true);
        }
    }

    fn acked(&mut self, session: SessionId, sdp: Option<Bytes>, ack: &Message, now: Instant) {
        let Some((call, leg)) = self.calls.of_session(session) else { return };
        self.note_uuid(call, leg, ack, now);
        let Some(found) = self.calls.get_mut(call) else { return };
        let first = found.is_waiting_for_ack(leg);
        let Some(media) = found.leg_mut(leg).map(|leg| &mut leg.media) else { return };
        let (waiting, before) = (media.is_waiting(), media.peer_direction());
        let good = !waiting || sdp.is_some_and(|sdp| self.take_answer(call, leg, &sdp, true));
        match good {
            true if first => self.signal(call, Signal::Acked, now),
            true if waiting => self.reoffered(call, leg, before, now),
            true => {}
            false if first => self.signal(call, Signal::Release(ReleaseCause::Refused(488)), now),
            // An offer of ours in mid-call that was not answered: all is as it was.
            false => self.withdraw(call, leg),
        }
    }

    /// Tells the call what a new description of the peer's has changed.
    pub(super) fn reoffered(&mut self, call: CallId, leg: LegId, before: Direction, now: Instant) {
        let Some(after) = self.calls.get(call).and_then(|c| c.leg(leg)).map(|leg| leg.media.peer_direction()) else {
            return;
        };
        self.signal(call, Signal::Reoffered { leg, before, after }, now);
    }

    fn withdraw(&mut self, call: CallId, leg: LegId) {
        if let Some(leg) = self.calls.get_mut(call).and_then(|call| call.leg_mut(leg)) {
            leg.media.withdraw();
        }
    }

    fn reinvite_answered(&mut self, session: SessionId, message: &Message, now: Instant) {
        self.endpoint.ack(session, None, now);
        let Some((call, leg)) = self.calls.of_session(session) else { return };
        self.trunks.proved(call, leg);
        self.note_uuid(call, leg, message, now);
        let status = if has_sdp(message) && self.take_answer(call, leg, message.body(), true) {
            message.status()
        } else {
            self.withdraw(call, leg);
            488
        };
        self.signal(call, Signal::ReinviteDone { leg, status }, now);
    }

    fn reinvite_refused(&mut self, session: SessionId, status: u16, now: Instant) {
        let Some((call, leg)) = self.calls.of_session(session) else { return };
        self.withdraw(call, leg);
        self.signal(call, Signal::ReinviteDone { leg, status }, now);
    }

    fn reinvited(&mut self, session: SessionId, message: &Message, now: Instant) {
        let refuse = |gateway: &mut Gateway, status| gateway.endpoint.reject_reinvite(session, status, None, &[], now);
        let Some((call, leg)) = self.calls.of_session(session) else { return refuse(self, 481) };
        self.note_uuid(call, leg, message, now);
        self.renamed_by(call, leg, message, now);
        let fresh = self.ports.credentials();
        let Some(found) = self.calls.get_mut(call) else { return refuse(self, 481) };
        let settled = found.is_answered();
        let Some(found) = found.leg_mut(leg) else { return refuse(self, 481) };
        if !settled || found.media.is_waiting() {
            return refuse(self, 491);
        }
        let (worker, before) = (found.media.worker, found.media.peer_direction());
        let orders = match message.body() {
            [] => {
                found.media.offer_again();
                Ok(Vec::new())
            }
            offer => found.media.answer_again(leg, offer, fresh),
        };
        match orders {
            Ok(orders) => {
                self.endpoint.answer_reinvite(session, &found.media.sdp, &answer_headers(), now);
                orders.into_iter().for_each(|order| self.order(worker, order));
                self.reoffered(call, leg, before, now);
            }
            Err(error) => {
                tracing::debug!(%call, %leg, %error, "re-INVITE refused");
                refuse(self, super::routing::sdp_status(&error));
            }
        }
    }

    fn reinvite_cancelled(&mut self, session: SessionId) {
        if let Some((call, leg)) = self.calls.of_session(session) {
            self.withdraw(call, leg);
        }
    }

    fn ended(&mut self, session: SessionId, why: EndReason, now: Instant) {
        let message = match &why {
            EndReason::Bye(message) => Some(message),
            _ => None,
        };
        let Some((call, leg)) = self.calls.of_session(session) else { return };
        if let Some(message) = message {
            self.note_uuid(call, leg, message, now);
            self.calls.ended.note(ended_dialog(message), now);
        }
        self.calls.end_session(call, leg);
        let cause = match &why {
            EndReason::Bye(_) | EndReason::Expired => self.side(call, leg),
            EndReason::AckTimeout => ReleaseCause::AckTimeout,
            EndReason::Gone | EndReason::Transport | EndReason::SessionExpired => ReleaseCause::PeerLost,
        };
        self.signal(call, Signal::Ended { leg, cause, reason: message.and_then(reason) }, now);
    }

    pub(super) fn report(&mut self, worker: WorkerId, report: Report, now: Instant) {
        let leg = match &report {
            Report::PairsReady(pairs) => return self.ports.ready(worker, pairs.clone()),
            Report::Load { permille } => return self.ports.loaded(worker, *permille),
            Report::Connected(leg)
            | Report::ConsentLost(leg)
            | Report::DtlsFailed(leg, _)
            | Report::Digit(leg, _)
            | Report::Closed(leg, _) => *leg,
        };
        let Some(call) = self.calls.of_leg(leg) else { return };
        match report {
            Report::PairsReady(_) | Report::Load { .. } => {}
            Report::Connected(_) => tracing::debug!(%call, %leg, "media connected"),
            Report::ConsentLost(_) => self.media_failed(call, leg, ReleaseCause::ConsentLost, now),
            Report::DtlsFailed(_, failure) => {
                tracing::info!(%call, %leg, ?failure, "DTLS failed");
                self.media_failed(call, leg, ReleaseCause::DtlsFailed, now);
            }
            Report::Digit(_, digit) => self.heard_key(call, leg, digit, now),
            Report::Closed(_, stats) => self.signal(call, Signal::MediaClosed { leg, stats }, now),
        }
    }

    fn media_failed(&mut self, call: CallId, leg: LegId, cause: ReleaseCause, now: Instant) {
        self.counters.media_failures += 1;
        if self.flows.is_lost(leg) {
            // Its page may be gone, or its network changed: the grace says how long that is no end.
            return;
        }
        let Some(found) = self.calls.get_mut(call) else { return };
        if found.outlives(leg) {
            return self.part(call, leg, cause, now);
        }
        let is_caller = found.caller().is_some_and(|caller| caller.id == leg);
        if found.is_answered() || is_caller {
            self.signal(call, Signal::Release(cause), now);
        }
    }

    /// One leg leaves a call that goes on without it.
    pub(super) fn part(&mut self, call: CallId, leg: LegId, cause: ReleaseCause, now: Instant) {
        if let Some(session) = self.calls.end_session(call, leg) {
            self.endpoint.hang_up(session, &[("Reason".to_owned(), cause.reason().into_bytes())], now);
        }
        self.signal(call, Signal::Ended { leg, cause, reason: None }, now);
    }
}

/// Names the dialog that a BYE of the peer's has ended, from our side.
fn ended_dialog(bye: &Message) -> DialogId {
    let tag = |tag: Option<&str>| tag.unwrap_or_default().to_owned();
    DialogId { call_id: bye.call_id().to_owned(), local_tag: tag(bye.to().tag()), remote_tag: tag(bye.from().tag()) }
}

/// Returns the Reason values of a request, as they are to be passed on.
fn reason(message: &Message) -> Option<Vec<u8>> {
    let values: Vec<&[u8]> = message.headers(Name::Reason).take(4).collect();
    (!values.is_empty()).then(|| values.join(&b", "[..]))
}

/// Returns true if the body is a session description.
pub(super) fn has_sdp(message: &Message) -> bool {
    let kind = message.content_type().unwrap_or_default();
    !message.body().is_empty() && kind.trim().to_ascii_lowercase().starts_with("application/sdp")
}
