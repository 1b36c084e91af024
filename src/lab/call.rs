//! One call of the lab: its dialog, what is sent again until it is answered, and what is due when.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::audio::Audio;
use super::message::{self, Received, tag_of, uri_of};
use super::{Behaviour, CallStatus, LabCallReport};

/// First interval of retransmission (RFC 3261 17.1.1.1).
const T1: Duration = Duration::from_millis(500);
/// Longest interval of retransmission.
const T2: Duration = Duration::from_secs(4);
/// How long a message is sent again.
const GIVE_UP: Duration = Duration::from_secs(32);

/// A message that is sent again until it is answered.
#[derive(Clone, Debug)]
pub(super) struct Resend {
    pub bytes: Vec<u8>,
    next: Instant,
    interval: Duration,
    until: Instant,
    cap: Duration,
}

impl Resend {
    /// A response or a BYE; an INVITE has no longest interval.
    pub fn new(bytes: Vec<u8>, is_invite: bool, now: Instant) -> Self {
        Resend { bytes, next: now + T1, interval: T1, until: now + GIVE_UP, cap: if is_invite { GIVE_UP } else { T2 } }
    }

    /// Returns the message where it is due, and sets the next time.
    pub fn due(&mut self, now: Instant) -> Option<Vec<u8>> {
        if now < self.next {
            return None;
        }
        self.interval = (self.interval * 2).min(self.cap);
        self.next = now + self.interval;
        Some(self.bytes.clone())
    }

    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    pub fn next(&self) -> Instant {
        self.next.min(self.until)
    }
}

/// What a call does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Answer,
    HangUp,
    /// It ended a minute ago.
    Forget,
}

/// Who began.
#[derive(Clone, Debug)]
pub(super) enum Side {
    /// The gateway called a number; its INVITE, and the response sent last.
    Taken { invite: Box<Received>, behaviour: Behaviour, response: Vec<u8> },
    /// A customer called; the branch of the INVITE, the ACK of its 2xx, and the header fields that tell of the customer.
    Made { branch: String, ack: Option<Vec<u8>>, cancelled: bool, told: Vec<(String, String)> },
}

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub side: Side,
    pub number: String,
    pub call_id: String,
    /// Our From or To with our tag.
    pub local: String,
    /// The peer's To or From, with its tag once known.
    pub remote: String,
    /// Where requests go: the peer's Contact.
    pub target: String,
    pub peer: SocketAddr,
    pub dialog: Sequence,
    pub audio: Option<Audio>,
    pub last_report: Option<LabCallReport>,
    pub status: watch::Sender<CallStatus>,
    pub pending: Pending,
}

/// CSeq numbers and identifiers of the dialog.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    pub ours: u32,
    pub theirs: u32,
    /// `X-Genesys-CallUUID`.
    pub uuid: String,
}

/// What is due.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub resend: Option<Resend>,
    pub steps: Vec<(Instant, Step)>,
}

impl Pending {
    pub fn at(&mut self, when: Instant, step: Step) {
        self.steps.push((when, step));
    }

    pub fn next(&self) -> Option<Instant> {
        self.steps.iter().map(|s| s.0).chain(self.resend.as_ref().map(Resend::next)).min()
    }

    /// Takes a step that is due.
    pub fn due(&mut self, now: Instant) -> Option<Step> {
        let at = self.steps.iter().position(|s| s.0 <= now)?;
        Some(self.steps.swap_remove(at).1)
    }
}

impl Call {
    pub fn is_over(&self) -> bool {
        matches!(*self.status.borrow(), CallStatus::Ended(_))
    }

    pub fn is_answered(&self) -> bool {
        *self.status.borrow() == CallStatus::Answered
    }

    pub fn set(&self, status: CallStatus) {
        self.status.send_replace(status);
    }

    /// Ends it: the port closes, the figures stay for a minute.
    pub fn end(&mut self, status: u16, now: Instant) {
        if self.is_over() {
            return;
        }
        self.last_report = self.audio.take().map(|a| a.report());
        self.pending.steps.clear();
        self.pending.at(now + Duration::from_secs(60), Step::Forget);
        self.set(CallStatus::Ended(status));
    }

    /// Learns the peer's tag and target from its message.
    pub fn learn(&mut self, message: &Received) {
        let side = if message.status() == 0 { "From" } else { "To" };
        let value = message.header(side);
        if tag_of(&value).is_some() {
            self.remote = value;
        }
        let contact = message.header("Contact");
        if !contact.is_empty() {
            self.target = uri_of(&contact);
        }
    }

    /// Takes the SDP of a message, where it has one.
    pub fn take_sdp(&self, message: &Received) {
        if let (Some(audio), Some(sdp)) = (&self.audio, message::read_sdp(&message.body())) {
            audio.talk_to(sdp);
        }
    }

    /// Writes a request of the dialog; ACK and CANCEL keep the number of the INVITE.
    pub fn request(&mut self, method: &str, lab: SocketAddr, branch: &str) -> Option<Vec<u8>> {
        if method == "BYE" {
            self.dialog.ours += 1;
        }
        let headers = [
            ("From", self.local.clone()),
            ("To", self.remote.clone()),
            ("Call-ID", self.call_id.clone()),
            ("CSeq", format!("{} {method}", self.dialog.ours)),
            ("Via", format!("SIP/2.0/UDP {lab};branch={branch}")),
            ("Max-Forwards", "70".to_owned()),
            ("X-Genesys-CallUUID", self.dialog.uuid.clone()),
        ];
        message::request(method, &self.target, &headers, "")
    }
}
