//! A new call when the SIP Server that it was sent to says nothing.

use std::time::Duration;

use crosspoint::gateway::Health;
use crosspoint::sip::message::{Method, Name};

use super::{Server, dial, healths, run, secs, watched};
use crate::peers::{last_status, outbound_call, request};
use crate::rig::{Rig, spare_addr, trunk_addr, udp};
use crate::sdp;

#[test]
fn a_new_call_without_a_100_for_two_seconds_goes_to_the_next_sip_server_on_a_new_branch() {
    let mut rig = Rig::with(watched(2), 1, 4);
    let (first, spare) = (Server::first(), Server::spare());
    let (browser, _) = dial(&mut rig, "5001", "1003");
    let one = request(&rig.take(first.path), Method::Invite);
    rig.advance(Duration::from_millis(1999));
    assert!(!rig.take(spare.path).iter().any(|m| m.method() == Method::Invite));
    rig.advance(Duration::from_millis(2));
    let other = request(&rig.take(spare.path), Method::Invite);
    assert_ne!(one.via().branch(), other.via().branch());
    assert_ne!(one.call_id(), other.call_id());
    assert_eq!((other.request_uri(), other.to().uri), ("sip:1003@192.0.2.82:5060", "sip:1003@192.0.2.82:5060"));
    rig.deliver(spare.path, spare.ua().respond(&other, 200, Some(&sdp::trunk_answer())));
    let heard = rig.take(browser.path);
    last_status(&heard, 200);
    assert!(heard.iter().all(|m| m.status() <= 200), "the agent hears nothing of it");
    assert_eq!(rig.ports.len(), 2, "the first one's port is given back");
}

#[test]
fn a_late_200_of_the_first_sip_server_gets_ack_and_bye_and_the_call_goes_on() {
    let mut rig = Rig::with(watched(2), 1, 4);
    let (first, spare) = (Server::first(), Server::spare());
    let (browser, _) = dial(&mut rig, "5001", "1003");
    let one = request(&rig.take(first.path), Method::Invite);
    rig.advance(Duration::from_millis(2001));
    let other = request(&rig.take(spare.path), Method::Invite);
    rig.deliver(spare.path, spare.ua().respond(&other, 200, Some(&sdp::trunk_answer())));
    last_status(&rig.take(browser.path), 200);
    rig.take(first.path);
    rig.deliver(first.path, first.ua().respond(&one, 200, Some(&sdp::trunk_answer())));
    let sent = rig.take(first.path);
    let ack = request(&sent, Method::Ack);
    let bye = request(&sent, Method::Bye);
    assert_eq!((ack.call_id(), bye.call_id()), (one.call_id(), one.call_id()));
    assert!(rig.take(browser.path).is_empty());
    assert_eq!((rig.snapshot().calls.len(), rig.ports.len()), (1, 2));
}

#[test]
fn a_late_ringing_of_the_first_sip_server_is_cancelled() {
    let mut rig = Rig::with(watched(2), 1, 4);
    let first = Server::first();
    dial(&mut rig, "5001", "1003");
    let one = request(&rig.take(first.path), Method::Invite);
    rig.advance(Duration::from_millis(2001));
    rig.take(first.path);
    rig.deliver(first.path, first.ua().respond(&one, 180, None));
    request(&rig.take(first.path), Method::Cancel);
}

#[test]
fn a_100_in_time_keeps_a_call_where_it_is() {
    let mut rig = Rig::with(watched(2), 1, 4);
    let (mut first, mut spare) = (Server::first(), Server::spare());
    dial(&mut rig, "5001", "1003");
    let one = request(&rig.take(first.path), Method::Invite);
    rig.advance(Duration::from_millis(1900));
    rig.deliver(first.path, first.ua().respond(&one, 100, None));
    run(&mut rig, &mut [&mut first, &mut spare], secs(60));
    assert!(spare.inbox.is_empty(), "{:?}", spare.inbox);
}

#[test]
fn a_message_of_the_sip_server_about_something_else_is_no_100() {
    let mut rig = Rig::with(watched(2), 1, 4);
    let (first, spare) = (Server::first(), Server::spare());
    rig.advance(Duration::ZERO);
    dial(&mut rig, "5001", "1003");
    rig.advance(secs(1));
    let mut ua = first.ua();
    let options = ua.request(Method::Options, "sip:gw.test", &[], None);
    rig.deliver(first.path, options);
    rig.advance(Duration::from_millis(1001));
    request(&rig.take(spare.path), Method::Invite);
}

#[test]
fn a_sip_server_that_was_silent_to_one_call_is_not_tried_first_by_the_next_until_it_answers() {
    let mut rig = Rig::with(watched(2), 1, 8);
    let (mut first, mut spare) = (Server::first(), Server::spare());
    run(&mut rig, &mut [&mut first, &mut spare], secs(1));
    first.is_up = false;
    dial(&mut rig, "5001", "1003");
    run(&mut rig, &mut [&mut first, &mut spare], Duration::from_millis(2001));
    request(&spare.inbox, Method::Invite);
    assert_eq!(healths(&rig), [Health::Degraded, Health::Up]);
    spare.inbox.clear();
    dial(&mut rig, "5002", "1003");
    run(&mut rig, &mut [&mut first, &mut spare], Duration::ZERO);
    request(&spare.inbox, Method::Invite);
    first.is_up = true;
    run(&mut rig, &mut [&mut first, &mut spare], secs(5));
    assert_eq!(healths(&rig), [Health::Up, Health::Up]);
    dial(&mut rig, "5003", "1003");
    request(&rig.take(first.path), Method::Invite);
}

#[test]
fn a_call_under_way_is_not_harmed_when_its_sip_server_is_thought_down() {
    let mut rig = Rig::with(watched(2), 1, 8);
    let (mut first, mut spare) = (Server::first(), Server::spare());
    run(&mut rig, &mut [&mut first, &mut spare], secs(1));
    let mut talk = outbound_call(&mut rig);
    first.is_up = false;
    run(&mut rig, &mut [&mut first, &mut spare], secs(60));
    assert_eq!(healths(&rig), [Health::Down, Health::Up]);
    assert_eq!((rig.snapshot().calls.len(), rig.ports.len()), (1, 2));
    let bye = talk.browser.within(&mut talk.at_browser, Method::Bye, &[], None);
    rig.deliver(talk.browser.path, bye);
    let bye = request(&rig.take(first.path), Method::Bye);
    assert_eq!(bye.call_id(), talk.at_trunk.call_id, "to where the dialog is");
    rig.assert_clean();
}

#[test]
fn when_no_sip_server_answers_the_agent_hears_503_after_two_seconds_each() {
    let mut rig = Rig::with(watched(2), 1, 4);
    let (browser, _) = dial(&mut rig, "5001", "1003");
    rig.advance(Duration::from_millis(3999));
    assert!(rig.take(browser.path).iter().all(|m| m.status() < 200));
    rig.advance(Duration::from_millis(2));
    let refusal = last_status(&rig.take(browser.path), 503);
    assert!(refusal.header(Name::RetryAfter).is_some());
    rig.assert_clean();
}

#[test]
fn the_patience_with_a_sip_server_is_configured() {
    let mut with = watched(2);
    with.trunks[0].policy.failover = Duration::from_millis(500);
    let mut rig = Rig::with(with, 1, 4);
    dial(&mut rig, "5001", "1003");
    assert!(!rig.take(udp(trunk_addr())).is_empty());
    rig.advance(Duration::from_millis(501));
    request(&rig.take(udp(spare_addr())), Method::Invite);
}
