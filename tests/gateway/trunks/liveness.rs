//! OPTIONS to the SIP Server, and what an agent notices of one that is down.

use std::time::Duration;

use crosspoint::gateway::Health;
use crosspoint::sip::message::{Builder, Method, Name};

use super::{PING, Server, dial, healths, run, secs, state, watched};
use crate::peers::{Ua, last_status, request, signed_in};
use crate::rig::Rig;
use crate::sdp;

#[test]
fn the_sip_server_is_asked_by_options_and_shown_as_up() {
    let mut rig = Rig::with(watched(1), 1, 4);
    let mut server = Server::first();
    rig.advance(Duration::ZERO);
    let options = rig.take_one(server.path);
    assert_eq!((options.method(), options.request_uri()), (Method::Options, "sip:192.0.2.81:5060"));
    assert_eq!(options.from().uri, "sip:192.0.2.54:5060");
    assert_eq!(options.contacts().next().unwrap().unwrap().uri, "sip:192.0.2.54:5060");
    rig.deliver(server.path, server.ua().respond(&options, 200, None));
    run(&mut rig, &mut [&mut server], PING * 4 + secs(1));
    assert_eq!(server.options, 4);
    let state = state(&rig);
    assert_eq!((state.health, state.targets[0].target.as_str()), (Health::Up, "udp:192.0.2.81:5060"));
    assert_eq!(state.registrations, None);
}

/// A SIP Server that answered once, and does not any more.
fn gone(rig: &mut Rig) -> Server {
    let mut server = Server::first();
    run(rig, &mut [&mut server], secs(1));
    server.is_up = false;
    run(rig, &mut [&mut server], secs(45));
    server
}

#[test]
fn a_peer_that_has_never_answered_options_is_unknown_and_called_all_the_same() {
    let mut rig = Rig::with(watched(1), 1, 4);
    let mut server = Server::first();
    server.is_up = false;
    run(&mut rig, &mut [&mut server], secs(100));
    assert_eq!(state(&rig).health, Health::Unknown);
    let (browser, _) = dial(&mut rig, "5001", "1003");
    let invite = request(&rig.take(server.path), Method::Invite);
    rig.deliver(server.path, server.ua().respond(&invite, 200, Some(&sdp::trunk_answer())));
    last_status(&rig.take(browser.path), 200);
}

#[test]
fn a_sip_server_that_is_down_is_503_to_the_agent_at_once_and_tried_again_at_its_first_answer() {
    let mut rig = Rig::with(watched(1), 1, 4);
    let mut server = gone(&mut rig);
    assert_eq!(state(&rig).health, Health::Down);
    let (browser, _) = dial(&mut rig, "5001", "1003");
    let refusal = last_status(&rig.take(browser.path), 503);
    assert_eq!(refusal.number(Name::RetryAfter), Some(5));
    assert!(rig.take(server.path).iter().all(|m| m.method() != Method::Invite));
    assert_eq!(rig.snapshot().counters.calls, 0);

    server.is_up = true;
    run(&mut rig, &mut [&mut server], secs(11));
    assert_eq!(state(&rig).health, Health::Up);
    dial(&mut rig, "5002", "1003");
    request(&rig.take(server.path), Method::Invite);
}

#[test]
fn a_call_from_a_sip_server_thought_down_is_taken_and_shows_that_it_is_back() {
    let mut rig = Rig::with(watched(1), 1, 4);
    let _server = gone(&mut rig);
    assert_eq!(state(&rig).health, Health::Down);
    let browser = signed_in(&mut rig, "5001");
    let mut trunk = Ua::trunk();
    trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
    request(&rig.take(browser.path), Method::Invite);
    assert_eq!(state(&rig).health, Health::Up);
}

#[test]
fn a_sip_server_that_answers_503_to_options_is_down() {
    let mut rig = Rig::with(watched(2), 1, 4);
    let (first, mut spare) = (Server::first(), Server::spare());
    for _ in 0..400 {
        for options in rig.take(first.path) {
            let refusal = Builder::response_to(&options, 503, None, Some("o")).build();
            rig.deliver(first.path, refusal);
        }
        run(&mut rig, &mut [&mut spare], Duration::from_millis(50));
    }
    assert_eq!(healths(&rig), [Health::Down, Health::Up]);
    assert_eq!(state(&rig).health, Health::Degraded);
    dial(&mut rig, "5001", "1003");
    assert!(rig.take(first.path).iter().all(|m| m.method() != Method::Invite));
    request(&rig.take(spare.path), Method::Invite);
}

#[test]
fn a_shutdown_is_not_held_up_by_options_without_an_answer() {
    let mut rig = Rig::with(watched(2), 1, 4);
    run(&mut rig, &mut [], secs(20));
    rig.input(crosspoint::gateway::Input::Shutdown);
    rig.advance(secs(2));
    assert_eq!(rig.drained, 1);
    rig.sent.clear();
    rig.advance(secs(120));
    assert!(rig.sent.values().flatten().all(|message| message.via().branch().is_some()));
    assert_eq!(rig.snapshot().transactions, 0, "nothing new is sent");
}
