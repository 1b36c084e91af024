//! Requests that are turned away, limits, and the way back of responses.

use std::time::Duration;

use bytes::Bytes;

use super::peer::*;
use crate::id::FlowId;
use crate::path::{Path, Transport};
use crate::sip::endpoint::*;
use crate::sip::message::{Builder, Message, Method, Name};

fn options(branch: &str, more: &str) -> String {
    format!(
        "OPTIONS sip:192.0.2.54 SIP/2.0\r\nVia: SIP/2.0/UDP {branch}\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:192.0.2.54>\r\n\
         Call-ID: {}\r\nCSeq: 1 OPTIONS\r\n{more}Content-Length: 0\r\n\r\n",
        branch.replace([';', '=', ' '], "-")
    )
}

#[test]
fn require_100rel_gets_420_with_unsupported() {
    let mut peer = Peer::new(trunk());
    peer.receive(&invite("z9hG4bK1", "Require: timer, 100rel\r\n"));
    let refused = peer.sent().remove(0);
    assert_eq!(refused.status(), 420);
    assert_eq!(refused.header(Name::Unsupported), Some(&b"100rel"[..]));
    assert!(peer.events().is_empty());
}

#[test]
fn an_invite_that_came_another_way_before_is_merged_and_gets_482() {
    let mut peer = Peer::new(trunk());
    peer.invited();
    peer.receive(&invite("z9hG4bKother", ""));
    assert_eq!(peer.said(), ["482 INVITE"]);
}

#[test]
fn max_forwards_0_gets_483_but_options_is_the_users() {
    let mut peer = Peer::new(trunk());
    peer.receive(&invite("z9hG4bK1", "").replace("Max-Forwards: 70", "Max-Forwards: 0"));
    assert_eq!(peer.said(), ["483 INVITE"]);
    peer.receive(&options("192.0.2.81;branch=z9hG4bK2", "Max-Forwards: 0\r\n"));
    assert!(matches!(peer.event(), Event::Request { .. }));
}

#[test]
fn an_unknown_method_gets_405_with_allow() {
    let mut peer = Peer::new(trunk());
    peer.receive(&options("192.0.2.81;branch=z9hG4bK2", "").replace("OPTIONS", "FROBNICATE"));
    let refused = Message::parse(peer.endpoint.poll_transmit().expect("a refusal").bytes).expect("sound");
    assert_eq!(refused.status(), 405);
    assert!(refused.has_option(Name::Allow, "INVITE"));
}

#[test]
fn a_request_in_no_dialog_gets_481_and_a_stray_ack_nothing() {
    let mut peer = Peer::new(trunk());
    for method in ["INVITE", "BYE", "NOTIFY", "UPDATE", "INFO"] {
        let text = peer.in_dialog(method, 2, "nobody", "");
        peer.receive(&text);
        assert_eq!(peer.said(), [format!("481 {method}")]);
    }
    let ack = peer.in_dialog("ACK", 1, "nobody", "");
    peer.receive(&ack);
    assert!(peer.said().is_empty());
    assert_eq!(peer.endpoint.stats().stray_acks, 1);
    assert_eq!(peer.endpoint.load(), (0, 0));
}

#[test]
fn a_dialog_is_not_entered_with_a_foreign_from_tag_or_call_id() {
    let mut peer = Peer::new(trunk());
    let (_, tag) = peer.connected_callee();
    let bye = peer.in_dialog("BYE", 2, &tag, "").replace("tag=GUID-7", "tag=GUID-8");
    peer.receive(&bye);
    assert_eq!(peer.said(), ["481 BYE"]);
    let bye = peer.in_dialog("BYE", 2, &tag, "").replace("GUID-1@", "GUID-2@");
    peer.receive(&bye);
    assert_eq!(peer.said(), ["481 BYE"]);
    assert!(peer.events().is_empty());
}

#[test]
fn a_stray_cancel_gets_481_and_a_stray_response_is_counted() {
    let mut peer = Peer::new(trunk());
    peer.receive(&invite("z9hG4bK9", "").replace("INVITE sip", "CANCEL sip").replace("1 INVITE", "1 CANCEL"));
    assert_eq!(peer.said(), ["481 CANCEL"]);
    let (_, sent) = peer.call();
    peer.receive(&response(&sent, 200, "p").replace("z9hG4bK", "z9hG4bKx"));
    assert_eq!(peer.endpoint.stats().stray_responses, 1);
    assert!(peer.events().is_empty());
}

#[test]
fn a_refusal_without_transaction_has_the_same_tag_each_time() {
    let mut peer = Peer::new(trunk());
    let text = invite("z9hG4bK1", "Require: 100rel\r\n");
    peer.receive(&text);
    peer.receive(&text);
    let sent = peer.sent();
    assert_eq!(to_tag(&sent[0]), to_tag(&sent[1]));
}

#[test]
fn a_malformed_request_gets_its_status_and_an_ack_never_does() {
    let mut peer = Peer::new(trunk());
    peer.receive(&options("192.0.2.81;branch=z9hG4bK2", "").replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia"));
    assert_eq!(peer.said(), ["505 OPTIONS"]);
    let ack = peer.in_dialog("ACK", 1, "t", "").replace("CSeq: 1 ACK", "CSeq: 1 BYE");
    peer.receive(&ack);
    peer.receive("\u{0}\u{1}nonsense");
    assert!(peer.said().is_empty());
    assert_eq!(peer.endpoint.stats().malformed, 3);
}

#[test]
fn without_rport_the_response_goes_to_the_port_of_the_via_at_the_source_address() {
    let mut peer = Peer::new(Path::Udp { local: addr("192.0.2.54:5060"), remote: addr("198.51.100.9:33333") });
    peer.receive(&options("192.0.2.81:5080;branch=z9hG4bK2", ""));
    let Event::Request { tx, message, .. } = peer.event() else { panic!("no request") };
    peer.endpoint.respond(tx, Builder::response_to(&message, 200, None, None), peer.now);
    let sent = peer.endpoint.poll_transmit().expect("a response");
    assert_eq!(sent.path.remote(), addr("198.51.100.9:5080"));
    let sent = Message::parse(sent.bytes).expect("sound");
    assert_eq!(sent.via().received(), Some("198.51.100.9"));
    assert!(sent.to().tag().is_some());
}

#[test]
fn with_rport_the_response_goes_to_the_source_port() {
    let mut peer = Peer::new(Path::Udp { local: addr("192.0.2.54:5060"), remote: addr("198.51.100.9:33333") });
    peer.receive(&options("10.0.0.1:5080;rport;received=1.2.3.4;branch=z9hG4bK2", ""));
    let Event::Request { tx, message, .. } = peer.event() else { panic!("no request") };
    peer.endpoint.respond(tx, Builder::response_to(&message, 200, None, Some("mine")), peer.now);
    let sent = peer.endpoint.poll_transmit().expect("a response");
    assert_eq!(sent.path.remote(), addr("198.51.100.9:33333"));
    let sent = Message::parse(sent.bytes).expect("sound");
    assert_eq!((sent.via().received(), sent.via().rport()), (Some("198.51.100.9"), Some(33_333)));
    assert_eq!((sent.via().branch(), to_tag(&sent).as_str()), (Some("z9hG4bK2"), "mine"));
}

#[test]
fn requests_to_a_browser_go_down_its_flow_whatever_its_contact_says() {
    let mut peer = Peer::new(browser(4));
    let (session, invite) = peer.call();
    peer.receive(&response_with(&invite, 200, "p1", "Contact: <sip:x@df7jal23ls0d.invalid;transport=ws>\r\n"));
    peer.endpoint.ack(session, None, peer.now);
    peer.endpoint.hang_up(session, &[], peer.now);
    for _ in 0..2 {
        assert_eq!(peer.endpoint.poll_transmit().expect("ACK, BYE").path, browser(4));
    }
}

#[test]
fn a_session_whose_flow_is_lost_goes_on_down_the_new_one() {
    let mut peer = Peer::new(browser(4));
    let (session, _) = peer.connected_callee();
    peer.endpoint.handle_flow_closed(FlowId(4), peer.now);
    assert!(matches!(peer.event(), Event::FlowLost { session: lost } if lost == session));
    peer.endpoint.update_path(session, browser(5));
    peer.endpoint.hang_up(session, &[], peer.now);
    assert_eq!(peer.endpoint.poll_transmit().expect("a BYE").path, browser(5));
}

#[test]
fn an_untrusted_source_is_limited_and_a_trusted_one_is_not() {
    let limit = SourceLimit { per_second: 1, burst: 3 };
    let config = EndpointConfig { source_limit: limit, ..EndpointConfig::default() };
    let mut peer = Peer::with(trunk(), config.clone());
    for n in 0..10 {
        peer.receive(&options(&format!("192.0.2.81;branch=z9hG4bK{n}"), ""));
    }
    assert_eq!((peer.events().len(), peer.endpoint.stats().limited), (3, 7));
    peer.wait(Duration::from_secs(2));
    peer.receive(&options("192.0.2.81;branch=z9hG4bKlater", ""));
    assert_eq!(peer.events().len(), 1);
    let mut peer = Peer::with(trunk(), config);
    peer.endpoint.set_trusted(|path| path.remote().ip() == addr("192.0.2.81:1").ip());
    for n in 0..10 {
        peer.receive(&options(&format!("192.0.2.81;branch=z9hG4bK{n}"), ""));
    }
    assert_eq!(peer.events().len(), 10);
}

#[test]
fn a_full_table_turns_new_requests_away_but_takes_a_bye() {
    let mut peer = Peer::with(trunk(), EndpointConfig { max_transactions: 16, ..EndpointConfig::default() });
    let (_, tag) = peer.connected_callee();
    for n in 0..20 {
        peer.receive(&options(&format!("192.0.2.81;branch=z9hG4bK{n}"), ""));
    }
    assert_eq!(peer.events().len(), 15);
    assert_eq!(peer.said(), ["503 OPTIONS"; 5]);
    let bye = peer.in_dialog("BYE", 2, &tag, "");
    peer.receive(&bye);
    assert_eq!(peer.said(), ["200 BYE"]);
    peer.wait(Duration::from_secs(70));
    assert_eq!(peer.endpoint.load(), (0, 0));
}

#[test]
fn a_full_table_fails_requests_of_ours_at_once_but_not_a_bye() {
    let mut peer = Peer::with(trunk(), EndpointConfig { max_transactions: 4, ..EndpointConfig::default() });
    let (session, tag) = peer.connected_callee();
    let (_, _) = (peer.call(), peer.call());
    let hop = peer.hop();
    peer.endpoint.info(session, "application/dtmf-relay", b"Signal=1\r\n", peer.now).expect("a dialog");
    peer.sent();
    let refused = peer.endpoint.invite(order(), hop, peer.now);
    assert!(matches!(peer.event(), Event::Refused { session, status: 503, message: None } if session == refused));
    let info = peer.endpoint.info(session, "application/dtmf-relay", b"Signal=1\r\n", peer.now).expect("a dialog");
    assert!(matches!(peer.event(), Event::RequestFailed { tx, why: FailReason::Transport } if tx == info));
    peer.endpoint.reinvite(session, Some(OFFER), &[], peer.now).expect("free");
    assert!(matches!(peer.event(), Event::ReinviteRefused { status: 503, .. }));
    assert!(peer.sent().is_empty() && !tag.is_empty());
    peer.endpoint.hang_up(session, &[], peer.now);
    assert_eq!(peer.said(), ["BYE 2"]);
}

#[test]
fn a_request_without_the_magic_cookie_is_matched_as_rfc_2543_did() {
    let mut peer = Peer::new(trunk());
    peer.receive(&invite("1", ""));
    peer.events();
    peer.receive(&invite("1", ""));
    assert!(peer.events().is_empty());
    assert_eq!(peer.said(), ["100 INVITE"]);
    peer.receive(&invite("1", "").replace("INVITE sip", "CANCEL sip").replace("1 INVITE", "1 CANCEL"));
    assert_eq!(peer.said(), ["200 CANCEL", "487 INVITE"]);
}

#[test]
fn a_request_of_ours_reports_its_responses_or_its_time_out() {
    let mut peer = Peer::new(trunk());
    let request = || OutRequest {
        method: Method::Options,
        uri: "sip:192.0.2.81".to_owned(),
        from: "<sip:gw@192.0.2.54>".to_owned(),
        to: "<sip:192.0.2.81>".to_owned(),
        call_id: None,
        cseq: None,
        headers: Vec::new(),
        body: None,
    };
    let hop = peer.hop();
    let tx = peer.endpoint.send_request(request(), hop.clone(), peer.now);
    let sent = peer.sent().remove(0);
    peer.receive(&response(&sent, 200, "t"));
    assert!(matches!(peer.event(), Event::Response { tx: of, .. } if of == tx));
    let tx = peer.endpoint.send_request(request(), hop, peer.now);
    peer.wait(Duration::from_secs(33));
    assert!(matches!(peer.event(), Event::RequestFailed { tx: of, why: FailReason::TimedOut } if of == tx));
}

#[test]
fn keep_alives_are_no_messages() {
    let mut peer = Peer::new(trunk());
    peer.receive("\r\n\r\n");
    peer.endpoint.handle_message(trunk(), Transport::Udp, Bytes::new(), peer.now);
    assert_eq!(peer.endpoint.stats(), Stats::default());
}
