//! Fuzz body of the SIP endpoint: a course of messages, time and user's answers must never panic, and must stay bounded.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crosspoint::id::FlowId;
use crosspoint::path::{Path, Transport};
use crosspoint::sip::endpoint::{
    Endpoint, EndpointConfig, Event, Hop, OutInvite, OutRefer, Reliable, SessionId, SessionTimer,
};
use crosspoint::sip::message::{Builder, Message, Method, Name};
use rand::SeedableRng;
use rand::rngs::StdRng;

const SDP: &[u8] = b"v=0\r\n";
const MAX: usize = 64;

/// Reads `data` as steps parted by NUL: an op byte, then its text. In a message `@T` stands for the tag, `@B` for the
/// branch, `@I` for the Call-ID, `@R` for the RSeq that the endpoint used last, so that a course can enter its dialogs.
pub fn sip_endpoint(data: &[u8]) {
    let config = EndpointConfig {
        max_transactions: MAX,
        max_sessions: MAX / 4,
        answers_challenges: true,
        ..EndpointConfig::default()
    };
    let mut course = Course {
        endpoint: Endpoint::new(config, StdRng::seed_from_u64(1)),
        now: Instant::now(),
        tag: String::new(),
        branch: String::new(),
        call_id: String::new(),
        rseq: String::new(),
        sessions: Vec::new(),
    };
    course.endpoint.set_trusted(|_| true);
    course.endpoint.set_reliable(|_| true);
    for step in data.split(|b| *b == 0).take(200) {
        if let Some((op, text)) = step.split_first() {
            course.step(*op, text);
            course.drain();
        }
    }
    course.end();
}

struct Course {
    endpoint: Endpoint,
    now: Instant,
    tag: String,
    branch: String,
    call_id: String,
    rseq: String,
    sessions: Vec<SessionId>,
}

/// A call that asks for all there is, but offers nothing.
fn demanding() -> OutInvite {
    let timer = SessionTimer { interval_s: 90, min_se_s: 90, refresher: None };
    OutInvite { has_account: true, reliable: Reliable::Required, session_expires: Some(timer), ..OutInvite::default() }
}

fn refer() -> OutRefer {
    OutRefer { refer_to: "<sip:6001@192.0.2.81>".to_owned(), ..OutRefer::default() }
}

fn path(op: u8) -> (Path, Transport) {
    let remote = SocketAddr::from(([192, 0, 2, 81], 5060));
    match op {
        b'w' => (Path::Tcp { flow: FlowId(1), remote }, Transport::Wss),
        _ => (Path::Udp { local: SocketAddr::from(([192, 0, 2, 54], 5060)), remote }, Transport::Udp),
    }
}

impl Course {
    fn step(&mut self, op: u8, text: &[u8]) {
        let session =
            self.sessions.get(text.first().map_or(0, |b| usize::from(*b)) % self.sessions.len().max(1)).copied();
        match op {
            b't' => self.wait(Duration::from_millis(text.iter().fold(1, |ms, b| ms + u64::from(*b) * 10))),
            b'c' => self.endpoint.handle_flow_closed(FlowId(1), self.now),
            b'i' => self.call(b'u', OutInvite { sdp: Some(SDP.to_vec()), ..OutInvite::default() }),
            b'j' => self.call(b'w', OutInvite { sdp: Some(SDP.to_vec()), ..OutInvite::default() }),
            b'I' => self.call(b'u', demanding()),
            b'J' => self.call(b'w', demanding()),
            b'm' | b'w' => self.message(op, text),
            _ => {
                if let Some(session) = session {
                    self.act(op, session);
                }
            }
        }
    }

    fn act(&mut self, op: u8, session: SessionId) {
        let (endpoint, now) = (&mut self.endpoint, self.now);
        match op {
            b'p' => endpoint.progress(session, 180, None, &[], now),
            b'P' => endpoint.progress(session, 183, Some(SDP), &[], now),
            b'u' => drop(endpoint.authorize(session, &[("Authorization".to_owned(), b"x".to_vec())], now)),
            b'f' => drop(endpoint.refer(session, &refer(), now)),
            b'o' => drop(endpoint.notify_refer(session, 2, 180, false, now)),
            b'O' => drop(endpoint.notify_refer(session, 2, 200, true, now)),
            b'a' => endpoint.answer(session, SDP, &[], now),
            b'r' => endpoint.reject(session, 486, None, &[], now),
            b'h' => endpoint.hang_up(session, &[], now),
            b'k' => endpoint.ack(session, Some(SDP), now),
            b'R' => drop(endpoint.reinvite(session, Some(SDP), &[], now)),
            b'A' => endpoint.answer_reinvite(session, SDP, &[], now),
            b'X' => endpoint.reject_reinvite(session, 488, None, &[], now),
            b'n' => drop(endpoint.info(session, "application/dtmf-relay", b"Signal=1\r\n", now)),
            _ => endpoint.update_path(session, path(b'w').0),
        }
    }

    fn call(&mut self, op: u8, invite: OutInvite) {
        if self.endpoint.load().0 > MAX {
            return; // the user's own calls are the user's to bound
        }
        let (path, transport) = path(op);
        let invite = OutInvite {
            uri: "sip:7777@192.0.2.81".to_owned(),
            from: "<sip:5001@192.0.2.54>".to_owned(),
            to: "<sip:7777@192.0.2.81>".to_owned(),
            contact: "<sip:5001@192.0.2.54>".to_owned(),
            ..invite
        };
        let hop = Hop { path, transport, sent_by: "192.0.2.54".to_owned() };
        let session = self.endpoint.invite(invite, hop, self.now);
        self.sessions.push(session);
    }

    fn message(&mut self, op: u8, text: &[u8]) {
        let mut raw = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((first, tail)) = rest.split_first() {
            let known = match rest {
                [b'@', b'T', ..] => Some(&self.tag),
                [b'@', b'B', ..] => Some(&self.branch),
                [b'@', b'I', ..] => Some(&self.call_id),
                [b'@', b'R', ..] => Some(&self.rseq),
                _ => None,
            };
            match known {
                Some(known) => {
                    raw.extend_from_slice(known.as_bytes());
                    rest = &rest[2..];
                }
                None => {
                    raw.push(*first);
                    rest = tail;
                }
            }
        }
        let (path, transport) = path(op);
        self.endpoint.handle_message(path, transport, Bytes::from(raw), self.now);
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut turns = 0;
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            self.drain();
            turns += 1;
            assert!(turns < 1_000_000, "the clock stands still");
        }
        self.now = end;
    }

    fn drain(&mut self) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Request { tx, message, path, transport } if message.method() == Method::Refer => {
                    let hop = Hop { path, transport, sent_by: "192.0.2.54".to_owned() };
                    let mut refer = self.endpoint.accept_refer(tx, &message, hop, "<sip:5001@192.0.2.54>", self.now);
                    self.endpoint.notify_outside(&mut refer, 200, true, self.now);
                }
                Event::Unproved(asked) => {
                    let known = asked.message.status() == 401;
                    let proof = known.then(|| ("Authorization".to_owned(), b"x".to_vec()));
                    self.endpoint.prove(asked, proof, self.now);
                }
                Event::Request { tx, message, .. } | Event::InDialog { tx, message, .. } => {
                    self.endpoint.respond(tx, Builder::response_to(&message, 200, None, None), self.now);
                }
                Event::Provisional { session, fork, wants_answer: true, .. } => {
                    assert!(self.endpoint.prack(session, &fork, SDP, self.now), "it was asked for");
                }
                Event::Invited { session, .. } => self.sessions.push(session),
                _ => {}
            }
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            // What we say on a peer's bytes is at least a message to ourselves, unless the peer's own values are not.
            let Ok(message) = Message::parse(transmit.bytes) else { continue };
            let ours = if message.is_request() { message.from() } else { message.to() };
            self.tag = ours.tag().unwrap_or_default().to_owned();
            self.branch = message.via().branch().unwrap_or_default().to_owned();
            self.call_id = message.call_id().to_owned();
            if let Some(rseq) = message.number(Name::RSeq) {
                self.rseq = rseq.to_string();
            }
        }
        // The user's own requests (a BYE, a CANCEL, an ACK's INFO) come on top of the peer's.
        let (transactions, sessions) = self.endpoint.load();
        assert!(transactions <= MAX * 8, "{transactions} transactions");
        assert!(sessions <= MAX * 2, "{sessions} sessions");
    }

    /// Once the user has left, and the timers have run, nothing is left.
    fn end(&mut self) {
        for session in std::mem::take(&mut self.sessions) {
            self.endpoint.hang_up(session, &[], self.now);
        }
        self.endpoint.handle_flow_closed(FlowId(1), self.now);
        self.wait(Duration::from_secs(200));
        assert_eq!(self.endpoint.load(), (0, 0), "transactions and sessions left over");
        self.drain();
        assert_eq!(self.endpoint.entries(), 0, "entries left over");
    }
}
