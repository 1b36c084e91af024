//! REFER and its subscription, on both sides; which dialog a Replaces means.

use std::time::Duration;

use super::peer::*;
use crate::sip::endpoint::*;
use crate::sip::message::{Builder, Message, Name};
use crate::sip::refer::Progress;

fn referred(peer: &mut Peer, tag: &str, cseq: u32, more: &str) -> (ServerTx, Message) {
    let refer = peer.in_dialog("REFER", cseq, tag, &format!("Refer-To: <sip:6001@192.0.2.54>\r\n{more}"));
    peer.receive(&refer);
    match peer.event() {
        Event::InDialog { tx, message, path, .. } => {
            assert_eq!(path, peer.path);
            (tx, message)
        }
        other => panic!("{other:?}"),
    }
}

fn accept(peer: &mut Peer, (tx, message): (ServerTx, Message)) -> Vec<Message> {
    peer.endpoint.respond(tx, Builder::response_to(&message, 202, None, None), peer.now);
    peer.sent()
}

fn text(message: &Message, name: Name) -> &str {
    message.header_str(name).unwrap_or_default()
}

#[test]
fn a_refer_that_is_accepted_is_told_100_at_once_and_then_what_becomes_of_it() {
    let mut peer = Peer::new(trunk());
    let (session, tag) = peer.connected_callee();
    let asked = referred(&mut peer, &tag, 2, "");
    let sent = accept(&mut peer, asked);
    assert_eq!(sent.iter().map(short).collect::<Vec<_>>(), ["202 REFER", "NOTIFY 1"]);
    assert!(sent[0].header(Name::Contact).is_some());
    assert_eq!(text(&sent[1], Name::Event), "refer");
    assert_eq!(text(&sent[1], Name::SubscriptionState), "active;expires=300");
    assert_eq!(sent[1].body(), b"SIP/2.0 100 Trying\r\n");
    peer.receive(&response(&sent[1], 200, ""));
    assert!(peer.endpoint.notify_refer(session, 2, 180, false, peer.now).is_some());
    assert!(peer.endpoint.notify_refer(session, 2, 200, true, peer.now).is_some());
    let sent = peer.sent();
    assert_eq!(sent[0].body(), b"SIP/2.0 180 Ringing\r\n");
    assert_eq!(text(&sent[1], Name::SubscriptionState), "terminated;reason=noresource");
    assert_eq!(sent[1].body(), b"SIP/2.0 200 OK\r\n");
    assert!(peer.endpoint.notify_refer(session, 2, 200, true, peer.now).is_none(), "it is over");
    assert!(peer.events().is_empty());
}

#[test]
fn a_second_refer_of_a_dialog_is_named_in_its_notifys() {
    let mut peer = Peer::new(trunk());
    let (session, tag) = peer.connected_callee();
    for cseq in [2, 3] {
        let asked = referred(&mut peer, &tag, cseq, "");
        accept(&mut peer, asked);
    }
    peer.endpoint.notify_refer(session, 3, 180, false, peer.now);
    assert_eq!(text(&peer.sent()[0], Name::Event), "refer;id=3");
    peer.endpoint.notify_refer(session, 2, 180, false, peer.now);
    assert_eq!(text(&peer.sent()[0], Name::Event), "refer");
}

#[test]
fn a_refer_that_wants_no_subscription_gets_none() {
    let mut peer = Peer::new(trunk());
    let (session, tag) = peer.connected_callee();
    let asked = referred(&mut peer, &tag, 2, "Refer-Sub: false\r\nSupported: norefersub\r\n");
    let sent = accept(&mut peer, asked);
    assert_eq!(sent.iter().map(short).collect::<Vec<_>>(), ["202 REFER"]);
    assert_eq!(text(&sent[0], Name::ReferSub), "false");
    assert!(peer.endpoint.notify_refer(session, 2, 200, true, peer.now).is_none());
}

#[test]
fn a_refer_that_is_refused_makes_no_subscription() {
    let mut peer = Peer::new(trunk());
    let (session, tag) = peer.connected_callee();
    let (tx, message) = referred(&mut peer, &tag, 2, "");
    peer.endpoint.respond(tx, Builder::response_to(&message, 603, None, None), peer.now);
    assert_eq!(peer.said(), ["603 REFER"]);
    assert!(peer.endpoint.notify_refer(session, 2, 180, false, peer.now).is_none());
}

#[test]
fn a_subscriber_that_is_gone_is_told_no_more() {
    let mut peer = Peer::new(trunk());
    let (session, tag) = peer.connected_callee();
    let asked = referred(&mut peer, &tag, 2, "");
    let sent = accept(&mut peer, asked);
    peer.receive(&response(&sent[1], 481, ""));
    assert!(peer.endpoint.notify_refer(session, 2, 180, false, peer.now).is_none());
}

#[test]
fn a_transfer_without_end_is_told_to_be_over_when_its_time_is() {
    let mut peer = Peer::new(trunk());
    let (session, tag) = peer.connected_callee();
    let asked = referred(&mut peer, &tag, 2, "");
    let sent = accept(&mut peer, asked);
    peer.receive(&response(&sent[1], 200, ""));
    peer.endpoint.notify_refer(session, 2, 180, false, peer.now);
    let ringing = peer.sent();
    peer.receive(&response(&ringing[0], 200, ""));
    peer.wait(Duration::from_secs(301));
    let last = peer.sent().remove(0);
    assert_eq!(text(&last, Name::SubscriptionState), "terminated;reason=timeout");
    assert_eq!(last.body(), b"SIP/2.0 180 Ringing\r\n");
}

#[test]
fn our_refer_is_followed_by_its_notifys_and_by_no_others() {
    let mut peer = Peer::new(trunk());
    let (session, tag) = peer.connected_callee();
    let notify = |peer: &mut Peer, cseq, event: &str, state: &str, body: &str| {
        let more = format!("Event: {event}\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag\r\n");
        let whole = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let text = peer.in_dialog("NOTIFY", cseq, &tag, &more).replace("Content-Length: 0\r\n\r\n", &whole);
        peer.receive(&text);
    };
    notify(&mut peer, 2, "refer", "active", "SIP/2.0 100 Trying\r\n");
    assert_eq!(peer.said(), ["481 NOTIFY"]);
    let refer = OutRefer {
        refer_to: "<sip:6001@192.0.2.81>".to_owned(),
        referred_by: Some("<sip:5001@192.0.2.54>".to_owned()),
        ..OutRefer::default()
    };
    let (tx, id) = peer.endpoint.refer(session, &refer, peer.now).expect("a dialog");
    let sent = peer.sent().remove(0);
    assert_eq!((short(&sent).as_str(), id), ("REFER 1", 1));
    assert_eq!(text(&sent, Name::ReferTo), "<sip:6001@192.0.2.81>");
    assert!(sent.header(Name::Contact).is_some());
    // The first NOTIFY overtakes the 202.
    notify(&mut peer, 3, "refer;id=1", "active;expires=60", "SIP/2.0 100 Trying\r\n");
    peer.receive(&response(&sent, 202, ""));
    let events = peer.events();
    let Event::InDialog { message, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!(Progress::of(message), Some(Progress { id: Some(1), status: Some(100), is_over: false }));
    assert!(matches!(&events[1], Event::Response { tx: answered, .. } if *answered == tx));
    notify(&mut peer, 4, "refer", "terminated;reason=noresource", "SIP/2.0 503 No\r\n");
    let Event::InDialog { message, .. } = peer.event() else { panic!("no event") };
    assert_eq!(Progress::of(&message), Some(Progress { id: None, status: Some(503), is_over: true }));
    notify(&mut peer, 5, "refer;id=1", "active", "SIP/2.0 180 Ringing\r\n");
    assert_eq!(peer.said(), ["481 NOTIFY"]);
    notify(&mut peer, 6, "talk", "active", "");
    assert!(matches!(peer.event(), Event::InDialog { .. }), "talk needs no subscription");
}

#[test]
fn a_refer_without_subscription_expects_no_notify() {
    let mut peer = Peer::new(trunk());
    let (session, tag) = peer.connected_callee();
    let refer = OutRefer { refer_to: "<sip:6001@192.0.2.81>".to_owned(), is_silent: true, ..OutRefer::default() };
    peer.endpoint.refer(session, &refer, peer.now).expect("a dialog");
    let sent = peer.sent().remove(0);
    assert_eq!(text(&sent, Name::ReferSub), "false");
    peer.receive(&response_with(&sent, 202, "", "Refer-Sub: false\r\n"));
    peer.events();
    let notify = peer.in_dialog("NOTIFY", 2, &tag, "Event: refer\r\nSubscription-State: active\r\n");
    peer.receive(&notify);
    assert_eq!(peer.said(), ["481 NOTIFY"]);
}

#[test]
fn a_dialog_is_found_by_both_tags_as_seen_from_us() {
    let mut peer = Peer::new(trunk());
    let (session, tag) = peer.connected_callee();
    let id = peer.endpoint.dialog_ids(session).expect("a dialog");
    let known =
        DialogId { call_id: "GUID-1@192.0.2.81".to_owned(), local_tag: tag.clone(), remote_tag: "GUID-7".to_owned() };
    assert_eq!(id, known);
    assert_eq!(peer.endpoint.find_dialog(&id.call_id, &tag, "GUID-7"), Some(session));
    assert_eq!(peer.endpoint.find_dialog(&id.call_id, "GUID-7", &tag), None, "the tags are not interchangeable");
    assert_eq!(peer.endpoint.find_dialog("other", &tag, "GUID-7"), None);
    assert!(peer.endpoint.is_confirmed(session));
    peer.endpoint.hang_up(session, &[], peer.now);
    assert_eq!(peer.endpoint.find_dialog(&id.call_id, &tag, "GUID-7"), None);
}

#[test]
fn each_fork_that_rings_is_a_dialog_of_its_own() {
    let mut peer = Peer::new(trunk());
    let (session, invite) = peer.call();
    for fork in ["one", "two"] {
        peer.receive(&response(&invite, 180, fork));
        assert!(matches!(peer.event(), Event::Provisional { fork: named, .. } if named == fork));
    }
    let ours = invite.from().tag().expect("a tag").to_owned();
    for fork in ["one", "two"] {
        assert_eq!(peer.endpoint.find_dialog(invite.call_id(), &ours, fork), Some(session));
    }
    assert!(!peer.endpoint.is_confirmed(session));
    peer.receive(&response(&invite, 200, "one"));
    assert!(matches!(peer.event(), Event::Answered { fork, .. } if fork == "one"));
    assert_eq!(peer.endpoint.find_dialog(invite.call_id(), &ours, "two"), None);
}
