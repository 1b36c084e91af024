//! One endpoint and a peer that is played by the test, message by message.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::id::FlowId;
use crate::path::{Path, Transport};
use crate::sip::endpoint::*;
use crate::sip::message::{Message, Name};

pub(super) const OFFER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.54\r\ns=-\r\n";

pub(super) fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(super) fn trunk() -> Path {
    Path::Udp { local: addr("192.0.2.54:5060"), remote: addr("192.0.2.81:5060") }
}

pub(super) fn browser(flow: u64) -> Path {
    Path::Tcp { flow: FlowId(flow), remote: addr("198.51.100.7:40000") }
}

/// An endpoint, its clock, and what it said.
pub(super) struct Peer {
    pub(super) endpoint: Endpoint,
    pub(super) now: Instant,
    pub(super) path: Path,
    branch: u32,
}

impl Peer {
    pub(super) fn new(path: Path) -> Peer {
        Peer::with(path, EndpointConfig::default())
    }

    pub(super) fn with(path: Path, config: EndpointConfig) -> Peer {
        let now = Instant::now();
        Peer { endpoint: Endpoint::new(config, StdRng::seed_from_u64(7)), now, path, branch: 0 }
    }

    pub(super) fn transport(&self) -> Transport {
        if self.path.flow().is_some() { Transport::Wss } else { Transport::Udp }
    }

    pub(super) fn hop(&self) -> Hop {
        Hop { path: self.path, transport: self.transport(), sent_by: "192.0.2.54:5060".to_owned() }
    }

    pub(super) fn receive(&mut self, text: &str) {
        let raw = Bytes::from(text.to_owned());
        let (path, transport) = (self.path, self.transport());
        self.endpoint.handle_message(path, transport, raw, self.now);
    }

    /// Lets time pass; every timer fires at its time.
    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// All that was sent since; each message parses with us and, but for what it cannot read, with rsip.
    pub(super) fn sent(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.endpoint.poll_transmit())
            .map(|transmit| {
                rsip::SipMessage::try_from(&transmit.bytes[..]).expect("rsip reads what we send");
                Message::parse(transmit.bytes).expect("we read what we send")
            })
            .collect()
    }

    /// As [`Peer::sent`], in short: method and CSeq number, or status and method.
    pub(super) fn said(&mut self) -> Vec<String> {
        self.sent().iter().map(short).collect()
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.endpoint.poll_event()).collect()
    }

    /// The one event there is.
    pub(super) fn event(&mut self) -> Event {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    fn next_branch(&mut self) -> String {
        self.branch += 1;
        format!("z9hG4bKpeer{}", self.branch)
    }

    /// A call from us, up to the INVITE on the wire.
    pub(super) fn call(&mut self) -> (SessionId, Message) {
        let hop = self.hop();
        let session = self.endpoint.invite(order(), hop, self.now);
        let sent = self.sent();
        assert_eq!(sent.len(), 1);
        (session, sent[0].clone())
    }

    /// A call from us that was answered and acknowledged.
    pub(super) fn connected_call(&mut self) -> (SessionId, Message) {
        let (session, invite) = self.call();
        self.receive(&response(&invite, 200, "p1"));
        self.events();
        self.endpoint.ack(session, None, self.now);
        assert_eq!(self.said(), ["ACK 1"]);
        (session, invite)
    }

    /// A call to us as the SIP Server sends it: no rport, tag behind a bare URI.
    pub(super) fn invited(&mut self) -> (SessionId, Message) {
        let text = invite("z9hG4bKgen-1", "");
        self.receive(&text);
        match self.event() {
            Event::Invited { session, message, .. } => (session, message),
            other => panic!("{other:?}"),
        }
    }

    /// A call to us that carries an offer.
    pub(super) fn invited_with_offer(&mut self) -> SessionId {
        let text = with_offer(&invite("z9hG4bKgen-1", ""));
        self.receive(&text);
        match self.event() {
            Event::Invited { session, .. } => session,
            other => panic!("{other:?}"),
        }
    }

    /// A call to us, answered and acknowledged; our To tag.
    pub(super) fn connected_callee(&mut self) -> (SessionId, String) {
        let (session, _) = self.invited();
        self.endpoint.answer(session, OFFER, &[], self.now);
        let tag = to_tag(&self.sent()[0]);
        let ack = self.in_dialog("ACK", 1, &tag, "");
        self.receive(&ack);
        assert!(matches!(self.event(), Event::Acked { .. }));
        (session, tag)
    }

    /// A request of the caller in the dialog of [`Peer::invited`].
    pub(super) fn in_dialog(&mut self, method: &str, cseq: u32, tag: &str, more: &str) -> String {
        let branch = self.next_branch();
        format!(
            "{method} sip:5001@192.0.2.54:5060 SIP/2.0\r\nFrom: <sip:1003@192.0.2.81:5060>;tag=GUID-7\r\n\
             To: <sip:5001@192.0.2.54>;tag={tag}\r\nCall-ID: GUID-1@192.0.2.81\r\nCSeq: {cseq} {method}\r\n\
             Via: SIP/2.0/UDP 192.0.2.81:5060;branch={branch}\r\nMax-Forwards: 70\r\n\
             Contact: <sip:1003@192.0.2.81:5060>\r\n{more}Content-Length: 0\r\n\r\n"
        )
    }

    /// A request of the callee in the dialog that `invite` and the tag `p1` make.
    pub(super) fn callee_says(&mut self, invite: &Message, method: &str, cseq: u32, more: &str) -> String {
        let branch = self.next_branch();
        format!(
            "{method} sip:5001@192.0.2.54:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.81:5060;branch={branch}\r\n\
             From: <sip:7777@192.0.2.81>;tag=p1\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Max-Forwards: 70\r\nContact: <sip:7777@192.0.2.81:5060>\r\n{more}Content-Length: 0\r\n\r\n",
            String::from_utf8_lossy(invite.header(Name::From).expect("a From")),
            invite.call_id(),
        )
    }
}

/// A call to be made.
pub(super) fn order() -> OutInvite {
    OutInvite {
        uri: "sip:7777@192.0.2.81:5060".to_owned(),
        from: "<sip:5001@192.0.2.54>".to_owned(),
        to: "<sip:7777@192.0.2.81>".to_owned(),
        contact: "<sip:5001@192.0.2.54:5060>".to_owned(),
        sdp: Some(OFFER.to_vec()),
        ..OutInvite::default()
    }
}

pub(super) fn invite(branch: &str, more: &str) -> String {
    format!(
        "INVITE sip:5001@192.0.2.54:5060 SIP/2.0\r\nFrom: sip:1003@192.0.2.81:5060;tag=GUID-7\r\n\
         To: <sip:5001@192.0.2.54>\r\nCall-ID: GUID-1@192.0.2.81\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\
         Via: SIP/2.0/UDP 192.0.2.81:5060;branch={branch}\r\nMax-Forwards: 70\r\n\
         Contact: <sip:1003@192.0.2.81:5060>\r\n{more}\r\n"
    )
}

/// A message with an offer for a body.
pub(super) fn with_offer(text: &str) -> String {
    let sdp = std::str::from_utf8(OFFER).expect("text");
    let length = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n", sdp.len());
    text.replace("Content-Length: 0\r\n", &length) + sdp
}

pub(super) fn to_tag(message: &Message) -> String {
    message.to().tag().expect("a To tag").to_owned()
}

pub(super) fn short(message: &Message) -> String {
    match message.status() {
        0 => format!("{} {}", message.method(), message.cseq().number),
        status => format!("{status} {}", message.method()),
    }
}

/// A peer's response to a request of ours.
pub(super) fn response(request: &Message, status: u16, tag: &str) -> String {
    response_with(request, status, tag, "Contact: <sip:7777@192.0.2.81:5060>\r\n")
}

pub(super) fn response_with(request: &Message, status: u16, tag: &str, more: &str) -> String {
    let field = |name| String::from_utf8_lossy(request.header(name).expect("a header")).into_owned();
    let tag = if request.to().tag().is_some() || status == 100 { String::new() } else { format!(";tag={tag}") };
    format!(
        "SIP/2.0 {status} X\r\nVia: {}\r\nFrom: {}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n{more}\
         Content-Length: 0\r\n\r\n",
        field(Name::Via),
        field(Name::From),
        field(Name::To),
        field(Name::CallId),
        field(Name::CSeq),
    )
}
