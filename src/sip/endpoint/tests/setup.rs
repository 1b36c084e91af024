//! Setting up: forks, CANCEL and its races, 2xx and ACK.

use std::time::Duration;

use super::peer::*;
use crate::sip::endpoint::*;
use crate::sip::message::{Builder, Message, Name};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn cancel_waits_for_a_provisional() {
    let mut peer = Peer::new(trunk());
    let (session, invite) = peer.call();
    peer.endpoint.hang_up(session, &[], peer.now);
    assert!(peer.sent().is_empty());
    peer.receive(&response(&invite, 100, ""));
    let sent = peer.sent();
    assert_eq!(sent.iter().map(short).collect::<Vec<_>>(), ["CANCEL 1"]);
    assert_eq!(sent[0].via().branch(), invite.via().branch());
    assert_eq!(sent[0].request_uri(), invite.request_uri());
}

#[test]
fn cancel_goes_out_at_once_after_a_provisional_and_487_is_acknowledged() {
    let mut peer = Peer::new(trunk());
    let (session, invite) = peer.call();
    peer.receive(&response(&invite, 180, "p1"));
    assert!(matches!(peer.event(), Event::Provisional { .. }));
    let reason = ("Reason".to_owned(), b"SIP;cause=200".to_vec());
    peer.endpoint.hang_up(session, &[reason], peer.now);
    let sent = peer.sent();
    assert_eq!(short(&sent[0]), "CANCEL 1");
    assert_eq!(sent[0].header(Name::Reason), Some(&b"SIP;cause=200"[..]));
    peer.receive(&response(&sent[0], 200, "p1"));
    peer.receive(&response(&invite, 487, "p1"));
    assert_eq!(peer.said(), ["ACK 1"]);
    assert!(peer.events().is_empty());
}

#[test]
fn late_2xx_after_cancel_is_acked_and_byed() {
    let mut peer = Peer::new(trunk());
    let (session, invite) = peer.call();
    peer.receive(&response(&invite, 180, "p1"));
    peer.events();
    peer.endpoint.hang_up(session, &[], peer.now);
    peer.sent();
    peer.receive(&response(&invite, 200, "p1"));
    assert_eq!(peer.said(), ["ACK 1", "BYE 2"]);
    peer.receive(&response(&invite, 200, "p1"));
    assert_eq!(peer.said(), ["ACK 1"]);
    assert!(peer.events().is_empty());
}

#[test]
fn a_2xx_before_any_provisional_to_an_abandoned_invite_is_acked_and_byed() {
    let mut peer = Peer::new(trunk());
    let (session, invite) = peer.call();
    peer.endpoint.hang_up(session, &[], peer.now);
    peer.receive(&response(&invite, 200, "p1"));
    assert_eq!(peer.said(), ["ACK 1", "BYE 2"]);
}

#[test]
fn a_2xx_of_a_second_fork_is_acked_and_byed() {
    let mut peer = Peer::new(trunk());
    let (session, invite) = peer.connected_call();
    peer.receive(&response(&invite, 200, "p2"));
    let sent = peer.sent();
    assert_eq!(sent.iter().map(short).collect::<Vec<_>>(), ["ACK 1", "BYE 2"]);
    assert_eq!(to_tag(&sent[1]), "p2");
    peer.endpoint.hang_up(session, &[], peer.now);
    assert_eq!(to_tag(&peer.sent()[0]), "p1");
}

#[test]
fn forks_that_ring_are_early_dialogs_of_their_own() {
    let mut peer = Peer::new(trunk());
    let (_, invite) = peer.call();
    for tag in ["p1", "p2"] {
        peer.receive(&response(&invite, 180, tag));
    }
    assert_eq!(peer.events().len(), 2);
    peer.receive(&response(&invite, 200, "p2"));
    assert!(matches!(peer.event(), Event::Answered { .. }));
}

#[test]
fn a_repeated_2xx_is_acked_again_and_the_user_hears_of_it_once() {
    let mut peer = Peer::new(trunk());
    let (session, invite) = peer.call();
    peer.receive(&response(&invite, 200, "p1"));
    assert!(matches!(peer.event(), Event::Answered { .. }));
    peer.endpoint.ack(session, Some(OFFER), peer.now);
    let ack = peer.sent().remove(0);
    assert_eq!(ack.body(), OFFER);
    assert_ne!(ack.via().branch(), invite.via().branch());
    peer.receive(&response(&invite, 200, "p1"));
    assert_eq!(peer.sent().remove(0).raw(), ack.raw());
    assert!(peer.events().is_empty());
}

#[test]
fn an_invite_without_any_answer_is_refused_with_408() {
    let mut peer = Peer::new(trunk());
    peer.call();
    peer.wait(secs(33));
    assert_eq!(peer.said().len(), 6);
    assert!(matches!(peer.event(), Event::Refused { status: 408, message: None, .. }));
    peer.wait(secs(32));
    assert_eq!(peer.endpoint.load(), (0, 0));
}

#[test]
fn an_invite_on_a_flow_that_closes_is_refused_with_503() {
    let mut peer = Peer::new(browser(3));
    peer.call();
    peer.endpoint.handle_flow_closed(crate::id::FlowId(3), peer.now);
    assert!(matches!(peer.event(), Event::Refused { status: 503, .. }));
    assert_eq!(peer.endpoint.load(), (0, 0));
}

#[test]
fn a_refusal_is_acknowledged_and_ends_the_session() {
    let mut peer = Peer::new(trunk());
    let (_, invite) = peer.call();
    peer.receive(&response(&invite, 486, "p1"));
    assert_eq!(peer.said(), ["ACK 1"]);
    assert!(matches!(peer.event(), Event::Refused { status: 486, message: Some(_), .. }));
    assert_eq!(peer.endpoint.load().1, 0);
}

#[test]
fn our_2xx_is_repeated_until_the_ack() {
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.invited();
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    let tag = to_tag(&peer.sent()[0]);
    peer.wait(Duration::from_millis(3600));
    assert_eq!(peer.said(), ["200 INVITE"; 3]);
    let ack = peer.in_dialog("ACK", 1, &tag, "");
    peer.receive(&ack);
    assert!(matches!(peer.event(), Event::Acked { sdp: None, .. }));
    peer.wait(secs(60));
    assert!(peer.said().is_empty());
    peer.receive(&ack);
    assert!(peer.events().is_empty());
}

#[test]
fn a_2xx_without_ack_ends_after_64_t1_with_a_bye() {
    let mut peer = Peer::new(browser(1));
    let session = peer.invited_with_offer();
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    peer.wait(Duration::from_millis(31_900));
    assert!(peer.events().is_empty());
    peer.sent();
    peer.wait(secs(1));
    assert!(matches!(peer.event(), Event::Ended { why: EndReason::AckTimeout, .. }));
    assert_eq!(peer.said(), ["BYE 1"]);
}

#[test]
fn a_callee_that_hangs_up_before_the_ack_waits_for_it() {
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.invited();
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    let tag = to_tag(&peer.sent()[0]);
    peer.endpoint.hang_up(session, &[], peer.now);
    assert!(peer.sent().is_empty());
    let ack = peer.in_dialog("ACK", 1, &tag, "");
    peer.receive(&ack);
    assert_eq!(peer.said(), ["BYE 1"]);
    assert!(peer.events().is_empty());
}

#[test]
fn cancel_is_answered_and_the_invite_gets_487() {
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.invited();
    peer.endpoint.progress(session, 180, None, &[], peer.now);
    let tag = to_tag(&peer.sent()[0]);
    // The CANCEL spells From and To differently.
    let cancel = invite("z9hG4bKgen-1", "Reason: SIP;cause=200\r\n")
        .replace("INVITE sip", "CANCEL sip")
        .replace("1 INVITE", "1 CANCEL")
        .replace("From: sip:1003@192.0.2.81:5060;", "From: \"x\" <sip:1003@192.0.2.81:5060>;");
    peer.receive(&cancel);
    let sent = peer.sent();
    assert_eq!(sent.iter().map(short).collect::<Vec<_>>(), ["200 CANCEL", "487 INVITE"]);
    assert_eq!(to_tag(&sent[0]), tag);
    assert_eq!(to_tag(&sent[1]), tag);
    match peer.event() {
        Event::Cancelled { message, .. } => assert!(message.header(Name::Reason).is_some()),
        other => panic!("{other:?}"),
    }
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    assert!(peer.sent().is_empty());
}

#[test]
fn cancel_after_the_answer_changes_nothing() {
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.invited();
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    peer.sent();
    let cancel = invite("z9hG4bKgen-1", "").replace("INVITE sip", "CANCEL sip").replace("1 INVITE", "1 CANCEL");
    peer.receive(&cancel);
    assert_eq!(peer.said(), ["200 CANCEL"]);
    assert!(peer.events().is_empty());
    assert_eq!(peer.endpoint.load().1, 1);
}

#[test]
fn an_early_dialog_takes_notify_talk() {
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.invited();
    peer.endpoint.set_local(session, "192.0.2.54:5060", "<sip:5001@192.0.2.54:5060>");
    peer.endpoint.progress(session, 180, None, &[("Allow-Events".to_owned(), b"talk, hold".to_vec())], peer.now);
    let ringing = peer.sent().remove(0);
    assert_eq!(ringing.header(Name::Contact), Some(&b"<sip:5001@192.0.2.54:5060>"[..]));
    let talk = "Event: talk\r\nSubscription-State: active\r\n";
    let notify = peer.in_dialog("NOTIFY", 2, &to_tag(&ringing), talk);
    peer.receive(&notify);
    let Event::InDialog { session: of, tx, message, .. } = peer.event() else { panic!("no event") };
    assert_eq!(of, session);
    peer.endpoint.respond(tx, crate::sip::message::Builder::response_to(&message, 200, None, None), peer.now);
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    assert_eq!(peer.said(), ["200 NOTIFY", "200 INVITE"]);
    peer.receive(&notify);
    assert_eq!(peer.said(), ["200 NOTIFY"]);
}

#[test]
fn a_bye_in_the_early_dialog_ends_the_invite_with_487() {
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.invited();
    peer.endpoint.progress(session, 180, None, &[], peer.now);
    let tag = to_tag(&peer.sent()[0]);
    let bye = peer.in_dialog("BYE", 2, &tag, "");
    peer.receive(&bye);
    assert_eq!(peer.said(), ["200 BYE", "487 INVITE"]);
    assert!(matches!(peer.event(), Event::Ended { why: EndReason::Bye(_), .. }));
}

#[test]
fn hang_up_of_a_ringing_call_is_487_and_reject_what_the_user_says() {
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.invited();
    peer.endpoint.reject(session, 603, None, &[], peer.now);
    assert_eq!(peer.said(), ["603 INVITE"]);
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.invited();
    peer.endpoint.hang_up(session, &[], peer.now);
    assert_eq!(peer.said(), ["487 INVITE"]);
    peer.receive(&invite("z9hG4bKgen-1", "").replace("INVITE sip", "ACK sip").replace("1 INVITE", "1 ACK"));
    peer.wait(secs(60));
    assert!(peer.said().is_empty());
    assert_eq!((peer.endpoint.load(), peer.endpoint.stats().stray_acks), ((0, 0), 0));
}

#[test]
fn record_routes_become_the_route_set_reversed_for_the_caller() {
    let mut peer = Peer::new(trunk());
    let (session, invite) = peer.call();
    let routes = "Record-Route: <sip:192.0.2.91;lr>, <sip:192.0.2.92:5070;lr>\r\nContact: <sip:z@192.0.2.99>\r\n";
    peer.receive(&response_with(&invite, 200, "p1", routes));
    peer.endpoint.ack(session, None, peer.now);
    let ack = peer.endpoint.poll_transmit().expect("an ACK");
    assert_eq!(ack.path.remote(), addr("192.0.2.92:5070"));
    let ack = Message::parse(ack.bytes).expect("sound");
    assert_eq!(ack.request_uri(), "sip:z@192.0.2.99");
    let set: Vec<&[u8]> = ack.headers(Name::Route).collect();
    assert_eq!(set, [&b"<sip:192.0.2.92:5070;lr>"[..], b"<sip:192.0.2.91;lr>"]);
}

#[test]
fn a_strict_router_takes_the_place_of_the_request_uri() {
    let mut peer = Peer::new(trunk());
    let (session, invite) = peer.call();
    let routes = "Record-Route: <sip:192.0.2.92>\r\nContact: <sip:z@192.0.2.99>\r\n";
    peer.receive(&response_with(&invite, 200, "p1", routes));
    peer.endpoint.ack(session, None, peer.now);
    let ack = peer.sent().remove(0);
    assert_eq!(ack.request_uri(), "sip:192.0.2.92");
    assert_eq!(ack.header(Name::Route), Some(&b"<sip:z@192.0.2.99>"[..]));
}

#[test]
fn a_long_ring_repeats_its_last_provisional_every_minute() {
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.invited();
    peer.wait(secs(1));
    peer.endpoint.progress(session, 180, None, &[], peer.now);
    assert_eq!(peer.said(), ["100 INVITE", "180 INVITE"]);
    peer.wait(secs(59));
    assert!(peer.said().is_empty());
    peer.wait(secs(62));
    assert_eq!(peer.said(), ["180 INVITE"; 2]);
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    peer.said();
    peer.wait(secs(120));
    assert!(peer.said().iter().all(|said| said != "180 INVITE"));
}

#[test]
fn an_invite_that_is_not_answered_within_its_expires_gets_487() {
    let mut peer = Peer::new(trunk());
    peer.receive(&invite("z9hG4bKgen-1", "Expires: 30\r\n"));
    let Event::Invited { session, .. } = peer.event() else { panic!("no call") };
    peer.endpoint.progress(session, 180, None, &[], peer.now);
    peer.wait(Duration::from_millis(29_900));
    assert!(peer.events().is_empty());
    peer.said();
    peer.wait(Duration::from_millis(200));
    assert_eq!(peer.said(), ["487 INVITE"]);
    assert!(matches!(peer.event(), Event::Ended { session: of, why: EndReason::Expired } if of == session));
    assert_eq!(peer.endpoint.load().1, 0);
}

#[test]
fn an_invite_answered_within_its_expires_goes_on() {
    let mut peer = Peer::new(trunk());
    peer.receive(&invite("z9hG4bKgen-1", "Expires: 30\r\n"));
    let Event::Invited { session, .. } = peer.event() else { panic!("no call") };
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    let tag = to_tag(&peer.sent()[0]);
    let ack = peer.in_dialog("ACK", 1, &tag, "");
    peer.receive(&ack);
    peer.events();
    peer.wait(secs(600));
    assert!(peer.events().is_empty());
}

#[test]
fn a_challenged_invite_goes_out_again_in_the_same_call_with_the_next_cseq() {
    let mut peer = Peer::new(trunk());
    let order = OutInvite { has_account: true, ..order() };
    let hop = peer.hop();
    let session = peer.endpoint.invite(order, hop, peer.now);
    let first = peer.sent().remove(0);
    peer.receive(&response_with(&first, 407, "p1", "Proxy-Authenticate: Digest realm=\"trunk\", nonce=\"1\"\r\n"));
    assert_eq!(peer.said(), ["ACK 1"]);
    let Event::Challenged { session: challenged, message, request } = peer.event() else { panic!("no challenge") };
    assert_eq!((challenged, message.status(), request.request_uri()), (session, 407, first.request_uri()));
    let credentials = [("Proxy-Authorization".to_owned(), b"Digest username=\"a\"".to_vec())];
    assert!(peer.endpoint.authorize(session, &credentials, peer.now));
    assert!(!peer.endpoint.authorize(session, &credentials, peer.now), "once per challenge");
    let second = peer.sent().remove(0);
    assert_eq!(short(&second), "INVITE 2");
    assert_eq!((second.call_id(), second.from().tag()), (first.call_id(), first.from().tag()));
    assert_ne!(second.via().branch(), first.via().branch());
    assert_eq!(second.body(), first.body());
    peer.receive(&response(&second, 200, "p2"));
    assert!(matches!(peer.event(), Event::Answered { .. }));
    peer.endpoint.ack(session, None, peer.now);
    let ack = peer.sent().remove(0);
    assert_eq!(short(&ack), "ACK 2");
    assert_eq!(ack.header(Name::ProxyAuthorization), Some(&credentials[0].1[..]));
}

#[test]
fn a_challenge_without_an_account_is_a_refusal() {
    let mut peer = Peer::new(trunk());
    let (_, invite) = peer.call();
    peer.receive(&response(&invite, 401, "p1"));
    assert!(matches!(peer.event(), Event::Refused { status: 401, .. }));
}

#[test]
fn a_challenged_call_that_is_given_up_leaves_nothing() {
    let mut peer = Peer::new(trunk());
    let hop = peer.hop();
    let session = peer.endpoint.invite(OutInvite { has_account: true, ..order() }, hop, peer.now);
    let invite = peer.sent().remove(0);
    peer.receive(&response(&invite, 401, "p1"));
    peer.events();
    peer.endpoint.hang_up(session, &[], peer.now);
    assert_eq!(peer.said(), ["ACK 1"]);
    peer.wait(Duration::from_secs(60));
    assert_eq!(peer.endpoint.entries(), 0);
}

#[test]
fn the_ack_of_a_2xx_that_held_the_offer_is_waited_for_4_s_longer_than_theirs() {
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.invited(); // without an offer
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    let tag = to_tag(&peer.sent()[0]);
    peer.wait(Duration::from_secs(32));
    let repeated = peer.said().len();
    assert_eq!(repeated, 10, "at 0.5, 1.5, 3.5, 7.5 s, then every 4 s");
    peer.wait(Duration::from_millis(3900));
    assert!(peer.said().is_empty() && peer.events().is_empty());
    let ack = peer.in_dialog("ACK", 1, &tag, "");
    peer.receive(&ack);
    assert!(matches!(peer.event(), Event::Acked { .. }));
}

#[test]
fn an_offer_whose_ack_never_comes_ends_after_36_s() {
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.invited();
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    peer.wait(Duration::from_millis(36_100));
    assert!(matches!(peer.event(), Event::Ended { why: EndReason::AckTimeout, .. }));
    assert_eq!(peer.said().last().map(String::as_str), Some("BYE 1"));
}

#[test]
fn a_2xx_that_comes_when_nobody_waits_any_more_is_acknowledged_and_byed() {
    let mut peer = Peer::new(trunk());
    let (_, invite) = peer.call();
    peer.wait(secs(33));
    assert!(matches!(peer.event(), Event::Refused { status: 408, .. }));
    peer.sent();
    peer.receive(&response(&invite, 200, "p1"));
    assert_eq!(peer.said(), ["ACK 1", "BYE 2"]);
    peer.receive(&response(&invite, 200, "p2"));
    assert_eq!(peer.said(), ["ACK 1", "BYE 2"], "another fork too");
    assert!(peer.events().is_empty());
}

#[test]
fn a_2xx_long_after_a_cancel_that_got_no_487_is_acknowledged_and_byed() {
    let mut peer = Peer::new(trunk());
    let (session, invite) = peer.call();
    peer.receive(&response(&invite, 180, "p1"));
    peer.endpoint.hang_up(session, &[], peer.now);
    peer.wait(secs(40));
    peer.sent();
    peer.receive(&response(&invite, 200, "p1"));
    assert_eq!(peer.said(), ["ACK 1", "BYE 2"]);
    peer.wait(secs(100));
    assert_eq!(peer.endpoint.load(), (0, 0));
}

#[test]
fn a_notify_that_comes_nine_times_in_an_early_dialog_gets_one_answer_nine_times() {
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.invited();
    peer.endpoint.progress(session, 180, None, &[], peer.now);
    let tag = to_tag(&peer.sent()[0]);
    let notify = peer.in_dialog("NOTIFY", 2, &tag, "Event: talk\r\nSubscription-State: active\r\n");
    let mut answers = Vec::new();
    for (n, pause) in [0, 500, 1000, 2000, 4000, 4000, 4000, 4000, 4000].into_iter().enumerate() {
        peer.wait(Duration::from_millis(pause));
        peer.receive(&notify);
        if n == 0 {
            let Event::InDialog { tx, message, .. } = peer.event() else { panic!("no NOTIFY") };
            peer.endpoint.respond(tx, Builder::response_to(&message, 200, None, None), peer.now);
        }
        answers.extend(peer.sent().iter().map(|answer| answer.raw().clone()));
        assert!(peer.events().is_empty());
    }
    assert_eq!(answers.len(), 9);
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "word for word");
}
