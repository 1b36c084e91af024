//! Makes one key out of many event packets: updates, three ends, segments, losses (RFC 4733 2.5.2).
//!
//! ```text
//!           first packet                    end, or another key, or 200 ms of nothing
//!  no key ───────────────► held (updates) ─────────────────────────────────────────────► no key, its timestamp remembered
//!                            │        ▲
//!                            └────────┘ next segment: same key, 0xFFFF ticks on
//! ```

use std::time::{Duration, Instant};

use super::{Clocks, EventPayload, time};
use crate::plan::Digit;

/// A key whose packets cease is up: at the least three updates of 50 ms are missing (RFC 4733 2.5.2.1).
const SILENCE: Duration = Duration::from_millis(200);

/// What one packet changed; a key whose ends were lost goes up in the packet that begins the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// This key went up: reported once per key. It went down before `down`.
    pub up: Option<Digit>,
    /// This key (event code) went down.
    pub down: Option<u8>,
    /// The key that `down` names went up in the same packet: its earlier packets were lost.
    pub down_and_up: Option<Digit>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    event: u8,
    timestamp: u32,
    /// Ticks of the segments before this one.
    before: u64,
    duration: u16,
    last: Instant,
}

impl Held {
    fn digit(&self, clock_hz: u32) -> Digit {
        Digit { event: self.event, duration: time(self.before + u64::from(self.duration), clock_hz) }
    }
}

/// Receives the events of one source.
#[derive(Clone, Debug)]
pub struct DtmfReceiver {
    clocks: Clocks,
    held: Option<Held>,
    /// Timestamp of the last segment of the key before: whatever comes with it, or from before it, is a repetition.
    done: Option<u32>,
}

impl DtmfReceiver {
    /// Makes a receiver for an event clock, 8000 or 48000 Hz, which is that of the timestamps too.
    pub fn new(clock_hz: u32) -> Self {
        DtmfReceiver { clocks: Clocks::new(clock_hz, clock_hz), held: None, done: None }
    }

    /// Sets the clock of the durations and that of the stream's timestamps, Hz. Where one changes, everything is forgotten;
    /// returns the key that goes up.
    pub fn set_clocks(&mut self, event_hz: u32, stream_hz: u32) -> Option<Digit> {
        let clocks = Clocks::new(event_hz, stream_hz);
        if clocks == self.clocks {
            return None;
        }
        let up = self.reset();
        self.clocks = clocks;
        up
    }

    /// Takes a packet with its RTP timestamp.
    pub fn receive(&mut self, timestamp: u32, payload: EventPayload, now: Instant) -> KeyChange {
        let mut change = KeyChange::default();
        let old = self.is_old(timestamp);
        if let Some(held) = &mut self.held {
            if timestamp == held.timestamp && payload.event == held.event {
                held.duration = held.duration.max(payload.duration);
                held.last = now;
            } else if old {
                return change;
            } else if let Some(before) = next_segment(held, timestamp, payload.event, self.clocks) {
                *held = Held { timestamp, before, duration: payload.duration, last: now, ..*held };
            } else {
                change.up = self.finish();
            }
        } else if old {
            return change;
        }
        if self.held.is_none() {
            let Held { event, .. } = *self.held.insert(Held {
                event: payload.event,
                timestamp,
                before: 0,
                duration: payload.duration,
                last: now,
            });
            change.down = Some(event);
        }
        if payload.end {
            let up = self.finish();
            if change.down.is_some() { change.down_and_up = up } else { change.up = up }
        }
        change
    }

    /// Returns the key that goes up because its packets have ceased.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Digit> {
        if self.poll_timeout().is_some_and(|due| due <= now) { self.finish() } else { None }
    }

    /// Returns when [`DtmfReceiver::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.held.map(|held| held.last + SILENCE)
    }

    /// Returns the key that is held, and for how long.
    pub fn held(&self) -> Option<Digit> {
        self.held.map(|held| held.digit(self.clocks.event_hz))
    }

    /// Forgets everything, for another source (SSRC); returns the key that goes up.
    pub fn reset(&mut self) -> Option<Digit> {
        let up = self.finish();
        self.done = None;
        up
    }

    fn finish(&mut self) -> Option<Digit> {
        let held = self.held.take()?;
        self.done = Some(held.timestamp);
        Some(held.digit(self.clocks.event_hz))
    }

    /// A repetition or a straggler: not after the last key (or the held one), yet within ten seconds of it.
    fn is_old(&self, timestamp: u32) -> bool {
        let last = self.held.map(|h| h.timestamp).or(self.done);
        last.is_some_and(|last| last.wrapping_sub(timestamp) < self.clocks.stream_hz.saturating_mul(10))
    }
}

/// Returns the ticks before the segment that begins at `timestamp`, if it is one of the held key (RFC 4733 2.5.1.3).
///
/// The sender goes on 0xFFFF ticks later; browsers do at the packet in which that shows. A second press of the same key would
/// have to follow in that very moment, with all the ends of the first one lost.
fn next_segment(held: &Held, timestamp: u32, event: u8, clocks: Clocks) -> Option<u64> {
    let step = clocks.event_ticks(timestamp.wrapping_sub(held.timestamp));
    let full = u64::from(u16::MAX);
    let near = full - u64::from(clocks.event_hz) / 25..=full + u64::from(clocks.event_hz) / 10;
    (event == held.event && near.contains(&step)).then(|| held.before + step)
}
