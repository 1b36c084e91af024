//! Three and more parties: each hears all the others and never itself.

use std::time::Duration;

use crosspoint::id::LegId;
use crosspoint::plan::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::rig::*;

const OPUS: AudioCodec = AudioCodec::Opus(OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false });
const ULAW: AudioCodec = AudioCodec::Pcmu;
const ALAW: AudioCodec = AudioCodec::Pcma;
const HZ: [f64; 3] = [400.0, 1100.0, 1900.0];
/// Where a click would show, as a step that none of these has; no whole number of periods in a frame.
const LOW: [f64; 3] = [210.0, 290.0, 330.0];
const MS: Duration = Duration::from_millis(1);

fn ticks(codec: AudioCodec) -> u32 {
    if matches!(codec, AudioCodec::Opus(_)) { 960 } else { 160 }
}

fn mix(legs: &[LegId]) -> Order {
    Order::Connect(Topology::Mix(legs.to_vec()))
}

/// A mix of legs with these codecs, and who speaks in it, in tones of [`HZ`].
fn party(codecs: &[AudioCodec]) -> (Rig, Vec<Speaker>) {
    party_of(codecs, HZ)
}

fn party_of(codecs: &[AudioCodec], hz: [f64; 3]) -> (Rig, Vec<Speaker>) {
    let plans: Vec<_> = codecs.iter().map(|codec| plan(*codec)).collect();
    let mut rig = Rig::parked(&plans, &[]);
    let legs: Vec<_> = (1..=codecs.len() as u64).map(LegId).collect();
    rig.order(mix(&legs));
    let speakers = legs.iter().zip(plans).zip(hz).map(|((leg, plan), hz)| Speaker::new(*leg, plan, hz));
    (rig, speakers.collect())
}

/// All speak for so many frames of 20 ms, each a few milliseconds after the one before.
fn talk(rig: &mut Rig, speakers: &mut [Speaker], frames: usize) {
    for _ in 0..frames {
        let mut left = 20;
        for speaker in speakers.iter_mut() {
            rig.pass(5 * MS);
            left -= 5;
            let (header, payload) = speaker.next(20);
            rig.arrive(speaker.leg, header, &payload);
        }
        rig.pass(left * MS);
    }
}

fn db(pcm: &[i16], hz: f64) -> f64 {
    20.0 * (level(pcm, hz) / PEAK).max(1e-9).log10()
}

#[test]
fn each_of_three_hears_exactly_the_two_others() {
    for codecs in [[ULAW, ALAW, OPUS], [OPUS, OPUS, OPUS], [ULAW, ULAW, ULAW]] {
        let (mut rig, mut speakers) = party(&codecs);
        talk(&mut rig, &mut speakers, 100);
        for (own, leg) in [A, B, C].into_iter().enumerate() {
            let heard = rig.heard(leg);
            assert!((99..=101).contains(&heard.len()), "{}", heard.len());
            assert_unbroken(&heard, ticks(codecs[own]));
            assert!(heard[0].header.marker && heard[1..].iter().all(|h| !h.header.marker));
            let pcm = &decode(codecs[own], &heard)[4800..];
            for (k, hz) in HZ.into_iter().enumerate() {
                let db = db(pcm, hz);
                let as_it_should = if k == own { db < -40.0 } else { db.abs() < 1.0 };
                assert!(as_it_should, "{leg} of {codecs:?} hears {hz} Hz at {db} dB");
            }
        }
    }
}

#[test]
fn eight_parties_with_packets_of_all_lengths_hear_all_others() {
    let codecs: Vec<_> = (0..8).map(|k| [ULAW, ALAW, OPUS][k % 3]).collect();
    let mut plans: Vec<_> = codecs.iter().map(|codec| plan(*codec)).collect();
    for (plan, ptime) in plans.iter_mut().zip([20, 30, 20, 10, 60, 40, 20, 40]) {
        plan.ptime_ms = ptime;
    }
    let mut rig = Rig::parked(&plans, &[]);
    let legs: Vec<_> = (1..=8).map(LegId).collect();
    rig.order(mix(&legs));
    let hz = |k: usize| 350.0 + 250.0 * k as f64;
    let mut speakers: Vec<_> = (0..8).map(|k| Speaker::new(legs[k], plans[k], hz(k))).collect();
    let lengths = [20, 30, 20, 10, 60, 40, 20, 40];
    for ms in 0..2400 {
        for (speaker, len) in speakers.iter_mut().zip(lengths).filter(|(_, len)| ms % len == 0) {
            let (header, mut payload) = speaker.next(len);
            if header.pt != Pt(111) {
                // Quieter, or eight of them would clip: 18 dB are three steps of the law's exponent.
                payload.iter_mut().for_each(|octet| *octet = quieter(header.pt, *octet));
            }
            rig.arrive(speaker.leg, header, &payload);
        }
        rig.pass(MS);
    }
    for (own, leg) in legs.iter().enumerate() {
        let heard = rig.heard(*leg);
        let pcm = &decode(codecs[own], &heard)[8000..];
        for k in (0..8).filter(|k| codecs[*k] != OPUS) {
            let loud = level(pcm, hz(k)) > PEAK / 16.0;
            assert_eq!(loud, k != own, "{leg} hears {} Hz at {} dB", hz(k), db(pcm, hz(k)));
        }
    }
}

/// Takes 18 dB off a sample of G.711.
fn quieter(pt: Pt, octet: u8) -> u8 {
    use crosspoint::codec::g711;
    let mut pcm = [0; 1];
    let mut out = [0; 1];
    if pt == Pt(0) {
        g711::decode_ulaw(&[octet], &mut pcm);
        g711::encode_ulaw(&[pcm[0] / 8], &mut out);
    } else {
        g711::decode_alaw(&[octet], &mut pcm);
        g711::encode_alaw(&[pcm[0] / 8], &mut out);
    }
    out[0]
}

#[test]
fn a_mix_delays_by_one_frame_at_most() {
    for phase in 0..20 {
        let (mut rig, _) = party(&[ULAW, ULAW, ULAW]);
        rig.pass((200 + phase) * MS);
        rig.heard(B);
        let (header, payload) = Speaker::new(A, plan(ULAW), 1000.0).next(20);
        rig.arrive(A, header, &payload);
        let silent = |packet: &Heard| decode(ULAW, std::slice::from_ref(packet)).iter().all(|s| s.abs() < 100);
        let waited = (0..=40u32).find(|_| {
            let loud = rig.heard(B).iter().any(|packet| !silent(packet));
            rig.pass(MS);
            loud
        });
        assert!(waited.is_some_and(|ms| ms <= 20), "{waited:?} ms at phase {phase}");
    }
}

#[test]
fn what_is_too_loud_for_16_bits_is_limited_and_does_not_wrap() {
    let mut rig = Rig::parked(&[plan(ULAW); 3], &[]);
    rig.order(mix(&[A, B, C]));
    for k in 0..50u16 {
        for leg in [A, B] {
            // The loudest sample of the law, 32124.
            let header =
                crosspoint::rtp::RtpHeader { pt: Pt(0), marker: false, seq: k, timestamp: u32::from(k) * 160, ssrc: 5 };
            rig.arrive(leg, header, &[0x80; 160]);
        }
        rig.pass(20 * MS);
    }
    let heard = decode(ULAW, &rig.heard(C));
    assert!(heard[800..].iter().all(|s| *s == 32_124));
}

#[test]
fn jitter_of_a_frame_makes_no_click() {
    let (mut rig, mut speakers) = party_of(&[ULAW, ALAW, OPUS], LOW);
    let mut rng = StdRng::seed_from_u64(3);
    let mut waiting: Vec<(Duration, LegId, crosspoint::rtp::RtpHeader, Vec<u8>)> = Vec::new();
    for ms in 0..6000u64 {
        if ms % 20 == 0 {
            for speaker in &mut speakers {
                let (header, payload) = speaker.next(20);
                let at = Duration::from_millis(ms + rng.random_range(0..18));
                waiting.push((at, speaker.leg, header, payload));
            }
        }
        let now = Duration::from_millis(ms);
        for (_, leg, header, payload) in waiting.extract_if(.., |(at, ..)| *at <= now) {
            rig.arrive(leg, header, &payload);
        }
        rig.pass(MS);
    }
    for (own, leg) in [A, B].into_iter().enumerate() {
        let pcm = decode([ULAW, ALAW][own], &rig.heard(leg));
        let others: Vec<_> = LOW.into_iter().filter(|hz| *hz != LOW[own]).collect();
        assert_smooth(&pcm[8000..], &others);
        others.iter().for_each(|hz| assert!(db(&pcm[8000..], *hz).abs() < 1.0, "{hz} Hz at {leg}"));
    }
}

#[test]
fn lost_packets_are_concealed() {
    for codec in [ULAW, OPUS] {
        let (mut rig, mut speakers) = party_of(&[codec, ALAW, ALAW], LOW);
        for frame in 0..300 {
            let (header, payload) = speakers[0].next(20);
            if frame % 10 != 9 {
                rig.arrive(A, header, &payload);
            }
            rig.pass(20 * MS);
        }
        let heard = rig.heard(B);
        assert_unbroken(&heard, 160);
        let pcm = decode(ALAW, &heard);
        assert!(db(&pcm[1600..], LOW[0]).abs() < 1.0, "{codec:?}: {} dB", db(&pcm[1600..], LOW[0]));
        assert_eq!(rig.engine.stats(A).expect("open").lost, 29, "the last one is not missed yet");
        if codec == ULAW {
            assert_smooth(&pcm[160..], &LOW[..1]);
        }
    }
}

#[test]
fn a_leg_that_says_nothing_is_silence_and_the_others_go_on() {
    let (mut rig, mut speakers) = party_of(&[ULAW, ALAW, OPUS], LOW);
    talk(&mut rig, &mut speakers, 50);
    // Muted, or in discontinuous transmission.
    talk(&mut rig, &mut speakers[1..], 50);
    talk(&mut rig, &mut speakers, 50);
    let heard = rig.heard(B);
    assert_unbroken(&heard, 160);
    let pcm = decode(ALAW, &heard);
    assert_smooth(&pcm[800..], &[LOW[0], LOW[2]]);
    let quiet = &pcm[55 * 160..98 * 160];
    assert!(db(quiet, LOW[0]) < -40.0 && db(quiet, LOW[2]).abs() < 1.0);
    assert!(db(&pcm[110 * 160..], LOW[0]).abs() < 1.0);
}

#[test]
fn legs_join_and_leave_in_mid_mix_without_a_click() {
    let (mut rig, mut speakers) = party_of(&[ULAW, ULAW, ULAW], LOW);
    rig.order(mix(&[A, B]));
    talk(&mut rig, &mut speakers[..2], 47);
    rig.order(mix(&[A, B, C]));
    talk(&mut rig, &mut speakers, 47);
    let joined = [&[0], &decode(ULAW, &rig.heard(C))[..]].concat();
    assert_smooth(&joined[..1600], &LOW[..2]);
    rig.order(Order::Connect(Topology::Parked(C, Source::Nothing)));
    talk(&mut rig, &mut speakers[..2], 47);
    rig.order(mix(&[C, A, B]));
    talk(&mut rig, &mut speakers, 47);
    rig.order(Order::Close(C));
    talk(&mut rig, &mut speakers[..2], 47);
    let heard = rig.heard(B);
    assert_unbroken(&heard, 160);
    let pcm = decode(ULAW, &heard);
    assert_smooth(&pcm[1600..], &[LOW[0], LOW[2]]);
    for (turn, joined) in [false, true, false, true, false].into_iter().enumerate() {
        let part = &pcm[turn * 47 * 160 + 800..][..6400];
        assert!(db(part, LOW[0]).abs() < 1.0, "the one that stays");
        assert_eq!(db(part, LOW[2]).abs() < 1.0, joined, "turn {turn}: {} dB", db(part, LOW[2]));
    }
}

#[test]
fn a_pair_becomes_a_mix_and_a_pair_again() {
    let mut rig = Rig::parked(&[plan(OPUS), plan(ULAW), plan(ALAW)], &[]);
    let mut speakers: Vec<_> = [(A, OPUS), (B, ULAW), (C, ALAW)]
        .into_iter()
        .zip(HZ)
        .map(|((l, c), hz)| Speaker::new(l, plan(c), hz))
        .collect();
    rig.order(Order::Connect(Topology::Pair(A, B)));
    talk(&mut rig, &mut speakers, 50);
    assert!(rig.heard(C).is_empty());
    rig.order(mix(&[A, B, C]));
    talk(&mut rig, &mut speakers, 50);
    rig.order(Order::Connect(Topology::Pair(A, B)));
    talk(&mut rig, &mut speakers, 50);
    let heard = rig.heard(B);
    for two in heard.windows(2) {
        assert_eq!(two[1].header.seq, two[0].header.seq.wrapping_add(1));
        let step = two[1].header.timestamp.wrapping_sub(two[0].header.timestamp);
        // At a change the next frame follows the last, or its time: within a frame.
        assert!((160..=320).contains(&step), "{step}");
        assert!(step == 160 || two[1].header.marker);
    }
    let at_c = rig.heard(C);
    assert!((49..=51).contains(&at_c.len()), "C hears the mix alone: {}", at_c.len());
    let third = |pcm: &[i16], k: usize| pcm[k * 8000 + 800..k * 8000 + 7200].to_vec();
    let pcm = decode(ULAW, &heard);
    let with_c = [0, 1, 2].map(|k| db(&third(&pcm, k), HZ[2]).abs() < 1.0);
    assert_eq!(with_c, [false, true, false]);
    assert!((0..3).all(|k| db(&third(&pcm, k), HZ[0]).abs() < 1.0));
}

#[test]
fn a_key_of_one_is_heard_by_all_others_and_reported_once() {
    let (mut rig, mut speakers) = party(&[ULAW, ALAW, OPUS]);
    talk(&mut rig, &mut speakers, 10);
    for leg in [A, B, C] {
        rig.heard(leg);
    }
    let (mut header, _) = speakers[0].next(20);
    (header.pt, header.marker) = (Pt(101), true);
    for k in 1..=8u16 {
        let duration = (k.min(5) * 160).to_be_bytes();
        let end = if k > 5 { 0x80 } else { 0 };
        header.seq = speakers[0].seq;
        speakers[0].seq += 1;
        rig.arrive(A, header, &[7, end | 10, duration[0], duration[1]]);
        header.marker = false;
        talk(&mut rig, &mut speakers[1..], 1);
    }
    talk(&mut rig, &mut speakers[1..], 10);
    for leg in [B, C] {
        let keys: Vec<_> = rig.heard(leg).into_iter().filter(|h| h.header.pt == Pt(101)).collect();
        assert!(keys.iter().all(|k| k.payload[0] == 7), "{leg}");
        assert!(keys.iter().filter(|k| k.payload[1] & 0x80 != 0).count() == 3, "{leg}");
        let starts: std::collections::HashSet<_> = keys.iter().map(|k| k.header.timestamp).collect();
        assert_eq!(starts.len(), 1, "one key");
    }
    assert!(rig.heard(A).iter().all(|h| h.header.pt != Pt(101)), "nobody hears his own key");
    let keys = rig.reports().into_iter().filter(|r| matches!(r, Report::Digit(A, Digit { event: 7, .. }))).count();
    assert_eq!(keys, 1);
}

#[test]
fn hold_within_a_mix_is_heard_by_nobody_and_hears_nothing() {
    let (mut rig, mut speakers) = party(&[ULAW, ULAW, ULAW]);
    talk(&mut rig, &mut speakers, 20);
    let mut held = plan(ULAW);
    (held.send, held.recv) = (false, false);
    rig.order(Order::UpdateRtp(C, remote(C, held)));
    rig.heard(C);
    talk(&mut rig, &mut speakers, 50);
    assert!(rig.heard(C).is_empty());
    let pcm = decode(ULAW, &rig.heard(A));
    let after = &pcm[40 * 160..];
    assert!(db(after, HZ[2]) < -40.0 && db(after, HZ[1]).abs() < 1.0);
    rig.order(Order::UpdateRtp(C, remote(C, plan(ULAW))));
    talk(&mut rig, &mut speakers, 50);
    let heard = rig.heard(C);
    assert!(heard[0].header.marker);
    assert!(db(&decode(ULAW, &heard)[1600..], HZ[0]).abs() < 1.0);
    assert!(db(&decode(ULAW, &rig.heard(A))[1600..], HZ[2]).abs() < 1.0);
}

#[test]
fn a_mix_ends_with_its_last_leg_and_leaves_no_tick_behind() {
    let (mut rig, _) = party(&[ULAW, ULAW, ULAW]);
    rig.pass(100 * MS);
    for leg in [A, B, C] {
        rig.order(Order::Close(leg));
    }
    rig.pass(100 * MS);
    rig.out.0.clear();
    rig.pass(Duration::from_secs(60));
    assert!(rig.out.0.is_empty());
    assert_eq!(rig.engine.poll_timeout(), None);
}

#[test]
fn a_mix_of_legs_that_are_not_open_is_nothing() {
    let (mut rig, mut speakers) = party(&[ULAW, ULAW]);
    rig.order(mix(&[LegId(77), LegId(78)]));
    rig.order(mix(&[]));
    // An unknown leg is left out; a leg that is named twice is one.
    rig.order(mix(&[A, A, B, LegId(77)]));
    talk(&mut rig, &mut speakers, 50);
    let pcm = decode(ULAW, &rig.heard(B));
    assert!(db(&pcm[1600..], HZ[0]).abs() < 0.5 && db(&pcm[1600..], HZ[1]) < -40.0);
}
