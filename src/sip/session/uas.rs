//! The callee's side: INVITE in, 180, 200 until its ACK, refusals, CANCEL (RFC 3261 9.2, 13.3).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Expiry, Owner, Phase, Provisionals, RingClock, Ringing, Session, Talk, Unacked};
use crate::path::{Path, Transport};
use crate::sip::dialog::{self, Dialog};
use crate::sip::endpoint::{EndReason, Endpoint, Event, Header, Hop, SessionId};
use crate::sip::message::{Builder, Message, Name};

/// How often a provisional is repeated while it rings (RFC 3261 13.3.1.1).
const REPEAT: Duration = Duration::from_secs(60);

/// How much longer than 64 × T1 the ACK of a 2xx with an offer is waited for.
const OFFER_GRACE: Duration = Duration::from_secs(4);

impl Endpoint {
    /// A new call; all checks are behind it.
    pub(in crate::sip) fn on_invite(
        &mut self,
        tx: u64,
        message: Message,
        path: Path,
        transport: Transport,
        now: Instant,
    ) {
        let may_prack = (self.reliable)(&path);
        let tag = self.token();
        let hop = Hop { path, transport, sent_by: dialog::default_sent_by(&message) };
        let dialog = Dialog::of_callee(&message, &tag, hop);
        let session = self.next_session();
        self.owners.insert(tx, Owner::Invited(session));
        let expires = message.number(Name::Expires).map(|seconds| now + Duration::from_secs(u64::from(seconds)));
        let clock = RingClock { repeat: None, expires };
        let provisionals = if may_prack { Provisionals::of(&message) } else { Provisionals::default() };
        let ringing = Ringing { tx, invite: message.clone(), dialog, clock, provisionals };
        let phase = Phase::Ringing(Box::new(ringing));
        self.sessions.insert(session, Session::new(&tag, phase));
        self.by_tag.insert(tag, session);
        self.rearm(session);
        self.events.push_back(Event::Invited { session, message, path, transport });
    }

    pub(in crate::sip) fn send_progress(
        &mut self,
        id: SessionId,
        status: u16,
        sdp: Option<&[u8]>,
        headers: &[Header],
        now: Instant,
    ) {
        let session = self.sessions.get_mut(&id).map(|session| &mut session.phase);
        let Some(Phase::Ringing(ringing)) = session else { return };
        if ringing.provisionals.answer.is_some() {
            return; // the user has answered already
        }
        let status = status.clamp(101, 199);
        let sdp = sdp.filter(|_| !ringing.provisionals.has_said_sdp());
        ringing.clock.repeat = Some(now + REPEAT);
        if ringing.provisionals.covers(sdp.is_some()) {
            return self.send_reliable(id, status, sdp, headers, now);
        }
        let (tx, invite, dialog) = (ringing.tx, ringing.invite.clone(), ringing.dialog.clone());
        let response = self.session_response(&invite, &dialog, status, None, headers);
        self.answer_tx(tx, with_sdp(response, sdp), &dialog.local_tag, now);
        self.rearm(id);
    }

    /// Gives up on an INVITE whose time is over, or repeats its provisional.
    pub(super) fn run_ringing(&mut self, id: SessionId, now: Instant) {
        let session = self.sessions.get_mut(&id).map(|session| &mut session.phase);
        let Some(Phase::Ringing(ringing)) = session else { return };
        let clock = &mut ringing.clock;
        if clock.expires.is_some_and(|at| at <= now) {
            self.send_refusal(id, 487, None, &[], now);
            self.events.push_back(Event::Ended { session: id, why: EndReason::Expired });
        } else if clock.repeat.is_some_and(|at| at <= now) {
            clock.repeat = Some(now + REPEAT);
            let tx = ringing.tx;
            self.table.on_retransmission(tx);
        }
    }

    /// Sends the 2xx, or keeps it until a provisional with a session description was acknowledged.
    pub(in crate::sip) fn send_answer(&mut self, id: SessionId, sdp: &[u8], headers: &[Header], now: Instant) {
        if let Some(ringing) = self.sessions.get_mut(&id).and_then(Session::ringing)
            && ringing.provisionals.holds_answer()
        {
            ringing.provisionals.answer.get_or_insert_with(|| (sdp.to_vec(), headers.to_vec()));
            return;
        }
        let Some(session) = self.sessions.remove(&id) else { return };
        let Session { phase: Phase::Ringing(ringing), due, tag, refers } = session else {
            self.sessions.insert(id, session);
            return;
        };
        let Ringing { tx, invite, dialog, provisionals, .. } = *ringing;
        let mut talk = Talk::new(dialog);
        talk.expiry = Expiry::of(&invite, now);
        talk.learn(&invite);
        talk.sdp = Some(sdp.to_vec());
        talk.owed = provisionals.owed.map(|owed| owed.id);
        let sdp = (!provisionals.is_settled).then_some(sdp);
        self.accept(&mut talk, tx, &invite, sdp, headers, now);
        self.sessions.insert(id, Session { phase: Phase::Talking(Box::new(talk)), due, tag, refers });
        self.rearm(id);
    }

    /// Sends the 2xx to an INVITE or re-INVITE and starts to repeat it.
    pub(super) fn accept(
        &mut self,
        talk: &mut Talk,
        tx: u64,
        invite: &Message,
        sdp: Option<&[u8]>,
        headers: &[Header],
        now: Instant,
    ) {
        let mut response = self.session_response(invite, &talk.dialog, 200, None, headers);
        for (name, value) in talk.expiry.iter().flat_map(Expiry::answer_headers) {
            response = response.header(name, value);
        }
        let path = self.table.path(tx).unwrap_or(talk.dialog.hop.path);
        let tag = talk.dialog.local_tag.clone();
        let Some(response) = self.answer_tx(tx, with_sdp(response, sdp), &tag, now) else { return };
        let timers = self.config.timers;
        let repeat_until = now + timers.patience();
        // The ACK has to bring the answer, and may wait for another callee as long as we do (RFC 3725 4.1): whoever gives
        // up first would otherwise be the one who loses the race.
        let is_offer = invite.body().is_empty() && sdp.is_some();
        talk.unacked = Some(Unacked {
            response,
            path,
            cseq: invite.cseq().number,
            is_first: invite.to().tag().is_none(),
            next: now + timers.t1,
            interval: timers.t1,
            repeat_until,
            give_up: if is_offer { repeat_until + OFFER_GRACE } else { repeat_until },
        });
    }

    pub(in crate::sip) fn send_refusal(
        &mut self,
        id: SessionId,
        status: u16,
        reason: Option<&str>,
        headers: &[Header],
        now: Instant,
    ) {
        let session = self.sessions.get(&id).map(|session| &session.phase);
        let Some(Phase::Ringing(ringing)) = session else { return };
        let (tx, tag) = (ringing.tx, ringing.dialog.local_tag.clone());
        let mut response = Builder::response_to(&ringing.invite, status.clamp(300, 699), reason, Some(&tag));
        response = self.introduce(response, Name::Server);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        self.keep_owed(id);
        self.forget(id);
        self.answer_tx(tx, response, &tag, now);
    }

    /// A CANCEL: 200 to itself, 487 to an INVITE that has no final response yet (RFC 3261 9.2).
    pub(in crate::sip) fn on_cancel(&mut self, path: Path, cancel: Message, now: Instant) {
        let Some(target) = self.table.find_cancelled(&cancel) else {
            if self.admit(&path, &cancel, now) {
                self.refuse(path, &cancel, 481, &[]);
            }
            return;
        };
        let reply = self.reply_path(&cancel, path);
        let own = self.table.open_server(cancel.clone(), reply, None, now);
        let session = match self.owners.get(&target) {
            Some(Owner::Invited(session) | Owner::Reinvited(session)) => Some(*session),
            _ => None,
        };
        let tag = session.and_then(|id| self.sessions.get_mut(&id)?.dialog().map(|dialog| dialog.local_tag.clone()));
        let tag = tag.unwrap_or_else(|| self.token());
        self.answer_tx(own, Builder::response_to(&cancel, 200, None, Some(&tag)), &tag, now);
        if !self.table.is_pending(target) {
            return;
        }
        if let Some(invite) = self.table.request(target).cloned() {
            let terminated = Builder::response_to(&invite, 487, None, Some(&tag));
            self.answer_tx(target, terminated, &tag, now);
        }
        match (self.owners.remove(&target), session) {
            (Some(Owner::Invited(_)), Some(session)) => {
                self.keep_owed(session);
                self.forget(session);
                self.events.push_back(Event::Cancelled { session, message: cancel });
            }
            (Some(Owner::Reinvited(_)), Some(session)) => {
                if let Some(talk) = self.sessions.get_mut(&session).and_then(Session::talk) {
                    talk.theirs = None;
                    self.events.push_back(Event::ReinviteCancelled { session });
                }
            }
            _ => {}
        }
    }

    /// The ACK of a 2xx; one that matches nothing is counted.
    pub(in crate::sip) fn on_session_ack(&mut self, ack: &Message, now: Instant) {
        let id = ack.to().tag().and_then(|tag| self.by_tag.get(tag)).copied();
        let Some(id) = id else { return self.stats.stray_acks += 1 };
        let Some(Phase::Talking(talk)) = self.sessions.get_mut(&id).map(|session| &mut session.phase) else {
            return self.stats.stray_acks += 1;
        };
        if !talk.dialog.is_of(ack) {
            return self.stats.stray_acks += 1;
        }
        if talk.unacked.take_if(|unacked| unacked.cseq == ack.cseq().number).is_none() {
            return; // repeated
        }
        match talk.leaving.take() {
            Some(headers) => self.end_by_bye(id, &headers, now),
            None => {
                self.rearm(id);
                self.events.push_back(Event::Acked { session: id, sdp: Self::body_of(ack), message: ack.clone() });
            }
        }
    }

    /// Repeats a 2xx, or gives up on its ACK (RFC 3261 13.3.1.4).
    pub(super) fn run_unacked(&mut self, id: SessionId, now: Instant) {
        let t2 = self.config.timers.t2;
        let Some(Phase::Talking(talk)) = self.sessions.get_mut(&id).map(|session| &mut session.phase) else { return };
        let Some(unacked) = &mut talk.unacked else { return };
        if unacked.give_up <= now {
            let was_left = talk.leaving.take();
            self.end_by_bye(id, was_left.as_deref().unwrap_or_default(), now);
            if was_left.is_none() {
                self.events.push_back(Event::Ended { session: id, why: EndReason::AckTimeout });
            }
        } else if unacked.next <= now {
            unacked.interval = (unacked.interval * 2).min(t2);
            unacked.next = now + unacked.interval;
            if unacked.next >= unacked.repeat_until {
                unacked.next = unacked.give_up;
            }
            let (path, response) = (unacked.path, unacked.response.clone());
            self.table.send(path, response);
        }
    }

    /// A response of the session's: Contact, Allow, Supported and Server added.
    pub(super) fn session_response(
        &self,
        request: &Message,
        dialog: &Dialog,
        status: u16,
        reason: Option<&str>,
        headers: &[Header],
    ) -> Builder {
        let mut response = Builder::response_to(request, status, reason, Some(&dialog.local_tag))
            .header(Name::Contact, &dialog.contact);
        response = self.introduce(response, Name::Server);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        response
    }

    /// Answers a server transaction; returns the bytes sent.
    pub(in crate::sip) fn answer_tx(&mut self, tx: u64, response: Builder, tag: &str, now: Instant) -> Option<Bytes> {
        let path = self.table.path(tx)?;
        let response = response.build_message();
        let bytes = Endpoint::finish(&response, path, tag);
        self.table.respond(tx, response.status(), bytes.clone(), now);
        Some(bytes)
    }
}

/// Adds a session description.
pub(super) fn with_sdp(response: Builder, sdp: Option<&[u8]>) -> Builder {
    match sdp {
        Some(sdp) => response.body("application/sdp", sdp),
        None => response,
    }
}
