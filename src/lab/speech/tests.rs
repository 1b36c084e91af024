//! What is said is measured: spectrum, level, length. Nobody listens here.

use super::*;

/// Returns the spectrum in steps of 10 Hz, the loudest of all frames of 50 ms: a falling pitch fills the gaps between harmonics.
fn envelope(pcm: &[i16]) -> Vec<f64> {
    let mut loudest = vec![0.0f64; 400];
    let circle: Vec<(f64, f64)> = (0..800).map(|n| (TAU * f64::from(n) / 800.0).sin_cos()).collect();
    let window: Vec<f64> = (0..400).map(|n| 0.5 - 0.5 * circle[2 * n].1).collect();
    for frame in pcm.windows(400).step_by(80) {
        let frame: Vec<f64> = frame.iter().zip(&window).map(|(x, w)| f64::from(*x) * w).collect();
        for (bin, loudest) in loudest.iter_mut().enumerate() {
            let (mut re, mut im) = (0.0, 0.0);
            for (n, x) in frame.iter().enumerate() {
                let (sin, cos) = circle[bin * n % 800];
                re += x * cos;
                im += x * sin;
            }
            *loudest = loudest.max(re * re + im * im);
        }
    }
    loudest
}

/// Returns where the loudest peak lies in a band, Hz.
fn peak(envelope: &[f64], from: f64, to: f64) -> f64 {
    let band = (from / 10.0) as usize..=(to / 10.0) as usize;
    band.max_by(|a, b| envelope[*a].total_cmp(&envelope[*b])).unwrap() as f64 * 10.0
}

/// Returns the part of the power above 2 kHz.
fn above_2_khz(pcm: &[i16]) -> f64 {
    let envelope = envelope(pcm);
    envelope[200..].iter().sum::<f64>() / envelope.iter().sum::<f64>()
}

fn rms(pcm: &[i16]) -> f64 {
    (pcm.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / pcm.len() as f64).sqrt()
}

/// Returns the longest run of samples that are (all but) zero.
fn longest_silence(pcm: &[i16]) -> usize {
    pcm.split(|x| x.unsigned_abs() > 8).map(<[i16]>::len).max().unwrap_or(0)
}

#[test]
fn vowels_have_the_formants_of_the_table() {
    for (text, formants) in [("ee", [280.0, 2250.0]), ("ah", [730.0, 1090.0])] {
        let envelope = envelope(&say(text));
        for formant in formants {
            let found = peak(&envelope, formant * 0.8, formant * 1.2);
            assert!((found / formant - 1.0).abs() < 0.15, "{text}: {found} for {formant}");
        }
    }
}

#[test]
fn a_diphthong_moves_its_second_formant() {
    let pcm = say("i");
    let third = pcm.len() / 3;
    let begin = peak(&envelope(&pcm[400..third + 200]), 950.0, 2400.0);
    let end = peak(&envelope(&pcm[pcm.len() - third..pcm.len() - 300]), 950.0, 2400.0);
    assert!(begin < 1450.0 && end > 1600.0, "{begin} {end}");
}

#[test]
fn a_fricative_is_high_and_a_vowel_is_low() {
    let see = say("see");
    let (hiss, vowel) = (above_2_khz(&see[300..1100]), above_2_khz(&see[1800..3000]));
    assert!(hiss > 0.8 && vowel < 0.4, "{hiss} {vowel}");
    assert!(above_2_khz(&say("ah")) < 0.05);
}

#[test]
fn an_open_vowel_has_the_power_that_noise_is_proportioned_to() {
    let pieces = pieces("ah");
    let mut track = track(&pieces);
    resolve(&mut track);
    let mut pcm = Vec::new();
    synthesise(&track, &mut pcm);
    let middle = &pcm[800..1600];
    let rms = (middle.iter().map(|x| x * x).sum::<f64>() / middle.len() as f64).sqrt();
    assert!((0.7..1.4).contains(&rms), "{rms}");
}

#[test]
fn speech_is_at_16_below_0_dbm0_and_not_clipped() {
    for text in ["the time is fourteen thirty-five", "hello", "goodbye", "see"] {
        let pcm = say(text);
        let spoken: Vec<i16> = pcm.iter().copied().filter(|x| *x != 0).collect();
        let level = 20.0 * (rms(&spoken) / (22_300.0 / 2f64.sqrt())).log10();
        assert!((level + 16.0).abs() < 1.0, "{text}: {level}");
        assert!(pcm.iter().all(|x| x.unsigned_abs() < 31_500), "{text}");
    }
}

#[test]
fn a_stop_between_sentences_is_silent() {
    assert!(longest_silence(&say("hello. hello")) > 2400);
    assert!(longest_silence(&say("hello hello")) < 1600);
}

#[test]
fn words_are_told_apart_by_their_spectrum() {
    // The share of the power in each 200 Hz, of whole words.
    let shape = |text: &str| {
        let envelope = envelope(&say(text));
        let sum: f64 = envelope.iter().sum();
        envelope.chunks(20).map(|band| (band.iter().sum::<f64>() / sum).sqrt()).collect::<Vec<_>>()
    };
    let words = ["one", "two", "six", "nine", "hello"].map(shape);
    for (at, a) in words.iter().enumerate() {
        for b in &words[at + 1..] {
            let alike: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            assert!(alike < 0.99, "{alike}");
        }
    }
}

#[test]
fn the_length_is_bounded_and_nothing_is_silence() {
    assert_eq!(say(&"0".repeat(10_000)).len(), LONGEST);
    let (short, long) = ("echo ".repeat(40), "echo ".repeat(80));
    assert_eq!(say(&short), say(&long), "only 200 characters are said");
    assert!(say("").iter().all(|x| *x == 0));
    assert!(say("日本 \u{0} !").iter().all(|x| *x == 0));
}

#[test]
fn the_time_is_said_in_words() {
    assert_eq!(time(14 * 3600 + 35 * 60 + 59), "the time is fourteen thirty-five");
    assert_eq!(time(9 * 3600 + 5 * 60), "the time is nine oh five");
    assert_eq!(time(0), "the time is zero hours");
    assert_eq!(time(23 * 3600), "the time is twenty-three hours");
}
