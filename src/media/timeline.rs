//! Makes one source time of the timestamps of a stream, whatever its clock and its wraps.

/// Source time in samples at 8 kHz, unwrapped from 32-bit timestamps of any multiple of that clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeline {
    last: u32,
    ticks: i64,
}

impl Timeline {
    /// Starts at a timestamp: source time 0.
    pub fn start(timestamp: u32) -> Self {
        Timeline { last: timestamp, ticks: 0 }
    }

    /// Returns the source time of a timestamp within half the range of the last one; `per_sample` is the clock in
    /// ticks per sample at 8 kHz.
    #[inline]
    pub fn at(&mut self, timestamp: u32, per_sample: u32) -> i64 {
        self.ticks += i64::from(timestamp.wrapping_sub(self.last) as i32);
        self.last = timestamp;
        self.ticks.div_euclid(i64::from(per_sample.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_time_goes_on_across_the_wrap_of_a_48_khz_clock() {
        let mut timeline = Timeline::start(u32::MAX - 959);
        assert_eq!(timeline.at(u32::MAX - 959, 6), 0);
        assert_eq!(timeline.at(0, 6), 160);
        assert_eq!(timeline.at(960, 6), 320);
        assert_eq!(timeline.at(0, 6), 160);
    }
}
