//! A pause that a peer has told of: comfort noise towards who hears it, until it speaks again.
//!
//! A browser with DTX says by an Opus packet of an octet or two that nothing follows (RFC 7587 3.1.3), a trunk with voice
//! activity detection by a packet of comfort noise (RFC 3389). The other side knows of neither: it gets its packets at their
//! pace. They are late by [`LATE`], lest a packet that speech begins with finds its time taken by the noise before it; what
//! is missing by then is made up at once, and one that is later still is not cut: time is moved, and moved back in the
//! next pause.

use std::time::{Duration, Instant};

/// How late the noise is.
const LATE: Duration = Duration::from_millis(20);
/// How far behind a worker makes up for it; beyond that, time jumps.
const PATIENCE: Duration = Duration::from_millis(240);
/// Samples of a frame: 20 ms.
pub(super) const FRAME: usize = 160;
/// Length of a frame.
const FRAME_TIME: Duration = Duration::from_millis(20);

/// Where the noise comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filler {
    /// The peer's description of it.
    Noise,
    /// The Opus decoder, which knows what the peer's silence sounds like.
    Decoder,
}

/// A pause that goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    /// Source time of the next frame.
    pub at: i64,
    pub filler: Filler,
    due: Instant,
}

impl Pause {
    /// Begins behind a frame of so many samples that arrived at `now` and ends at source time `at`.
    pub(super) fn begin(at: i64, len: usize, filler: Filler, now: Instant) -> Self {
        Pause { at, filler, due: now + Duration::from_micros(len as u64 * 125) + LATE }
    }

    /// Returns when the next frame is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Takes the next frame if it is due, and returns its source time.
    pub(super) fn next(&mut self, now: Instant) -> Option<i64> {
        if self.due > now {
            return None;
        }
        let behind = now.saturating_duration_since(self.due);
        if behind > PATIENCE {
            let skipped = behind.as_millis() / FRAME_TIME.as_millis();
            self.due += FRAME_TIME * u32::try_from(skipped).unwrap_or(u32::MAX);
            self.at += i64::try_from(skipped).unwrap_or(0) * FRAME as i64;
        }
        self.due += FRAME_TIME;
        let at = self.at;
        self.at += FRAME as i64;
        Some(at)
    }

    /// Leaves so many samples out, of time that was added before.
    pub(super) fn hold_back(&mut self, samples: i64) {
        self.at += samples;
        self.due += Duration::from_micros(u64::try_from(samples).unwrap_or(0) * 125);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_at_their_pace_and_those_of_a_long_sleep_are_skipped() {
        let now = Instant::now();
        let mut pause = Pause::begin(1000, FRAME, Filler::Noise, now);
        assert_eq!(pause.due(), now + 2 * FRAME_TIME);
        assert_eq!(pause.next(now), None);
        assert_eq!(pause.next(now + 2 * FRAME_TIME), Some(1000));
        assert_eq!(pause.next(now + 2 * FRAME_TIME), None);
        assert_eq!(pause.next(now + 5 * FRAME_TIME), Some(1160));
        let late = now + Duration::from_secs(60);
        assert_eq!(pause.next(late), Some(1000 + 2998 * 160));
        assert_eq!(pause.next(late), None);
    }
}
