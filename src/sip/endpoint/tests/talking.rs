//! In the confirmed dialog: re-INVITE and glare, UPDATE and session timers, BYE, CSeq.

use std::time::Duration;

use super::peer::*;
use crate::sip::endpoint::*;
use crate::sip::message::{Builder, Name};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_bye_is_answered_and_ends_the_session() {
    let mut peer = Peer::new(trunk());
    let (_, tag) = peer.connected_callee();
    let bye = peer.in_dialog("BYE", 2, &tag, "");
    peer.receive(&bye);
    assert_eq!(peer.said(), ["200 BYE"]);
    assert!(matches!(peer.event(), Event::Ended { why: EndReason::Bye(_), .. }));
    peer.receive(&bye);
    assert_eq!(peer.said(), ["200 BYE"]);
    peer.wait(secs(60));
    assert_eq!(peer.endpoint.load(), (0, 0));
}

#[test]
fn a_lower_cseq_gets_500() {
    let mut peer = Peer::new(trunk());
    let (_, tag) = peer.connected_callee();
    let info = peer.in_dialog("INFO", 5, &tag, "");
    peer.receive(&info);
    peer.events();
    let bye = peer.in_dialog("BYE", 4, &tag, "");
    peer.receive(&bye);
    assert_eq!(peer.said(), ["500 BYE"]);
    assert!(peer.events().is_empty());
}

#[test]
fn update_without_sdp_is_answered_by_itself_with_its_session_timer() {
    let mut peer = Peer::new(browser(1));
    let (_, tag) = peer.connected_callee();
    let timer = "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n";
    let update = peer.in_dialog("UPDATE", 2, &tag, timer);
    peer.receive(&update);
    let answer = peer.sent().remove(0);
    assert_eq!(short(&answer), "200 UPDATE");
    assert_eq!(answer.header(Name::SessionExpires), Some(&b"90;refresher=uac"[..]));
    assert!(answer.has_option(Name::Require, "timer"));
    assert!(answer.header(Name::Contact).is_some());
    assert!(matches!(&peer.events()[..], [Event::Updated { .. }]));
}

#[test]
fn a_plain_update_is_answered_without_a_session_timer() {
    let mut peer = Peer::new(browser(1));
    let (_, tag) = peer.connected_callee();
    let update = peer.in_dialog("UPDATE", 2, &tag, "");
    peer.receive(&update);
    let answer = peer.sent().remove(0);
    assert_eq!(short(&answer), "200 UPDATE");
    assert!(answer.header(Name::SessionExpires).is_none());
}

#[test]
fn update_with_sdp_is_the_users() {
    let mut peer = Peer::new(browser(1));
    let (_, tag) = peer.connected_callee();
    let update = peer
        .in_dialog("UPDATE", 2, &tag, "Content-Type: application/sdp\r\n")
        .replace("Content-Length: 0\r\n\r\n", "Content-Length: 5\r\n\r\nv=0\r\n");
    peer.receive(&update);
    let Event::InDialog { tx, message, .. } = peer.event() else { panic!("no event") };
    peer.endpoint.respond(tx, Builder::response_to(&message, 488, None, None), peer.now);
    assert_eq!(peer.said(), ["488 UPDATE"]);
}

#[test]
fn a_session_interval_below_90_s_gets_422_with_min_se() {
    let mut peer = Peer::new(trunk());
    peer.receive(&invite("z9hG4bK1", "Supported: timer\r\nSession-Expires: 30\r\n"));
    let refused = peer.sent().remove(0);
    assert_eq!((refused.status(), refused.number(Name::MinSe)), (422, Some(90)));
}

#[test]
fn a_session_timer_of_the_invite_is_answered_and_a_peer_that_does_not_refresh_is_byed() {
    let mut peer = Peer::new(trunk());
    peer.receive(&invite("z9hG4bK1", "Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\n"));
    let Event::Invited { session, .. } = peer.event() else { panic!("no call") };
    peer.endpoint.answer(session, OFFER, &[], peer.now);
    let answer = peer.sent().remove(0);
    assert_eq!(answer.header(Name::SessionExpires), Some(&b"1800;refresher=uac"[..]));
    let ack = peer.in_dialog("ACK", 1, &to_tag(&answer), "");
    peer.receive(&ack);
    peer.events();
    peer.wait(secs(1767));
    assert!(peer.events().is_empty());
    peer.wait(Duration::from_millis(1200));
    assert!(matches!(peer.event(), Event::Ended { why: EndReason::SessionExpired, .. }));
    assert_eq!(peer.said(), ["BYE 1"]);
}

#[test]
fn a_peer_that_makes_us_the_refresher_is_refreshed_by_update_at_half_time() {
    let mut peer = Peer::new(trunk());
    let (_, tag) = peer.connected_callee();
    let update = peer.in_dialog("UPDATE", 2, &tag, "Supported: timer\r\nSession-Expires: 120;refresher=uas\r\n");
    peer.receive(&update);
    let answer = peer.sent().remove(0);
    assert_eq!(answer.header(Name::SessionExpires), Some(&b"120;refresher=uas"[..]));
    peer.wait(secs(60));
    let refresh = peer.sent().remove(0);
    assert_eq!(short(&refresh), "UPDATE 1");
    assert_eq!(refresh.header(Name::SessionExpires), Some(&b"120;refresher=uac"[..]));
}

#[test]
fn a_reinvite_is_answered_and_acknowledged() {
    let mut peer = Peer::new(trunk());
    let (session, tag) = peer.connected_callee();
    let again = peer.in_dialog("INVITE", 2, &tag, "");
    peer.receive(&again);
    assert!(matches!(peer.event(), Event::Reinvited { .. }));
    peer.endpoint.answer_reinvite(session, OFFER, &[], peer.now);
    peer.wait(secs(1));
    assert_eq!(peer.said(), ["200 INVITE"; 2]);
    let ack = peer.in_dialog("ACK", 2, &tag, "");
    peer.receive(&ack);
    assert!(matches!(peer.event(), Event::Acked { .. }));
    peer.wait(secs(60));
    assert!(peer.said().is_empty());
}

#[test]
fn a_cancelled_reinvite_gets_487_and_the_session_goes_on() {
    let mut peer = Peer::new(trunk());
    let (session, tag) = peer.connected_callee();
    let again = peer.in_dialog("INVITE", 2, &tag, "");
    peer.receive(&again);
    peer.events();
    peer.receive(&again.replace("INVITE sip", "CANCEL sip").replace("2 INVITE", "2 CANCEL"));
    assert_eq!(peer.said(), ["200 CANCEL", "487 INVITE"]);
    assert!(matches!(peer.event(), Event::ReinviteCancelled { .. }));
    assert!(peer.endpoint.reinvite(session, Some(OFFER), &[], peer.now).is_ok());
}

#[test]
fn a_second_reinvite_before_the_first_is_answered_gets_500_with_retry_after() {
    let mut peer = Peer::new(trunk());
    let (_, tag) = peer.connected_callee();
    for cseq in [2, 3] {
        let again = peer.in_dialog("INVITE", cseq, &tag, "");
        peer.receive(&again);
    }
    assert_eq!(peer.events().len(), 1);
    let sent = peer.sent();
    assert_eq!(sent.iter().map(short).collect::<Vec<_>>(), ["500 INVITE"]);
    assert!(sent[0].number(Name::RetryAfter).is_some_and(|seconds| seconds <= 10));
}

#[test]
fn a_reinvite_that_meets_ours_gets_491() {
    let mut peer = Peer::new(trunk());
    let (session, invite) = peer.connected_call();
    peer.endpoint.reinvite(session, Some(OFFER), &[], peer.now).expect("free");
    peer.sent();
    let theirs = peer.callee_says(&invite, "INVITE", 1, "");
    peer.receive(&theirs);
    assert_eq!(peer.said(), ["491 INVITE"]);
    assert!(peer.events().is_empty());
}

#[test]
fn a_reinvite_refused_with_491_is_sent_again_after_2_to_4_s_by_the_caller() {
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.connected_call();
    peer.endpoint.reinvite(session, Some(OFFER), &[], peer.now).expect("free");
    let again = peer.sent().remove(0);
    assert_eq!(short(&again), "INVITE 2");
    peer.receive(&response(&again, 491, ""));
    peer.wait(Duration::from_millis(2090));
    assert_eq!(peer.said(), ["ACK 2"]);
    peer.wait(Duration::from_millis(1920));
    let again = peer.sent().remove(0);
    assert_eq!(short(&again), "INVITE 3");
    peer.receive(&response(&again, 200, ""));
    assert!(matches!(peer.event(), Event::ReinviteAnswered { .. }));
    peer.endpoint.ack(session, None, peer.now);
    assert_eq!(peer.said(), ["ACK 3"]);
    peer.receive(&response(&again, 200, ""));
    assert_eq!(peer.said(), ["ACK 3"]);
}

#[test]
fn a_callee_backs_off_for_at_most_2_s() {
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.connected_callee();
    peer.endpoint.reinvite(session, Some(OFFER), &[], peer.now).expect("free");
    let again = peer.sent().remove(0);
    peer.receive(&response(&again, 491, ""));
    peer.sent();
    peer.wait(Duration::from_millis(2010));
    assert!(peer.said().contains(&"INVITE 2".to_owned()));
}

#[test]
fn the_peers_reinvite_during_the_back_off_ends_ours() {
    let mut peer = Peer::new(trunk());
    let (session, invite) = peer.connected_call();
    peer.endpoint.reinvite(session, Some(OFFER), &[], peer.now).expect("free");
    let again = peer.sent().remove(0);
    peer.receive(&response(&again, 491, ""));
    let theirs = peer.callee_says(&invite, "INVITE", 1, "");
    peer.receive(&theirs);
    let events = peer.events();
    assert!(matches!(events[0], Event::ReinviteRefused { status: 491, .. }));
    assert!(matches!(events[1], Event::Reinvited { .. }));
}

#[test]
fn one_reinvite_at_a_time() {
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.connected_call();
    peer.endpoint.reinvite(session, Some(OFFER), &[], peer.now).expect("free");
    assert_eq!(peer.endpoint.reinvite(session, Some(OFFER), &[], peer.now), Err(Pending));
    let again = peer.sent().remove(0);
    peer.receive(&response(&again, 488, ""));
    assert!(matches!(peer.event(), Event::ReinviteRefused { status: 488, .. }));
    assert!(peer.endpoint.reinvite(session, Some(OFFER), &[], peer.now).is_ok());
}

#[test]
fn a_reinvite_refused_with_481_ends_the_session_with_a_bye() {
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.connected_call();
    peer.endpoint.reinvite(session, Some(OFFER), &[], peer.now).expect("free");
    let again = peer.sent().remove(0);
    peer.receive(&response(&again, 481, ""));
    assert!(matches!(peer.event(), Event::Ended { why: EndReason::Gone, .. }));
    assert_eq!(peer.said(), ["ACK 2", "BYE 3"]);
}

#[test]
fn a_2xx_to_our_reinvite_after_we_hung_up_is_acknowledged() {
    let mut peer = Peer::new(trunk());
    let (session, _) = peer.connected_call();
    peer.endpoint.reinvite(session, Some(OFFER), &[], peer.now).expect("free");
    let again = peer.sent().remove(0);
    peer.endpoint.hang_up(session, &[], peer.now);
    assert_eq!(peer.said(), ["BYE 3"]);
    peer.receive(&response(&again, 200, ""));
    assert_eq!(peer.said(), ["ACK 2"]);
    assert!(peer.events().is_empty());
}

#[test]
fn hanging_up_answers_the_peers_open_reinvite_with_487() {
    let mut peer = Peer::new(trunk());
    let (session, tag) = peer.connected_callee();
    let again = peer.in_dialog("INVITE", 2, &tag, "");
    peer.receive(&again);
    peer.endpoint.hang_up(session, &[], peer.now);
    assert_eq!(peer.said(), ["487 INVITE", "BYE 1"]);
}

#[test]
fn hanging_up_an_answered_call_that_was_not_acknowledged_sends_ack_and_bye() {
    let mut peer = Peer::new(trunk());
    let (session, invite) = peer.call();
    peer.receive(&response(&invite, 200, "p1"));
    peer.endpoint.hang_up(session, &[], peer.now);
    assert_eq!(peer.said(), ["ACK 1", "BYE 2"]);
    assert_eq!(peer.endpoint.load().1, 0);
}

#[test]
fn a_target_refresh_moves_our_requests() {
    let mut peer = Peer::new(trunk());
    let (session, tag) = peer.connected_callee();
    let update =
        peer.in_dialog("UPDATE", 2, &tag, "").replace("<sip:1003@192.0.2.81:5060>\r\n", "<sip:n@192.0.2.82:5070>\r\n");
    peer.receive(&update);
    peer.sent();
    peer.endpoint.info(session, "application/dtmf-relay", b"Signal=1\r\n", peer.now).expect("a dialog");
    let info = peer.endpoint.poll_transmit().expect("an INFO");
    assert_eq!(info.path.remote(), addr("192.0.2.82:5070"));
    assert!(info.bytes.starts_with(b"INFO sip:n@192.0.2.82:5070 SIP/2.0\r\n"));
}

#[test]
fn a_target_refresh_that_is_refused_moves_nothing() {
    let mut peer = Peer::new(trunk());
    let (session, tag) = peer.connected_callee();
    let elsewhere = |text: String| text.replace("<sip:1003@192.0.2.81:5060>\r\n", "<sip:n@192.0.2.82:5070>\r\n");
    let goes_to = |peer: &mut Peer| {
        peer.endpoint.info(session, "application/dtmf-relay", b"Signal=1\r\n", peer.now).expect("a dialog");
        peer.endpoint.poll_transmit().expect("an INFO").path.remote()
    };
    for accepted in [false, true] {
        let reinvite = elsewhere(peer.in_dialog("INVITE", 2 + u32::from(accepted), &tag, ""));
        peer.receive(&reinvite);
        match accepted {
            false => peer.endpoint.reject_reinvite(session, 488, None, &[], peer.now),
            true => peer.endpoint.answer_reinvite(session, OFFER, &[], peer.now),
        }
        peer.events();
        peer.sent();
        let expected = if accepted { "192.0.2.82:5070" } else { "192.0.2.81:5060" };
        assert_eq!(goes_to(&mut peer), addr(expected));
    }
}

#[test]
fn an_update_with_sdp_sets_target_and_session_timer_once_it_is_accepted() {
    let mut peer = Peer::new(trunk());
    let (session, tag) = peer.connected_callee();
    for (cseq, status) in [(2, 488), (3, 200)] {
        let more = "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\nContent-Type: application/sdp\r\n";
        let update = peer
            .in_dialog("UPDATE", cseq, &tag, more)
            .replace("Content-Length: 0\r\n\r\n", "Content-Length: 5\r\n\r\nv=0\r\n");
        peer.receive(&update);
        let Event::InDialog { tx, message, .. } = peer.event() else { panic!("no event") };
        peer.endpoint.respond(tx, Builder::response_to(&message, status, None, None), peer.now);
        let answer = peer.sent().remove(0);
        assert_eq!(answer.status(), status);
        let timer = (status == 200).then_some(&b"90;refresher=uac"[..]);
        assert_eq!(answer.header(Name::SessionExpires), timer);
        assert_eq!(answer.header(Name::Contact).is_some(), status == 200);
    }
    peer.wait(secs(91));
    assert!(matches!(peer.event(), Event::Ended { session: of, why: EndReason::SessionExpired } if of == session));
}

#[test]
fn an_update_with_an_offer_meets_the_glare_of_ours_and_of_theirs() {
    let mut peer = Peer::new(trunk());
    let (session, tag) = peer.connected_callee();
    peer.endpoint.reinvite(session, Some(OFFER), &[], peer.now).expect("free");
    let ours = peer.sent().remove(0);
    let update = with_offer(&peer.in_dialog("UPDATE", 2, &tag, ""));
    peer.receive(&update);
    assert_eq!(peer.said(), ["491 UPDATE"], "ours is open (RFC 3311 5.2)");
    peer.receive(&response(&ours, 488, ""));
    peer.events();
    let reinvite = with_offer(&peer.in_dialog("INVITE", 3, &tag, ""));
    peer.receive(&reinvite);
    assert!(matches!(peer.event(), Event::Reinvited { .. }));
    let update = with_offer(&peer.in_dialog("UPDATE", 4, &tag, ""));
    peer.sent();
    peer.receive(&update);
    let refused = peer.sent().remove(0);
    assert_eq!(short(&refused), "500 UPDATE");
    assert!(refused.number(Name::RetryAfter).is_some_and(|seconds| seconds <= 10), "theirs is open");
}

#[test]
fn a_reinvite_before_our_invite_is_answered_gets_491() {
    let mut peer = Peer::new(trunk());
    let (_, invite) = peer.call();
    peer.receive(&response(&invite, 183, "p1"));
    peer.events();
    let reinvite = peer.callee_says(&invite, "INVITE", 1, "");
    peer.receive(&reinvite);
    assert_eq!(peer.said(), ["491 INVITE"]);
    assert!(peer.events().is_empty());
}

#[test]
fn an_unknown_method_gets_501_in_a_dialog_and_one_that_has_no_place_there_405() {
    let mut peer = Peer::new(trunk());
    let (_, tag) = peer.connected_callee();
    for (cseq, method, status) in [(2, "REGISTER", 405), (3, "FROBNICATE", 501)] {
        let text = peer.in_dialog(method, cseq, &tag, "");
        peer.receive(&text);
        let sent = peer.endpoint.poll_transmit().expect("a refusal");
        assert!(sent.bytes.starts_with(format!("SIP/2.0 {status} ").as_bytes()));
    }
}

#[test]
fn a_reinvite_of_an_ended_session_does_not_wait_for_its_final_response_for_ever() {
    for provisional_first in [true, false] {
        let mut peer = Peer::new(trunk());
        let (session, _) = peer.connected_call();
        peer.endpoint.reinvite(session, Some(OFFER), &[], peer.now).expect("free");
        let again = peer.sent().remove(0);
        if provisional_first {
            peer.receive(&response(&again, 100, ""));
        }
        peer.endpoint.hang_up(session, &[], peer.now);
        peer.receive(&response(&again, 100, ""));
        peer.wait(secs(70));
        assert_eq!(peer.endpoint.load(), (0, 0));
    }
}
