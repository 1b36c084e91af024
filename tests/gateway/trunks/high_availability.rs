//! The three forms in which a pair of Genesys SIP Servers shows itself.

use std::time::Duration;

use crosspoint::gateway::{Destination, DnRegistration, Health, Input};
use crosspoint::path::Transport;
use crosspoint::sip::locate::ResolvedTarget;
use crosspoint::sip::message::{Method, Name};

use super::{Server, dial, dial_with, healths, run, secs, sign_in, state, watched};
use crate::peers::{Ua, inbound_call, inbound_to, last_status, request};
use crate::rig::{Rig, by_udp, spare_addr, trunk_addr};
use crate::sdp;

#[test]
fn behind_one_virtual_address_a_switch_over_is_a_pause_and_all_dns_are_registered_again() {
    let mut with = watched(1);
    with.trunks[0].policy.register = Some(DnRegistration::default());
    let mut rig = Rig::with(with, 1, 8);
    let mut server = Server::first();
    run(&mut rig, &mut [&mut server], secs(1));
    for dn in ["5002", "5003", "5004"] {
        sign_in(&mut rig, &mut [&mut server], dn);
    }
    let browser = sign_in(&mut rig, &mut [&mut server], "5001").0;
    let mut talk = inbound_to(&mut rig, browser);
    assert_eq!(server.bindings.len(), 4);

    // The primary dies; the backup takes its address half a minute later, and knows no DN.
    server.is_up = false;
    run(&mut rig, &mut [&mut server], secs(50));
    assert_eq!(state(&rig).health, Health::Down);
    server.is_up = true;
    server.bindings.clear();
    run(&mut rig, &mut [&mut server], secs(15));
    assert_eq!((state(&rig).health, server.bindings.len()), (Health::Up, 4));

    // The call is as it was, and the backup goes on with it.
    assert_eq!(rig.snapshot().calls.len(), 1);
    let reinvite =
        talk.trunk.within(&mut talk.at_trunk, Method::Invite, &[], Some(("application/sdp", &sdp::genesys_offer())));
    rig.deliver(talk.trunk.path, reinvite);
    last_status(&rig.take(talk.trunk.path), 200);
}

fn proxies(targets: &[std::net::SocketAddr]) -> Vec<ResolvedTarget> {
    targets.iter().map(|addr| ResolvedTarget { transport: Transport::Udp, addr: *addr }).collect()
}

#[test]
fn in_a_proxy_pool_found_by_srv_the_requests_of_a_call_come_from_any_proxy_and_a_dead_one_is_passed_over() {
    let mut with = watched(1);
    with.trunks[0].destinations = vec![Destination::Name { host: "pool.example".into(), port: None, transport: None }];
    let mut rig = Rig::with(with, 1, 8);
    let (browser, _) = dial(&mut rig, "5001", "1003");
    last_status(&rig.take(browser.path), 503);
    assert_eq!(state(&rig).health, Health::Down, "nobody knows yet where it is");
    assert_eq!(rig.questions.len(), 1);

    let targets = proxies(&[trunk_addr(), spare_addr()]);
    rig.input(Input::Resolved { query: query(&rig), targets, ttl: secs(3600) });
    let (mut one, mut two) = (Server::first(), Server::spare());
    run(&mut rig, &mut [&mut one, &mut two], secs(1));
    assert_eq!(healths(&rig), [Health::Up, Health::Up]);

    // A call by the first proxy; its BYE comes by the second.
    let mut talk = inbound_call(&mut rig);
    let mut second = Ua::server(two.path);
    let bye = second.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(two.path, bye);
    last_status(&rig.take(two.path), 200);
    request(&rig.take(talk.browser.path), Method::Bye);
    rig.assert_clean();

    // The first proxy dies: a call loses two seconds, the next ones nothing.
    one.is_up = false;
    dial(&mut rig, "5002", "1003");
    run(&mut rig, &mut [&mut one, &mut two], Duration::from_millis(2001));
    let invite = request(&two.inbox, Method::Invite);
    assert_eq!(invite.request_uri(), "sip:1003@pool.example", "the name, whichever proxy it goes to");
    two.inbox.clear();
    run(&mut rig, &mut [&mut one, &mut two], secs(10));
    dial(&mut rig, "5003", "1003");
    run(&mut rig, &mut [&mut one, &mut two], Duration::ZERO);
    request(&two.inbox, Method::Invite);
}

fn query(rig: &Rig) -> u64 {
    match rig.questions.last() {
        Some(crosspoint::gateway::Output::Resolve { query, .. }) => *query,
        other => panic!("no question: {other:?}"),
    }
}

#[test]
fn a_proxy_that_leaves_the_pool_is_not_tried_any_more_and_what_is_known_of_the_others_stays() {
    let mut with = watched(1);
    with.trunks[0].destinations = vec![Destination::Name { host: "pool.example".into(), port: None, transport: None }];
    let mut rig = Rig::with(with, 1, 8);
    let targets = proxies(&[trunk_addr(), spare_addr()]);
    rig.input(Input::Resolved { query: query(&rig), targets, ttl: secs(60) });
    let (mut one, mut two) = (Server::first(), Server::spare());
    run(&mut rig, &mut [&mut one, &mut two], secs(1));
    two.is_up = false;
    run(&mut rig, &mut [&mut one, &mut two], secs(49));
    assert_eq!(healths(&rig), [Health::Up, Health::Down]);
    run(&mut rig, &mut [&mut one, &mut two], secs(11));
    rig.input(Input::Resolved { query: query(&rig), targets: proxies(&[spare_addr()]), ttl: secs(60) });
    assert_eq!(healths(&rig), [Health::Down]);
    let (browser, _) = dial(&mut rig, "5001", "1003");
    last_status(&rig.take(browser.path), 503);
}

#[test]
fn with_business_continuity_each_dn_is_registered_with_both_peers_and_called_from_either() {
    let mut with = watched(1);
    with.trunks[0].destinations = [trunk_addr(), spare_addr()].map(by_udp).into();
    with.trunks[0].policy.register = Some(DnRegistration { all_targets: true, ..DnRegistration::default() });
    let mut rig = Rig::with(with, 1, 8);
    let (mut one, mut two) = (Server::first(), Server::spare());
    run(&mut rig, &mut [&mut one, &mut two], secs(1));
    let browser = sign_in(&mut rig, &mut [&mut one, &mut two], "5001").0;
    for server in [&one, &two] {
        assert_eq!(server.bindings["5001"], "sip:5001@192.0.2.54:5060");
    }
    for server in [&one, &two] {
        let mut ua = server.ua();
        let mut call = ua.invite("5001", Some(&sdp::genesys_offer()), &[]);
        rig.deliver(server.path, call.invite.raw().clone());
        let ringing = request(&rig.take(browser.path), Method::Invite);
        rig.deliver(browser.path, browser.respond(&ringing, 200, Some(&sdp::chromium_answer())));
        let ok = last_status(&rig.take(server.path), 200);
        call.learn(&ok);
        let ack = ua.ack(&call, &ok, None);
        rig.deliver(server.path, ack);
        let bye = ua.within(&mut call, Method::Bye, &[], None);
        rig.deliver(server.path, bye);
        let bye = request(&rig.take(browser.path), Method::Bye);
        rig.deliver(browser.path, browser.respond(&bye, 200, None));
        rig.take(server.path);
    }

    // One site is lost: the DN stays registered at the other, new calls go there, the agent's registration goes on.
    one.is_up = false;
    run(&mut rig, &mut [&mut one, &mut two], secs(60));
    assert_eq!((healths(&rig), state(&rig).registrations.unwrap().registered), (vec![Health::Down, Health::Up], 1));
    dial_with(&mut rig, &mut [&mut one, &mut two], "5002", "1003");
    request(&two.inbox, Method::Invite);
    assert!(one.inbox.iter().all(|m| m.method() != Method::Invite));

    // The site is back, and is told of all DNs.
    one.bindings.clear();
    one.is_up = true;
    run(&mut rig, &mut [&mut one, &mut two], secs(15));
    assert_eq!(one.bindings.keys().collect::<Vec<_>>(), ["5001", "5002"]);
}

#[test]
fn without_business_continuity_the_dns_move_to_the_other_sip_server_and_stay_there() {
    let mut with = watched(2);
    with.trunks[0].policy.register = Some(DnRegistration::default());
    let mut rig = Rig::with(with, 1, 8);
    let (mut one, mut two) = (Server::first(), Server::spare());
    run(&mut rig, &mut [&mut one, &mut two], secs(1));
    sign_in(&mut rig, &mut [&mut one, &mut two], "5001");
    assert_eq!((one.bindings.len(), two.bindings.len()), (1, 0));
    one.is_up = false;
    run(&mut rig, &mut [&mut one, &mut two], secs(50));
    assert_eq!(two.bindings.len(), 1);
    one.is_up = true;
    one.registers.clear();
    run(&mut rig, &mut [&mut one, &mut two], secs(60));
    assert!(one.registers.is_empty(), "no flapping: {:?}", one.expires());
    assert_eq!(two.registers[0].1.number(Name::Expires), Some(1800));
}
