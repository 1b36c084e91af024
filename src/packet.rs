//! One datagram with head-room and tail-room, and the pool that a worker draws them from.
//!
//! A packet is received behind [`HEAD_ROOM`] bytes, worked on in place, and sent from the same buffer: the header of a
//! forwarded packet is written before its payload (RFC 3550 5.1), the SRTP tag behind it (RFC 3711 3.1).
//! We do not share buffers between threads, because a packet never leaves its worker.

/// Bytes before a received datagram.
pub const HEAD_ROOM: usize = 64;
/// Bytes kept free behind a received datagram, for an SRTP or SRTCP tag.
pub const TAIL_ROOM: usize = 64;
/// Size of the whole buffer.
pub const CAPACITY: usize = 2048;
/// Longest datagram that is taken.
pub const MAX_DATAGRAM: usize = CAPACITY - HEAD_ROOM - TAIL_ROOM;

/// One datagram in a buffer of [`CAPACITY`] bytes.
///
/// ```text
/// | head-room | datagram | tail-room |
/// 0         start       end       CAPACITY
/// ```
#[derive(Clone, Debug)]
pub struct PacketBuf {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Default for PacketBuf {
    fn default() -> Self {
        PacketBuf::new()
    }
}

impl PacketBuf {
    /// Makes an empty packet.
    pub fn new() -> Self {
        PacketBuf { bytes: vec![0; CAPACITY].into_boxed_slice(), start: HEAD_ROOM, end: HEAD_ROOM }
    }

    /// Empties the packet and returns the room for a datagram, one byte more than [`MAX_DATAGRAM`] so that a longer
    /// one shows.
    pub fn receive_space(&mut self) -> &mut [u8] {
        self.start = HEAD_ROOM;
        self.end = HEAD_ROOM;
        &mut self.bytes[HEAD_ROOM..=HEAD_ROOM + MAX_DATAGRAM]
    }

    /// Tells how many bytes [`PacketBuf::receive_space`] was filled with; false, and empty, when it is too long.
    pub fn received(&mut self, len: usize) -> bool {
        let fits = len <= MAX_DATAGRAM;
        self.start = HEAD_ROOM;
        self.end = HEAD_ROOM + if fits { len } else { 0 };
        fits
    }

    /// Takes a copy of a datagram; false, and empty, when it is too long.
    pub fn copy_from(&mut self, datagram: &[u8]) -> bool {
        let fits = self.received(datagram.len());
        if fits {
            self.bytes[self.start..self.end].copy_from_slice(datagram);
        }
        fits
    }

    /// Returns the datagram.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Returns the datagram, to be changed in place.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// Returns the datagram with its tail-room behind it, and the length of the datagram.
    #[inline]
    pub fn with_tail(&mut self) -> (&mut [u8], usize) {
        let len = self.end - self.start;
        (&mut self.bytes[self.start..], len)
    }

    /// Shortens or lengthens the datagram at its end, up to the capacity.
    #[inline]
    pub fn set_len(&mut self, len: usize) {
        self.end = (self.start + len).min(CAPACITY);
    }

    /// Cuts the datagram down to `payload`, a range within it, and puts `header` bytes before that: the payload stays
    /// where it is. False when the range or the head-room does not allow it.
    #[inline]
    pub fn rehead(&mut self, payload: std::ops::Range<usize>, header: usize) -> bool {
        let first = self.start + payload.start;
        let end = self.start + payload.end;
        if first > end || end > self.end || first < header {
            return false;
        }
        self.start = first - header;
        self.end = end;
        true
    }
}

/// A bounded stock of packets.
#[derive(Debug)]
pub struct Pool {
    free: Vec<PacketBuf>,
}

impl Pool {
    /// Makes a pool of `count` packets; it never grows.
    pub fn new(count: usize) -> Self {
        Pool { free: (0..count).map(|_| PacketBuf::new()).collect() }
    }

    /// Takes a packet out; `None` when all are in use.
    pub fn take(&mut self) -> Option<PacketBuf> {
        self.free.pop()
    }

    /// Puts a packet back.
    pub fn put(&mut self, packet: PacketBuf) {
        if self.free.len() < self.free.capacity() {
            self.free.push(packet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_keeps_its_place_when_its_packet_is_reheaded() {
        let mut packet = PacketBuf::new();
        assert!(packet.copy_from(&(0..40).collect::<Vec<u8>>()));
        assert!(packet.rehead(20..40, 12));
        assert_eq!(packet.bytes().len(), 32);
        assert_eq!(packet.bytes()[12..], (20..40).collect::<Vec<u8>>()[..]);
        assert!(!packet.rehead(0..400, 12));
    }

    #[test]
    fn a_datagram_that_is_too_long_is_refused() {
        let mut packet = PacketBuf::new();
        assert!(packet.copy_from(&[7; MAX_DATAGRAM]));
        assert!(!packet.copy_from(&[7; MAX_DATAGRAM + 1]));
        assert!(packet.bytes().is_empty());
        assert_eq!(packet.receive_space().len(), MAX_DATAGRAM + 1);
    }

    #[test]
    fn a_pool_gives_out_no_more_than_it_has() {
        let mut pool = Pool::new(1);
        let packet = pool.take().expect("one");
        assert!(pool.take().is_none());
        pool.put(packet);
        assert!(pool.take().is_some());
    }
}
