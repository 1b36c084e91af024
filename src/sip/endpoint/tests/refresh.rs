//! Session timers (RFC 4028): what is asked for, who refreshes and how, what ends a session.

use std::time::Duration;

use super::peer::*;
use crate::sip::endpoint::*;
use crate::sip::message::{Message, Name};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn timer(interval_s: u32, refresher: Option<Refresher>) -> SessionTimer {
    SessionTimer { interval_s, min_se_s: 90, refresher }
}

/// A call of ours that asked for a timer, up to its INVITE.
fn calling(asked: SessionTimer) -> (Peer, SessionId, Message) {
    let mut peer = Peer::new(trunk());
    let hop = peer.hop();
    let session = peer.endpoint.invite(OutInvite { session_expires: Some(asked), ..order() }, hop, peer.now);
    let invite = peer.sent().remove(0);
    (peer, session, invite)
}

/// The same, answered with these headers and acknowledged.
fn talking(asked: SessionTimer, more: &str) -> (Peer, SessionId, Message) {
    let (mut peer, session, invite) = calling(asked);
    let contact = "Contact: <sip:7777@192.0.2.81:5060>\r\n";
    peer.receive(&response_with(&invite, 200, "p1", &format!("{contact}{more}")));
    peer.events();
    peer.endpoint.ack(session, None, peer.now);
    peer.sent();
    (peer, session, invite)
}

const UPDATES: &str = "Allow: INVITE, ACK, BYE, UPDATE\r\n";
const NO_UPDATES: &str = "Allow: INVITE, ACK, BYE\r\n";
const OURS: &str = "Session-Expires: 200;refresher=uac\r\n";

fn ours(more: &str) -> (Peer, SessionId, Message) {
    talking(timer(200, None), &format!("{more}{OURS}"))
}

/// Waits for the refresh that is due.
fn refresh(peer: &mut Peer) -> Message {
    peer.wait(secs(100));
    let mut sent = peer.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent.remove(0)
}

#[test]
fn our_invite_asks_for_a_timer() {
    let asks = |asked| {
        let (_, _, invite) = calling(asked);
        assert!(invite.has_option(Name::Supported, "timer"));
        [Name::SessionExpires, Name::MinSe].map(|name| invite.header_str(name).unwrap_or_default().to_owned())
    };
    assert_eq!(asks(timer(1800, None)), ["1800", "90"]);
    assert_eq!(asks(timer(1800, Some(Refresher::Us))), ["1800;refresher=uac", "90"]);
    assert_eq!(asks(timer(30, Some(Refresher::Peer))), ["90;refresher=uas", "90"]);
}

#[test]
fn a_422_is_followed_by_an_invite_with_its_min_se() {
    let (mut peer, session, invite) = calling(timer(90, None));
    peer.receive(&response_with(&invite, 422, "p1", "Min-SE: 600\r\n"));
    let sent = peer.sent();
    assert_eq!(sent.iter().map(short).collect::<Vec<_>>(), ["ACK 1", "INVITE 2"]);
    assert_eq!(sent[1].header_str(Name::SessionExpires), Some("600"));
    assert_eq!(sent[1].number(Name::MinSe), Some(600));
    assert_eq!((sent[1].call_id(), sent[1].from().tag()), (invite.call_id(), invite.from().tag()));
    assert!(peer.events().is_empty());
    peer.receive(&response_with(&sent[1], 422, "p2", "Min-SE: 600\r\n"));
    assert!(matches!(peer.event(), Event::Refused { session: of, status: 422, .. } if of == session));
}

#[test]
fn a_callee_that_refreshes_not_is_byed() {
    let (mut peer, _, _) = talking(timer(200, None), "Session-Expires: 200;refresher=uas\r\n");
    peer.wait(secs(167));
    assert!(peer.said().is_empty() && peer.events().is_empty());
    peer.wait(Duration::from_millis(1200));
    assert_eq!(peer.said(), ["BYE 2"]);
    assert!(matches!(peer.event(), Event::Ended { why: EndReason::SessionExpired, .. }));
}

#[test]
fn a_callee_that_knows_no_timer_is_refreshed_by_us() {
    let (mut peer, _, _) = talking(timer(200, Some(Refresher::Peer)), UPDATES);
    let update = refresh(&mut peer);
    assert_eq!(short(&update), "UPDATE 2");
    assert_eq!(update.header_str(Name::SessionExpires), Some("200;refresher=uac"));
}

#[test]
fn a_refresh_by_update_starts_the_timer_again() {
    let (mut peer, _, _) = ours(UPDATES);
    for cseq in [2, 3, 4] {
        let update = refresh(&mut peer);
        assert_eq!(short(&update), format!("UPDATE {cseq}"));
        assert!(update.body().is_empty());
        peer.receive(&response_with(&update, 200, "", OURS));
    }
    assert!(peer.events().is_empty());
}

#[test]
fn a_2xx_to_a_refresh_may_hand_the_task_over() {
    let (mut peer, _, _) = ours(UPDATES);
    let update = refresh(&mut peer);
    peer.receive(&response_with(&update, 200, "", "Session-Expires: 300;refresher=uas\r\n"));
    peer.wait(secs(267));
    assert!(peer.said().is_empty());
    peer.wait(Duration::from_millis(1200));
    assert_eq!(peer.said(), ["BYE 3"]);
}

#[test]
fn a_peer_without_update_is_refreshed_by_a_reinvite_that_repeats_our_sdp() {
    let (mut peer, session, invite) = ours(NO_UPDATES);
    let again = refresh(&mut peer);
    assert_eq!(short(&again), "INVITE 2");
    assert_eq!(again.body(), invite.body());
    assert_eq!(again.header_str(Name::SessionExpires), Some("200;refresher=uac"));
    let ok = response_with(&again, 200, "", OURS);
    peer.receive(&ok);
    assert_eq!(peer.said(), ["ACK 2"]);
    assert!(matches!(peer.event(), Event::Refreshed { session: of, .. } if of == session));
    peer.receive(&ok);
    assert_eq!(peer.said(), ["ACK 2"], "a repeated 2xx is acknowledged again");
    assert_eq!(short(&refresh(&mut peer)), "INVITE 3");
}

#[test]
fn an_update_that_is_not_allowed_is_followed_by_a_reinvite() {
    let (mut peer, _, _) = ours(UPDATES);
    let update = refresh(&mut peer);
    peer.receive(&response(&update, 405, ""));
    assert_eq!(peer.said(), ["INVITE 3"]);
}

#[test]
fn a_481_to_a_refresh_ends_the_session() {
    let (mut peer, _, _) = ours(UPDATES);
    let update = refresh(&mut peer);
    peer.receive(&response(&update, 481, ""));
    assert_eq!(peer.said(), ["BYE 3"]);
    assert!(matches!(peer.event(), Event::Ended { why: EndReason::Gone, .. }));
}

#[test]
fn a_refresh_without_an_answer_ends_the_session() {
    for allow in [UPDATES, NO_UPDATES] {
        let (mut peer, _, _) = ours(allow);
        refresh(&mut peer);
        peer.wait(Duration::from_millis(32_100));
        assert_eq!(peer.said().last().map(String::as_str), Some("BYE 3"));
        assert!(matches!(peer.event(), Event::Ended { why: EndReason::Gone, .. }));
    }
}

#[test]
fn a_refresh_that_was_refused_for_now_is_sent_again_when_the_peer_says() {
    let (mut peer, _, _) = ours(UPDATES);
    let update = refresh(&mut peer);
    peer.receive(&response_with(&update, 500, "", "Retry-After: 3\r\n"));
    peer.wait(Duration::from_millis(2900));
    assert!(peer.said().is_empty());
    peer.wait(Duration::from_millis(200));
    let update = peer.sent().remove(0);
    assert_eq!(short(&update), "UPDATE 3");
    peer.receive(&response(&update, 491, ""));
    peer.wait(Duration::from_millis(2000));
    assert!(peer.said().is_empty(), "the owner of the Call-ID waits for 2.1 to 4 s");
    peer.wait(Duration::from_millis(2100));
    assert_eq!(peer.said().first().map(String::as_str), Some("UPDATE 4"));
    assert!(peer.events().is_empty());
}

#[test]
fn a_session_whose_refreshes_are_all_refused_gets_its_bye_before_it_expires() {
    let (mut peer, _, _) = ours(NO_UPDATES);
    let mut bye = None;
    for second in 0..200 {
        peer.wait(secs(1));
        for message in peer.sent() {
            match short(&message) {
                said if said.starts_with("INVITE") => peer.receive(&response(&message, 503, "")),
                said if said.starts_with("BYE") => bye = bye.or(Some(second + 1)),
                _ => {}
            }
        }
    }
    assert_eq!(bye, Some(168));
    assert!(matches!(peer.event(), Event::Ended { why: EndReason::SessionExpired, .. }));
}

#[test]
fn a_422_to_a_refresh_makes_the_interval_longer() {
    for allow in [UPDATES, NO_UPDATES] {
        let (mut peer, _, _) = ours(allow);
        let first = refresh(&mut peer);
        peer.receive(&response_with(&first, 422, "", "Min-SE: 400\r\n"));
        let again = peer.sent().pop().expect("another");
        assert_eq!(again.header_str(Name::SessionExpires), Some("400;refresher=uac"), "{allow}");
        assert_eq!(again.number(Name::MinSe), Some(400));
    }
}

#[test]
fn a_reinvite_of_the_users_waits_for_one_that_only_refreshes() {
    let (mut peer, session, _) = ours(NO_UPDATES);
    let again = refresh(&mut peer);
    peer.endpoint.reinvite(session, None, &[], peer.now).expect("it will go out");
    assert_eq!(peer.endpoint.reinvite(session, None, &[], peer.now), Err(Pending), "one at a time");
    assert!(peer.said().is_empty());
    peer.receive(&response_with(&again, 200, "", OURS));
    let sent = peer.sent();
    assert_eq!(sent.iter().map(short).collect::<Vec<_>>(), ["ACK 2", "INVITE 3"]);
    peer.receive(&response(&sent[1], 200, ""));
    let events = peer.events();
    assert!(matches!(&events[..], [Event::Refreshed { .. }, Event::ReinviteAnswered { .. }]), "{events:?}");
}

#[test]
fn a_reinvite_of_the_users_refreshes_and_keeps_the_refresher() {
    let (mut peer, session, _) = talking(timer(200, None), "Session-Expires: 200;refresher=uas\r\n");
    peer.wait(secs(100));
    peer.endpoint.reinvite(session, Some(OFFER), &[], peer.now).expect("free");
    let sent = peer.sent().remove(0);
    assert_eq!(sent.header_str(Name::SessionExpires), Some("200;refresher=uas"));
    peer.receive(&response_with(&sent, 200, "", "Session-Expires: 200;refresher=uas\r\n"));
    peer.endpoint.ack(session, None, peer.now);
    peer.wait(secs(100));
    assert_eq!(peer.said(), ["ACK 2"]);
    peer.wait(Duration::from_millis(68_200));
    assert_eq!(peer.said(), ["BYE 3"]);
}

#[test]
fn a_timer_that_a_proxy_asked_for_is_ours_to_refresh() {
    let mut peer = Peer::new(trunk());
    peer.receive(&with_offer(&invite("z9hG4bK1", "Session-Expires: 120\r\nAllow: INVITE, UPDATE\r\n")));
    let Event::Invited { session, .. } = peer.event() else { panic!("no call") };
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    let answer = peer.sent().remove(0);
    assert_eq!(answer.header_str(Name::SessionExpires), Some("120;refresher=uas"));
    assert!(!answer.has_option(Name::Require, "timer"), "the caller does not know what it is");
    let ack = peer.in_dialog("ACK", 1, &to_tag(&answer), "");
    peer.receive(&ack);
    peer.wait(secs(60));
    assert_eq!(peer.said(), ["UPDATE 1"]);
}

#[test]
fn the_reinvite_of_a_refresher_starts_the_timer_again() {
    let mut peer = Peer::new(trunk());
    let genesys = "Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\n";
    peer.receive(&with_offer(&invite("z9hG4bK1", genesys)));
    let Event::Invited { session, .. } = peer.event() else { panic!("no call") };
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    let tag = to_tag(&peer.sent()[0]);
    let ack = peer.in_dialog("ACK", 1, &tag, "");
    peer.receive(&ack);
    peer.wait(secs(900));
    let again = with_offer(&peer.in_dialog("INVITE", 2, &tag, genesys));
    peer.receive(&again);
    peer.endpoint.answer_reinvite(session, OFFER, &[], peer.now);
    assert_eq!(peer.sent()[0].header_str(Name::SessionExpires), Some("1800;refresher=uac"));
    let ack = peer.in_dialog("ACK", 2, &tag, "");
    peer.receive(&ack);
    peer.events();
    peer.wait(secs(1700));
    assert!(peer.events().is_empty(), "the timer runs from the re-INVITE");
    peer.wait(secs(100));
    assert!(matches!(peer.event(), Event::Ended { why: EndReason::SessionExpired, .. }));
}
