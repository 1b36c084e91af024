//! Recorded sounds, 8 kHz mono, that go on for ever.

use std::sync::Arc;

pub use crate::codec::wav::WavError;
use crate::codec::{resample, wav};

/// Samples over which the end of a sound fades into its beginning: 10 ms.
const SEAM: usize = 80;

/// A recorded sound; cheap to clone.
#[derive(Clone, Debug)]
pub struct Sound {
    pcm: Arc<[i16]>,
}

impl Default for Sound {
    /// Returns silence.
    fn default() -> Self {
        Sound { pcm: Arc::new([]) }
    }
}

impl Sound {
    /// Takes samples (8 kHz, mono) and makes a loop of them: the last 10 ms fade into the first, so that the seam is no
    /// click. No samples are silence.
    pub fn new(mut pcm: Vec<i16>) -> Self {
        let seam = SEAM.min(pcm.len() / 4);
        let looped = pcm.len() - seam;
        for k in 0..seam {
            let (end, begin) = (i32::from(pcm[looped + k]), i32::from(pcm[k]));
            let (k32, seam) = (k as i32, seam as i32);
            pcm[k] = ((end * (seam - k32) + begin * k32) / seam) as i16;
        }
        pcm.truncate(looped);
        Sound { pcm: pcm.into() }
    }

    /// Reads a WAVE file and makes it louder by so many dB; what is too loud then is limited.
    pub fn from_wav(file: &[u8], gain_db: i8) -> Result<Self, WavError> {
        let wav = wav::read(file)?;
        let mut pcm = resample::to_8_khz(&wav.pcm, wav.rate_hz);
        if gain_db != 0 {
            let gain = 10f32.powf(f32::from(gain_db) / 20.0);
            // A cast limits.
            pcm.iter_mut().for_each(|sample| *sample = (f32::from(*sample) * gain) as i16);
        }
        Ok(Sound::new(pcm))
    }

    /// Returns the samples of one turn.
    pub fn samples(&self) -> &[i16] {
        &self.pcm
    }

    /// Fills `frame` from sample `at` on, around the end as often as need be, and returns where the next frame begins.
    pub fn read(&self, mut at: usize, frame: &mut [i16]) -> usize {
        if self.pcm.is_empty() {
            frame.fill(0);
            return 0;
        }
        let mut rest = frame;
        while !rest.is_empty() {
            let ahead = self.pcm.get(at..).filter(|ahead| !ahead.is_empty());
            let Some(ahead) = ahead else {
                at = 0;
                continue;
            };
            let count = ahead.len().min(rest.len());
            let (filled, left) = rest.split_at_mut(count);
            filled.copy_from_slice(&ahead[..count]);
            (rest, at) = (left, at + count);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seam_of_a_loop_is_no_click() {
        // 430 Hz in half a second: the last period is cut somewhere.
        let step = std::f64::consts::TAU * 430.0 / 8000.0;
        let sound = Sound::new((0..4013).map(|k| ((k as f64 * step).sin() * 8000.0) as i16).collect());
        let mut heard = vec![0; 12_000];
        let mut at = 0;
        for frame in heard.chunks_mut(160) {
            at = sound.read(at, frame);
        }
        let steepest = (8000.0 * step) as i32 + 2;
        // Two sines that fade into each other are nowhere steeper than one by more than the fade itself.
        let most = heard.windows(2).map(|two| (i32::from(two[1]) - i32::from(two[0])).abs()).max();
        assert!(most.is_some_and(|most| most <= steepest + 2 * 8000 / 80), "{most:?} beside {steepest}");
    }

    #[test]
    fn a_file_is_brought_to_8_khz_and_to_its_level() {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0".to_vec();
        file.extend(b"data\0\x7d\0\0");
        (0..16_000).for_each(|_| file.extend(8000i16.to_le_bytes()));
        for (gain, level) in [(0, 8000), (-6, 4009), (20, 32_767)] {
            let sound = Sound::from_wav(&file, gain).expect("a sound");
            assert_eq!(sound.samples().len(), 8000 - SEAM);
            let off = sound.samples()[200..7800].iter().map(|s| (i32::from(*s) - level).abs()).max();
            assert!(off.is_some_and(|off| off < 20), "{off:?} at {gain} dB");
        }
    }

    #[test]
    fn the_shortest_sounds_are_read_too() {
        for len in 0..9 {
            let mut frame = [7; 160];
            Sound::new(vec![3; len]).read(0, &mut frame);
            assert_eq!(frame, [if len == 0 { 0 } else { 3 }; 160]);
        }
    }
}
