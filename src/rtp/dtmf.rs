//! Telephone events: keys in RTP, received and sent (RFC 4733 2).
//!
//! We do not carry events above 15 (flash, modem and line tones), because no leg of ours can mean them.

mod receiver;
mod sender;

use std::time::Duration;

use super::Discard;

pub use receiver::{DtmfReceiver, KeyChange};
pub use sender::{DtmfSender, EventPacket};

/// Highest event that is a key: `D`.
pub const LAST_KEY: u8 = 15;

/// One event payload (RFC 4733 2.3).
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |     event     |E|R| volume    |    duration in clock ticks    |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPayload {
    /// Event code: 0-9, 10 `*`, 11 `#`, 12-15 `A`-`D`; others are no keys.
    pub event: u8,
    /// The key is up.
    pub end: bool,
    /// Level below 0 dBm0, 0 to 63 dB.
    pub volume: u8,
    /// Length so far, of this segment, in ticks of the event clock.
    pub duration: u16,
}

impl EventPayload {
    /// Length on the wire, bytes.
    pub const LEN: usize = 4;

    /// Reads the first event of a payload.
    ///
    /// # Errors
    /// [`Discard::Short`] under 4 bytes, [`Discard::Event`] for an event that is no key.
    #[inline]
    pub fn parse(payload: &[u8]) -> Result<Self, Discard> {
        let [event, flags, high, low] = *payload.first_chunk::<{ Self::LEN }>().ok_or(Discard::Short)?;
        if event > LAST_KEY {
            return Err(Discard::Event);
        }
        Ok(EventPayload {
            event,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    /// Returns the four bytes of the payload.
    #[inline]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let [high, low] = self.duration.to_be_bytes();
        [self.event, u8::from(self.end) << 7 | (self.volume & 0x3f), high, low]
    }

    /// Writes the payload and returns its length: 4, or 0 where `out` is shorter.
    #[inline]
    pub fn write(self, out: &mut [u8]) -> usize {
        let Some(out) = out.first_chunk_mut::<{ Self::LEN }>() else {
            return 0;
        };
        *out = self.to_bytes();
        Self::LEN
    }
}

/// The two clocks of events: durations count in the event's, timestamps in that of the stream they share with audio.
///
/// They differ where `telephone-event/8000` is negotiated beside Opus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clocks {
    event_hz: u32,
    stream_hz: u32,
}

impl Clocks {
    /// Clocks of 1 kHz to 192 kHz; whatever lies beyond is taken for the nearest of them.
    fn new(event_hz: u32, stream_hz: u32) -> Self {
        Clocks { event_hz: event_hz.clamp(1000, 192_000), stream_hz: stream_hz.clamp(1000, 192_000) }
    }

    /// Converts ticks of the stream into ticks of the event clock.
    fn event_ticks(self, ticks: u32) -> u64 {
        u64::from(ticks) * u64::from(self.event_hz) / u64::from(self.stream_hz)
    }

    /// Converts ticks of the event clock into ticks of the stream.
    fn stream_ticks(self, ticks: u32) -> u32 {
        (u64::from(ticks) * u64::from(self.stream_hz) / u64::from(self.event_hz)) as u32
    }
}

/// Returns the character of a key: `0`-`9`, `*`, `#`, `A`-`D`.
pub fn key_char(event: u8) -> Option<char> {
    b"0123456789*#ABCD".get(usize::from(event)).map(|c| char::from(*c))
}

/// Returns the event of a character, either case.
pub fn key_event(key: char) -> Option<u8> {
    let key = key.to_ascii_uppercase();
    "0123456789*#ABCD".chars().position(|c| c == key).map(|at| at as u8)
}

/// Returns a time in ticks of a clock, as far as 32 bits go.
fn ticks(time: Duration, clock_hz: u32) -> u32 {
    u32::try_from(time.as_micros() * u128::from(clock_hz) / 1_000_000).unwrap_or(u32::MAX)
}

/// Returns the time of that many ticks of a clock.
fn time(ticks: u64, clock_hz: u32) -> Duration {
    Duration::from_micros(ticks.saturating_mul(1_000_000) / u64::from(clock_hz.max(1)))
}

#[cfg(test)]
mod tests;
