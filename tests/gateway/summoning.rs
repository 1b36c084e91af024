//! The SIP Server has an agent's phone make a call: REFER outside any dialog (Genesys MakeCall, `refer-enabled`).

use std::time::Duration;

use crosspoint::call::{AnswerMode, EventKind};
use crosspoint::gateway::{GatewayConfig, Input};
use crosspoint::plan::{Order, Topology};
use crosspoint::sip::message::{Message, Method, Name};

use crate::handover::fragments;
use crate::peers::{Dialog, Ua, last_status, request, signed_in};
use crate::rig::{Rig, by_udp, config, spare_addr, trunk_addr, udp};
use crate::sdp;

const UUID: &str = "0HFK2M9QJ8F6B7L3N5P1R4S6T8V0W2X4";

/// The REFER of the SIP Server.
fn refer(trunk: &mut Ua, to: &str, extra: &[(&str, &str)]) -> bytes::Bytes {
    let contact = trunk.contact.clone();
    let mut headers = vec![("Contact", contact.as_str()), ("Refer-To", to), ("X-Genesys-CallUUID", UUID)];
    headers.extend_from_slice(extra);
    trunk.request(Method::Refer, "sip:5001@192.0.2.54:5060", &headers, None)
}

/// A phone that was told to call 1003, up to its INVITE.
fn told(with: GatewayConfig) -> (Rig, Ua, Ua, Message) {
    let mut rig = Rig::with(with, 1, 8);
    let browser = signed_in(&mut rig, "5001");
    let mut trunk = Ua::trunk();
    let refer = refer(&mut trunk, "<sip:1003@192.0.2.81>", &[("Referred-By", "<sip:5001@192.0.2.81>")]);
    rig.deliver(trunk.path, refer);
    let invite = request(&rig.take(browser.path), Method::Invite);
    (rig, browser, trunk, invite)
}

/// Takes all that was sent to the trunk, whose NOTIFYs are answered.
fn read(rig: &mut Rig, trunk: &Ua) -> Vec<Message> {
    let all = rig.take(trunk.path);
    for notify in all.iter().filter(|m| m.is_request() && m.method() == Method::Notify) {
        rig.deliver(trunk.path, trunk.respond(notify, 200, None));
    }
    all
}

fn answers(rig: &mut Rig, browser: &Ua, invite: &Message) -> Dialog {
    rig.deliver(browser.path, browser.respond(invite, 200, Some(&sdp::chromium_answer())));
    request(&rig.take(browser.path), Method::Ack);
    browser.dialog_of(invite)
}

#[test]
fn a_refer_outside_any_dialog_has_the_agents_phone_call_the_number() {
    let (mut rig, mut browser, trunk, invite) = told(config());
    assert_eq!(invite.from().uri, "sip:1003@gw.test", "the phone shows whom it is to call");
    let first = read(&mut rig, &trunk);
    let accepted = last_status(&first, 202);
    assert!(accepted.contacts().next().unwrap().unwrap().uri.starts_with("sip:5001@"));
    let trying = request(&first, Method::Notify);
    assert_eq!((trying.call_id(), trying.from().tag()), (accepted.call_id(), accepted.to().tag()));
    assert_eq!(trying.to().tag(), accepted.from().tag());
    assert_eq!(trying.request_uri(), "sip:1003@192.0.2.81:5060", "the Contact of the REFER");
    assert_eq!(fragments(&first), [(100, false)]);

    rig.deliver(browser.path, browser.respond(&invite, 180, None));
    let info = request(&rig.take(browser.path), Method::Info);
    assert_eq!(info.body(), b"{\"command\":\"answer\"}", "nobody has to click");
    rig.deliver(browser.path, browser.respond(&info, 200, None));
    let mut at_browser = answers(&mut rig, &browser, &invite);

    let out = request(&read(&mut rig, &trunk), Method::Invite);
    assert_eq!((out.request_uri(), out.from().uri), ("sip:1003@192.0.2.81:5060", "sip:5001@192.0.2.54:5060"));
    assert_eq!(out.extension("X-Genesys-CallUUID"), Some(UUID.as_bytes()));
    assert_eq!(out.header(Name::ReferredBy), Some(&b"<sip:5001@192.0.2.81>"[..]));
    rig.deliver(trunk.path, trunk.respond(&out, 180, None));
    assert_eq!(fragments(&read(&mut rig, &trunk)), [(180, false)]);
    assert!(matches!(rig.orders.last(), Some((_, Order::Connect(Topology::Parked(..))))), "the agent hears it ring");
    rig.deliver(trunk.path, trunk.respond(&out, 200, Some(&sdp::trunk_answer())));
    let last = read(&mut rig, &trunk);
    request(&last, Method::Ack);
    assert_eq!(fragments(&last), [(200, true)]);
    assert!(request(&last, Method::Notify).cseq().number > trying.cseq().number);
    assert!(matches!(rig.orders.last(), Some((_, Order::Connect(Topology::Pair(..))))));
    assert!(matches!(rig.kinds()[..], [EventKind::Dialing, EventKind::Ringing, EventKind::Established]));
    let view = &rig.snapshot().calls[0];
    assert_eq!((view.dn.as_str(), view.peer.as_str(), view.call_uuid.as_deref()), ("5001", "1003", Some(UUID)));

    let bye = browser.within(&mut at_browser, Method::Bye, &[], None);
    rig.deliver(browser.path, bye);
    let bye = request(&read(&mut rig, &trunk), Method::Bye);
    rig.deliver(trunk.path, trunk.respond(&bye, 200, None));
    rig.assert_clean();
    rig.advance(Duration::from_secs(70));
    assert_eq!((rig.snapshot().sessions, rig.snapshot().transactions), (0, 0));
}

#[test]
fn what_cannot_be_is_refused_at_once() {
    let mut rig = Rig::new();
    let _browser = signed_in(&mut rig, "5001");
    let mut trunk = Ua::trunk();
    let contact = trunk.contact.clone();
    type Case = (&'static str, &'static [(&'static str, &'static str)], u16);
    let cases: [Case; 6] = [
        ("sip:9999@gw.test", &[("Refer-To", "<sip:1003@192.0.2.81>")], 404),
        ("sip:5002@gw.test", &[("Refer-To", "<sip:1003@192.0.2.81>")], 480),
        ("sip:5001@gw.test", &[], 400),
        ("sip:5001@gw.test", &[("Refer-To", "<sip:1@x>"), ("Refer-To", "<sip:2@x>")], 400),
        ("sip:5001@gw.test", &[("Refer-To", "<sip:@192.0.2.81>")], 400),
        ("sip:5001@gw.test", &[("Refer-To", "<mailto:ann@example.com>")], 416),
    ];
    for (uri, extra, status) in cases {
        let mut headers = vec![("Contact", contact.as_str())];
        headers.extend_from_slice(extra);
        let refer = trunk.request(Method::Refer, uri, &headers, None);
        rig.deliver(trunk.path, refer);
        assert_eq!(rig.take_one(trunk.path).status(), status, "{uri} {extra:?}");
    }
    rig.input(Input::Drain);
    let late = refer(&mut trunk, "<sip:1003@192.0.2.81>", &[]);
    rig.deliver(trunk.path, late);
    let refused = rig.take_one(trunk.path);
    assert_eq!((refused.status(), refused.number(Name::RetryAfter).is_some()), (503, true));
    assert!(rig.events.is_empty());
    rig.assert_clean();
}

#[test]
fn only_a_trunk_has_a_say_in_what_a_phone_does() {
    let mut rig = Rig::new();
    let victim = signed_in(&mut rig, "5001");
    let mut other = signed_in(&mut rig, "5002");
    let refer = other.request(Method::Refer, "sip:5001@gw.test", &[("Refer-To", "<sip:1003@gw.test>")], None);
    rig.deliver(other.path, refer);
    assert!(rig.take_one(other.path).status() >= 400);
    let mut stranger = Ua::server(udp("198.51.100.66:5060".parse().unwrap()));
    let refer = stranger.request(Method::Refer, "sip:5001@gw.test", &[("Refer-To", "<sip:1003@gw.test>")], None);
    rig.deliver(stranger.path, refer);
    assert_eq!(rig.take_one(stranger.path).status(), 403);
    assert!(rig.take(victim.path).is_empty() && rig.take(Ua::trunk().path).is_empty());
}

#[test]
fn an_agent_who_refuses_or_does_not_answer_is_told_to_the_sip_server_and_nobody_is_called() {
    let (mut rig, browser, trunk, invite) = told(config());
    rig.deliver(browser.path, browser.respond(&invite, 486, None));
    let sent = read(&mut rig, &trunk);
    assert_eq!(fragments(&sent), [(100, false), (486, true)]);
    assert!(sent.iter().all(|m| m.method() != Method::Invite));
    rig.assert_clean();

    let (mut rig, browser, trunk, invite) = told(config());
    rig.deliver(browser.path, browser.respond(&invite, 180, None));
    rig.advance(config().calls.ring_timeout + Duration::from_secs(1));
    request(&rig.take(browser.path), Method::Cancel);
    let all = fragments(&read(&mut rig, &trunk));
    assert_eq!(all.last(), Some(&(480, true)));
    rig.assert_clean();
}

#[test]
fn a_number_that_refuses_ends_the_call_of_the_agent_and_is_told() {
    let (mut rig, browser, trunk, invite) = told(config());
    answers(&mut rig, &browser, &invite);
    let out = request(&read(&mut rig, &trunk), Method::Invite);
    rig.deliver(trunk.path, trunk.respond(&out, 486, None));
    let bye = request(&rig.take(browser.path), Method::Bye);
    assert!(String::from_utf8_lossy(bye.header(Name::Reason).unwrap()).contains("cause=486"));
    assert_eq!(fragments(&read(&mut rig, &trunk)), [(486, true)]);
    rig.assert_clean();
}

#[test]
fn an_agent_who_hangs_up_while_the_number_rings_cancels_the_call() {
    let (mut rig, mut browser, trunk, invite) = told(config());
    let mut at_browser = answers(&mut rig, &browser, &invite);
    let out = request(&read(&mut rig, &trunk), Method::Invite);
    rig.deliver(trunk.path, trunk.respond(&out, 180, None));
    read(&mut rig, &trunk);
    let bye = browser.within(&mut at_browser, Method::Bye, &[], None);
    rig.deliver(browser.path, bye);
    let sent = read(&mut rig, &trunk);
    request(&sent, Method::Cancel);
    assert_eq!(fragments(&sent), [(487, true)]);
    rig.deliver(trunk.path, trunk.respond(&out, 487, None));
    rig.assert_clean();
}

#[test]
fn a_silent_server_of_the_trunk_is_followed_by_the_next() {
    let mut with = config();
    with.trunks[0].destinations = [trunk_addr(), spare_addr()].into_iter().map(by_udp).collect();
    let (mut rig, browser, trunk, invite) = told(with);
    answers(&mut rig, &browser, &invite);
    request(&read(&mut rig, &trunk), Method::Invite);
    rig.advance(Duration::from_millis(2100));
    let spare = Ua::server(udp(spare_addr()));
    let out = request(&rig.take(spare.path), Method::Invite);
    rig.deliver(spare.path, spare.respond(&out, 200, Some(&sdp::trunk_answer())));
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Established));
}

#[test]
fn a_nailed_phone_makes_the_call_by_the_leg_that_stands() {
    let mut with = config();
    with.dns[0].answer = AnswerMode::Nailed;
    let mut rig = Rig::with(with, 1, 8);
    let browser = signed_in(&mut rig, "5001");
    let stands = request(&rig.take(browser.path), Method::Invite);
    answers(&mut rig, &browser, &stands);
    let mut trunk = Ua::trunk();
    let refer = refer(&mut trunk, "<sip:1003@192.0.2.81>", &[]);
    rig.deliver(trunk.path, refer);
    let out = request(&read(&mut rig, &trunk), Method::Invite);
    assert!(rig.take(browser.path).is_empty(), "it answers nothing anew");
    rig.deliver(trunk.path, trunk.respond(&out, 200, Some(&sdp::trunk_answer())));
    assert!(matches!(rig.orders.last(), Some((_, Order::Connect(Topology::Pair(..))))));
    let mut at_trunk = trunk.dialog_of(&out);
    let bye = trunk.within(&mut at_trunk, Method::Bye, &[], None);
    rig.deliver(trunk.path, bye);
    assert!(rig.take(browser.path).iter().all(|m| m.method() != Method::Bye), "it stands on");
    assert_eq!(rig.ports.len(), 1);
}
