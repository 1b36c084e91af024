//! What each leg agrees on for itself: provisionals that are acknowledged, session timers.

use std::time::Duration;

use bytes::Bytes;
use crosspoint::gateway::{GatewayConfig, TrunkPolicy};
use crosspoint::sip::endpoint::{Reliable, SessionTimer};
use crosspoint::sip::message::{Message, Method, Name};

use crate::peers::{Dialog, Ua, last_status, request, signed_in};
use crate::rig::{Rig, config};
use crate::sdp;

const TIMER: SessionTimer = SessionTimer { interval_s: 1800, min_se_s: 90, refresher: None };

/// A trunk that is asked for both.
fn demanding() -> GatewayConfig {
    let mut config = config();
    let policy = TrunkPolicy { ping: Duration::ZERO, ..TrunkPolicy::default() };
    config.trunks[0].policy = TrunkPolicy { session: Some(TIMER), provisionals: Reliable::Supported, ..policy };
    config
}

/// 5001 dials 1003.
fn dialling(rig: &mut Rig) -> (Ua, Dialog, Message) {
    let mut browser = signed_in(rig, "5001");
    let call = browser.call(rig, "1003", Some(&sdp::chromium_offer()), &[]);
    let invite = request(&rig.take(Ua::trunk().path), Method::Invite);
    (browser, call, invite)
}

/// A message with further header lines.
fn with(message: Bytes, lines: &str) -> Bytes {
    let text = String::from_utf8(message.to_vec()).unwrap();
    Bytes::from(text.replacen("Call-ID:", &format!("{lines}Call-ID:"), 1))
}

#[test]
fn a_trunk_is_asked_for_what_is_configured_and_a_browser_for_nothing() {
    let mut rig = Rig::with(demanding(), 1, 8);
    let (_, _, invite) = dialling(&mut rig);
    assert_eq!(invite.header_str(Name::SessionExpires), Some("1800"));
    assert!(invite.has_option(Name::Supported, "100rel") && invite.header(Name::Require).is_none());
    let browser = signed_in(&mut rig, "5002");
    let call = Ua::trunk().invite("5002", Some(&sdp::genesys_offer()), &[("Session-Expires", "1800;refresher=uac")]);
    rig.deliver(Ua::trunk().path, call.invite.raw().clone());
    let invite = request(&rig.take(browser.path), Method::Invite);
    assert!(invite.header(Name::SessionExpires).is_none(), "a timer is its own leg's affair");
    assert!(!invite.has_option(Name::Supported, "100rel"));
}

#[test]
fn early_media_that_must_be_acknowledged_is_and_the_browser_hears_it() {
    let mut rig = Rig::with(demanding(), 1, 8);
    let (mut browser, mut call, invite) = dialling(&mut rig);
    rig.take(browser.path);
    let trunk = Ua::trunk();
    let early = with(trunk.respond(&invite, 183, Some(&sdp::trunk_answer())), "Require: 100rel\r\nRSeq: 7\r\n");
    rig.deliver(trunk.path, early.clone());
    let prack = request(&rig.take(trunk.path), Method::Prack);
    assert_eq!(prack.header(Name::RAck), Some(&b"7 1 INVITE"[..]));
    assert!(!last_status(&rig.take(browser.path), 183).body().is_empty());
    rig.deliver(trunk.path, early);
    assert!(rig.take(trunk.path).is_empty() && rig.take(browser.path).is_empty(), "it is heard once");
    rig.deliver(trunk.path, trunk.respond(&prack, 200, None));
    rig.deliver(trunk.path, trunk.respond(&invite, 200, None));
    browser.acknowledge(&mut rig, &mut call);
    let bye = browser.within(&mut call, Method::Bye, &[], None);
    rig.deliver(browser.path, bye);
    let bye = request(&rig.take(trunk.path), Method::Bye);
    assert!(bye.cseq().number > prack.cseq().number, "one count for all requests of the dialog");
    rig.deliver(trunk.path, trunk.respond(&bye, 200, None));
    rig.assert_clean();
}

#[test]
fn a_call_that_requires_100rel_is_taken_from_the_trunk_and_from_no_browser() {
    let mut rig = Rig::new();
    let browser = signed_in(&mut rig, "5001");
    let mut trunk = Ua::trunk();
    let call = trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[("Require", "100rel")]);
    let invite = request(&rig.take(browser.path), Method::Invite);
    rig.take(trunk.path);
    rig.deliver(browser.path, browser.respond(&invite, 180, None));
    let ringing = last_status(&rig.take(trunk.path), 180);
    assert!(ringing.has_option(Name::Require, "100rel"));
    let mut at_trunk = call;
    at_trunk.learn(&ringing);
    let rack = format!("{} {} INVITE", ringing.number(Name::RSeq).unwrap(), ringing.cseq().number);
    let prack = trunk.within(&mut at_trunk, Method::Prack, &[("RAck", &rack)], None);
    rig.deliver(trunk.path, prack);
    assert_eq!(last_status(&rig.take(trunk.path), 200).cseq().method, Method::Prack);
    let mut other = signed_in(&mut rig, "5002");
    other.call(&mut rig, "1003", Some(&sdp::chromium_offer()), &[("Require", "100rel")]);
    let refused = last_status(&rig.take(other.path), 420);
    assert_eq!(refused.header(Name::Unsupported), Some(&b"100rel"[..]));
}

#[test]
fn a_trunk_that_is_not_refreshed_by_anybody_ends_the_call_on_both_sides() {
    let mut rig = Rig::with(demanding(), 1, 8);
    let (mut browser, mut call, invite) = dialling(&mut rig);
    let trunk = Ua::trunk();
    let ok = with(
        trunk.respond(&invite, 200, Some(&sdp::trunk_answer())),
        "Session-Expires: 300;refresher=uas\r\nRequire: timer\r\n",
    );
    rig.deliver(trunk.path, ok);
    browser.acknowledge(&mut rig, &mut call);
    rig.take(trunk.path);
    rig.advance(Duration::from_secs(266));
    assert!(rig.take(trunk.path).is_empty());
    rig.advance(Duration::from_secs(4));
    request(&rig.take(trunk.path), Method::Bye);
    request(&rig.take(browser.path), Method::Bye);
    rig.assert_clean();
}
