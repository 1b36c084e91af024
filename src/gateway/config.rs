//! What the gateway needs to know before it starts; made by `app` out of the configuration file.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::audio::{BrowserCodec, OpusTerms};
use super::capture::CapturePolicy;
use super::placement::OverloadPolicy;
use super::trunks::policy::{Route, TrunkPolicy};
use crate::call::{AnswerMode, Tones};
use crate::path::{Net, Transport};
use crate::plan::{AudioCodec, Dejitter, Latch, OpusParams, Source};
use crate::sip::endpoint::SourceLimit;

/// Everything the gateway is configured by. Addresses are those in force: a port 0 must be resolved before.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Digest realm, and host part of the URIs that browsers are shown.
    pub realm: String,
    /// Value of User-Agent and Server.
    pub user_agent: String,
    /// All SIP sockets, named by their place in this list.
    pub listeners: Vec<Listener>,
    /// SIP peers; the first one takes outgoing calls where there are no `routes`.
    pub trunks: Vec<Trunk>,
    /// Which trunk a number goes to, in order of preference.
    pub routes: Vec<Route>,
    /// Who may register, and call.
    pub dns: Vec<DnRule>,
    /// Rules for REGISTER and digest.
    pub registration: RegistrationPolicy,
    /// Rules for calls.
    pub calls: CallPolicy,
    /// What is offered and answered in SDP.
    pub media: MediaPolicy,
    /// Requests from an address that is neither a trunk's nor a registered browser's.
    pub source_limit: SourceLimit,
    /// Call-progress tones that browsers hear where the trunk sends none.
    pub tones: Tones,
    /// What a party on hold hears, where its trunk does not say.
    pub hold: Source,
    /// Which calls are written to files.
    pub capture: CapturePolicy,
}

/// Names a listener: its place in [`GatewayConfig::listeners`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub usize);

/// One SIP socket.
#[derive(Clone, Debug)]
pub struct Listener {
    /// What it speaks.
    pub transport: Transport,
    /// Bound address; for UDP this is `local` of every [`Path::Udp`](crate::path::Path::Udp) on it.
    pub bind: SocketAddr,
    /// `host:port` for Via and Contact, as peers reach it.
    pub advertise: String,
    /// Challenge with SHA-256 beside MD5 (RFC 8760). JsSIP and SIP.js read only the first challenge: off by default.
    pub sha256: bool,
}

/// One SIP peer: a group of addresses that are all the same to us.
#[derive(Clone, Debug)]
pub struct Trunk {
    /// For logs and pages.
    pub name: String,
    /// Where requests go, in order of preference; each may be several addresses.
    pub destinations: Vec<Destination>,
    /// Networks whose requests are believed, beside the hosts of `destinations`.
    pub sources: Vec<Net>,
    /// Name in the certificate of a TLS peer; without it the destination's own name or address.
    pub tls_name: Option<String>,
    /// Requests over 1300 bytes to a UDP destination go by TCP to the same address (RFC 3261 18.1.1).
    pub large_over_tcp: bool,
    /// Codecs in order of preference, PCMU and PCMA.
    pub codecs: Vec<AudioCodec>,
    /// Length of the packets that we offer, ms (10 to 60).
    pub ptime_ms: u8,
    /// It may send comfort noise in place of silence (RFC 3389).
    pub comfort_noise: bool,
    /// How long what it sends waits.
    pub dejitter: Dejitter,
    /// Rule against RTP injection.
    pub latch: Latch,
    /// Advertised address of its legs' media; without it the first of the peer's address family.
    pub media: Option<IpAddr>,
    /// It takes REFER and does transfers itself; else the gateway calls the target and joins the two parties.
    pub refer: bool,
    /// What its parties hear on hold; [`GatewayConfig::hold`] without it.
    pub hold: Option<Source>,
    /// How it is watched, and how DNs are registered there.
    pub policy: TrunkPolicy,
    /// Which header fields go along with a call.
    pub carry: Carry,
    /// A 3xx is followed: the number that it names is called at the same target. Else the browser's call is refused.
    pub follow_redirects: bool,
    /// How Opus is spoken with the browsers of its calls, where [`MediaPolicy`] is not to say.
    pub opus: OpusTerms,
}

/// Names of header fields that are carried from one side of a call to the other: whole, or a beginning with `*` behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carry {
    /// From the trunk to browsers, and kept on the call.
    pub inbound: Vec<String>,
    /// From browsers to the trunk; what asserts an identity is never taken from a browser.
    pub outbound: Vec<String>,
}

impl Carry {
    /// Returns true for a header field that may be carried: it says nothing of the dialog, the transaction or the hop.
    pub fn is_carriable(name: &str) -> bool {
        super::identity::may_be_carried(name)
    }
}

impl Default for Carry {
    fn default() -> Self {
        let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect();
        Carry {
            inbound: names(&["X-Genesys-*", "x-iscc-*", "User-to-User", "Diversion", "Privacy"]),
            outbound: names(&["User-to-User", "Privacy"]),
        }
    }
}

/// Where the requests of a trunk go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An address: nothing is looked up (RFC 3263 4.2).
    Address {
        /// What it speaks: UDP, TCP or TLS.
        transport: Transport,
        /// Where.
        addr: SocketAddr,
    },
    /// A name, looked up again as its answer runs out (RFC 3263).
    Name {
        /// The name, without a port.
        host: String,
        /// With a port no SRV record is asked for.
        port: Option<u16>,
        /// Without a transport, and without a port, NAPTR records choose it.
        transport: Option<Transport>,
    },
}

/// A DN or a range of DNs with their secret and rights.
#[derive(Clone, Debug)]
pub struct DnRule {
    /// Which DNs.
    pub dns: DnSet,
    /// What they authenticate with.
    pub secret: Secret,
    /// Challenge these with SHA-256 first.
    pub sha256: bool,
    /// Prefixes of the numbers that may be dialled; empty: all.
    pub dial: Vec<String>,
    /// What the DN's own requests to a trunk are authenticated with; without it the trunk's own secret.
    pub trunk_secret: Option<Secret>,
    /// How long these ring before the caller hears 480; [`CallPolicy::ring_timeout`] without it.
    pub ring: Option<Duration>,
    /// How the phone is made to answer by NOTIFY talk.
    pub answer: AnswerMode,
    /// A phone that lost its dialogs (a page reload) is sent a new INVITE for its call, though it did not say that it
    /// knows what this means.
    pub resume: bool,
    /// How Opus is spoken with its phones, before the trunk and [`MediaPolicy`] are asked.
    pub opus: OpusTerms,
    /// Codecs towards its phones in order of preference; empty: [`MediaPolicy::browser_codecs`].
    pub codecs: Vec<BrowserCodec>,
    /// Calls at a time of one DN; a further one to it gets 486, one from it 403.
    pub calls: usize,
}

/// One DN or a numeric range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnSet {
    /// A single DN, any user part.
    One(String),
    /// `first` to `last`, both included, written with exactly `digits` digits.
    Range {
        /// First number.
        first: u64,
        /// Last number.
        last: u64,
        /// Number of digits, leading zeros included.
        digits: usize,
    },
}

impl DnSet {
    /// Returns true if `dn` is one of these.
    pub fn contains(&self, dn: &str) -> bool {
        match self {
            DnSet::One(one) => one == dn,
            DnSet::Range { first, last, digits } => {
                dn.len() == *digits
                    && dn.bytes().all(|b| b.is_ascii_digit())
                    && dn.parse::<u64>().is_ok_and(|n| (*first..=*last).contains(&n))
            }
        }
    }
}

/// A digest secret. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The password itself.
    Plain(String),
    /// Only for a single DN: `H(dn:realm:password)` in lower-case hex.
    Ha1 {
        /// By MD5, 32 digits.
        md5: Option<String>,
        /// By SHA-256, 64 digits.
        sha256: Option<String>,
    },
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Secret::Plain(_) => "Secret::Plain(..)",
            Secret::Ha1 { .. } => "Secret::Ha1(..)",
        })
    }
}

/// Rules for REGISTER and digest.
#[derive(Clone, Debug)]
pub struct RegistrationPolicy {
    /// Shortest expiry that is granted; below: 423 (RFC 3261 10.3).
    pub min_expires: Duration,
    /// Longest expiry that is granted.
    pub max_expires: Duration,
    /// Granted where nothing is asked for.
    pub default_expires: Duration,
    /// Bindings per DN; the oldest goes when another comes.
    pub max_bindings: usize,
    /// How long a nonce is fresh.
    pub nonce_lifetime: Duration,
    /// Wrong passwords of one address for one DN within [`Self::failure_window`] before it is refused unheard.
    pub max_failures: u32,
    /// See [`Self::max_failures`].
    pub failure_window: Duration,
}

impl Default for RegistrationPolicy {
    fn default() -> Self {
        RegistrationPolicy {
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(3600),
            default_expires: Duration::from_secs(600),
            max_bindings: 8,
            nonce_lifetime: Duration::from_secs(300),
            max_failures: 10,
            failure_window: Duration::from_secs(60),
        }
    }
}

/// Rules for calls.
#[derive(Clone, Debug)]
pub struct CallPolicy {
    /// Calls at a time; above: 503.
    pub max_calls: usize,
    /// When a worker has too much to do for further calls.
    pub overload: OverloadPolicy,
    /// How long a browser may ring before the caller hears 480.
    pub ring_timeout: Duration,
    /// How long the trunk may stay without a final response.
    pub dial_timeout: Duration,
    /// How long a call lives on after its browser's connection was lost; zero: it ends at once.
    pub flow_grace: Duration,
    /// Whether a DN that calls another one is connected here.
    pub local: LocalCalls,
    /// Value of Retry-After with a 503.
    pub retry_after: Duration,
    /// How long the target of a transfer may ring before the call is given back.
    pub transfer_timeout: Duration,
    /// The others of a conference stay joined when the agent leaves; else all ends with the agent.
    pub conference_stays: bool,
    /// How long a browser hears busy or congestion before it is told that its call is refused; zero: it is told at once.
    pub refusal_tone: Duration,
}

impl Default for CallPolicy {
    fn default() -> Self {
        CallPolicy {
            max_calls: 2000,
            overload: OverloadPolicy::default(),
            ring_timeout: Duration::from_secs(120),
            dial_timeout: Duration::from_secs(180),
            flow_grace: Duration::from_secs(20),
            local: LocalCalls::Never,
            retry_after: Duration::from_secs(5),
            transfer_timeout: Duration::from_secs(60),
            conference_stays: false,
            refusal_tone: Duration::ZERO,
        }
    }
}

/// Whether calls between two of our DNs stay here; the SIP Server does not see those that do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocalCalls {
    /// They go out to the trunk.
    #[default]
    Never,
    /// Only while the trunk is down.
    TrunkDown,
    /// Wherever the DN that is called is registered here.
    Always,
}

/// What is offered and answered in SDP towards browsers, where neither the DN nor the trunk says otherwise.
#[derive(Clone, Debug)]
pub struct MediaPolicy {
    /// Opus as we ask for it.
    pub opus: OpusParams,
    /// Length of Opus packets, sent and asked for, ms: 10, 20, 40 or 60.
    pub opus_ptime_ms: u8,
    /// Codecs in order of preference.
    pub browser_codecs: Vec<BrowserCodec>,
    /// Browsers are asked for narrow-band Opus: what comes from them goes to G.711.
    pub narrowband: bool,
}

impl Default for MediaPolicy {
    fn default() -> Self {
        let browser_codecs = vec![BrowserCodec::Opus, BrowserCodec::Pcmu, BrowserCodec::Pcma];
        MediaPolicy { opus: OpusParams::default(), opus_ptime_ms: 20, browser_codecs, narrowband: true }
    }
}
