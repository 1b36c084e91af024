//! A bounded tap of a leg: copies plain RTP and RTCP packets out of the media path, and never holds it up.
//!
//! ```text
//!  a record:  flags  local  time (µs)  remote port  remote address  length  packet
//!   bytes:      1      1        8           2            16           2
//! ```

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Which way a tapped packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer.
    Received,
    /// To the peer.
    Sent,
}

/// What a tapped packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// Audio or a telephone-event.
    Rtp,
    /// A report.
    Rtcp,
}

/// One packet that was tapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tapped<'a> {
    /// Which way it went.
    pub direction: Direction,
    /// What it is.
    pub kind: PacketKind,
    /// Our address: for a browser leg the place of the media address; for a trunk leg 0 is the RTP port, 1 the RTCP port.
    pub local: usize,
    /// The peer.
    pub remote: SocketAddr,
    /// Time since the tap was opened, whole µs.
    pub at: Duration,
    /// The packet, without encryption.
    pub packet: &'a [u8],
}

/// Bytes before a packet in the ring.
const PREFIX: usize = 30;
const SENT: u8 = 1;
const RTCP: u8 = 2;

/// A ring of copied packets; when it is full, further packets are missed and counted.
#[derive(Debug)]
pub struct Tap {
    ring: Box<[u8]>,
    read: usize,
    used: usize,
    opened: Instant,
    missed: u64,
}

impl Tap {
    /// Makes a tap that holds `bytes` at most, prefixes included.
    pub fn new(bytes: usize, now: Instant) -> Self {
        Tap { ring: vec![0; bytes].into_boxed_slice(), read: 0, used: 0, opened: now, missed: 0 }
    }

    /// Copies a packet in, where it fits. Of `tapped` the time is that since the tap was opened.
    pub fn offer(&mut self, tapped: &Tapped<'_>) {
        let (packet, need) = (tapped.packet, tapped.packet.len() + PREFIX);
        let Some(len) = u16::try_from(packet.len()).ok().filter(|_| need <= self.ring.len() - self.used) else {
            self.missed += 1;
            return;
        };
        let mut prefix = [0; PREFIX];
        let sent = if tapped.direction == Direction::Sent { SENT } else { 0 };
        prefix[0] = sent | if tapped.kind == PacketKind::Rtcp { RTCP } else { 0 };
        prefix[1] = tapped.local as u8;
        prefix[2..10].copy_from_slice(&(tapped.at.as_micros() as u64).to_be_bytes());
        prefix[10..12].copy_from_slice(&tapped.remote.port().to_be_bytes());
        let address = match tapped.remote.ip() {
            std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            std::net::IpAddr::V6(v6) => v6,
        };
        prefix[12..28].copy_from_slice(&address.octets());
        prefix[28..].copy_from_slice(&len.to_be_bytes());
        self.write(&prefix);
        self.write(packet);
    }

    /// Returns when it was opened.
    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// Returns how many bytes wait in it.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Tells whether nothing waits in it.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Moves all that waits to the end of `out`, to be read by [`tapped`]; returns how many packets found no room since
    /// the last time.
    pub fn drain(&mut self, out: &mut Vec<u8>) -> u64 {
        let first = self.used.min(self.ring.len() - self.read);
        out.extend_from_slice(&self.ring[self.read..self.read + first]);
        out.extend_from_slice(&self.ring[..self.used - first]);
        self.read = 0;
        self.used = 0;
        std::mem::take(&mut self.missed)
    }

    fn write(&mut self, bytes: &[u8]) {
        let at = (self.read + self.used) % self.ring.len();
        let first = bytes.len().min(self.ring.len() - at);
        self.ring[at..at + first].copy_from_slice(&bytes[..first]);
        self.ring[..bytes.len() - first].copy_from_slice(&bytes[first..]);
        self.used += bytes.len();
    }
}

/// Reads what [`Tap::drain`] gave.
pub fn tapped(mut bytes: &[u8]) -> impl Iterator<Item = Tapped<'_>> {
    std::iter::from_fn(move || {
        let (prefix, rest) = bytes.split_first_chunk::<PREFIX>()?;
        let len = usize::from(u16::from_be_bytes([prefix[28], prefix[29]]));
        let (packet, rest) = rest.split_at_checked(len)?;
        bytes = rest;
        let address = Ipv6Addr::from(*prefix[12..].first_chunk::<16>()?);
        let address = address.to_ipv4_mapped().map_or(address.into(), Ipv4Addr::into);
        Some(Tapped {
            direction: if prefix[0] & SENT == 0 { Direction::Received } else { Direction::Sent },
            kind: if prefix[0] & RTCP == 0 { PacketKind::Rtp } else { PacketKind::Rtcp },
            local: usize::from(prefix[1]),
            remote: SocketAddr::new(address, u16::from_be_bytes([prefix[10], prefix[11]])),
            at: Duration::from_micros(u64::from_be_bytes(*prefix[2..].first_chunk::<8>()?)),
            packet,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet<'a>(direction: Direction, kind: PacketKind, remote: &str, packet: &'a [u8]) -> Tapped<'a> {
        let remote = remote.parse().expect("an address");
        Tapped { direction, kind, local: 1, remote, at: Duration::from_micros(1_234_567), packet }
    }

    #[test]
    fn packets_come_out_as_they_went_in_around_the_end_of_the_ring() {
        let mut tap = Tap::new(100, Instant::now());
        for k in 0..20u8 {
            let one = [k; 7];
            let other = [k; 9];
            let in_ = [
                packet(Direction::Received, PacketKind::Rtp, "192.0.2.1:4000", &one),
                packet(Direction::Sent, PacketKind::Rtcp, "[2001:db8::7]:65535", &other),
            ];
            in_.iter().for_each(|packet| tap.offer(packet));
            let mut out = Vec::new();
            // What a reader leaves is where the next one begins.
            tap.read = usize::from(k) * 5 % 100;
            tap.used = 0;
            in_.iter().for_each(|packet| tap.offer(packet));
            assert_eq!(tap.drain(&mut out), 0);
            assert_eq!(tapped(&out).collect::<Vec<_>>(), in_);
        }
        assert!(tap.is_empty());
    }

    #[test]
    fn a_full_tap_misses_packets_and_counts_them_once() {
        for (size, missed) in [(0, 4), (20, 4), (90, 3)] {
            let mut tap = Tap::new(size, Instant::now());
            for _ in 0..4 {
                tap.offer(&packet(Direction::Received, PacketKind::Rtp, "192.0.2.1:4000", &[1; 20]));
            }
            let mut out = Vec::new();
            assert_eq!(tap.drain(&mut out), missed);
            assert_eq!(tap.drain(&mut out), 0);
            assert_eq!(tapped(&out).count(), 4 - missed as usize);
        }
    }
}
