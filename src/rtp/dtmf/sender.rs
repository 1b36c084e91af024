//! Sends keys as event packets, one per packet slot of the stream (RFC 4733 2.5.1).

use std::collections::VecDeque;
use std::time::Duration;

use super::{EventPayload, ticks};
use crate::plan::Digit;

/// Packets that end a key (RFC 4733 2.5.1.4).
const ENDS: u8 = 3;
/// Keys that wait; further ones are refused.
const QUEUE: usize = 32;
/// Shortest key that every detector takes (ITU-T Q.24: 40 ms).
const SHORTEST: Duration = Duration::from_millis(40);
/// Shortest pause between two keys (ITU-T Q.24: 40 ms).
const PAUSE: Duration = Duration::from_millis(40);

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

#[derive(Clone, Copy, Debug)]
struct Key {
    event: u8,
    /// Length in ticks; `None` while the key is held.
    total: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Playing {
    key: Key,
    timestamp: u32,
    /// Ticks of the segments before this one.
    before: u32,
    elapsed: u32,
    ends_left: u8,
}

/// Sends the keys of one leg.
#[derive(Clone, Debug)]
pub struct DtmfSender {
    clock_hz: u32,
    volume: u8,
    queue: VecDeque<Key>,
    playing: Option<Playing>,
    pause_left: u32,
}

impl DtmfSender {
    /// Makes a sender for an event clock, 8000 or 48000 Hz, with a level of −`volume` dBm0. It allocates nothing later.
    pub fn new(clock_hz: u32, volume: u8) -> Self {
        DtmfSender { clock_hz, volume, queue: VecDeque::with_capacity(QUEUE), playing: None, pause_left: 0 }
    }

    /// Queues a key of known length, at least 40 ms; false where it is no key or too many wait.
    pub fn send(&mut self, digit: Digit) -> bool {
        let total = ticks(digit.duration.max(SHORTEST), self.clock_hz);
        self.push(Key { event: digit.event, total: Some(total) })
    }

    /// Presses a key that is held until [`DtmfSender::release`]; one that is held goes up. False where it is no key or too
    /// many wait.
    pub fn press(&mut self, event: u8) -> bool {
        self.release(Duration::ZERO);
        self.push(Key { event, total: None })
    }

    /// Releases the held key after `duration` in all, or what has been sent of it if that is more.
    pub fn release(&mut self, duration: Duration) {
        let total = Some(ticks(duration.max(SHORTEST), self.clock_hz));
        if let Some(key) = self.queue.iter_mut().rfind(|k| k.total.is_none()) {
            key.total = total;
        } else if let Some(playing) = self.playing.as_mut().filter(|p| p.key.total.is_none()) {
            playing.key.total = total;
        }
    }

    /// Tells whether the next slots belong to a key, or to the pause after one while others wait: no audio then.
    pub fn is_active(&self) -> bool {
        self.playing.is_some() || !self.queue.is_empty()
    }

    /// Drops everything, for a leg whose stream begins anew.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.playing = None;
        self.pause_left = 0;
    }

    /// Returns what goes out in this slot, `timestamp` being that of the audio that it replaces and `slot` its length, both in
    /// ticks of the event clock.
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
            self.playing = Some(Playing { key, timestamp, before: 0, elapsed: 0, ends_left: 0 });
        }
        let volume = self.volume;
        let playing = self.playing.as_mut()?;
        let packet = playing.step(slot, volume, marker);
        if packet.payload.end && playing.ends_left == 0 {
            self.playing = None;
            self.pause_left = ticks(PAUSE, self.clock_hz);
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
    fn step(&mut self, slot: u32, volume: u8, marker: bool) -> EventPacket {
        let full = u32::from(u16::MAX);
        let Playing { key, timestamp, .. } = *self;
        let packet = |duration: u32, end: bool| EventPacket {
            timestamp,
            marker,
            payload: EventPayload { event: key.event, end, volume, duration: duration.min(full) as u16 },
        };
        if self.ends_left > 0 {
            self.ends_left -= 1;
            return packet(self.elapsed - self.before, true);
        }
        let sent = self.elapsed;
        self.elapsed = sent.saturating_add(slot);
        let total = key.total.map(|total| total.max(sent));
        let shown = self.elapsed.min(total.unwrap_or(u32::MAX));
        if shown - self.before > full {
            // The segment is full: it ends without E, the next begins where it ended (RFC 4733 2.5.1.3).
            self.before += full;
            self.timestamp = timestamp.wrapping_add(full);
            return packet(full, false);
        }
        if total == Some(shown) {
            self.elapsed = shown;
            self.ends_left = ENDS - 1;
            return packet(shown - self.before, true);
        }
        packet(shown - self.before, false)
    }
}
