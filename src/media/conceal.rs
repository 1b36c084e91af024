//! Conceals lost frames of a codec that cannot do it itself (G.711): the last 20 ms again, fading out within 60 ms.

/// Longest gap that is concealed, in samples at 8 kHz: 60 ms.
pub const MAX_CONCEALED: i64 = 480;

const KEPT: usize = 160;

/// The recent past of a decoded stream.
#[derive(Debug)]
pub struct Conceal {
    last: Box<[i16; KEPT]>,
    filled: usize,
}

impl Default for Conceal {
    fn default() -> Self {
        Conceal { last: Box::new([0; KEPT]), filled: 0 }
    }
}

impl Conceal {
    /// Remembers a frame that was heard.
    pub fn hear(&mut self, pcm: &[i16]) {
        let kept = pcm.len().min(KEPT);
        self.last.copy_within(kept.., 0);
        self.last[KEPT - kept..].copy_from_slice(&pcm[pcm.len() - kept..]);
        self.filled = (self.filled + kept).min(KEPT);
    }

    /// Fills `out` with what might have been there.
    pub fn fill(&self, out: &mut [i16]) {
        self.fill_from(0, out);
    }

    /// Fills `out` with what might have been there after `made_up` samples that were filled in already.
    pub fn fill_from(&self, made_up: usize, out: &mut [i16]) {
        let Some(past) = self.last.get(KEPT - self.filled..).filter(|p| !p.is_empty()) else {
            out.fill(0);
            return;
        };
        let past = past.iter().cycle().skip(made_up % past.len());
        for (k, (sample, past)) in out.iter_mut().zip(past).enumerate() {
            let left = (MAX_CONCEALED - (made_up + k) as i64).max(0);
            *sample = (i64::from(*past) * left / MAX_CONCEALED) as i16;
        }
    }

    /// Forgets the past.
    pub fn clear(&mut self) {
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_repeated_and_fades_to_silence() {
        let mut conceal = Conceal::default();
        conceal.hear(&[10_000; 240]);
        let mut out = [1; 600];
        conceal.fill(&mut out);
        assert_eq!(out[0], 10_000);
        assert!(out.windows(2).all(|w| w[1] <= w[0]));
        assert!(out[480..].iter().all(|s| *s == 0));
    }

    #[test]
    fn without_a_past_there_is_silence() {
        let mut out = [1; 160];
        Conceal::default().fill(&mut out);
        assert_eq!(out, [0; 160]);
    }
}
