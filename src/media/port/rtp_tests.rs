//! The rule against injection.

use super::*;
use crate::plan::{AudioCodec, AudioPlan, Pt};

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn remote(rtp: &str) -> RtpRemote {
    let audio = AudioPlan {
        codec: AudioCodec::Pcmu,
        send_pt: Pt(0),
        recv_pt: Pt(0),
        send_event: None,
        recv_events: [None; 2],
        recv_noise: None,
        ptime_ms: 20,
        send: true,
        recv: true,
    };
    let rtp = address(rtp);
    RtpRemote { rtp, rtcp: SocketAddr::new(rtp.ip(), rtp.port().wrapping_add(1)), audio }
}

fn port(latch: Latch, now: Instant) -> RtpPort {
    RtpPort::new(
        &RtpPlan {
            pair: PortPairId(1),
            ssrc: 1,
            latch,
            dejitter: Default::default(),
            remote: Some(remote("10.0.0.1:4000")),
        },
        now,
    )
}

#[test]
fn without_latch_only_the_signalled_source_is_believed() {
    let now = Instant::now();
    let mut port = port(Latch::Off, now);
    assert!(!port.admit(address("10.0.0.1:4002"), now));
    assert!(port.admit(address("10.0.0.1:4000"), now));
}

#[test]
fn another_port_of_the_same_address_is_learnt_once_within_two_seconds() {
    let now = Instant::now();
    let mut port = port(Latch::Port, now);
    assert!(!port.admit(address("10.0.0.2:4000"), now), "another address");
    assert!(port.admit(address("10.0.0.1:5000"), now + Duration::from_secs(2)));
    assert_eq!(port.target(), Some(address("10.0.0.1:5000")));
    assert_eq!(port.rtcp_target(), Some(address("10.0.0.1:5001")));
    assert!(!port.admit(address("10.0.0.1:6000"), now), "once");
}

#[test]
fn nothing_is_learnt_after_the_window_or_after_the_signalled_source_was_heard() {
    let now = Instant::now();
    let mut late = port(Latch::Any, now);
    assert!(!late.admit(address("10.9.9.9:1"), now + Duration::from_millis(2001)));
    let mut settled = port(Latch::Any, now);
    assert!(settled.admit(address("10.0.0.1:4000"), now));
    assert!(!settled.admit(address("10.9.9.9:1"), now));
    settled.set_remote(remote("10.0.0.1:4000"), now);
    assert!(!settled.admit(address("10.9.9.9:1"), now), "the description has not changed");
    settled.set_remote(remote("10.0.0.1:4100"), now);
    assert!(settled.admit(address("10.9.9.9:1"), now));
}

#[test]
fn a_peer_on_hold_by_0_0_0_0_is_sent_nothing() {
    let now = Instant::now();
    let mut port = port(Latch::Any, now);
    port.set_remote(remote("0.0.0.0:4000"), now);
    assert_eq!(port.target(), None);
    assert_eq!(port.rtcp_target(), None);
    assert!(!port.admit(address("10.0.0.1:4000"), now));
}

#[test]
fn the_fork_before_is_not_learnt_in_place_of_the_one_that_answers() {
    for latch in [Latch::Port, Latch::Any] {
        let now = Instant::now();
        let mut port = port(latch, now);
        // The first fork is heard from elsewhere than it said.
        assert!(port.admit(address("10.0.0.1:5000"), now));
        port.set_remote(remote("10.0.0.1:6000"), now);
        for fork in ["10.0.0.1:4000", "10.0.0.1:5000"] {
            assert!(!port.admit(address(fork), now), "{latch:?} {fork}");
        }
        assert_eq!(port.target(), Some(address("10.0.0.1:6000")));
        assert!(port.admit(address("10.0.0.1:6002"), now), "the second one may be elsewhere too");
    }
}

#[test]
fn a_peer_that_comes_back_from_hold_is_learnt_where_it_was() {
    let now = Instant::now();
    let mut port = port(Latch::Port, now);
    assert!(port.admit(address("10.0.0.1:5000"), now));
    port.set_remote(remote("0.0.0.0:4000"), now);
    assert!(port.set_remote(remote("10.0.0.1:4000"), now));
    assert!(port.admit(address("10.0.0.1:5000"), now));
}
