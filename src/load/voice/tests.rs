//! The sound goes through the codecs of a gateway and is known again.

use super::*;

fn decoded(voice: &Voice, frames: std::ops::Range<u64>) -> Vec<i16> {
    let codec = match voice.coding() {
        Coding::Pcmu => AudioCodec::Pcmu,
        Coding::Pcma => AudioCodec::Pcma,
        _ => AudioCodec::Opus(OpusParams::default()),
    };
    let mut pcm = Vec::new();
    let mut decoding = Decoding::new(codec).expect("libopus");
    frames.for_each(|n| decoding.decode(voice.packet(n), &mut pcm));
    pcm
}

/// What a gateway makes of it: decoded, and encoded for the other side.
fn carried(pcm: &[i16]) -> Vec<i16> {
    let mut encoder = opus::Encoder::new(OpusParams::default()).expect("libopus");
    let mut decoder = opus::Decoder::new().expect("libopus");
    let (mut packet, mut out) = ([0; 1500], [0; 960]);
    let mut heard = Vec::new();
    for frame in pcm.chunks_exact(160) {
        let len = encoder.encode(frame, &mut packet).expect("a packet");
        let samples = decoder.decode(&packet[..len], &mut out).expect("a frame");
        heard.extend_from_slice(&out[..samples]);
    }
    heard
}

#[test]
fn the_marker_is_found_to_the_sample_in_g711_and_behind_the_look_ahead_in_opus() {
    let mut probe = Probe::new();
    for coding in [Coding::Pcmu, Coding::Pcma] {
        let voice = Voice::new(coding, 3).expect("a voice");
        assert_eq!(voice.frames(), 100);
        assert_eq!(probe.marker(&decoded(&voice, 95..130)), Some(5 * 160));
    }
    for coding in [Coding::NarrowOpus { frame_ms: 20 }, Coding::FullOpus { frame_ms: 20 }] {
        let voice = Voice::new(coding, 3).expect("a voice");
        let ahead = LookAhead::measure(&voice, &mut probe).expect("the marker");
        assert!((40..80).contains(&ahead.to_trunk), "{coding:?}: {ahead:?}");
        assert!((40..80).contains(&ahead.to_browser), "{coding:?}: {ahead:?}");
    }
}

#[test]
fn there_is_no_marker_in_the_rest_of_the_loop_nor_in_silence() {
    let mut probe = Probe::new();
    let voice = Voice::new(Coding::Pcmu, 7).expect("a voice");
    assert_eq!(probe.marker(&decoded(&voice, 6..99)), None);
    assert_eq!(probe.marker(&[0; 4000]), None);
    assert_eq!(probe.marker(&[0; 100]), None);
}

#[test]
fn each_pilot_is_found_behind_both_transcodings_and_no_other() {
    let mut probe = Probe::new();
    for pilot in 0..PILOTS {
        let said = decoded(&Voice::new(Coding::Pcmu, pilot).expect("a voice"), 6..31);
        for heard in [carried(&said), said] {
            let found = probe.pilot(&heard).expect("enough sound");
            assert!(found.is_sure && found.pilot == pilot, "{} Hz: {found:?}", pilot_hz(pilot));
            assert!((-29.0..-20.0).contains(&found.level_db), "{found:?}");
        }
    }
    let full = decoded(&Voice::new(Coding::FullOpus { frame_ms: 40 }, 11).expect("a voice"), 3..15);
    assert!(probe.pilot(&full).is_some_and(|found| found.is_sure && found.pilot == 11));
}

#[test]
fn each_pilot_is_found_in_what_browsers_send_wherever_the_window_stands() {
    let mut probe = Probe::new();
    for pilot in 0..PILOTS {
        for coding in [Coding::NarrowOpus { frame_ms: 20 }, Coding::FullOpus { frame_ms: 20 }] {
            let heard = decoded(&Voice::new(coding, pilot).expect("a voice"), 95..160);
            let start = probe.marker(&heard).expect("the marker") + Probe::marker_samples();
            let found = probe.pilot(&heard[start..start + 4_000]).expect("enough sound");
            assert!(found.is_sure && found.pilot == pilot, "{coding:?}, {} Hz: {found:?}", pilot_hz(pilot));
            assert!((-25.0..-21.0).contains(&found.level_db), "{coding:?}, {} Hz: {found:?}", pilot_hz(pilot));
        }
    }
}

#[test]
fn sound_without_a_pilot_is_not_taken_for_one() {
    let mut probe = Probe::new();
    let silence = probe.pilot(&[0; 4000]).expect("enough");
    assert!(!silence.is_sure);
    let two: Vec<i16> = {
        let (a, b) = (sound::make(RATE_HZ, 2), sound::make(RATE_HZ, 9));
        a.iter().zip(&b).skip(800).take(5000).map(|(a, b)| a / 2 + b / 2).collect()
    };
    assert!(!probe.pilot(&two).expect("enough").is_sure, "two voices at a time");
    assert_eq!(probe.pilot(&[0; 500]), None);
}

#[test]
fn a_choir_makes_each_voice_once() {
    let mut choir = Choir::new(Coding::NarrowOpus { frame_ms: 40 });
    let voice = choir.voice(4).expect("a voice");
    assert!(Arc::ptr_eq(&voice, &choir.voice(4 + PILOTS).expect("a voice")));
    assert_eq!(voice.frames(), 50);
    assert_eq!(opus::packet_samples(voice.packet(49)), Some(320));
}
