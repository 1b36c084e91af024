//! What strangers, and browsers that mean no good, send to the media plane.

use std::net::SocketAddr;
use std::time::Duration;

use crosspoint::id::LegId;
use crosspoint::media::{Discard, Engine, EngineConfig, Socket};
use crosspoint::packet::PacketBuf;
use crosspoint::plan::*;
use crosspoint::rtp::rtcp::{Report as RtcpReport, write_compound};
use crosspoint::rtp::{EventPayload, RtpHeader, write_header};

use crate::peer::{check, connected, from_home, home, local, to_home};
use crate::rig::*;

const OPUS: AudioCodec = AudioCodec::Opus(OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false });
const PWD: &str = "a-password-of-32-characters-yes-";

fn stranger() -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 9], 4000))
}

/// A datagram arrives at one of the sockets.
fn from(rig: &mut Rig, socket: Socket, source: SocketAddr, datagram: &[u8]) {
    let mut packet = PacketBuf::new();
    packet.copy_from(datagram);
    rig.engine.handle_datagram(socket, source, &mut packet, rig.now, &mut rig.out);
}

fn dropped(rig: &Rig, reason: Discard) -> u64 {
    rig.engine.counters().discards.get(reason)
}

#[test]
fn restarts_without_checks_pile_up_no_user_fragments() {
    let (mut rig, _browser) = connected(plan(OPUS), plan(AudioCodec::Pcmu));
    for ufrag in ["one", "two", "three"] {
        let fresh = IceCredentials { ufrag: ufrag.into(), pwd: PWD.into() };
        rig.order(Order::RestartIce(A, fresh));
    }
    to_home(&mut rig);
    for forgotten in ["one:browser", "two:browser"] {
        from_home(&mut rig, &check(forgotten));
    }
    assert_eq!(dropped(&rig, Discard::UnknownUser), 2, "they find no leg any more");
    assert!(to_home(&mut rig).is_empty());
    for good in ["gateway:browser", "three:browser"] {
        from_home(&mut rig, &check(good));
        assert_eq!(to_home(&mut rig).len(), 1, "{good}");
    }
}

#[test]
fn a_flood_of_handshakes_of_one_leg_leaves_room_for_the_others() {
    let now = std::time::Instant::now();
    let config = EngineConfig {
        certificate: certificate(),
        browser: vec![local()],
        ntp_at_start: 1 << 40,
        sounds: [].into(),
        reorder_hold: std::time::Duration::ZERO,
    };
    let mut rig = Rig { engine: Engine::new(config, 7, now), now, out: Sent::default() };
    let other = SocketAddr::new(home().ip(), 5001);
    for (leg, ufrag, source) in [(A, "first", home()), (B, "second", other)] {
        let ice = IceCredentials { ufrag: ufrag.into(), pwd: PWD.into() };
        rig.order(Order::OpenBrowser(leg, Box::new(BrowserPlan { ice, ssrc: 1, cname: String::new(), remote: None })));
        from(&mut rig, Socket::Browser(0), source, &check(&format!("{ufrag}:browser")));
    }
    let dtls = [22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
    for _ in 0..1000 {
        from(&mut rig, Socket::Browser(0), home(), &dtls);
    }
    let full = dropped(&rig, Discard::HandshakeQueue);
    assert!(full >= 900, "{full}");
    for _ in 0..8 {
        from(&mut rig, Socket::Browser(0), other, &dtls);
    }
    assert_eq!(dropped(&rig, Discard::HandshakeQueue), full, "the other leg's flight waits its turn");
}

#[test]
fn media_of_a_stranger_is_heard_by_nobody_and_moves_nothing() {
    let mut rig = Rig::new(plan(AudioCodec::Pcmu), plan(AudioCodec::Pcma));
    let mut speaker = Speaker::new(A, plan(AudioCodec::Pcmu), 500.0);
    speaker.speak(&mut rig, 20);
    assert_eq!(rig.heard(B).len(), 1);
    let mut forger = Speaker::new(A, plan(AudioCodec::Pcmu), 500.0);
    forger.ssrc = 0xBAD;
    for _ in 0..1000 {
        let (header, payload) = forger.next(20);
        let mut bytes = vec![0; 12];
        write_header(&mut bytes, &header);
        bytes.extend(payload);
        from(&mut rig, Socket::Rtp(pair(A)), stranger(), &bytes);
    }
    assert!(rig.heard(B).is_empty());
    assert_eq!(rig.engine.target(A), Some(address(A)));
    assert_eq!(dropped(&rig, Discard::Source), 1000);
    speaker.speak(&mut rig, 20);
    let next = rig.heard(B);
    assert_eq!(next.len(), 1);
    assert!(!next[0].header.marker, "the stream was never interrupted");
}

#[test]
fn an_rtcp_bye_ends_nothing_and_that_of_a_stranger_is_dropped() {
    let mut rig = Rig::new(plan(AudioCodec::Pcmu), plan(AudioCodec::Pcma));
    let mut speaker = Speaker::new(A, plan(AudioCodec::Pcmu), 500.0);
    speaker.speak(&mut rig, 20);
    let mut room = [0; 256];
    let words = RtcpReport { ssrc: speaker.ssrc, sender: None, blocks: &[], cname: "x", bye: true };
    let len = write_compound(&mut room, &words).expect("room");
    from(&mut rig, Socket::Rtcp(pair(A)), stranger(), &room[..len]);
    assert_eq!(dropped(&rig, Discard::Source), 1);
    assert_eq!(rig.engine.counters().reports_received, 0);
    from(&mut rig, Socket::Rtcp(pair(A)), SocketAddr::new(address(A).ip(), 4001), &room[..len]);
    assert_eq!(rig.engine.counters().reports_received, 1);
    assert!(rig.reports().is_empty(), "a call ends by its signalling");
    rig.heard(B);
    speaker.speak(&mut rig, 20);
    assert_eq!(rig.heard(B).len(), 1);
}

#[test]
fn a_flood_of_keys_is_bounded_and_the_voice_comes_back() {
    let mut rig = Rig::new(plan(AudioCodec::Pcmu), plan(AudioCodec::Pcma));
    let mut speaker = Speaker::new(A, plan(AudioCodec::Pcmu), 500.0);
    speaker.speak(&mut rig, 20);
    rig.heard(B);
    for n in 0..20_000u32 {
        let mut payload = [0; EventPayload::LEN];
        EventPayload { event: (n % 16) as u8, end: true, volume: 10, duration: u16::MAX }.write(&mut payload);
        let timestamp = n.wrapping_mul(160);
        rig.arrive(
            A,
            RtpHeader { pt: Pt(101), marker: true, seq: speaker.seq, timestamp, ssrc: speaker.ssrc },
            &payload,
        );
        speaker.seq = speaker.seq.wrapping_add(1);
    }
    let digits = rig.reports().iter().filter(|report| matches!(report, Report::Digit(LegId(1), _))).count();
    assert!((1..=64).contains(&digits), "{digits}");
    // What waits is played out: a few dozen keys, none longer than a segment. Then the voice is heard again.
    let started = rig.now;
    loop {
        speaker.speak(&mut rig, 20);
        let heard = rig.heard(B);
        assert!(heard.len() <= 8, "no burst: {}", heard.len());
        if heard.iter().any(|packet| packet.header.pt == Pt(8)) {
            break;
        }
        assert!(rig.now - started < Duration::from_secs(33 * 9));
    }
}
