//! A DN calls out by the trunk.

use std::time::Duration;

use crosspoint::call::{Direction, EventKind, ReleaseCause};
use crosspoint::gateway::TrunkView;
use crosspoint::plan::Order;
use crosspoint::sip::message::{Message, Method, Name};

use crate::peers::{Ua, last_status, outbound_call, request, signed_in};
use crate::rig::{Rig, by_udp, config, spare_addr, udp};
use crate::sdp;

/// 5001 dials 1003; returns the browser, its INVITE's dialog and what the trunk was sent.
fn dialling(rig: &mut Rig) -> (Ua, crate::peers::Dialog, Message) {
    let mut browser = signed_in(rig, "5001");
    let call = browser.call(rig, "1003", Some(&sdp::chromium_offer()), &[]);
    let invite = request(&rig.take(Ua::trunk().path), Method::Invite);
    (browser, call, invite)
}

#[test]
fn an_agent_dials_and_they_talk() {
    let mut rig = Rig::new();
    outbound_call(&mut rig);
    let kinds = rig.kinds();
    assert_eq!((kinds.first(), kinds.last()), (Some(&&EventKind::Dialing), Some(&&EventKind::Established)));
    let event = &rig.events[0];
    assert_eq!((event.dn.as_str(), event.peer.as_str(), event.direction), ("5001", "1003", Direction::Outbound));
}

#[test]
fn the_trunk_sees_the_dn_as_caller_and_plain_rtp() {
    let mut rig = Rig::new();
    let (_, _, invite) = dialling(&mut rig);
    assert_eq!(invite.request_uri(), "sip:1003@192.0.2.81:5060");
    assert_eq!(invite.from().uri, "sip:5001@192.0.2.54:5060");
    assert_eq!(invite.header(Name::PAssertedIdentity).unwrap(), b"<sip:5001@192.0.2.54:5060>");
    assert_eq!(invite.contacts().next().unwrap().unwrap().uri, "sip:5001@192.0.2.54:5060");
    let sdp = String::from_utf8_lossy(invite.body()).into_owned();
    assert!(sdp.contains("m=audio 11000 RTP/AVP 0 8 101") && !sdp.contains("fingerprint"), "{sdp}");
}

#[test]
fn an_identity_that_the_browser_asserts_is_not_passed_on() {
    let mut rig = Rig::new();
    let mut browser = signed_in(&mut rig, "5001");
    let extra = [("P-Asserted-Identity", "<sip:ceo@gw.test>"), ("X-Genesys-CallUUID", "FORGED")];
    browser.call(&mut rig, "1003", Some(&sdp::chromium_offer()), &extra);
    let invite = request(&rig.take(Ua::trunk().path), Method::Invite);
    let asserted: Vec<_> = invite.headers(Name::PAssertedIdentity).collect();
    assert_eq!(asserted, [&b"<sip:5001@192.0.2.54:5060>"[..]]);
    assert_eq!(rig.events[0].call_uuid, None);
}

#[test]
fn the_browser_hears_100_at_once() {
    let mut rig = Rig::new();
    let (browser, _, _) = dialling(&mut rig);
    assert_eq!(rig.take_one(browser.path).status(), 100);
}

#[test]
fn ringing_is_passed_on_and_reads_as_early_media_for_the_tone_is_ours() {
    let mut rig = Rig::new();
    let (browser, _, invite) = dialling(&mut rig);
    let trunk = Ua::trunk();
    rig.deliver(trunk.path, trunk.respond(&invite, 180, None));
    let ringing = last_status(&rig.take(browser.path), 183);
    assert!(!ringing.body().is_empty());
    assert_eq!(rig.kinds(), [&EventKind::Dialing, &EventKind::Ringing]);
}

#[test]
fn early_media_is_heard_and_the_200_says_the_same() {
    let mut rig = Rig::new();
    let (browser, _, invite) = dialling(&mut rig);
    let trunk = Ua::trunk();
    rig.deliver(trunk.path, trunk.respond(&invite, 183, Some(&sdp::trunk_answer())));
    let early = last_status(&rig.take(browser.path), 183);
    assert!(String::from_utf8_lossy(early.body()).contains("UDP/TLS/RTP/SAVPF"));
    assert!(matches!(rig.orders.last(), Some((_, Order::Connect(_)))));
    let before = rig.orders.len();
    rig.deliver(trunk.path, trunk.respond(&invite, 200, Some(&sdp::trunk_answer())));
    let ok = last_status(&rig.take(browser.path), 200);
    assert_eq!(ok.body(), early.body());
    assert_eq!(rig.orders.len(), before, "nothing changed for the media");
}

#[test]
fn a_200_from_another_port_than_the_early_media_moves_it() {
    let mut rig = Rig::new();
    let (_, _, invite) = dialling(&mut rig);
    let trunk = Ua::trunk();
    rig.deliver(trunk.path, trunk.respond(&invite, 183, Some(&sdp::trunk_answer())));
    rig.deliver(trunk.path, trunk.respond(&invite, 200, Some(&sdp::trunk_answer_from(20500))));
    let ports: Vec<u16> = rig
        .orders
        .iter()
        .filter_map(|(_, order)| match order {
            Order::UpdateRtp(_, remote) => Some(remote.rtp.port()),
            _ => None,
        })
        .collect();
    assert_eq!(ports, [20400, 20500]);
}

#[test]
fn refusals_of_the_trunk_are_passed_on_but_its_challenge_is_not() {
    for (said, heard) in
        [(404, 404), (486, 486), (603, 603), (480, 480), (503, 503), (488, 488), (302, 480), (401, 502), (407, 502)]
    {
        let mut rig = Rig::new();
        let (browser, call, invite) = dialling(&mut rig);
        let trunk = Ua::trunk();
        rig.deliver(trunk.path, trunk.respond(&invite, said, None));
        request(&rig.take(trunk.path), Method::Ack);
        let refusal = last_status(&rig.take(browser.path), heard);
        assert!(refusal.header(Name::WwwAuthenticate).is_none() && refusal.header(Name::ProxyAuthenticate).is_none());
        let mut browser = browser;
        let ack = browser.ack(&call, &refusal, None);
        rig.deliver(browser.path, ack);
        assert!(
            matches!(rig.kinds().last(), Some(EventKind::Released { cause: ReleaseCause::Refused(status), .. }) if *status == heard)
        );
        rig.assert_clean();
    }
}

#[test]
fn a_trunk_that_is_down_is_503_within_the_timers() {
    let mut rig = Rig::new();
    let (browser, _, _) = dialling(&mut rig);
    rig.advance(Duration::from_secs(7));
    let refusal = last_status(&rig.take(browser.path), 503);
    assert_eq!(refusal.number(Name::RetryAfter), Some(5));
    rig.assert_clean();
}

#[test]
fn a_trunk_that_only_says_100_is_waited_for() {
    let mut rig = Rig::new();
    let (browser, _, invite) = dialling(&mut rig);
    let trunk = Ua::trunk();
    rig.deliver(trunk.path, trunk.respond(&invite, 100, None));
    rig.advance(Duration::from_secs(60));
    assert!(!rig.take(browser.path).iter().any(|m| m.status() >= 300));
    rig.advance(Duration::from_secs(121));
    last_status(&rig.take(browser.path), 480);
    request(&rig.take(trunk.path), Method::Cancel);
    rig.assert_clean();
}

#[test]
fn the_next_target_is_tried_when_the_first_is_silent() {
    let mut with = config();
    with.trunks[0].destinations.push(by_udp(spare_addr()));
    let mut rig = Rig::with(with, 1, 4);
    let (browser, _, _) = dialling(&mut rig);
    rig.advance(Duration::from_millis(1990));
    let spare = Ua::server(udp(spare_addr()));
    assert!(rig.take(spare.path).is_empty());
    rig.advance(Duration::from_millis(20));
    let spare = Ua::server(udp(spare_addr()));
    let invite = request(&rig.take(spare.path), Method::Invite);
    rig.deliver(spare.path, spare.respond(&invite, 200, Some(&sdp::trunk_answer())));
    last_status(&rig.take(browser.path), 200);
    assert_eq!(rig.ports.len(), 2);
}

#[test]
fn the_next_target_is_tried_when_the_first_says_503_and_all_dead_are_503() {
    let mut with = config();
    with.trunks[0].destinations.push(by_udp(spare_addr()));
    let mut rig = Rig::with(with, 1, 4);
    let (browser, _, invite) = dialling(&mut rig);
    let trunk = Ua::trunk();
    rig.deliver(trunk.path, trunk.respond(&invite, 503, None));
    let spare = Ua::server(udp(spare_addr()));
    request(&rig.take(spare.path), Method::Invite);
    assert!(rig.take(browser.path).iter().all(|m| m.status() < 200));
    rig.advance(Duration::from_secs(7));
    last_status(&rig.take(browser.path), 503);
    let TrunkView { name, counters, .. } = rig.snapshot().trunks.remove(0);
    assert_eq!((name.as_str(), counters.outbound, counters.silent), ("genesys", 2, 1));
}

#[test]
fn the_browser_gives_up_and_the_trunk_is_cancelled() {
    let mut rig = Rig::new();
    let (browser, call, invite) = dialling(&mut rig);
    let trunk = Ua::trunk();
    rig.deliver(trunk.path, trunk.respond(&invite, 180, None));
    rig.deliver(browser.path, browser.cancel(&call, None));
    last_status(&rig.take(browser.path), 487);
    let cancel = request(&rig.take(trunk.path), Method::Cancel);
    rig.deliver(trunk.path, trunk.respond(&cancel, 200, None));
    rig.deliver(trunk.path, trunk.respond(&invite, 487, None));
    request(&rig.take(trunk.path), Method::Ack);
    assert!(matches!(rig.kinds().last(), Some(EventKind::Released { cause: ReleaseCause::Agent, .. })));
    rig.assert_clean();
}

#[test]
fn a_cancel_before_any_response_waits_for_the_first_one() {
    let mut rig = Rig::new();
    let (browser, call, invite) = dialling(&mut rig);
    let trunk = Ua::trunk();
    rig.deliver(browser.path, browser.cancel(&call, None));
    assert!(!rig.take(trunk.path).iter().any(|m| m.method() == Method::Cancel));
    rig.deliver(trunk.path, trunk.respond(&invite, 180, None));
    request(&rig.take(trunk.path), Method::Cancel);
    rig.assert_clean();
}

#[test]
fn an_offerless_invite_of_a_browser_gets_our_offer() {
    let mut rig = Rig::new();
    let mut browser = signed_in(&mut rig, "5001");
    let mut call = browser.call(&mut rig, "1003", None, &[]);
    let trunk = Ua::trunk();
    let invite = request(&rig.take(trunk.path), Method::Invite);
    rig.deliver(trunk.path, trunk.respond(&invite, 183, Some(&sdp::trunk_answer())));
    assert!(last_status(&rig.take(browser.path), 180).body().is_empty(), "no early offer without 100rel");
    rig.deliver(trunk.path, trunk.respond(&invite, 200, Some(&sdp::trunk_answer())));
    let ok = last_status(&rig.take(browser.path), 200);
    assert!(String::from_utf8_lossy(ok.body()).contains("a=setup:actpass"));
    call.learn(&ok);
    let ack = browser.ack(&call, &ok, Some(&sdp::chromium_answer()));
    rig.deliver(browser.path, ack);
    assert!(rig.orders.iter().any(|(_, order)| matches!(order, Order::UpdateBrowser(_, _))));
    assert_eq!(rig.snapshot().calls.len(), 1);
}

#[test]
fn a_200_of_the_trunk_that_cannot_be_used_is_acked_and_byed() {
    let mut rig = Rig::new();
    let (browser, _, invite) = dialling(&mut rig);
    let trunk = Ua::trunk();
    rig.deliver(trunk.path, trunk.respond(&invite, 200, None));
    let sent = rig.take(trunk.path);
    request(&sent, Method::Ack);
    request(&sent, Method::Bye);
    last_status(&rig.take(browser.path), 488);
    rig.assert_clean();
}
