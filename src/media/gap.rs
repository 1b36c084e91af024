//! Judges each received packet by its sequence number and timestamp (RFC 3550 A.1).
//!
//! Nothing is held back: the packet that shows a gap is used at once, and what it overtook comes too late.

/// Sequence numbers ahead that still count as loss.
const MAX_DROPOUT: u16 = 3000;
/// Sequence numbers behind that still count as late.
const MAX_MISORDER: u16 = 100;
/// Late packets in a row, each following the other, that show that the source began anew.
const RESTART_RUN: u8 = 8;
/// Longest gap that is concealed, in samples at 8 kHz: 60 ms.
pub const MAX_CONCEALED: i64 = 480;

/// What a packet is to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The first of a source: nothing before it counts.
    Restart,
    /// The one that was expected.
    Next,
    /// So many before it did not come.
    Gap(u16),
    /// Older than one already used, or a duplicate.
    Late,
    /// Out of all order; believed when the next one follows it.
    Wild,
}

/// The order of one source's packets.
#[derive(Debug, Default)]
pub struct Sequence {
    current: Option<Current>,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    ssrc: u32,
    next: u16,
    /// What would follow a packet that was out of order, and how many followed so.
    suspect: Option<(u16, u8)>,
}

impl Sequence {
    /// Judges a packet and remembers it.
    pub fn judge(&mut self, ssrc: u32, number: u16) -> Verdict {
        let Some(current) = self.current.as_mut().filter(|c| c.ssrc == ssrc) else {
            return self.restart(ssrc, number);
        };
        let ahead = number.wrapping_sub(current.next);
        if ahead < MAX_DROPOUT {
            current.next = number.wrapping_add(1);
            current.suspect = None;
            return if ahead == 0 { Verdict::Next } else { Verdict::Gap(ahead) };
        }
        let late = ahead > u16::MAX - MAX_MISORDER;
        let run = match current.suspect {
            Some((next, run)) if next == number => run + 1,
            _ => 1,
        };
        if run >= if late { RESTART_RUN } else { 2 } {
            return self.restart(ssrc, number);
        }
        current.suspect = Some((number.wrapping_add(1), run));
        if late { Verdict::Late } else { Verdict::Wild }
    }

    fn restart(&mut self, ssrc: u32, number: u16) -> Verdict {
        self.current = Some(Current { ssrc, next: number.wrapping_add(1), suspect: None });
        Verdict::Restart
    }

    /// Returns the source that is heard.
    pub fn ssrc(&self) -> Option<u32> {
        self.current.map(|c| c.ssrc)
    }
}

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

    fn judged(numbers: &[u16]) -> Vec<Verdict> {
        let mut sequence = Sequence::default();
        numbers.iter().map(|n| sequence.judge(7, *n)).collect()
    }

    #[test]
    fn packets_in_order_are_next_across_the_wrap() {
        use Verdict::{Next, Restart};
        assert_eq!(judged(&[65_534, 65_535, 0, 1]), [Restart, Next, Next, Next]);
    }

    #[test]
    fn the_overtaken_packet_is_late_and_so_is_a_duplicate() {
        use Verdict::{Gap, Late, Next, Restart};
        assert_eq!(judged(&[10, 12, 11, 13, 13]), [Restart, Gap(1), Late, Next, Late]);
    }

    #[test]
    fn a_jump_is_believed_with_its_second_packet() {
        use Verdict::{Next, Restart, Wild};
        assert_eq!(judged(&[10, 11, 30_000, 30_001, 30_002]), [Restart, Next, Wild, Restart, Next]);
    }

    #[test]
    fn a_stray_packet_does_not_move_the_stream() {
        use Verdict::{Next, Restart, Wild};
        assert_eq!(judged(&[10, 11, 30_000, 12, 13]), [Restart, Next, Wild, Next, Next]);
    }

    #[test]
    fn a_source_that_steps_back_is_heard_again_soon() {
        let numbers: Vec<u16> = (0..60).chain(10..60).collect();
        let verdicts = judged(&numbers);
        assert_eq!(verdicts[60 + 7], Verdict::Restart);
        assert!(verdicts[60 + 8..].iter().all(|v| *v == Verdict::Next));
    }

    #[test]
    fn a_new_ssrc_restarts_at_once() {
        let mut sequence = Sequence::default();
        sequence.judge(1, 5);
        assert_eq!(sequence.judge(2, 60_000), Verdict::Restart);
        assert_eq!(sequence.judge(2, 60_001), Verdict::Next);
        assert_eq!(sequence.ssrc(), Some(2));
    }

    #[test]
    fn source_time_goes_on_across_the_wrap_of_a_48_khz_clock() {
        let mut timeline = Timeline::start(u32::MAX - 959);
        assert_eq!(timeline.at(u32::MAX - 959, 6), 0);
        assert_eq!(timeline.at(0, 6), 160);
        assert_eq!(timeline.at(960, 6), 320);
        assert_eq!(timeline.at(0, 6), 160);
    }
}
