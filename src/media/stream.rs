//! The RTP stream that we send to one peer: one SSRC and one clock for audio and events, gapless sequence numbers,
//! timestamps that follow the source's time.

use std::time::{Duration, Instant};

use super::conceal::MAX_CONCEALED;

/// Length of one sample at 8 kHz.
const SAMPLE: Duration = Duration::from_micros(125);

/// Counters of an outgoing stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub ssrc: u32,
    sequence: u16,
    /// Ticks of the RTP clock per sample at 8 kHz: 1, or 6 for Opus.
    scale: u32,
    /// Timestamp right behind the last frame.
    next: u32,
    /// Source time and timestamp that belong together.
    base: Option<(i64, u32)>,
    /// When the last frame was sent, and its length in samples.
    last: Option<(Instant, u32)>,
    /// The next frame bears the marker whatever its time.
    marked: bool,
    pub packets: u32,
    pub octets: u32,
}

impl Stream {
    pub(super) fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Stream {
            ssrc,
            sequence,
            scale: 1,
            next: timestamp,
            base: None,
            last: None,
            marked: false,
            packets: 0,
            octets: 0,
        }
    }

    /// Sets the clock: 8000 or 48 000 Hz.
    pub(super) fn set_scale(&mut self, scale: u32) {
        if self.scale != scale {
            self.scale = scale;
            self.base = None;
        }
    }

    /// Forgets the source's time: the next frame follows the last one by the time that has passed, with the marker.
    pub(super) fn rebase(&mut self) {
        self.base = None;
    }

    /// Takes samples out of the time of the stream that were added to it, where nothing is sent for them.
    pub(super) fn pull_back(&mut self, samples: i64) {
        let ticks = (samples as u32).wrapping_mul(self.scale);
        self.base = self.base.map(|(from, base)| (from, base.wrapping_sub(ticks)));
    }

    /// Has the next frame bear the marker, so that the peer sees where its codec or its address has changed. Time goes on.
    pub(super) fn mark(&mut self) {
        self.marked = true;
    }

    /// Returns timestamp and marker of a frame of `len` samples at source time `at`.
    #[inline]
    pub(super) fn place(&mut self, at: i64, len: usize, now: Instant) -> (u32, bool) {
        let followed = self.base.map(|(from, base)| base.wrapping_add(((at - from) as u32).wrapping_mul(self.scale)));
        let jump = followed.map(|timestamp| i64::from(timestamp.wrapping_sub(self.next) as i32));
        let (timestamp, marker) = match (followed, jump) {
            (Some(timestamp), Some(jump)) if jump >= 0 => (timestamp, jump > MAX_CONCEALED * i64::from(self.scale)),
            // The source's clock stepped back; ours never does.
            (Some(_), _) => (self.next, true),
            (None, _) => (self.now(now), true),
        };
        if followed != Some(timestamp) {
            self.base = Some((at, timestamp));
        }
        self.next = timestamp.wrapping_add(len as u32 * self.scale);
        self.last = Some((now, len as u32));
        (timestamp, std::mem::take(&mut self.marked) | marker)
    }

    /// Returns the timestamp of a frame that begins at `now`, never before the end of the last one.
    pub(super) fn now(&self, now: Instant) -> u32 {
        let Some((sent, len)) = self.last else { return self.next };
        let idle = now.saturating_duration_since(sent).saturating_sub(SAMPLE * len);
        self.next.wrapping_add(self.ticks(idle))
    }

    /// Returns the timestamp that stands for the instant `now` in a sender report (RFC 3550 6.4.1).
    pub(super) fn report_timestamp(&self, now: Instant) -> u32 {
        let Some((sent, len)) = self.last else { return self.next };
        let begun = self.next.wrapping_sub(len * self.scale);
        begun.wrapping_add(self.ticks(now.saturating_duration_since(sent)))
    }

    /// Tells whether anything was sent since `then`.
    pub(super) fn sent_since(&self, then: Instant) -> bool {
        self.last.is_some_and(|(sent, _)| sent >= then)
    }

    /// Moves the time of the stream to behind an event whose last slot of `len` samples is sent at `now`, so that audio after
    /// it never lies before it.
    pub(super) fn pass(&mut self, timestamp: u32, len: u32, now: Instant) {
        if (timestamp.wrapping_sub(self.next) as i32) > 0 {
            self.next = timestamp;
            self.last = Some((now, len));
        }
    }

    /// Returns the clock of the timestamps, Hz.
    pub(super) fn clock_hz(&self) -> u32 {
        8000 * self.scale
    }

    /// Converts ticks of another clock into ticks of the stream's.
    pub(super) fn own_ticks(&self, ticks: u32, clock_hz: u32) -> u32 {
        (u64::from(ticks) * u64::from(8000 * self.scale) / u64::from(clock_hz.max(1))) as u32
    }

    /// Counts a packet of so many payload bytes and returns its sequence number.
    #[inline]
    pub(super) fn number(&mut self, payload: usize) -> u16 {
        let number = self.sequence;
        self.sequence = number.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload as u32);
        number
    }

    /// Leaves sequence numbers out: what was lost before us is shown to a peer that can rebuild it.
    #[inline]
    pub(super) fn skip(&mut self, packets: u16) {
        self.sequence = self.sequence.wrapping_add(packets);
    }

    fn ticks(&self, time: Duration) -> u32 {
        // 8 samples per millisecond; the wrap of the clock is meant.
        ((time.as_micros() / 125) as u32).wrapping_mul(self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn timestamps_follow_the_source_and_its_short_gaps() {
        let now = Instant::now();
        let mut stream = Stream::new(1, 0, 1000);
        assert_eq!(stream.place(50_000, 160, now), (1000, true));
        assert_eq!(stream.place(50_160, 160, now + ms(20)), (1160, false));
        assert_eq!(stream.place(50_480, 160, now + ms(60)), (1480, false));
    }

    #[test]
    fn a_jump_beyond_60_ms_carries_the_marker() {
        let now = Instant::now();
        let mut stream = Stream::new(1, 0, 0);
        stream.set_scale(6);
        stream.place(0, 160, now);
        assert_eq!(stream.place(160 + 481, 160, now), (641 * 6, true));
    }

    #[test]
    fn a_rebase_goes_on_by_the_time_that_has_passed() {
        let now = Instant::now();
        let mut stream = Stream::new(1, 0, 0);
        stream.place(0, 160, now);
        stream.rebase();
        assert_eq!(stream.place(-7_000_000, 160, now + ms(1020)), (160 + 8000, true));
        stream.rebase();
        assert_eq!(stream.place(3, 160, now + ms(1030)), (320 + 8000, true), "never before the end of the last frame");
    }

    #[test]
    fn a_mark_is_borne_once_and_moves_no_time() {
        let now = Instant::now();
        let mut stream = Stream::new(1, 0, 0);
        stream.place(0, 160, now);
        stream.mark();
        assert_eq!(stream.place(160, 160, now + ms(25)), (160, true));
        assert_eq!(stream.place(320, 160, now + ms(40)), (320, false));
    }

    #[test]
    fn a_source_that_steps_back_does_not_take_us_with_it() {
        let now = Instant::now();
        let mut stream = Stream::new(1, 0, 0);
        stream.place(0, 160, now);
        assert_eq!(stream.place(-160, 160, now), (160, true));
        assert_eq!(stream.place(0, 160, now), (320, false));
    }
}
