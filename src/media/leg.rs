//! One leg: its port, what it hears, what it is sent, and whom it is joined with.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::conceal::Conceal;
use super::discard::Discard;
use super::engine::{Sink, Socket};
use super::framer::Framer;
use super::hush::Hush;
use super::key::Keys;
use super::news::News;
use super::noise::Noise;
use super::pause::Pause;
use super::player::Player;
use super::port::browser::BrowserPort;
use super::port::rtp::RtpPort;
use super::report::Reception;
use super::seat::Seat;
use super::stream::Stream;
use super::tap::{Direction, PacketKind, Tap, Tapped};
use super::timeline::Timeline;
use super::waiting::Waiting;
use crate::codec::opus::{Decoder, Encoder};
use crate::id::LegId;
use crate::packet::PacketBuf;
use crate::plan::{AudioCodec, AudioPlan, EventFormat, LegStats, OpusParams, Pt};
use crate::rtp::DtmfReceiver;

/// Samples per millisecond at 8 kHz.
const PER_MS: usize = 8;
/// How long what was negotiated before is still understood: the peer changes over when our answer is there, and what it has
/// sent by then is on its way.
const FORMER: Duration = Duration::from_secs(10);

/// How the peer is reached.
#[derive(Debug)]
pub(super) enum Port {
    Browser(Box<BrowserPort>),
    Rtp(RtpPort),
}

/// A leg.
#[derive(Debug)]
pub(super) struct Leg {
    pub id: LegId,
    pub port: Port,
    pub audio: Option<AudioPlan>,
    pub inbound: Inbound,
    pub outbound: Outbound,
    /// Whom it is paired with.
    pub peer: Option<usize>,
    /// Its place in a mix.
    pub seat: Option<Box<Seat>>,
    /// What it hears while it is parked.
    pub player: Option<Box<Player>>,
    pub news: News,
    /// The deadline that is entered in the heap.
    pub due: Option<Instant>,
    pub tap: Option<Box<Tap>>,
    pub stats: LegStats,
}

/// The stream that the peer sends.
#[derive(Debug)]
pub(super) struct Inbound {
    pub timeline: Option<Timeline>,
    /// Source time of the frame that is expected next; `None`: nothing is missed.
    pub expected: Option<i64>,
    pub decoder: Option<Decoder>,
    pub conceal: Conceal,
    /// Packets that wait, where that is asked for.
    pub waiting: Option<Box<Waiting>>,
    /// The peer has told that it says nothing for a while.
    pub pause: Option<Pause>,
    /// Samples that were added because what ended a pause came late; taken out in the next one.
    pub ahead: i64,
    /// The peer's comfort noise, once it has sent any.
    pub noise: Option<Box<Noise>>,
    pub key: DtmfReceiver,
    pub reception: Reception,
    /// What was negotiated before, and until when it is understood.
    pub former: Option<(AudioPlan, Instant)>,
}

/// What a payload type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Audio(AudioCodec),
    Event(EventFormat),
    /// Comfort noise (RFC 3389).
    Noise,
}

impl Default for Inbound {
    fn default() -> Self {
        Inbound {
            timeline: None,
            expected: None,
            decoder: None,
            conceal: Conceal::default(),
            waiting: None,
            pause: None,
            ahead: 0,
            noise: None,
            key: DtmfReceiver::new(8000),
            reception: Reception::default(),
            former: None,
        }
    }
}

/// The stream that the peer is sent.
#[derive(Debug)]
pub(super) struct Outbound {
    pub stream: Stream,
    pub framer: Framer,
    pub encoder: Option<(OpusParams, Encoder)>,
    pub hush: Hush,
    pub key: Keys,
    /// Loss that the peer reports, in percent.
    pub loss_percent: u8,
    /// When the next RTCP report is due.
    pub report_at: Instant,
    /// When the last one was sent.
    pub reported_at: Instant,
    /// Name of the source in our RTCP; for a browser that of the SDP.
    pub cname: Box<str>,
}

impl Leg {
    /// Takes what was negotiated; streams go on where they were, and on the same clock without a break.
    pub(super) fn set_audio(&mut self, plan: AudioPlan, now: Instant) {
        let before = self.audio.replace(plan);
        self.outbound.framer.set_frame(frame_samples(&plan));
        self.outbound.stream.set_scale(scale(plan.codec));
        match before {
            Some(before) if scale(before.codec) == scale(plan.codec) => {
                if before.send != plan.send || before.recv != plan.recv {
                    self.forget();
                }
                if before.codec != plan.codec || before.send_pt != plan.send_pt {
                    self.outbound.stream.mark();
                }
                if (before.codec, before.recv_pt, before.recv_events) != (plan.codec, plan.recv_pt, plan.recv_events) {
                    self.inbound.former = Some((before, now + FORMER));
                }
            }
            _ => {
                self.inbound.former = None;
                self.inbound.timeline = None;
                self.forget();
            }
        }
        if plan.send_event.is_none() || !plan.send {
            self.outbound.key.sender.clear();
        }
    }

    /// Returns what a payload type of the peer's stands for.
    #[inline]
    pub(super) fn format(&self, pt: Pt, now: Instant) -> Option<Format> {
        let of = |plan: &AudioPlan| match plan.recv_events.into_iter().flatten().find(|event| event.pt == pt) {
            Some(event) => Some(Format::Event(event)),
            None if plan.recv_pt == pt => Some(Format::Audio(plan.codec)),
            None => (plan.recv_noise == Some(pt)).then_some(Format::Noise),
        };
        let former = || self.inbound.former.as_ref().filter(|(_, until)| now <= *until).and_then(|(plan, _)| of(plan));
        self.audio.as_ref().and_then(of).or_else(former)
    }

    /// Forgets the source: who hears whom has changed, or the direction. The next packet is a beginning.
    pub(super) fn forget(&mut self) {
        self.inbound.expected = None;
        self.inbound.pause = None;
        if let Some(waiting) = &mut self.inbound.waiting {
            waiting.clear();
        }
        self.inbound.conceal.clear();
        self.outbound.stream.rebase();
        self.outbound.framer.clear();
    }

    /// Tells whether audio may be sent at all: negotiated, not on hold, and somewhere to send it.
    #[inline]
    pub(super) fn can_send(&self) -> bool {
        self.audio.is_some_and(|a| a.send)
            && match &self.port {
                Port::Browser(port) => port.target().is_some(),
                Port::Rtp(port) => port.target().is_some(),
            }
    }

    /// Sends a packet to the peer; it has room for the SRTP or SRTCP trailer behind it.
    #[inline]
    pub(super) fn transmit(
        &mut self,
        kind: PacketKind,
        packet: &mut PacketBuf,
        now: Instant,
        out: &mut impl Sink,
    ) -> Result<(), Discard> {
        if self.tap.is_some() {
            self.overhear(Direction::Sent, kind, None, packet.bytes(), now);
        }
        match &mut self.port {
            Port::Browser(port) => {
                let (socket, to) = port.target().ok_or(Discard::Direction)?;
                let (buffer, len) = packet.with_tail();
                let len = match kind {
                    PacketKind::Rtp => port.transport.protect_rtp(buffer, len)?,
                    PacketKind::Rtcp => port.transport.protect_rtcp(buffer, len)?,
                };
                packet.set_len(len);
                out.send(Socket::Browser(socket), to, packet.bytes());
            }
            Port::Rtp(port) => {
                let (socket, to) = match kind {
                    PacketKind::Rtp => (Socket::Rtp(port.pair), port.target()),
                    PacketKind::Rtcp => (Socket::Rtcp(port.pair), port.rtcp_target()),
                };
                out.send(socket, to.ok_or(Discard::Direction)?, packet.bytes());
            }
        }
        self.stats.sent += u64::from(kind == PacketKind::Rtp);
        Ok(())
    }

    /// Copies a plain packet into the tap. Without `from` the peer is the one that is sent to.
    #[cold]
    pub(super) fn overhear(
        &mut self,
        direction: Direction,
        kind: PacketKind,
        from: Option<SocketAddr>,
        packet: &[u8],
        now: Instant,
    ) {
        let (local, target) = match (&self.port, kind) {
            (Port::Browser(port), _) => port.target().unzip(),
            (Port::Rtp(port), PacketKind::Rtp) => (Some(0), port.target()),
            (Port::Rtp(port), PacketKind::Rtcp) => (Some(1), port.rtcp_target()),
        };
        if let (Some(tap), Some(local), Some(remote)) = (&mut self.tap, local, from.or(target)) {
            let at = now.saturating_duration_since(tap.opened());
            tap.offer(&Tapped { direction, kind, local, remote, at, packet });
        }
    }

    /// Returns the earliest thing that the leg waits for.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let transport = match &self.port {
            Port::Browser(port) => port.transport.poll_timeout(),
            Port::Rtp(_) => None,
        };
        [
            transport,
            Some(self.outbound.report_at),
            self.player.as_ref().map(|player| player.due()),
            self.outbound.key.due(now),
            self.inbound.key.poll_timeout(),
            self.inbound.pause.as_ref().map(Pause::due),
            self.inbound.waiting.as_ref().and_then(|waiting| waiting.poll_timeout()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Returns the length of the packets that are sent.
    pub(super) fn ptime(&self) -> Duration {
        Duration::from_micros(self.outbound.framer.frame() as u64 * 125)
    }

    /// Returns the address that media goes to, for logs.
    pub(super) fn target(&self) -> Option<SocketAddr> {
        match &self.port {
            Port::Browser(port) => port.target().map(|(_, to)| to),
            Port::Rtp(port) => port.target(),
        }
    }
}

/// Tells whether the codec is Opus.
#[inline]
pub(super) fn is_opus(codec: AudioCodec) -> bool {
    matches!(codec, AudioCodec::Opus(_))
}

/// Returns the clock of the codec in ticks per sample at 8 kHz (RFC 7587 4.1, RFC 3551 4.5.14).
#[inline]
pub(super) fn scale(codec: AudioCodec) -> u32 {
    if is_opus(codec) { 6 } else { 1 }
}

/// Returns the samples of a frame that is sent: the negotiated length, or for Opus the next shorter one that it has.
fn frame_samples(plan: &AudioPlan) -> usize {
    let ms = usize::from(plan.ptime_ms.clamp(10, 60));
    let ms = match (is_opus(plan.codec), ms) {
        (false, ms) => ms,
        (true, 10..20) => 10,
        (true, 20..40) => 20,
        (true, 40..60) => 40,
        (true, _) => 60,
    };
    ms * PER_MS
}
