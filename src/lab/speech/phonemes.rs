//! The sounds of English as targets: where the formants lie, what excites them, for how long.
//!
//! Formants of vowels are those of a grown man, near the averages that Peterson and Barney measured in 1952; consonants have the
//! formants towards which a vowel beside them bends.

/// What the synthesiser is to reach, and for how long it stays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// Length, ms.
    pub ms: u16,
    /// First three formants, Hz; 0: those of what follows.
    pub formants: [f64; 3],
    /// How much wider the formants are than in a vowel.
    pub damping: f64,
    /// Strength of the glottal pulses, 0 to 1.
    pub voice: f64,
    /// Strength of the noise that passes all formants.
    pub breath: f64,
    /// Strength of the noise that is made in the mouth: its RMS in proportion to an open vowel's.
    pub noise: f64,
    /// Where that noise lies, Hz; 0: above the second formant.
    pub noise_hz: f64,
    /// How wide it is, Hz.
    pub noise_width: f64,
}

/// A sound of English.
#[derive(Debug)]
pub(super) struct Phoneme {
    /// Its name in the ARPAbet.
    pub name: &'static str,
    /// It carries a syllable.
    pub vowel: bool,
    /// One target; two for a diphthong, three for a stop.
    pub targets: &'static [Target],
}

/// Silence.
pub(super) const fn pause(ms: u16) -> Target {
    Target {
        ms,
        formants: [0.0; 3],
        damping: 1.0,
        voice: 0.0,
        breath: 0.0,
        noise: 0.0,
        noise_hz: 2500.0,
        noise_width: 1000.0,
    }
}

const fn open(ms: u16, f1: u16, f2: u16, f3: u16) -> Target {
    Target { formants: [f1 as f64, f2 as f64, f3 as f64], voice: 1.0, ..pause(ms) }
}

/// A semivowel or a liquid: a vowel, but weaker.
const fn glide(ms: u16, f1: u16, f2: u16, f3: u16) -> Target {
    Target { voice: 0.65, ..open(ms, f1, f2, f3) }
}

const fn nasal(ms: u16, f2: u16, f3: u16) -> Target {
    Target { voice: 0.5, damping: 2.0, ..open(ms, 260, f2, f3) }
}

/// A fricative: noise of this strength, place and width.
const fn hiss(from: Target, voice: f64, noise: f64, hz: u16, width: u16) -> Target {
    Target { voice, noise, noise_hz: hz as f64, noise_width: width as f64, damping: 1.5, ..from }
}

/// A mouth that is shut.
const fn shut(from: Target, ms: u16, voice: f64) -> Target {
    Target { ms, voice, damping: 3.0, ..from }
}

/// Breath after a voiceless stop.
const fn puff(from: Target, ms: u16) -> Target {
    Target { ms, voice: 0.0, breath: 0.16, damping: 1.5, ..from }
}

const LABIAL: Target = open(0, 320, 950, 2150);
const DENTAL: Target = open(0, 320, 1300, 2540);
const ALVEOLAR: Target = open(0, 320, 1700, 2600);
const PALATAL: Target = open(0, 300, 1900, 2700);
const VELAR: Target = pause(0);

const fn vowel(name: &'static str, targets: &'static [Target]) -> Phoneme {
    Phoneme { name, vowel: true, targets }
}

const fn consonant(name: &'static str, targets: &'static [Target]) -> Phoneme {
    Phoneme { name, vowel: false, targets }
}

/// All that can be said.
pub(super) const PHONEMES: &[Phoneme] = &[
    vowel("IY", &[open(140, 280, 2250, 2890)]),
    vowel("IH", &[open(100, 400, 1950, 2550)]),
    vowel("EH", &[open(120, 540, 1820, 2480)]),
    vowel("AE", &[open(150, 670, 1720, 2410)]),
    vowel("AA", &[open(160, 730, 1090, 2440)]),
    vowel("AO", &[open(160, 580, 850, 2410)]),
    vowel("UH", &[open(100, 440, 1020, 2240)]),
    vowel("UW", &[open(140, 310, 900, 2240)]),
    vowel("AH", &[open(100, 620, 1200, 2400)]),
    vowel("AX", &[open(70, 490, 1400, 2450)]),
    vowel("ER", &[open(150, 480, 1340, 1690)]),
    vowel("EY", &[open(90, 480, 1900, 2500), open(90, 320, 2200, 2700)]),
    vowel("AY", &[open(110, 720, 1200, 2480), open(90, 380, 2000, 2600)]),
    vowel("OY", &[open(110, 560, 850, 2430), open(90, 380, 1900, 2550)]),
    vowel("AW", &[open(110, 720, 1300, 2450), open(90, 420, 900, 2300)]),
    vowel("OW", &[open(100, 540, 1000, 2350), open(90, 360, 800, 2280)]),
    consonant("W", &[glide(70, 300, 620, 2150)]),
    consonant("Y", &[glide(60, 270, 2150, 2950)]),
    consonant("R", &[glide(75, 330, 1100, 1450)]),
    consonant("L", &[glide(70, 330, 1050, 2800)]),
    consonant("M", &[nasal(75, 950, 2150)]),
    consonant("N", &[nasal(70, 1600, 2600)]),
    consonant("NG", &[nasal(85, 2100, 2600)]),
    consonant("HH", &[puff(VELAR, 65)]),
    consonant("F", &[hiss(Target { ms: 100, ..LABIAL }, 0.0, 0.10, 2800, 2400)]),
    consonant("V", &[hiss(Target { ms: 65, ..LABIAL }, 0.4, 0.04, 2800, 2400)]),
    consonant("TH", &[hiss(Target { ms: 95, ..DENTAL }, 0.0, 0.08, 3300, 1800)]),
    consonant("DH", &[hiss(Target { ms: 50, ..DENTAL }, 0.45, 0.03, 3300, 1800)]),
    consonant("S", &[hiss(Target { ms: 110, ..ALVEOLAR }, 0.0, 0.30, 3700, 500)]),
    consonant("Z", &[hiss(Target { ms: 80, ..ALVEOLAR }, 0.35, 0.18, 3700, 500)]),
    consonant("SH", &[hiss(Target { ms: 115, ..PALATAL }, 0.0, 0.38, 2600, 500)]),
    consonant("ZH", &[hiss(Target { ms: 80, ..PALATAL }, 0.35, 0.22, 2600, 500)]),
    consonant("P", &[shut(LABIAL, 75, 0.0), hiss(Target { ms: 10, ..LABIAL }, 0.0, 0.2, 900, 1200), puff(LABIAL, 40)]),
    consonant("B", &[shut(LABIAL, 65, 0.15), hiss(Target { ms: 8, ..LABIAL }, 0.2, 0.15, 800, 1200)]),
    consonant(
        "T",
        &[shut(ALVEOLAR, 65, 0.0), hiss(Target { ms: 15, ..ALVEOLAR }, 0.0, 0.3, 3500, 900), puff(ALVEOLAR, 40)],
    ),
    consonant("D", &[shut(ALVEOLAR, 55, 0.15), hiss(Target { ms: 10, ..ALVEOLAR }, 0.2, 0.25, 3300, 900)]),
    consonant("K", &[shut(VELAR, 70, 0.0), hiss(Target { ms: 20, ..VELAR }, 0.0, 0.4, 0, 400), puff(VELAR, 45)]),
    consonant("G", &[shut(VELAR, 60, 0.15), hiss(Target { ms: 15, ..VELAR }, 0.2, 0.25, 0, 400)]),
    consonant("CH", &[shut(ALVEOLAR, 60, 0.0), hiss(Target { ms: 80, ..PALATAL }, 0.0, 0.38, 2700, 500)]),
    consonant("JH", &[shut(ALVEOLAR, 50, 0.12), hiss(Target { ms: 55, ..PALATAL }, 0.3, 0.25, 2700, 500)]),
];
