//! In simulated time: a browser's end against the gateway's own transport, and an ear behind a jitter buffer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::background::look;
use super::ear::Ear;
use super::order::Side;
use crate::codec::opus;
use crate::load::browser::ice::{self, IcePeer};
use crate::load::delay::SentTimes;
use crate::load::voice::{Coding, LookAhead, Probe, Voice};
use crate::path::Path;
use crate::plan::*;
use crate::rtp::{HEADER_LEN, RtpHeader, write_header};
use crate::webrtc::dtls::{Certificate, DtlsVersions, Handshake, Progress};
use crate::webrtc::srtp::{Inbound, Outbound};
use crate::webrtc::transport::{Output, StunOutcome, Transport};

fn credentials(name: &str) -> IceCredentials {
    IceCredentials { ufrag: name.into(), pwd: format!("{name}-has-a-password-of-its-own") }
}

fn certificate() -> Arc<Certificate> {
    Arc::new(Certificate::generate(DtlsVersions::V12).expect("a certificate"))
}

fn audio() -> AudioPlan {
    let codec = AudioCodec::Opus(OpusParams::default());
    let (send_event, recv_events) = (None, [None; 2]);
    AudioPlan {
        codec,
        send_pt: Pt(111),
        recv_pt: Pt(111),
        send_event,
        recv_events,
        recv_noise: None,
        ptime_ms: 20,
        send: true,
        recv: true,
    }
}

/// Checks, shakes hands in this role, and returns the browser's keys and the gateway's transport.
fn connect(role: DtlsRole) -> (Box<(Inbound, Outbound)>, Transport, Path) {
    let (browser, gateway): (SocketAddr, SocketAddr) =
        (([192, 0, 2, 9], 5_000).into(), ([192, 0, 2, 1], 10_000).into());
    let path = Path::Udp { local: gateway, remote: browser };
    let mut now = Instant::now();
    let (ours, theirs) = (certificate(), certificate());
    let mut transport = Transport::new(theirs.clone(), credentials("gateway"));
    let other = if role == DtlsRole::Client { DtlsRole::Server } else { DtlsRole::Client };
    let fingerprint = ours.fingerprint();
    transport.set_remote(&BrowserRemote { ice: credentials("browser"), fingerprint, role: other, audio: audio() }, now);

    let mut agent = ice::Agent::new(credentials("browser"), 4, now);
    let peer = IcePeer { credentials: credentials("gateway"), candidates: vec![gateway], is_lite: true };
    agent.set_peer(&peer, true, now);
    let (mut check, mut reply) = ([0; 256], [0; 256]);
    let (to, len) = agent.poll_check(now, &mut check).expect("a check");
    assert_eq!(to, gateway);
    let StunOutcome::Reply(answer) = transport.handle_stun(path, &check[..len], now, &mut reply) else { panic!() };
    assert_eq!(agent.handle(gateway, &reply[..answer], now, &mut [0; 128]), Ok(ice::Heard::Selected(gateway)));

    let mut handshake = Handshake::new(&ours, role, now);
    let known = Some(theirs.fingerprint());
    let mut progress = handshake.handle_timeout(known, now);
    let mut buffer = [0; 2048];
    for _ in 0..40 {
        now += Duration::from_millis(5);
        while let Some(len) = handshake.poll_packet(&mut buffer) {
            // A record before its time is dropped, and repeated.
            let _ = transport.handle_dtls(path, &buffer[..len], now);
        }
        transport.handle_timeout(now);
        while let Some(output) = transport.poll_output(&mut buffer) {
            if let Output::Transmit { len, .. } = output
                && !matches!(progress, Progress::Done(_))
            {
                progress = handshake.handle_packet(&buffer[..len], known, now);
            }
        }
        if let Progress::Going = progress {
            progress = handshake.handle_timeout(known, now);
        }
        if transport.is_connected()
            && let Progress::Done(keys) = progress
        {
            return (keys, transport, path);
        }
    }
    panic!("no end to the handshake");
}

#[test]
fn a_browsers_end_reaches_a_lite_gateway_and_media_flows_both_ways_in_either_dtls_role() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let (mut keys, mut transport, path) = connect(role);
        let mut packet = vec![0; HEADER_LEN + 40 + 32];
        write_header(&mut packet, &RtpHeader { pt: Pt(111), marker: false, seq: 1, timestamp: 960, ssrc: 3 });
        packet[HEADER_LEN..HEADER_LEN + 40].fill(5);
        let plain = packet[..HEADER_LEN + 40].to_vec();
        let mut there = packet.clone();
        let len = keys.1.protect_rtp(&mut there, plain.len()).expect("sealed");
        let len = transport.unprotect_rtp(path, &mut there[..len]).expect("authentic");
        assert_eq!(there[..len], plain);
        let mut back = packet;
        let len = transport.protect_rtp(&mut back, plain.len()).expect("sealed");
        let len = keys.0.unprotect_rtp(&mut back[..len]).expect("authentic");
        assert_eq!(back[..len], plain, "{role:?}");
    }
}

/// A gateway that holds the sound of the trunk back, and sends it on in Opus packets with a clock of its own.
struct Gateway {
    /// Sound that has come, and waits.
    waiting: Vec<i16>,
    encoder: opus::Encoder,
    header: RtpHeader,
}

impl Gateway {
    fn new(held_ms: usize) -> Gateway {
        let encoder = opus::Encoder::new(OpusParams::default()).expect("libopus");
        let header = RtpHeader { pt: Pt(111), marker: false, seq: 65_500, timestamp: u32::MAX - 3_000, ssrc: 9 };
        Gateway { waiting: vec![0; 8 * held_ms], encoder, header }
    }

    fn carry(&mut self, payload: &[u8]) -> (RtpHeader, Vec<u8>) {
        let mut pcm = [0; 160];
        crate::codec::g711::decode_ulaw(payload, &mut pcm);
        self.waiting.extend_from_slice(&pcm);
        let frame: Vec<i16> = self.waiting.drain(..160).collect();
        let mut packet = vec![0; 1500];
        let len = self.encoder.encode(&frame, &mut packet).expect("a packet");
        packet.truncate(len);
        let header = self.header;
        self.header.seq = self.header.seq.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(960);
        (header, packet)
    }
}

/// Lets a voice go through a gateway that holds sound for so long and takes 1 ms itself; returns the way at the browser.
fn through(held_ms: usize, said: usize, expected: usize) -> crate::load::outcome::Way {
    let voice = Voice::new(Coding::Pcmu, said).expect("a voice");
    let mut probe = Probe::new();
    let browser = Voice::new(Coding::NarrowOpus { frame_ms: 20 }, 0).expect("a voice");
    let ahead = LookAhead::measure(&browser, &mut probe).expect("the marker");
    let mut gateway = Gateway::new(held_ms);
    let mut sent = SentTimes::new(20);
    let mut ear = Ear::new(Side::Browser, AudioCodec::Opus(OpusParams::default()), false, 0);
    ear.measure(true);
    let start = Instant::now();
    for n in 0..200 {
        if let Some(window) = ear.follow(n, voice.frames(), sent.frame(), expected) {
            ear.take(look(&mut probe, &window, ahead), &sent);
        }
        let at_us = n * 20_000;
        sent.note(at_us);
        let (header, payload) = gateway.carry(voice.packet(n));
        let came_us = at_us + 1_000;
        ear.hear(&header, &payload, start + Duration::from_micros(came_us), came_us, &sent);
    }
    ear.figures(sent.count(), Duration::from_millis(20))
}

#[test]
fn a_gateway_that_passes_packets_on_has_its_exact_delay_and_none_of_the_sound() {
    let way = through(0, 6, 6);
    assert_eq!((way.sent, way.received, way.lost, way.reordered, way.gaps), (200, 200, 0, 0, 0));
    assert_eq!((way.delay.min(), way.delay.max()), (Some(1_000), Some(1_000)));
    assert!(way.delay.count() >= 195, "packets before the alignment count too: {}", way.delay.count());
    assert!(way.sound_us.is_some_and(|us| us.abs() <= 250), "{:?}", way.sound_us);
    assert!(way.audio.is_some_and(|audio| audio.is_good && audio.expected_hz == 1_140.0), "{:?}", way.audio);
}

#[test]
fn the_sound_that_a_jitter_buffer_holds_back_is_told_in_packets_and_the_rest() {
    let way = through(45, 6, 6);
    assert_eq!((way.delay.quantile(0.5), way.delay.max()), (Some(41_000), Some(41_000)));
    assert!(way.sound_us.is_some_and(|us| (4_500..5_500).contains(&us)), "{:?}", way.sound_us);
}

#[test]
fn the_voice_of_another_call_is_no_good() {
    let audio = through(0, 7, 6).audio.expect("enough sound");
    assert!(!audio.is_good);
    assert_eq!((audio.expected_hz, audio.measured_hz), (1_140.0, 1_260.0));
}
