//! Requests that are no INVITE.

use std::time::Duration;

use bytes::Bytes;
use crosspoint::call::EventKind;
use crosspoint::plan::{Digit, Order};
use crosspoint::sip::message::{Method, Name};

use crate::peers::{Talk, Ua, inbound_call, last_status, request, signed_in};
use crate::rig::{REALM, Rig, udp};
use crate::sdp;

const RELAY: &str = "application/dtmf-relay";

/// Sends an INFO of the browser and returns the status.
fn info(rig: &mut Rig, talk: &mut Talk, kind: &str, body: &str) -> u16 {
    rig.take(talk.browser.path);
    let bytes = talk.browser.within(&mut talk.at_browser, Method::Info, &[], Some((kind, body)));
    rig.deliver(talk.browser.path, bytes);
    rig.take_one(talk.browser.path).status()
}

fn digits(rig: &Rig) -> Vec<(u8, u128)> {
    rig.orders
        .iter()
        .filter_map(|(_, order)| match order {
            Order::SendDigit(_, digit) => Some((digit.event, digit.duration.as_millis())),
            _ => None,
        })
        .collect()
}

#[test]
fn options_tells_what_we_can() {
    let mut rig = Rig::new();
    let mut trunk = Ua::trunk();
    let bytes = trunk.request(Method::Options, &format!("sip:{REALM}"), &[], None);
    rig.deliver(trunk.path, bytes);
    let ok = rig.take_one(trunk.path);
    assert_eq!(ok.status(), 200);
    assert!(ok.headers(Name::Allow).any(|m| m == b"INVITE") && ok.header(Name::Accept).is_some());
    assert!(ok.header(Name::Supported).is_some());
}

#[test]
fn options_of_a_stranger_is_answered_as_its_invite_would_be() {
    let mut rig = Rig::new();
    let mut stranger = Ua::server(udp("203.0.113.9:5060".parse().unwrap()));
    let bytes = stranger.request(Method::Options, &format!("sip:{REALM}"), &[], None);
    rig.deliver(stranger.path, bytes);
    assert_eq!(rig.take_one(stranger.path).status(), 403);
}

#[test]
fn requests_outside_a_dialog_get_the_status_of_their_rfc() {
    let mut rig = Rig::new();
    let mut browser = signed_in(&mut rig, "5001");
    let unknown = Method::parse(b"CHAT").unwrap();
    for (method, status) in [(Method::Subscribe, 489), (Method::Publish, 489), (Method::Message, 405), (unknown, 405)] {
        let bytes = browser.request(method.clone(), &format!("sip:1003@{REALM}"), &[("Event", "presence")], None);
        rig.deliver(browser.path, bytes);
        let answer = rig.take_one(browser.path);
        assert_eq!(answer.status(), status, "{method:?}");
        assert!(status != 405 || answer.header(Name::Allow).is_some());
    }
}

#[test]
fn a_key_by_info_becomes_a_digit_for_the_trunk_and_an_event() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    assert_eq!(info(&mut rig, &mut talk, RELAY, "Signal=5\r\nDuration=160"), 200);
    assert_eq!(info(&mut rig, &mut talk, RELAY, "Signal= #\r\nDuration= 2000\r\n"), 200);
    assert_eq!(info(&mut rig, &mut talk, RELAY, "Signal=d\r\n"), 200);
    assert_eq!(info(&mut rig, &mut talk, "application/dtmf", "*"), 200);
    assert_eq!(digits(&rig), [(5, 160), (11, 2000), (15, 160), (10, 160)]);
    let digit = Digit { event: 5, duration: Duration::from_millis(160) };
    assert!(rig.kinds().contains(&&EventKind::Digit { digit, from_agent: true }));
    assert_eq!(rig.snapshot().counters.info_digits, 4);
}

#[test]
fn the_length_of_a_key_is_kept_within_reason() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    info(&mut rig, &mut talk, RELAY, "Signal=1\r\nDuration=1");
    info(&mut rig, &mut talk, RELAY, "Signal=1\r\nDuration=99999");
    assert_eq!(digits(&rig), [(1, 40), (1, 6000)]);
}

#[test]
fn a_key_that_is_none_gets_400_and_another_body_415() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    for body in ["Signal=E\r\n", "Signal=12\r\n", "Duration=160\r\n", "Signal=1\r\nDuration=x", "\u{fffd}", "Signal="] {
        assert_eq!(info(&mut rig, &mut talk, RELAY, body), 400, "{body:?}");
    }
    assert_eq!(info(&mut rig, &mut talk, "text/plain", "5"), 415);
    assert!(digits(&rig).is_empty());
}

#[test]
fn notify_talk_and_hold_get_200_and_other_events_489() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    for (event, status) in [("talk", 200), ("hold", 200), ("message-summary", 489), ("refer", 481)] {
        rig.take(talk.trunk.path);
        let extra = [("Event", event), ("Subscription-State", "active")];
        let bytes = talk.trunk.within(&mut talk.at_trunk, Method::Notify, &extra, None);
        rig.deliver(talk.trunk.path, bytes);
        let answer = rig.take(talk.trunk.path).into_iter().find(|message| !message.is_request());
        assert_eq!(answer.unwrap().status(), status, "{event}");
    }
    assert!(rig.take(talk.browser.path).is_empty(), "never relayed to the browser");
    assert_eq!(rig.snapshot().counters.notifies, 2);
}

#[test]
fn the_call_uuid_may_change_in_mid_call() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let extra = [("Event", "talk"), ("Subscription-State", "active"), ("X-Genesys-CallUUID", "NEW0")];
    let bytes = talk.trunk.within(&mut talk.at_trunk, Method::Notify, &extra, None);
    rig.deliver(talk.trunk.path, bytes);
    assert_eq!(rig.snapshot().calls[0].call_uuid.as_deref(), Some("NEW0"));
}

#[test]
fn the_call_uuid_is_taken_from_the_trunks_ack_and_from_no_message_of_a_browser() {
    let mut rig = Rig::new();
    let browser = signed_in(&mut rig, "5001");
    let mut trunk = Ua::trunk();
    let mut at_trunk = trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
    let ringing = request(&rig.take(browser.path), Method::Invite);
    rig.deliver(browser.path, browser.respond(&ringing, 200, Some(&sdp::chromium_answer())));
    let ok = last_status(&rig.take(trunk.path), 200);
    at_trunk.learn(&ok);
    let uuid = |rig: &Rig| rig.snapshot().calls[0].call_uuid.clone();
    let ack = with_uuid(trunk.ack(&at_trunk, &ok, None), "ACK0");
    rig.deliver(trunk.path, ack);
    assert_eq!(uuid(&rig).as_deref(), Some("ACK0"));

    let mut browser = browser;
    let mut at_browser = browser.dialog_of(&ringing);
    let extra = [("Event", "talk"), ("Subscription-State", "active"), ("X-Genesys-CallUUID", "FORGED")];
    let notify = browser.within(&mut at_browser, Method::Notify, &extra, None);
    rig.deliver(browser.path, notify);
    assert_eq!(uuid(&rig).as_deref(), Some("ACK0"));
    let bye = browser.within(&mut at_browser, Method::Bye, &[("X-Genesys-CallUUID", "FORGED")], None);
    rig.deliver(browser.path, bye);
    assert_eq!(rig.events.last().unwrap().call_uuid.as_deref(), Some("ACK0"));
}

#[test]
fn a_browser_that_cancels_or_refuses_names_no_call_uuid() {
    let mut rig = Rig::new();
    let mut browser = signed_in(&mut rig, "5001");
    let call = browser.call(&mut rig, "1003", Some(&sdp::chromium_offer()), &[]);
    rig.deliver(browser.path, with_uuid(browser.cancel(&call, None), "FORGED"));
    assert_eq!(rig.events.last().unwrap().call_uuid, None);

    let mut trunk = Ua::trunk();
    rig.take(browser.path);
    trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[("X-Genesys-CallUUID", "TRUE0")]);
    let ringing = request(&rig.take(browser.path), Method::Invite);
    rig.deliver(browser.path, with_uuid(browser.respond(&ringing, 486, None), "FORGED"));
    assert_eq!(rig.events.last().unwrap().call_uuid.as_deref(), Some("TRUE0"));
}

/// The same message with the header.
fn with_uuid(message: Bytes, uuid: &str) -> Bytes {
    let text = String::from_utf8(message.to_vec()).unwrap();
    Bytes::from(text.replacen("Call-ID:", &format!("X-Genesys-CallUUID: {uuid}\r\nCall-ID:"), 1))
}

#[test]
fn an_update_without_sdp_is_answered() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.browser.path);
    let bytes = talk.browser.within(&mut talk.at_browser, Method::Update, &[], None);
    rig.deliver(talk.browser.path, bytes);
    assert_eq!(rig.take_one(talk.browser.path).status(), 200);
    assert_eq!(rig.snapshot().calls.len(), 1);
}

#[test]
fn an_in_dialog_options_is_answered() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    let bytes = talk.trunk.within(&mut talk.at_trunk, Method::Options, &[], None);
    rig.deliver(talk.trunk.path, bytes);
    assert_eq!(rig.take_one(talk.trunk.path).status(), 200);
}

#[test]
fn keep_alives_and_rubbish_change_nothing() {
    let mut rig = Rig::new();
    let browser = signed_in(&mut rig, "5001");
    for bytes in [&b"\r\n\r\n"[..], b"\r\n", b"", b"GET / HTTP/1.1\r\n\r\n", &[0xFF; 200]] {
        rig.deliver(browser.path, Bytes::copy_from_slice(bytes));
        rig.deliver(udp("203.0.113.9:5060".parse().unwrap()), Bytes::copy_from_slice(bytes));
    }
    assert_eq!(rig.snapshot().registrations.len(), 1);
    rig.assert_clean();
}
