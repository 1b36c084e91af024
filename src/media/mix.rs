//! A mix: every 20 ms the frames of all its legs are added up, and each hears the sum less its own.

use std::time::{Duration, Instant};

use super::seat::FRAME;

/// Time between two ticks.
const TICK: Duration = Duration::from_millis(20);
/// How far behind a mix makes up for its ticks; beyond that it skips them.
const PATIENCE: Duration = Duration::from_millis(200);

/// Legs that hear each other.
#[derive(Debug)]
pub(super) struct Mix {
    /// Never used again: a deadline of another mix is told by it.
    pub id: u64,
    /// Slots of the legs.
    pub legs: Vec<usize>,
    /// What all of them say in this tick.
    pub total: Box<[i32; FRAME]>,
    /// The last words of those that left.
    pub tail: Box<[i32; FRAME]>,
    /// When the next tick is due.
    pub next: Instant,
    /// Samples since the beginning.
    at: i64,
}

impl Mix {
    /// Begins a mix; its first tick is due at once.
    pub(super) fn new(id: u64, now: Instant) -> Self {
        Mix { id, legs: Vec::new(), total: Box::new([0; FRAME]), tail: Box::new([0; FRAME]), next: now, at: 0 }
    }

    /// Begins the next tick if it is due, with the last words of those that left, and returns its time in samples.
    pub(super) fn begin(&mut self, now: Instant) -> Option<i64> {
        if self.next > now {
            return None;
        }
        if now.saturating_duration_since(self.next) > PATIENCE {
            let skipped = now.saturating_duration_since(self.next).as_millis() / TICK.as_millis();
            self.next += TICK * u32::try_from(skipped).unwrap_or(u32::MAX);
            self.at += i64::try_from(skipped).unwrap_or(0) * FRAME as i64;
        }
        self.next += TICK;
        std::mem::swap(&mut self.total, &mut self.tail);
        self.tail.fill(0);
        let at = self.at;
        self.at += FRAME as i64;
        Some(at)
    }

    /// Adds what one of the legs says.
    pub(super) fn add(&mut self, frame: &[i16; FRAME]) {
        for (total, sample) in self.total.iter_mut().zip(frame) {
            *total += i32::from(*sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_slept_skips_the_ticks_that_it_missed_but_not_their_time() {
        let now = Instant::now();
        let mut mix = Mix::new(1, now);
        assert_eq!(mix.begin(now), Some(0));
        assert_eq!(mix.begin(now), None);
        let late = now + Duration::from_millis(1005);
        assert_eq!(mix.begin(late), Some(50 * 160), "the tick of 1000 ms");
        assert_eq!(mix.begin(late), None);
    }

    #[test]
    fn last_words_are_heard_once() {
        let now = Instant::now();
        let mut mix = Mix::new(1, now);
        mix.tail[0] = 5;
        mix.begin(now);
        assert_eq!(mix.total[0], 5);
        mix.begin(now + TICK);
        assert_eq!(mix.total[0], 0);
    }
}
