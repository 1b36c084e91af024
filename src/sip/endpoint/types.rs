//! What goes into and comes out of an [`Endpoint`](super::Endpoint): configuration, orders, events.

use std::time::Duration;

use bytes::Bytes;

use crate::path::{Path, Transport};
use crate::sip::message::{Message, Method};

/// A header to be added to a request or response: name and value.
pub type Header = (String, Vec<u8>);

/// The base values of RFC 3261's timers; A to K follow from them (RFC 3261 17, table 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Round-trip estimate; timers A, E and G start with it, B, F, H, J, L and M are 64 times it.
    pub t1: Duration,
    /// Longest interval between retransmissions of non-INVITE requests and INVITE responses.
    pub t2: Duration,
    /// How long a message may live in the network; timers I and K.
    pub t4: Duration,
    /// Timer D over UDP: at least 32 s.
    pub d: Duration,
    /// How long an INVITE may stay without a provisional before 100 is sent (RFC 3261 17.2.1: 200 ms).
    pub trying: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Timers {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            d: Duration::from_secs(32),
            trying: Duration::from_millis(200),
        }
    }
}

impl Timers {
    /// Returns 64 × T1: timers B, F, H, J, L, M, and the time a 2xx waits for its ACK.
    pub fn patience(&self) -> Duration {
        self.t1 * 64
    }
}

/// How many new server transactions one source may open, unless it is trusted: an address over UDP, or a connection. All
/// connections of an address have ten times the rate together, and fifty times the burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceLimit {
    /// Steady rate, transactions per second.
    pub per_second: u32,
    /// How many may come at once.
    pub burst: u32,
}

impl Default for SourceLimit {
    fn default() -> Self {
        SourceLimit { per_second: 20, burst: 100 }
    }
}

/// Configuration of an [`Endpoint`](super::Endpoint).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointConfig {
    /// RFC 3261 timers.
    pub timers: Timers,
    /// `User-Agent` of requests and `Server` of responses; empty: left out.
    pub user_agent: String,
    /// Option tags that a `Require` may name (RFC 3261 8.2.2.3); `timer` is always understood, `100rel` never.
    pub supported: Vec<String>,
    /// Methods of `Allow`.
    pub allow: Vec<Method>,
    /// Most client and server transactions at a time. Beyond it new requests get 503, those in a dialog have an eighth
    /// more; requests of ours fail as if they had got 503, but for CANCEL, BYE and refreshes, of which a session has one.
    pub max_transactions: usize,
    /// Most sessions at a time; beyond it an INVITE gets 503.
    pub max_sessions: usize,
    /// Limit per source address for those that are not trusted.
    pub source_limit: SourceLimit,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        EndpointConfig {
            timers: Timers::default(),
            user_agent: "crosspoint".to_owned(),
            supported: Vec::new(),
            allow: vec![
                Method::Invite,
                Method::Ack,
                Method::Cancel,
                Method::Bye,
                Method::Options,
                Method::Info,
                Method::Update,
                Method::Notify,
                Method::Refer,
                Method::Message,
            ],
            max_transactions: 100_000,
            max_sessions: 20_000,
            source_limit: SourceLimit::default(),
        }
    }
}

/// Names a server transaction that waits for [`Endpoint::respond`](super::Endpoint::respond).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerTx(pub(crate) u64);

/// Names a request sent outside an INVITE usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientTx(pub(crate) u64);

/// Names the INVITE usage of a dialog; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub(crate) u64);

/// One message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub path: Path,
    /// The whole message.
    pub bytes: Bytes,
}

/// Where a request goes, and as whom it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The way to the peer.
    pub path: Path,
    /// Transport written into the Via.
    pub transport: Transport,
    /// `host[:port]` of the Via: our advertised address.
    pub sent_by: String,
}

/// A request outside a dialog. Via, Call-ID, CSeq, Max-Forwards and the From tag are added.
#[derive(Clone, Debug)]
pub struct OutRequest {
    /// Method; not INVITE, ACK or CANCEL.
    pub method: Method,
    /// Request-URI.
    pub uri: String,
    /// From without tag, for example `<sip:gw@192.0.2.54>`.
    pub from: String,
    /// To without tag.
    pub to: String,
    /// Call-ID; `None`: a random one.
    pub call_id: Option<String>,
    /// CSeq number; `None`: 1.
    pub cseq: Option<u32>,
    /// Further headers, Contact among them.
    pub headers: Vec<Header>,
    /// Content type and body.
    pub body: Option<(String, Vec<u8>)>,
}

/// A new call. Via, Call-ID, CSeq, Max-Forwards, Allow, Supported and the From tag are added.
#[derive(Clone, Debug)]
pub struct OutInvite {
    /// Request-URI.
    pub uri: String,
    /// From without tag, for example `"Ann" <sip:5001@192.0.2.54>`.
    pub from: String,
    /// To without tag.
    pub to: String,
    /// Our Contact, for example `<sip:5001@192.0.2.54:5060>`.
    pub contact: String,
    /// Further headers.
    pub headers: Vec<Header>,
    /// Offer; `None`: an offerless INVITE.
    pub sdp: Option<Vec<u8>>,
}

/// A re-INVITE must wait: another INVITE transaction of the dialog is still open (RFC 3261 14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another INVITE transaction of this dialog is open, or there is no such confirmed session")]
pub struct Pending;

/// Why a request got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailReason {
    /// Timer B or F: stands for 408.
    TimedOut,
    /// The flow is gone, or there were too many transactions to open another: stands for 503.
    Transport,
}

/// Why a session ended without our doing.
#[derive(Clone, Debug)]
pub enum EndReason {
    /// The peer's BYE, already answered.
    Bye(Message),
    /// Our 2xx was never acknowledged; a BYE was sent.
    AckTimeout,
    /// The peer does not know the dialog any more (481 or 408 to a re-INVITE, RFC 3261 12.2.1.2); a BYE was sent.
    Gone,
    /// The transport failed for good.
    Transport,
    /// The peer did not refresh in time (RFC 4028 10); a BYE was sent.
    SessionExpired,
    /// The peer's INVITE was not answered within its `Expires` and got 487 (RFC 3261 13.3.1).
    Expired,
}

/// What happened. A session ends by exactly one terminal event ([`Event::Refused`], [`Event::Cancelled`],
/// [`Event::Ended`]), or by `hang_up` or `reject`, after which no more events come for it.
#[derive(Clone, Debug)]
pub enum Event {
    /// A request outside a dialog (REGISTER, OPTIONS, MESSAGE, …); answer with `respond`.
    Request {
        /// For the answer.
        tx: ServerTx,
        /// The request.
        message: Message,
        /// Where it came from.
        path: Path,
        /// By which transport.
        transport: Transport,
    },
    /// A response to `send_request` or `request_in_dialog`; provisional or final.
    Response {
        /// Which request.
        tx: ClientTx,
        /// The response.
        message: Message,
    },
    /// No response will come.
    RequestFailed {
        /// Which request.
        tx: ClientTx,
        /// Why.
        why: FailReason,
    },
    /// A new call. Require (420), merging (482) and Max-Forwards (483) are checked, 100 is sent by itself.
    Invited {
        /// The new session: to be answered by `progress`, `answer`, `reject`.
        session: SessionId,
        /// The INVITE.
        message: Message,
        /// Where it came from.
        path: Path,
        /// By which transport.
        transport: Transport,
    },
    /// A provisional above 100 to our INVITE; forks differ by their To tags.
    Provisional {
        /// Which session.
        session: SessionId,
        /// The response.
        message: Message,
    },
    /// The first 2xx to our INVITE: call `ack`.
    Answered {
        /// Which session.
        session: SessionId,
        /// The response.
        message: Message,
    },
    /// Our INVITE failed. Terminal.
    Refused {
        /// Which session.
        session: SessionId,
        /// The status; 408 for a time-out, 503 for a lost transport.
        status: u16,
        /// The response, where there was one.
        message: Option<Message>,
    },
    /// The peer cancelled its INVITE; CANCEL and INVITE are answered. Terminal.
    Cancelled {
        /// Which session.
        session: SessionId,
        /// The CANCEL, for its Reason.
        message: Message,
    },
    /// The ACK to our 2xx (INVITE or re-INVITE).
    Acked {
        /// Which session.
        session: SessionId,
        /// SDP of the ACK: the answer, when our 2xx had the offer.
        sdp: Option<Bytes>,
        /// The ACK, for its headers.
        message: Message,
    },
    /// A re-INVITE; answer with `answer_reinvite` or `reject_reinvite`.
    Reinvited {
        /// Which session.
        session: SessionId,
        /// The re-INVITE.
        message: Message,
    },
    /// The peer cancelled its re-INVITE, which got 487; the session goes on.
    ReinviteCancelled {
        /// Which session.
        session: SessionId,
    },
    /// The first 2xx to our re-INVITE: call `ack`.
    ReinviteAnswered {
        /// Which session.
        session: SessionId,
        /// The response.
        message: Message,
    },
    /// Our re-INVITE failed, the session goes on as before. 491 has been retried already.
    ReinviteRefused {
        /// Which session.
        session: SessionId,
        /// The status.
        status: u16,
    },
    /// INFO, UPDATE with SDP, NOTIFY, REFER, MESSAGE, OPTIONS, … in a dialog, early ones too; answer with `respond`.
    InDialog {
        /// Which session.
        session: SessionId,
        /// For the answer.
        tx: ServerTx,
        /// The request.
        message: Message,
    },
    /// The flow that the session's requests go down is closed; the session waits for `update_path` or `hang_up`.
    FlowLost {
        /// Which session.
        session: SessionId,
    },
    /// The session is over. Terminal.
    Ended {
        /// Which session.
        session: SessionId,
        /// Why.
        why: EndReason,
    },
}

/// What was dropped or turned away, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages that could not be read.
    pub malformed: u64,
    /// Responses that match no transaction.
    pub stray_responses: u64,
    /// ACKs that match nothing.
    pub stray_acks: u64,
    /// Requests turned away by the limit per source.
    pub limited: u64,
    /// Requests turned away because nobody knows where they come from.
    pub strangers: u64,
    /// Requests turned away because a table was full.
    pub overloaded: u64,
}
