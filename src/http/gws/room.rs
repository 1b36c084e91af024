//! The places of one GWS: so many in all, and a quarter of them for one source address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::path::source_of;

/// Who has how many places.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Taken {
    room: Arc<Room>,
    source: IpAddr,
}

impl Room {
    pub(super) fn new(most: usize) -> Arc<Room> {
        Arc::new(Room { most, taken: Mutex::default() })
    }

    /// Takes a place for a request from `peer`; `None`: all are taken, or too many of its own.
    pub(super) fn take(self: &Arc<Room>, peer: IpAddr) -> Option<Taken> {
        let source = source_of(peer);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = taken.get(&source).copied().unwrap_or(0);
        let all: usize = taken.values().sum();
        if all >= self.most || theirs >= self.most.div_ceil(4) {
            return None;
        }
        taken.insert(source, theirs + 1);
        Some(Taken { room: self.clone(), source })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut taken = self.room.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_takes_a_quarter_of_the_places_and_gives_them_back() {
        let room = Room::new(8);
        let from = |text: &str| text.parse::<IpAddr>().expect("an address");
        let mut held = vec![room.take(from("192.0.2.1")).expect("a place"), room.take(from("192.0.2.1")).expect("one")];
        assert!(room.take(from("192.0.2.1")).is_none(), "a quarter");
        for last in 2..5 {
            held.extend((0..2).filter_map(|_| room.take(from(&format!("192.0.2.{last}")))));
        }
        assert_eq!(held.len(), 8, "the rest is for others");
        assert!(room.take(from("192.0.2.9")).is_none(), "all are taken");
        held.remove(0);
        held.push(room.take(from("192.0.2.1")).expect("given back"));
        held.clear();
        assert!(room.taken.lock().expect("not poisoned").is_empty(), "nobody is remembered");
        assert!(Room::new(1).take(from("192.0.2.1")).is_some(), "a quarter is one at least");
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let room = Room::new(4);
        let from = |text: &str| text.parse::<IpAddr>().expect("an address");
        let _held = room.take(from("2001:db8::1")).expect("a place");
        assert!(room.take(from("2001:db8::2")).is_none());
    }
}
