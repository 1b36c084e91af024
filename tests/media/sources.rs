//! What parked legs hear: tones and sounds, and the way there and back.

use std::time::Duration;

use crosspoint::media::Sound;
use crosspoint::plan::*;

use crate::rig::*;

const OPUS: AudioCodec = AudioCodec::Opus(OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false });
const ULAW: AudioCodec = AudioCodec::Pcmu;

/// A sine of a second, cut anywhere.
fn music(hz: f64) -> Sound {
    Sound::new((0..8037).map(|k| ((f64::from(k) * std::f64::consts::TAU * hz / 8000.0).sin() * PEAK) as i16).collect())
}

fn park(source: Source) -> Order {
    Order::Connect(Topology::Parked(B, source))
}

#[test]
fn a_parked_leg_hears_its_sound_over_and_over_without_a_click() {
    for codec in [ULAW, OPUS] {
        let mut rig = Rig::parked(&[plan(codec), plan(codec)], &[music(300.0), music(700.0)]);
        rig.order(park(Source::Sound(SoundId(1))));
        rig.pass(Duration::from_millis(500));
        rig.order(Order::Connect(Topology::Parked(A, Source::Sound(SoundId(1)))));
        rig.pass(Duration::from_secs(5));
        let heard = rig.heard(B);
        assert_unbroken(&heard, if codec == OPUS { 960 } else { 160 });
        let pcm = decode(codec, &heard);
        assert!((43_000..=44_160).contains(&pcm.len()), "{}", pcm.len());
        if codec == ULAW {
            // Ten seams in all; a fade between two sines is steeper than one by 1/80 of both.
            assert!(steepest(&pcm) < 5700, "{}", steepest(&pcm));
        }
        assert!(level(&pcm[8320..15_840], 700.0) > PEAK * 0.9);
        let begins_anew = decode(codec, &rig.heard(A));
        assert!((39_000..=40_160).contains(&begins_anew.len()), "each from its own beginning");
        if codec == ULAW {
            assert_eq!(begins_anew[..8000], pcm[..8000]);
        }
    }
}

#[test]
fn a_sound_that_is_not_known_is_silence() {
    let mut rig = Rig::parked(&[plan(ULAW), plan(ULAW)], &[music(300.0)]);
    rig.order(park(Source::Sound(SoundId(1))));
    rig.pass(Duration::from_millis(200));
    let heard = rig.heard(B);
    assert_eq!(heard.len(), 11, "the stream goes on");
    assert!(decode(ULAW, &heard).iter().all(|s| *s == 0));
}

#[test]
fn a_pair_is_parked_on_music_and_becomes_a_pair_again_on_one_stream() {
    let mut rig = Rig::parked(&[plan(OPUS), plan(ULAW)], &[music(700.0)]);
    let mut speaker = Speaker::new(A, plan(OPUS), 400.0);
    let mut heard = Vec::new();
    let mut turn = |rig: &mut Rig, order: Order| {
        rig.order(order);
        for _ in 0..50 {
            speaker.speak(rig, 20);
        }
        let part = rig.heard(B);
        heard.extend(part.clone());
        decode(ULAW, &part)
    };
    let pair = || Order::Connect(Topology::Pair(A, B));
    let tone = Cadence { parts: vec![TonePart { hz: [1900, 0], length: Duration::MAX }], level_dbm0: -9 };
    let levels = |pcm: &[i16]| [400.0, 700.0, 1900.0].map(|hz| level(&pcm[1600..], hz) > PEAK / 4.0);
    assert_eq!(levels(&turn(&mut rig, pair())), [true, false, false]);
    assert_eq!(levels(&turn(&mut rig, park(Source::Sound(SoundId(0))))), [false, true, false]);
    assert_eq!(levels(&turn(&mut rig, park(Source::Tone(tone)))), [false, false, true]);
    assert_eq!(levels(&turn(&mut rig, park(Source::Sound(SoundId(0))))), [false, true, false]);
    assert_eq!(levels(&turn(&mut rig, pair())), [true, false, false]);
    assert!(turn(&mut rig, park(Source::Nothing)).is_empty());
    assert_eq!(levels(&turn(&mut rig, pair())), [true, false, false]);
    for two in heard.windows(2) {
        assert_eq!(two[1].header.ssrc, two[0].header.ssrc);
        assert_eq!(two[1].header.seq, two[0].header.seq.wrapping_add(1));
        let step = two[1].header.timestamp.wrapping_sub(two[0].header.timestamp);
        // Time goes on over the second of nothing; elsewhere the next frame follows the last.
        let fits = step == 160 || (two[1].header.marker && (160..=320).contains(&step)) || step == 160 + 8000;
        assert!(fits, "{step}");
    }
    let markers = heard.iter().filter(|h| h.header.marker).count();
    assert_eq!(markers, 6, "one per beginning");
}

#[test]
fn an_order_for_the_music_that_plays_does_not_begin_it_anew() {
    let mut rig = Rig::parked(&[plan(ULAW), plan(ULAW)], &[music(310.0)]);
    for _ in 0..7 {
        rig.order(park(Source::Sound(SoundId(0))));
        // As a refresh of the session has it.
        rig.order(Order::UpdateRtp(B, remote(B, plan(ULAW))));
        rig.pass(Duration::from_millis(130));
    }
    let heard = rig.heard(B);
    assert_unbroken(&heard, 160);
    assert_smooth(&decode(ULAW, &heard)[..7200], &[310.0]);
}
