//! Provisional responses that are acknowledged (RFC 3262), as callee and as caller.

use std::time::Duration;

use super::peer::*;
use crate::sip::endpoint::*;
use crate::sip::message::{Builder, Message, Name};

const SUPPORTED: &str = "Supported: uui,100rel,timer\r\n";
const REQUIRED: &str = "Require: 100rel\r\n";

/// A callee that was called with an offer, by somebody who may use PRACK.
fn called(more: &str) -> (Peer, SessionId) {
    called_with(&with_offer(&invite("z9hG4bK1", more)))
}

fn called_with(text: &str) -> (Peer, SessionId) {
    let mut peer = Peer::new(trunk());
    peer.endpoint.set_reliable(|_| true);
    peer.receive(text);
    match peer.event() {
        Event::Invited { session, .. } => (peer, session),
        other => panic!("{other:?}"),
    }
}

fn progress(peer: &mut Peer, session: SessionId, status: u16, sdp: Option<&[u8]>) -> Vec<Message> {
    peer.endpoint.progress(session, status, sdp, &[], peer.now);
    peer.sent()
}

fn rseq(message: &Message) -> u32 {
    assert!(message.has_option(Name::Require, "100rel"));
    message.number(Name::RSeq).expect("RSeq")
}

/// The PRACK of a provisional of ours.
fn prack(peer: &mut Peer, provisional: &Message, cseq: u32) -> String {
    let rack = format!("RAck: {} 1 INVITE\r\n", rseq(provisional));
    peer.in_dialog("PRACK", cseq, &to_tag(provisional), &rack)
}

#[test]
fn a_183_with_sdp_is_repeated_until_its_prack() {
    let (mut peer, session) = called(SUPPORTED);
    let early = progress(&mut peer, session, 183, Some(OFFER)).remove(0);
    assert!((1..1 << 31).contains(&rseq(&early)));
    assert!(early.has_option(Name::Supported, "timer") && early.body() == OFFER);
    peer.wait(Duration::from_millis(3600));
    assert_eq!(peer.said(), ["183 INVITE"; 3], "at 0.5, 1.5 and 3.5 s");
    let text = prack(&mut peer, &early, 2);
    peer.receive(&text);
    assert_eq!(peer.said(), ["200 PRACK"]);
    assert!(matches!(peer.event(), Event::Pracked { session: of, sdp: None, .. } if of == session));
    peer.wait(Duration::from_secs(20));
    assert!(peer.said().is_empty());
}

#[test]
fn a_provisional_is_reliable_only_for_those_who_may_and_can() {
    let (mut peer, session) = called("");
    assert!(progress(&mut peer, session, 183, Some(OFFER))[0].header(Name::RSeq).is_none());
    let (mut peer, session) = called(SUPPORTED);
    assert!(progress(&mut peer, session, 180, None)[0].header(Name::RSeq).is_none(), "no need without SDP");
    let mut browser = Peer::new(browser(1));
    browser.receive(&with_offer(&invite("z9hG4bK1", SUPPORTED)));
    let Event::Invited { session, .. } = browser.event() else { panic!("no call") };
    assert!(progress(&mut browser, session, 183, Some(OFFER))[0].header(Name::RSeq).is_none(), "a browser may not");
}

#[test]
fn every_provisional_is_reliable_where_the_caller_requires_it_and_one_waits_for_the_other() {
    let (mut peer, session) = called(REQUIRED);
    let first = progress(&mut peer, session, 180, None).remove(0);
    assert!(progress(&mut peer, session, 183, Some(OFFER)).is_empty());
    let text = prack(&mut peer, &first, 2);
    peer.receive(&text);
    let sent = peer.sent();
    assert_eq!(sent.iter().map(short).collect::<Vec<_>>(), ["200 PRACK", "183 INVITE"]);
    assert_eq!(rseq(&sent[1]), rseq(&first) + 1);
}

#[test]
fn a_prack_that_acknowledges_nothing_gets_481_and_a_repeated_one_its_answer_again() {
    let (mut peer, session) = called(SUPPORTED);
    let early = progress(&mut peer, session, 183, Some(OFFER)).remove(0);
    let (tag, number) = (to_tag(&early), rseq(&early));
    let wrong = [
        format!("RAck: {} 1 INVITE\r\n", number + 1),
        format!("RAck: {number} 2 INVITE\r\n"),
        format!("RAck: {number} 1 UPDATE\r\n"),
        "RAck: 1\r\n".to_owned(),
        String::new(),
    ];
    for (n, rack) in wrong.iter().enumerate() {
        let text = peer.in_dialog("PRACK", 2 + n as u32, &tag, rack);
        peer.receive(&text);
        assert_eq!(peer.said(), ["481 PRACK"], "{rack}");
    }
    let good = prack(&mut peer, &early, 8);
    peer.receive(&good);
    peer.receive(&good);
    assert_eq!(peer.said(), ["200 PRACK", "200 PRACK"]);
    assert_eq!(peer.events().len(), 1);
    let again = prack(&mut peer, &early, 9);
    peer.receive(&again);
    assert_eq!(peer.said(), ["481 PRACK"], "it is not owed any more");
}

#[test]
fn a_session_description_is_said_reliably_once() {
    let (mut peer, session) = called(SUPPORTED);
    let early = progress(&mut peer, session, 183, Some(OFFER)).remove(0);
    let text = prack(&mut peer, &early, 2);
    peer.receive(&text);
    peer.sent();
    let again = progress(&mut peer, session, 183, Some(OFFER)).remove(0);
    assert!(again.body().is_empty() && again.header(Name::RSeq).is_none());
}

#[test]
fn a_provisional_that_is_never_acknowledged_ends_the_call_with_504() {
    let (mut peer, session) = called(SUPPORTED);
    progress(&mut peer, session, 183, Some(OFFER));
    peer.wait(Duration::from_millis(32_100));
    assert_eq!(peer.said().last().map(String::as_str), Some("504 INVITE"));
    assert!(matches!(peer.event(), Event::Ended { why: EndReason::AckTimeout, .. }));
}

#[test]
fn the_2xx_waits_for_the_prack_of_a_provisional_with_sdp_and_has_none_itself() {
    let (mut peer, session) = called(SUPPORTED);
    let early = progress(&mut peer, session, 183, Some(OFFER)).remove(0);
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    assert!(peer.said().is_empty());
    assert!(progress(&mut peer, session, 180, None).is_empty(), "nothing is said after the answer");
    let text = prack(&mut peer, &early, 2);
    peer.receive(&text);
    let sent = peer.sent();
    assert_eq!(sent.iter().map(short).collect::<Vec<_>>(), ["200 PRACK", "200 INVITE"]);
    assert!(sent[1].body().is_empty());
    let ack = peer.in_dialog("ACK", 1, &to_tag(&early), "");
    peer.receive(&ack);
    assert!(matches!(&peer.events()[..], [Event::Pracked { .. }, Event::Acked { .. }]));
}

#[test]
fn the_2xx_does_not_wait_for_a_provisional_without_sdp_whose_prack_is_answered_still() {
    let (mut peer, session) = called(REQUIRED);
    let ringing = progress(&mut peer, session, 180, None).remove(0);
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    let answer = peer.sent().remove(0);
    assert_eq!((short(&answer).as_str(), answer.body()), ("200 INVITE", OFFER));
    let text = prack(&mut peer, &ringing, 2);
    peer.receive(&text);
    assert_eq!(peer.said(), ["200 PRACK"]);
    let again = prack(&mut peer, &ringing, 3);
    peer.receive(&again);
    assert_eq!(peer.said(), ["481 PRACK"]);
}

#[test]
fn an_offer_in_a_reliable_provisional_is_answered_by_the_prack() {
    let (mut peer, session) = called_with(&invite("z9hG4bK1", SUPPORTED));
    let early = progress(&mut peer, session, 183, Some(OFFER)).remove(0);
    let text = with_offer(&prack(&mut peer, &early, 2));
    peer.receive(&text);
    assert_eq!(peer.said(), ["200 PRACK"]);
    assert!(matches!(peer.event(), Event::Pracked { sdp: Some(sdp), .. } if sdp == OFFER));
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    assert!(peer.sent()[0].body().is_empty(), "offer and answer are made");
}

#[test]
fn an_offer_in_a_prack_is_the_users_to_answer_and_holds_the_2xx_back() {
    let (mut peer, session) = called(SUPPORTED);
    let early = progress(&mut peer, session, 183, Some(OFFER)).remove(0);
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    let text = with_offer(&prack(&mut peer, &early, 2));
    peer.receive(&text);
    assert!(peer.said().is_empty());
    let Event::InDialog { tx, message, .. } = peer.event() else { panic!("no offer") };
    let response = Builder::response_to(&message, 200, None, None).body("application/sdp", OFFER);
    peer.endpoint.respond(tx, response, peer.now);
    assert_eq!(peer.said(), ["200 PRACK", "200 INVITE"]);
}

#[test]
fn a_cancel_ends_the_wait_for_a_prack() {
    let (mut peer, session) = called(SUPPORTED);
    let early = progress(&mut peer, session, 183, Some(OFFER)).remove(0);
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    peer.receive(&invite("z9hG4bK1", "").replace("INVITE sip", "CANCEL sip").replace("1 INVITE", "1 CANCEL"));
    assert_eq!(peer.said(), ["200 CANCEL", "487 INVITE"]);
    assert!(matches!(peer.event(), Event::Cancelled { .. }));
    let text = prack(&mut peer, &early, 2);
    peer.receive(&text);
    assert_eq!(peer.said(), ["200 PRACK"], "the 18x was sent, and this crossed the end");
    let branch = early.via().branch().expect("a branch").to_owned();
    let ack = peer.in_dialog("ACK", 1, &to_tag(&early), "");
    let own = ack.split("branch=").nth(1).and_then(|rest| rest.split("\r\n").next()).expect("a branch").to_owned();
    peer.receive(&ack.replace(&own, &branch));
    peer.wait(Duration::from_secs(40));
    assert!(peer.said().is_empty());
    assert_eq!(peer.endpoint.entries(), 0);
}

#[test]
fn an_invite_that_requires_100rel_is_taken_from_those_who_may() {
    let mut peer = Peer::new(trunk());
    peer.endpoint.set_reliable(|path| path.flow().is_none());
    peer.receive(&invite("z9hG4bK1", REQUIRED));
    assert!(matches!(peer.event(), Event::Invited { .. }));
    peer.path = browser(1);
    peer.receive(&invite("z9hG4bK2", REQUIRED).replace("GUID-1", "GUID-2"));
    let refused = peer.sent().remove(0);
    assert_eq!((refused.status(), refused.header(Name::Unsupported)), (420, Some(&b"100rel"[..])));
}

/// A call of ours whose callee may, or must, send provisionals that we acknowledge.
fn calling(reliable: Reliable, sdp: Option<Vec<u8>>) -> (Peer, SessionId, Message) {
    let mut peer = Peer::new(trunk());
    let hop = peer.hop();
    let session = peer.endpoint.invite(OutInvite { reliable, sdp, ..order() }, hop, peer.now);
    let invite = peer.sent().remove(0);
    (peer, session, invite)
}

fn reliable(invite: &Message, status: u16, tag: &str, rseq: u32) -> String {
    let more = format!("Contact: <sip:7777@192.0.2.81:5060>\r\nRequire: 100rel\r\nRSeq: {rseq}\r\n");
    response_with(invite, status, tag, &more)
}

#[test]
fn our_invite_says_whether_provisionals_are_acknowledged() {
    let options = |wish| {
        let (_, _, invite) = calling(wish, Some(OFFER.to_vec()));
        [Name::Supported, Name::Require].map(|name| invite.has_option(name, "100rel"))
    };
    assert_eq!(options(Reliable::No), [false, false]);
    assert_eq!(options(Reliable::Supported), [true, false]);
    assert_eq!(options(Reliable::Required), [true, true]);
}

#[test]
fn a_reliable_provisional_is_acknowledged_once_and_in_order() {
    let (mut peer, session, invite) = calling(Reliable::Supported, Some(OFFER.to_vec()));
    peer.receive(&reliable(&invite, 183, "p1", 7));
    peer.receive(&reliable(&invite, 183, "p1", 7));
    peer.receive(&reliable(&invite, 180, "p1", 9));
    let sent = peer.sent();
    assert_eq!(sent.iter().map(short).collect::<Vec<_>>(), ["PRACK 2"]);
    assert_eq!(sent[0].header(Name::RAck), Some(&b"7 1 INVITE"[..]));
    assert_eq!(sent[0].to().tag(), Some("p1"));
    assert_eq!(peer.events().len(), 1, "a repeated one is no news, nor is one that overtook another");
    peer.receive(&response(&sent[0], 200, ""));
    peer.receive(&reliable(&invite, 180, "p1", 8));
    peer.receive(&reliable(&invite, 180, "p1", 9));
    assert_eq!(peer.said(), ["PRACK 3", "PRACK 4"]);
    assert_eq!(peer.events().len(), 2);
    peer.receive(&response(&invite, 200, "p1"));
    peer.endpoint.ack(session, None, peer.now);
    peer.endpoint.hang_up(session, &[], peer.now);
    assert_eq!(peer.said(), ["ACK 1", "BYE 5"], "the ACK has the INVITE's number, the BYE the next of its dialog");
}

#[test]
fn a_prack_is_repeated_until_it_is_answered() {
    let (mut peer, _, invite) = calling(Reliable::Supported, Some(OFFER.to_vec()));
    peer.receive(&reliable(&invite, 183, "p1", 7));
    let first = peer.sent().remove(0);
    peer.wait(Duration::from_millis(1600));
    assert_eq!(peer.said(), ["PRACK 2", "PRACK 2"]);
    peer.receive(&response(&first, 200, ""));
    peer.wait(Duration::from_secs(10));
    assert!(peer.said().is_empty());
}

#[test]
fn each_fork_has_its_own_order_of_provisionals() {
    let (mut peer, _, invite) = calling(Reliable::Supported, Some(OFFER.to_vec()));
    peer.receive(&reliable(&invite, 183, "one", 7));
    peer.receive(&reliable(&invite, 183, "two", 100));
    let sent = peer.sent();
    let acknowledged: Vec<_> = sent.iter().map(|prack| (prack.to().tag(), prack.header_str(Name::RAck))).collect();
    assert_eq!(acknowledged, [(Some("one"), Some("7 1 INVITE")), (Some("two"), Some("100 1 INVITE"))]);
}

#[test]
fn the_offer_of_a_reliable_provisional_waits_for_the_users_answer() {
    let (mut peer, session, invite) = calling(Reliable::Supported, None);
    peer.receive(&with_offer(&reliable(&invite, 183, "p1", 7)));
    assert!(matches!(peer.event(), Event::Provisional { wants_answer: true, .. }));
    assert!(peer.said().is_empty());
    assert!(!peer.endpoint.prack(session, "p2", OFFER, peer.now), "another fork has asked nothing");
    assert!(peer.endpoint.prack(session, "p1", OFFER, peer.now));
    assert!(!peer.endpoint.prack(session, "p1", OFFER, peer.now), "once");
    let sent = peer.sent();
    assert_eq!(sent.iter().map(short).collect::<Vec<_>>(), ["PRACK 2"]);
    assert_eq!(sent[0].body(), OFFER);
    peer.receive(&reliable(&invite, 180, "p1", 8));
    assert_eq!(peer.said(), ["PRACK 3"]);
    assert!(matches!(peer.event(), Event::Provisional { wants_answer: false, .. }));
}
