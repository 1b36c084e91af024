//! Generated tones: sine waves in a cadence, at 8 kHz.

use std::f64::consts::TAU;
use std::time::Duration;

use crate::plan::Cadence;

/// Samples per second.
pub const RATE_HZ: u32 = 8000;
/// Peak of a sine at 0 dBm0 in 16-bit samples: full scale is +3.14 dBm0 (ITU-T G.711, A-law).
const PEAK_0_DBM0: f64 = 32_124.0 / 1.435_489;
/// Unspecified lengths are endless.
const ENDLESS: u64 = u64::MAX;

/// A tone that is being played.
#[derive(Debug)]
pub struct Tone {
    cadence: Cadence,
    part: usize,
    /// Samples left of the part.
    left: u64,
    /// In turns, per sine.
    phase: [f64; 2],
    amplitude: f64,
}

impl Tone {
    /// Starts a tone.
    pub fn new(cadence: Cadence) -> Self {
        let amplitude = PEAK_0_DBM0 * 10f64.powf(f64::from(cadence.level_dbm0.min(0)) / 20.0);
        let mut tone = Tone { cadence, part: 0, left: 0, phase: [0.0; 2], amplitude };
        tone.left = tone.samples(0);
        tone
    }

    /// Writes the next samples.
    pub fn fill(&mut self, frame: &mut [i16]) {
        for sample in frame.iter_mut() {
            *sample = self.sample();
        }
    }

    fn samples(&self, part: usize) -> u64 {
        match self.cadence.parts.get(part) {
            None | Some(crate::plan::TonePart { length: Duration::MAX, .. }) => ENDLESS,
            Some(part) => u64::try_from(part.length.as_millis()).unwrap_or(ENDLESS / 8).saturating_mul(8).max(1),
        }
    }

    fn sample(&mut self) -> i16 {
        if self.left == 0 {
            self.part = (self.part + 1) % self.cadence.parts.len().max(1);
            self.left = self.samples(self.part);
            self.phase = [0.0; 2];
        }
        self.left -= 1;
        let Some(part) = self.cadence.parts.get(self.part) else { return 0 };
        let mut sum = 0.0;
        for (phase, hz) in self.phase.iter_mut().zip(part.hz) {
            if hz > 0 {
                sum += (*phase * TAU).sin();
                *phase = (*phase + f64::from(hz) / f64::from(RATE_HZ)).fract();
            }
        }
        (sum * self.amplitude).clamp(-32_768.0, 32_767.0) as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::TonePart;

    fn part(hz: u16, ms: u64) -> TonePart {
        TonePart { hz: [hz, 0], length: Duration::from_millis(ms) }
    }

    #[test]
    fn a_cadence_sounds_and_pauses_by_turns() {
        let mut tone = Tone::new(Cadence { parts: vec![part(425, 40), part(0, 20)], level_dbm0: -10 });
        let mut frame = [0; 160];
        let mut loud = Vec::new();
        for _ in 0..6 {
            tone.fill(&mut frame);
            loud.push(frame.iter().any(|s| s.abs() > 1000));
        }
        assert_eq!(loud, [true, true, false, true, true, false]);
    }

    #[test]
    fn the_level_is_that_of_dbm0() {
        let cadence = Cadence { parts: vec![TonePart { hz: [1000, 0], length: Duration::MAX }], level_dbm0: 0 };
        let mut frame = [0; 160];
        Tone::new(cadence).fill(&mut frame);
        let power: f64 = frame.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 160.0;
        // A full-scale sine is +3.14 dBm0 (A-law): 0 dBm0 is so much below it.
        let above_full_scale = 10.0 * (power / (32_124f64.powi(2) / 2.0)).log10();
        assert!((-3.19..-3.09).contains(&above_full_scale), "{above_full_scale}");
    }

    #[test]
    fn an_empty_cadence_is_silence() {
        let mut tone = Tone::new(Cadence { parts: Vec::new(), level_dbm0: 0 });
        let mut frame = [7; 160];
        tone.fill(&mut frame);
        assert_eq!(frame, [0; 160]);
    }
}
