//! The sound itself, made of sines: a marker, syllables, a pilot.

use std::f32::consts::{PI, TAU};

use super::{LOOP_MS, MARKER_MS, pilot_hz};

/// The voice's pitch, Hz: the loop holds a whole number of its periods.
const PITCH_HZ: f32 = 120.0;
/// Highest harmonic, Hz: what a telephone's microphone takes, and what a headset takes.
const NARROW_HZ: f32 = 3_500.0;
const WIDE_HZ: f32 = 12_000.0;
/// Peak of the marker and of the pilot, of full scale.
const MARKER_LEVEL: f32 = 0.35;
pub(super) const PILOT_LEVEL: f32 = 0.07;
/// RMS of a syllable, of full scale.
const VOICE_LEVEL: f32 = 0.12;
/// Where the loop falls silent, ms. A predictive codec that is started there, or that comes round to the loop's beginning, has
/// nothing to predict from: what it remembers otherwise rings on through a voice as regular as this one.
const SILENT_MS: u32 = 1_860;
/// The silence of a room, of full scale: digital silence is another thing to a codec.
const ROOM_LEVEL: f32 = 0.000_3;
/// Rise and fall of the marker and the pilot, s.
const EDGE_S: f32 = 0.008;

/// A syllable: beginning and length in ms, and the formants of its vowel in Hz.
const SYLLABLES: [(u32, u32, [f32; 3]); 8] = [
    (140, 210, [730.0, 1090.0, 2440.0]),
    (360, 170, [270.0, 2290.0, 3010.0]),
    (560, 230, [570.0, 840.0, 2410.0]),
    (800, 160, [530.0, 1840.0, 2480.0]),
    (990, 220, [660.0, 1720.0, 2410.0]),
    (1230, 180, [300.0, 870.0, 2240.0]),
    (1440, 200, [640.0, 1190.0, 2390.0]),
    (1660, 190, [490.0, 1350.0, 1690.0]),
];

/// Makes the loop at a sample rate.
pub(super) fn make(rate_hz: u32, pilot: usize) -> Vec<i16> {
    let rate = rate_hz as f32;
    let mut sound = vec![0f32; (rate_hz * LOOP_MS / 1000) as usize];
    for (start, length, formants) in SYLLABLES {
        let (start, length) = ((rate_hz / 1000 * start) as usize, (rate_hz / 1000 * length) as usize);
        syllable(&mut sound[start..start + length], start, rate, formants);
    }
    let marker = (rate_hz * MARKER_MS / 1000) as usize;
    sound[..marker].copy_from_slice(&self::marker(rate_hz));
    let hz = pilot_hz(pilot) as f32;
    let end = (rate_hz / 1000 * SILENT_MS) as usize;
    let mut room = Noise(pilot as u32 + 1);
    sound.iter_mut().for_each(|sample| *sample += ROOM_LEVEL * room.next());
    for (n, sample) in sound.iter_mut().enumerate().take(end).skip(marker) {
        let edge = edge((n - marker) as f32 / rate).min(edge((end - n) as f32 / rate));
        // The phase is taken from whole periods, or a float forgets its fraction.
        let phase = (n as f32 / rate * hz).fract();
        *sample += PILOT_LEVEL * edge * (TAU * phase).sin();
    }
    sound.into_iter().map(|x| (x.clamp(-0.98, 0.98) * 32_767.0) as i16).collect()
}

/// The marker: a chirp from 500 to 3000 Hz.
pub(super) fn marker(rate_hz: u32) -> Vec<f32> {
    let rate = rate_hz as f32;
    let length = MARKER_MS as f32 / 1000.0;
    (0..rate_hz * MARKER_MS / 1000)
        .map(|n| {
            let t = n as f32 / rate;
            let phase = 500.0 * t + 2500.0 * t * t / (2.0 * length);
            MARKER_LEVEL * edge(t).min(edge(length - t)) * (TAU * phase.fract()).sin()
        })
        .collect()
}

/// Rises from 0 to 1 with the distance from an edge.
fn edge(distance_s: f32) -> f32 {
    let x = (distance_s / EDGE_S).clamp(0.0, 1.0);
    0.5 - 0.5 * (PI * x).cos()
}

/// A vowel: harmonics of the pitch, as loud as the formants make them, beneath one arch. Its onset has the hiss of a consonant.
fn syllable(out: &mut [f32], start: usize, rate: f32, formants: [f32; 3]) {
    let top = if rate > 16_000.0 { WIDE_HZ } else { NARROW_HZ };
    let length = out.len();
    let mut harmonic = 1;
    let mut power = 0.0;
    loop {
        let hz = PITCH_HZ * harmonic as f32;
        if hz > top {
            break;
        }
        let level = loudness(hz, formants);
        power += level * level / 2.0;
        // A phase of its own for each harmonic keeps the sum from being a click.
        let phase = 0.37 * (harmonic * harmonic) as f32;
        let step = TAU * hz / rate;
        let turn = (hz / rate * start as f32).fract() * TAU;
        for (n, sample) in out.iter_mut().enumerate() {
            *sample += level * (step * n as f32 + turn + phase).sin();
        }
        harmonic += 1;
    }
    let gain = VOICE_LEVEL / power.sqrt();
    let mut noise = Noise(start as u32 | 1);
    for (n, sample) in out.iter_mut().enumerate() {
        let x = n as f32 / length as f32;
        let arch = (PI * x).sin();
        let hiss = 0.02 * (1.0 - 4.0 * x).max(0.0) * noise.next();
        *sample = *sample * gain * arch + hiss;
    }
}

fn loudness(hz: f32, formants: [f32; 3]) -> f32 {
    let peaks = formants.iter().zip([1.0, 0.5, 0.25]).map(|(formant, gain)| {
        let off = (hz - formant) / 90.0;
        gain / (1.0 + off * off)
    });
    peaks.sum::<f32>() + 0.01 * (500.0 / hz.max(500.0))
}

/// White noise, the same in every run.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
    }
}
