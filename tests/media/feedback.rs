//! What RTCP says, to us and by us, and the figures of a leg.

use std::time::Duration;

use crosspoint::media::{Discard, Socket};
use crosspoint::packet::PacketBuf;
use crosspoint::plan::{AudioCodec, LegStats, OpusParams, Order, Report};
use crosspoint::rtp::rtcp::{Compound, Report as Rtcp, ReportBlock, RtcpPacket, ntp_middle, write_compound};
use crosspoint::rtp::{Kind, classify};

use crate::peer::{CNAME, connected, to_home};
use crate::rig::*;

const OPUS: AudioCodec = AudioCodec::Opus(OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false });

/// A receiver report of one block, as a peer sends it.
fn receiver_report(block: ReportBlock) -> Vec<u8> {
    let mut room = [0; 256];
    let report = Rtcp { ssrc: 77, sender: None, blocks: &[block], cname: "peer", bye: false };
    let len = write_compound(&mut room, &report).expect("room");
    room[..len].to_vec()
}

#[test]
fn our_reports_bear_the_name_of_the_sdp() {
    let (mut rig, mut browser) = connected(plan(OPUS), plan(AudioCodec::Pcmu));
    rig.pass(Duration::from_secs(10));
    let reports: Vec<_> = to_home(&mut rig).into_iter().filter(|packet| classify(packet) == Kind::Rtcp).collect();
    assert!(!reports.is_empty());
    for sealed in reports {
        let plain = browser.open_rtcp(sealed);
        let names: Vec<_> = Compound::parse(&plain)
            .expect("RTCP")
            .packets()
            .filter_map(|packet| match packet {
                RtcpPacket::Description { ssrc, cname } => Some((ssrc, cname.to_vec())),
                _ => None,
            })
            .collect();
        assert_eq!(names, [(1, CNAME.as_bytes().to_vec())]);
    }
}

#[test]
fn the_round_trip_is_what_a_report_leaves_of_the_time_since_ours() {
    let mut rig = Rig::new(plan(OPUS), plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(A, plan(OPUS), 1000.0);
    let socket = Socket::Rtcp(pair(B));
    let ntp = loop {
        speaker.speak(&mut rig, 20);
        let sent = rig.out.0.iter().filter(|(s, ..)| *s == socket);
        let reports = sent.filter_map(|(.., bytes)| Compound::parse(bytes).ok()?.packets().next());
        let mut infos = reports.filter_map(|packet| match packet {
            RtcpPacket::SenderReport { info, .. } => Some(info.ntp),
            _ => None,
        });
        if let Some(ntp) = infos.next_back() {
            break ntp;
        }
    };
    assert_eq!(rig.engine.stats(B).expect("open").rtt_us, 0, "not known");
    rig.pass(Duration::from_millis(80));
    let answer = |delay_since_sr: u32| {
        let last_sr = ntp_middle(ntp);
        let block =
            ReportBlock { ssrc: 2, fraction_lost: 0, lost: 0, highest_seq: 0, jitter: 0, last_sr, delay_since_sr };
        receiver_report(block)
    };
    let mut packet = PacketBuf::new();
    // The peer kept it for half of 1/16 s = 31.25 ms; up to 20 ms passed before we looked.
    packet.copy_from(&answer(0x0800));
    let from = remote(B, plan(AudioCodec::Pcmu)).rtcp;
    rig.engine.handle_datagram(socket, from, &mut packet, rig.now, &mut rig.out);
    let round_trip = rig.engine.stats(B).expect("open").rtt_us;
    assert!((48_000..=69_000).contains(&round_trip), "{round_trip} us");
}

#[test]
fn the_last_words_of_a_leg_are_its_figures_and_the_sum_keeps_them() {
    let mut rig = Rig::new(plan(OPUS), plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(A, plan(OPUS), 1000.0);
    for k in 0..100 {
        let (mut header, payload) = speaker.next(20);
        match k {
            // Never comes, comes after the one behind it, is of a type unheard of.
            40 => continue,
            60 => {
                let (next, sound) = speaker.next(20);
                rig.arrive(A, next, &sound);
            }
            80 => header.pt = crosspoint::plan::Pt(13),
            _ => {}
        }
        // Every other packet is 10 ms late.
        rig.pass(Duration::from_millis(if k % 2 == 0 { 10 } else { 30 }));
        rig.arrive(A, header, &payload);
    }
    let at_b = rig.heard(B).len() as u64;
    rig.order(Order::Close(A));
    rig.order(Order::Close(B));
    let reports = rig.reports();
    let [Report::Closed(A, a), Report::Closed(B, b)] = reports[..] else { panic!("{reports:?}") };
    // 100 in the loop and one more, less the lost, the late and the unknown.
    assert_eq!((a.received, a.lost, a.late, a.discarded), (98, 2, 1, 2), "{a:?}");
    assert!((1..=3).contains(&a.concealed), "{a:?}");
    assert!((8_000..22_000).contains(&a.jitter_us), "{a:?}");
    assert_eq!(b, LegStats { sent: at_b, ..LegStats::default() });
    let closed = rig.engine.counters().closed;
    assert_eq!((closed.received, closed.sent, closed.lost, closed.late), (98, at_b, 2, 1));
    assert_eq!(rig.engine.counters().discards.get(Discard::PayloadType), 1);
    assert_eq!(rig.engine.counters().legs, 0);
}

/// 20 ms of a voice-like sound, µ-law: a buzz of 120 Hz with a formant, in syllables of 200 ms.
fn syllables(frame: usize) -> Vec<u8> {
    let pcm: Vec<i16> = (frame * 160..(frame + 1) * 160)
        .map(|n| {
            let (phase, syllable) = ((n % 67) as f64 / 8000.0, (n % 1600) as f64 / 1600.0);
            let buzz = (phase * 600.0 * std::f64::consts::TAU).sin() * (-phase * 300.0).exp();
            (12_000.0 * buzz * (syllable * std::f64::consts::PI).sin().powi(2)) as i16
        })
        .collect();
    let mut payload = vec![0; pcm.len()];
    crosspoint::codec::g711::encode_ulaw(&pcm, &mut payload);
    payload
}

/// Of 100 packets towards the browser, how many carry a copy of the one before: LBRR, the second bit of a SILK frame
/// (RFC 6716 4.2.3, 4.2.4).
fn packets_with_fec(rig: &mut Rig, speaker: &mut Speaker, frames: std::ops::Range<usize>) -> usize {
    for frame in frames {
        let (header, _) = speaker.next(20);
        rig.arrive(B, header, &syllables(frame));
        rig.pass(Duration::from_millis(20));
    }
    rig.heard(A).iter().filter(|heard| heard.payload.get(1).is_some_and(|octet| octet & 0x40 != 0)).count()
}

#[test]
fn loss_that_the_peer_reports_brings_fec_into_what_it_is_sent() {
    let mut rig = Rig::new(plan(OPUS), plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(B, plan(AudioCodec::Pcmu), 0.0);
    assert_eq!(packets_with_fec(&mut rig, &mut speaker, 0..100), 0, "nothing is lost yet");
    report_loss(&mut rig, 64);
    let with = packets_with_fec(&mut rig, &mut speaker, 100..200);
    assert!(with >= 30, "a quarter is lost, and {with} packets of 100 carry FEC");
}

/// The browser reports so many 256ths of what it was sent as lost.
fn report_loss(rig: &mut Rig, fraction_lost: u8) {
    let block =
        ReportBlock { ssrc: 1, fraction_lost, lost: 25, highest_seq: 100, jitter: 0, last_sr: 0, delay_since_sr: 0 };
    let mut packet = PacketBuf::new();
    packet.copy_from(&receiver_report(block));
    rig.engine.handle_datagram(Socket::Rtcp(pair(A)), remote(A, plan(OPUS)).rtcp, &mut packet, rig.now, &mut rig.out);
}

#[test]
fn fec_comes_at_the_first_report_of_loss_and_goes_slowly_when_there_is_none() {
    let mut rig = Rig::new(plan(OPUS), plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(B, plan(AudioCodec::Pcmu), 0.0);
    packets_with_fec(&mut rig, &mut speaker, 0..50);
    let mut with = Vec::new();
    for (round, fraction) in [51].into_iter().chain([0; 16]).enumerate() {
        report_loss(&mut rig, fraction);
        with.push(packets_with_fec(&mut rig, &mut speaker, 50 + round * 50..100 + round * 50));
    }
    assert!(with[0] >= 15, "at once: {with:?}");
    assert!(with[1] >= 15 && with[3] >= 10, "a burst is remembered: {with:?}");
    assert_eq!(with[13..], [0; 4], "and forgotten within a minute or so of reports: {with:?}");
}
