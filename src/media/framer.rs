//! Bridges frame lengths: takes frames of any length and gives frames of one.

/// Longest frame taken at once: 120 ms of Opus at 8 kHz (RFC 6716 2.1.4).
pub const MAX_FRAME: usize = 960;
/// Longest frame given: 60 ms.
pub const MAX_PTIME: usize = 480;
const CAPACITY: usize = MAX_FRAME + MAX_PTIME;

/// A short queue of samples (8 kHz, mono) with the source time of the first one.
#[derive(Debug)]
pub struct Framer {
    pcm: Box<[i16; CAPACITY]>,
    len: usize,
    at: i64,
    frame: usize,
}

impl Framer {
    /// Makes a framer that gives frames of `frame` samples (1 to [`MAX_PTIME`]).
    pub fn new(frame: usize) -> Self {
        Framer { pcm: Box::new([0; CAPACITY]), len: 0, at: 0, frame: frame.clamp(1, MAX_PTIME) }
    }

    /// Returns the length of the frames given, in samples.
    #[inline]
    pub fn frame(&self) -> usize {
        self.frame
    }

    /// Tells whether no sample waits: then a frame of the right length needs no framer.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the source time of the next sample that fits without a break, where samples wait.
    pub fn end(&self) -> Option<i64> {
        (self.len > 0).then_some(self.at + self.len as i64)
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Changes the frame length; what waits goes into the next frames.
    pub fn set_frame(&mut self, frame: usize) {
        self.frame = frame.clamp(1, MAX_PTIME);
    }

    /// Appends samples whose first one has source time `at`; `at` counts only where nothing waits.
    /// What does not fit is dropped, which cannot happen when every push is followed by pops to the end.
    pub fn push(&mut self, at: i64, pcm: &[i16]) {
        if self.len == 0 {
            self.at = at;
        }
        let count = pcm.len().min(CAPACITY - self.len);
        self.pcm[self.len..self.len + count].copy_from_slice(&pcm[..count]);
        self.len += count;
    }

    /// Fills up a begun frame with silence, or with `most` samples of it.
    pub fn pad(&mut self, most: usize) {
        if self.len > 0 && self.len < self.frame {
            let count = (self.frame - self.len).min(most);
            self.pcm[self.len..self.len + count].fill(0);
            self.len += count;
        }
    }

    /// Takes a whole frame out into `out` (at least the frame length) and returns its source time.
    pub fn pop(&mut self, out: &mut [i16]) -> Option<i64> {
        if self.len < self.frame || out.len() < self.frame {
            return None;
        }
        out[..self.frame].copy_from_slice(&self.pcm[..self.frame]);
        self.pcm.copy_within(self.frame..self.len, 0);
        self.len -= self.frame;
        let at = self.at;
        self.at += self.frame as i64;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(from: i16, count: usize) -> Vec<i16> {
        (0..count).map(|i| from + i as i16).collect()
    }

    #[test]
    fn frames_of_twenty_become_frames_of_thirty_without_a_break() {
        let mut framer = Framer::new(240);
        let mut out = [0; 240];
        let mut heard = Vec::new();
        for k in 0..6 {
            framer.push(k * 160, &ramp(k as i16 * 160, 160));
            while let Some(at) = framer.pop(&mut out) {
                assert_eq!(at, heard.len() as i64);
                heard.extend_from_slice(&out);
            }
        }
        assert_eq!(heard, ramp(0, 960));
        assert!(framer.is_empty());
    }

    #[test]
    fn a_frame_of_120_ms_is_cut_into_frames_of_10() {
        let mut framer = Framer::new(80);
        framer.push(0, &ramp(0, 960));
        let mut out = [0; 80];
        let mut count = 0;
        while let Some(at) = framer.pop(&mut out) {
            assert_eq!(at, count * 80);
            assert_eq!(out[0], count as i16 * 80);
            count += 1;
        }
        assert_eq!(count, 12);
    }

    #[test]
    fn a_new_length_loses_no_sample() {
        let mut framer = Framer::new(240);
        framer.push(0, &ramp(0, 160));
        framer.set_frame(80);
        framer.push(160, &ramp(160, 160));
        let mut out = [0; 80];
        for k in 0..4 {
            assert_eq!(framer.pop(&mut out), Some(k * 80));
            assert_eq!(out[..], ramp(k as i16 * 80, 80));
        }
        assert!(framer.is_empty());
    }

    #[test]
    fn a_begun_frame_is_filled_up_with_silence() {
        let mut framer = Framer::new(160);
        framer.push(40, &[9; 100]);
        assert_eq!(framer.end(), Some(140));
        framer.pad(usize::MAX);
        let mut out = [1; 160];
        assert_eq!(framer.pop(&mut out), Some(40));
        assert_eq!((out[99], out[100], out[159]), (9, 0, 0));
    }
}
