//! Requests in a dialog that are challenged (RFC 3261 22.2): they go out once more, with credentials, if the user has some.
//!
//! The INVITE that opens a dialog, and a re-INVITE of the user's, have ways of their own; a re-INVITE that only refreshes
//! has not, for nobody but us waits for it. We do not answer a second challenge of the same request.

use std::time::Instant;

use bytes::Bytes;

use super::{Endpoint, Event, Header, Owner, Unproved};
use crate::path::Path;
use crate::sip::message::{Message, Method, Name};
use crate::sip::session::{Reinvite, Session, Unproved as Challenged, Wish};

impl Endpoint {
    /// Answers [`Event::Unproved`]: the request goes out again with these credentials; without any, or where its session has
    /// ended meanwhile, the challenge is a refusal like others.
    pub fn prove(&mut self, asked: Unproved, credentials: Option<Header>, now: Instant) {
        let Some(Owner::Unproved(challenged)) = self.owners.remove(&asked.tx) else { return };
        let Challenged { first, owner, request } = *challenged;
        let Some(request) = request else { return self.renew(owner, asked, credentials, now) };
        let again = credentials.and_then(|header| Some((header, self.next_number(&request)?)));
        let sent = again.and_then(|(header, number)| {
            let branch = self.branch();
            Some((rewritten(&request, &branch, number, &header)?, number))
        });
        match sent {
            Some((request, number)) => {
                let owner = match owner {
                    Owner::Refer(session, id) => {
                        self.refer_renamed(session, id, number);
                        Owner::Refer(session, number)
                    }
                    owner => owner,
                };
                let tx = self.table.open_client(request, asked.path, now);
                self.owners.insert(tx, Owner::Again { first, owner: Box::new(owner) });
            }
            None => {
                self.owners.insert(asked.tx, Owner::Again { first, owner: Box::new(owner) });
                self.deliver(asked.tx, asked.message, now);
                self.owners.remove(&asked.tx);
            }
        }
    }

    /// A refresh by re-INVITE goes out again.
    fn renew(&mut self, owner: Owner, asked: Unproved, credentials: Option<Header>, now: Instant) {
        let Owner::Refresh(id) = owner else { return };
        let talk = self.sessions.get_mut(&id).and_then(Session::talk).filter(|talk| !talk.is_busy());
        match credentials.zip(talk.map(|talk| talk.sdp.clone())) {
            Some((header, sdp)) => {
                let wish = Wish { sdp, headers: vec![header], refused: 0, is_refresh: true };
                self.send_reinvite(id, wish, now);
            }
            None => {
                self.on_refresh_failed(id, asked.message.status(), Some(&asked.message), now);
                self.send_queued(id, now);
            }
        }
    }

    /// Returns the request that this response challenges, and where it went, if it is one to be asked about.
    pub(super) fn challenged(&self, tx: u64, response: &Message) -> Option<(Message, Path)> {
        if !self.config.answers_challenges || !matches!(response.status(), 401 | 407) {
            return None;
        }
        let request = self.table.request(tx)?;
        let has_proof = [Name::Authorization, Name::ProxyAuthorization].iter().any(|n| request.header(*n).is_some());
        let is_ours = request.method_ref() != &Method::Invite && request.to().tag().is_some() && !has_proof;
        Some((request.clone(), self.table.path(tx)?)).filter(|_| is_ours)
    }

    pub(super) fn ask_for_proof(&mut self, tx: u64, request: Message, path: Path, message: Message) {
        let (first, owner) = match self.owners.remove(&tx) {
            Some(Owner::Again { first, owner }) => (first, *owner),
            Some(owner) => (tx, owner),
            None => return,
        };
        let (method, uri) = (request.method(), request.request_uri().to_owned());
        self.ask(Challenged { first, owner, request: Some(request) }, path, method, uri, message);
    }

    /// A re-INVITE that only refreshes was refused: true where that is a challenge, and the user is asked.
    pub(in crate::sip) fn ask_for_refresh(&mut self, reinvite: &Reinvite, refusal: Option<&Message>) -> bool {
        let challenge = refusal.filter(|refusal| matches!(refusal.status(), 401 | 407));
        let is_first = self.config.answers_challenges && reinvite.wish.headers.is_empty();
        let Some(message) = challenge.filter(|_| is_first).cloned() else { return false };
        let (path, uri) = (reinvite.dialog.next_path(), reinvite.dialog.request_uri().to_owned());
        let challenged = Challenged { first: 0, owner: Owner::Refresh(reinvite.session), request: None };
        self.ask(challenged, path, Method::Invite, uri, message);
        true
    }

    fn ask(&mut self, challenged: Challenged, path: Path, method: Method, uri: String, message: Message) {
        let tx = self.table.skip();
        self.owners.insert(tx, Owner::Unproved(Box::new(challenged)));
        self.events.push_back(Event::Unproved(Unproved { tx, path, method, uri, message }));
    }

    /// Returns the CSeq number of a request that is sent again; `None`: its session is over. A BYE is the last one anyway.
    fn next_number(&mut self, request: &Message) -> Option<u32> {
        if request.method_ref() == &Method::Bye {
            return request.cseq().number.checked_add(1);
        }
        let id = *self.by_tag.get(request.from().tag()?)?;
        let session = self.sessions.get_mut(&id).filter(|session| !session.has_left())?;
        let dialog = session.dialog_to(request.call_id(), request.to().tag()?)?;
        dialog.local_seq = dialog.local_seq.saturating_add(1);
        Some(dialog.local_seq)
    }
}

/// Writes a request again: another branch, the next number, credentials behind it.
fn rewritten(request: &Message, branch: &str, number: u32, (name, value): &Header) -> Option<Message> {
    let raw = request.raw();
    let place = |part: &[u8]| {
        let at = (part.as_ptr() as usize).checked_sub(raw.as_ptr() as usize)?;
        (raw.get(at..at.checked_add(part.len())?)? == part).then_some((at, at + part.len()))
    };
    let via = request.fields(Name::Via).next()?;
    let old = request.via().branch()?.to_owned();
    let via_new = String::from_utf8_lossy(via).replacen(&old, branch, 1).into_bytes();
    let cseq = request.header(Name::CSeq)?;
    let mut cseq_new = format!("{number} {}\r\n{name}: ", request.method()).into_bytes();
    cseq_new.extend_from_slice(value);
    let mut edits = [(place(via)?, via_new), (place(cseq)?, cseq_new)];
    edits.sort_unstable_by_key(|((at, _), _)| *at);
    let mut out = Vec::with_capacity(raw.len() + value.len() + 64);
    let mut from = 0;
    for ((at, end), text) in &edits {
        out.extend_from_slice(raw.get(from..*at)?);
        out.extend_from_slice(text);
        from = *end;
    }
    out.extend_from_slice(raw.get(from..)?);
    Message::parse(Bytes::from(out)).ok()
}
