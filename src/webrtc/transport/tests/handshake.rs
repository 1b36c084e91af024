//! How associations begin, are lost and are begun anew.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::*;
use super::simulation::{Browser, Simulation, Speaks, path};
use crate::webrtc::dtls::DtlsVersions;

const PAIRS: [(DtlsVersions, Speaks); 5] = [
    (DtlsVersions::V12, Speaks::V12),
    (DtlsVersions::V12, Speaks::Auto),
    (DtlsVersions::Auto, Speaks::V12),
    (DtlsVersions::Auto, Speaks::V13),
    (DtlsVersions::Auto, Speaks::Auto),
];

#[test]
fn keys_are_there_whatever_versions_meet() {
    for (ours, theirs) in PAIRS {
        let mut sim = Simulation::new(ours, theirs, DtlsRole::Client, 1150);
        sim.connect();
        assert!(sim.voice_passes(1), "{ours:?} {theirs:?}");
    }
}

#[test]
fn we_are_the_client_of_a_passive_peer() {
    for (ours, theirs) in PAIRS {
        let mut sim = Simulation::new(ours, theirs, DtlsRole::Server, 1150);
        let remote = sim.remote(sim.browser.fingerprint(), DtlsRole::Client);
        sim.transport.set_remote(&remote, sim.now);
        assert!(sim.transport.poll_output(&mut [0; 1500]).is_none(), "nothing is sent before a path is valid");
        assert!(sim.run(Duration::from_secs(5), Simulation::is_up), "{ours:?} {theirs:?}");
        assert!(sim.voice_passes(1));
    }
}

#[test]
fn loss_of_any_one_datagram_is_made_good() {
    for (ours, theirs) in PAIRS {
        for to_gateway in [false, true] {
            for nth in 0..8 {
                let mut sim = Simulation::new(ours, theirs, DtlsRole::Client, 300);
                sim.lose = Box::new(move |way, n| way == to_gateway && n == nth);
                sim.connect();
                assert!(sim.voice_passes(1), "{ours:?} {theirs:?} {to_gateway} {nth}");
            }
        }
    }
}

#[test]
fn every_flight_may_be_lost_as_a_whole_once() {
    // 60 ms are three one-way trips: windows that swallow each flight of either side.
    for (ours, theirs) in PAIRS {
        for window in 0..6 {
            let mut sim = Simulation::new(ours, theirs, DtlsRole::Client, 1150);
            let mut seen = [0usize; 2];
            sim.lose = Box::new(move |way, _| {
                let count = &mut seen[usize::from(way)];
                *count += 1;
                way == (window % 2 == 0) && (*count - 1) / 2 == window / 2
            });
            sim.connect();
            assert!(sim.voice_passes(1), "{ours:?} {theirs:?} {window}");
        }
    }
}

#[test]
fn handshake_survives_random_loss_of_a_fifth() {
    let mut slow = 0;
    for seed in 0..60 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut sim = Simulation::usual();
        sim.lose = Box::new(move |_, _| rng.random_bool(0.2));
        sim.answer();
        let up = sim.run(Duration::from_secs(29), Simulation::is_up);
        slow += usize::from(!up);
    }
    assert!(slow <= 1, "{slow} of 60 had no keys after 29 s");
}

#[test]
fn lost_last_flight_is_repeated_after_our_end() {
    let mut sim = Simulation::usual();
    sim.answer();
    assert!(sim.run(Duration::from_secs(5), |sim| sim.transport.is_connected()));
    let last = sim.sent[0] - 1;
    let mut sim = Simulation::usual();
    sim.lose = Box::new(move |way, n| !way && (last..last + 2).contains(&n));
    sim.answer();
    assert!(sim.run(Duration::from_secs(1), |sim| sim.transport.is_connected()));
    assert!(!sim.browser.connected, "our last flight was lost");
    assert!(sim.run(Duration::from_secs(20), Simulation::is_up), "it is repeated for a peer that repeats its own");
    assert!(sim.sent[0] > last + 2);
    assert!(sim.voice_passes(1));
    assert_eq!(sim.events, [Output::Connected], "connected is told once");
}

#[test]
fn client_hello_from_an_unvalidated_source_is_dropped_and_starts_nothing() {
    let mut sim = Simulation::usual();
    sim.answer();
    let mut attacker = Simulation::usual();
    let hello = attacker.browser_packets().remove(0);
    assert_eq!(sim.transport.handle_dtls(path(66), &hello, sim.now), Err(Discard::Unvalidated));
    assert!(matches!(sim.check(1), StunOutcome::Reply(_)));
    assert_eq!(sim.transport.handle_dtls(path(66), &hello, sim.now), Err(Discard::Unvalidated));
    assert!(sim.transport.poll_output(&mut [0; 1500]).is_none());
    assert!(matches!(sim.transport.association, Association::Idle));
    sim.connect();
}

#[test]
fn what_is_no_client_hello_makes_no_state() {
    let mut sim = Simulation::usual();
    sim.check(1);
    let close_notify = [21, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 1, 0, 2, 1, 0];
    for datagram in [&close_notify[..], &[22], &[22; 13], &[23; 100], &[]] {
        assert_eq!(sim.transport.handle_dtls(path(1), datagram, sim.now), Err(Discard::DtlsUnexpected));
        assert!(matches!(sim.transport.association, Association::Idle));
    }
}

#[test]
fn phone_that_rings_for_two_minutes_and_then_answers_is_connected() {
    let mut sim = Simulation::usual();
    sim.now += Duration::from_secs(120);
    assert_eq!(sim.transport.poll_timeout(), None, "no clock runs");
    let mut late = Browser::new(Speaks::V12, DtlsRole::Client, 1150, sim.now);
    std::mem::swap(&mut sim.browser, &mut late);
    sim.connect();
    assert!(sim.voice_passes(1));
}

#[test]
fn checks_for_two_minutes_before_the_first_client_hello_do_no_harm() {
    let mut sim = Simulation::usual();
    for _ in 0..120 {
        sim.now += Duration::from_secs(1);
        assert!(matches!(sim.check(1), StunOutcome::Reply(_)));
        sim.transport.handle_timeout(sim.now);
    }
    sim.browser = Browser::new(Speaks::V12, DtlsRole::Client, 1150, sim.now);
    sim.connect();
}

#[test]
fn wrong_certificate_fails_and_lets_no_media_through() {
    for (ours, theirs) in PAIRS {
        let mut sim = Simulation::new(ours, theirs, DtlsRole::Client, 1150);
        let remote = sim.remote(Fingerprint([7; 32]), DtlsRole::Server);
        sim.transport.set_remote(&remote, sim.now);
        assert!(sim.run(Duration::from_secs(20), |sim| !sim.events.is_empty()));
        sim.run(Duration::from_secs(5), |_| false);
        assert_eq!(sim.events, [Output::DtlsFailed(DtlsFailure::Fingerprint)]);
        assert!(!sim.transport.is_connected());
        let mut packet = [0x80; 60];
        assert_eq!(sim.transport.unprotect_rtp(path(1), &mut packet), Err(Discard::NoKeys));
        assert_eq!(sim.transport.protect_rtp(&mut packet, 40), Err(Discard::NoKeys));
    }
}

#[test]
fn no_media_before_the_fingerprint_is_known() {
    // The browser's DTLS is faster than its 200 OK.
    let mut sim = Simulation::usual();
    assert!(sim.run(Duration::from_secs(5), |sim| sim.browser.keys.is_some()));
    assert!(!sim.transport.is_connected());
    let mut packet = sim.browser_rtp(1);
    assert_eq!(sim.transport.unprotect_rtp(path(1), &mut packet), Err(Discard::NoKeys));
    assert_eq!(sim.events, []);
    sim.answer();
    assert!(sim.voice_passes(2));
    sim.run(Duration::from_millis(1), |_| false);
    assert_eq!(sim.events, [Output::Connected]);
}

#[test]
fn fingerprint_that_comes_late_and_is_another_one_fails() {
    let mut sim = Simulation::usual();
    assert!(sim.run(Duration::from_secs(5), |sim| sim.browser.keys.is_some()));
    let remote = sim.remote(Fingerprint([7; 32]), DtlsRole::Server);
    sim.transport.set_remote(&remote, sim.now);
    sim.run(Duration::from_millis(1), |_| false);
    assert_eq!(sim.events, [Output::DtlsFailed(DtlsFailure::Fingerprint)]);
    assert!(!sim.transport.is_connected());
}

#[test]
fn client_hello_in_fragments_is_put_together() {
    for (ours, theirs) in PAIRS {
        let mut sim = Simulation::new(ours, theirs, DtlsRole::Client, 100);
        // dimpl's hybrid ClientHello is never cut; the other two are.
        assert_eq!(sim.browser_packets().len() > 1, !matches!(theirs, Speaks::Auto), "{theirs:?}");
        let mut sim = Simulation::new(ours, theirs, DtlsRole::Client, 100);
        sim.connect();
        assert!(sim.voice_passes(1), "{ours:?} {theirs:?}");
    }
}

/// A ClientHello in Firefox's shape: an ML-KEM share makes it too large for one datagram.
fn large_client_hello() -> Vec<u8> {
    let mut share = vec![0x11, 0xec, 0x04, 0xc0];
    share.resize(4 + 1216, 0x5a);
    share.extend([0, 0x1d, 0, 32]);
    share.resize(share.len() + 32, 9);
    let mut shares = (share.len() as u16).to_be_bytes().to_vec();
    shares.extend(share);
    let extensions: [(u16, &[u8]); 7] = [
        (23, &[]),
        (10, &[0, 6, 0x11, 0xec, 0, 0x1d, 0, 0x17]),
        (11, &[1, 0]),
        (51, &shares),
        (43, &[4, 0xfe, 0xfc, 0xfe, 0xfd]),
        (13, &[0, 4, 4, 3, 8, 4]),
        (14, &[0, 6, 0, 7, 0, 8, 0, 1, 0]),
    ];
    let mut body = vec![0xfe, 0xfd];
    body.extend([0x42; 32]);
    body.extend([0, 0, 0, 6, 0x13, 1, 0xc0, 0x2b, 0xc0, 0x2c, 1, 0]);
    let mut block = Vec::new();
    for (kind, value) in extensions {
        block.extend(kind.to_be_bytes());
        block.extend((value.len() as u16).to_be_bytes());
        block.extend(value);
    }
    body.extend((block.len() as u16).to_be_bytes());
    body.extend(block);
    body
}

/// Cuts a ClientHello into datagrams of one record with `size` bytes of it each.
fn fragments(body: &[u8], size: usize) -> Vec<Vec<u8>> {
    let u24 = |n: usize| (n as u32).to_be_bytes()[1..].to_vec();
    let cut = |(nth, part): (usize, &[u8])| {
        let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, nth as u8];
        record.extend(((12 + part.len()) as u16).to_be_bytes());
        record.push(1);
        record.extend(u24(body.len()));
        record.extend([0, 0]);
        record.extend(u24(nth * size));
        record.extend(u24(part.len()));
        record.extend(part);
        record
    };
    body.chunks(size).enumerate().map(cut).collect()
}

#[test]
fn large_client_hello_of_firefox_is_answered_in_any_order_of_its_fragments() {
    let hello = large_client_hello();
    assert!(hello.len() > 1300);
    for versions in [DtlsVersions::V12, DtlsVersions::Auto] {
        for reversed in [false, true] {
            let mut sim = Simulation::new(versions, Speaks::V12, DtlsRole::Client, 1150);
            sim.check(1);
            let mut datagrams = fragments(&hello, 600);
            assert_eq!(datagrams.len(), 3);
            if reversed {
                datagrams.reverse();
            }
            let mut buf = [0; 1500];
            for datagram in &datagrams {
                assert_eq!(sim.transport.poll_output(&mut buf), None);
                assert_eq!(sim.transport.handle_dtls(path(1), datagram, sim.now), Ok(()));
            }
            let output = sim.transport.poll_output(&mut buf);
            assert!(matches!(output, Some(Output::Transmit { .. })), "{versions:?} {reversed}");
            assert_eq!(buf[..3], [22, 0xfe, 0xfd]);
            assert_eq!(buf[13], 2, "ServerHello");
        }
    }
}

#[test]
fn silent_peer_is_given_up_after_30_s() {
    let mut sim = Simulation::usual();
    sim.answer();
    sim.lose = Box::new(|to_gateway, n| to_gateway && n > 0);
    assert!(!sim.run(Duration::from_secs(20), |sim| !sim.events.is_empty()));
    assert!(sim.run(Duration::from_secs(15), |sim| !sim.events.is_empty()));
    assert_eq!(sim.events, [Output::DtlsFailed(DtlsFailure::Handshake)]);
}

#[test]
fn forged_alert_breaks_no_handshake() {
    // Anybody who can forge the browser's address can send a plain fatal alert.
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, 2, 40];
    let mut sim = Simulation::usual();
    sim.answer();
    assert!(sim.run(Duration::from_secs(1), |sim| sim.sent[0] > 0), "our flight is under way");
    assert_eq!(sim.transport.handle_dtls(path(1), &alert, sim.now), Err(Discard::DtlsUnexpected));
    let mut behind = vec![20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 98, 0, 1, 1];
    behind.extend(alert);
    assert_eq!(sim.transport.handle_dtls(path(1), &behind, sim.now), Err(Discard::DtlsUnexpected));
    sim.connect();
    assert!(sim.voice_passes(1));
}

#[test]
fn handshake_that_breaks_every_time_fails_for_good() {
    let mut sim = Simulation::usual();
    sim.answer();
    sim.check(1);
    // A ClientHello of DTLS 1.0, whole in itself.
    let mut hello = Simulation::usual().browser_packets().remove(0);
    hello[25..27].copy_from_slice(&[0xfe, 0xff]);
    for _ in 0..4 {
        sim.run(Duration::from_millis(1), |_| false);
        assert_eq!(sim.events, []);
        assert_eq!(sim.transport.handle_dtls(path(1), &hello, sim.now), Ok(()));
    }
    assert_eq!(sim.transport.handle_dtls(path(1), &hello, sim.now), Err(Discard::DtlsUnexpected));
    sim.run(Duration::from_millis(1), |_| false);
    assert_eq!(sim.events, [Output::DtlsFailed(DtlsFailure::Handshake)]);
}

#[test]
fn fingerprint_changed_in_a_re_invite_makes_a_new_association_and_keeps_the_old_keys_until_then() {
    let mut sim = Simulation::usual();
    sim.connect();
    assert!(sim.voice_passes(1));
    let reloaded = Browser::new(Speaks::V12, DtlsRole::Client, 1150, sim.now);
    let remote = sim.remote(reloaded.fingerprint(), DtlsRole::Server);
    sim.transport.set_remote(&remote, sim.now);
    assert!(sim.voice_passes(2), "the old page still talks");
    sim.browser = reloaded;
    sim.events.clear();
    assert!(sim.run(Duration::from_secs(5), |sim| sim.browser.keys.is_some() && !sim.events.is_empty()));
    assert_eq!(sim.events, [Output::Connected]);
    assert!(sim.voice_passes(1));
}

#[test]
fn unchanged_description_touches_nothing() {
    let mut sim = Simulation::usual();
    sim.connect();
    assert!(sim.voice_passes(1));
    sim.answer();
    sim.run(Duration::from_secs(3), |_| false);
    assert_eq!(sim.events, [Output::Connected]);
    assert!(sim.voice_passes(2));
}

#[test]
fn close_notify_is_no_hang_up() {
    for (ours, theirs) in PAIRS {
        let mut sim = Simulation::new(ours, theirs, DtlsRole::Client, 1150);
        sim.connect();
        sim.browser.dtls.close().unwrap();
        sim.run(Duration::from_secs(3), |_| false);
        assert_eq!(sim.events, [Output::Connected]);
        assert!(sim.voice_passes(1), "{ours:?} {theirs:?}");
    }
}

#[test]
fn handshake_is_forgotten_once_media_is_heard() {
    let mut sim = Simulation::usual();
    sim.connect();
    assert!(matches!(sim.transport.association, Association::Lingering(..)));
    assert!(sim.voice_passes(1));
    assert!(matches!(sim.transport.association, Association::Over));
}

#[test]
fn handshake_is_forgotten_after_a_minute_without_media() {
    for (ours, theirs) in PAIRS {
        let mut sim = Simulation::new(ours, theirs, DtlsRole::Client, 1150);
        sim.connect();
        sim.run(Duration::from_secs(59), |_| false);
        assert!(matches!(sim.transport.association, Association::Lingering(..)), "{ours:?} {theirs:?}");
        sim.run(Duration::from_secs(2), |_| false);
        assert!(matches!(sim.transport.association, Association::Over));
        assert!(sim.voice_passes(1));
    }
}
