//! An engine in simulated time, and peers that send and hear tones.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crosspoint::codec::{g711, opus};
use crosspoint::id::{LegId, PortPairId};
use crosspoint::media::{Engine, EngineConfig, Sink, Socket, Sound};
use crosspoint::packet::PacketBuf;
use crosspoint::plan::*;
use crosspoint::rtp::{HEADER_LEN, RtpHeader, RtpView, write_header};
use crosspoint::webrtc::dtls::{Certificate, DtlsVersions};

pub const A: LegId = LegId(1);
pub const B: LegId = LegId(2);
pub const C: LegId = LegId(3);

/// What was sent, by the engine.
#[derive(Default)]
pub struct Sent(pub Vec<(Socket, SocketAddr, Vec<u8>)>);

impl Sink for Sent {
    fn send(&mut self, socket: Socket, to: SocketAddr, datagram: &[u8]) {
        self.0.push((socket, to, datagram.to_vec()));
    }
}

/// One RTP packet, read.
#[derive(Clone, Debug)]
pub struct Heard {
    pub header: RtpHeader,
    pub payload: Vec<u8>,
}

pub fn certificate() -> Arc<Certificate> {
    static CERTIFICATE: OnceLock<Arc<Certificate>> = OnceLock::new();
    CERTIFICATE.get_or_init(|| Arc::new(Certificate::generate(DtlsVersions::V12).expect("a certificate"))).clone()
}

pub fn address(leg: LegId) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, leg.0 as u8], 4000))
}

pub fn pair(leg: LegId) -> PortPairId {
    PortPairId(leg.0)
}

pub fn plan(codec: AudioCodec) -> AudioPlan {
    let (pt, clock_hz) = match codec {
        AudioCodec::Pcmu => (0, 8000),
        AudioCodec::Pcma => (8, 8000),
        AudioCodec::Opus(_) => (111, 48_000),
    };
    let event = Some(EventFormat { pt: Pt(101), clock_hz });
    AudioPlan {
        codec,
        send_pt: Pt(pt),
        recv_pt: Pt(pt),
        send_event: event,
        recv_events: [event, None],
        recv_noise: None,
        ptime_ms: 20,
        send: true,
        recv: true,
    }
}

pub fn remote(leg: LegId, audio: AudioPlan) -> RtpRemote {
    let rtp = address(leg);
    RtpRemote { rtp, rtcp: SocketAddr::new(rtp.ip(), rtp.port() + 1), audio }
}

/// An engine with two plain legs that hear each other.
pub struct Rig {
    pub engine: Engine,
    pub now: Instant,
    pub out: Sent,
}

impl Rig {
    pub fn new(a: AudioPlan, b: AudioPlan) -> Self {
        let mut rig = Rig::parked(&[a, b], &[]);
        rig.order(Order::Connect(Topology::Pair(A, B)));
        rig
    }

    /// An engine with plain legs, `LegId(1)` and so on, that hear nothing.
    pub fn parked(plans: &[AudioPlan], sounds: &[Sound]) -> Self {
        Rig::of(plans, sounds, Duration::ZERO, Dejitter::default())
    }

    /// Two plain legs that hear each other, whose packets may have to wait; the buffer is B's.
    pub fn waiting(a: AudioPlan, b: AudioPlan, hold: Duration, dejitter: Dejitter) -> Self {
        let mut rig = Rig::of(&[a, b], &[], hold, dejitter);
        rig.order(Order::Connect(Topology::Pair(A, B)));
        rig
    }

    fn of(plans: &[AudioPlan], sounds: &[Sound], reorder_hold: Duration, dejitter: Dejitter) -> Self {
        let now = Instant::now();
        let config = EngineConfig {
            certificate: certificate(),
            browser: Vec::new(),
            ntp_at_start: 1 << 40,
            sounds: sounds.into(),
            reorder_hold,
        };
        let mut rig = Rig { engine: Engine::new(config, 7, now), now, out: Sent::default() };
        for (leg, audio) in (1..).map(LegId).zip(plans.iter().copied()) {
            let remote = Some(remote(leg, audio));
            rig.order(Order::OpenRtp(
                leg,
                Box::new(RtpPlan {
                    pair: pair(leg),
                    ssrc: leg.0 as u32,
                    latch: Latch::Off,
                    dejitter: if leg == B { dejitter } else { Dejitter::default() },
                    remote,
                }),
            ));
        }
        rig
    }

    pub fn order(&mut self, order: Order) {
        self.engine.handle_order(order, self.now, &mut self.out);
    }

    /// A datagram of a leg's peer arrives.
    pub fn arrive(&mut self, leg: LegId, header: RtpHeader, payload: &[u8]) {
        self.arrive_from(address(leg), leg, header, payload);
    }

    /// A datagram arrives at a leg's port from an address of one's choice.
    pub fn arrive_from(&mut self, from: SocketAddr, leg: LegId, header: RtpHeader, payload: &[u8]) {
        let mut packet = PacketBuf::new();
        let mut bytes = vec![0; HEADER_LEN];
        write_header(&mut bytes, &header);
        bytes.extend_from_slice(payload);
        packet.copy_from(&bytes);
        self.engine.handle_datagram(Socket::Rtp(pair(leg)), from, &mut packet, self.now, &mut self.out);
    }

    /// Lets time pass, with everything that is due in it.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.engine.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.engine.handle_timeout(self.now, &mut self.out);
        }
        self.now = until;
    }

    /// Takes what a leg's peer was sent.
    pub fn heard(&mut self, leg: LegId) -> Vec<Heard> {
        let heard = self.heard_anywhere(leg).into_iter();
        heard.map(|(to, heard)| if to == address(leg) { heard } else { panic!("{leg} is sent to {to}") }).collect()
    }

    /// Takes what was sent from a leg's port, with where it went.
    pub fn heard_anywhere(&mut self, leg: LegId) -> Vec<(SocketAddr, Heard)> {
        let mine = |socket: &Socket| *socket == Socket::Rtp(pair(leg));
        let (heard, rest) = std::mem::take(&mut self.out.0).into_iter().partition(|(socket, ..)| mine(socket));
        self.out.0 = rest;
        let heard: Vec<(Socket, SocketAddr, Vec<u8>)> = heard;
        heard
            .into_iter()
            .map(|(_, to, bytes)| {
                let view = RtpView::parse(&bytes).expect("RTP");
                (to, Heard { header: view.header(), payload: view.payload().to_vec() })
            })
            .collect()
    }

    pub fn reports(&mut self) -> Vec<Report> {
        std::iter::from_fn(|| self.engine.poll_report()).collect()
    }
}

/// A peer that sends a sine.
pub struct Speaker {
    pub leg: LegId,
    pub seq: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    plan: AudioPlan,
    hz: f64,
    sample: u64,
    encoder: Option<opus::Encoder>,
}

pub const PEAK: f64 = 8000.0;

impl Speaker {
    pub fn new(leg: LegId, plan: AudioPlan, hz: f64) -> Self {
        let encoder = match plan.codec {
            AudioCodec::Opus(params) => {
                let mut encoder = opus::Encoder::new(params).expect("libopus");
                encoder.set_loss_percent(20).expect("libopus");
                Some(encoder)
            }
            _ => None,
        };
        Speaker { leg, seq: 65_530, timestamp: u32::MAX - 5000, ssrc: 0xABCD, plan, hz, sample: 0, encoder }
    }

    /// Makes the next packet of so many milliseconds.
    pub fn next(&mut self, ms: usize) -> (RtpHeader, Vec<u8>) {
        let pcm: Vec<i16> = (0..ms * 8)
            .map(|k| {
                let t = (self.sample + k as u64) as f64 / 8000.0;
                ((std::f64::consts::TAU * self.hz * t).sin() * PEAK) as i16
            })
            .collect();
        self.sample += pcm.len() as u64;
        let mut payload = vec![0; 1275];
        let (len, ticks) = match (self.plan.codec, &mut self.encoder) {
            (AudioCodec::Pcma, _) => (g711::encode_alaw(&pcm, &mut payload), pcm.len()),
            (AudioCodec::Opus(_), Some(encoder)) => {
                (encoder.encode(&pcm, &mut payload).expect("a frame"), pcm.len() * 6)
            }
            _ => (g711::encode_ulaw(&pcm, &mut payload), pcm.len()),
        };
        payload.truncate(len);
        let header = RtpHeader {
            pt: self.plan.recv_pt,
            marker: false,
            seq: self.seq,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        self.seq = self.seq.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(ticks as u32);
        (header, payload)
    }

    /// Changes what is sent from here on; sound and timestamps go on.
    pub fn change(&mut self, plan: AudioPlan) {
        self.plan = plan;
    }

    /// Sends the next packet and lets its time pass.
    pub fn speak(&mut self, rig: &mut Rig, ms: usize) {
        let (header, payload) = self.next(ms);
        rig.arrive(self.leg, header, &payload);
        rig.pass(Duration::from_millis(ms as u64));
    }
}

/// Decodes what was heard, audio only.
pub fn decode(codec: AudioCodec, heard: &[Heard]) -> Vec<i16> {
    let mut decoder = opus::Decoder::new().expect("libopus");
    let mut pcm = Vec::new();
    for packet in heard.iter().filter(|h| h.header.pt != Pt(101)) {
        let mut out = [0; 960];
        let len = match codec {
            AudioCodec::Pcmu => g711::decode_ulaw(&packet.payload, &mut out),
            AudioCodec::Pcma => g711::decode_alaw(&packet.payload, &mut out),
            AudioCodec::Opus(_) => decoder.decode(&packet.payload, &mut out).expect("Opus"),
        };
        pcm.extend_from_slice(&out[..len]);
    }
    pcm
}

/// Returns the peak of a frequency in `pcm` (Goertzel).
pub fn level(pcm: &[i16], hz: f64) -> f64 {
    let w = 2.0 * (std::f64::consts::TAU * hz / 8000.0).cos();
    let (mut s1, mut s2) = (0.0, 0.0);
    for sample in pcm {
        let s = f64::from(*sample) + w * s1 - s2;
        (s2, s1) = (s1, s);
    }
    (s1 * s1 + s2 * s2 - w * s1 * s2).max(0.0).sqrt() * 2.0 / pcm.len() as f64
}

/// Returns the greatest step between two samples that follow each other.
pub fn steepest(pcm: &[i16]) -> i32 {
    pcm.windows(2).map(|two| (i32::from(two[1]) - i32::from(two[0])).abs()).max().unwrap_or(0)
}

/// Asserts that no step is greater than sines of these frequencies have it, G.711's coarseness allowed for.
pub fn assert_smooth(pcm: &[i16], hz: &[f64]) {
    let steps: f64 = hz.iter().map(|hz| PEAK * std::f64::consts::TAU * hz / 8000.0).sum();
    let most = steepest(pcm);
    assert!(f64::from(most) < steps + 600.0, "a click: a step of {most} among sines of {hz:?} Hz, {steps:.0}");
}

/// Asserts that sequence numbers and timestamps go on from packet to packet, in steps of `ticks`.
pub fn assert_unbroken(heard: &[Heard], ticks: u32) {
    for two in heard.windows(2) {
        assert_eq!(two[1].header.seq, two[0].header.seq.wrapping_add(1));
        assert_eq!(two[1].header.ssrc, two[0].header.ssrc);
        let step = two[1].header.timestamp.wrapping_sub(two[0].header.timestamp);
        assert_eq!(step, ticks, "at {}", two[1].header.seq);
    }
}

/// Asserts that `pcm` is the sine of `hz` within 1 dB, and that nothing else is nearly as loud.
pub fn assert_sine(pcm: &[i16], hz: f64) {
    let db = 20.0 * (level(pcm, hz) / PEAK).log10();
    assert!(db.abs() < 1.0, "{hz} Hz is off by {db} dB");
    for other in [300.0, 700.0, 1900.0, 3000.0] {
        assert!(level(pcm, other) < PEAK / 10.0, "{other} Hz beside {hz} Hz");
    }
}
