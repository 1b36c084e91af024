//! Sends keys as event packets, one per packet slot of the stream (RFC 4733 2.5.1).
//!
//! A key of known length is played slot by slot. A key that a peer holds is *carried*: its packets show the length that the
//! peer has shown so far, so that it is as long behind us as before us, whatever was lost or late on its way.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Clocks, EventPayload, ticks};
use crate::plan::Digit;

/// Packets that end a key (RFC 4733 2.5.1.4).
const ENDS: u8 = 3;
/// Keys that wait; further ones are refused.
const QUEUE: usize = 32;
/// Shortest key that every detector takes (ITU-T Q.24: 40 ms).
const SHORTEST: Duration = Duration::from_millis(40);
/// Longest key of known length: audio is silent beside it.
const LONGEST: Duration = Duration::from_secs(10);
/// Shortest pause between two keys (ITU-T Q.24: 40 ms).
const PAUSE: Duration = Duration::from_millis(40);
/// How far a carried key may be ahead of its time, for what was lost of its beginning.
const AHEAD: Duration = Duration::from_secs(5);

/// What goes out in a packet slot in the place of audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket {
    /// RTP timestamp: the beginning of the segment.
    pub timestamp: u32,
    /// First packet of a key.
    pub marker: bool,
    /// The payload.
    pub payload: EventPayload,
}

/// Who measures the length of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    /// We do, slot by slot.
    Ours,
    /// The peer that holds it: the length grows.
    Held,
    /// The peer that held it: the length is final.
    Released,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    event: u8,
    volume: u8,
    measure: Measure,
    length: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Playing {
    key: Key,
    timestamp: u32,
    /// Ticks of the segments before this one.
    before: u32,
    /// Ticks shown so far.
    shown: u32,
    /// Ticks of the slots so far.
    passed: u32,
    ends_left: u8,
}

/// Sends the keys of one leg.
#[derive(Clone, Debug)]
pub struct DtmfSender {
    clocks: Clocks,
    volume: u8,
    queue: VecDeque<Key>,
    playing: Option<Playing>,
    pause_left: u32,
}

impl DtmfSender {
    /// Makes a sender for an event clock, 8000 or 48000 Hz, which is that of the timestamps too, with a level of −`volume`
    /// dBm0. It allocates nothing later.
    pub fn new(clock_hz: u32, volume: u8) -> Self {
        DtmfSender {
            clocks: Clocks::new(clock_hz, clock_hz),
            volume,
            queue: VecDeque::with_capacity(QUEUE),
            playing: None,
            pause_left: 0,
        }
    }

    /// Sets the clock of the durations and that of the stream's timestamps, Hz; where one changes, the key that is being
    /// played is dropped, since its packets could not be told to be of one key.
    pub fn set_clocks(&mut self, event_hz: u32, stream_hz: u32) {
        let clocks = Clocks::new(event_hz, stream_hz);
        if clocks != self.clocks {
            self.clocks = clocks;
            self.playing = None;
            self.pause_left = 0;
        }
    }

    /// Queues a key of known length, 40 ms to 10 s; false where it is no key or too many wait.
    pub fn send(&mut self, digit: Digit) -> bool {
        let length = digit.duration.clamp(SHORTEST, LONGEST);
        self.push(Key { event: digit.event, volume: self.volume, measure: Measure::Ours, length })
    }

    /// Presses a key that a peer holds until [`DtmfSender::release`]; one that is held goes up. False where it is no key or
    /// too many wait.
    pub fn press(&mut self, event: u8, volume: u8) -> bool {
        self.release(Duration::ZERO);
        self.push(Key { event, volume, measure: Measure::Held, length: Duration::ZERO })
    }

    /// The key is held, and has been for `duration` in all.
    pub fn hold(&mut self, duration: Duration) {
        if let Some(key) = self.held() {
            key.length = key.length.max(duration);
        }
    }

    /// Releases the held key after `duration` in all, or what has been told of it if that is more; at least 40 ms.
    pub fn release(&mut self, duration: Duration) {
        if let Some(key) = self.held() {
            key.length = key.length.max(duration).max(SHORTEST);
            key.measure = Measure::Released;
        }
    }

    fn held(&mut self) -> Option<&mut Key> {
        let playing = self.playing.as_mut().map(|playing| &mut playing.key);
        self.queue.iter_mut().rev().chain(playing).find(|key| key.measure == Measure::Held)
    }

    /// Tells whether the next slots belong to a key, or to the pause after one while others wait: no audio then.
    pub fn is_active(&self) -> bool {
        self.playing.is_some() || !self.queue.is_empty()
    }

    /// Tells whether a key is down or waits: audio is silent then, lest the key be heard twice. The repeated ends do not
    /// count: they may go out beside audio.
    #[inline]
    pub fn is_down(&self) -> bool {
        !self.queue.is_empty() || self.playing.as_ref().is_some_and(|playing| playing.ends_left == 0)
    }

    /// Tells whether [`DtmfSender::next`] is to be called for the next slot; the pause after a key counts.
    pub fn needs_slot(&self) -> bool {
        self.is_active() || self.pause_left > 0
    }

    /// Drops everything, for a leg whose stream begins anew.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.playing = None;
        self.pause_left = 0;
    }

    /// Returns what goes out in this slot: `timestamp` is that of the audio that it replaces, in ticks of the stream, and
    /// `slot` its length, in ticks of the event clock.
    ///
    /// `None` while [`DtmfSender::is_active`] is the pause between two keys: nothing, or silence, is to be sent.
    #[inline]
    pub fn next(&mut self, timestamp: u32, slot: u32) -> Option<EventPacket> {
        let mut marker = false;
        if self.playing.is_none() {
            if self.pause_left > 0 {
                self.pause_left = self.pause_left.saturating_sub(slot);
                return None;
            }
            let key = self.queue.pop_front()?;
            marker = true;
            self.playing = Some(Playing { key, timestamp, before: 0, shown: 0, passed: 0, ends_left: 0 });
        }
        let clocks = self.clocks;
        let playing = self.playing.as_mut()?;
        let packet = playing.step(slot, clocks, marker);
        if packet.payload.end && playing.ends_left == 0 {
            self.playing = None;
            self.pause_left = ticks(PAUSE, self.clocks.event_hz);
        }
        Some(packet)
    }

    fn push(&mut self, key: Key) -> bool {
        let fits = key.event <= super::LAST_KEY && self.queue.len() < QUEUE;
        if fits {
            self.queue.push_back(key);
        }
        fits
    }
}

impl Playing {
    fn step(&mut self, slot: u32, clocks: Clocks, marker: bool) -> EventPacket {
        let full = u32::from(u16::MAX);
        let Playing { key, timestamp, .. } = *self;
        let packet = |duration: u32, end: bool| EventPacket {
            timestamp,
            marker,
            payload: EventPayload {
                event: key.event,
                end,
                volume: key.volume & 63,
                duration: duration.min(full) as u16,
            },
        };
        if self.ends_left > 0 {
            self.ends_left -= 1;
            return packet(self.shown - self.before, true);
        }
        self.passed = self.passed.saturating_add(slot);
        let length = ticks(key.length, clocks.event_hz);
        let over = match key.measure {
            Measure::Ours => {
                self.shown = self.shown.max(self.passed.min(length));
                self.passed >= length
            }
            carried => {
                // What a peer claims far beyond the time that has passed is believed only as time passes.
                let limit = self.passed.saturating_add(ticks(AHEAD, clocks.event_hz));
                self.shown = self.shown.max(slot).max(length.min(limit));
                carried == Measure::Released
            }
        };
        if self.shown - self.before > full {
            // The segment is full: it ends without E, the next begins where it ended (RFC 4733 2.5.1.3).
            self.before += full;
            self.timestamp = timestamp.wrapping_add(clocks.stream_ticks(full));
            return packet(full, false);
        }
        if over {
            self.ends_left = ENDS - 1;
        }
        packet(self.shown - self.before, over)
    }
}
