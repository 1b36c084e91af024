//! The SIP endpoint: everything below the B2BUA, behind one door (RFC 3261, 3262, 3311, 3515, 3581, 4028, 6026).
//!
//! We do not send an offer in a PRACK, nor answer PRACK to everybody: a peer that [`Endpoint::set_reliable`] does not name
//! gets 420 to `Require: 100rel`.

mod dialogs;
mod event;
mod flow;
mod limit;
mod outside;
mod proof;
mod receive;
mod reply;
#[cfg(test)]
mod tests;
mod types;

pub use event::*;
pub use outside::ReferDialog;
pub use types::*;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;

use self::limit::Limiter;
use super::dialog;
use super::message::{Builder, Message, Method, Name};
use super::session::{Owner, Phase, Session};
use super::transaction::Table;
use crate::path::{Path, Transport};

/// The SIP endpoint. Pure: messages and time in, messages and events out.
pub struct Endpoint {
    pub(in crate::sip) config: EndpointConfig,
    pub(in crate::sip) rng: StdRng,
    pub(in crate::sip) table: Table,
    pub(in crate::sip) owners: HashMap<u64, Owner>,
    pub(in crate::sip) sessions: BTreeMap<SessionId, Session>,
    /// Sessions by our tag.
    pub(in crate::sip) by_tag: HashMap<String, SessionId>,
    /// When sessions are due; see [`Endpoint::rearm`].
    alarms: BTreeSet<(Instant, SessionId)>,
    pub(in crate::sip) events: VecDeque<Event>,
    limiter: Limiter,
    pub(in crate::sip) stats: Stats,
    last_session: u64,
    /// Who may use reliable provisionals.
    pub(in crate::sip) reliable: Judgement,
}

/// A question about where a message came from.
type Judgement = Box<dyn Fn(&Path) -> bool + Send>;

impl Endpoint {
    /// Makes an endpoint without transactions; `rng` feeds tags, branches and Call-IDs.
    pub fn new(config: EndpointConfig, rng: StdRng) -> Endpoint {
        Endpoint {
            table: Table::new(config.timers),
            limiter: Limiter::new(config.source_limit),
            config,
            rng,
            owners: HashMap::new(),
            sessions: BTreeMap::new(),
            by_tag: HashMap::new(),
            alarms: BTreeSet::new(),
            events: VecDeque::new(),
            stats: Stats::default(),
            last_session: 0,
            reliable: Box::new(|_| false),
        }
    }

    /// Says which sources are spared the limit per source: configured trunks, authenticated flows.
    pub fn set_trusted(&mut self, trusted: impl Fn(&Path) -> bool + Send + 'static) {
        self.limiter.set_trusted(Box::new(trusted));
    }

    /// Says from where requests that open a dialog or stand alone are heard at all; all others get 403 without a
    /// transaction: one answer, never repeated, for a source over UDP may be forged. Without this everybody is heard.
    pub fn set_known(&mut self, known: impl Fn(&Path) -> bool + Send + 'static) {
        self.limiter.set_known(Box::new(known));
    }

    /// Says who may use provisionals that are acknowledged (RFC 3262): an INVITE of theirs that requires 100rel is taken,
    /// and what we send them with a session description before the answer is reliable where they support it. Without this
    /// nobody may, and such an INVITE gets 420.
    pub fn set_reliable(&mut self, reliable: impl Fn(&Path) -> bool + Send + 'static) {
        self.reliable = Box::new(reliable);
    }

    /// Says which stream leads to where a path by UDP leads: requests over 1300 bytes take it (RFC 3261 18.1.1), and go
    /// by UDP after all where it cannot be had.
    pub fn set_streams(&mut self, streams: impl Fn(&Path) -> Option<Hop> + Send + 'static) {
        self.table.set_streams(Box::new(streams));
    }

    /// Takes one whole message.
    pub fn handle_message(&mut self, path: Path, transport: Transport, raw: Bytes, now: Instant) {
        if raw.iter().all(|b| matches!(b, b'\r' | b'\n')) {
            return; // keep-alive (RFC 5626 3.5.1)
        }
        self.receive(path, transport, raw, now);
        self.reap();
    }

    /// Runs all timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(due) = self.table.run(now) {
            if due.timed_out {
                self.on_client_failed(due.id, FailReason::TimedOut, now);
            }
        }
        while let Some(&(at, id)) = self.alarms.first() {
            if at > now {
                break;
            }
            self.alarms.remove(&(at, id));
            if let Some(session) = self.sessions.get_mut(&id) {
                session.due = None;
                self.run_session(id, now);
            }
        }
        self.reap();
    }

    /// Returns the next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.table.poll_transmit()
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Returns when [`Endpoint::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let alarm = self.alarms.first().map(|(at, _)| *at);
        [self.table.deadline(), alarm].into_iter().flatten().min()
    }

    /// Returns what was dropped so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Returns how many transactions and sessions are alive.
    pub fn load(&self) -> (usize, usize) {
        (self.table.len(), self.sessions.len())
    }

    /// Returns true if our INVITE got any response: a provisional one, 100 included, a challenge, a 2xx.
    pub fn is_proceeding(&self, s: SessionId) -> bool {
        match self.sessions.get(&s).map(|session| &session.phase) {
            Some(Phase::Calling(calling)) => calling.tx.is_none_or(|tx| self.table.is_proceeding(tx)),
            Some(Phase::Talking(_)) => true,
            Some(Phase::Ringing(_)) | None => false,
        }
    }

    /// Returns how many entries all maps and queues have together; zero where nothing is alive. A leak shows here.
    pub fn entries(&self) -> usize {
        let sessions = self.sessions.len() + self.by_tag.len() + self.alarms.len();
        self.table.entries() + self.owners.len() + sessions + self.events.len()
    }

    /// Answers a request of [`Event::Request`] or [`Event::InDialog`]; the To tag is added where it is missing.
    pub fn respond(&mut self, tx: ServerTx, response: Builder, now: Instant) {
        let response = self.introduce_server(response);
        match self.owners.get(&tx.0) {
            Some(Owner::Asked { tag }) => {
                let tag = tag.clone();
                self.answer_tx(tx.0, response, &tag, now);
            }
            Some(Owner::Updated(session)) => self.answer_update(*session, tx.0, response, now),
            Some(Owner::Offered(session)) => self.answer_prack(*session, tx.0, response, now),
            Some(Owner::Referred(session)) => self.answer_refer(*session, tx.0, response, now),
            _ => {}
        }
        self.reap();
    }

    /// Sends a request outside a dialog.
    pub fn send_request(&mut self, request: OutRequest, hop: Hop, now: Instant) -> ClientTx {
        if self.is_full() {
            return self.fail_at_once();
        }
        let (tag, branch, call_id) = (self.token(), self.branch(), self.token());
        let number = request.cseq.unwrap_or(1);
        let mut out = Builder::request(&request.method, &request.uri)
            .header(Name::Via, dialog::via(&hop, &branch))
            .header(Name::MaxForwards, "70")
            .header(Name::From, format!("{};tag={tag}", request.from))
            .header(Name::To, &request.to)
            .header(Name::CallId, request.call_id.unwrap_or(call_id))
            .header(Name::CSeq, format!("{number} {}", request.method));
        out = self.introduce(out, Name::UserAgent);
        for (name, value) in &request.headers {
            out = out.header(name, value);
        }
        if let Some((content_type, body)) = &request.body {
            out = out.body(content_type, body);
        }
        let tx = self.table.open_client(out.build_message(), hop.path, now);
        self.owners.insert(tx, Owner::User);
        ClientTx(tx)
    }

    /// Sends an INVITE.
    pub fn invite(&mut self, invite: OutInvite, hop: Hop, now: Instant) -> SessionId {
        if self.is_full() {
            let session = self.next_session();
            self.events.push_back(Event::Refused { session, status: 503, message: None });
            return session;
        }
        self.open_invite(invite, hop, now)
    }

    /// Sets what our side of an incoming session is called: Via `sent_by` and Contact, for example
    /// `192.0.2.54:5060` and `<sip:5001@192.0.2.54:5060>`. Without it both come from the INVITE's Request-URI.
    pub fn set_local(&mut self, s: SessionId, sent_by: &str, contact: &str) {
        if let Some(dialog) = self.sessions.get_mut(&s).and_then(Session::dialog) {
            dialog.hop.sent_by = sent_by.to_owned();
            dialog.contact = contact.to_owned();
        }
    }

    /// Sends a provisional, 180 or 183.
    pub fn progress(&mut self, s: SessionId, status: u16, sdp: Option<&[u8]>, headers: &[Header], now: Instant) {
        self.send_progress(s, status, sdp, headers, now);
    }

    /// Sends the 200 to the INVITE and repeats it until the ACK.
    pub fn answer(&mut self, s: SessionId, sdp: &[u8], headers: &[Header], now: Instant) {
        self.send_answer(s, sdp, headers, now);
        self.reap();
    }

    /// Refuses the INVITE with a final response of 300 to 699. The session is over.
    pub fn reject(&mut self, s: SessionId, status: u16, reason: Option<&str>, headers: &[Header], now: Instant) {
        self.send_refusal(s, status, reason, headers, now);
        self.reap();
    }

    /// Ends a session as its state asks: CANCEL (after a provisional), 487, BYE (after the ACK), ACK and BYE of a late 2xx.
    pub fn hang_up(&mut self, s: SessionId, headers: &[Header], now: Instant) {
        self.leave(s, headers, now);
        self.reap();
    }

    /// Acknowledges the 2xx of [`Event::Answered`] or [`Event::ReinviteAnswered`]; once per event.
    pub fn ack(&mut self, s: SessionId, sdp: Option<&[u8]>, _now: Instant) {
        self.acknowledge(s, sdp);
    }

    /// Sends a re-INVITE. 491 is retried after the back-off of RFC 3261 14.1, unless the peer's own re-INVITE comes first.
    pub fn reinvite(
        &mut self,
        s: SessionId,
        sdp: Option<&[u8]>,
        headers: &[Header],
        now: Instant,
    ) -> Result<(), Pending> {
        self.open_reinvite(s, sdp, headers, now)
    }

    /// Answers [`Event::Reinvited`] with 200.
    pub fn answer_reinvite(&mut self, s: SessionId, sdp: &[u8], headers: &[Header], now: Instant) {
        self.send_reinvite_answer(s, sdp, headers, now);
        self.reap();
    }

    /// Refuses [`Event::Reinvited`]; the session goes on.
    pub fn reject_reinvite(
        &mut self,
        s: SessionId,
        status: u16,
        reason: Option<&str>,
        headers: &[Header],
        now: Instant,
    ) {
        self.send_reinvite_refusal(s, status, reason, headers, now);
        self.reap();
    }

    /// Sends an INFO; its fate comes as [`Event::Response`] or [`Event::RequestFailed`]. `None`: no such dialog.
    pub fn info(&mut self, s: SessionId, content_type: &str, body: &[u8], now: Instant) -> Option<ClientTx> {
        self.request_in_dialog(s, Method::Info, &[], Some((content_type, body)), now)
    }

    /// Sends any other request in the session's dialog; INVITE, ACK, CANCEL and BYE have their own ways. `None`: no such dialog.
    pub fn request_in_dialog(
        &mut self,
        s: SessionId,
        method: Method,
        headers: &[Header],
        body: Option<(&str, &[u8])>,
        now: Instant,
    ) -> Option<ClientTx> {
        if self.is_full() {
            return self.sessions.contains_key(&s).then(|| self.fail_at_once());
        }
        self.send_in_dialog(s, method, headers, body, now)
    }
}

impl Endpoint {
    /// 64 random bits in hexadecimal: a tag, a Call-ID.
    pub(in crate::sip) fn token(&mut self) -> String {
        format!("{:016x}", self.rng.random::<u64>())
    }

    /// A random number below `end`.
    pub(in crate::sip) fn rng_below(&mut self, end: u32) -> u32 {
        self.rng.random_range(0..end)
    }

    /// No more requests of ours for the time being.
    pub(in crate::sip) fn is_full(&mut self) -> bool {
        let is_full = self.table.len() >= self.config.max_transactions;
        self.stats.overloaded += u64::from(is_full);
        is_full
    }

    /// A request that is never sent.
    fn fail_at_once(&mut self) -> ClientTx {
        let tx = ClientTx(self.table.skip());
        self.events.push_back(Event::RequestFailed { tx, why: FailReason::Transport });
        tx
    }

    pub(in crate::sip) fn branch(&mut self) -> String {
        format!("z9hG4bK{:016x}", self.rng.random::<u64>())
    }

    pub(in crate::sip) fn next_session(&mut self) -> SessionId {
        self.last_session += 1;
        SessionId(self.last_session)
    }

    /// Removes a session and what points to it.
    pub(in crate::sip) fn forget(&mut self, id: SessionId) -> Option<Session> {
        let mut session = self.sessions.remove(&id)?;
        if let Some(due) = session.due.take() {
            self.alarms.remove(&(due, id));
        }
        self.by_tag.remove(&session.tag);
        Some(session)
    }

    /// Enters a session's deadline into the set of alarms.
    pub(in crate::sip) fn rearm(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let due = session.deadline();
        if due == session.due {
            return;
        }
        if let Some(old) = std::mem::replace(&mut session.due, due) {
            self.alarms.remove(&(old, id));
        }
        if let Some(due) = due {
            self.alarms.insert((due, id));
        }
    }

    /// Adds Allow, Supported and our name (`User-Agent` of a request, `Server` of a response).
    pub(in crate::sip) fn introduce(&self, message: Builder, name: Name) -> Builder {
        let (allow_name, allow) = self.allow();
        let mut message = message.header(allow_name, allow);
        for option in &self.config.supported {
            message = message.header(Name::Supported, option);
        }
        message = message.header(Name::Supported, "timer");
        if self.config.user_agent.is_empty() { message } else { message.header(name, &self.config.user_agent) }
    }

    fn introduce_server(&self, response: Builder) -> Builder {
        if self.config.user_agent.is_empty() {
            response
        } else {
            response.header(Name::Server, &self.config.user_agent)
        }
    }

    pub(in crate::sip) fn allow(&self) -> Header {
        let methods: Vec<&str> = self.config.allow.iter().map(Method::as_str).collect();
        ("Allow".to_owned(), methods.join(", ").into_bytes())
    }

    pub(in crate::sip) fn reply_path(&self, request: &Message, source: Path) -> Path {
        reply::reply_path(&request.via(), source)
    }

    pub(in crate::sip) fn finish(response: &Message, path: Path, tag: &str) -> Bytes {
        reply::finish(response, path.remote(), tag)
    }

    /// Lets go of what belonged to transactions that have ended.
    fn reap(&mut self) {
        for tx in self.table.take_gone() {
            self.owners.remove(&tx);
        }
    }
}
