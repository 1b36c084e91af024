//! Paths, consent and media of a connected leg.

use super::super::*;
use super::simulation::{PWD, Simulation, UFRAG, path};
use crate::webrtc::stun::tests::Sample;

#[test]
fn media_from_an_unvalidated_path_is_dropped_though_authentic() {
    let mut sim = Simulation::usual();
    sim.connect();
    let packet = sim.browser_rtp(1);
    assert_eq!(sim.transport.unprotect_rtp(path(2), &mut packet.clone()), Err(Discard::Unvalidated));
    assert_eq!(sim.transport.unprotect_rtcp(path(2), &mut packet.clone()), Err(Discard::Unvalidated));
    assert!(matches!(sim.check(2), StunOutcome::Reply(_)));
    assert!(sim.transport.unprotect_rtp(path(2), &mut packet.clone()).is_ok());
}

#[test]
fn flood_of_invalid_packets_ends_no_call() {
    let mut sim = Simulation::usual();
    sim.connect();
    let good = sim.browser_rtp(1);
    for n in 0..5000u32 {
        let mut forged = good.clone();
        let at = 12 + (n as usize % (good.len() - 12));
        forged[at] ^= 1 + (n / 256) as u8;
        assert_eq!(sim.transport.unprotect_rtp(path(1), &mut forged), Err(Discard::SrtpAuth));
    }
    for len in 0..40 {
        assert!(sim.transport.unprotect_rtp(path(1), &mut vec![0x80; len]).is_err());
        assert!(sim.transport.unprotect_rtcp(path(1), &mut vec![0x80; len]).is_err());
        let _ = sim.transport.handle_dtls(path(1), &vec![22; len], sim.now);
    }
    sim.run(Duration::from_secs(2), |_| false);
    assert_eq!(sim.events, [Output::Connected]);
    assert!(sim.voice_passes(2));
}

#[test]
fn voice_goes_on_after_a_hold_of_an_hour() {
    let mut sim = Simulation::usual();
    sim.connect();
    for seq in 65_500..65_535 {
        assert!(sim.voice_passes(seq));
    }
    assert!(sim.voice_passes(65_535) && sim.voice_passes(0) && sim.voice_passes(1));
    let old = sim.browser_rtp(2);
    assert!(sim.transport.unprotect_rtp(path(1), &mut old.clone()).is_ok());
    sim.run(Duration::from_secs(3600), |_| false);
    assert!(sim.voice_passes(3));
    assert_eq!(sim.transport.unprotect_rtp(path(1), &mut old.clone()), Err(Discard::SrtpReplay));
    assert_eq!(sim.events, [Output::Connected]);
}

#[test]
fn ice_restart_leaves_dtls_and_srtp_untouched() {
    let mut sim = Simulation::usual();
    sim.connect();
    assert!(sim.voice_passes(1));
    sim.transport.restart_ice(IceCredentials { ufrag: "newer".to_owned(), pwd: PWD.to_owned() });
    let mut remote = sim.remote(sim.browser.fingerprint(), DtlsRole::Server);
    remote.ice.ufrag = "fresh".to_owned();
    sim.transport.set_remote(&remote, sim.now);
    assert_eq!(sim.transport.local_ufrags().collect::<Vec<_>>(), ["newer", UFRAG]);
    assert!(matches!(sim.check(1), StunOutcome::Reply(_)), "the old pair goes on");
    let check = Sample::new("newer", "fresh", PWD).nominating().write();
    let outcome = sim.transport.handle_stun(path(2), &check, sim.now, &mut [0; 128]);
    assert!(matches!(outcome, StunOutcome::Reply(_)));
    assert_eq!(sim.transport.selected_path(), Some(path(2)));
    assert!(sim.voice_passes(2));
    assert!(sim.transport.poll_output(&mut [0; 1500]).is_none(), "neither told nor negotiated anew");
}

#[test]
fn vanished_browser_is_told_once_after_30_s() {
    let mut sim = Simulation::usual();
    sim.connect();
    assert!(sim.transport.holds(path(1), sim.now));
    sim.now += Duration::from_secs(31);
    sim.transport.handle_timeout(sim.now);
    let mut buf = [0; 1500];
    assert_eq!(sim.transport.poll_output(&mut buf), Some(Output::ConsentLost));
    assert_eq!(sim.transport.poll_output(&mut buf), None);
    assert_eq!(sim.transport.selected_path(), None, "nothing is sent to it any longer");
    assert!(!sim.transport.holds(path(1), sim.now));
}

#[test]
fn refused_check_leaves_the_path_unvalidated() {
    let mut sim = Simulation::usual();
    let mut sample = Sample::new(UFRAG, "theirs", PWD).nominating();
    sample.attributes[0].0 = 0x8029;
    let outcome = sim.transport.handle_stun(path(1), &sample.write(), sim.now, &mut [0; 128]);
    assert!(matches!(outcome, StunOutcome::Refuse(_)));
    assert_eq!(sim.transport.selected_path(), None);
}
