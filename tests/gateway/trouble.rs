//! Too much, too late, gone: limits, losses and the end.

use std::time::Duration;

use crosspoint::call::{EventKind, ReleaseCause};
use crosspoint::gateway::Input;
use crosspoint::sip::endpoint::SourceLimit;
use crosspoint::sip::message::{Method, Name};

use crate::peers::{Offered, Ua, inbound_call, inbound_to, last_status, outbound_call, request, signed_in};
use crate::rig::{Rig, config};
use crate::sdp;

#[test]
fn without_a_free_port_pair_there_is_503_and_calls_under_way_go_on() {
    let mut rig = Rig::with(config(), 1, 1);
    let mut talk = inbound_call(&mut rig);
    let mut trunk = Ua::trunk();
    trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
    let refusal = last_status(&rig.take(trunk.path), 503);
    assert_eq!(refusal.number(Name::RetryAfter), Some(5));
    let out = talk.browser.invite("1003", Some(&sdp::chromium_offer()), &[]);
    rig.deliver(talk.browser.path, out.invite.raw().clone());
    last_status(&rig.take(talk.browser.path), 503);
    assert_eq!(rig.snapshot().counters.no_port, 2);
    assert_eq!(rig.ports.len(), 2);

    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(talk.trunk.path, bye);
    rig.assert_clean();
    inbound_to(&mut rig, talk.browser);
}

#[test]
fn above_the_limit_of_calls_there_is_503() {
    let mut with = config();
    with.calls.max_calls = 1;
    let mut rig = Rig::with(with, 1, 8);
    inbound_call(&mut rig);
    let mut trunk = Ua::trunk();
    trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
    assert!(last_status(&rig.take(trunk.path), 503).header(Name::RetryAfter).is_some());
    assert_eq!(rig.snapshot().calls.len(), 1);
}

#[test]
fn a_browser_that_vanishes_while_it_rings_leaves_the_others_ringing() {
    let mut rig = Rig::new();
    let one = signed_in(&mut rig, "5001");
    let two = signed_in(&mut rig, "5001");
    let mut trunk = Ua::trunk();
    trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
    rig.input(Input::FlowClosed(one.path.flow().unwrap()));
    assert!(!rig.take(trunk.path).iter().any(|m| m.status() >= 300));
    rig.input(Input::FlowClosed(two.path.flow().unwrap()));
    last_status(&rig.take(trunk.path), 480);
    rig.assert_clean();
}

#[test]
fn a_browser_that_vanishes_while_it_dials_has_its_call_cancelled() {
    let mut rig = Rig::new();
    let Offered { browser, trunk, invite, .. } = Offered::outbound(&mut rig, "1003");
    rig.deliver(trunk.path, trunk.respond(&invite, 180, None));
    rig.input(Input::FlowClosed(browser.path.flow().unwrap()));
    assert!(rig.take(trunk.path).is_empty(), "it may come back");
    rig.advance(Duration::from_secs(21));
    request(&rig.take(trunk.path), Method::Cancel);
    rig.assert_clean();
}

#[test]
fn a_shutdown_ends_every_call_in_whatever_state_and_says_when_it_is_done() {
    let mut rig = Rig::new();
    let talk = outbound_call(&mut rig);
    let browser = signed_in(&mut rig, "5002");
    let mut trunk = Ua::trunk();
    trunk.call(&mut rig, "5002", Some(&sdp::genesys_offer()), &[]);
    let invite = request(&rig.take(browser.path), Method::Invite);
    rig.deliver(browser.path, browser.respond(&invite, 180, None));
    rig.take(trunk.path);
    rig.input(Input::Shutdown);
    let to_trunk = rig.take(trunk.path);
    request(&to_trunk, Method::Bye);
    last_status(&to_trunk, 503);
    request(&rig.take(talk.browser.path), Method::Bye);
    request(&rig.take(browser.path), Method::Cancel);
    assert_eq!(rig.drained, 0, "the BYEs may still be lost");
    rig.advance(Duration::from_secs(3));
    assert_eq!(rig.drained, 1);
    let shut =
        rig.kinds().iter().filter(|k| matches!(k, EventKind::Released { cause: ReleaseCause::Shutdown, .. })).count();
    assert_eq!(shut, 2);
    trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
    last_status(&rig.take(trunk.path), 503);
    rig.input(Input::Shutdown);
    assert_eq!(rig.drained, 1, "said once");
    rig.assert_clean();
}

#[test]
fn while_it_drains_new_calls_get_503_and_those_under_way_go_on() {
    let mut rig = Rig::new();
    let mut talk = outbound_call(&mut rig);
    let mut trunk = Ua::trunk();
    rig.input(Input::Drain);
    rig.take(trunk.path);
    trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
    assert!(last_status(&rig.take(trunk.path), 503).header(Name::RetryAfter).is_some());
    assert_eq!((rig.drained, rig.snapshot().calls.len()), (0, 1));
    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(talk.trunk.path, bye);
    rig.assert_clean();
    assert_eq!(rig.drained, 0, "nobody asked for the end yet");
    rig.input(Input::Shutdown);
    rig.advance(Duration::from_secs(3));
    assert_eq!(rig.drained, 1);
}

#[test]
fn a_shutdown_without_calls_is_done_at_once() {
    let mut rig = Rig::new();
    rig.input(Input::Shutdown);
    assert_eq!(rig.drained, 1);
}

#[test]
fn a_retransmitted_invite_makes_no_second_call() {
    let mut rig = Rig::new();
    signed_in(&mut rig, "5001");
    let mut trunk = Ua::trunk();
    let call = trunk.invite("5001", Some(&sdp::genesys_offer()), &[]);
    for _ in 0..4 {
        rig.deliver(trunk.path, call.invite.raw().clone());
        rig.advance(Duration::from_millis(500));
    }
    assert_eq!(rig.snapshot().counters.calls, 1);
}

#[test]
fn the_sip_server_and_registered_browsers_are_never_taken_for_a_flood_but_strangers_are() {
    let mut rig = Rig::new();
    let uri = "sip:gw.test";
    let browser = signed_in(&mut rig, "5001");
    let stranger = Ua::server(crate::rig::udp("203.0.113.9:5060".parse().unwrap()));
    let mut turned_away = Vec::new();
    for mut ua in [Ua::trunk(), browser, stranger] {
        rig.take(ua.path);
        for _ in 0..500 {
            let bytes = ua.request(Method::Options, uri, &[], None);
            rig.deliver(ua.path, bytes);
        }
        turned_away.push(rig.take(ua.path).iter().filter(|m| !matches!(m.status(), 200 | 403)).count());
    }
    assert_eq!(turned_away[..2], [0, 0]);
    assert!(rig.snapshot().sip.limited > 300, "{:?}", rig.snapshot().sip);
}

#[test]
fn a_source_may_send_what_the_configuration_allows() {
    let mut with = config();
    with.source_limit = SourceLimit { per_second: 2, burst: 4 };
    let mut rig = Rig::with(with, 1, 1);
    let mut browser = Ua::browser(&mut rig, "5001");
    let mut answers = |rig: &mut Rig| -> Vec<u16> {
        let mut send = || {
            let bytes = browser.request(Method::Options, "sip:gw.test", &[], None);
            rig.deliver(browser.path, bytes);
            rig.take_one(browser.path).status()
        };
        (0..6).map(|_| send()).collect()
    };
    assert_eq!(answers(&mut rig), [200, 200, 200, 200, 503, 503]);
    rig.advance(Duration::from_secs(1));
    assert_eq!(answers(&mut rig), [200, 200, 503, 503, 503, 503]);
}

#[test]
fn a_thousand_calls_leave_nothing_behind() {
    let mut rig = Rig::with(config(), 2, 4);
    let mut browser = signed_in(&mut rig, "5001");
    for round in 0..1000u32 {
        let mut talk = inbound_to(&mut rig, browser);
        let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
        rig.deliver(talk.trunk.path, bye);
        let bye = request(&rig.take(talk.browser.path), Method::Bye);
        rig.deliver(talk.browser.path, talk.browser.respond(&bye, 200, None));
        rig.take(talk.trunk.path);
        browser = talk.browser;
        if round % 50 == 49 {
            rig.advance(Duration::from_secs(40));
            let again = browser.sign_in(&mut rig, crate::rig::PASSWORD);
            assert_eq!(again.status(), 200);
        }
    }
    rig.advance(Duration::from_secs(120));
    rig.assert_clean();
    let snapshot = rig.snapshot();
    assert_eq!((snapshot.transactions, snapshot.sessions), (0, 0));
}
