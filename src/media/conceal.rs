//! Conceals lost frames of a codec that cannot do it itself (G.711): the last period of the voice again and again, fading
//! out within 60 ms (after the idea of ITU-T G.711 Appendix I).
//!
//! Nothing is held back for it: where a turn of the period begins otherwise than the last one ended, the step is spread
//! over 5 ms of the turn, and what is heard again fades in over what would have been made up.

/// Longest gap that is concealed, in samples at 8 kHz: 60 ms.
pub const MAX_CONCEALED: i64 = 480;

/// Longest period that is looked for, 20 ms: no voice is lower.
const LONGEST: usize = 160;
/// Shortest one, 5 ms; a higher voice has several of its own in it.
const SHORTEST: usize = 40;
/// Samples of the fade wherever one sound follows another: 5 ms.
pub const FADE: usize = 40;
/// How much is compared: 10 ms.
const COMPARED: usize = 80;
const KEPT: usize = LONGEST + COMPARED;

/// The recent past of a decoded stream.
#[derive(Debug)]
pub struct Conceal {
    last: Box<[i16; KEPT]>,
    filled: usize,
    /// Period of the end of the past, once it was looked for.
    period: Option<usize>,
}

impl Default for Conceal {
    fn default() -> Self {
        Conceal { last: Box::new([0; KEPT]), filled: 0, period: None }
    }
}

impl Conceal {
    /// Remembers a frame that was heard.
    pub fn hear(&mut self, pcm: &[i16]) {
        let kept = pcm.len().min(KEPT);
        self.last.copy_within(kept.., 0);
        self.last[KEPT - kept..].copy_from_slice(&pcm[pcm.len() - kept..]);
        self.filled = (self.filled + kept).min(KEPT);
        self.period = None;
    }

    /// Fills `out` with what might have been there.
    pub fn fill(&mut self, out: &mut [i16]) {
        self.fill_from(0, out);
    }

    /// Fills `out` with what might have been there after `made_up` samples that were filled in already.
    pub fn fill_from(&mut self, made_up: usize, out: &mut [i16]) {
        if self.filled == 0 || made_up >= MAX_CONCEALED as usize {
            out.fill(0);
            return;
        }
        let period = *self.period.get_or_insert_with(|| period(&self.last[KEPT - self.filled..]));
        let turn = &self.last[KEPT - period..];
        // What stood before the period is what its beginning fits to; the end of the past is what it has to fit to.
        let fits_to = if self.filled > period { self.last[KEPT - period - 1] } else { turn[0] };
        let step = i64::from(self.last[KEPT - 1]) - i64::from(fits_to);
        let fade = FADE.min(period) as i64;
        for (k, sample) in out.iter_mut().enumerate() {
            let within = (made_up + k) % period;
            let spread = step * (fade - within as i64).max(0) / fade;
            let left = (MAX_CONCEALED - (made_up + k) as i64).max(0);
            let made = (i64::from(turn[within]) + spread) * left / MAX_CONCEALED;
            *sample = made.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16;
        }
    }

    /// Fades from what would be made up after `made_up` samples into a frame that is heard again.
    pub fn lead_over(&mut self, made_up: usize, heard: &mut [i16]) {
        let mut bridge = [0; FADE];
        self.fill_from(made_up, &mut bridge);
        let fade = heard.len().min(FADE);
        blend(&bridge[..fade], &mut heard[..fade]);
    }

    /// Forgets the past.
    pub fn clear(&mut self) {
        self.filled = 0;
        self.period = None;
    }
}

/// Fades from `old` into `new`, over the whole length of both.
pub fn blend(old: &[i16], new: &mut [i16]) {
    let whole = new.len().max(1) as i32;
    for (k, (new, old)) in new.iter_mut().zip(old).enumerate() {
        let k = k as i32;
        *new = ((i32::from(*old) * (whole - k) + i32::from(*new) * k) / whole) as i16;
    }
}

/// Returns the distance at which the end of `past` resembles itself most; where there is too little of it, its length.
fn period(past: &[i16]) -> usize {
    let Some((_, end)) = past.split_last_chunk::<COMPARED>() else { return past.len() };
    let likeness = |lag: usize| {
        let from = past.len().checked_sub(COMPARED + lag)?;
        let before = past.get(from..from + COMPARED)?;
        let (mut together, mut alone) = (0.0f32, 1.0f32);
        for (now, then) in end.iter().zip(before) {
            together += f32::from(*now) * f32::from(*then);
            alone += f32::from(*then) * f32::from(*then);
        }
        Some(together / alone.sqrt())
    };
    let lags = (SHORTEST..=LONGEST).map_while(|lag| Some((lag, likeness(lag)?)));
    lags.max_by(|one, other| one.1.total_cmp(&other.1)).map_or(COMPARED, |(lag, _)| lag)
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
    fn a_voice_goes_on_where_it_was_broken_off() {
        for hz in [80.0, 117.0, 211.0, 333.0, 1234.0] {
            let step = std::f64::consts::TAU * hz / 8000.0;
            let voice: Vec<i16> = (0..640).map(|k| ((f64::from(k) * step).sin() * 8000.0) as i16).collect();
            let mut conceal = Conceal::default();
            voice[..400].chunks(80).for_each(|frame| conceal.hear(frame));
            let mut heard = voice[300..400].to_vec();
            for made_up in [0, 80, 160] {
                let mut frame = [0; 80];
                conceal.fill_from(made_up, &mut frame);
                heard.extend(frame);
            }
            let most = heard.windows(2).map(|two| (i32::from(two[1]) - i32::from(two[0])).abs()).max().unwrap_or(0);
            assert!(f64::from(most) < 8000.0 * step + 400.0, "a step of {most} at {hz} Hz");
        }
    }

    #[test]
    fn a_voice_whose_pitch_moves_is_gone_on_with_and_comes_back_without_a_click() {
        // A buzz that rises from 100 to 160 Hz, so that no period is quite like the one before it.
        let mut phase = 0.0f64;
        let voice: Vec<i16> = (0..1600)
            .map(|k| {
                phase += (100.0 + f64::from(k) * 0.0375) * std::f64::consts::TAU / 8000.0;
                (1..8).map(|n| (phase * f64::from(n)).sin() * 4000.0 / f64::from(n)).sum::<f64>() as i16
            })
            .collect();
        let steepest = |pcm: &[i16]| pcm.windows(2).map(|two| (i32::from(two[1]) - i32::from(two[0])).abs()).max();
        for (at, lost) in (400..1100).step_by(37).flat_map(|at| [80, 160, 320, 480].map(|lost| (at, lost))) {
            let mut conceal = Conceal::default();
            conceal.hear(&voice[..at]);
            let mut heard = voice[..at + lost].to_vec();
            conceal.fill(&mut heard[at..]);
            let mut back = voice[at + lost..].to_vec();
            conceal.lead_over(lost, &mut back);
            heard.extend(back);
            assert!(steepest(&heard) <= steepest(&voice).map(|most| most * 3 / 2), "{lost} samples lost at {at}");
        }
    }

    #[test]
    fn without_a_past_there_is_silence() {
        let mut out = [1; 160];
        Conceal::default().fill(&mut out);
        assert_eq!(out, [0; 160]);
    }
}
