//! What one end hears: counts, delays, and now and then a window of sound to be looked at.

use std::time::{Duration, Instant};

use crate::load::delay::{Arrivals, SentTimes, TICKS_MS};
use crate::load::engine::order::{Finding, Side};
use crate::load::outcome::{AudioCheck, Way};
use crate::load::voice::{LOOP_MS, WARM_MS};
use crate::plan::AudioCodec;
use crate::rtp::{ReceiverStats, RtpHeader, Verdict};

/// How long a window goes on behind the beginning of the marker: as long a delay as half a second is found.
const WINDOW_MS: u32 = 1_000;
/// Sound from which a call must have been looked at: its first marker may just have been missed.
const TO_TELL_MS: u32 = 2 * LOOP_MS + WINDOW_MS + 500;
/// Loops between two checks of a call that is aligned.
const EACH: u64 = 10;

/// A window of received packets around a marker.
#[derive(Debug)]
pub struct Window {
    /// The end that heard it.
    pub side: Side,
    /// Its stream.
    pub stream: u32,
    /// How it is coded.
    pub codec: AudioCodec,
    /// Where the marker was sent, ticks.
    pub source: i64,
    /// Pilot of whoever should be heard.
    pub pilot: usize,
    /// Place, beginning and end of each payload.
    pub packets: Vec<(i64, usize, usize)>,
    /// The payloads.
    pub bytes: Vec<u8>,
}

/// Counts from the beginning of the hold on.
#[derive(Debug, Default)]
struct Counted {
    way: Way,
    /// Losses before.
    lost_before: u64,
    /// Since when nothing has come.
    last: Option<Instant>,
}

/// Which of a source's last 64 sequence numbers came.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    highest: u16,
    /// Bit `k`: the one `k` before the highest.
    came: u64,
}

impl Recent {
    /// Notes one; true where it came before. Of those further back than 64 nothing is known.
    #[inline]
    fn note(&mut self, seq: u16) -> bool {
        let ahead = seq.wrapping_sub(self.highest);
        if self.came == 0 || (1..0x8000).contains(&ahead) {
            self.came = self.came.checked_shl(ahead.into()).unwrap_or(0) | 1;
            self.highest = seq;
            return false;
        }
        let bit = 1u64.checked_shl(ahead.wrapping_neg().into()).unwrap_or(0);
        let was = self.came & bit != 0;
        self.came |= bit;
        was
    }
}

/// One end's ear.
#[derive(Debug)]
pub struct Ear {
    side: Side,
    codec: AudioCodec,
    stats: Option<ReceiverStats>,
    recent: Recent,
    arrivals: Arrivals,
    heard_at: Option<Instant>,
    measuring: bool,
    counted: Counted,
    window: Option<Box<Window>>,
    /// A window is being looked at.
    pending: bool,
    audio: Option<AudioCheck>,
    /// In which loop the next check is.
    next_check: u64,
}

impl Ear {
    /// Makes an ear for what the peer sends; `stagger` spreads the checks of many calls.
    pub fn new(side: Side, codec: AudioCodec, measuring: bool, stagger: u64) -> Ear {
        let clock_hz = if matches!(codec, AudioCodec::Opus(_)) { 48_000 } else { 8_000 };
        Ear {
            side,
            codec,
            stats: None,
            recent: Recent::default(),
            arrivals: Arrivals::new(clock_hz),
            heard_at: None,
            measuring,
            counted: Counted::default(),
            window: None,
            pending: false,
            audio: None,
            next_check: EACH + stagger % EACH,
        }
    }

    /// When the first packet came.
    pub fn heard_at(&self) -> Option<Instant> {
        self.heard_at
    }

    /// For our report block.
    pub fn stats(&mut self) -> Option<&mut ReceiverStats> {
        self.stats.as_mut()
    }

    /// Takes a packet; `sent` is when the other end sent its frames. True for the first one.
    #[inline]
    pub fn hear(&mut self, header: &RtpHeader, payload: &[u8], now: Instant, now_us: u64, sent: &SentTimes) -> bool {
        let clock_hz = if matches!(self.codec, AudioCodec::Opus(_)) { 48_000 } else { 8_000 };
        let is_first = self.heard_at.is_none();
        if is_first {
            self.heard_at = Some(now);
        }
        if self.stats.as_ref().is_none_or(|stats| stats.ssrc() != header.ssrc) {
            self.retire();
            self.recent = Recent::default();
            self.stats = Some(ReceiverStats::new(header.ssrc, clock_hz, now));
        }
        if self.recent.note(header.seq) {
            // Told apart, and kept from the figures: in those of RFC 3550 each one makes up for a packet that is lost.
            self.counted.way.duplicated += u64::from(self.measuring);
            return is_first;
        }
        let verdict = self.stats.as_mut().map(|stats| stats.receive(header.seq, Some(header.timestamp), now));
        let place = self.arrivals.place(header.ssrc, header.seq, header.timestamp);
        if self.measuring {
            self.count(verdict, place, now, now_us, sent);
        }
        if let Some(window) = &mut self.window {
            if window.stream == self.arrivals.stream() {
                let start = window.bytes.len();
                window.bytes.extend_from_slice(payload);
                window.packets.push((place, start, window.bytes.len()));
            } else {
                self.window = None;
            }
        }
        is_first
    }

    #[inline]
    fn count(&mut self, verdict: Option<Verdict>, place: i64, now: Instant, now_us: u64, sent: &SentTimes) {
        let way = &mut self.counted.way;
        way.received += 1;
        if verdict == Some(Verdict::Late) {
            way.reordered += 1;
        }
        let two = Duration::from_micros((2 * sent.frame() * 1000 / TICKS_MS) as u64);
        if self.counted.last.replace(now).is_some_and(|last| now.saturating_duration_since(last) > two) {
            way.gaps += 1;
        }
        if let Some(delay) = self.arrivals.delay_us(place, now_us, sent) {
            way.delay.record(delay);
        }
    }

    /// Adds what the present stream has lost to the count.
    fn retire(&mut self) {
        if let Some(stats) = self.stats.take().filter(|_| self.measuring) {
            self.counted.way.lost += stats.lost().saturating_sub(self.counted.lost_before);
        }
        self.counted.lost_before = 0;
    }

    /// Begins or ends to count.
    pub fn measure(&mut self, on: bool) {
        if on && !self.measuring {
            let lost_before = self.stats.as_ref().map_or(0, ReceiverStats::lost);
            self.counted = Counted { lost_before, ..Counted::default() };
        }
        if !on && self.measuring {
            let way = &mut self.counted.way;
            if let Some(stats) = &self.stats {
                way.lost += stats.lost().saturating_sub(self.counted.lost_before);
                way.jitter_us = stats.jitter_time().as_micros() as u64;
            }
        }
        self.measuring = on;
    }

    /// Tells what came of it; `sent` is what the other end has sent meanwhile, in packets of this length.
    pub fn figures(&mut self, sent: u64, frame: Duration) -> Way {
        self.measure(false);
        let mut way = std::mem::take(&mut self.counted.way);
        way.sent = sent;
        way.sound_us = self.arrivals.shift().map(|shift| shift.rest_us());
        way.audio = self.audio;
        let spoken_ms = u128::from(sent) * frame.as_millis();
        way.too_short = self.audio.is_none() && self.heard_at.is_some() && spoken_ms < u128::from(TO_TELL_MS);
        way
    }

    /// The other end is about to send its frame `n` of a loop of `frames`: a window is opened in time before its marker, and
    /// handed out when it is full.
    #[inline]
    pub fn follow(&mut self, n: u64, frames: u64, frame: i64, pilot: usize) -> Option<Box<Window>> {
        let frame_ms = (frame / TICKS_MS).max(1) as u64;
        let (warm, full) = (u64::from(WARM_MS).div_ceil(frame_ms), u64::from(WINDOW_MS) / frame_ms);
        let at = n % frames;
        if at == frames - warm && self.wants(n / frames) {
            let marker = (n + warm) as i64 * frame;
            self.window = Some(Box::new(Window {
                side: self.side,
                stream: self.arrivals.stream(),
                codec: self.codec,
                source: marker,
                pilot,
                packets: Vec::with_capacity((u64::from(LOOP_MS) / frame_ms) as usize),
                bytes: Vec::new(),
            }));
        }
        if at == full && self.window.is_some() {
            self.pending = true;
            return self.window.take();
        }
        None
    }

    fn wants(&mut self, lap: u64) -> bool {
        if self.pending || self.stats.is_none() {
            return false;
        }
        if self.arrivals.shift().is_none() || self.audio.is_none() {
            return true;
        }
        let is_due = lap >= self.next_check;
        if is_due {
            self.next_check = lap + EACH;
        }
        is_due
    }

    /// Whether a window of it is being looked at.
    pub fn is_looked_at(&self) -> bool {
        self.pending
    }

    /// Takes what a window came to.
    pub fn take(&mut self, finding: Finding, sent: &SentTimes) {
        self.pending = false;
        if let Some(check) = finding.audio {
            // One bad window spoils the call: its figure is kept.
            if self.audio.is_none_or(|before| before.is_good) {
                self.audio = Some(check);
            }
        }
        if let Some((source, place)) = finding.marker
            && finding.stream == self.arrivals.stream()
        {
            let delay = &mut self.counted.way.delay;
            self.arrivals.align(source, place, sent, |us| delay.record(us));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_that_comes_twice_is_a_duplicate_and_one_that_is_overtaken_is_none() {
        let mut recent = Recent::default();
        let order = [65_534, 65_535, 1, 0, 0, 1, 2, 65_535, 70, 7, 7, 2];
        let twice = order.map(|seq| recent.note(seq));
        let expected = [false, false, false, false, true, true, false, true, false, false, true, false];
        assert_eq!(twice, expected, "2 is more than 64 back by then");
    }
}
