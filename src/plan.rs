//! What signalling wants of the media threads, and what these tell it: plain data, no behaviour.
//!
//! `call` and `gateway` write [`Order`]s, `io::worker` carries them out with `media` and reports [`Report`]s.
//! An order needs no reply to be valid: ICE credentials, SSRCs and ports are chosen by signalling
//! beforehand, so that an SDP is written without a round trip to a thread.

use std::net::SocketAddr;
use std::time::Duration;

use crate::id::{CallId, LegId, PortPairId};

/// RTP payload type, 0 to 127 (RFC 3550 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pt(pub u8);

/// The audio codecs of the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// PCMU/8000 (RFC 3551 4.5.14).
    Pcmu,
    /// PCMA/8000 (RFC 3551 4.5.14).
    Pcma,
    /// opus/48000/2 (RFC 7587); always run at 8 kHz here.
    Opus(OpusParams),
}

/// What was negotiated or configured for one Opus stream (RFC 7587 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpusParams {
    /// Encoder bit rate, bit/s.
    pub bitrate_bps: u32,
    /// Encoder complexity, 0 to 10.
    pub complexity: u8,
    /// The peer takes in-band FEC (`useinbandfec=1`).
    pub fec: bool,
    /// The peer takes discontinuous transmission (`usedtx=1`).
    pub dtx: bool,
}

impl Default for OpusParams {
    fn default() -> Self {
        OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false }
    }
}

/// The negotiated telephone-event format (RFC 4733).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventFormat {
    /// Payload type.
    pub pt: Pt,
    /// Clock rate in Hz, 8000 or 48000.
    pub clock_hz: u32,
}

/// What one direction-independent audio m-line came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioPlan {
    /// Codec sent and received.
    pub codec: AudioCodec,
    /// Payload type that we send the codec with.
    pub send_pt: Pt,
    /// Payload type that we expect the codec with.
    pub recv_pt: Pt,
    /// Event format that we send with; `None`: digits are not to be sent.
    pub send_event: Option<EventFormat>,
    /// Event formats that we expect, that of the codec's clock first: an answer to our offer may keep two, and its sender
    /// then chooses (Chromium sends 8000 beside Opus).
    pub recv_events: [Option<EventFormat>; 2],
    /// Payload type of the comfort noise that we expect (RFC 3389); `None`: it was not negotiated. None is ever sent.
    pub recv_noise: Option<Pt>,
    /// Length of the packets that we send, ms (10 to 60).
    pub ptime_ms: u8,
    /// We may send audio to this peer.
    pub send: bool,
    /// We take audio from this peer.
    pub recv: bool,
}

/// Our part in the DTLS handshake (RFC 8842).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsRole {
    /// We wait for the ClientHello (`a=setup:passive`); the normal case.
    Server,
    /// We send the ClientHello, only to a peer that insists on `passive`.
    Client,
}

/// A certificate hash as it stands in `a=fingerprint` (RFC 8122): SHA-256 only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

/// ICE credentials (RFC 8839 5.4): ufrag 4 to 256, pwd 22 to 256 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// User fragment.
    pub ufrag: String,
    /// Password.
    pub pwd: String,
}

impl std::fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceCredentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// What is known of the browser from its SDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserRemote {
    /// The browser's credentials.
    pub ice: IceCredentials,
    /// The certificate it will show; anything else ends the handshake.
    pub fingerprint: Fingerprint,
    /// Our DTLS role.
    pub role: DtlsRole,
    /// What the audio m-line came to.
    pub audio: AudioPlan,
}

/// The port of a browser leg: ICE-lite, DTLS-SRTP, rtcp-mux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserPlan {
    /// Our credentials; our ufrag is the key by which STUN finds the leg.
    pub ice: IceCredentials,
    /// SSRC that we send with.
    pub ssrc: u32,
    /// CNAME of that source, as it stands in the SDP (RFC 3550 6.5.1, RFC 7022): at most 255 bytes go out.
    pub cname: String,
    /// Known from the offer, or filled in by [`Order::UpdateBrowser`] when the answer is there.
    pub remote: Option<BrowserRemote>,
}

/// Which media sources besides the signalled one the plain leg believes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Latch {
    /// The signalled address and port only.
    Off,
    /// Another port of the signalled address, once, within 2 s of a change of SDP.
    #[default]
    Port,
    /// Another address too, once, within 2 s of a change of SDP.
    Any,
}

/// A de-jitter buffer: how long packets wait, at the most, behind the quickest of the last seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dejitter {
    /// Its length in ms, up to 200; 0: there is none.
    pub ms: u16,
    /// The length is the most that there may be, and follows what the last seconds needed; else packets wait for all of it.
    pub adaptive: bool,
}

/// What is known of the trunk peer from its SDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpRemote {
    /// Where RTP goes; an unspecified address (`0.0.0.0`) or port 0: nothing is sent.
    pub rtp: SocketAddr,
    /// Where RTCP goes (RFC 3605, else RTP port + 1).
    pub rtcp: SocketAddr,
    /// What the audio m-line came to.
    pub audio: AudioPlan,
}

/// The port of a trunk leg: plain RTP/AVP with a port pair of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpPlan {
    /// A bound pair out of the worker's reserve; the leg owns it until it is closed.
    pub pair: PortPairId,
    /// SSRC that we send with, for audio and events alike.
    pub ssrc: u32,
    /// The rule against injection.
    pub latch: Latch,
    /// How long what the peer sends waits.
    pub dejitter: Dejitter,
    /// Known from the offer, or filled in by [`Order::UpdateRtp`].
    pub remote: Option<RtpRemote>,
}

/// One or two sine waves, for a part of a [`Cadence`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TonePart {
    /// Frequencies in Hz; 0 is absent.
    pub hz: [u16; 2],
    /// Length; an unspecified length is [`Duration::MAX`].
    pub length: Duration,
}

/// A tone pattern, repeated for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// Parts in order; `hz: [0, 0]` is silence.
    pub parts: Vec<TonePart>,
    /// Level of each sine in dBm0.
    pub level_dbm0: i8,
}

/// Names a recorded sound: its place among those that the workers were given at their start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SoundId(pub u32);

/// What a parked leg hears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Nothing is sent.
    #[default]
    Nothing,
    /// A generated tone.
    Tone(Cadence),
    /// A recorded sound over and over, from its beginning for each leg; one that is not known is silence.
    Sound(SoundId),
}

/// How ports are connected. Naming a leg takes it out of the topology that it was in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// The leg is alone. Where it hears this source already, it goes on from where it is.
    Parked(LegId, Source),
    /// Two legs hear each other.
    Pair(LegId, LegId),
    /// Each leg hears all the others and never itself. The mix that has most of them goes on as this one: legs that it
    /// keeps notice nothing, those that it no longer names are parked on nothing, and so is one that all others leave.
    Mix(Vec<LegId>),
}

/// What the worker is to do. Orders for one leg are carried out in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Opens the port of a browser leg, parked on nothing.
    OpenBrowser(LegId, Box<BrowserPlan>),
    /// Opens the port of a trunk leg, parked on nothing.
    OpenRtp(LegId, Box<RtpPlan>),
    /// The browser's description is known or has changed (answer, re-INVITE). Where credentials,
    /// fingerprint and role are as before, ICE, DTLS and SRTP go on untouched.
    UpdateBrowser(LegId, Box<BrowserRemote>),
    /// The browser restarted ICE: these are our new credentials, the old ones are good until a new pair is nominated.
    RestartIce(LegId, IceCredentials),
    /// The trunk peer's description is known or has changed.
    UpdateRtp(LegId, RtpRemote),
    /// Changes who hears whom.
    Connect(Topology),
    /// Sends a digit to this leg as RFC 4733 (from SIP INFO).
    SendDigit(LegId, Digit),
    /// Copies what the leg's peer sends and is sent, without encryption, into the capture of a call; `None`: no more.
    Tap(LegId, Option<CallId>),
    /// Closes the port; its last [`Report`] is `Closed`. A port pair goes back into the reserve once drained.
    Close(LegId),
    /// Gives an unused pair back (a set-up that failed before its port was opened).
    ReleasePair(PortPairId),
}

/// A key of the telephone, with its length (RFC 4733 events 0 to 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digit {
    /// Event code: 0-9, 10 `*`, 11 `#`, 12-15 `A`-`D`.
    pub event: u8,
    /// How long the key was held.
    pub duration: Duration,
}

/// What a media thread tells signalling.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// Bound pairs that signalling may now write into SDP: id and the address of the even RTP port
    /// (RTCP is the next port), as advertised.
    PairsReady(Vec<(PortPairId, SocketAddr)>),
    /// ICE and DTLS are done, media can flow (browser legs only).
    Connected(LegId),
    /// No valid ICE check for 30 s (RFC 7675).
    ConsentLost(LegId),
    /// The handshake failed for good.
    DtlsFailed(LegId, DtlsFailure),
    /// The leg's peer pressed a key (RFC 4733 or in band of INFO: one report per key).
    Digit(LegId, Digit),
    /// Figures of a leg, last words after [`Order::Close`].
    Closed(LegId, LegStats),
    /// Once a second: the share of its core that the worker's thread used, in thousandths (0 to 1000).
    Load {
        /// The share.
        permille: u16,
    },
}

/// Why a DTLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsFailure {
    /// The certificate shown is not the one of the SDP.
    Fingerprint,
    /// No SRTP profile in common.
    NoProfile,
    /// Protocol error or time-out.
    Handshake,
}

/// What a leg saw, from its own side. Counts are packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegStats {
    /// RTP packets taken from the peer.
    pub received: u64,
    /// RTP packets sent to the peer.
    pub sent: u64,
    /// Packets that never came, by sequence number.
    pub lost: u64,
    /// Packets that came too late to be used.
    pub late: u64,
    /// Frames concealed or rebuilt by FEC.
    pub concealed: u64,
    /// Packets discarded: unauthentic, malformed, of an unknown payload type.
    pub discarded: u64,
    /// Interarrival jitter of the peer, µs (RFC 3550 6.4.1).
    pub jitter_us: u32,
    /// Round trip time by RTCP, µs; 0: not known.
    pub rtt_us: u32,
    /// How long a packet waits here, for those before it or for its time, smoothed, µs.
    pub wait_us: u32,
}

/// What signalling knows of a worker before the first call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSite {
    /// Which worker.
    pub worker: crate::id::WorkerId,
    /// Host candidates for its browser legs, most preferred first, as advertised.
    pub candidates: Vec<SocketAddr>,
}
