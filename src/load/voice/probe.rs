//! Finds the marker and the pilot in what an end received.

use std::f32::consts::{PI, TAU};

use super::{MARKER_MS, PILOTS, RATE_HZ, pilot_hz, sound};

/// How much of a stretch must be the marker, to be it: its correlation, 1 being nothing else.
const SURE: f32 = 0.6;
/// How much louder the strongest pilot must be than the second, dB.
const MARGIN_DB: f32 = 6.0;
/// Softest pilot that counts, dB of full scale; it is sent with -23.
const SOFTEST_DB: f32 = -45.0;
/// Shortest stretch that a pilot is looked for in, samples: 8 Hz apart is told apart.
const LEAST: usize = 2_000;

/// Which pilot a stretch of sound bears.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probed {
    /// The strongest.
    pub pilot: usize,
    /// Its level, dB of full scale.
    pub level_db: f32,
    /// It is loud enough, and far louder than any other.
    pub is_sure: bool,
}

/// The templates.
#[derive(Debug)]
pub struct Probe {
    marker: Vec<f32>,
    energy: f32,
    window: Vec<f32>,
    scratch: Vec<f32>,
    /// Called every few tens of microseconds.
    pause: fn(),
}

impl Default for Probe {
    fn default() -> Self {
        Probe::new()
    }
}

impl Probe {
    /// Makes the templates.
    pub fn new() -> Probe {
        let marker = sound::marker(RATE_HZ);
        let energy = dot(&marker, &marker);
        Probe { marker, energy, window: Vec::new(), scratch: Vec::new(), pause: || {} }
    }

    /// Calls `pause` in the midst of its work, every few tens of microseconds: for a thread that must let others go first.
    pub fn pausing(pause: fn()) -> Probe {
        Probe { pause, ..Probe::new() }
    }

    /// Returns where the marker begins, in samples; `None` where it is not there.
    pub fn marker(&mut self, pcm: &[i16]) -> Option<usize> {
        let length = self.marker.len();
        self.scratch.clear();
        self.scratch.extend(pcm.iter().map(|x| f32::from(*x) / 32_768.0));
        let sound = &self.scratch;
        let mut energy: f32 = dot(sound.get(..length)?, &sound[..length]);
        let mut best = (0.0, 0);
        for at in 0..=sound.len() - length {
            if at % 64 == 0 {
                (self.pause)();
            }
            if at > 0 {
                energy += sound[at + length - 1].powi(2) - sound[at - 1].powi(2);
            }
            // Near silence says nothing, whatever its shape.
            if energy < self.energy / 400.0 {
                continue;
            }
            let likeness = dot(&sound[at..at + length], &self.marker) / (energy * self.energy).sqrt();
            if likeness > best.0 {
                best = (likeness, at);
            }
        }
        (best.0 > SURE).then_some(best.1)
    }

    /// Looks for the strongest pilot; `None` where there is too little sound.
    pub fn pilot(&mut self, pcm: &[i16]) -> Option<Probed> {
        if pcm.len() < LEAST {
            return None;
        }
        if self.window.len() != pcm.len() {
            let n = pcm.len() as f32;
            self.window = (0..pcm.len()).map(|k| 0.5 - 0.5 * (TAU * k as f32 / n).cos()).collect();
        }
        self.scratch.clear();
        self.scratch.extend(pcm.iter().zip(&self.window).map(|(x, w)| f32::from(*x) / 32_768.0 * w));
        let mut levels: Vec<(usize, f32)> = Vec::with_capacity(PILOTS);
        for pilot in 0..PILOTS {
            (self.pause)();
            levels.push((pilot, goertzel(&self.scratch, pilot_hz(pilot))));
        }
        levels.sort_by(|a, b| b.1.total_cmp(&a.1));
        let [(pilot, level), (_, second), ..] = levels[..] else { return None };
        // The window's mean is one half, and a sine's peak is twice its line.
        let level_db = 20.0 * (4.0 * level / pcm.len() as f32).max(1e-9).log10();
        let margin_db = 20.0 * (level.max(1e-9) / second.max(1e-9)).log10();
        Some(Probed { pilot, level_db, is_sure: level_db > SOFTEST_DB && margin_db > MARGIN_DB })
    }

    /// Length of the marker, samples.
    pub fn marker_samples() -> usize {
        (RATE_HZ * MARKER_MS / 1000) as usize
    }
}

/// The products of two stretches of the same length; in eight sums, so that the compiler takes all lanes.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    for (a, b) in a.zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum()
}

/// The magnitude of one frequency.
fn goertzel(sound: &[f32], hz: u32) -> f32 {
    let turn = 2.0 * PI * hz as f32 / RATE_HZ as f32;
    let factor = 2.0 * turn.cos();
    let (mut one, mut two) = (0f32, 0f32);
    for x in sound {
        let zero = x + factor * one - two;
        two = one;
        one = zero;
    }
    (one * one + two * two - factor * one * two).max(0.0).sqrt()
}
