//! Paces the keys that a leg is sent: a slot of the [`DtmfSender`] per packet length, on the clock of the leg's stream.

use std::time::{Duration, Instant};

use super::stream::Stream;
use crate::plan::Digit;
use crate::rtp::{DtmfSender, EventPacket};

/// Level of the keys that do not come from a peer, dB below 0 dBm0.
const VOLUME: u8 = 10;

/// The keys that a leg's peer is sent.
#[derive(Debug)]
pub(super) struct Keys {
    pub sender: DtmfSender,
    /// When the next slot begins.
    next: Option<Instant>,
}

impl Keys {
    pub(super) fn new() -> Self {
        Keys { sender: DtmfSender::new(8000, VOLUME), next: None }
    }

    /// Sends a digit of known length.
    pub(super) fn enter(&mut self, digit: Digit) {
        // One digit too many of a page that strikes more than 32 at once is dropped.
        let _ = self.sender.send(digit);
    }

    /// Returns when [`Keys::poll`] is due; `None`: nothing to do.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.sender.needs_slot().then(|| self.next.unwrap_or(now))
    }

    /// Returns the packet of the slot that is due, if it has one. `interval` is the packet length, `event_hz` the clock of
    /// the negotiated event.
    pub(super) fn poll(
        &mut self,
        stream: &mut Stream,
        event_hz: u32,
        interval: Duration,
        now: Instant,
    ) -> Option<EventPacket> {
        self.due(now).filter(|due| *due <= now)?;
        // Slots that were missed are not made up for.
        self.next = self.next.map(|next| next + interval).filter(|next| *next > now).or(Some(now + interval));
        self.sender.set_clocks(event_hz, stream.clock_hz());
        let slot = u32::try_from(interval.as_micros() * u128::from(event_hz) / 1_000_000).unwrap_or(u32::MAX);
        let packet = self.sender.next(stream.now(now), slot)?;
        let length = stream.own_ticks(u32::from(packet.payload.duration), event_hz);
        stream.pass(packet.timestamp.wrapping_add(length), (interval.as_micros() / 125) as u32, now);
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PTIME: Duration = Duration::from_millis(20);

    fn digit(ms: u64) -> Digit {
        Digit { event: 5, duration: Duration::from_millis(ms) }
    }

    #[test]
    fn a_digit_goes_out_at_the_pace_of_the_packets_and_audio_follows_it() {
        let begun = Instant::now();
        let mut stream = Stream::new(1, 0, 5000);
        let mut keys = Keys::new();
        keys.enter(digit(100));
        let (mut now, mut packets) = (begun, Vec::new());
        while let Some(due) = keys.due(now) {
            assert!(due >= now);
            now = due;
            packets.extend(keys.poll(&mut stream, 8000, PTIME, now));
            assert_eq!(keys.poll(&mut stream, 8000, PTIME, now), None, "one a slot");
        }
        assert_eq!(packets.iter().map(|p| p.payload.duration).collect::<Vec<_>>(), [160, 320, 480, 640, 800, 800, 800]);
        assert!(packets.iter().all(|p| p.timestamp == 5000));
        let slots = (now.duration_since(begun).as_millis() * 8) as u32;
        assert_eq!(stream.now(now), 5000 + slots, "the stream's time goes on beside the key");
    }

    #[test]
    fn a_thread_that_slept_does_not_make_up_for_its_slots() {
        let begun = Instant::now();
        let mut stream = Stream::new(1, 0, 0);
        let mut keys = Keys::new();
        keys.enter(digit(200));
        assert!(keys.poll(&mut stream, 8000, PTIME, begun).is_some());
        let late = begun + 5 * PTIME;
        assert!(keys.poll(&mut stream, 8000, PTIME, late).is_some());
        assert_eq!(keys.due(late), Some(late + PTIME));
    }
}
