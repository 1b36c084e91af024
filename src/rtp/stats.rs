//! What a receiver makes of one source: the order of its packets, and the figures of its report blocks (RFC 3550 appendix
//! A.1, A.3, A.8).
//!
//! Nothing is held back: the packet that shows a gap is used at once, and what it overtook comes too late.
//!
//! We do not put a source on probation (A.1, MIN_SEQUENTIAL), because a packet counted here is authenticated by SRTP or comes
//! from the signalled address.

use std::time::{Duration, Instant};

use super::rtcp::{ReportBlock, duration_to_ntp_short, ntp_middle};

/// Sequence numbers ahead that still count as loss (A.1).
const MAX_DROPOUT: u16 = 3000;
/// Sequence numbers behind that still count as disorder (A.1).
const MAX_MISORDER: u16 = 100;
/// Size of the sequence number space.
const SEQ_MOD: u32 = 1 << 16;

/// Late packets in a row, each following the other, that show that the source began anew.
const RESTART_RUN: u8 = 8;

/// What a packet is to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The first of a source or of a new sequence of it: nothing before it counts.
    Restart,
    /// The one that was expected.
    Next,
    /// So many before it did not come.
    Gap(u16),
    /// Older than one already used, or a duplicate.
    Late,
    /// Far from everything (A.1 `bad_seq`): not counted; believed when the one after it comes.
    Wild,
}

/// Counts one source; made at its first packet.
#[derive(Clone, Debug)]
pub struct ReceiverStats {
    ssrc: u32,
    clock_hz: u32,
    epoch: Instant,
    sequence: Sequence,
    transit: Option<u32>,
    /// Sixteen times the jitter, ticks (A.8).
    jitter16: u32,
    last_sr: Option<(u32, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct Sequence {
    base: u32,
    max: u16,
    cycles: u32,
    /// What would follow a packet that was out of order, and how many followed so.
    suspect: Option<(u16, u8)>,
    received: u32,
    expected_prior: u32,
    received_prior: u32,
    /// Losses of the sequences before a restart.
    lost_before: i64,
}

impl Sequence {
    fn begin(seq: u16, lost_before: i64) -> Self {
        Sequence {
            base: u32::from(seq),
            max: seq,
            cycles: 0,
            suspect: None,
            received: 0,
            expected_prior: 0,
            received_prior: 0,
            lost_before,
        }
    }

    fn highest(&self) -> u32 {
        self.cycles.wrapping_add(u32::from(self.max))
    }

    fn expected(&self) -> u32 {
        self.highest().wrapping_sub(self.base).wrapping_add(1)
    }

    fn lost(&self) -> i64 {
        i64::from(self.expected()) - i64::from(self.received)
    }
}

impl ReceiverStats {
    /// Makes a receiver of `ssrc`, the first packet of which is yet to be counted; `clock_hz` is the clock of its timestamps.
    pub fn new(ssrc: u32, clock_hz: u32, now: Instant) -> Self {
        ReceiverStats {
            ssrc,
            clock_hz,
            epoch: now,
            sequence: Sequence::begin(0, 0),
            transit: None,
            jitter16: 0,
            last_sr: None,
        }
    }

    /// Returns the source that is counted.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Tells whether it is this source, on this clock, that is counted.
    #[inline]
    pub fn is_of(&self, ssrc: u32, clock_hz: u32) -> bool {
        self.ssrc == ssrc && self.clock_hz == clock_hz
    }

    /// Judges and counts a packet (A.1) and, where it has a timestamp that moves with time, its jitter (A.8).
    ///
    /// `timestamp` is `None` for telephone events, all packets of which bear the time of the key's beginning.
    #[inline]
    pub fn receive(&mut self, seq: u16, timestamp: Option<u32>, now: Instant) -> Verdict {
        let verdict = self.judge(seq);
        if verdict == Verdict::Restart {
            self.transit = None;
        }
        if let Some(timestamp) = timestamp
            && !matches!(verdict, Verdict::Wild | Verdict::Late)
        {
            self.jitter(timestamp, now);
        }
        verdict
    }

    #[inline]
    fn judge(&mut self, seq: u16) -> Verdict {
        let s = &mut self.sequence;
        if s.received == 0 {
            return self.restart(seq);
        }
        let ahead = seq.wrapping_sub(s.max).wrapping_sub(1);
        if ahead < MAX_DROPOUT - 1 {
            if seq < s.max {
                s.cycles = s.cycles.wrapping_add(SEQ_MOD);
            }
            s.max = seq;
            s.suspect = None;
            s.received = s.received.wrapping_add(1);
            return if ahead == 0 { Verdict::Next } else { Verdict::Gap(ahead) };
        }
        let late = ahead > u16::MAX - MAX_MISORDER;
        let run = match s.suspect {
            Some((next, run)) if next == seq => run + 1,
            _ => 1,
        };
        if run >= if late { RESTART_RUN } else { 2 } {
            return self.restart(seq);
        }
        s.suspect = Some((seq.wrapping_add(1), run));
        if !late {
            return Verdict::Wild;
        }
        s.received = s.received.wrapping_add(1);
        Verdict::Late
    }

    fn restart(&mut self, seq: u16) -> Verdict {
        let lost = if self.sequence.received == 0 { 0 } else { self.sequence.lost() };
        let lost_before = self.sequence.lost_before.saturating_add(lost);
        self.sequence = Sequence { received: 1, ..Sequence::begin(seq, lost_before) };
        Verdict::Restart
    }

    #[inline]
    fn jitter(&mut self, timestamp: u32, now: Instant) {
        let micros = now.saturating_duration_since(self.epoch).as_micros() as u64;
        let arrival = (micros.wrapping_mul(u64::from(self.clock_hz)) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(previous) = self.transit.replace(transit) {
            let d = (transit.wrapping_sub(previous) as i32).unsigned_abs();
            let step = i64::from(d) - ((i64::from(self.jitter16) + 8) >> 4);
            self.jitter16 = (i64::from(self.jitter16) + step).clamp(0, i64::from(u32::MAX)) as u32;
        }
    }

    /// Notes the source's SR, for LSR and DLSR.
    pub fn receive_sender_report(&mut self, ntp: u64, now: Instant) {
        self.last_sr = Some((ntp_middle(ntp), now));
    }

    /// Returns packets received, duplicates and late ones included, since the last restart of the sequence.
    pub fn received(&self) -> u32 {
        self.sequence.received
    }

    /// Returns packets lost since the beginning; 0 where duplicates make it negative.
    pub fn lost(&self) -> u64 {
        u64::try_from(self.total_lost()).unwrap_or(0)
    }

    fn total_lost(&self) -> i64 {
        let current = if self.sequence.received == 0 { 0 } else { self.sequence.lost() };
        self.sequence.lost_before.saturating_add(current)
    }

    /// Returns the interarrival jitter, ticks (A.8).
    pub fn jitter_ticks(&self) -> u32 {
        self.jitter16 >> 4
    }

    /// Returns the interarrival jitter as a time.
    pub fn jitter_time(&self) -> Duration {
        Duration::from_micros(u64::from(self.jitter_ticks()) * 1_000_000 / u64::from(self.clock_hz.max(1)))
    }

    /// Makes the block for the next report (A.3); the share lost counts from the previous call.
    pub fn report(&mut self, now: Instant) -> ReportBlock {
        let s = &mut self.sequence;
        let expected = if s.received == 0 { 0 } else { s.expected() };
        let expected_interval = expected.wrapping_sub(s.expected_prior);
        let received_interval = s.received.wrapping_sub(s.received_prior);
        s.expected_prior = expected;
        s.received_prior = s.received;
        let lost_interval = i64::from(expected_interval) - i64::from(received_interval);
        let fraction_lost = if expected_interval == 0 || lost_interval <= 0 {
            0
        } else {
            ((lost_interval << 8) / i64::from(expected_interval)).min(255) as u8
        };
        let (last_sr, delay_since_sr) = self
            .last_sr
            .map_or((0, 0), |(middle, at)| (middle, duration_to_ntp_short(now.saturating_duration_since(at))));
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost,
            lost: self.total_lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_seq: self.sequence.highest(),
            jitter: self.jitter_ticks(),
            last_sr,
            delay_since_sr,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::Verdict::{Gap, Late, Next, Restart, Wild};

    fn stats() -> (ReceiverStats, Instant) {
        let now = Instant::now();
        (ReceiverStats::new(9, 8000, now), now)
    }

    fn judged(numbers: impl IntoIterator<Item = u16>) -> Vec<Verdict> {
        let (mut stats, now) = stats();
        numbers.into_iter().map(|seq| stats.receive(seq, None, now)).collect()
    }

    #[test]
    fn a_gapless_sequence_across_the_wrap_loses_nothing() {
        let (mut stats, now) = stats();
        for n in 0..20u16 {
            let verdict = stats.receive(65_530u16.wrapping_add(n), None, now);
            assert_eq!(verdict, if n == 0 { Restart } else { Next });
        }
        let block = stats.report(now);
        assert_eq!((block.lost, block.fraction_lost), (0, 0));
        assert_eq!(block.highest_seq, 0x1_0000 + 13);
    }

    #[test]
    fn the_overtaken_packet_is_late_and_so_is_a_duplicate() {
        assert_eq!(judged([10, 12, 11, 13, 13]), [Restart, Gap(1), Late, Next, Late]);
    }

    #[test]
    fn a_stray_packet_does_not_move_the_stream() {
        assert_eq!(judged([10, 11, 30_000, 12, 13]), [Restart, Next, Wild, Next, Next]);
    }

    #[test]
    fn a_source_that_steps_back_is_heard_again_soon() {
        let verdicts = judged((0..60).chain(10..60));
        assert_eq!(verdicts[60 + 7], Restart);
        assert!(verdicts[60 + 8..].iter().all(|v| *v == Next));
    }

    #[test]
    fn a_source_is_known_by_its_ssrc_and_its_clock() {
        let (stats, _) = stats();
        assert_eq!((stats.is_of(9, 8000), stats.is_of(8, 8000), stats.is_of(9, 48_000)), (true, false, false));
    }

    #[test]
    fn the_share_lost_counts_from_the_report_before() {
        let (mut stats, now) = stats();
        for seq in (0..100u16).filter(|n| n % 4 != 1) {
            stats.receive(seq, None, now);
        }
        let block = stats.report(now);
        assert_eq!((block.lost, block.fraction_lost), (25, 64));
        for seq in 100..150 {
            stats.receive(seq, None, now);
        }
        let block = stats.report(now);
        assert_eq!((block.lost, block.fraction_lost), (25, 0));
    }

    #[test]
    fn late_packets_and_duplicates_are_told_from_loss() {
        let (mut stats, now) = stats();
        stats.receive(10, None, now);
        assert_eq!(stats.receive(13, None, now), Gap(2));
        assert_eq!(stats.receive(11, None, now), Late);
        assert_eq!(stats.receive(13, None, now), Late);
        assert_eq!(stats.lost(), 0, "two missing, one late, one twice");
        stats.receive(13, None, now);
        assert_eq!(stats.report(now).lost, -1);
        assert_eq!(stats.lost(), 0);
    }

    #[test]
    fn one_stray_sequence_number_is_not_believed_but_two_in_a_row_are() {
        let (mut stats, now) = stats();
        stats.receive(10, None, now);
        assert_eq!(stats.receive(30_000, None, now), Wild);
        assert_eq!(stats.receive(11, None, now), Next);
        assert_eq!(stats.receive(40_000, None, now), Wild);
        assert_eq!(stats.receive(40_001, None, now), Restart);
        assert_eq!(stats.receive(40_002, None, now), Next);
        assert_eq!(stats.lost(), 0);
    }

    #[test]
    fn an_even_stream_has_no_jitter_and_an_uneven_one_approaches_its_deviation() {
        let (mut even, start) = stats();
        let (mut uneven, _) = stats();
        for n in 0..2000u16 {
            let sent = start + Duration::from_millis(20 * u64::from(n));
            let late = Duration::from_millis(if n % 2 == 0 { 0 } else { 10 });
            let timestamp = Some((u32::MAX - 500).wrapping_add(160 * u32::from(n)));
            even.receive(n, timestamp, sent);
            uneven.receive(n, timestamp, sent + late);
        }
        assert_eq!(even.jitter_ticks(), 0);
        assert!((70..=80).contains(&uneven.jitter_ticks()), "{} of 80 ticks", uneven.jitter_ticks());
        assert!(uneven.jitter_time() > Duration::from_millis(8));
    }

    #[test]
    fn the_last_sender_report_and_its_age_stand_in_the_block() {
        let (mut stats, now) = stats();
        stats.receive(0, None, now);
        assert_eq!(stats.report(now).last_sr, 0);
        stats.receive_sender_report(0x1122_3344_5566_7788, now);
        let block = stats.report(now + Duration::from_millis(500));
        assert_eq!((block.last_sr, block.delay_since_sr), (0x3344_5566, 0x8000));
    }
}
