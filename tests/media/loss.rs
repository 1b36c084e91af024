//! Packets that do not come: rebuilt, concealed, reported; never a click.

use std::time::Duration;

use crosspoint::codec::{g711, opus::Encoder};
use crosspoint::media::Socket;
use crosspoint::plan::*;
use crosspoint::rtp::rtcp::{Compound, ReportBlock, RtcpPacket};

use crate::rig::*;

const OPUS: AudioCodec = AudioCodec::Opus(OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false });
const ULAW: AudioCodec = AudioCodec::Pcmu;
const HZ: f64 = 417.0;

/// A voice: seven harmonics of a pitch that moves between 100 and 160 Hz, in syllables of 300 ms.
fn voice(n: usize) -> i16 {
    let t = n as f64 / 8000.0;
    let phase = std::f64::consts::TAU * (130.0 * t - 30.0 / 4.0 * (4.0 * t).cos());
    let syllable = 0.2 + 0.8 * (t / 0.3 * std::f64::consts::PI).sin().powi(2);
    ((1..8).map(|k| (phase * f64::from(k)).sin() * 3000.0 / f64::from(k)).sum::<f64>() * syllable) as i16
}

/// Speaks so many packets of 20 ms, of which those that `lost` names do not come, and returns what B heard of it.
fn with_loss(from: AudioCodec, to: AudioPlan, packets: usize, lost: impl Fn(usize) -> bool) -> (Rig, Vec<i16>) {
    let mut rig = Rig::new(plan(from), to);
    let (mut header, _) = Speaker::new(A, plan(from), 0.0).next(20);
    let mut encoder = Encoder::new(OpusParams::default()).expect("libopus");
    encoder.set_loss_percent(20).expect("libopus");
    for k in 0..packets {
        let pcm: Vec<i16> = (k * 160..(k + 1) * 160).map(voice).collect();
        let mut payload = [0; 400];
        let len = match from {
            ULAW => g711::encode_ulaw(&pcm, &mut payload),
            AudioCodec::Pcma => g711::encode_alaw(&pcm, &mut payload),
            AudioCodec::Opus(_) => encoder.encode(&pcm, &mut payload).expect("a frame"),
        };
        if !lost(k) {
            rig.arrive(A, header, &payload[..len]);
        }
        (header.seq, header.timestamp) =
            (header.seq.wrapping_add(1), header.timestamp.wrapping_add(if from == OPUS { 960 } else { 160 }));
        rig.pass(Duration::from_millis(20));
    }
    let heard = rig.heard(B);
    let frame = u32::from(to.ptime_ms) * 8;
    assert_unbroken(&heard, if to.codec == OPUS { frame * 6 } else { frame });
    let pcm = decode(to.codec, &heard);
    (rig, pcm)
}

#[test]
fn loss_of_up_to_three_packets_makes_no_click_whatever_the_codecs() {
    // One, two and three in a row, at all phases of the voice.
    let lost = |k: usize| k > 20 && k % 13 < k / 13 % 4;
    let mut longer = plan(ULAW);
    longer.ptime_ms = 40;
    for (from, to) in [(ULAW, plan(OPUS)), (AudioCodec::Pcma, plan(OPUS)), (OPUS, plan(ULAW)), (ULAW, longer)] {
        let (_, whole) = with_loss(from, to, 400, |_| false);
        let (rig, holed) = with_loss(from, to, 400, lost);
        let (most, least) = (steepest(&holed[1600..]), steepest(&whole[1600..]));
        assert!(most <= least * 3 / 2, "{from:?} to {:?}: a step of {most}, of {least} without loss", to.codec);
        let stats = rig.engine.stats(A).expect("open");
        assert!(stats.lost > 30 && stats.concealed == stats.lost, "{from:?} to {:?}: {stats:?}", to.codec);
    }
}

#[test]
fn what_is_heard_again_after_a_long_loss_is_no_click_in_the_encoder() {
    // 200 ms: beyond what is made up.
    let mut rig = Rig::new(plan(ULAW), plan(OPUS));
    let mut speaker = Speaker::new(A, plan(ULAW), HZ);
    for k in 0..200 {
        let (header, payload) = speaker.next(20);
        if k % 50 < 40 {
            rig.arrive(A, header, &payload);
        }
        rig.pass(Duration::from_millis(20));
    }
    let heard = rig.heard(B);
    let marked: Vec<_> = heard.iter().enumerate().filter(|(_, h)| h.header.marker).map(|(k, _)| k).collect();
    assert_eq!(marked, [0, 40, 80, 120], "the jump is marked");
    assert_smooth(&decode(OPUS, &heard)[1600..], &[HZ]);
}

/// Sends 300 packets of 400 Hz, of which every tenth is one of 1500 Hz and does not come; returns how loud those are at B.
fn what_was_only_in_lost_packets(fec: bool) -> f64 {
    let params = OpusParams { fec, ..OpusParams::default() };
    let from = plan(AudioCodec::Opus(params));
    let mut rig = Rig::new(from, plan(ULAW));
    let mut encoder = Encoder::new(params).expect("libopus");
    encoder.set_loss_percent(20).expect("libopus");
    let (mut header, _) = Speaker::new(A, from, 0.0).next(20);
    for k in 0..300 {
        let hz = if k % 10 == 5 { 1500.0 } else { 400.0 };
        let sine = |n: usize| (n as f64 * hz * std::f64::consts::TAU / 8000.0).sin() * PEAK;
        let pcm: Vec<i16> = (k * 160..(k + 1) * 160).map(|n| sine(n) as i16).collect();
        let mut payload = [0; 400];
        let len = encoder.encode(&pcm, &mut payload).expect("a frame");
        if k % 10 != 5 {
            rig.arrive(A, header, &payload[..len]);
        }
        (header.seq, header.timestamp) = (header.seq.wrapping_add(1), header.timestamp.wrapping_add(960));
        rig.pass(Duration::from_millis(20));
    }
    let pcm = decode(ULAW, &rig.heard(B));
    assert_eq!(pcm.len(), 300 * 160, "as many as were sent");
    // A little later than sent, by the look-ahead of the encoder.
    let lost = pcm.chunks(160).skip(15).step_by(10).map(|frame| level(&frame[60..], 1500.0));
    lost.clone().sum::<f64>() / lost.count() as f64
}

#[test]
fn what_was_in_a_lost_packet_is_heard_where_the_browser_sends_fec() {
    let (with, without) = (what_was_only_in_lost_packets(true), what_was_only_in_lost_packets(false));
    assert!(with > PEAK / 3.0, "{with:.0}");
    assert!(without < PEAK / 10.0, "{without:.0}: nobody can guess it");
}

/// Blocks about a leg's peer in the reports that it was sent.
fn blocks(rig: &Rig, leg: crosspoint::id::LegId) -> Vec<ReportBlock> {
    let sent = rig.out.0.iter().filter(|(socket, ..)| *socket == Socket::Rtcp(pair(leg)));
    sent.flat_map(|(.., bytes)| Compound::parse(bytes).expect("RTCP").packets())
        .flat_map(|packet| match packet {
            RtcpPacket::SenderReport { blocks, .. } | RtcpPacket::ReceiverReport { blocks, .. } => {
                blocks.collect::<Vec<_>>()
            }
            _ => Vec::new(),
        })
        .collect()
}

#[test]
fn our_reports_tell_the_browser_what_share_is_lost_so_that_it_adds_fec() {
    let mut rig = Rig::new(plan(OPUS), plan(ULAW));
    let mut speaker = Speaker::new(A, plan(OPUS), HZ);
    for k in 0..3000u32 {
        let (header, payload) = speaker.next(20);
        // A tenth is lost in the first half minute, nothing in the second.
        if k > 1500 || !k.is_multiple_of(10) {
            rig.arrive(A, header, &payload);
        }
        rig.pass(Duration::from_millis(20));
    }
    let blocks = blocks(&rig, A);
    assert!((8..=24).contains(&blocks.len()), "{}", blocks.len());
    assert!(blocks.iter().all(|block| block.ssrc == speaker.ssrc));
    let tenth = (20..=31).contains(&blocks[0].fraction_lost);
    assert!(tenth, "{} of 256", blocks[0].fraction_lost);
    let last = blocks.last().expect("blocks");
    assert_eq!(last.fraction_lost, 0);
    assert_eq!(last.lost, 150, "since the first packet that came: those of 10, 20 and so on to 1500");
    let behind = speaker.seq.wrapping_sub(1).wrapping_sub(last.highest_seq as u16);
    assert!(behind < 400, "the last report is at most 7.5 s old: {behind} packets");
}
