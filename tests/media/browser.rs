//! A browser leg from its first check to audio.

use std::time::Duration;

use crosspoint::media::Discard;
use crosspoint::plan::*;
use crosspoint::rtp::RtpView;

use crate::peer::{check, connected, from_home, rig, to_home};
use crate::rig::*;

const OPUS: AudioCodec = AudioCodec::Opus(OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false });

#[test]
fn tones_cross_between_srtp_opus_and_plain_g711_both_ways() {
    let (mut rig, mut browser) = connected(plan(OPUS), plan(AudioCodec::Pcma));
    assert_eq!(rig.reports(), [Report::Connected(A)]);
    let mut from_browser = Speaker::new(A, plan(OPUS), 500.0);
    let mut from_trunk = Speaker::new(B, plan(AudioCodec::Pcma), 1500.0);
    let mut at_browser = Vec::new();
    for _ in 0..50 {
        let (header, payload) = from_browser.next(20);
        let sealed = browser.seal(&header, &payload);
        from_home(&mut rig, &sealed);
        from_trunk.speak(&mut rig, 20);
        for packet in to_home(&mut rig).into_iter().filter(|p| (128..192).contains(&p[0]) && p[1] & 0x7F == 111) {
            let plain = browser.open(packet);
            let view = RtpView::parse(&plain).expect("RTP");
            at_browser.push(Heard { header: view.header(), payload: view.payload().to_vec() });
        }
    }
    assert_eq!(at_browser.len(), 50);
    let at_trunk = rig.heard(B);
    assert_sine(&decode(AudioCodec::Pcma, &at_trunk)[1600..], 500.0);
    assert_sine(&decode(OPUS, &at_browser)[1600..], 1500.0);
}

#[test]
fn dtls_and_media_from_an_unknown_path_are_dropped() {
    let (mut rig, _browser) = rig(plan(OPUS), plan(AudioCodec::Pcmu));
    from_home(&mut rig, &[22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    from_home(&mut rig, &[0x80; 40]);
    assert!(to_home(&mut rig).is_empty());
    assert_eq!(rig.engine.counters().discards.get(Discard::UnknownPath), 2);
    from_home(&mut rig, &check("nobody:browser"));
    assert!(to_home(&mut rig).is_empty());
    assert_eq!(rig.engine.counters().discards.get(Discard::UnknownUser), 1);
}

#[test]
fn a_flood_of_forged_packets_ends_nothing() {
    let (mut rig, mut browser) = connected(plan(OPUS), plan(AudioCodec::Pcmu));
    for n in 0..1000u16 {
        let mut forged = vec![0x80, 111];
        forged.extend(n.to_be_bytes());
        forged.extend([0; 60]);
        from_home(&mut rig, &forged);
    }
    assert!(rig.heard(B).is_empty());
    let (header, payload) = Speaker::new(A, plan(OPUS), 500.0).next(20);
    let sealed = browser.seal(&header, &payload);
    from_home(&mut rig, &sealed);
    assert_eq!(rig.heard(B).len(), 1);
    assert_eq!(rig.engine.stats(A).expect("open").discarded, 1000);
}

#[test]
fn a_browser_that_vanishes_is_reported_once() {
    let (mut rig, _browser) = connected(plan(OPUS), plan(AudioCodec::Pcmu));
    rig.reports();
    rig.pass(Duration::from_secs(29));
    assert!(rig.reports().is_empty());
    rig.pass(Duration::from_secs(60));
    assert_eq!(rig.reports(), [Report::ConsentLost(A)]);
}
