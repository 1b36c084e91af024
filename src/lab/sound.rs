//! Sounds that are made, not recorded: tones and Morse.
//!
//! We do not synthesise a voice: what the lab "says" it says in Morse, at 12 words a minute, which a person can tell apart and a
//! test can measure.

use std::f64::consts::TAU;

const RATE: f64 = 8000.0;
/// One Morse unit of 100 ms, samples.
const UNIT: usize = 800;
const MORSE_HZ: f64 = 600.0;
/// Peak of a sine of 0 dBm0 in 16-bit samples: full scale of µ-law is +3.17 dBm0.
const PEAK_0_DBM0: f64 = 22_300.0;
const MORSE: &[(char, &str)] = &[
    ('A', ".-"),
    ('B', "-..."),
    ('C', "-.-."),
    ('D', "-.."),
    ('E', "."),
    ('F', "..-."),
    ('G', "--."),
    ('H', "...."),
    ('I', ".."),
    ('J', ".---"),
    ('K', "-.-"),
    ('L', ".-.."),
    ('M', "--"),
    ('N', "-."),
    ('O', "---"),
    ('P', ".--."),
    ('Q', "--.-"),
    ('R', ".-."),
    ('S', "..."),
    ('T', "-"),
    ('U', "..-"),
    ('V', "...-"),
    ('W', ".--"),
    ('X', "-..-"),
    ('Y', "-.--"),
    ('Z', "--.."),
    ('0', "-----"),
    ('1', ".----"),
    ('2', "..---"),
    ('3', "...--"),
    ('4', "....-"),
    ('5', "....."),
    ('6', "-...."),
    ('7', "--..."),
    ('8', "---.."),
    ('9', "----."),
];

/// What a call hears of the lab.
#[derive(Clone, Debug, PartialEq)]
pub enum Sound {
    /// Silence.
    Silence,
    /// Its own audio.
    Echo,
    /// A sine wave.
    Tone {
        /// Frequency, Hz.
        hz: u16,
        /// Level, dBm0.
        dbm0: i8,
    },
    /// A text in Morse, over and over.
    Morse(String),
}

/// Makes the samples of a [`Sound`].
#[derive(Clone, Debug)]
pub(super) struct Generator {
    hz: f64,
    peak: f64,
    /// On and off by Morse unit; empty: always on.
    units: Vec<bool>,
    at: usize,
}

impl Generator {
    /// Makes a generator; `None` for what is not generated.
    pub fn new(sound: &Sound) -> Option<Self> {
        match sound {
            Sound::Silence | Sound::Echo => None,
            Sound::Tone { hz, dbm0 } => Some(Generator {
                hz: f64::from(*hz),
                peak: PEAK_0_DBM0 * 10f64.powf(f64::from(*dbm0) / 20.0),
                units: Vec::new(),
                at: 0,
            }),
            Sound::Morse(text) => {
                let peak = PEAK_0_DBM0 * 10f64.powf(-0.5);
                Some(Generator { hz: MORSE_HZ, peak, units: units(text), at: 0 })
            }
        }
    }

    pub fn fill(&mut self, pcm: &mut [i16]) {
        for sample in pcm {
            let on = self.units.is_empty() || self.units[self.at / UNIT % self.units.len()];
            let value = if on { self.peak * (TAU * self.hz * self.at as f64 / RATE).sin() } else { 0.0 };
            *sample = value as i16;
            self.at += 1;
        }
    }
}

/// Returns on and off, unit by unit: dot 1, dash 3, between letters 3, at the end 7 of pause.
fn units(text: &str) -> Vec<bool> {
    let mut units = Vec::new();
    for letter in text.to_uppercase().chars() {
        for sign in MORSE.iter().find(|(l, _)| *l == letter).map_or("", |(_, signs)| signs).chars() {
            units.extend(std::iter::repeat_n(true, if sign == '-' { 3 } else { 1 }));
            units.push(false);
        }
        units.extend([false; 2]);
    }
    units.extend([false; 5]);
    units
}

/// Returns the strongest frequency (in steps of 10 Hz, by Goertzel) and the level in dBm0 of what was heard; silence is
/// (0, −99).
pub(super) fn measure(pcm: &[i16]) -> (u16, f64) {
    let power = pcm.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / pcm.len().max(1) as f64;
    if power < 64.0 {
        return (0, -99.0);
    }
    let strength = |hz: u16| {
        let coefficient = 2.0 * (TAU * f64::from(hz) / RATE).cos();
        let (a, b) = pcm.iter().fold((0.0, 0.0), |(a, b), x| (f64::from(*x) + coefficient * a - b, a));
        a * a + b * b - coefficient * a * b
    };
    let strongest = (10..390).map(|n| n * 10).map(|hz| (hz, strength(hz))).max_by(|a, b| a.1.total_cmp(&b.1));
    let level = 10.0 * (power * 2.0 / PEAK_0_DBM0.powi(2)).log10();
    (strongest.map_or(0, |s| s.0), level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_tone_is_measured_at_its_frequency_and_level() {
        let mut pcm = [0; 8000];
        Generator::new(&Sound::Tone { hz: 440, dbm0: -10 }).unwrap().fill(&mut pcm);
        let (hz, level) = measure(&pcm);
        assert_eq!(hz, 440);
        assert!((level + 10.0).abs() < 0.1, "{level}");
        assert_eq!(measure(&[0; 800]), (0, -99.0));
    }

    #[test]
    fn morse_has_its_dots_dashes_and_pauses() {
        let on: String = units("EA").iter().map(|on| if *on { '=' } else { '.' }).collect();
        assert_eq!(on, "=...=.===........");
    }
}
