//! Those whom nobody asked: requests, responses, ACKs, CANCELs and BYEs from elsewhere, and what they may cost.

use std::time::Duration;

use bytes::Bytes;
use crosspoint::gateway::Input;
use crosspoint::path::Path;
use crosspoint::sip::message::{Method, Name};

use crate::peers::{Offered, Ua, inbound_call, last_status, outbound_call, request, signed_in};
use crate::rig::{REALM, Rig, config, udp};
use crate::sdp;

fn stranger() -> Ua {
    Ua::server(udp("203.0.113.9:5060".parse().unwrap()))
}

fn edited(bytes: &Bytes, from: &str, to: &str) -> Bytes {
    let text = String::from_utf8_lossy(bytes).into_owned();
    assert!(text.contains(from), "{from} in {text}");
    text.replace(from, to).into_bytes().into()
}

#[test]
fn a_stranger_by_udp_gets_one_answer_and_no_transaction() {
    let mut rig = Rig::new();
    let mut stranger = stranger();
    let call = stranger.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
    assert_eq!(rig.snapshot().transactions, 0);
    rig.advance(Duration::from_secs(60));
    // The address may be forged: whoever it belongs to gets no 100 and no repetitions.
    let answer = rig.take_one(stranger.path);
    assert_eq!(answer.status(), 403);
    assert!(answer.raw().len() < call.invite.raw().len(), "no larger than what it answers");
}

#[test]
fn stray_requests_in_no_dialog_are_answered_by_the_limit_of_their_source() {
    let mut rig = Rig::new();
    let mut stranger = stranger();
    let call = stranger.invite("5001", None, &[]);
    for n in 0..1000 {
        let method = if n % 2 == 0 { Method::Bye } else { Method::Info };
        let bytes = stranger.request(method, &format!("sip:5001@{REALM}"), &[], None);
        rig.deliver(stranger.path, edited(&bytes, "To: <sip:5001@gw.test>", "To: <sip:5001@gw.test>;tag=x"));
        let cancel = stranger.cancel(&call, None);
        rig.deliver(stranger.path, edited(&cancel, "branch=z9hG4bK", &format!("branch=z9hG4bK{n}")));
    }
    let answers = rig.take(stranger.path);
    assert!(answers.len() <= 110 && answers.iter().all(|answer| answer.status() == 481), "{}", answers.len());
    assert_eq!(rig.snapshot().entries, 0);
}

#[test]
fn a_stray_request_of_the_trunk_is_always_answered() {
    let mut rig = Rig::new();
    let mut trunk = Ua::trunk();
    for _ in 0..500 {
        let bytes = trunk.request(Method::Bye, &format!("sip:5001@{REALM}"), &[], None);
        rig.deliver(trunk.path, edited(&bytes, "To: <sip:5001@gw.test>", "To: <sip:5001@gw.test>;tag=x"));
    }
    assert_eq!(rig.take(trunk.path).len(), 500);
}

#[test]
fn a_response_that_nobody_asked_for_answers_no_call() {
    let mut rig = Rig::new();
    let Offered { browser, trunk, invite, .. } = Offered::outbound(&mut rig, "1003");
    rig.take(browser.path);
    let answer = trunk.respond(&invite, 200, Some(&sdp::trunk_answer()));
    let branch = invite.via().branch().unwrap().to_owned();
    for guess in ["z9hG4bK1", "z9hG4bK0000000000000000", ""] {
        rig.deliver(stranger().path, edited(&answer, &branch, guess));
    }
    assert!(rig.take(browser.path).is_empty());
    assert_eq!(rig.snapshot().counters.answered, 0);
    assert!(rig.snapshot().sip.stray_responses >= 2);
}

#[test]
fn another_browser_that_knows_the_call_id_but_not_the_tags_changes_nothing() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let mut other = signed_in(&mut rig, "5002");
    for method in [Method::Bye, Method::Info, Method::Notify, Method::Update, Method::Invite] {
        let mut stolen = talk.at_browser.clone();
        stolen.local = format!("<sip:5002@{REALM}>;tag=guess");
        let bytes = other.within(&mut stolen, method.clone(), &[("Event", "hold")], None);
        rig.deliver(other.path, bytes);
        last_status(&rig.take(other.path), 481);
    }
    let ack = other.within(&mut talk.at_browser.clone(), Method::Ack, &[], None);
    rig.deliver(other.path, edited(&ack, ";tag=t", ";tag=guess"));
    assert!(rig.take(talk.browser.path).is_empty() && rig.take(talk.trunk.path).is_empty());
    assert_eq!(rig.snapshot().calls.len(), 1);
    let bye = talk.browser.within(&mut talk.at_browser, Method::Bye, &[], None);
    rig.deliver(talk.browser.path, bye);
    last_status(&rig.take(talk.browser.path), 200);
}

#[test]
fn a_cancel_of_a_call_that_is_answered_or_of_another_branch_ends_nothing() {
    let mut rig = Rig::new();
    let talk = inbound_call(&mut rig);
    let cancel = talk.trunk.cancel(&talk.at_trunk, None);
    rig.deliver(talk.trunk.path, cancel.clone());
    let branch = talk.at_trunk.invite.via().branch().unwrap().to_owned();
    rig.deliver(talk.trunk.path, edited(&cancel, &branch, "z9hG4bKother"));
    let statuses: Vec<u16> = rig.take(talk.trunk.path).iter().map(|m| m.status()).collect();
    assert_eq!(statuses, [200, 481]);
    assert_eq!(rig.snapshot().calls.len(), 1);
    assert!(rig.take(talk.browser.path).is_empty());
}

#[test]
fn a_200_to_a_connection_that_is_gone_is_not_repeated_for_ever() {
    let mut with = config();
    with.calls.flow_grace = Duration::ZERO;
    let mut rig = Rig::with(with, 1, 4);
    let Offered { browser, trunk, invite, .. } = Offered::outbound(&mut rig, "1003");
    rig.deliver(trunk.path, trunk.respond(&invite, 200, Some(&sdp::trunk_answer())));
    rig.input(Input::FlowClosed(browser.path.flow().unwrap()));
    let to_trunk = rig.take(trunk.path);
    let bye = request(&to_trunk, Method::Bye);
    rig.deliver(trunk.path, trunk.respond(&bye, 200, None));
    rig.advance(Duration::from_secs(120));
    let snapshot = rig.snapshot();
    assert_eq!((snapshot.sessions, snapshot.entries), (0, 0));
    rig.assert_clean();
}

#[test]
fn an_absurd_description_in_a_call_is_refused_and_the_call_goes_on() {
    let mut rig = Rig::new();
    let mut talk = outbound_call(&mut rig);
    let thousand_lines = sdp::chromium_offer() + &"m=audio 9 RTP/AVP 0\r\n".repeat(1000);
    let thousand_formats = sdp::chromium_offer().replace("SAVPF 111", &format!("SAVPF{}", " 111".repeat(1000)));
    let thousand_candidates = sdp::chromium_offer() + &"a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n".repeat(1000);
    let candidates_that_fit = sdp::chromium_offer() + &"a=candidate:1 1 udp 1 a.local 9 typ host\r\n".repeat(400);
    let cut = sdp::chromium_offer()[..200].to_owned();
    for (offer, expected) in [
        (thousand_lines.as_str(), 400),
        (&thousand_formats, 400),
        (&thousand_candidates, 400),
        ("v=0\r\n", 488),
        ("\u{0}\u{1}", 400),
        (&cut, 488),
        (&candidates_that_fit, 200),
    ] {
        let body = Some(("application/sdp", offer));
        let reinvite = talk.browser.within(&mut talk.at_browser, Method::Invite, &[], body);
        rig.deliver(talk.browser.path, reinvite);
        let answers = rig.take(talk.browser.path);
        let status = answers.iter().map(|m| m.status()).max();
        assert_eq!(status, Some(expected), "{} bytes", offer.len());
    }
    assert_eq!(rig.snapshot().calls.len(), 1);
    assert!(rig.take(talk.trunk.path).is_empty());
}

#[test]
fn a_message_beyond_its_size_or_with_two_lengths_harms_no_call() {
    let mut rig = Rig::new();
    let talk = inbound_call(&mut rig);
    let mut trunk = Ua::trunk();
    let large = format!("v=0\r\n{}", "a=x\r\n".repeat(20_000));
    let call = trunk.request(Method::Message, &format!("sip:5001@{REALM}"), &[], Some(("text/plain", &large)));
    rig.deliver(trunk.path, call);
    let twice = trunk.request(Method::Options, &format!("sip:{REALM}"), &[("Content-Length", "0")], None);
    let twice = edited(&twice, "Content-Length: 0\r\n", "Content-Length: 0\r\nl: 5\r\n");
    rig.deliver(trunk.path, twice);
    assert!(rig.snapshot().sip.malformed >= 2, "{:?}", rig.snapshot().sip);
    assert_eq!(rig.snapshot().calls.len(), 1);
    assert!(rig.take(talk.browser.path).is_empty());
}

#[test]
fn the_bracket_style_of_the_sip_server_may_differ_between_invite_cancel_and_ack() {
    let bare = |bytes: &Bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let text = text.replace("From: <sip:1003@gw.test>", "From: sip:1003@gw.test:5060");
        Bytes::from(text.replace("To: <sip:5001@gw.test>", "To: sip:5001@gw.test").into_bytes())
    };
    let mut rig = Rig::new();
    let browser = signed_in(&mut rig, "5001");
    let mut trunk = Ua::trunk();
    let call = trunk.invite("5001", Some(&sdp::genesys_offer()), &[]);
    rig.deliver(trunk.path, bare(call.invite.raw()));
    request(&rig.take(browser.path), Method::Invite);
    rig.deliver(trunk.path, trunk.cancel(&call, None));
    let answers = rig.take(trunk.path);
    let refusal = last_status(&answers, 487);
    last_status(&answers, 200);
    let ack = trunk.ack(&call, &refusal, None);
    rig.deliver(trunk.path, ack);
    rig.advance(Duration::from_secs(3));
    assert!(rig.take(trunk.path).is_empty(), "487 is acknowledged, and not repeated");

    let mut call = trunk.invite("5001", Some(&sdp::genesys_offer()), &[]);
    rig.deliver(trunk.path, bare(call.invite.raw()));
    let invite = rig.take(browser.path).into_iter().rfind(|m| m.is_request() && m.method() == Method::Invite).unwrap();
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    let ok = last_status(&rig.take(trunk.path), 200);
    call.learn(&ok);
    let ack = trunk.ack(&call, &ok, None);
    rig.deliver(trunk.path, edited(&ack, "From: <sip:1003@gw.test>", "From: \"1003\" <sip:1003@gw.test:5060>"));
    rig.advance(Duration::from_secs(3));
    assert!(rig.take(trunk.path).is_empty(), "200 is acknowledged, and not repeated");
}

#[test]
fn two_legs_that_share_their_guid_are_two_calls() {
    let mut rig = Rig::new();
    let browsers = ["5001", "5002"].map(|dn| signed_in(&mut rig, dn));
    let mut trunk = Ua::trunk();
    for (n, browser) in browsers.iter().enumerate() {
        let call = trunk.invite(&browser.user, Some(&sdp::genesys_offer()), &[]);
        let invite = edited(call.invite.raw(), &call.call_id, &format!("0FA1C2D3-5001@192.0.2.81-{n}"));
        let branch = call.invite.via().branch().unwrap().to_owned();
        rig.deliver(trunk.path, edited(&invite, &branch, &format!("z9hG4bK0FA1C2D3-{n}")));
        request(&rig.take(browser.path), Method::Invite);
    }
    assert_eq!(rig.snapshot().calls.len(), 2);
}

#[test]
fn a_via_of_a_stranger_sends_its_answer_nowhere_else() {
    let mut rig = Rig::new();
    let mut stranger = stranger();
    stranger.via = "SIP/2.0/UDP 192.0.2.200:5060".to_owned();
    let bytes = stranger.request(Method::Options, &format!("sip:{REALM}"), &[], None);
    rig.deliver(stranger.path, bytes);
    let paths: Vec<Path> = rig.sent.keys().copied().collect();
    assert_eq!(paths, [stranger.path], "the address is the source's, whatever the Via says");
    let answer = rig.take_one(stranger.path);
    let via = String::from_utf8_lossy(answer.header(Name::Via).unwrap()).into_owned();
    assert!(via.contains("received=203.0.113.9"), "{via}");
}
