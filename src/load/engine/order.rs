//! What signalling tells the media thread, what the background tells it, and what it tells signalling: plain data.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::load::browser::ice::IcePeer;
use crate::load::outcome::{AudioCheck, Histogram, Way};
use crate::load::voice::{LookAhead, Voice};
use crate::load::witness::Line;
use crate::plan::{AudioCodec, DtlsFailure, DtlsRole, Fingerprint, IceCredentials, Pt};
use crate::rtp::RtpHeader;
use crate::webrtc::srtp::{Inbound, Outbound};

/// One call's place at the media thread; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeatId(pub u32);

/// One of a call's two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The browser's.
    Browser,
    /// The trunk's.
    Trunk,
}

impl Side {
    /// The one that it speaks with.
    pub fn other(self) -> Side {
        match self {
            Side::Browser => Side::Trunk,
            Side::Trunk => Side::Browser,
        }
    }
}

/// A call's sockets and what is drawn for it.
#[derive(Debug)]
pub struct SeatPlan {
    /// The browser's only socket; a witness has one of its own.
    pub browser: UdpSocket,
    /// The way to the witness that is the browser; `None`: we are it.
    pub witness: Option<Line>,
    /// The browser's credentials; `None`: it speaks plain RTP, as to the floor.
    pub ice: Option<IceCredentials>,
    /// The trunk's RTP.
    pub rtp: UdpSocket,
    /// The trunk's RTCP.
    pub rtcp: Option<UdpSocket>,
    /// SSRC of the browser, as it stands in its SDP.
    pub ssrc: u32,
    /// What the codecs themselves delay.
    pub ahead: LookAhead,
    /// Numbers of its own: sequence numbers, phases, transactions.
    pub seed: u64,
    /// Whether it has media; otherwise it is set up and stays silent.
    pub speaks: bool,
}

/// What an end says, and how it hears.
#[derive(Clone, Debug)]
pub struct Speech {
    /// Payload type, both ways.
    pub pt: Pt,
    /// What it expects to hear.
    pub codec: AudioCodec,
    /// What it says.
    pub voice: Arc<Voice>,
}

/// Whom an end speaks with.
#[derive(Clone, Debug)]
pub enum Peer {
    /// Plain RTP.
    Plain {
        /// Where RTP goes.
        rtp: SocketAddr,
        /// Where RTCP goes; `None`: there is none.
        rtcp: Option<SocketAddr>,
    },
    /// Whoever the witness has found.
    Witnessed,
    /// ICE, DTLS-SRTP.
    Secure {
        /// Its ICE side.
        ice: IcePeer,
        /// The certificate that it will show.
        fingerprint: Fingerprint,
        /// Our role.
        role: DtlsRole,
        /// The offer was ours.
        offered: bool,
    },
}

/// What the media thread is to do.
pub enum Order {
    /// A call begins.
    Open(SeatId, Box<SeatPlan>),
    /// An end knows its peer.
    Meet(SeatId, Side, Box<Peer>, Speech),
    /// The call is answered: both ends speak as soon as they can.
    Talk(SeatId),
    /// What is counted, is counted from now on, or no more.
    Measure(bool),
    /// The call is about to end: nobody speaks, and its figures are told.
    Quiet(SeatId),
    /// The call is over: its sockets are closed.
    Close(SeatId),
    /// The witness of a call is connected.
    Joined(SeatId),
    /// A witness has heard this packet at this time.
    Witnessed(SeatId, RtpHeader, Bytes, Instant),
    /// The background has shaken hands for the browser's end.
    Keys(SeatId, KeyResult),
    /// The background has looked at some sound.
    Probed(SeatId, Side, Finding),
    /// The run is over.
    Stop,
}

/// How hands were shaken.
pub type KeyResult = Result<Box<(Inbound, Outbound)>, DtlsFailure>;

/// What a window of sound came to.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The stream that it is of.
    pub stream: u32,
    /// Where the marker was sent and where it was heard, ticks; `None`: it was not.
    pub marker: Option<(i64, i64)>,
    /// Whose pilot it was; `None`: too little sound.
    pub audio: Option<AudioCheck>,
}

/// What the media thread tells.
#[derive(Debug)]
pub enum Told {
    /// ICE and DTLS of the browser's end are done.
    Connected(SeatId),
    /// They came to nothing.
    DtlsFailed(SeatId, DtlsFailure),
    /// The browser's peer has not answered a check for 30 s.
    ConsentLost(SeatId),
    /// Both ends have heard each other, the later one at this time.
    Heard(SeatId, Instant),
    /// The ways of a call: to the trunk, to the browser.
    Figures(SeatId, Box<(Way, Way)>),
    /// The driver's lateness during the hold.
    Lateness(Box<Histogram>),
    /// Once a second.
    Tick(Tick),
    /// A socket or thread cannot go on.
    Broken(std::io::Error),
}

/// The figures of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// Packets sent.
    pub sent: u64,
    /// Packets received.
    pub received: u64,
    /// Lateness, p99, µs.
    pub lateness_p99_us: u64,
}
