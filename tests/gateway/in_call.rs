//! An answered call: hanging up, changing the description, keys, and what media threads report.

use crosspoint::call::{CallCommand, Command, EventKind, ReleaseCause};
use crosspoint::gateway::{CallState, Input};
use crosspoint::id::{LegId, WorkerId};
use crosspoint::plan::{Digit, DtlsFailure, Order, Report};
use crosspoint::sip::message::{Message, Method, Name};
use std::time::Duration;

use crate::peers::{Talk, inbound_call, last_status, outbound_call, request};
use crate::rig::{Rig, config};
use crate::sdp;

fn released(rig: &Rig) -> &ReleaseCause {
    match rig.kinds().last() {
        Some(EventKind::Released { cause, .. }) => cause,
        other => panic!("released, not {other:?}"),
    }
}

fn reinvite_of_browser(rig: &mut Rig, talk: &mut Talk, sdp: Option<&str>) -> Message {
    rig.take(talk.browser.path);
    let body = sdp.map(|sdp| ("application/sdp", sdp));
    let bytes = talk.browser.within(&mut talk.at_browser, Method::Invite, &[], body);
    rig.deliver(talk.browser.path, bytes);
    rig.take(talk.browser.path).into_iter().rfind(|m| m.status() != 100).unwrap()
}

fn reinvite_of_trunk(rig: &mut Rig, talk: &mut Talk, sdp: Option<&str>) -> Message {
    rig.take(talk.trunk.path);
    let body = sdp.map(|sdp| ("application/sdp", sdp));
    let bytes = talk.trunk.within(&mut talk.at_trunk, Method::Invite, &[], body);
    rig.deliver(talk.trunk.path, bytes);
    rig.take(talk.trunk.path).into_iter().rfind(|m| m.status() != 100).unwrap()
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}

#[test]
fn the_customer_hangs_up_and_the_browser_hears_the_reason() {
    for call in [inbound_call, outbound_call] {
        let mut rig = Rig::new();
        let mut talk = call(&mut rig);
        let extra = [("Reason", "Q.850;cause=16;text=\"Terminated\"")];
        let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &extra, None);
        rig.deliver(talk.trunk.path, bye);
        last_status(&rig.take(talk.trunk.path), 200);
        let bye = request(&rig.take(talk.browser.path), Method::Bye);
        assert_eq!(bye.header(Name::Reason).unwrap(), b"Q.850;cause=16;text=\"Terminated\"");
        rig.deliver(talk.browser.path, talk.browser.respond(&bye, 200, None));
        assert_eq!(released(&rig), &ReleaseCause::Trunk);
        rig.assert_clean();
    }
}

#[test]
fn the_agent_hangs_up_and_the_trunk_hears_the_reason() {
    for call in [inbound_call, outbound_call] {
        let mut rig = Rig::new();
        let mut talk = call(&mut rig);
        let bye = talk.browser.within(&mut talk.at_browser, Method::Bye, &[("Reason", "SIP;cause=200")], None);
        rig.deliver(talk.browser.path, bye);
        let bye = request(&rig.take(talk.trunk.path), Method::Bye);
        assert_eq!(bye.header(Name::Reason).unwrap(), b"SIP;cause=200");
        assert_eq!(released(&rig), &ReleaseCause::Agent);
        rig.assert_clean();
    }
}

#[test]
fn the_last_event_has_the_last_words_of_both_ports() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(talk.trunk.path, bye);
    let Some(EventKind::Released { browser, trunk, .. }) = rig.kinds().last().copied() else { panic!() };
    // The simulated worker counts as many packets as the leg's number says; the trunk's leg came first.
    assert_eq!((trunk.unwrap().received, browser.unwrap().received), (1, 2));
}

#[test]
fn a_worker_that_keeps_silent_does_not_keep_the_call() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    rig.mute_workers = true;
    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(talk.trunk.path, bye);
    assert_eq!(rig.snapshot().calls[0].state, CallState::Releasing);
    rig.advance(Duration::from_secs(3));
    assert!(matches!(rig.kinds().last(), Some(EventKind::Released { browser: None, trunk: None, .. })));
    rig.assert_clean();
}

#[test]
fn a_hold_of_the_browser_is_answered_with_the_right_direction_and_the_call_lives() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    for (theirs, ours) in [("sendonly", "recvonly"), ("inactive", "inactive"), ("sendrecv", "sendrecv")] {
        let offer = sdp::chromium(theirs, "kX3v", 3, "actpass");
        let ok = reinvite_of_browser(&mut rig, &mut talk, Some(&offer));
        assert_eq!(ok.status(), 200);
        assert!(text(&ok).contains(&format!("a={ours}\r\n")), "{theirs}: {}", text(&ok));
        let ack = talk.browser.ack(&talk.at_browser, &ok, None);
        rig.deliver(talk.browser.path, ack);
    }
    assert_eq!(rig.snapshot().calls[0].state, CallState::Established);
}

#[test]
fn the_trunk_moves_its_media_and_only_the_port_hears_of_it() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.browser.path);
    let ok = reinvite_of_trunk(&mut rig, &mut talk, Some(&sdp::genesys("192.0.2.91", 30_000)));
    assert_eq!(ok.status(), 200);
    let Some((_, Order::UpdateRtp(_, remote))) = rig.orders.last() else { panic!("{:?}", rig.orders.last()) };
    assert_eq!(remote.rtp, "192.0.2.91:30000".parse::<std::net::SocketAddr>().unwrap());
    assert!(rig.take(talk.browser.path).is_empty());
}

#[test]
fn an_offerless_reinvite_is_answered_with_our_offer_and_its_ack_has_the_answer() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let ok = reinvite_of_trunk(&mut rig, &mut talk, None);
    assert_eq!(ok.status(), 200);
    assert!(text(&ok).contains("RTP/AVP"));
    let ack = talk.trunk.ack(&talk.at_trunk, &ok, Some(&sdp::trunk_answer_from(31_000)));
    rig.deliver(talk.trunk.path, ack);
    let Some((_, Order::UpdateRtp(_, remote))) = rig.orders.last() else { panic!("{:?}", rig.orders.last()) };
    assert_eq!(remote.rtp.port(), 31_000);
}

#[test]
fn an_ice_restart_is_absorbed() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    let before = rig.orders.len();
    let ok = reinvite_of_browser(&mut rig, &mut talk, Some(&sdp::chromium("sendrecv", "n3Wu", 3, "actpass")));
    assert_eq!(ok.status(), 200);
    let orders: Vec<&Order> = rig.orders[before..].iter().map(|(_, order)| order).collect();
    let [Order::RestartIce(_, ice), Order::UpdateBrowser(_, remote)] = orders[..] else { panic!("{orders:?}") };
    assert!(text(&ok).contains(&format!("a=ice-ufrag:{}\r\n", ice.ufrag)));
    assert_eq!(remote.ice.ufrag, "n3Wu");
    assert!(rig.take(talk.trunk.path).is_empty());
}

#[test]
fn a_reinvite_that_cannot_be_answered_leaves_the_call_as_it_was() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let before = rig.orders.len();
    let refusal = reinvite_of_trunk(&mut rig, &mut talk, Some(&sdp::g729_only()));
    assert_eq!(refusal.status(), 488);
    assert_eq!(rig.orders.len(), before);
    assert_eq!(rig.snapshot().calls[0].state, CallState::Established);
    let ok = reinvite_of_trunk(&mut rig, &mut talk, Some(&sdp::genesys_offer()));
    assert_eq!(ok.status(), 200);
}

#[test]
fn a_key_that_the_media_thread_heard_becomes_an_event() {
    let mut rig = Rig::new();
    inbound_call(&mut rig);
    let digit = Digit { event: 7, duration: Duration::from_millis(100) };
    rig.input(Input::Media(WorkerId(0), Report::Digit(LegId(2), digit)));
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Digit { digit, from_agent: true }));
    rig.input(Input::Media(WorkerId(0), Report::Digit(LegId(1), digit)));
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Digit { digit, from_agent: false }));
}

#[test]
fn lost_consent_and_a_failed_handshake_end_the_call_on_both_sides() {
    let leg = LegId(2);
    let reports = [
        (Report::ConsentLost(leg), ReleaseCause::ConsentLost),
        (Report::DtlsFailed(leg, DtlsFailure::Fingerprint), ReleaseCause::DtlsFailed),
    ];
    for (report, cause) in reports {
        let mut rig = Rig::new();
        let talk = inbound_call(&mut rig);
        rig.input(Input::Media(WorkerId(0), Report::Connected(leg)));
        rig.input(Input::Media(WorkerId(0), report));
        for path in [talk.browser.path, talk.trunk.path] {
            let bye = request(&rig.take(path), Method::Bye);
            assert_eq!(bye.header(Name::Reason).unwrap(), cause.reason().as_bytes());
        }
        assert_eq!(released(&rig), &cause);
        rig.assert_clean();
    }
}

#[test]
fn a_command_releases_a_call_in_any_state() {
    let mut rig = Rig::new();
    let talk = inbound_call(&mut rig);
    let call = rig.snapshot().calls[0].call;
    rig.input(Input::Command(Command::of(call, CallCommand::Release)));
    request(&rig.take(talk.browser.path), Method::Bye);
    request(&rig.take(talk.trunk.path), Method::Bye);
    assert_eq!(released(&rig), &ReleaseCause::Command);
    let events = rig.events.len();
    rig.input(Input::Command(Command::of(call, CallCommand::Release)));
    assert_eq!(rig.events.len(), events, "too late, no effect");
    rig.assert_clean();
}

#[test]
fn a_lost_flow_ends_its_calls_at_once_where_no_grace_is_configured() {
    let mut with = config();
    with.calls.flow_grace = Duration::ZERO;
    let mut rig = Rig::with(with, 1, 4);
    let talk = inbound_call(&mut rig);
    rig.input(Input::FlowClosed(talk.browser.path.flow().unwrap()));
    request(&rig.take(talk.trunk.path), Method::Bye);
    assert_eq!(released(&rig), &ReleaseCause::FlowLost);
    rig.assert_clean();
}

#[test]
fn a_lost_flow_ends_its_calls_after_a_grace() {
    let mut rig = Rig::new();
    let talk = inbound_call(&mut rig);
    rig.input(Input::FlowClosed(talk.browser.path.flow().unwrap()));
    rig.advance(Duration::from_secs(19));
    assert!(rig.take(talk.trunk.path).is_empty());
    rig.advance(Duration::from_secs(2));
    request(&rig.take(talk.trunk.path), Method::Bye);
    assert_eq!(released(&rig), &ReleaseCause::FlowLost);
    rig.assert_clean();
}
