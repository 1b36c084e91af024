//! The trunk calls a DN.

use std::time::Duration;

use crosspoint::call::{Direction, EventKind, ReleaseCause};
use crosspoint::gateway::{DnRule, DnSet};
use crosspoint::id::WorkerId;
use crosspoint::plan::{Order, Topology};
use crosspoint::sip::message::{Method, Name};

use crate::peers::{Offered, Ua, inbound_call, last_status, request, signed_in};
use crate::rig::{PASSWORD, Rig, config, trunk_addr, udp};
use crate::sdp;

#[test]
fn a_customer_calls_the_browser_rings_and_they_talk() {
    let mut rig = Rig::new();
    inbound_call(&mut rig);
    assert_eq!(rig.kinds(), [&EventKind::Dialing, &EventKind::Ringing, &EventKind::Established]);
    let event = &rig.events[2];
    assert_eq!((event.dn.as_str(), event.peer.as_str(), event.direction), ("5001", "1003", Direction::Inbound));
    assert!(rig.events.iter().enumerate().all(|(n, event)| event.sequence == n as u64));
    assert_eq!(rig.ports.len(), 2);
    assert!(matches!(rig.orders.last(), Some((WorkerId(0), Order::Connect(Topology::Pair(_, _))))));
}

#[test]
fn the_180_carries_the_dn_as_user_of_its_contact() {
    let mut rig = Rig::new();
    let Offered { trunk, .. } = Offered::ringing(&mut rig, "5001");
    let ringing = last_status(&rig.take(trunk.path), 180);
    assert_eq!(ringing.contacts().next().unwrap().unwrap().uri, "sip:5001@192.0.2.54:5060");
    assert!(ringing.body().is_empty());
}

#[test]
fn an_unknown_dn_gets_404_and_one_that_is_not_there_480() {
    let mut rig = Rig::new();
    let mut trunk = Ua::trunk();
    for (dn, status) in [("4000", 404), ("5001", 480)] {
        trunk.call(&mut rig, dn, Some(&sdp::genesys_offer()), &[]);
        last_status(&rig.take(trunk.path), status);
    }
    assert!(rig.events.is_empty());
    rig.assert_clean();
}

#[test]
fn all_phones_of_the_dn_ring_and_the_losers_are_told_where_the_call_went() {
    let mut rig = Rig::new();
    let one = signed_in(&mut rig, "5001");
    let two = signed_in(&mut rig, "5001");
    let mut trunk = Ua::trunk();
    trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
    let at_one = request(&rig.take(one.path), Method::Invite);
    let at_two = request(&rig.take(two.path), Method::Invite);
    rig.deliver(one.path, one.respond(&at_one, 180, None));
    rig.deliver(two.path, two.respond(&at_two, 180, None));
    assert_eq!(rig.ports.len(), 3);
    rig.deliver(two.path, two.respond(&at_two, 200, Some(&sdp::chromium_answer())));
    let cancel = request(&rig.take(one.path), Method::Cancel);
    assert_eq!(cancel.header(Name::Reason).unwrap(), b"SIP;cause=200;text=\"Call completed elsewhere\"");
    rig.deliver(one.path, one.respond(&cancel, 200, None));
    rig.deliver(one.path, one.respond(&at_one, 487, None));
    request(&rig.take(one.path), Method::Ack);
    assert_eq!(rig.ports.len(), 2);
    last_status(&rig.take(trunk.path), 200);
}

#[test]
fn a_refusal_of_the_browser_is_mapped() {
    for (said, heard) in [(486, 486), (603, 603), (480, 480), (488, 488), (500, 480), (404, 480), (401, 480)] {
        let mut rig = Rig::new();
        let Offered { browser, trunk, invite, .. } = Offered::inbound(&mut rig, "5001");
        rig.deliver(browser.path, browser.respond(&invite, said, None));
        last_status(&rig.take(trunk.path), heard);
        let released = EventKind::Released { cause: ReleaseCause::Refused(heard), browser: None, trunk: None };
        let Some(EventKind::Released { cause, .. }) = rig.kinds().last().copied() else { panic!("{:?}", rig.events) };
        assert!(matches!(&released, EventKind::Released { cause: expected, .. } if expected == cause));
        rig.assert_clean();
    }
}

#[test]
fn nobody_answers_and_the_caller_hears_480() {
    let mut with = config();
    with.calls.ring_timeout = Duration::from_secs(20);
    let mut rig = Rig::with(with, 1, 4);
    let Offered { browser, trunk, .. } = Offered::ringing(&mut rig, "5001");
    rig.advance(Duration::from_secs(19));
    assert!(!rig.take(trunk.path).iter().any(|m| m.status() >= 300));
    rig.advance(Duration::from_secs(2));
    last_status(&rig.take(trunk.path), 480);
    request(&rig.take(browser.path), Method::Cancel);
    rig.assert_clean();
}

#[test]
fn a_dn_rings_as_long_as_its_own_rule_says() {
    let mut with = config();
    with.calls.ring_timeout = Duration::from_secs(20);
    let own = DnRule { dns: DnSet::One("5001".to_owned()), ring: Some(Duration::from_secs(5)), ..with.dns[0].clone() };
    with.dns.insert(0, own);
    for (dn, rings) in [("5001", 5), ("5002", 20)] {
        let mut rig = Rig::with(with.clone(), 1, 4);
        signed_in(&mut rig, dn);
        let mut trunk = Ua::trunk();
        trunk.call(&mut rig, dn, Some(&sdp::genesys_offer()), &[]);
        rig.advance(Duration::from_secs(rings - 1));
        assert!(!rig.take(trunk.path).iter().any(|m| m.status() >= 300), "{dn}");
        rig.advance(Duration::from_secs(2));
        last_status(&rig.take(trunk.path), 480);
    }
}

#[test]
fn the_customer_hangs_up_while_it_rings_and_the_browser_hears_why() {
    let mut rig = Rig::new();
    let Offered { browser, trunk, call, .. } = Offered::ringing(&mut rig, "5001");
    rig.deliver(trunk.path, trunk.cancel(&call, Some("SIP;cause=403;text=\"Forbidden\"")));
    let cancel = request(&rig.take(browser.path), Method::Cancel);
    assert_eq!(cancel.header(Name::Reason).unwrap(), b"SIP;cause=403;text=\"Forbidden\"");
    last_status(&rig.take(trunk.path), 487);
    assert!(matches!(rig.kinds().last(), Some(EventKind::Released { cause: ReleaseCause::Trunk, .. })));
    rig.assert_clean();
}

#[test]
fn a_200_that_crosses_the_cancel_is_acked_and_byed() {
    let mut rig = Rig::new();
    let Offered { browser, trunk, call, invite } = Offered::ringing(&mut rig, "5001");
    rig.deliver(trunk.path, trunk.cancel(&call, None));
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    let sent = rig.take(browser.path);
    request(&sent, Method::Ack);
    request(&sent, Method::Bye);
    rig.assert_clean();
}

#[test]
fn an_offerless_invite_gets_our_own_offer_on_both_sides() {
    let mut rig = Rig::new();
    let browser = signed_in(&mut rig, "5001");
    let mut trunk = Ua::trunk();
    let mut call = trunk.call(&mut rig, "5001", None, &[("Supported", "timer")]);
    let invite = request(&rig.take(browser.path), Method::Invite);
    assert!(String::from_utf8_lossy(invite.body()).contains("a=setup:actpass"));
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    let ok = last_status(&rig.take(trunk.path), 200);
    assert!(String::from_utf8_lossy(ok.body()).contains("RTP/AVP"));
    call.learn(&ok);
    let ack = trunk.ack(&call, &ok, Some(&sdp::trunk_answer()));
    rig.deliver(trunk.path, ack);
    let update = rig.orders.iter().find_map(|(_, order)| match order {
        Order::UpdateRtp(_, remote) => Some(remote.rtp),
        _ => None,
    });
    assert_eq!(update, Some("192.0.2.90:20400".parse().unwrap()));
    assert_eq!(rig.snapshot().calls.len(), 1);
}

#[test]
fn an_ack_without_the_answer_that_is_due_ends_the_call() {
    let mut rig = Rig::new();
    let browser = signed_in(&mut rig, "5001");
    let mut trunk = Ua::trunk();
    let mut call = trunk.call(&mut rig, "5001", None, &[]);
    let invite = request(&rig.take(browser.path), Method::Invite);
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    trunk.acknowledge(&mut rig, &mut call);
    request(&rig.take(trunk.path), Method::Bye);
    request(&rig.take(browser.path), Method::Bye);
    rig.assert_clean();
}

#[test]
fn a_200_that_is_never_acknowledged_ends_the_call() {
    let mut rig = Rig::new();
    let Offered { browser, invite, .. } = Offered::inbound(&mut rig, "5001");
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    rig.take(browser.path);
    rig.advance(Duration::from_secs(40));
    let bye = request(&rig.take(browser.path), Method::Bye);
    assert_eq!(bye.header(Name::Reason).unwrap(), b"SIP;cause=408;text=\"ACK timeout\"");
    assert!(matches!(rig.kinds().last(), Some(EventKind::Released { cause: ReleaseCause::AckTimeout, .. })));
    rig.assert_clean();
}

#[test]
fn the_asserted_caller_and_the_call_uuid_reach_the_browser_and_the_events() {
    let mut rig = Rig::new();
    let browser = signed_in(&mut rig, "5001");
    let mut trunk = Ua::trunk();
    let uuid = "00ABCDEFGHIJKLMNOPQRSTUV12345678";
    let extra = [("P-Asserted-Identity", "\"Ann B\" <sip:0301234567@192.0.2.81>"), ("X-Genesys-CallUUID", uuid)];
    trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &extra);
    let invite = request(&rig.take(browser.path), Method::Invite);
    assert_eq!(invite.from().uri, "sip:0301234567@gw.test");
    assert_eq!(invite.from().display, Some(&b"Ann B"[..]));
    assert_eq!(invite.extension("X-Genesys-CallUUID"), Some(uuid.as_bytes()));
    assert_eq!(rig.events[0].peer, "0301234567");
    assert_eq!(rig.events[0].call_uuid.as_deref(), Some(uuid));
}

#[test]
fn a_call_for_a_dn_may_come_from_any_address_of_the_group_on_any_port() {
    let mut with = config();
    with.trunks[0].sources = vec!["192.0.2.99".parse().unwrap()];
    let mut rig = Rig::with(with, 1, 4);
    let browser = signed_in(&mut rig, "5001");
    for from in ["192.0.2.99:34567", "192.0.2.81:5070"] {
        let mut server = Ua::server(udp(from.parse().unwrap()));
        server.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
        request(&rig.take(browser.path), Method::Invite);
    }
}

#[test]
fn no_codec_in_common_is_488_before_anything_rings() {
    let mut rig = Rig::new();
    let browser = signed_in(&mut rig, "5001");
    let mut trunk = Ua::trunk();
    for (sdp, status) in [(sdp::g729_only(), 488), ("v=0\r\nnonsense".to_owned(), 400)] {
        trunk.call(&mut rig, "5001", Some(&sdp), &[]);
        last_status(&rig.take(trunk.path), status);
    }
    assert!(rig.take(browser.path).is_empty());
    rig.assert_clean();
}

#[test]
fn all_legs_of_one_agent_live_on_one_worker_and_agents_are_spread() {
    let mut rig = Rig::with(config(), 2, 8);
    let mut trunk = Ua::trunk();
    for dn in ["5001", "5002"] {
        let mut browser = Ua::browser(&mut rig, dn);
        browser.sign_in(&mut rig, PASSWORD);
        for _ in 0..2 {
            trunk.call(&mut rig, dn, Some(&sdp::genesys_offer()), &[]);
        }
    }
    let on = |worker| rig.ports.values().filter(|port| port.worker == WorkerId(worker)).count();
    assert_eq!((on(0), on(1)), (4, 4));
    assert_eq!(trunk.path.remote(), trunk_addr());
}

#[test]
fn an_asserted_identity_without_a_number_gives_way_to_from_and_a_display_name_forges_nothing() {
    let mut rig = Rig::new();
    let browser = signed_in(&mut rig, "5001");
    for (asserted, uri, display) in [
        ("<sip:192.0.2.81>", "sip:1003@gw.test", None),
        (
            "\"A \\\" <sip:boss@x>\" <sip:+4930%22123@192.0.2.81>",
            "sip:+4930%22123@gw.test",
            Some(&b"A  <sip:boss@x>"[..]),
        ),
    ] {
        let mut trunk = Ua::trunk();
        trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[("P-Asserted-Identity", asserted)]);
        let invite = request(&rig.take(browser.path), Method::Invite);
        assert_eq!((invite.from().uri, invite.from().display), (uri, display));
    }
}
