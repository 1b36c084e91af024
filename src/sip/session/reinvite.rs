//! Re-INVITEs of both sides and their glare (RFC 3261 14).

use std::time::{Duration, Instant};

use rand::RngExt;

use super::{Expiry, Ours, Owner, Phase, Reinvite, Session, Wish};
use crate::path::Path;
use crate::sip::endpoint::{EndReason, Endpoint, Event, Header, Pending, SessionId};
use crate::sip::message::{Builder, Message, Method, Name};

/// How many times a re-INVITE is sent before 491 is the user's.
const MAX_ATTEMPTS: u8 = 5;

impl Endpoint {
    pub(in crate::sip) fn open_reinvite(
        &mut self,
        id: SessionId,
        sdp: Option<&[u8]>,
        headers: &[Header],
        now: Instant,
    ) -> Result<(), Pending> {
        let talk = self.sessions.get_mut(&id).and_then(Session::talk).ok_or(Pending)?;
        let is_busy = talk.is_busy();
        let wish = Wish { sdp: sdp.map(<[u8]>::to_vec), headers: headers.to_vec(), refused: 0, is_refresh: false };
        if is_busy {
            return if self.queue_wish(id, wish) { Ok(()) } else { Err(Pending) };
        }
        if self.is_full() {
            self.events.push_back(Event::ReinviteRefused { session: id, status: 503, message: None });
            return Ok(());
        }
        self.send_reinvite(id, wish, now);
        Ok(())
    }

    pub(in crate::sip) fn send_reinvite(&mut self, id: SessionId, wish: Wish, now: Instant) {
        let branch = self.branch();
        let Some(talk) = self.sessions.get_mut(&id).and_then(Session::talk) else { return };
        let mut request = talk.dialog.request(&Method::Invite, &branch);
        let dialog = talk.dialog.clone();
        let timer = talk.expiry.map(|expiry| expiry.request_headers()).unwrap_or_default();
        request = request.header(Name::Contact, &dialog.contact);
        request = self.introduce(request, Name::UserAgent);
        for (name, value) in timer.iter().chain(&wish.headers) {
            request = request.header(name, value);
        }
        if let Some(sdp) = &wish.sdp {
            request = request.body("application/sdp", sdp);
        }
        let tx = self.table.open_client(request.build_message(), dialog.next_path(), now);
        let cseq = dialog.local_seq;
        let owner = Reinvite { session: id, cseq, wish, is_answered: false, ack: None, dialog };
        self.owners.insert(tx, Owner::Reinvite(Box::new(owner)));
        if let Some(talk) = self.sessions.get_mut(&id).and_then(Session::talk) {
            talk.ours = Ours::Open(tx);
        }
        self.rearm(id);
    }

    /// A response to our re-INVITE, already taken by its transaction.
    pub(in crate::sip) fn on_reinvite_response(
        &mut self,
        tx: u64,
        mut reinvite: Box<Reinvite>,
        response: Message,
        now: Instant,
    ) {
        match response.status() {
            100..=199 if self.sessions.contains_key(&reinvite.session) => {}
            100..=199 => self.table.cancelled(tx, now), // nobody waits for it any more
            200..=299 => self.on_reinvite_success(tx, &mut reinvite, response, now),
            status => return self.on_reinvite_failed(tx, &reinvite, status, Some(response), now),
        }
        self.owners.insert(tx, Owner::Reinvite(reinvite));
    }

    fn on_reinvite_success(&mut self, tx: u64, reinvite: &mut Reinvite, response: Message, now: Instant) {
        if reinvite.is_answered {
            if let Some(ack) = reinvite.ack.clone() {
                self.table.send(ack.path, ack.bytes);
            }
            return;
        }
        reinvite.is_answered = true;
        let session = reinvite.session;
        match self.sessions.get_mut(&session).and_then(Session::talk) {
            Some(talk) if matches!(talk.ours, Ours::Open(open) if open == tx) => {
                talk.ours = Ours::None;
                talk.dialog.refresh_target(&response);
                talk.learn(&response);
                match &mut talk.expiry {
                    Some(expiry) => expiry.confirm(&response, now),
                    None => talk.expiry = Expiry::agreed(None, &response, now),
                }
                if !reinvite.wish.is_refresh {
                    talk.to_ack = Some((tx, reinvite.cseq));
                    talk.sdp = reinvite.wish.sdp.clone().or(talk.sdp.take());
                    self.events.push_back(Event::ReinviteAnswered { session, message: response });
                    return self.rearm(session);
                }
                let dialog = talk.dialog.clone();
                let ack = self.ack_of(&dialog, reinvite.cseq, &[], None);
                self.table.send(ack.path, ack.bytes.clone());
                reinvite.ack = Some(ack);
                self.events.push_back(Event::Refreshed { session, message: response });
                self.rearm(session);
                self.send_queued(session, now);
            }
            _ => {
                // The session ended meanwhile: the peer's 2xx is acknowledged all the same.
                let ack = self.ack_of(&reinvite.dialog.clone(), reinvite.cseq, &[], None);
                self.table.send(ack.path, ack.bytes.clone());
                reinvite.ack = Some(ack);
            }
        }
    }

    /// Our re-INVITE was refused, or got no answer (408, 503).
    pub(in crate::sip) fn on_reinvite_failed(
        &mut self,
        tx: u64,
        reinvite: &Reinvite,
        status: u16,
        message: Option<Message>,
        now: Instant,
    ) {
        let id = reinvite.session;
        let backoff = self.backoff(reinvite.dialog.is_caller);
        let Some(talk) = self.sessions.get_mut(&id).and_then(Session::talk) else { return };
        if !matches!(talk.ours, Ours::Open(open) if open == tx) {
            return;
        }
        talk.ours = Ours::None;
        if reinvite.wish.is_refresh {
            if self.ask_for_refresh(reinvite, message.as_ref()) {
                return;
            }
            self.on_refresh_failed(id, status, message.as_ref(), now);
            return self.send_queued(id, now);
        }
        match status {
            422 if message
                .as_ref()
                .zip(talk.expiry.as_mut())
                .is_some_and(|(message, expiry)| expiry.raise(message)) =>
            {
                self.send_reinvite(id, reinvite.wish.clone(), now);
            }
            491 if reinvite.wish.refused + 1 < MAX_ATTEMPTS && talk.theirs.is_none() => {
                let mut wish = reinvite.wish.clone();
                wish.refused += 1;
                talk.ours = Ours::Backoff { until: now + backoff, wish };
                self.rearm(id);
            }
            481 | 408 => {
                self.end_by_bye(id, &[], now);
                self.events.push_back(Event::Ended { session: id, why: EndReason::Gone });
            }
            _ => self.events.push_back(Event::ReinviteRefused { session: id, status, message }),
        }
    }

    /// 2.1 to 4 s for the owner of the Call-ID, 0 to 2 s for the other, in steps of 10 ms (RFC 3261 14.1).
    pub(super) fn backoff(&mut self, is_caller: bool) -> Duration {
        let steps: u64 = if is_caller { self.rng.random_range(210..=400) } else { self.rng.random_range(0..=200) };
        Duration::from_millis(steps * 10)
    }

    /// The back-off is over.
    pub(super) fn run_backoff(&mut self, id: SessionId, now: Instant) {
        let Some(talk) = self.sessions.get_mut(&id).and_then(Session::talk) else { return };
        match std::mem::take(&mut talk.ours) {
            Ours::Backoff { until, wish } if until <= now && talk.unacked.is_some() => {
                talk.ours = Ours::Backoff { until: now + Duration::from_millis(500), wish };
            }
            Ours::Backoff { until, wish } if until <= now => self.send_reinvite(id, wish, now),
            other => talk.ours = other,
        }
    }

    /// A re-INVITE of the peer's, its CSeq taken.
    pub(super) fn on_reinvite(&mut self, id: SessionId, tx: u64, path: Path, message: Message, now: Instant) {
        let retry_after = self.rng.random_range(0..=10u32);
        if self.sessions.get(&id).is_some_and(|session| matches!(session.phase, Phase::Calling(_))) {
            // Our own INVITE is still under way (RFC 3261 14.2).
            return self.refuse_tx(tx, &message, 491, &[], now);
        }
        let Some(talk) = self.sessions.get_mut(&id).and_then(Session::talk) else {
            // Its first INVITE is not answered yet, or its BYE is only waiting for an ACK.
            let retry = [("Retry-After".to_owned(), retry_after.to_string().into_bytes())];
            return self.refuse_tx(tx, &message, 500, &retry, now);
        };
        if talk.theirs.is_some() {
            let retry = [("Retry-After".to_owned(), retry_after.to_string().into_bytes())];
            return self.refuse_tx(tx, &message, 500, &retry, now);
        }
        if matches!(talk.ours, Ours::Open(_)) || talk.to_ack.is_some() || talk.unacked.is_some() {
            return self.refuse_tx(tx, &message, 491, &[], now);
        }
        talk.theirs = Some(tx);
        talk.learn(&message);
        let gave_way = matches!(talk.ours, Ours::Backoff { .. });
        if gave_way {
            // What we wanted to say was written before the peer's offer: the user may ask again.
            talk.ours = Ours::None;
            self.events.push_back(Event::ReinviteRefused { session: id, status: 491, message: None });
        }
        self.rearm(id);
        self.owners.insert(tx, Owner::Reinvited(id));
        self.events.push_back(Event::Reinvited { session: id, message, path });
    }

    pub(in crate::sip) fn send_reinvite_answer(&mut self, id: SessionId, sdp: &[u8], headers: &[Header], now: Instant) {
        let Some(mut session) = self.sessions.remove(&id) else { return };
        if let Some(talk) = session.talk()
            && let Some(tx) = talk.theirs.take()
            && let Some(invite) = self.table.request(tx).cloned()
        {
            talk.expiry = Expiry::of(&invite, now);
            talk.sdp = Some(sdp.to_vec());
            // A target holds once its request is accepted (RFC 6141 4).
            talk.dialog.refresh_target(&invite);
            self.accept(talk, tx, &invite, Some(sdp), headers, now);
        }
        self.sessions.insert(id, session);
        self.rearm(id);
    }

    pub(in crate::sip) fn send_reinvite_refusal(
        &mut self,
        id: SessionId,
        status: u16,
        reason: Option<&str>,
        headers: &[Header],
        now: Instant,
    ) {
        let Some(talk) = self.sessions.get_mut(&id).and_then(Session::talk) else { return };
        let Some(tx) = talk.theirs.take() else { return };
        let Some(invite) = self.table.request(tx).cloned() else { return };
        let mut response = Builder::response_to(&invite, status.clamp(300, 699), reason, None);
        response = self.introduce(response, Name::Server);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        self.owners.insert(tx, Owner::Nobody);
        self.answer_tx(tx, response, "", now);
    }
}
