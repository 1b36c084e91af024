//! The life of a pair: bound, ready, used, draining.

use std::net::{IpAddr, Ipv4Addr};

use super::*;

/// A loopback address of its own for each test, so that no two share ports.
fn loopback(last: u8) -> MediaAddress {
    let bind = IpAddr::V4(Ipv4Addr::new(127, 0, 77, last));
    MediaAddress { bind, advertise: bind }
}

fn ports(last: u8, range: RangeInclusive<u16>, reserve: usize) -> (Ports, mio::Poll) {
    let ports = Ports::new(WorkerId(3), &[loopback(last)], range, reserve, Duration::from_secs(2), 10);
    (ports, mio::Poll::new().expect("epoll"))
}

#[test]
fn pairs_are_bound_before_they_are_reported_and_start_even() {
    let (mut ports, poll) = ports(1, 20_001..=20_020, 3);
    let ready = ports.refill(poll.registry(), Instant::now());
    assert_eq!(ready.len(), 3);
    for (_, address) in &ready {
        assert_eq!(address.port() % 2, 0);
        assert!(std::net::UdpSocket::bind(address).is_err());
        assert!(std::net::UdpSocket::bind((address.ip(), address.port() + 1)).is_err());
    }
    assert_eq!(ports.levels(), Levels { ready: 3, used: 0, draining: 0 });
}

#[test]
fn a_pair_drains_before_it_is_ready_under_a_new_id() {
    let (mut ports, poll) = ports(2, 20_000..=20_003, 1);
    let now = Instant::now();
    let (id, address) = ports.refill(poll.registry(), now)[0];
    assert!(ports.take(id));
    assert!(!ports.take(id), "a leg has it");
    ports.refill(poll.registry(), now);
    ports.release(id, now);
    assert!(ports.socket(id, Half::Rtp).is_none());
    assert!(ports.refill(poll.registry(), now + Duration::from_millis(1900)).is_empty());
    let sender = std::net::UdpSocket::bind("127.0.77.2:0").expect("a port");
    sender.send_to(b"late", address).expect("sent");
    let again = ports.refill(poll.registry(), now + Duration::from_secs(2));
    assert_eq!(again[0].1, address);
    assert_ne!(again[0].0, id);
    assert!(ports.take(again[0].0));
    let socket = ports.socket(again[0].0, Half::Rtp).expect("used");
    assert!(socket.recv_from(&mut [0; 16]).is_err(), "what came while it drained is gone");
}

#[test]
fn an_exhausted_range_is_counted_and_heals_when_a_pair_comes_back() {
    let (mut ports, poll) = ports(3, 20_000..=20_003, 4);
    let now = Instant::now();
    let ready = ports.refill(poll.registry(), now);
    assert_eq!(ready.len(), 2);
    assert_eq!(ports.exhausted, 1);
    assert!(ports.poll_timeout().is_some_and(|at| at > now));
    assert!(ports.take(ready[0].0));
    ports.release(ready[0].0, now);
    assert_eq!(ports.refill(poll.registry(), now + Duration::from_secs(3)).len(), 1);
}

#[test]
fn a_port_in_use_elsewhere_is_passed_over() {
    let taken = std::net::UdpSocket::bind("127.0.77.4:20001").expect("free");
    let (mut ports, poll) = ports(4, 20_000..=20_005, 1);
    let ready = ports.refill(poll.registry(), Instant::now());
    assert_eq!(ready[0].1.port(), 20_002);
    drop(taken);
}

#[test]
fn a_range_without_room_for_a_pair_gives_none() {
    for range in [20_000..=20_000, RangeInclusive::new(20_010, 20_000), 65_535..=65_535] {
        let (mut ports, poll) = ports(5, range, 1);
        assert!(ports.refill(poll.registry(), Instant::now()).is_empty());
        assert_eq!(ports.exhausted, 1);
    }
}
