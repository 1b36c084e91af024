//! Sounds that are made, not recorded: tones and speech.

use std::f64::consts::TAU;

use super::speech;

const RATE: f64 = 8000.0;
/// Peak of a sine of 0 dBm0 in 16-bit samples: full scale of µ-law is +3.17 dBm0.
const PEAK_0_DBM0: f64 = 22_300.0;
/// Pause before a text is said again, samples.
const PAUSE: usize = 8000;

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
    /// An English text, spoken over and over with a second of pause: the first 200 characters, up to 20 s.
    Speech(String),
}

/// Makes the samples of a [`Sound`].
#[derive(Clone, Debug)]
pub(super) enum Generator {
    /// A sine wave: frequency, peak, place.
    Sine { hz: f64, peak: f64, at: usize },
    /// Samples, over and over.
    Loop { pcm: Vec<i16>, at: usize },
}

impl Generator {
    /// Makes a generator; `None` for what is not generated.
    pub fn new(sound: &Sound) -> Option<Self> {
        match sound {
            Sound::Silence | Sound::Echo => None,
            Sound::Tone { hz, dbm0 } => {
                let peak = PEAK_0_DBM0 * 10f64.powf(f64::from(*dbm0) / 20.0);
                Some(Generator::Sine { hz: f64::from(*hz), peak, at: 0 })
            }
            Sound::Speech(text) => {
                let mut pcm = speech::say(text);
                pcm.resize(pcm.len() + PAUSE, 0);
                Some(Generator::Loop { pcm, at: 0 })
            }
        }
    }

    pub fn fill(&mut self, out: &mut [i16]) {
        match self {
            Generator::Sine { hz, peak, at } => {
                for sample in out {
                    *sample = (*peak * (TAU * *hz * *at as f64 / RATE).sin()) as i16;
                    *at += 1;
                }
            }
            Generator::Loop { pcm, at } => {
                for (sample, said) in out.iter_mut().zip(pcm.iter().cycle().skip(*at)) {
                    *sample = *said;
                }
                *at = (*at + out.len()) % pcm.len().max(1);
            }
        }
    }
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
    fn a_text_is_said_again_after_a_second() {
        let said = speech::say("echo");
        let mut pcm = vec![1; 2 * said.len() + PAUSE];
        let mut generator = Generator::new(&Sound::Speech("echo".into())).unwrap();
        pcm.chunks_mut(160).for_each(|frame| generator.fill(frame));
        assert_eq!(pcm[..said.len()], said);
        assert!(pcm[said.len()..said.len() + PAUSE].iter().all(|x| *x == 0));
        assert_eq!(pcm[said.len() + PAUSE..], said);
    }
}
