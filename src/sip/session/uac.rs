//! The caller's side: INVITE, its responses, CANCEL, ACK (RFC 3261 9.1, 13.2).

use std::time::Instant;

use bytes::Bytes;

use super::{Attempt, Calling, Draft, Early, Expiry, Fork, MAX_FORKS, Owner, Phase, Session, Talk};
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::{Endpoint, Event, Header, Hop, OutInvite, SessionId, Transmit};
use crate::sip::message::{Builder, Message, Method, Name};

impl Endpoint {
    pub(in crate::sip) fn open_invite(&mut self, invite: OutInvite, hop: Hop, now: Instant) -> SessionId {
        let (tag, call_id) = (self.token(), self.token());
        let session = self.next_session();
        let draft = Draft::new(invite, hop, tag.clone(), call_id);
        let tx = Some(self.send_draft(session, &draft, now));
        let calling = Calling { tx, early: Vec::new(), draft };
        self.sessions.insert(session, Session::new(&tag, Phase::Calling(Box::new(calling))));
        self.by_tag.insert(tag, session);
        session
    }

    /// Sends an INVITE as it is drafted.
    fn send_draft(&mut self, session: SessionId, draft: &Draft, now: Instant) -> u64 {
        let branch = self.branch();
        let request = self.introduce(draft.open(&branch), Name::UserAgent);
        let request = draft.finish(request).build_message();
        let tx = self.table.open_client(request.clone(), draft.hop.path, now);
        let attempt = Attempt {
            session,
            is_abandoned: false,
            invite: request,
            hop: draft.hop.clone(),
            contact: draft.invite.contact.clone(),
            cancel_wanted: None,
            forks: Vec::new(),
        };
        self.owners.insert(tx, Owner::Attempt(Box::new(attempt)));
        tx
    }

    /// The user answers the challenge to its INVITE (RFC 3261 22.2): the same call, the next CSeq number.
    pub(in crate::sip) fn send_authorized(&mut self, id: SessionId, credentials: &[Header], now: Instant) -> bool {
        let Some(Phase::Calling(calling)) = self.sessions.get_mut(&id).map(|session| &mut session.phase) else {
            return false;
        };
        if calling.tx.is_some() {
            return false;
        }
        let draft = &mut calling.draft;
        draft.credentials = credentials.to_vec();
        self.send_again(id, now);
        true
    }

    /// Sends the INVITE once more, after a refusal that told us how it is wanted.
    fn send_again(&mut self, id: SessionId, now: Instant) {
        let Some(Phase::Calling(calling)) = self.sessions.get_mut(&id).map(|session| &mut session.phase) else {
            return;
        };
        calling.draft.cseq = calling.draft.cseq.saturating_add(1);
        calling.early.clear();
        let draft = calling.draft.clone();
        let tx = self.send_draft(id, &draft, now);
        if let Some(Phase::Calling(calling)) = self.sessions.get_mut(&id).map(|session| &mut session.phase) {
            calling.tx = Some(tx);
        }
    }

    /// A response to our INVITE, already taken by its transaction.
    pub(in crate::sip) fn on_attempt(&mut self, tx: u64, mut attempt: Box<Attempt>, response: Message, now: Instant) {
        match response.status() {
            100..=199 => self.on_provisional(tx, &mut attempt, response, now),
            200..=299 => self.on_success(tx, &mut attempt, &response, now),
            // Its transaction needs no owner any more.
            _ if attempt.is_abandoned => return,
            _ => return self.on_refused(&attempt, response, now),
        }
        self.owners.insert(tx, Owner::Attempt(attempt));
    }

    /// A final response of 300 to 699 to an INVITE that the user has not given up.
    fn on_refused(&mut self, attempt: &Attempt, response: Message, now: Instant) {
        let (session, status) = (attempt.session, response.status());
        if matches!(status, 401 | 407)
            && let Some(Phase::Calling(calling)) = self.sessions.get_mut(&session).map(|session| &mut session.phase)
            && calling.draft.invite.has_account
        {
            calling.tx = None;
            calling.early.clear();
            let request = attempt.invite.clone();
            return self.events.push_back(Event::Challenged { session, message: response, request });
        }
        if status == 422
            && let Some(Phase::Calling(calling)) = self.sessions.get_mut(&session).map(|session| &mut session.phase)
            && calling.draft.raise(&response)
        {
            return self.send_again(session, now);
        }
        self.forget(session);
        self.events.push_back(Event::Refused { session, status, message: Some(response) });
    }

    /// Our INVITE got no answer: 408, or 503 when its flow is gone.
    pub(in crate::sip) fn on_attempt_failed(&mut self, tx: u64, mut attempt: Box<Attempt>, status: u16) {
        if !std::mem::replace(&mut attempt.is_abandoned, true) {
            // A time-out after an answer cannot be: the transaction is not waiting any more.
            self.forget(attempt.session);
            self.events.push_back(Event::Refused { session: attempt.session, status, message: None });
        }
        if self.table.request(tx).is_some() {
            // It still listens for a 2xx that comes too late.
            self.owners.insert(tx, Owner::Attempt(attempt));
        }
    }

    fn on_provisional(&mut self, tx: u64, attempt: &mut Attempt, response: Message, now: Instant) {
        if let Some(headers) = attempt.cancel_wanted.take() {
            self.send_cancel(tx, &attempt.invite.clone(), &headers, now);
        }
        if attempt.is_abandoned || response.status() == 100 {
            return;
        }
        let id = attempt.session;
        let stream = self.table.stream_of(tx);
        let Some(mut session) = self.sessions.remove(&id) else { return };
        let news = match &mut session.phase {
            Phase::Calling(calling) => self.ring(calling, (attempt, stream), &response, now),
            _ => None,
        };
        self.sessions.insert(id, session);
        if let Some((fork, wants_answer)) = news {
            self.events.push_back(Event::Provisional { session: id, fork, wants_answer, message: response });
        }
    }

    /// Takes a provisional into its early dialog: its To tag, and whether the user has to answer its offer. `None`: it is
    /// no news, or there are too many forks.
    fn ring(
        &mut self,
        calling: &mut Calling,
        (attempt, stream): (&Attempt, Option<Hop>),
        response: &Message,
        now: Instant,
    ) -> Option<(String, bool)> {
        let fork = response.to().tag().unwrap_or_default().to_owned();
        if fork.is_empty() {
            return Some((fork, false));
        }
        let early = &mut calling.early;
        let at = match early.iter().position(|early| early.dialog.remote_tag == fork) {
            Some(at) => at,
            None if early.len() < MAX_FORKS => {
                let dialog = dialog_of_caller(attempt, response, stream);
                early.push(Early { dialog, heard: None, is_offered: false, unanswered: None });
                early.len() - 1
            }
            None => return None,
        };
        let early = early.get_mut(at)?;
        let had_offer = early.is_offered;
        if !self.on_reliable(early, response, calling.draft.invite.sdp.is_none(), now) {
            return None;
        }
        early.dialog.refresh_target(response);
        Some((fork, early.is_offered && !had_offer))
    }

    fn on_success(&mut self, tx: u64, attempt: &mut Attempt, response: &Message, now: Instant) {
        attempt.cancel_wanted = None;
        let tag = response.to().tag().unwrap_or_default().to_owned();
        if let Some(fork) = attempt.forks.iter().find(|fork| fork.tag == tag) {
            if let Some(ack) = fork.ack.clone() {
                self.table.send(ack.path, ack.bytes);
            }
            return;
        }
        if attempt.forks.len() >= MAX_FORKS {
            return;
        }
        let mut dialog = dialog_of_caller(attempt, response, self.table.stream_of(tx));
        let is_first = !attempt.is_abandoned && attempt.forks.is_empty();
        if is_first && let Some(session) = self.sessions.get_mut(&attempt.session) {
            if let Phase::Calling(calling) = &mut session.phase
                && let Some(known) =
                    calling.early.iter().map(|early| &early.dialog).find(|known| known.remote_tag == tag)
            {
                dialog.local_seq = dialog.local_seq.max(known.local_seq);
                dialog.remote_seq = known.remote_seq;
                dialog.hop.path = known.hop.path;
            }
            let mut talk = Talk::new(dialog);
            talk.to_ack = Some((tx, attempt.invite.cseq().number));
            talk.learn(response);
            let mut asked = None;
            if let Phase::Calling(calling) = &mut session.phase {
                asked = calling.draft.invite.session_expires;
                talk.sdp = calling.draft.invite.sdp.take();
            }
            talk.expiry = Expiry::agreed(asked, response, now);
            session.phase = Phase::Talking(Box::new(talk));
            attempt.forks.push(Fork { tag: tag.clone(), ack: None });
            let (session, message) = (attempt.session, response.clone());
            self.events.push_back(Event::Answered { session, fork: tag, message });
            self.rearm(session);
            return;
        }
        // Nobody wants this one: a late answer after a CANCEL, or a second fork (RFC 3261 13.2.2.4).
        let ack = self.ack_of(&dialog, attempt.invite.cseq().number, &credentials(&attempt.invite), None);
        self.table.send(ack.path, ack.bytes.clone());
        attempt.forks.push(Fork { tag, ack: Some(ack) });
        self.send_bye(&mut dialog, &[], now);
    }

    /// Writes the ACK of a 2xx; it has the credentials of its INVITE (RFC 3261 22.1).
    pub(in crate::sip) fn ack_of(
        &mut self,
        dialog: &Dialog,
        cseq: u32,
        credentials: &[Header],
        sdp: Option<&[u8]>,
    ) -> Transmit {
        let branch = self.branch();
        let mut ack = dialog.request_with_seq(&Method::Ack, cseq, &branch);
        ack = ack.header(Name::Contact, &dialog.contact);
        for (name, value) in credentials {
            ack = ack.header(name, value);
        }
        if let Some(sdp) = sdp {
            ack = ack.body("application/sdp", sdp);
        }
        Transmit { path: dialog.next_path(), bytes: ack.build() }
    }

    /// The user acknowledges the 2xx of its INVITE or re-INVITE.
    pub(in crate::sip) fn acknowledge(&mut self, id: SessionId, sdp: Option<&[u8]>) {
        let Some(Phase::Talking(talk)) = self.sessions.get_mut(&id).map(|session| &mut session.phase) else { return };
        let Some((tx, cseq)) = talk.to_ack.take() else { return };
        if let Some(sdp) = sdp {
            talk.sdp = Some(sdp.to_vec());
        }
        let dialog = talk.dialog.clone();
        let credentials = match self.owners.get(&tx) {
            Some(Owner::Attempt(attempt)) => credentials(&attempt.invite),
            // Also when the transaction has ended (64 × T1): nobody repeats the 2xx any more, but the peer still waits.
            _ => Vec::new(),
        };
        let ack = self.ack_of(&dialog, cseq, &credentials, sdp);
        self.table.send(ack.path, ack.bytes.clone());
        match self.owners.get_mut(&tx) {
            Some(Owner::Attempt(attempt)) => {
                if let Some(fork) = attempt.forks.iter_mut().find(|fork| fork.tag == dialog.remote_tag) {
                    fork.ack = Some(ack);
                }
            }
            Some(Owner::Reinvite(reinvite)) => reinvite.ack = Some(ack),
            _ => {}
        }
    }

    /// The user gives up its INVITE: CANCEL at once after a provisional, later before one (RFC 3261 9.1).
    pub(in crate::sip) fn abandon(&mut self, tx: u64, headers: &[Header], now: Instant) {
        let is_proceeding = self.table.is_proceeding(tx);
        let Some(Owner::Attempt(attempt)) = self.owners.get_mut(&tx) else { return };
        attempt.is_abandoned = true;
        if is_proceeding {
            let invite = attempt.invite.clone();
            self.send_cancel(tx, &invite, headers, now);
        } else {
            attempt.cancel_wanted = Some(headers.to_vec());
        }
    }

    /// CANCEL has the INVITE's own branch, Request-URI, To, From and Route (RFC 3261 9.1).
    fn send_cancel(&mut self, tx: u64, invite: &Message, headers: &[Header], now: Instant) {
        let Some(path) = self.table.path(tx) else { return };
        // Its Via is that of the INVITE as it was sent, which may have been too large for a datagram.
        let sent = self.table.request(tx).cloned();
        let invite = sent.as_ref().unwrap_or(invite);
        let mut cancel = Builder::request(&Method::Cancel, invite.request_uri());
        for name in [Name::Via, Name::Route, Name::From, Name::To, Name::CallId] {
            for value in invite.fields(name) {
                cancel = cancel.header(name, value);
            }
        }
        cancel = cancel.header(Name::CSeq, format!("{} CANCEL", invite.cseq().number)).header(Name::MaxForwards, "70");
        for (name, value) in headers {
            cancel = cancel.header(name, value);
        }
        let id = self.table.open_client(cancel.build_message(), path, now);
        self.owners.insert(id, Owner::Nobody);
        self.table.cancelled(tx, now);
    }

    /// Sends a BYE whose outcome nobody waits for.
    pub(in crate::sip) fn send_bye(&mut self, dialog: &mut Dialog, headers: &[Header], now: Instant) {
        let branch = self.branch();
        let mut bye = self.introduce(dialog.request(&Method::Bye, &branch), Name::UserAgent);
        for (name, value) in headers {
            bye = bye.header(name, value);
        }
        let id = self.table.open_client(bye.build_message(), dialog.next_path(), now);
        self.owners.insert(id, Owner::Nobody);
    }

    /// An SDP, when a message carries a body.
    pub(in crate::sip) fn body_of(message: &Message) -> Option<Bytes> {
        Some(message.body_bytes()).filter(|body| !body.is_empty())
    }
}

/// The answers to challenges that a request carries.
fn credentials(request: &Message) -> Vec<Header> {
    let names = [Name::Authorization, Name::ProxyAuthorization];
    let of = |name: Name| request.fields(name).map(move |value| (name.as_str().to_owned(), value.to_vec()));
    names.into_iter().flat_map(of).collect()
}

/// A dialog goes on by the stream of an INVITE that was too large for a datagram where the peer says that it is reached
/// by one.
fn dialog_of_caller(attempt: &Attempt, response: &Message, stream: Option<Hop>) -> Dialog {
    let mut dialog = Dialog::of_caller(&attempt.invite, response, &attempt.contact, &attempt.hop);
    if let Some(hop) = stream.filter(|_| dialog.is_by_stream()) {
        dialog.hop = hop;
    }
    dialog
}
