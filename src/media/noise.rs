//! Comfort noise (RFC 3389): level and spectrum as the peer describes them, out of a generator of our own.

/// Most reflection coefficients that are taken (RFC 3389 3.2 leaves their number open).
const ORDER: usize = 10;
/// Samples over which a new description replaces the old one: 20 ms.
const GLIDE: f32 = 160.0;

/// A source of noise.
#[derive(Clone, Debug)]
pub(super) struct Noise {
    /// Root of the mean square of what is made, and what it glides to.
    level: f32,
    target: f32,
    reflection: [f32; ORDER],
    order: usize,
    /// What the spectrum adds to the level of the white noise that goes into it.
    gain: f32,
    backward: [f32; ORDER + 1],
    state: u32,
}

impl Noise {
    /// Makes a silent source; another seed makes other noise.
    pub(super) fn new(seed: u32) -> Self {
        Noise {
            level: 0.0,
            target: 0.0,
            reflection: [0.0; ORDER],
            order: 0,
            gain: 1.0,
            backward: [0.0; ORDER + 1],
            state: seed | 1,
        }
    }

    /// Takes a description: an octet of level in -dBov, then reflection coefficients (RFC 3389 3); false, and nothing is
    /// changed, where it is empty.
    pub(super) fn describe(&mut self, payload: &[u8]) -> bool {
        let Some((level, reflection)) = payload.split_first() else { return false };
        // 0 dBov is a square wave of full scale (RFC 3389 3.1).
        self.target = 32_767.0 * 10f32.powf(-f32::from(level & 0x7f) / 20.0);
        self.order = reflection.len().min(ORDER);
        let mut power = 1.0;
        for (k, octet) in self.reflection.iter_mut().zip(reflection) {
            // 0 to 254 are -127/128 to 127/128; 255 is not used and would leave the range.
            *k = (f32::from(*octet) - 127.0).clamp(-127.0, 127.0) / 128.0;
            power *= 1.0 - *k * *k;
        }
        self.gain = power.sqrt();
        true
    }

    /// Makes the next samples.
    pub(super) fn fill(&mut self, pcm: &mut [i16]) {
        for sample in pcm {
            self.level += (self.target - self.level) / GLIDE;
            // A uniform value from -1 to 1 has a mean square of a third.
            let mut forward = self.random() * self.gain * self.level * 3f32.sqrt();
            // The lattice of an all-pole filter: its coefficients are the reflections themselves.
            for m in (0..self.order).rev() {
                forward -= self.reflection[m] * self.backward[m];
                self.backward[m + 1] = self.backward[m] + self.reflection[m] * forward;
            }
            self.backward[0] = forward;
            // A cast limits.
            *sample = forward as i16;
        }
    }

    /// Returns the next of a uniform sequence from -1 to 1 (xorshift).
    fn random(&mut self) -> f32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        self.state as i32 as f32 / 2_147_483_648.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(payload: &[u8]) -> Vec<i16> {
        let mut noise = Noise::new(7);
        assert!(noise.describe(payload));
        let mut pcm = vec![0; 16_000];
        noise.fill(&mut pcm);
        pcm.drain(..3200);
        pcm
    }

    fn dbov(pcm: &[i16]) -> f64 {
        let power = pcm.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / pcm.len() as f64;
        10.0 * (power / 32_767f64.powi(2)).log10()
    }

    #[test]
    fn the_level_is_what_was_described_whatever_the_spectrum() {
        for payload in [&[30][..], &[50], &[30, 40, 200, 90], &[30, 0, 254, 0, 254, 0, 254, 0, 254, 0, 254, 9]] {
            let off = dbov(&made(payload)) + f64::from(payload[0]);
            assert!(off.abs() < 2.0, "{off} dB off for {payload:?}");
        }
        assert!(!Noise::new(1).describe(&[]));
    }

    #[test]
    fn a_spectrum_colours_the_noise() {
        // A first reflection near -1 joins each sample to the one before it: low frequencies.
        let roughness = |pcm: &[i16]| {
            let steps = pcm.windows(2).map(|two| (f64::from(two[1]) - f64::from(two[0])).powi(2)).sum::<f64>();
            steps / pcm.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>()
        };
        let (low, white, high) = (made(&[30, 10]), made(&[30]), made(&[30, 244]));
        assert!(roughness(&low) < 0.5 * roughness(&white));
        assert!(roughness(&high) > 1.5 * roughness(&white));
    }

    #[test]
    fn any_description_makes_noise_within_bounds() {
        let mut noise = Noise::new(3);
        for octet in 0..=255u8 {
            noise.describe(&[octet; 40]);
            let mut pcm = [0; 160];
            noise.fill(&mut pcm);
            assert!(noise.backward.iter().all(|value| value.is_finite()), "{octet}");
        }
    }
}
