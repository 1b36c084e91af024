//! What goes into an [`Endpoint`](super::Endpoint): configuration and orders.

use std::time::Duration;

use bytes::Bytes;

use crate::path::{Path, Transport};
use crate::sip::message::Method;

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
    /// Option tags that a `Require` may name (RFC 3261 8.2.2.3); `timer` is always understood, `100rel` by
    /// those that `set_reliable` names.
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
    /// Challenges of requests in dialogs come as [`Event::Unproved`](super::Event::Unproved), each to be answered by
    /// `prove`. Without it they come as any other refusal.
    pub answers_challenges: bool,
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
                Method::Prack,
            ],
            max_transactions: 100_000,
            max_sessions: 20_000,
            source_limit: SourceLimit::default(),
            answers_challenges: false,
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

/// Whether provisional responses to an INVITE of ours are to be acknowledged (RFC 3262).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliable {
    /// We do not speak of it.
    #[default]
    No,
    /// `Supported: 100rel`: the callee may.
    Supported,
    /// `Require: 100rel`: the callee must, or refuse with 420.
    Required,
}

/// Who keeps a session alive (RFC 4028 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// We do.
    Us,
    /// The peer does.
    Peer,
}

/// A session timer that we ask for (RFC 4028 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimer {
    /// Session-Expires, in seconds; raised to Min-SE where it is below it.
    pub interval_s: u32,
    /// Min-SE, in seconds; raised to 90 where it is below it.
    pub min_se_s: u32,
    /// Whom we want to refresh; `None`: the peer chooses.
    pub refresher: Option<Refresher>,
}

/// A new call. Via, Max-Forwards, Allow, Supported and the From tag are added. The default is empty: fill in at least
/// `uri`, `from`, `to` and `contact`.
#[derive(Clone, Debug, Default)]
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
    /// Call-ID; `None`: a random one.
    pub call_id: Option<String>,
    /// CSeq number; `None`: 1.
    pub cseq: Option<u32>,
    /// We have an account there: 401 and 407 come as [`Event::Challenged`](super::Event::Challenged), to be answered by
    /// `authorize`. Without it they come as [`Event::Refused`](super::Event::Refused).
    pub has_account: bool,
    /// Provisional responses that are acknowledged (RFC 3262).
    pub reliable: Reliable,
    /// The session timer to ask for (RFC 4028); `None`: whatever the peer asks for is honoured.
    pub session_expires: Option<SessionTimer>,
}

/// What tells a dialog from all others (RFC 3261 12): for a Replaces that we write, `to_tag` is the peer's, `from_tag` ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialogId {
    /// Call-ID.
    pub call_id: String,
    /// Our tag.
    pub local_tag: String,
    /// The peer's tag; empty where it gave none.
    pub remote_tag: String,
}

/// A transfer that we ask the peer for (RFC 3515).
#[derive(Clone, Debug, Default)]
pub struct OutRefer {
    /// Refer-To, as [`ReferTo`](crate::sip::refer::ReferTo) writes it.
    pub refer_to: String,
    /// Referred-By (RFC 3892).
    pub referred_by: Option<String>,
    /// We do not want to hear how it goes: `Refer-Sub: false` (RFC 4488). The peer may tell us all the same.
    pub is_silent: bool,
    /// Further headers.
    pub headers: Vec<Header>,
}

/// A re-INVITE must wait: another INVITE transaction of the dialog is still open (RFC 3261 14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another INVITE transaction of this dialog is open, or there is no such confirmed session")]
pub struct Pending;
