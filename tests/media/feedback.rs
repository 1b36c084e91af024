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
        let infos = reports.filter_map(|packet| match packet {
            RtcpPacket::SenderReport { info, .. } => Some(info.ntp),
            _ => None,
        });
        if let Some(ntp) = infos.last() {
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
