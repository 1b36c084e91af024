//! The media engine fed by strangers, with time passing.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crosspoint::id::{LegId, PortPairId};
use crosspoint::media::{Engine, EngineConfig, Sink, Socket, Sound};
use crosspoint::packet::PacketBuf;
use crosspoint::plan::*;
use crosspoint::webrtc::dtls::{Certificate, DtlsVersions};

/// Counts what is sent.
struct Count(usize);

impl Sink for Count {
    fn send(&mut self, _: Socket, _: SocketAddr, _: &[u8]) {
        self.0 += 1;
    }
}

fn audio(codec: AudioCodec, pt: u8, clock_hz: u32, ptime_ms: u8) -> AudioPlan {
    let event = Some(EventFormat { pt: Pt(101), clock_hz });
    AudioPlan {
        codec,
        send_pt: Pt(pt),
        recv_pt: Pt(pt),
        send_event: event,
        recv_events: [event, None],
        recv_noise: None,
        ptime_ms,
        send: true,
        recv: true,
    }
}

/// Credentials of the browser leg; a seed holds a check that is signed with them.
const UFRAG: &str = "gateway";
const PWD: &str = "a-password-of-32-characters-yes-";

fn plain(n: u8, audio: AudioPlan) -> RtpRemote {
    let rtp = SocketAddr::from(([10, 0, 0, n], 4000));
    RtpRemote { rtp, rtcp: rtp, audio }
}

fn opus_leg() -> AudioPlan {
    audio(AudioCodec::Opus(OpusParams::default()), 111, 48_000, 20)
}

/// A browser leg, 3, that waits for its first check.
fn browser_leg() -> Order {
    let theirs = IceCredentials { ufrag: "browser".into(), pwd: PWD.into() };
    let remote =
        BrowserRemote { ice: theirs, fingerprint: Fingerprint([7; 32]), role: DtlsRole::Server, audio: opus_leg() };
    let ice = IceCredentials { ufrag: UFRAG.into(), pwd: PWD.into() };
    Order::OpenBrowser(LegId(3), Box::new(BrowserPlan { ice, ssrc: 3, cname: "c".into(), remote: Some(remote) }))
}

/// What signalling wants, by the bytes of an entry.
fn order(bytes: &[u8]) -> Option<Order> {
    let [what, which, ..] = *bytes else { return None };
    let leg = LegId(1 + u64::from(which % 3));
    let next = LegId(1 + (u64::from(which) + 1) % 3);
    let law = if which & 4 == 0 { AudioCodec::Pcmu } else { AudioCodec::Pcma };
    let mut changed = audio(law, which % 8, 8000, 10 * (1 + which % 7));
    (changed.send, changed.recv) = (which & 8 == 0, which & 16 == 0);
    let tone = TonePart { hz: [u16::from(which) * 16, 400], length: Duration::from_millis(u64::from(which)) };
    let cadence = Cadence { parts: vec![tone], level_dbm0: -10 };
    Some(match what % 10 {
        0 => Order::Connect(Topology::Pair(leg, next)),
        1 => Order::Connect(Topology::Mix((1..=3).map(LegId).collect())),
        2 => Order::Connect(Topology::Mix(vec![leg, next, leg])),
        3 => Order::Connect(Topology::Parked(leg, Source::Nothing)),
        4 => Order::Connect(Topology::Parked(leg, Source::Tone(cadence))),
        5 => Order::Connect(Topology::Parked(leg, Source::Sound(SoundId(u32::from(which >> 7))))),
        6 => Order::UpdateRtp(LegId(2), plain(2 + (which >> 6), changed)),
        7 => Order::RestartIce(LegId(3), IceCredentials { ufrag: format!("fresh{which}"), pwd: PWD.into() }),
        8 => Order::SendDigit(leg, Digit { event: which % 16, duration: Duration::from_millis(u64::from(which)) }),
        _ => Order::Close(LegId(3)),
    })
}

/// How long a packet that shows a gap waits, and the buffer before the trunk, by the upper
/// half of the first length, which no length needs.
fn patience(data: &[u8]) -> (Duration, Dejitter) {
    let what = data.get(1).map_or(0, |high| high >> 4);
    let hold = Duration::from_millis(if what & 1 == 0 { 0 } else { 60 });
    let ms = [0, 40, 90, 200][usize::from(what >> 1 & 3)];
    (hold, Dejitter { ms, adaptive: what & 8 != 0 })
}

/// Datagrams, orders and time steps into an Opus leg and a G.711 leg that are joined, and a browser leg beside them:
/// `[kind, length high, length low, …]`.
pub fn media_engine(mut data: &[u8]) {
    let (reorder_hold, dejitter) = patience(data);
    static CERTIFICATE: OnceLock<Arc<Certificate>> = OnceLock::new();
    let certificate =
        CERTIFICATE.get_or_init(|| Arc::new(Certificate::generate(DtlsVersions::V12).expect("a certificate"))).clone();
    let mut now = Instant::now();
    let browser = vec![SocketAddr::from(([192, 0, 2, 1], 10_000))];
    let mut engine = Engine::new(
        EngineConfig {
            certificate,
            browser,
            ntp_at_start: 1 << 40,
            sounds: [Sound::new(vec![900; 333])].into(),
            reorder_hold,
        },
        1,
        now,
    );
    let mut out = Count(0);
    let plans = [opus_leg(), audio(AudioCodec::Pcmu, 0, 8000, 30)];
    for (n, audio) in (1..).zip(plans) {
        let remote = Some(plain(n, audio));
        let plan = RtpPlan { pair: PortPairId(u64::from(n)), ssrc: u32::from(n), latch: Latch::Any, dejitter, remote };
        engine.handle_order(Order::OpenRtp(LegId(u64::from(n)), Box::new(plan)), now, &mut out);
    }
    engine.handle_order(Order::Connect(Topology::Pair(LegId(1), LegId(2))), now, &mut out);
    engine.handle_order(browser_leg(), now, &mut out);
    let mut packet = PacketBuf::new();
    let (mut datagrams, mut steps) = (0, 0);
    while let Some(([kind, high, low], rest)) = data.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([*high & 0x0F, *low])).min(rest.len());
        let (datagram, rest) = rest.split_at(len);
        data = rest;
        let n = 1 + (kind & 1);
        let from = SocketAddr::from(([10, 0, 0, n], 4000));
        let pair = PortPairId(u64::from(n));
        let socket = match kind >> 1 & 3 {
            0 => Socket::Browser(0),
            1 => Socket::Rtcp(pair),
            _ => Socket::Rtp(pair),
        };
        if kind >> 1 & 3 == 3 {
            if let Some(order) = order(datagram) {
                engine.handle_order(order, now, &mut out);
            }
        } else if packet.copy_from(datagram) {
            engine.handle_datagram(socket, from, &mut packet, now, &mut out);
            datagrams += 1;
        }
        steps += 1;
        now += Duration::from_millis(u64::from(kind >> 3));
        engine.handle_timeout(now, &mut out);
        engine.work_handshakes(1, now, &mut out);
        assert!(engine.poll_timeout().is_none_or(|due| due > now), "time stands still");
    }
    // A step of 31 ms may pass before it is seen that a packet's time has come.
    let longest = reorder_hold.max(Duration::from_millis(dejitter.ms.into())) + Duration::from_millis(31);
    let counters = engine.counters();
    assert!(u128::from(counters.waited_us) <= u128::from(counters.waited) * longest.as_micros(), "{counters:?}");
    // 120 ms of audio make 12 packets of 10 ms; keys and reports add a few. A step of 31 ms has two ticks at most, or four
    // frames of a tone for each leg.
    assert!(out.0 <= 8 + 32 * datagrams + 24 * steps, "{} packets out of {datagrams}", out.0);
    for leg in [1, 2, 3] {
        engine.handle_order(Order::Close(LegId(leg)), now, &mut out);
    }
    assert_eq!(engine.counters().legs, 0);
}

/// A WAVE file, into a sound that is played around its end.
pub fn wav(data: &[u8]) {
    let Ok(sound) = Sound::from_wav(data, 6) else { return };
    // From 4 kHz up to 8, and half an hour at most.
    assert!(sound.samples().len() <= 2 * data.len() && sound.samples().len() <= 30 * 60 * 8000);
    let mut frame = [1; 480];
    let at = (0..4).fold(0, |at, _| sound.read(at, &mut frame));
    assert!(at <= sound.samples().len());
    assert!(!sound.samples().is_empty() || frame == [0; 480]);
}
