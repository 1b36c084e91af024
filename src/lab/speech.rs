//! A voice that is made, not recorded: a formant synthesiser for 8 kHz.
//!
//! Glottal pulses and noise pass four resonators in a row, which move from sound to sound; the noise of fricatives has a
//! resonator of its own. We do not model nasal zeros, stress beyond the first syllable, or the melody of questions, because the
//! lab has to be understood, not believed.

mod phonemes;
mod words;

use std::f64::consts::TAU;

use phonemes::{Target, pause};
use words::{Phone, Piece, cardinal, pieces};

const RATE: f64 = 8000.0;
/// Characters of a text that are said; the rest is not.
const CHARACTERS: usize = 200;
/// The longest speech, samples.
pub(super) const LONGEST: usize = 20 * 8000;
/// Parameters move in steps of this many samples.
const STEP: usize = 20;
/// Formants take at most twice this long from one sound to the next, samples.
const FORMANT_REACH: usize = 320;
/// Strengths take at most twice this long, samples.
const STRENGTH_REACH: usize = 64;
/// RMS of −16 dBm0, where a sine with a peak of 22 300 is 0 dBm0.
const RMS: f64 = 2499.0;
/// What comes near full scale is bent, not clipped.
const CEILING: f64 = 31_000.0;
/// Brings an open vowel to an RMS of about 1, to which the strengths of noise are proportioned.
const PULSE_GAIN: f64 = 1.1;
/// The pitch falls from here, Hz,
const PITCH: f64 = 125.0;
/// to here at a rest.
const LOW_PITCH: f64 = 85.0;
/// The part of a pitch period in which the glottis is open.
const OPEN: f64 = 0.6;
/// How much the high frequencies of the pulses are raised: the zero of a filter of first order.
const RAISED: f64 = 0.25;

/// Returns the text spoken: mono, 8 kHz, −16 dBm0, at most 200 characters and 20 s. A text without words is silence.
pub(super) fn say(text: &str) -> Vec<i16> {
    let text: String = text.chars().take(CHARACTERS).collect();
    let mut pcm = Vec::new();
    let pieces = pieces(&text);
    for phrase in pieces.split_inclusive(|piece| matches!(piece, Piece::Rest(_))) {
        let mut track = track(phrase);
        resolve(&mut track);
        synthesise(&track, &mut pcm);
    }
    let spoken = pcm.iter().filter(|x| x.abs() > 1e-3);
    let (sum, count) = spoken.fold((0.0, 0), |(sum, count), x| (sum + x * x, count + 1));
    let gain = if count == 0 { 0.0 } else { RMS / (sum / f64::from(count)).sqrt() };
    pcm.iter().map(|x| (CEILING * (x * gain / CEILING).tanh()) as i16).collect()
}

/// Returns what is said of a time of day, UTC: `the time is fourteen thirty-five`.
pub(super) fn time(seconds_since_midnight: u64) -> String {
    let (hour, minute) = ((seconds_since_midnight / 3600 % 24) as usize, (seconds_since_midnight / 60 % 60) as usize);
    match minute {
        0 => format!("the time is {} hours", cardinal(hour)),
        1..10 => format!("the time is {} oh {}", cardinal(hour), cardinal(minute)),
        _ => format!("the time is {} {}", cardinal(hour), cardinal(minute)),
    }
}

/// A target with its place in time.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    target: Target,
    len: usize,
    stressed: bool,
}

/// Lays the targets of a phrase one after the other. The last syllable is drawn out, unstressed ones are short.
fn track(phrase: &[Piece]) -> Vec<Stretch> {
    let mut track = Vec::new();
    let mut add = |target: Target, stretch: f64, stressed: bool| {
        let len = (f64::from(target.ms) * stretch * RATE / 1000.0) as usize;
        track.push(Stretch { target, len: len.max(STEP), stressed });
    };
    add(pause(30), 1.0, false);
    let last_word = phrase.iter().rposition(|piece| matches!(piece, Piece::Word(_)));
    for (at, piece) in phrase.iter().enumerate() {
        match piece {
            Piece::Rest(ms) => add(pause(*ms), 1.0, false),
            Piece::Word(phones) => {
                let last_vowel = phones.iter().rposition(|p| p.phoneme.vowel);
                for (place, phone) in phones.iter().enumerate() {
                    let drawn = Some(at) == last_word && Some(place) >= last_vowel;
                    let stretch = pace(phone, drawn);
                    phone.phoneme.targets.iter().for_each(|target| add(*target, stretch, phone.stressed));
                }
                add(pause(25), 1.0, false);
            }
        }
    }
    add(pause(30), 1.0, false);
    track
}

fn pace(phone: &Phone, drawn: bool) -> f64 {
    let own = match (phone.phoneme.vowel, phone.stressed) {
        (true, true) => 1.15,
        (true, false) => 0.85,
        _ => 1.0,
    };
    if drawn { own * 1.35 } else { own }
}

/// Gives formants to what has none of its own: those of what follows, at the end those of what was before.
fn resolve(track: &mut [Stretch]) {
    let mut formants = [500.0, 1500.0, 2500.0];
    for pass in 0..2 {
        let fill = |stretch: &mut Stretch| {
            let target = &mut stretch.target;
            if target.formants[0] == 0.0 {
                target.formants = formants;
            }
            formants = target.formants;
            if target.noise_hz == 0.0 {
                target.noise_hz = (target.formants[1] * 1.1).clamp(1200.0, 2800.0);
            }
        };
        // The trailing pause takes what precedes it; all else is settled backwards.
        if pass == 0 {
            let last = track.iter().rposition(|s| s.target.formants[0] != 0.0).unwrap_or(0);
            track[last..].iter_mut().for_each(fill);
        } else {
            track.iter_mut().rev().for_each(fill);
        }
    }
}

/// Returns the neighbour towards which a stretch bends at a sample, and how far: 0 not at all, ½ at the border.
fn bend(track: &[Stretch], at: usize, offset: usize, reach: impl Fn(usize, usize) -> (usize, usize)) -> (usize, f64) {
    let len = track[at].len;
    if let Some(before) = at.checked_sub(1) {
        let (left, right) = reach(track[before].len, len);
        if offset < right {
            return (before, 1.0 - (left + offset) as f64 / (left + right) as f64);
        }
    }
    if at + 1 < track.len() {
        let (left, right) = reach(len, track[at + 1].len);
        if offset + left > len {
            return (at + 1, (offset + left - len) as f64 / (left + right) as f64);
        }
    }
    (at, 0.0)
}

/// Returns the parameters at a sample of a stretch.
fn parameters(track: &[Stretch], at: usize, offset: usize) -> Target {
    let mix = |a: f64, b: f64, part: f64| a + (b - a) * part;
    let here = track[at].target;
    let (beside, part) =
        bend(track, at, offset, |left, right| (FORMANT_REACH.min(left / 2), FORMANT_REACH.min(right / 2)));
    let there = track[beside].target;
    let formants = std::array::from_fn(|n| mix(here.formants[n], there.formants[n], part));
    let damping = mix(here.damping, there.damping, part);
    let (beside, part) = bend(track, at, offset, |left, right| {
        let both = STRENGTH_REACH.min(left.min(right) / 4);
        (both, both)
    });
    let there = track[beside].target;
    Target {
        formants,
        damping,
        voice: mix(here.voice, there.voice, part),
        breath: mix(here.breath, there.breath, part),
        noise: mix(here.noise, there.noise, part),
        noise_hz: if here.noise > 0.0 { here.noise_hz } else { there.noise_hz },
        noise_width: if here.noise > 0.0 { here.noise_width } else { there.noise_width },
        ..here
    }
}

/// A resonator of second order.
#[derive(Clone, Copy, Debug, Default)]
struct Resonator {
    a: f64,
    b: f64,
    c: f64,
    past: [f64; 2],
}

impl Resonator {
    /// Tunes it, with a gain of 1 at 0 Hz.
    fn tune(&mut self, hz: f64, width: f64) {
        let radius = (-TAU / 2.0 * width / RATE).exp();
        self.b = 2.0 * radius * (TAU * hz / RATE).cos();
        self.c = -radius * radius;
        self.a = 1.0 - self.b - self.c;
    }

    /// Tunes it, with a gain of 1 for the power of white noise.
    fn tune_for_noise(&mut self, hz: f64, width: f64) {
        self.tune(hz, width);
        let power = (1.0 - self.c) / ((1.0 + self.c) * ((1.0 - self.c).powi(2) - self.b * self.b));
        self.a = power.max(1e-9).sqrt().recip();
    }

    fn pass(&mut self, x: f64) -> f64 {
        let y = self.a * x + self.b * self.past[0] + self.c * self.past[1];
        self.past = [y, self.past[0]];
        y
    }
}

/// White noise of power 1, the same in every run.
#[derive(Debug)]
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (f64::from(self.0) / f64::from(u32::MAX) - 0.5) * 12f64.sqrt()
    }
}

/// Glottal pulses: the flow's derivative, which is what leaves the lips, with its high frequencies raised.
#[derive(Debug)]
struct Pulses {
    at: usize,
    period: usize,
    past: f64,
}

impl Pulses {
    /// Returns the next sample, and whether the glottis is open.
    fn next(&mut self, hz: f64) -> (f64, bool) {
        self.at += 1;
        if self.at >= self.period {
            self.at = 0;
            self.period = (RATE / hz) as usize;
        }
        let x = self.at as f64 / (self.period as f64 * OPEN);
        let flow = if x < 1.0 { 2.0 * x - 3.0 * x * x } else { 0.0 };
        let raised = flow - RAISED * self.past;
        self.past = flow;
        (raised, x < 1.0)
    }
}

/// Appends a phrase, as far as there is room.
fn synthesise(track: &[Stretch], pcm: &mut Vec<f64>) {
    let total = track.iter().map(|s| s.len).sum::<usize>().max(1) as f64;
    let mut row = [Resonator::default(); 4];
    let mut mouth = Resonator::default();
    let (mut noise, mut pulses) = (Noise(2_463_534_242), Pulses { at: 0, period: 64, past: 0.0 });
    let (mut done, mut accent) = (0, 0.0);
    for (at, stretch) in track.iter().enumerate() {
        for offset in (0..stretch.len).step_by(STEP) {
            let now = parameters(track, at, offset);
            for ((formant, hz), width) in row.iter_mut().zip(now.formants).zip([70.0, 90.0, 180.0]) {
                formant.tune(hz, width * now.damping);
            }
            row[3].tune(3500.0, 400.0);
            mouth.tune_for_noise(now.noise_hz, now.noise_width);
            accent += (if stretch.stressed { 1.0 } else { 0.0 } - accent) * 0.06;
            let pitch = (PITCH + (LOW_PITCH - PITCH) * done as f64 / total) * (1.0 + 0.12 * accent);
            for _ in 0..STEP.min(stretch.len - offset) {
                if pcm.len() == LONGEST {
                    return;
                }
                let (pulse, open) = pulses.next(pitch);
                let white = noise.next();
                let hiss = if open || now.voice == 0.0 { white } else { white * 0.5 };
                let source = now.voice * PULSE_GAIN * pulse + now.breath * hiss;
                let throat = row.iter_mut().fold(source, |x, formant| formant.pass(x));
                pcm.push(throat + mouth.pass(now.noise * hiss));
                done += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests;
