//! One-way delay of each packet: from the sending of a piece of sound to the receipt of the packet that bears it.
//!
//! # Method
//! The two ends of a call are in one process and read one clock. A gateway numbers and times its packets as it likes, so that
//! nothing in a received header says which packet of ours it bears. So the sound itself is asked, once per stream: the marker of
//! [`voice`](super::voice) was in frame *n* and is found at some place of the received stream. That gives the *shift* between both
//! timelines, less the look-ahead of the codecs themselves. From then on the RTP timestamp of each received packet says where
//! its sound came from.
//!
//! ```text
//!  sent       |  n-1  |   n   |  n+1  |            frames, each with the time when it was sent
//!  received        |  j-1  |   j   |  j+1  |       packets; here the sound is a quarter of a packet late
//!                  └ shift: whole packets + rest; the packet where a frame begins counts, the rest is told apart
//! ```
//! The whole packets of the shift decide which frame a packet bears, the rest is [`Shift::rest_us`]: what the gateway delays the
//! sound by on top of its packets. A gateway that forwards packet by packet has a rest of 0, and its figures are exact. A
//! jitter buffer that plays frames from the middle of packets has a rest. Where the peer begins another stream (another SSRC,
//! a jump of its timestamps) the sound is asked anew. A buffer that stretches sound moves the shift; each further audio
//! check measures it again, and later packets count by it.
//!
//! All positions are ticks of 48 kHz.

/// Ticks of a millisecond.
pub const TICKS_MS: i64 = 48;
/// Frames whose times are kept: at 20 ms five seconds, more than any delay that is still a conversation.
const KEPT: usize = 256;
/// Packets kept until the stream is aligned.
const MAX_EARLY: usize = 256;
/// Timestamps that jump by more begin another stream: 5 s.
const JUMP: i32 = 5 * 48_000;

/// When each of the last frames was sent.
#[derive(Debug)]
pub struct SentTimes {
    times_us: Box<[u64; KEPT]>,
    next: u64,
    frame: i64,
}

impl SentTimes {
    /// Begins at frame 0.
    pub fn new(frame_ms: u8) -> SentTimes {
        SentTimes { times_us: Box::new([0; KEPT]), next: 0, frame: i64::from(frame_ms) * TICKS_MS }
    }

    /// Notes that the next frame goes out.
    #[inline]
    pub fn note(&mut self, now_us: u64) {
        self.times_us[self.next as usize % KEPT] = now_us;
        self.next += 1;
    }

    /// Frames sent so far.
    pub fn count(&self) -> u64 {
        self.next
    }

    /// Length of a frame, ticks.
    pub fn frame(&self) -> i64 {
        self.frame
    }

    #[inline]
    fn at(&self, frame: i64) -> Option<u64> {
        let frame = u64::try_from(frame).ok()?;
        let is_kept = frame < self.next && frame + KEPT as u64 >= self.next;
        is_kept.then(|| self.times_us[frame as usize % KEPT])
    }
}

/// How the received timeline lies to the sent one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// Whole packets, ticks.
    packets: i64,
    /// What the sound comes later than that, ticks.
    rest: i64,
}

impl Shift {
    /// Delay of the sound beyond that of its packets, µs.
    pub fn rest_us(&self) -> i64 {
        self.rest * 1000 / TICKS_MS
    }
}

/// What an end receives, on the timeline of its stream.
#[derive(Debug)]
pub struct Arrivals {
    clock_hz: u32,
    last: Option<Last>,
    /// Counts the streams: an alignment counts for its own only.
    stream: u32,
    /// Shortest distance of packets in a row: the length of one.
    step: Option<i64>,
    shift: Option<Shift>,
    early: Vec<(i64, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    ssrc: u32,
    seq: u16,
    timestamp: u32,
    position: i64,
}

impl Arrivals {
    /// Makes the timeline of an end whose peer sends with this clock.
    pub fn new(clock_hz: u32) -> Arrivals {
        Arrivals { clock_hz, last: None, stream: 0, step: None, shift: None, early: Vec::new() }
    }

    /// Which stream it is: rises with each one that begins anew.
    pub fn stream(&self) -> u32 {
        self.stream
    }

    /// How it lies to what was sent, once that is known.
    pub fn shift(&self) -> Option<Shift> {
        self.shift
    }

    /// Returns where a packet stands on the timeline, ticks since the stream's first.
    #[inline]
    pub fn place(&mut self, ssrc: u32, seq: u16, timestamp: u32) -> i64 {
        let scale = i64::from(48_000 / self.clock_hz.clamp(1, 48_000));
        let Some(last) = self.last else { return self.begin(ssrc, seq, timestamp) };
        let ahead = timestamp.wrapping_sub(last.timestamp) as i32;
        let limit = i64::from(JUMP) / scale;
        if last.ssrc != ssrc || i64::from(ahead).abs() > limit {
            return self.begin(ssrc, seq, timestamp);
        }
        let position = last.position + i64::from(ahead) * scale;
        if seq == last.seq.wrapping_add(1) && ahead > 0 {
            let step = i64::from(ahead) * scale;
            self.step = Some(self.step.map_or(step, |known| known.min(step)));
        }
        if ahead > 0 {
            self.last = Some(Last { ssrc, seq, timestamp, position });
        }
        position
    }

    fn begin(&mut self, ssrc: u32, seq: u16, timestamp: u32) -> i64 {
        self.stream += 1;
        self.shift = None;
        self.step = None;
        self.early.clear();
        self.last = Some(Last { ssrc, seq, timestamp, position: 0 });
        0
    }

    /// Returns the delay of a packet that has come, µs; `None` where the stream is not aligned yet (it is told by
    /// [`Arrivals::align`] then), or where the packet bears nothing that was sent of late.
    #[inline]
    pub fn delay_us(&mut self, position: i64, now_us: u64, sent: &SentTimes) -> Option<u64> {
        let Some(shift) = self.shift else {
            if self.early.len() < MAX_EARLY {
                self.early.push((position, now_us));
            }
            return None;
        };
        self.delay(shift, position, now_us, sent)
    }

    #[inline]
    fn delay(&self, shift: Shift, position: i64, now_us: u64, sent: &SentTimes) -> Option<u64> {
        let step = self.step.unwrap_or(sent.frame);
        // Half a packet of grace: a rounding of the peer's clock must not push a packet into the frame before.
        let source = position - shift.packets + step.min(sent.frame) / 2;
        now_us.checked_sub(sent.at(source.div_euclid(sent.frame))?)
    }

    /// Aligns the stream: what stood at `source` ticks of the sent timeline was heard at `place` of the received one, the codecs'
    /// own look-ahead being taken off already. Tells the delays of packets that came before.
    pub fn align(&mut self, source: i64, place: i64, sent: &SentTimes, mut early: impl FnMut(u64)) {
        let Some(last) = self.last else { return };
        let step = self.step.unwrap_or(sent.frame);
        // Packets stand on a grid; an eighth of a step of tolerance, for a marker is found to a sample or two.
        let total = place - source;
        let grid = last.position.rem_euclid(step);
        let rest = (total - grid + step / 8).rem_euclid(step) - step / 8;
        let shift = Shift { packets: total - rest, rest };
        self.shift = Some(shift);
        for (position, now_us) in std::mem::take(&mut self.early) {
            if let Some(delay) = self.delay(shift, position, now_us, sent) {
                early(delay);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: i64 = 20 * TICKS_MS;

    /// Sends frames each 20 ms from 1 s on, and lets each come out `delay_us` later with a clock of its own.
    struct Bench {
        sent: SentTimes,
        arrivals: Arrivals,
        clock: u32,
    }

    impl Bench {
        fn new(clock: u32) -> Bench {
            Bench { sent: SentTimes::new(20), arrivals: Arrivals::new(clock), clock }
        }

        fn packet(&mut self, n: u64, first_timestamp: u32, delay_us: u64) -> (i64, Option<u64>) {
            let at = 1_000_000 + n * 20_000;
            self.sent.note(at);
            let timestamp = first_timestamp.wrapping_add(n as u32 * (self.clock / 50));
            let place = self.arrivals.place(7, n as u16, timestamp);
            (place, self.arrivals.delay_us(place, at + delay_us, &self.sent))
        }
    }

    #[test]
    fn packets_that_are_passed_on_one_by_one_have_their_exact_delay_whatever_their_timestamps() {
        for (clock, first) in [(8_000, u32::MAX - 500), (48_000, 12_345)] {
            let mut bench = Bench::new(clock);
            for n in 0..10 {
                assert_eq!(bench.packet(n, first, 400 + n).1, None);
            }
            let mut early = Vec::new();
            // The marker of frame 4 was heard two ticks late.
            bench.arrivals.align(4 * FRAME, 4 * FRAME + 2, &bench.sent, |us| early.push(us));
            assert_eq!(early, (400..410).collect::<Vec<_>>());
            assert_eq!(bench.packet(10, first, 777).1, Some(777));
            assert!(bench.arrivals.shift().is_some_and(|shift| shift.rest_us() < 100));
        }
    }

    #[test]
    fn a_jitter_buffer_shows_in_the_packets_and_its_rest_in_the_sound() {
        let mut bench = Bench::new(8_000);
        // Packets leave 1 ms after one came in, but bear sound that is 45 ms old: two packets and a quarter.
        for n in 0..20 {
            bench.packet(n, 0, 1_000);
        }
        bench.arrivals.align(8 * FRAME, 8 * FRAME + 45 * TICKS_MS, &bench.sent, |us| assert_eq!(us, 41_000));
        assert_eq!(bench.packet(20, 0, 1_000).1, Some(41_000));
        assert_eq!(bench.arrivals.shift().map(|shift| shift.rest_us()), Some(5_000));
    }

    #[test]
    fn a_stream_that_begins_anew_must_be_aligned_anew() {
        let mut bench = Bench::new(8_000);
        bench.packet(0, 0, 1);
        bench.packet(1, 0, 1);
        bench.arrivals.align(0, 0, &bench.sent, |_| {});
        assert_eq!(bench.packet(2, 0, 5).1, Some(5));
        let before = bench.arrivals.stream();
        assert_eq!(bench.packet(3, 3_000_000, 5).1, None, "its timestamps have jumped");
        assert_eq!(bench.arrivals.stream(), before + 1);
        assert_eq!(bench.arrivals.place(8, 1, 0), 0, "another source");
        assert_eq!(bench.arrivals.stream(), before + 2);
    }

    #[test]
    fn packets_of_another_length_count_by_the_frame_that_they_begin_in() {
        // 40 ms are sent, and come out in packets of 20 ms, both at the same time.
        let (mut sent, mut arrivals) = (SentTimes::new(40), Arrivals::new(8_000));
        let mut delays = Vec::new();
        for n in 0..30u32 {
            let at = u64::from(n) * 40_000;
            sent.note(at);
            for half in 0..2 {
                let place = arrivals.place(7, (2 * n + half) as u16, 160 * (2 * n + half));
                delays.extend(arrivals.delay_us(place, at + 300, &sent));
            }
            if n == 5 {
                arrivals.align(0, 0, &sent, |us| delays.push(us));
            }
        }
        assert_eq!(delays, vec![300; 60]);
        // 20 ms are sent, and come out in packets of 40 ms with the second of two.
        let (mut sent, mut arrivals) = (SentTimes::new(20), Arrivals::new(8_000));
        let mut delays = Vec::new();
        for n in 0..30u32 {
            sent.note(u64::from(n) * 20_000);
            if n % 2 == 1 {
                let place = arrivals.place(7, (n / 2) as u16, 160 * (n - 1));
                delays.extend(arrivals.delay_us(place, u64::from(n) * 20_000 + 300, &sent));
            }
            if n == 5 {
                arrivals.align(0, 0, &sent, |us| delays.push(us));
            }
        }
        assert_eq!(delays, vec![20_300; 15], "of the older half");
    }

    #[test]
    fn what_was_sent_too_long_ago_is_no_delay() {
        let mut bench = Bench::new(8_000);
        bench.packet(0, 0, 1);
        bench.packet(1, 0, 1);
        bench.arrivals.align(0, 10 * FRAME, &bench.sent, |_| {});
        assert_eq!(bench.packet(2, 0, 1).1, None, "before anything was sent");
        for n in 3..600 {
            bench.sent.note(1_000_000 + n * 20_000);
        }
        assert_eq!(bench.arrivals.delay_us(12 * FRAME, 20_000_000, &bench.sent), None, "forgotten");
    }
}
