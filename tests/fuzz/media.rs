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
        recv_event: event,
        ptime_ms,
        send: true,
        recv: true,
    }
}

/// Datagrams and time steps into an Opus leg and a G.711 leg that are joined: `[kind, length high, length low, …]`.
pub fn media_engine(mut data: &[u8]) {
    static CERTIFICATE: OnceLock<Arc<Certificate>> = OnceLock::new();
    let certificate =
        CERTIFICATE.get_or_init(|| Arc::new(Certificate::generate(DtlsVersions::V12).expect("a certificate"))).clone();
    let mut now = Instant::now();
    let browser = vec![SocketAddr::from(([192, 0, 2, 1], 10_000))];
    let mut engine =
        Engine::new(EngineConfig { certificate, browser, ntp_at_start: 1 << 40, sounds: [].into() }, 1, now);
    let mut out = Count(0);
    let plans = [audio(AudioCodec::Opus(OpusParams::default()), 111, 48_000, 20), audio(AudioCodec::Pcmu, 0, 8000, 30)];
    for (n, audio) in (1..).zip(plans) {
        let rtp = SocketAddr::from(([10, 0, 0, n], 4000));
        let remote = Some(RtpRemote { rtp, rtcp: rtp, audio });
        let plan = RtpPlan { pair: PortPairId(u64::from(n)), ssrc: u32::from(n), latch: Latch::Any, remote };
        engine.handle_order(Order::OpenRtp(LegId(u64::from(n)), Box::new(plan)), now, &mut out);
    }
    engine.handle_order(Order::Connect(Topology::Pair(LegId(1), LegId(2))), now, &mut out);
    let mut packet = PacketBuf::new();
    let mut datagrams = 0;
    while let Some(([kind, high, low], rest)) = data.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
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
        if packet.copy_from(datagram) {
            engine.handle_datagram(socket, from, &mut packet, now, &mut out);
            datagrams += 1;
        }
        now += Duration::from_millis(u64::from(kind >> 3));
        engine.handle_timeout(now, &mut out);
        engine.work_handshakes(1, now, &mut out);
        assert!(engine.poll_timeout().is_none_or(|due| due > now), "time stands still");
    }
    // 120 ms of audio make 12 packets of 10 ms; keys and reports add a few.
    assert!(out.0 <= 8 + 32 * datagrams, "{} packets out of {datagrams}", out.0);
    for leg in [1, 2] {
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
