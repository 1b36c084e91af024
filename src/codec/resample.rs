//! From any sampling rate to 8 kHz, for sounds that are loaded: a windowed sinc, not made for the path of a packet.

use std::f64::consts::PI;

use super::SAMPLE_RATE_HZ;

/// Zero crossings of the sinc on each side: what is 700 Hz beyond the edge of the band is gone.
const CROSSINGS: usize = 32;
/// Entries of the kernel's table per crossing; between them it is interpolated.
const ENTRIES: usize = 256;
/// Edge of the band as a part of the lower sampling rate: 3.65 kHz of 8.
const EDGE: f64 = 0.456;

/// Brings samples to 8 kHz. What 8 kHz cannot carry is filtered out.
pub fn to_8_khz(pcm: &[i16], rate_hz: u32) -> Vec<i16> {
    if rate_hz == SAMPLE_RATE_HZ || rate_hz == 0 {
        return pcm.to_vec();
    }
    let kernel = kernel();
    let rate = f64::from(rate_hz);
    // Input samples per crossing of the sinc.
    let width = rate / f64::from(rate_hz.min(SAMPLE_RATE_HZ));
    let reach = width * CROSSINGS as f64;
    let count = (pcm.len() as u64 * u64::from(SAMPLE_RATE_HZ) / u64::from(rate_hz)) as usize;
    let at = |n: usize| n as f64 * rate / f64::from(SAMPLE_RATE_HZ);
    let sample = |n: usize| {
        let middle = at(n);
        let first = (middle - reach).ceil().max(0.0) as usize;
        let last = ((middle + reach).floor() as usize).min(pcm.len().saturating_sub(1));
        let around = pcm.get(first..=last).unwrap_or_default();
        let sum: f32 =
            (first..).zip(around).map(|(k, x)| tap(&kernel, (k as f64 - middle).abs() / width) * f32::from(*x)).sum();
        (f64::from(sum) / width).round().clamp(-32_768.0, 32_767.0) as i16
    };
    (0..count).map(sample).collect()
}

/// Returns the kernel at a distance in crossings.
fn tap(kernel: &[f32], distance: f64) -> f32 {
    let place = distance * ENTRIES as f64;
    let entry = place as usize;
    let part = (place - entry as f64) as f32;
    match kernel.get(entry..entry + 2) {
        Some([one, next]) => one + (next - one) * part,
        _ => 0.0,
    }
}

/// Makes one half of the kernel: a sinc of the band's width under a Blackman window, of unit gain.
fn kernel() -> Vec<f32> {
    let last = (CROSSINGS * ENTRIES) as f64;
    let value = |entry: usize| {
        let x = 2.0 * EDGE * entry as f64 / ENTRIES as f64;
        let sinc = if entry == 0 { 1.0 } else { (PI * x).sin() / (PI * x) };
        let turn = PI * entry as f64 / last;
        (2.0 * EDGE * sinc * (0.42 + 0.5 * turn.cos() + 0.08 * (2.0 * turn).cos())) as f32
    };
    (0..=CROSSINGS * ENTRIES + 1).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f64, rate: u32) -> Vec<i16> {
        let step = std::f64::consts::TAU * hz / f64::from(rate);
        (0..rate).map(|k| ((f64::from(k) * step).sin() * 10_000.0) as i16).collect()
    }

    fn peak(pcm: &[i16]) -> i16 {
        pcm[800..7200].iter().map(|s| s.abs()).max().unwrap_or(0)
    }

    #[test]
    fn a_tone_within_the_band_keeps_frequency_and_level_from_every_rate() {
        for rate in [11_025, 16_000, 22_050, 44_100, 48_000, 96_000] {
            let heard = to_8_khz(&sine(1000.0, rate), rate);
            assert_eq!(heard.len(), 8000, "{rate}");
            let wanted = sine(1000.0, 8000);
            let off = heard[800..7200].iter().zip(&wanted[800..7200]).map(|(a, b)| (a - b).abs()).max();
            assert!(off.is_some_and(|off| off < 100), "{off:?} of 10000 at {rate} Hz");
        }
    }

    #[test]
    fn what_8_khz_cannot_carry_is_gone() {
        for hz in [4400.0, 5000.0, 7000.0, 9000.0, 15_000.0] {
            let left = peak(&to_8_khz(&sine(hz, 44_100), 44_100));
            assert!(left < 32, "{left} of 10000 are left of {hz} Hz");
        }
        assert!(peak(&to_8_khz(&sine(3200.0, 44_100), 44_100)) > 9000, "3.2 kHz is within the band");
    }

    #[test]
    fn a_lower_rate_is_brought_up_without_images() {
        let heard = to_8_khz(&sine(1000.0, 6000), 6000);
        let wanted = sine(1000.0, 8000);
        assert!(heard[800..7200].iter().zip(&wanted[800..7200]).all(|(a, b)| (a - b).abs() < 100));
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert!(to_8_khz(&[], 44_100).is_empty());
        assert!(to_8_khz(&[5], 192_000).is_empty());
        assert_eq!(to_8_khz(&[5], 4000).len(), 2);
    }
}
