//! Ranges of media ports for gateways that tests start side by side, below the ports that the system gives out.

use std::net::{Ipv4Addr, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

/// Where a test program's ranges lie, how long each is, and which was given out last.
pub struct Ranges {
    first: u16,
    length: u16,
    count: u16,
    given: AtomicU16,
}

impl Ranges {
    pub const fn new(ports: Range<u16>, length: u16) -> Ranges {
        Ranges { first: ports.start, length, count: (ports.end - ports.start) / length, given: AtomicU16::new(0) }
    }

    /// The first and last port of a range that no other gateway of this process has had lately, hardly one of another
    /// process, and whose first ports nobody held a moment ago.
    pub fn next(&self) -> (u16, u16) {
        let start = u16::try_from(std::process::id() % u32::from(self.count)).expect("small");
        (0..self.count)
            .map(|_| self.first + (start + self.given.fetch_add(1, Ordering::Relaxed)) % self.count * self.length)
            .find(|&first| (first..first + 8).all(|port| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()))
            .map(|first| (first, first + self.length - 1))
            .expect("a free range")
    }
}
