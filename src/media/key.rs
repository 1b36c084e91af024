//! Keys pressed, heard and sent as telephone-events (RFC 4733), each with its own clock.
//!
//! A key that is heard is carried over as a *key*, not packet by packet: what is sent has its own clock, updates,
//! segments and three end packets, whatever was lost on the way in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::stream::Stream;
use crate::plan::Digit;
use crate::rtp::EventPayload as Payload;

/// Longest silence of a held key before it counts as released (all its end packets lost).
const LOST_END: Duration = Duration::from_millis(250);
/// Keys that may wait to be sent.
const MAX_WAITING: usize = 32;
/// How far a carried key may be ahead of its time: what was lost of its beginning.
const MAX_AHEAD: Duration = Duration::from_secs(5);
/// End packets (RFC 4733 2.5.1.4).
const ENDS: u8 = 3;
/// Longest duration of one segment, in ticks (RFC 4733 2.5.1.3).
const SEGMENT: u32 = 0xFFFF;

/// What an event packet says about its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Pressed {
        event: u8,
        volume: u8,
    },
    Held,
    Released(Digit),
    /// Pressed and released by the same packet.
    Struck {
        volume: u8,
        digit: Digit,
    },
}

/// The key that a peer holds.
#[derive(Debug, Default)]
pub(super) struct Heard {
    held: Option<Held>,
    /// Timestamp of the last segment of the key that was released last.
    over: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    event: u8,
    /// Timestamp of the present segment.
    segment: u32,
    /// Ticks of the segments before it.
    before: u32,
    /// Ticks of the present segment.
    ticks: u32,
    clock_hz: u32,
    heard: Instant,
}

impl Held {
    fn digit(&self) -> Digit {
        let ticks = u64::from(self.before) + u64::from(self.ticks);
        let micros = ticks * 1_000_000 / u64::from(self.clock_hz.max(1));
        Digit { event: self.event, duration: Duration::from_micros(micros) }
    }
}

impl Heard {
    /// Works on an event packet. The first change is the one that this packet shows; the second one is the release of
    /// an earlier key whose ends were lost, and comes before it.
    pub(super) fn hear(
        &mut self,
        payload: Payload,
        timestamp: u32,
        clock_hz: u32,
        now: Instant,
    ) -> (Option<Change>, Option<Digit>) {
        if payload.event > 15 || self.over == Some(timestamp) {
            return (None, None);
        }
        let ticks = u32::from(payload.duration);
        if let Some(held) = &mut self.held
            && held.event == payload.event
        {
            let past = timestamp.wrapping_sub(held.segment);
            // A segment begins where the one before it ended; a new key leaves a pause.
            let follows = past != 0 && past <= SEGMENT * 6 && held.ticks >= SEGMENT - SEGMENT / 4;
            if past == 0 || follows {
                if follows {
                    held.before = held.before.saturating_add(past);
                    held.segment = timestamp;
                    held.ticks = 0;
                }
                held.ticks = held.ticks.max(ticks);
                held.heard = now;
                if !payload.end {
                    return (Some(Change::Held), None);
                }
                let digit = held.digit();
                self.end();
                return (Some(Change::Released(digit)), None);
            }
            if past > u32::MAX / 2 {
                return (None, None);
            }
        }
        let lost = self.held.map(|h| h.digit());
        let held = Held { event: payload.event, segment: timestamp, before: 0, ticks, clock_hz, heard: now };
        self.held = Some(held);
        let change = if payload.end {
            self.end();
            Change::Struck { volume: payload.volume, digit: held.digit() }
        } else {
            Change::Pressed { event: payload.event, volume: payload.volume }
        };
        (Some(change), lost)
    }

    /// Returns when a held key counts as released.
    pub(super) fn due(&self) -> Option<Instant> {
        self.held.map(|h| h.heard + LOST_END)
    }

    /// Releases a key that has not been heard of for too long.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Digit> {
        let held = self.held.filter(|h| h.heard + LOST_END <= now)?;
        self.end();
        Some(held.digit())
    }

    /// Forgets what was heard: the source began anew.
    pub(super) fn restart(&mut self) -> Option<Digit> {
        self.over = None;
        self.held.take().map(|h| h.digit())
    }

    fn end(&mut self) {
        self.over = self.held.take().map(|h| h.segment);
    }
}

/// A key that waits to be sent; without a length it is still held.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    event: u8,
    volume: u8,
    length: Option<Duration>,
    /// Carried over from a peer, whose finger has already measured the time.
    carried: bool,
}

#[derive(Clone, Copy, Debug)]
struct Playing {
    key: Waiting,
    begun: Instant,
    /// Timestamp of the present segment.
    segment: u32,
    /// Ticks of the segments before it.
    before: u32,
    /// Ticks told so far.
    told: u32,
    marker: bool,
    ends: u8,
    next: Instant,
}

/// An event packet to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventPacket {
    pub timestamp: u32,
    pub marker: bool,
    pub payload: Payload,
}

/// The keys that are sent to a peer, one after the other.
#[derive(Debug, Default)]
pub(super) struct Sent {
    waiting: VecDeque<Waiting>,
    playing: Option<Playing>,
}

impl Sent {
    pub(super) fn new() -> Self {
        Sent { waiting: VecDeque::with_capacity(MAX_WAITING), playing: None }
    }

    /// A key was pressed at the other leg.
    pub(super) fn press(&mut self, event: u8, volume: u8) {
        self.enter(Waiting { event, volume, length: None, carried: true });
    }

    /// The key pressed last was released.
    pub(super) fn release(&mut self, length: Duration, now: Instant) {
        if let Some(key) = self.waiting.iter_mut().rev().find(|k| k.length.is_none()) {
            key.length = Some(length);
        } else if let Some(playing) = self.playing.as_mut().filter(|p| p.key.length.is_none()) {
            playing.key.length = Some(length);
            playing.next = now;
        }
    }

    /// Sends a digit of known length.
    pub(super) fn enter_digit(&mut self, digit: Digit) {
        let length = digit.duration.clamp(Duration::from_millis(40), Duration::from_secs(10));
        self.enter(Waiting { event: digit.event, volume: 10, length: Some(length), carried: false });
    }

    fn enter(&mut self, key: Waiting) {
        if key.event <= 15 && self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(key);
        }
    }

    /// Releases whatever is held: the other leg is gone.
    pub(super) fn release_all(&mut self, now: Instant) {
        let held = self.playing.as_ref().map_or(Duration::ZERO, |p| now.saturating_duration_since(p.begun));
        self.release(held, now);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.playing = None;
    }

    /// Tells whether a key is down or about to be: audio keeps silent then, lest the digit be heard twice.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        !self.waiting.is_empty() || self.playing.as_ref().is_some_and(|p| p.ends == 0)
    }

    /// Returns when [`Sent::poll`] has something to send; `None`: nothing to do.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        match &self.playing {
            Some(playing) => Some(playing.next),
            None => (!self.waiting.is_empty()).then_some(now),
        }
    }

    /// Returns the next event packet that is due. `interval` is the packet length, `clock_hz` 8000 or a multiple.
    pub(super) fn poll(
        &mut self,
        stream: &mut Stream,
        clock_hz: u32,
        interval: Duration,
        now: Instant,
    ) -> Option<EventPacket> {
        let playing = match &mut self.playing {
            Some(playing) => playing,
            None => {
                let key = self.waiting.pop_front()?;
                let segment = stream.now(now);
                self.playing.insert(Playing {
                    key,
                    begun: now,
                    segment,
                    before: 0,
                    told: 0,
                    marker: true,
                    ends: 0,
                    next: now,
                })
            }
        };
        if now < playing.next {
            return None;
        }
        playing.next += interval;
        if playing.next <= now {
            playing.next = now + interval;
        }
        let elapsed = now.saturating_duration_since(playing.begun);
        let over = playing.key.length.is_some_and(|length| playing.key.carried || elapsed >= length);
        // What a peer claims beyond the time that has passed would come out as a burst of segments.
        let length = playing.key.length.filter(|_| over).unwrap_or(elapsed).min(elapsed + MAX_AHEAD);
        let total = ticks(length, clock_hz).max(playing.told).max(ticks(interval, clock_hz));
        let part = total - playing.before;
        let payload = |end, duration: u32| Payload {
            event: playing.key.event,
            end,
            volume: playing.key.volume & 63,
            duration: duration.min(SEGMENT) as u16,
        };
        let packet = if part > SEGMENT {
            let packet =
                EventPacket { timestamp: playing.segment, marker: playing.marker, payload: payload(false, SEGMENT) };
            playing.segment = playing.segment.wrapping_add(stream.own_ticks(SEGMENT, clock_hz));
            playing.before += SEGMENT;
            playing.told = playing.before;
            // What is left of the key belongs to the next segment, which begins at once.
            playing.next = now;
            packet
        } else {
            playing.told = total;
            EventPacket { timestamp: playing.segment, marker: playing.marker, payload: payload(over, part) }
        };
        playing.marker = false;
        // One SSRC has one clock: timestamps are in the stream's, durations in the event's.
        let length = stream.own_ticks(u32::from(packet.payload.duration), clock_hz);
        stream.pass(packet.timestamp.wrapping_add(length), now);
        if packet.payload.end {
            playing.ends += 1;
            if playing.ends == ENDS {
                self.playing = None;
            }
        }
        Some(packet)
    }
}

fn ticks(time: Duration, clock_hz: u32) -> u32 {
    u32::try_from(time.as_micros() * u128::from(clock_hz) / 1_000_000).unwrap_or(u32::MAX / 2)
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
