//! A bounded tap of a leg: copies plain RTP packets out of the media path, and never holds it up.

/// Which way a tapped packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer.
    Received,
    /// To the peer.
    Sent,
}

/// Bytes before a packet in the ring: direction and length.
const PREFIX: usize = 3;

/// A ring of copied packets; when it is full, further packets are missed and counted.
#[derive(Debug)]
pub struct Tap {
    ring: Box<[u8]>,
    read: usize,
    used: usize,
    /// Packets that found no room.
    pub missed: u64,
}

impl Tap {
    /// Makes a tap that holds `bytes` at most.
    pub fn new(bytes: usize) -> Self {
        Tap { ring: vec![0; bytes].into_boxed_slice(), read: 0, used: 0, missed: 0 }
    }

    /// Copies a packet in, where it fits.
    #[inline]
    pub fn offer(&mut self, direction: Direction, packet: &[u8]) {
        let (Ok(len), need) = (u16::try_from(packet.len()), packet.len() + PREFIX) else {
            self.missed += 1;
            return;
        };
        if need > self.ring.len() - self.used {
            self.missed += 1;
            return;
        }
        let [high, low] = len.to_be_bytes();
        self.write(&[direction as u8, high, low]);
        self.write(packet);
    }

    /// Takes the oldest packet out into `packet` and returns its way and length; a longer packet is cut.
    pub fn take(&mut self, packet: &mut [u8]) -> Option<(Direction, usize)> {
        if self.used == 0 {
            return None;
        }
        let direction = if self.byte() == Direction::Received as u8 { Direction::Received } else { Direction::Sent };
        let len = usize::from(u16::from_be_bytes([self.byte(), self.byte()]));
        let mut copied = 0;
        for _ in 0..len {
            let byte = self.byte();
            if let Some(place) = packet.get_mut(copied) {
                *place = byte;
                copied += 1;
            }
        }
        Some((direction, copied))
    }

    fn write(&mut self, bytes: &[u8]) {
        let at = (self.read + self.used) % self.ring.len();
        let first = bytes.len().min(self.ring.len() - at);
        self.ring[at..at + first].copy_from_slice(&bytes[..first]);
        self.ring[..bytes.len() - first].copy_from_slice(&bytes[first..]);
        self.used += bytes.len();
    }

    fn byte(&mut self) -> u8 {
        let byte = self.ring[self.read];
        self.read = (self.read + 1) % self.ring.len();
        self.used -= 1;
        byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_as_they_went_in_around_the_end_of_the_ring() {
        let mut tap = Tap::new(50);
        let mut out = [0; 32];
        for k in 0..20u8 {
            tap.offer(Direction::Received, &[k; 7]);
            tap.offer(Direction::Sent, &[k; 9]);
            assert_eq!(tap.take(&mut out), Some((Direction::Received, 7)));
            assert_eq!(out[..7], [k; 7]);
            assert_eq!(tap.take(&mut out), Some((Direction::Sent, 9)));
        }
        assert_eq!(tap.take(&mut out), None);
        assert_eq!(tap.missed, 0);
    }

    #[test]
    fn a_full_tap_misses_packets_and_counts_them() {
        for size in [0, 5, 30] {
            let mut tap = Tap::new(size);
            for _ in 0..4 {
                tap.offer(Direction::Received, &[1; 20]);
            }
            assert_eq!(tap.missed, if size == 30 { 3 } else { 4 });
        }
    }
}
