//! Audio across the join.

use std::time::Duration;

use crosspoint::id::CallId;
use crosspoint::media::Discard;
use crosspoint::media::tap::{Direction, PacketKind, tapped};
use crosspoint::plan::*;

use crate::rig::*;

const OPUS: AudioCodec = AudioCodec::Opus(OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false });

fn assert_gapless(heard: &[Heard]) {
    for two in heard.windows(2) {
        assert_eq!(two[1].header.seq, two[0].header.seq.wrapping_add(1));
    }
}

#[test]
fn a_sine_in_is_a_sine_out_between_all_codecs() {
    for from in [AudioCodec::Pcmu, AudioCodec::Pcma, OPUS] {
        for to in [AudioCodec::Pcmu, AudioCodec::Pcma, OPUS] {
            let mut rig = Rig::new(plan(from), plan(to));
            let mut speaker = Speaker::new(A, plan(from), 1000.0);
            for _ in 0..50 {
                speaker.speak(&mut rig, 20);
            }
            let heard = rig.heard(B);
            assert_eq!(heard.len(), 50, "{from:?} to {to:?}");
            assert_gapless(&heard);
            assert_sine(&decode(to, &heard)[1600..], 1000.0);
        }
    }
}

#[test]
fn each_side_hears_the_other() {
    let mut rig = Rig::new(plan(OPUS), plan(AudioCodec::Pcma));
    let mut a = Speaker::new(A, plan(OPUS), 500.0);
    let mut b = Speaker::new(B, plan(AudioCodec::Pcma), 1500.0);
    for _ in 0..50 {
        let (header, payload) = a.next(20);
        rig.arrive(A, header, &payload);
        b.speak(&mut rig, 20);
    }
    let (at_a, at_b) = (rig.heard(A), rig.heard(B));
    assert_sine(&decode(OPUS, &at_a)[1600..], 1500.0);
    assert_sine(&decode(AudioCodec::Pcma, &at_b)[1600..], 500.0);
}

#[test]
fn the_same_codec_is_forwarded_byte_for_byte() {
    for codec in [AudioCodec::Pcmu, OPUS] {
        let mut rig = Rig::new(plan(codec), plan(codec));
        let mut speaker = Speaker::new(A, plan(codec), 1000.0);
        for _ in 0..10 {
            let (header, payload) = speaker.next(20);
            rig.arrive(A, header, &payload);
            assert_eq!(rig.heard(B)[0].payload, payload, "at once, and untouched");
        }
    }
}

#[test]
fn opus_frames_of_any_length_come_out_in_the_ptime_of_the_trunk() {
    for (ms, ptime) in [(10, 20), (20, 30), (40, 20), (60, 10), (120, 60), (20, 40), (60, 50)] {
        let mut to = plan(AudioCodec::Pcmu);
        to.ptime_ms = ptime;
        let mut rig = Rig::new(plan(OPUS), to);
        let mut speaker = Speaker::new(A, plan(OPUS), 1000.0);
        let mut packets = Vec::new();
        for _ in 0..1200 / ms {
            let (header, payload) = speaker.next(ms);
            rig.arrive(A, header, &payload);
            rig.pass(Duration::from_millis(ms as u64));
            packets.push(Heard { header, payload });
        }
        let heard = rig.heard(B);
        assert!(heard.iter().all(|h| h.payload.len() == usize::from(ptime) * 8), "{ms} to {ptime}");
        for two in heard.windows(2) {
            assert_eq!(two[1].header.timestamp.wrapping_sub(two[0].header.timestamp), u32::from(ptime) * 8);
        }
        assert_gapless(&heard);
        // What libopus alone makes of the packets, sample by sample.
        let bare = decode(OPUS, &packets);
        let mut expected = vec![0; bare.len()];
        crosspoint::codec::g711::encode_ulaw(&bare, &mut expected);
        let octets: Vec<u8> = heard.into_iter().flat_map(|h| h.payload).collect();
        assert!(octets.len() + 480 > expected.len());
        assert!(octets[..] == expected[..octets.len()], "{ms} to {ptime}");
    }
}

#[test]
fn the_trunks_20_ms_become_packets_of_40_ms_of_the_same_tone_for_the_browser() {
    let long = AudioPlan { ptime_ms: 40, ..plan(OPUS) };
    let mut rig = Rig::new(plan(AudioCodec::Pcma), long);
    let mut speaker = Speaker::new(A, plan(AudioCodec::Pcma), 1000.0);
    for _ in 0..100 {
        speaker.speak(&mut rig, 20);
    }
    let heard = rig.heard(B);
    assert_eq!(heard.len(), 50, "half as many");
    assert_gapless(&heard);
    assert!(heard.windows(2).all(|two| two[1].header.timestamp.wrapping_sub(two[0].header.timestamp) == 40 * 48));
    assert_sine(&decode(OPUS, &heard)[1600..], 1000.0);
}

#[test]
fn a_lost_packet_is_rebuilt_when_the_next_one_shows_the_gap() {
    let mut rig = Rig::new(plan(OPUS), plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(A, plan(OPUS), 1000.0);
    for k in 0..50 {
        if k == 30 {
            speaker.next(20);
            rig.pass(Duration::from_millis(20));
            assert_eq!(rig.heard(B).len(), 30);
        } else {
            speaker.speak(&mut rig, 20);
        }
    }
    let heard = rig.heard(B);
    assert_eq!(heard.len(), 20, "the lost one is there too");
    assert_gapless(&heard);
    assert!(heard.windows(2).all(|w| w[1].header.timestamp.wrapping_sub(w[0].header.timestamp) == 160));
    assert!(heard.iter().all(|h| !h.header.marker));
    let pcm = decode(AudioCodec::Pcmu, &heard);
    assert!(level(&pcm[..160], 1000.0) > PEAK / 2.0, "FEC, not silence");
    let stats = rig.engine.stats(A).expect("open");
    assert_eq!((stats.lost, stats.concealed), (1, 1));
}

#[test]
fn beyond_60_ms_the_timestamp_jumps_with_the_marker() {
    let mut rig = Rig::new(plan(OPUS), plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(A, plan(OPUS), 1000.0);
    speaker.speak(&mut rig, 20);
    let before = rig.heard(B)[0].header;
    for _ in 0..4 {
        speaker.next(20);
    }
    speaker.speak(&mut rig, 20);
    let heard = rig.heard(B);
    assert_eq!(heard.len(), 1);
    assert!(heard[0].header.marker);
    assert_eq!(heard[0].header.seq, before.seq.wrapping_add(1));
    assert_eq!(heard[0].header.timestamp.wrapping_sub(before.timestamp), 5 * 160);
    assert_eq!(rig.engine.stats(A).expect("open").concealed, 0);
}

#[test]
fn a_late_packet_is_dropped_and_counted() {
    let mut rig = Rig::new(plan(OPUS), plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(A, plan(OPUS), 1000.0);
    speaker.speak(&mut rig, 20);
    let late = speaker.next(20);
    speaker.speak(&mut rig, 20);
    rig.arrive(A, late.0, &late.1);
    assert_eq!(rig.heard(B).len(), 3);
    assert_eq!(rig.engine.stats(A).expect("open").late, 1);
    assert_eq!(rig.engine.counters().discards.get(Discard::Late), 1);
}

#[test]
fn a_new_source_goes_on_with_one_ssrc_and_one_clock() {
    let mut rig = Rig::new(plan(OPUS), plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(A, plan(OPUS), 1000.0);
    for _ in 0..5 {
        speaker.speak(&mut rig, 20);
    }
    (speaker.ssrc, speaker.seq, speaker.timestamp) = (0x1234, 7, 99);
    for _ in 0..5 {
        speaker.speak(&mut rig, 20);
    }
    let heard = rig.heard(B);
    assert_eq!(heard.len(), 10);
    assert_gapless(&heard);
    assert!(heard.iter().all(|h| h.header.ssrc == 2));
    assert!(heard.windows(2).all(|w| w[1].header.timestamp.wrapping_sub(w[0].header.timestamp) == 160));
    assert_eq!(heard.iter().map(|h| h.header.marker).collect::<Vec<_>>()[4..7], [false, true, false]);
}

#[test]
fn a_sequence_jump_is_survived() {
    let mut rig = Rig::new(plan(AudioCodec::Pcmu), plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(A, plan(AudioCodec::Pcmu), 1000.0);
    speaker.speak(&mut rig, 20);
    speaker.seq = speaker.seq.wrapping_add(20_000);
    for _ in 0..5 {
        speaker.speak(&mut rig, 20);
    }
    assert_eq!(rig.heard(B).len(), 5, "one packet is the price");
}

#[test]
fn nothing_is_sent_against_the_direction_or_an_unknown_type() {
    for (send, recv) in [(false, true), (true, false)] {
        let (mut from, mut to) = (plan(AudioCodec::Pcmu), plan(AudioCodec::Pcmu));
        from.recv = recv;
        to.send = send;
        let mut rig = Rig::new(from, to);
        Speaker::new(A, from, 1000.0).speak(&mut rig, 20);
        assert!(rig.heard(B).is_empty());
    }
    let mut rig = Rig::new(plan(AudioCodec::Pcmu), plan(AudioCodec::Pcmu));
    let (mut header, payload) = Speaker::new(A, plan(AudioCodec::Pcmu), 1000.0).next(20);
    header.pt = Pt(13);
    rig.arrive(A, header, &payload);
    assert!(rig.heard(B).is_empty());
    assert_eq!(rig.engine.counters().discards.get(Discard::PayloadType), 1);
}

#[test]
fn a_parked_leg_hears_its_tone() {
    let mut rig = Rig::new(plan(AudioCodec::Pcma), plan(OPUS));
    let parts = vec![TonePart { hz: [425, 0], length: Duration::MAX }];
    // 0 dBm0 less what the peak of the test tone is below it.
    rig.order(Order::Connect(Topology::Parked(A, Source::Tone(Cadence { parts, level_dbm0: -9 }))));
    rig.pass(Duration::from_secs(1));
    let heard = rig.heard(A);
    assert!((50..=51).contains(&heard.len()), "{}", heard.len());
    assert_gapless(&heard);
    let peak = level(&decode(AudioCodec::Pcma, &heard), 425.0);
    assert!((peak / (22_379.0 * 10f64.powf(-9.0 / 20.0)) - 1.0).abs() < 0.05, "{peak}");
    assert!(rig.heard(B).is_empty());
}

#[test]
fn reports_go_to_both_sides_every_few_seconds() {
    let mut rig = Rig::new(plan(OPUS), plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(A, plan(OPUS), 1000.0);
    for _ in 0..1000 {
        speaker.speak(&mut rig, 20);
    }
    use crosspoint::rtp::rtcp::{Compound, RtcpPacket};
    for (leg, sends) in [(A, false), (B, true)] {
        let socket = crosspoint::media::Socket::Rtcp(pair(leg));
        let reports: Vec<_> = rig.out.0.iter().filter(|(s, ..)| *s == socket).collect();
        assert!((3..=8).contains(&reports.len()), "{}", reports.len());
        for (_, to, bytes) in &reports[1..] {
            assert_eq!(to.port(), 4001);
            let first = Compound::parse(bytes).expect("RTCP").packets().next().expect("a report");
            match first {
                RtcpPacket::SenderReport { info, .. } => assert!(sends && info.packets > 0),
                RtcpPacket::ReceiverReport { mut blocks, .. } => {
                    let block = blocks.next().expect("a block");
                    assert!(!sends);
                    assert_eq!((block.ssrc, block.lost, block.jitter), (0xABCD, 0, 0));
                }
                _ => panic!("neither SR nor RR first"),
            }
        }
    }
}

#[test]
fn a_closed_leg_leaves_its_figures_and_its_pair() {
    let mut rig = Rig::new(plan(OPUS), plan(AudioCodec::Pcmu));
    Speaker::new(A, plan(OPUS), 1000.0).speak(&mut rig, 20);
    rig.order(Order::Close(A));
    assert_eq!(rig.engine.poll_released(), Some(pair(A)));
    let reports = rig.reports();
    assert!(matches!(reports[..], [Report::Closed(A, LegStats { received: 1, .. })]), "{reports:?}");
    Speaker::new(A, plan(OPUS), 1000.0).speak(&mut rig, 20);
    assert_eq!(rig.engine.counters().discards.get(Discard::NoLeg), 1);
}

#[test]
fn a_tap_copies_both_ways() {
    let mut rig = Rig::new(plan(AudioCodec::Pcmu), plan(AudioCodec::Pcmu));
    rig.order(Order::Tap(B, Some(CallId(7))));
    let opened = rig.now;
    rig.now += Duration::from_millis(40);
    Speaker::new(A, plan(AudioCodec::Pcmu), 1000.0).speak(&mut rig, 20);
    rig.now += Duration::from_millis(1);
    Speaker::new(B, plan(AudioCodec::Pcmu), 1000.0).speak(&mut rig, 20);
    let mut out = Vec::new();
    let tap = rig.engine.tap(B).expect("a tap");
    assert_eq!((tap.opened(), tap.drain(&mut out)), (opened, 0));
    let heard: Vec<_> = tapped(&out).map(|p| (p.direction, p.kind, p.local, p.remote, p.packet.len())).collect();
    let both = [Direction::Sent, Direction::Received].map(|way| (way, PacketKind::Rtp, 0, address(B), 172));
    assert_eq!(heard, both);
    assert!(tapped(&out).all(|p| p.at >= Duration::from_millis(40)));
    assert!(rig.engine.tap(A).is_none(), "the other leg is not listened to");
}

#[test]
fn a_tap_that_is_closed_leaves_what_it_heard() {
    let mut rig = Rig::new(plan(AudioCodec::Pcmu), plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(A, plan(AudioCodec::Pcmu), 1000.0);
    for end in [Order::Tap(B, None), Order::Close(B)] {
        rig.order(Order::Tap(B, Some(CallId(7))));
        speaker.speak(&mut rig, 20);
        rig.order(end);
        let (leg, mut tap) = rig.engine.poll_closed_tap().expect("what was heard");
        let mut out = Vec::new();
        tap.drain(&mut out);
        assert_eq!(leg, B);
        assert_eq!(tapped(&out).next().map(|p| p.packet.len()), Some(172));
        assert!(rig.engine.tap(B).is_none());
    }
}
