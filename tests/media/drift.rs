//! An hour of clocks that run apart by 200 ppm, in simulated time, without a slip.

use std::time::Duration;

use crosspoint::id::LegId;
use crosspoint::plan::*;

use crate::rig::*;

const ULAW: AudioCodec = AudioCodec::Pcmu;
const ALAW: AudioCodec = AudioCodec::Pcma;
/// Cheap, because the test is not about its sound.
const OPUS: AudioCodec = AudioCodec::Opus(OpusParams { bitrate_bps: 12_000, complexity: 0, fec: false, dtx: false });
/// Packets of 20 ms in an hour.
const HOUR: usize = 180_000;

/// What an hour came to.
struct Hour {
    rig: Rig,
    heard: usize,
    /// Longest time from an arrival to what it became, µs.
    slowest_us: u128,
    pcm: Vec<i16>,
}

/// A peer speaks for an hour on a clock that is off by so many ppm, with jitter of up to so many ms; the other side hears
/// packets one after the other, each at its time.
fn hour(mut rig: Rig, from: LegId, source: AudioCodec, to: LegId, target: AudioPlan, ppm: i64, jitter_ms: u64) -> Hour {
    // 400 Hz: the end of the second fits to its beginning.
    let mut speaker = Speaker::new(from, plan(source), 400.0);
    let second: Vec<_> = (0..50).map(|_| speaker.next(20).1).collect();
    let (mut header, _) = Speaker::new(from, plan(source), 400.0).next(20);
    let tick = Duration::from_nanos((20_000_000 + 20 * ppm) as u64);
    let ticks = |codec, len: u32| if matches!(codec, AudioCodec::Opus(_)) { len * 6 } else { len };
    let step = ticks(target.codec, u32::from(target.ptime_ms) * 8);
    let begun = rig.now;
    let (mut heard, mut last, mut slowest_us, mut pcm) = (0, None::<Heard>, 0, Vec::new());
    for k in 0..HOUR {
        let late = (k as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let arrival = begun + tick * k as u32 + Duration::from_millis(late % (jitter_ms + 1));
        if arrival > rig.now {
            rig.pass(arrival - rig.now);
        }
        rig.arrive(from, header, &second[k % second.len()]);
        header.seq = header.seq.wrapping_add(1);
        header.timestamp = header.timestamp.wrapping_add(ticks(source, 160));
        let packets = rig.heard(to);
        rig.out.0.clear();
        for packet in packets {
            if let Some(before) = &last {
                let [one, two] = [&before.header, &packet.header];
                assert_eq!(two.seq, one.seq.wrapping_add(1));
                assert_eq!(two.timestamp.wrapping_sub(one.timestamp), step, "at packet {heard}");
                assert!(!two.marker, "no rebase");
            }
            heard += 1;
            // By the source's clock.
            let said = tick * (heard * usize::from(target.ptime_ms) / 20) as u32;
            slowest_us = slowest_us.max(rig.now.saturating_duration_since(begun + said).as_micros());
            if HOUR - k < 500 {
                pcm.extend(decode(target.codec, std::slice::from_ref(&packet)));
            }
            last = Some(packet);
        }
    }
    rig.pass(Duration::from_secs(1));
    heard += rig.heard(to).len();
    Hour { rig, heard, slowest_us, pcm }
}

fn assert_no_slip(hour: &Hour, from: LegId) {
    let stats = hour.rig.engine.stats(from).expect("open");
    assert_eq!((stats.received, stats.lost, stats.late, stats.concealed), (HOUR as u64, 0, 0, 0), "{stats:?}");
}

#[test]
fn an_hour_of_drift_from_a_browser_is_a_packet_for_a_packet() {
    for ppm in [200, -200] {
        let hour = hour(Rig::new(plan(OPUS), plan(ULAW)), A, OPUS, B, plan(ULAW), ppm, 0);
        assert_eq!(hour.heard, HOUR);
        assert_no_slip(&hour, A);
        assert!(hour.slowest_us < 1000, "nothing piles up: {} us", hour.slowest_us);
    }
}

#[test]
fn an_hour_of_drift_from_the_trunk_is_a_packet_for_a_packet() {
    let longer = AudioPlan { ptime_ms: 30, ..plan(ALAW) };
    for (target, ppm) in [(plan(OPUS), 200), (longer, -200)] {
        let hour = hour(Rig::new(target, plan(ULAW)), B, ULAW, A, target, ppm, 0);
        assert_eq!(hour.heard, HOUR * 20 / usize::from(target.ptime_ms));
        assert_no_slip(&hour, B);
        assert!(hour.slowest_us < 1000, "nothing piles up: {} us", hour.slowest_us);
        if target.codec == ALAW {
            assert_smooth(&hour.pcm, &[400.0]);
        }
    }
}

#[test]
fn an_hour_of_drift_through_a_dejitter_buffer_adds_and_drops_nothing() {
    for (ppm, adaptive) in [(200, false), (-200, false), (200, true), (-200, true)] {
        let dejitter = Dejitter { ms: 60, adaptive };
        let rig = Rig::waiting(plan(ALAW), plan(ULAW), Duration::ZERO, dejitter);
        // Within a packet, so that none is overtaken.
        let hour = hour(rig, B, ULAW, A, plan(ALAW), ppm, 19);
        assert_eq!(hour.heard, HOUR, "{ppm} ppm");
        assert_no_slip(&hour, B);
        assert_smooth(&hour.pcm, &[400.0]);
        assert!(hour.slowest_us < 90_000, "the delay does not grow: {} us at {ppm} ppm", hour.slowest_us);
        let wait_us = hour.rig.engine.stats(B).expect("open").wait_us;
        let (least, most) = if adaptive { (3_000, 25_000) } else { (40_000, 62_000) };
        assert!((least..=most).contains(&wait_us), "{wait_us} us at {ppm} ppm");
    }
}
