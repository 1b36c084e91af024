//! Where a message goes: to its transaction, its session, the user, or back with a refusal (RFC 3261 8.2, 16.3, 18).

use std::time::Instant;

use bytes::Bytes;

use super::{ClientTx, Endpoint, Event, FailReason, Header, Owner, ServerTx, reply};
use crate::path::{Path, Transport};
use crate::sip::message::{Builder, Message, Method, Name};
use crate::sip::session::{is_too_short, min_se};

impl Endpoint {
    pub(super) fn receive(&mut self, path: Path, transport: Transport, raw: Bytes, now: Instant) {
        let message = match Message::parse(raw) {
            Ok(message) => message,
            Err(malformed) => {
                self.stats.malformed += 1;
                if let Some(reply) = malformed.response()
                    && self.limiter.admit(&path, now)
                {
                    self.table.send(path, reply);
                }
                return;
            }
        };
        if !message.is_request() {
            return self.on_response(message, now);
        }
        let known = self.table.find_server(&message);
        match (message.method(), known) {
            (Method::Ack, Some(tx)) if self.table.on_ack(tx, now) => self.on_session_ack(&message, now),
            // The ACK of a refusal, or of nothing that was answered yet.
            (Method::Ack, Some(_)) => {}
            (Method::Ack, None) => self.on_session_ack(&message, now),
            (_, Some(tx)) => self.table.on_retransmission(tx),
            (method, None) => self.on_new_request(path, transport, method, message, now),
        }
    }

    fn on_new_request(&mut self, path: Path, transport: Transport, method: Method, message: Message, now: Instant) {
        let in_dialog = message.to().tag().is_some();
        let belongs = in_dialog || method == Method::Cancel;
        if !belongs && !self.admit(&path, &message, now) {
            return;
        }
        let room = self.config.max_transactions + if in_dialog { self.config.max_transactions / 8 } else { 0 };
        if self.table.len() >= room {
            self.stats.overloaded += 1;
            if !belongs || self.admit(&path, &message, now) {
                self.refuse(path, &message, 503, &[retry_after(5)]);
            }
            return;
        }
        if method == Method::Cancel {
            return self.on_cancel(path, message, now);
        }
        if in_dialog {
            return self.on_in_dialog(path, message, now);
        }
        if !self.limiter.is_known(&path) {
            self.stats.strangers += 1;
            return self.refuse(path, &message, 403, &[]);
        }
        if self.table.is_merged(&message) {
            return self.refuse(path, &message, 482, &[]);
        }
        if method != Method::Options && message.number(Name::MaxForwards) == Some(0) {
            return self.refuse(path, &message, 483, &[]);
        }
        if let Some(unsupported) = self.unsupported(&path, &message) {
            return self.refuse(path, &message, 420, &[unsupported]);
        }
        match method {
            Method::Invite => self.on_new_invite(path, transport, message, now),
            Method::Bye | Method::Update | Method::Prack | Method::Info => self.refuse(path, &message, 481, &[]),
            Method::Other(_) => {
                let allow = self.allow();
                self.refuse(path, &message, 405, &[allow]);
            }
            _ => {
                let tag = self.token();
                let tx = self.open_server(path, &message, now);
                self.owners.insert(tx, Owner::Asked { tag });
                self.events.push_back(Event::Request { tx: ServerTx(tx), message, path, transport });
            }
        }
    }

    /// Takes the source's share of an answer; false: it has none left, and is told so where it cannot be forged.
    pub(in crate::sip) fn admit(&mut self, path: &Path, message: &Message, now: Instant) -> bool {
        if self.limiter.admit(path, now) {
            return true;
        }
        self.stats.limited += 1;
        // Over UDP the source may be forged: no answer.
        if path.flow().is_some() {
            self.refuse(*path, message, 503, &[retry_after(5)]);
        }
        false
    }

    fn on_new_invite(&mut self, path: Path, transport: Transport, message: Message, now: Instant) {
        if is_too_short(&message) {
            return self.refuse(path, &message, 422, &[min_se()]);
        }
        if self.sessions.len() >= self.config.max_sessions {
            self.stats.overloaded += 1;
            return self.refuse(path, &message, 503, &[retry_after(5)]);
        }
        let tx = self.open_server(path, &message, now);
        self.on_invite(tx, message, path, transport, now);
    }

    fn on_response(&mut self, response: Message, now: Instant) {
        let Some(tx) = self.table.find_client(&response) else { return self.stats.stray_responses += 1 };
        let challenged = self.challenged(tx, &response);
        if !self.table.on_response(tx, &response, now) {
            return;
        }
        match challenged {
            Some((request, path)) => self.ask_for_proof(tx, request, path, response),
            None => self.deliver(tx, response, now),
        }
    }

    /// Gives a response to whom it is for.
    pub(super) fn deliver(&mut self, tx: u64, response: Message, now: Instant) {
        let (known, owner) = match self.owners.remove(&tx) {
            Some(Owner::Again { first, owner }) => (first, Some(*owner)),
            owner => (tx, owner),
        };
        let keep = |owner| match known == tx {
            true => owner,
            false => Owner::Again { first: known, owner: Box::new(owner) },
        };
        match owner {
            Some(Owner::Attempt(attempt)) => self.on_attempt(tx, attempt, response, now),
            Some(Owner::Reinvite(reinvite)) => self.on_reinvite_response(tx, reinvite, response, now),
            Some(owner @ (Owner::User | Owner::Refer(..))) => {
                if let Owner::Refer(session, id) = owner {
                    self.on_refer_response(session, id, &response);
                }
                self.owners.insert(tx, keep(owner));
                self.events.push_back(Event::Response { tx: ClientTx(known), message: response });
            }
            Some(Owner::Refresh(session)) => {
                self.owners.insert(tx, keep(Owner::Refresh(session)));
                if response.status() >= 200 {
                    self.on_refresh_response(session, &response, now);
                }
            }
            Some(Owner::Notify(session, id)) => {
                self.on_notify_response(session, id, response.status());
                self.owners.insert(tx, keep(Owner::Notify(session, id)));
            }
            Some(owner) => drop(self.owners.insert(tx, keep(owner))),
            None => {}
        }
    }

    /// A client transaction will get no answer.
    pub(super) fn on_client_failed(&mut self, tx: u64, why: FailReason, now: Instant) {
        let status = match why {
            FailReason::TimedOut => 408,
            FailReason::Transport => 503,
        };
        let (known, owner) = match self.owners.remove(&tx) {
            Some(Owner::Again { first, owner }) => (first, Some(*owner)),
            owner => (tx, owner),
        };
        match owner {
            Some(Owner::User) => self.events.push_back(Event::RequestFailed { tx: ClientTx(known), why }),
            Some(Owner::Attempt(attempt)) => self.on_attempt_failed(tx, attempt, status),
            Some(Owner::Refresh(session)) => self.on_refresh_failed(session, status, None, now),
            Some(Owner::Reinvite(reinvite)) => {
                self.on_reinvite_failed(tx, &reinvite, status, None, now);
                if self.table.request(tx).is_some() {
                    self.owners.insert(tx, Owner::Reinvite(reinvite));
                }
            }
            Some(Owner::Refer(session, id)) => {
                self.refer_failed(session, id);
                self.events.push_back(Event::RequestFailed { tx: ClientTx(known), why });
            }
            Some(Owner::Notify(session, id)) => self.on_notify_response(session, id, status),
            // Server transactions, and what nobody waits for.
            Some(_) | None => {}
        }
    }

    /// Opens the transaction of a request that is not refused out of hand.
    pub(in crate::sip) fn open_server(&mut self, path: Path, message: &Message, now: Instant) -> u64 {
        let reply_path = reply::reply_path(&message.via(), path);
        let trying = (message.method() == Method::Invite).then(|| {
            let trying = Builder::response_to(message, 100, None, None).build_message();
            reply::finish(&trying, path.remote(), "")
        });
        self.table.open_server(message.clone(), reply_path, trying, now)
    }

    /// The `Unsupported` of a request whose `Require` asks for what we do not do (RFC 3261 8.2.2.3).
    pub(in crate::sip) fn unsupported(&self, path: &Path, message: &Message) -> Option<Header> {
        let may_prack = message.method_ref() == &Method::Invite && (self.reliable)(path);
        let is_known = |tag: &str| {
            tag.eq_ignore_ascii_case("timer")
                || (may_prack && tag.eq_ignore_ascii_case("100rel"))
                || self.config.supported.iter().any(|known| known.eq_ignore_ascii_case(tag))
        };
        let unknown: Vec<&[u8]> =
            message.headers(Name::Require).filter(|tag| !std::str::from_utf8(tag).is_ok_and(is_known)).collect();
        (!unknown.is_empty()).then(|| ("Unsupported".to_owned(), unknown.join(&b", "[..])))
    }

    /// Refuses a request without a transaction: a repeated one gets the same answer again, its ACK is a stray
    /// (RFC 3261 8.2.7).
    pub(in crate::sip) fn refuse(&mut self, path: Path, message: &Message, status: u16, headers: &[Header]) {
        let tag = stateless_tag(message);
        let response = self.refusal(message, status, headers);
        let bytes = reply::finish(&response.build_message(), path.remote(), &tag);
        self.table.send(reply::reply_path(&message.via(), path), bytes);
    }

    /// Refuses a request that has a transaction.
    pub(in crate::sip) fn refuse_tx(
        &mut self,
        tx: u64,
        message: &Message,
        status: u16,
        headers: &[Header],
        now: Instant,
    ) {
        let response = self.refusal(message, status, headers);
        self.owners.insert(tx, Owner::Nobody);
        self.answer_tx(tx, response, &stateless_tag(message), now);
    }

    fn refusal(&self, message: &Message, status: u16, headers: &[Header]) -> Builder {
        let mut response = self.introduce_server(Builder::response_to(message, status, None, None));
        for (name, value) in headers {
            response = response.header(name, value);
        }
        response
    }
}

fn retry_after(seconds: u32) -> Header {
    ("Retry-After".to_owned(), seconds.to_string().into_bytes())
}

/// The same tag for the same request (RFC 3261 8.2.7): FNV-1a over what identifies it.
fn stateless_tag(message: &Message) -> String {
    let number = message.cseq().number.to_be_bytes();
    let parts = [message.via().branch().unwrap_or_default().as_bytes(), message.call_id().as_bytes(), &number];
    let hash = parts
        .iter()
        .flat_map(|part| part.iter())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}
