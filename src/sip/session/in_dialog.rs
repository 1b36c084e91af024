//! Requests inside the dialog: BYE, UPDATE, and all that is passed to the user; the session's timers; its end.

use std::time::Instant;

use super::{Expiry, Ours, Owner, Phase, Session, is_too_short, min_se};
use crate::id::FlowId;
use crate::path::Path;
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::{ClientTx, EndReason, Endpoint, Event, Header, ServerTx, SessionId};
use crate::sip::message::{Builder, Message, Method, Name};

impl Endpoint {
    /// A request with a To tag, neither ACK nor CANCEL nor a retransmission.
    pub(in crate::sip) fn on_in_dialog(&mut self, path: Path, message: Message, now: Instant) {
        let id = message.to().tag().and_then(|tag| self.by_tag.get(tag)).copied();
        let session = id.and_then(|id| Some((id, self.sessions.get_mut(&id)?)));
        let Some((id, dialog)) = session.and_then(|(id, session)| Some((id, session.dialog_of(&message)?))) else {
            if self.admit(&path, &message, now)
                && !(message.method_ref() == &Method::Prack && self.on_late_prack(path, &message, now))
            {
                self.refuse(path, &message, 481, &[]);
            }
            return;
        };
        let in_order = dialog.accept_seq(message.cseq().number);
        let tx = self.open_server(path, &message, now);
        if !in_order {
            return self.refuse_tx(tx, &message, 500, &[], now);
        }
        if let Some(unsupported) = self.unsupported(&path, &message) {
            return self.refuse_tx(tx, &message, 420, &[unsupported], now);
        }
        match message.method() {
            Method::Bye => self.on_bye(id, tx, message, now),
            Method::Invite => match is_too_short(&message) {
                true => self.refuse_tx(tx, &message, 422, &[min_se()], now),
                false => self.on_reinvite(id, tx, path, message, now),
            },
            Method::Update => self.on_update(id, tx, path, message, now),
            Method::Notify => self.on_notify(id, tx, path, message, now),
            Method::Refer => self.hand_over(id, tx, Owner::Referred(id), path, message, now),
            Method::Prack => self.on_prack(id, tx, path, message, now),
            Method::Register | Method::Publish => {
                let allow = self.allow();
                self.refuse_tx(tx, &message, 405, &[allow], now);
            }
            Method::Other(_) => {
                let allow = self.allow();
                self.refuse_tx(tx, &message, 501, &[allow], now);
            }
            _ => self.hand_over(id, tx, Owner::Asked { tag: String::new() }, path, message, now),
        }
    }

    /// Gives a request to the user, unless the user has left.
    pub(super) fn hand_over(
        &mut self,
        id: SessionId,
        tx: u64,
        owner: Owner,
        path: Path,
        message: Message,
        now: Instant,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let has_left = matches!(&session.phase, Phase::Talking(talk) if talk.leaving.is_some());
        if has_left {
            let response = Builder::response_to(&message, 481, None, None);
            self.answer_tx(tx, response, "", now);
            return;
        }
        self.owners.insert(tx, owner);
        self.events.push_back(Event::InDialog { session: id, tx: ServerTx(tx), message, path });
    }

    fn on_bye(&mut self, id: SessionId, tx: u64, bye: Message, now: Instant) {
        let response = self.introduce(Builder::response_to(&bye, 200, None, None), Name::Server);
        self.answer_tx(tx, response, "", now);
        let has_left = matches!(
            self.sessions.get(&id).map(|session| &session.phase),
            Some(Phase::Talking(talk)) if talk.leaving.is_some()
        );
        self.close_invites(id, &[], now);
        self.forget(id);
        if !has_left {
            self.events.push_back(Event::Ended { session: id, why: EndReason::Bye(bye) });
        }
    }

    /// Answers or gives up whatever INVITE of the session is open.
    fn close_invites(&mut self, id: SessionId, headers: &[Header], now: Instant) {
        let Some(session) = self.sessions.get(&id) else { return };
        let (theirs, tag) = match &session.phase {
            Phase::Calling(calling) => {
                if let Some(tx) = calling.tx {
                    self.abandon(tx, headers, now);
                }
                return;
            }
            Phase::Ringing(ringing) => (Some(ringing.tx), ringing.dialog.local_tag.clone()),
            Phase::Talking(talk) => {
                if let super::Ours::Open(tx) = talk.ours {
                    self.table.cancelled(tx, now); // a peer that said 1xx may never say more
                }
                (talk.theirs, talk.dialog.local_tag.clone())
            }
        };
        let Some(tx) = theirs else { return };
        if let Some(invite) = self.table.request(tx).cloned() {
            self.answer_tx(tx, Builder::response_to(&invite, 487, None, Some(&tag)), &tag, now);
        }
        self.owners.insert(tx, Owner::Nobody);
    }

    /// UPDATE without SDP is ours to answer, whoever asked for it or not (RFC 3311, RFC 4028); with SDP it is the user's.
    fn on_update(&mut self, id: SessionId, tx: u64, path: Path, message: Message, now: Instant) {
        if is_too_short(&message) {
            return self.refuse_tx(tx, &message, 422, &[min_se()], now);
        }
        if let Some(talk) = self.sessions.get_mut(&id).and_then(Session::talk) {
            talk.allows_update = true;
        }
        if !message.body().is_empty() {
            if let Some((status, headers)) = self.glare(id) {
                return self.refuse_tx(tx, &message, status, &headers, now);
            }
            return self.hand_over(id, tx, Owner::Updated(id), path, message, now);
        }
        let Some((dialog, headers)) = self.take_update(id, &message, now) else { return };
        let response = self.session_response(&message, &dialog, 200, None, &headers);
        self.answer_tx(tx, response, &dialog.local_tag, now);
        self.events.push_back(Event::Updated { session: id, message });
    }

    /// What an UPDATE with an offer gets while another offer is open (RFC 3311 5.2).
    fn glare(&mut self, id: SessionId) -> Option<(u16, Vec<Header>)> {
        let retry_after = self.rng_below(11);
        let talk = self.sessions.get_mut(&id).and_then(Session::talk)?;
        if talk.theirs.is_some() {
            return Some((500, vec![("Retry-After".to_owned(), retry_after.to_string().into_bytes())]));
        }
        matches!(talk.ours, Ours::Open(_)).then(|| (491, Vec::new()))
    }

    /// An UPDATE is accepted: its target and its session timer hold (RFC 6141 4, RFC 4028 9). Returns the dialog, and the
    /// headers of the timer.
    fn take_update(&mut self, id: SessionId, update: &Message, now: Instant) -> Option<(Dialog, Vec<Header>)> {
        let timer = Expiry::of(update, now);
        let session = self.sessions.get_mut(&id)?;
        if let Phase::Talking(talk) = &mut session.phase {
            talk.expiry = timer; // none asked for: it is switched off (RFC 4028 7.2)
        }
        let dialog = session.dialog_of(update)?;
        dialog.refresh_target(update);
        let dialog = dialog.clone();
        self.rearm(id);
        Some((dialog, timer.map(|timer| timer.answer_headers()).unwrap_or_default()))
    }

    /// The user answers an UPDATE: a 2xx gets our Contact (RFC 3311 5.2) and the session timer.
    pub(in crate::sip) fn answer_update(&mut self, id: SessionId, tx: u64, response: Builder, now: Instant) {
        let mut response = response;
        let said = response.content().to_vec();
        if (200..300).contains(&response.status())
            && let Some(update) = self.table.request(tx).cloned()
            && let Some((dialog, headers)) = self.take_update(id, &update, now)
        {
            response = response.header(Name::Contact, &dialog.contact);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            if let Some(talk) = self.sessions.get_mut(&id).and_then(Session::talk).filter(|_| !said.is_empty()) {
                talk.sdp = Some(said);
            }
        }
        self.owners.insert(tx, Owner::Nobody);
        self.answer_tx(tx, response, "", now);
    }

    pub(in crate::sip) fn send_in_dialog(
        &mut self,
        id: SessionId,
        method: Method,
        headers: &[Header],
        body: Option<(&str, &[u8])>,
        now: Instant,
    ) -> Option<ClientTx> {
        if matches!(method, Method::Invite | Method::Ack | Method::Cancel | Method::Bye) {
            return None;
        }
        let branch = self.branch();
        let session = self.sessions.get_mut(&id)?;
        if matches!(&session.phase, Phase::Talking(talk) if talk.leaving.is_some()) {
            return None;
        }
        let dialog = session.dialog()?;
        let mut request = dialog.request(&method, &branch);
        let (contact, path) = (dialog.contact.clone(), dialog.next_path());
        if matches!(method, Method::Update | Method::Refer | Method::Subscribe | Method::Notify) {
            request = request.header(Name::Contact, contact);
        }
        request = self.introduce(request, Name::UserAgent);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some((content_type, body)) = body {
            request = request.body(content_type, body);
        }
        let tx = self.table.open_client(request.build_message(), path, now);
        self.owners.insert(tx, Owner::User);
        Some(ClientTx(tx))
    }

    /// The user ends the session, in whatever state it is.
    pub(in crate::sip) fn leave(&mut self, id: SessionId, headers: &[Header], now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match &mut session.phase {
            Phase::Calling(calling) => {
                if let Some(tx) = calling.tx {
                    self.abandon(tx, headers, now);
                }
                self.forget(id);
            }
            Phase::Ringing(_) => self.send_refusal(id, 487, None, headers, now),
            Phase::Talking(talk) if talk.leaving.is_some() => {}
            Phase::Talking(talk) => {
                if talk.to_ack.is_some() {
                    self.acknowledge(id, None);
                } else if talk.unacked.as_ref().is_some_and(|unacked| unacked.is_first) {
                    // A callee may not send BYE before the ACK of its first 2xx (RFC 3261 15).
                    talk.leaving = Some(headers.to_vec());
                    talk.expiry = None;
                    return;
                }
                self.end_by_bye(id, headers, now);
            }
        }
    }

    /// Sends BYE and lets go of the session.
    pub(super) fn end_by_bye(&mut self, id: SessionId, headers: &[Header], now: Instant) {
        self.close_invites(id, &[], now);
        if let Some(Session { phase: Phase::Talking(talk), .. }) = self.forget(id) {
            let mut dialog = talk.dialog;
            self.send_bye(&mut dialog, headers, now);
        }
    }

    /// Runs what is due of a session.
    pub(in crate::sip) fn run_session(&mut self, id: SessionId, now: Instant) {
        self.run_ringing(id, now);
        self.run_reliable(id, now);
        self.run_unacked(id, now);
        self.run_backoff(id, now);
        self.run_expiry(id, now);
        self.run_refers(id, now);
        self.rearm(id);
    }

    /// Sessions whose requests went down this flow.
    pub(in crate::sip) fn on_flow_lost(&mut self, flow: FlowId) {
        let mut lost: Vec<SessionId> = Vec::new();
        for (id, session) in &mut self.sessions {
            let has_left = matches!(&session.phase, Phase::Talking(talk) if talk.leaving.is_some());
            let is_calling = matches!(session.phase, Phase::Calling(_));
            let on_flow = session.dialog().is_some_and(|dialog| dialog.hop.path.flow() == Some(flow));
            if on_flow && !has_left && !is_calling {
                lost.push(*id);
            }
        }
        self.events.extend(lost.into_iter().map(|session| Event::FlowLost { session }));
    }
}
