//! Who may send from where: ICE restarts, and paths that two legs lay claim to.

use std::time::Duration;

use crosspoint::id::LegId;
use crosspoint::media::Discard;
use crosspoint::plan::*;

use crate::peer::{Browser, PWD, binding, check, connected, from_home, to_home};
use crate::rig::*;

const OPUS: AudioCodec = AudioCodec::Opus(OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false });

fn credentials(ufrag: &str) -> IceCredentials {
    IceCredentials { ufrag: ufrag.into(), pwd: PWD.into() }
}

/// Checks and returns how many replies came.
fn replies(rig: &mut Rig, check: &[u8]) -> usize {
    to_home(rig);
    from_home(rig, check);
    to_home(rig).len()
}

/// Sends a packet of the browser and returns how many the trunk heard.
fn heard_of(rig: &mut Rig, browser: &mut Browser, speaker: &mut Speaker) -> usize {
    let (header, payload) = speaker.next(20);
    let sealed = browser.seal(&header, &payload);
    from_home(rig, &sealed);
    rig.heard(B).len()
}

#[test]
fn both_user_fragments_find_the_leg_until_the_new_one_nominates_and_media_goes_on() {
    let (mut rig, mut browser) = connected(plan(OPUS), plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(A, plan(OPUS), 500.0);
    rig.order(Order::RestartIce(A, credentials("fresh")));
    for name in ["gateway:browser", "fresh:browser", "gateway:browser"] {
        assert_eq!(replies(&mut rig, &binding(name, false)), 1, "{name}");
        assert_eq!(heard_of(&mut rig, &mut browser, &mut speaker), 1);
    }
    assert_eq!(replies(&mut rig, &check("fresh:browser")), 1, "the new pair is nominated");
    assert_eq!(replies(&mut rig, &check("gateway:browser")), 0, "the old name is gone");
    assert_eq!(rig.engine.counters().discards.get(Discard::UnknownUser), 1);
    assert_eq!(replies(&mut rig, &check("fresh:browser")), 1);
    assert_eq!(heard_of(&mut rig, &mut browser, &mut speaker), 1, "DTLS and SRTP go on untouched");
}

#[test]
fn a_path_that_is_held_is_not_taken_over_before_30_s_without_a_check() {
    let (mut rig, mut browser) = connected(plan(OPUS), plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(A, plan(OPUS), 500.0);
    let third = BrowserPlan { ice: credentials("third"), ssrc: 3, cname: "third".into(), remote: None };
    rig.order(Order::OpenBrowser(LegId(3), Box::new(third)));
    assert_eq!(replies(&mut rig, &check("third:other")), 0, "leg 1 holds the path");
    rig.pass(Duration::from_secs(29));
    assert_eq!(replies(&mut rig, &check("third:other")), 0);
    assert_eq!(rig.engine.counters().discards.get(Discard::UnknownUser), 2);
    assert_eq!(heard_of(&mut rig, &mut browser, &mut speaker), 1);
    rig.pass(Duration::from_secs(2));
    assert_eq!(replies(&mut rig, &check("third:other")), 1, "nobody has answered for the path for 30 s");
    assert_eq!(heard_of(&mut rig, &mut browser, &mut speaker), 0, "the path is the other leg's now");
    rig.order(Order::Close(A));
    assert_eq!(replies(&mut rig, &check("third:other")), 1, "closing the old owner takes nothing away");
}
