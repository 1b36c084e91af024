//! Packets that come in another order, or at no even pace: a hold, and a de-jitter buffer.

use std::time::Duration;

use crosspoint::plan::*;

use crate::rig::*;

const ULAW: AudioCodec = AudioCodec::Pcmu;
const OPUS: AudioCodec = AudioCodec::Opus(OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false });
const FRAME: Duration = Duration::from_millis(20);
const HOLD: Duration = Duration::from_millis(60);

#[test]
fn with_a_hold_packets_in_order_wait_for_nothing() {
    let mut rig = Rig::waiting(plan(OPUS), plan(ULAW), HOLD, Dejitter::default());
    let mut speaker = Speaker::new(A, plan(OPUS), 700.0);
    for _ in 0..50 {
        let (header, payload) = speaker.next(20);
        rig.arrive(A, header, &payload);
        assert_eq!(rig.heard(B).len(), 1, "at once");
        rig.pass(FRAME);
    }
    assert_eq!(rig.engine.stats(A).expect("open").wait_us, 0);
    assert_eq!(rig.engine.counters().waited, 0);
}

#[test]
fn with_a_hold_what_was_overtaken_is_put_in_its_place() {
    for overtaken_by in [1, 2] {
        let mut rig = Rig::waiting(plan(OPUS), plan(ULAW), HOLD, Dejitter::default());
        let mut speaker = Speaker::new(A, plan(OPUS), 700.0);
        let mut heard = Vec::new();
        let mut expected = Vec::new();
        let mut bare = crosspoint::codec::opus::Decoder::new().expect("libopus");
        let mut kept = None;
        for k in 0..100 {
            let (header, payload) = speaker.next(20);
            let mut pcm = [0; 960];
            let len = bare.decode(&payload, &mut pcm).expect("Opus");
            expected.extend_from_slice(&pcm[..len]);
            if k % 10 == 5 {
                kept = Some((header, payload));
            } else {
                rig.arrive(A, header, &payload);
            }
            if k % 10 == 5 + overtaken_by {
                let (header, payload) = kept.take().expect("overtaken");
                rig.arrive(A, header, &payload);
            }
            rig.pass(FRAME);
            heard.extend(rig.heard(B));
        }
        assert_unbroken(&heard, 160);
        let mut octets = vec![0; expected.len()];
        crosspoint::codec::g711::encode_ulaw(&expected, &mut octets);
        assert!(heard.into_iter().flat_map(|h| h.payload).eq(octets), "sample by sample what was sent");
        let stats = rig.engine.stats(A).expect("open");
        assert_eq!((stats.lost, stats.late, stats.concealed), (0, 0, 0));
        assert_eq!(rig.engine.counters().waited, 10 * overtaken_by);
    }
}

#[test]
fn what_does_not_come_within_the_hold_is_made_up_and_late_after_it() {
    let mut rig = Rig::waiting(plan(OPUS), plan(ULAW), HOLD, Dejitter::default());
    let mut speaker = Speaker::new(A, plan(OPUS), 700.0);
    (0..10).for_each(|_| speaker.speak(&mut rig, 20));
    let missing = speaker.next(20);
    rig.heard(B);
    (0..2).for_each(|_| speaker.speak(&mut rig, 20));
    assert!(rig.heard(B).is_empty(), "two wait");
    rig.pass(FRAME);
    let heard = rig.heard(B);
    assert_eq!(heard.len(), 3, "what is made up, and those that waited");
    assert_unbroken(&heard, 160);
    rig.arrive(A, missing.0, &missing.1);
    assert!(rig.heard(B).is_empty());
    let stats = rig.engine.stats(A).expect("open");
    assert_eq!((stats.lost, stats.late, stats.concealed), (1, 1, 1));
    assert!(stats.wait_us > 0);
}

/// A trunk over a bad network: packets are up to 50 ms late, and overtake each other. Returns when B's sound went to A, ms.
fn jittered(dejitter: Dejitter, packets: u64) -> (Rig, Vec<u64>, Vec<Heard>) {
    let mut rig = Rig::waiting(plan(AudioCodec::Pcma), plan(ULAW), Duration::ZERO, dejitter);
    let mut speaker = Speaker::new(B, plan(ULAW), 400.0);
    let begun = rig.now;
    let late = |k: u64| (k.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) % 51;
    let mut arrivals: Vec<_> = (0..packets).map(|k| (k * 20 + late(k), speaker.next(20))).collect();
    arrivals.sort_by_key(|(at, _)| *at);
    let (mut times, mut heard) = (Vec::new(), Vec::new());
    let mut arrivals = arrivals.into_iter().peekable();
    for ms in 0..packets * 20 + 300 {
        while let Some((_, (header, payload))) = arrivals.next_if(|(at, _)| *at == ms) {
            rig.arrive(B, header, &payload);
        }
        rig.pass(begun + Duration::from_millis(ms + 1) - rig.now);
        for packet in rig.heard(A) {
            times.push(ms);
            heard.push(packet);
        }
    }
    (rig, times, heard)
}

#[test]
fn a_dejitter_buffer_brings_packets_into_order_and_to_their_pace() {
    let (rig, times, heard) = jittered(Dejitter { ms: 60, adaptive: false }, 1000);
    let stats = rig.engine.stats(B).expect("open");
    assert_eq!((stats.lost, stats.late), (0, 0), "{stats:?}");
    assert_eq!(heard.len(), 1000);
    assert_unbroken(&heard, 160);
    assert_smooth(&decode(AudioCodec::Pcma, &heard), &[400.0]);
    let paces: Vec<_> = times.windows(2).skip(100).map(|two| two[1] - two[0]).collect();
    assert!(paces.iter().all(|pace| (18..=22).contains(pace)), "{:?}", paces.iter().max());
    // They are 25 ms late in the mean, and go out 60 ms behind the quickest.
    assert!((25_000..45_000).contains(&stats.wait_us), "{}", stats.wait_us);
    let counters = rig.engine.counters();
    assert!(counters.waited > 900 && counters.waited_us / counters.waited > 25_000);
    let (rig, ..) = jittered(Dejitter::default(), 1000);
    assert!(rig.engine.stats(B).expect("open").late > 100, "without one, the overtaken are late");
}

#[test]
fn an_adaptive_dejitter_buffer_waits_as_long_as_it_must() {
    let (rig, _, heard) = jittered(Dejitter { ms: 120, adaptive: true }, 1500);
    let stats = rig.engine.stats(B).expect("open");
    assert!(stats.late + stats.lost < 20, "it has to see it first: {stats:?}");
    assert!(heard.len() > 1480);
    assert!((15_000..40_000).contains(&stats.wait_us), "not the most that it may: {}", stats.wait_us);
    // An even stream waits for nothing.
    let mut rig =
        Rig::waiting(plan(AudioCodec::Pcma), plan(ULAW), Duration::ZERO, Dejitter { ms: 120, adaptive: true });
    let mut speaker = Speaker::new(B, plan(ULAW), 400.0);
    for _ in 0..100 {
        let (header, payload) = speaker.next(20);
        rig.arrive(B, header, &payload);
        assert_eq!(rig.heard(A).len(), 1);
        rig.pass(FRAME);
    }
}
