//! Third-party call control as a Genesys SIP Server does it: NOTIFY talk, RFC 3725 flow I as traced and flow IV. Messages are
//! written out here as that server writes them; addresses and identifiers are made up.

use std::time::Duration;

use bytes::Bytes;
use crosspoint::call::{AnswerMode, CallCommand, Command, Declined, EventKind, ReleaseCause};
use crosspoint::gateway::Input;
use crosspoint::plan::{Order, Source, Topology};
use crosspoint::sip::message::{Message, Method, Name};

use crate::peers::{Ua, last_status, request, signed_in};
use crate::rig::{Rig, config, first_line, trunk_addr, udp};
use crate::sdp;

const GUID: &str = "00FD9C50-7B2A-1234-8D6C-5102A8C0AA77";
const UUID: &str = "N5JBFPUQ4H2JD6IL3DKQNBPBS0000001";

/// The SIP Server's side of a call: it writes text.
struct Server {
    /// The To of our responses, with our tag.
    to: String,
    /// Our Contact.
    target: String,
    cseq: u32,
}

impl Server {
    fn new() -> Server {
        Server { to: "<sip:5001@192.0.2.54>".to_owned(), target: "sip:5001@192.0.2.54:5060".to_owned(), cseq: 1 }
    }

    /// A message: Content-Length before Via, no rport, From without brackets, its tag a header parameter.
    fn write(&self, method: &str, cseq: u32, extra: &[&str], body: &str) -> Bytes {
        let uri = if method == "INVITE" && cseq == 1 { "sip:5001@192.0.2.54:5060" } else { &self.target };
        let mut text = format!(
            "{method} {uri} SIP/2.0\r\nContent-Length: {}\r\nVia: SIP/2.0/UDP 192.0.2.81:5060;branch=z9hG4bK{GUID}-{cseq}{}\r\n\
             From: sip:1003@192.0.2.81:5060;tag={GUID}-7\r\nTo: {}\r\nCall-ID: {GUID}-4@192.0.2.81\r\nCSeq: {cseq} {method}\r\n\
             Max-Forwards: 70\r\nContact: <sip:1003@192.0.2.81:5060>\r\nX-Genesys-CallUUID: {UUID}\r\n",
            body.len(),
            if method == "ACK" { "a" } else { "" },
            self.to,
        );
        extra.iter().for_each(|line| text.push_str(&format!("{line}\r\n")));
        if !body.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        text.push_str(&format!("\r\n{body}"));
        Bytes::from(text)
    }

    fn deliver(&self, rig: &mut Rig, bytes: Bytes) {
        rig.deliver(udp(trunk_addr()), bytes);
    }

    /// The offerless INVITE of flow I, or one with an offer.
    fn invite(&self, rig: &mut Rig, offer: &str) {
        let extra = [
            "Supported: timer",
            "Allow: INVITE, ACK, PRACK, CANCEL, BYE, REFER, INFO, MESSAGE, NOTIFY, OPTIONS, SUBSCRIBE, UPDATE",
            "Session-Expires: 1800;refresher=uac",
            "Min-SE: 90",
        ];
        self.deliver(rig, self.write("INVITE", 1, &extra, offer));
    }

    fn learn(&mut self, response: &Message) {
        self.to = String::from_utf8_lossy(response.header(Name::To).unwrap()).into_owned();
        self.target = response.contacts().next().unwrap().unwrap().uri.to_owned();
    }

    fn notify(&mut self, event: &str) -> Bytes {
        self.cseq += 1;
        self.write("NOTIFY", self.cseq, &[&format!("Event: {event}"), "Subscription-State: active"], "")
    }

    fn ack(&self, rig: &mut Rig, cseq: u32, answer: &str) {
        self.deliver(rig, self.write("ACK", cseq, &[], answer));
    }

    fn bye(&mut self, rig: &mut Rig, extra: &[&str]) {
        self.cseq += 1;
        self.deliver(rig, self.write("BYE", self.cseq, extra, ""));
    }

    fn reinvite(&mut self, rig: &mut Rig, offer: &str) -> Message {
        self.cseq += 1;
        let extra = ["Supported: timer", "Session-Expires: 1800;refresher=uac", "Min-SE: 90"];
        self.deliver(rig, self.write("INVITE", self.cseq, &extra, offer));
        last_status(&sent(rig), 200)
    }
}

fn sent(rig: &mut Rig) -> Vec<Message> {
    rig.take(udp(trunk_addr()))
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}

fn black_hole() -> String {
    "v=0\r\no=- 1699999999 1 IN IP4 0.0.0.0\r\ns=3pcc Make Call\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
     m=audio 10000 RTP/AVP 101 8 0\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
        .to_owned()
}

fn lines(messages: &[Message]) -> Vec<String> {
    messages.iter().map(first_line).collect()
}

fn infos(messages: &[Message]) -> Vec<Message> {
    messages.iter().filter(|m| m.is_request() && m.method() == Method::Info).cloned().collect()
}

/// A phone of this mode with a call of the SIP Server that rings; for `page` the phone's 180 is there.
fn ringing(mode: AnswerMode, offer: &str) -> (Rig, Ua, Server, Option<Message>) {
    let mut with = config();
    with.dns[0].answer = mode;
    let mut rig = Rig::with(with, 1, 8);
    let browser = signed_in(&mut rig, "5001");
    let mut server = Server::new();
    server.invite(&mut rig, offer);
    let invite = rig.take(browser.path).into_iter().find(|m| m.is_request());
    if let (AnswerMode::Page, Some(invite)) = (mode, &invite) {
        rig.deliver(browser.path, browser.respond(invite, 180, None));
    }
    server.learn(&last_status(&sent(&mut rig), 180));
    (rig, browser, server, invite)
}

/// Flow I up to our 200 with our offer.
fn originated() -> (Rig, Ua, Server, Message, Message) {
    let (mut rig, browser, mut server, invite) = ringing(AnswerMode::Page, "");
    let invite = invite.unwrap();
    // talk follows our 180 by a millisecond.
    rig.advance(Duration::from_millis(1));
    let notify = server.notify("talk");
    server.deliver(&mut rig, notify);
    let to_browser = rig.take(browser.path);
    let info = infos(&to_browser).pop().expect("the page is told");
    rig.deliver(browser.path, browser.respond(&info, 200, None));
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    rig.take(browser.path);
    let to_server = sent(&mut rig);
    assert_eq!(lines(&to_server), ["SIP/2.0 200 OK", "SIP/2.0 200 OK"], "NOTIFY, then INVITE");
    assert_eq!(to_server[0].cseq().method, Method::Notify);
    let ok = to_server[1].clone();
    assert_eq!(ok.cseq().method, Method::Invite);
    (rig, browser, server, invite, ok)
}

fn heard(rig: &Rig) -> Vec<&Topology> {
    let connects = rig.orders.iter().filter_map(|(_, order)| match order {
        Order::Connect(topology) => Some(topology),
        _ => None,
    });
    connects.collect()
}

fn sends_to(rig: &Rig) -> Option<(String, bool)> {
    rig.orders.iter().rev().find_map(|(_, order)| match order {
        Order::UpdateRtp(_, remote) => Some((remote.rtp.to_string(), remote.audio.send)),
        _ => None,
    })
}

#[test]
fn notify_talk_in_an_early_dialog_makes_the_page_answer() {
    let (mut rig, browser, mut server, invite) = ringing(AnswerMode::Page, &sdp::genesys_offer());
    let notify = server.notify("talk");
    server.deliver(&mut rig, notify);
    assert_eq!(lines(&sent(&mut rig)), ["SIP/2.0 200 OK"], "at once");
    let to_browser = rig.take(browser.path);
    let [info] = &infos(&to_browser)[..] else { panic!("one INFO, no NOTIFY: {:?}", lines(&to_browser)) };
    assert_eq!(to_browser.len(), 1, "the NOTIFY itself is not relayed");
    assert_eq!(info.content_type(), Some("application/vnd.crosspoint+json"));
    assert_eq!(text(info), "{\"command\":\"answer\"}");
    assert_eq!(info.call_id(), invite.as_ref().unwrap().call_id());
    assert!(info.to().tag().is_some(), "within the early dialog");
    rig.deliver(browser.path, browser.respond(info, 200, None));
    rig.deliver(browser.path, browser.respond(&invite.unwrap(), 200, Some(&sdp::chromium_answer())));
    last_status(&sent(&mut rig), 200);
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Established));
}

#[test]
fn a_notify_that_comes_nine_times_is_answered_nine_times_and_tells_the_page_once() {
    let (mut rig, browser, mut server, _) = ringing(AnswerMode::Page, &sdp::genesys_offer());
    rig.take(browser.path);
    let notify = server.notify("talk");
    let mut told = 0;
    let mut at = Duration::ZERO;
    // +0.5, 1.5, 3.5, 7.5, then every 4 s to 23.5 s.
    for wait in [0, 500, 1000, 2000, 4000, 4000, 4000, 4000, 4000] {
        rig.advance(Duration::from_millis(wait));
        at += Duration::from_millis(wait);
        server.deliver(&mut rig, notify.clone());
        assert_eq!(lines(&sent(&mut rig)), ["SIP/2.0 200 OK"], "after {at:?}");
        let infos = infos(&rig.take(browser.path));
        // The page that does not answer an INFO is sent it again by its transaction: not over a reliable transport.
        told += infos.len();
    }
    assert_eq!((at, told), (Duration::from_millis(23_500), 1));
}

#[test]
fn a_second_talk_tells_the_page_nothing_new_and_hold_while_it_rings_has_no_effect() {
    let (mut rig, browser, mut server, invite) = ringing(AnswerMode::Page, &sdp::genesys_offer());
    for (event, infos_due) in [("hold", 0), ("talk", 1), ("talk", 0), ("hold", 0)] {
        rig.take(browser.path);
        let notify = server.notify(event);
        server.deliver(&mut rig, notify);
        assert_eq!(lines(&sent(&mut rig)), ["SIP/2.0 200 OK"], "{event}");
        assert_eq!(infos(&rig.take(browser.path)).len(), infos_due, "{event}");
    }
    rig.deliver(browser.path, browser.respond(&invite.unwrap(), 200, Some(&sdp::chromium_answer())));
    last_status(&sent(&mut rig), 200);
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Established));
}

#[test]
fn a_talk_that_is_quicker_than_the_phone_is_told_to_it_when_it_rings() {
    let mut rig = Rig::new();
    let browser = signed_in(&mut rig, "5001");
    let server = Server::new();
    server.invite(&mut rig, &sdp::genesys_offer());
    let invite = request(&rig.take(browser.path), Method::Invite);
    let call = rig.snapshot().calls[0].call;
    rig.input(Input::Command(Command::of(call, CallCommand::Answer)));
    assert!(rig.take(browser.path).is_empty(), "there is no dialog to tell it in");
    rig.deliver(browser.path, browser.respond(&invite, 180, None));
    assert_eq!(infos(&rig.take(browser.path)).len(), 1);
}

#[test]
fn a_phone_that_cannot_be_told_to_answer_rings_on_and_the_desktop_hears_of_it() {
    for status in [Some(415), None] {
        let (mut rig, browser, mut server, invite) = ringing(AnswerMode::Page, &sdp::genesys_offer());
        let notify = server.notify("talk");
        server.deliver(&mut rig, notify);
        let info = infos(&rig.take(browser.path)).pop().unwrap();
        match status {
            Some(status) => rig.deliver(browser.path, browser.respond(&info, status, None)),
            None => rig.advance(Duration::from_secs(33)),
        }
        let why = Declined::Refused(status.unwrap_or(408));
        assert_eq!(rig.kinds().last(), Some(&&EventKind::Declined { why, by_agent: true }));
        assert_eq!((rig.snapshot().counters.deaf_pages, rig.snapshot().calls.len()), (1, 1));
        sent(&mut rig);
        rig.deliver(browser.path, browser.respond(&invite.unwrap(), 200, Some(&sdp::chromium_answer())));
        last_status(&sent(&mut rig), 200);
    }
}

#[test]
fn an_invite_that_asks_for_an_answer_at_once_needs_no_talk() {
    for hint in [
        "Call-Info: <sip:192.0.2.81>;answer-after=0",
        "Alert-Info: <sip:192.0.2.81>;info=alert-autoanswer",
        "Alert-Info: <sip:192.0.2.81>; info=auto-answer",
    ] {
        let mut rig = Rig::new();
        let browser = signed_in(&mut rig, "5001");
        let server = Server::new();
        server.deliver(&mut rig, server.write("INVITE", 1, &[hint], &sdp::genesys_offer()));
        let invite = request(&rig.take(browser.path), Method::Invite);
        assert!(invite.header(Name::AlertInfo).is_none(), "it rings: the page is told by INFO");
        rig.deliver(browser.path, browser.respond(&invite, 180, None));
        assert_eq!(infos(&rig.take(browser.path)).len(), 1, "{hint}");
    }
}

#[test]
fn deferred_the_phone_is_called_at_talk_and_answers_by_itself() {
    let (mut rig, browser, mut server, invite) = ringing(AnswerMode::Deferred, &sdp::genesys_offer());
    assert!(invite.is_none(), "we ring for it");
    assert_eq!(rig.kinds(), [&EventKind::Dialing, &EventKind::Ringing]);
    let notify = server.notify("talk");
    server.deliver(&mut rig, notify.clone());
    assert_eq!(lines(&sent(&mut rig)), ["SIP/2.0 200 OK"]);
    let invite = request(&rig.take(browser.path), Method::Invite);
    assert_eq!(invite.header(Name::CallInfo).unwrap(), b"<sip:gw.test>;answer-after=0");
    assert_eq!(invite.header(Name::AlertInfo).unwrap(), b"<sip:gw.test>;info=alert-autoanswer");
    server.deliver(&mut rig, notify);
    let notify = server.notify("talk");
    server.deliver(&mut rig, notify);
    assert!(rig.take(browser.path).is_empty(), "called once");
    sent(&mut rig);
    rig.deliver(browser.path, browser.respond(&invite, 180, None));
    assert!(sent(&mut rig).is_empty() && rig.take(browser.path).is_empty(), "it rings already, and needs no INFO");
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    last_status(&sent(&mut rig), 200);
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Established));
}

#[test]
fn deferred_a_call_that_nobody_takes_or_that_is_cancelled_leaves_nothing() {
    for cancelled in [true, false] {
        let (mut rig, browser, mut server, _) = ringing(AnswerMode::Deferred, &sdp::genesys_offer());
        if cancelled {
            // The bracket style differs from the INVITE's.
            let cancel = server.write("CANCEL", 1, &["Reason: SIP;cause=486"], "");
            server.deliver(&mut rig, cancel);
            last_status(&sent(&mut rig), 487);
        } else {
            rig.input(Input::FlowClosed(browser.path.flow().unwrap()));
            let notify = server.notify("talk");
            server.deliver(&mut rig, notify);
            last_status(&sent(&mut rig), 503);
        }
        assert!(rig.take(browser.path).is_empty());
        rig.assert_clean();
    }
}

#[test]
fn nailed_one_leg_stands_from_call_to_call_and_is_joined_at_talk() {
    let (mut rig, browser, mut server, invite) = ringing(AnswerMode::Nailed, &sdp::genesys_offer());
    let invite = invite.expect("the phone is called at once");
    assert!(invite.header(Name::CallInfo).is_some(), "and answers by itself");
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    request(&rig.take(browser.path), Method::Ack);
    assert!(sent(&mut rig).is_empty(), "the SIP Server still hears it ring");
    assert!(heard(&rig).is_empty(), "and nobody hears anybody");
    for round in 0..3 {
        if round > 0 {
            server = Server::new();
            let again = server.write("INVITE", 1, &[], &sdp::genesys_offer());
            let again = String::from_utf8(again.to_vec()).unwrap().replace(GUID, &format!("{GUID}-{round}"));
            server.deliver(&mut rig, Bytes::from(again));
            server.learn(&last_status(&sent(&mut rig), 180));
            assert!(rig.take(browser.path).is_empty(), "the phone hears nothing of it");
        }
        let rename = |bytes: Bytes| match round {
            0 => bytes,
            _ => Bytes::from(String::from_utf8(bytes.to_vec()).unwrap().replace(GUID, &format!("{GUID}-{round}"))),
        };
        let notify = rename(server.notify("talk"));
        server.deliver(&mut rig, notify);
        let answers = sent(&mut rig);
        assert_eq!(lines(&answers), ["SIP/2.0 200 OK", "SIP/2.0 200 OK"], "round {round}");
        assert!(matches!(heard(&rig).last(), Some(Topology::Pair(_, _))));
        server.deliver(&mut rig, rename(server.write("ACK", 1, &[], "")));
        server.cseq += 1;
        let bye = rename(server.write("BYE", server.cseq, &[], ""));
        server.deliver(&mut rig, bye);
        assert!(rig.take(browser.path).is_empty(), "no BYE for the phone");
        assert!(matches!(rig.kinds().last(), Some(EventKind::Released { .. })));
        assert!(matches!(heard(&rig).last(), Some(Topology::Parked(_, Source::Nothing))));
        assert!(rig.snapshot().calls.is_empty(), "a standing leg is no call");
        assert_eq!(rig.ports.len(), 1);
        sent(&mut rig);
    }
    // The agent hangs up the standing leg itself.
    let mut browser = browser;
    let mut dialog = browser.dialog_of(&invite);
    let events = rig.events.len();
    let bye = browser.within(&mut dialog, Method::Bye, &[], None);
    rig.deliver(browser.path, bye);
    assert_eq!(rig.events.len(), events, "which is told to nobody");
    rig.assert_clean();
}

#[test]
fn nailed_a_caller_that_gives_up_before_talk_leaves_the_leg_standing() {
    let (mut rig, browser, server, invite) = ringing(AnswerMode::Nailed, &sdp::genesys_offer());
    rig.deliver(browser.path, browser.respond(&invite.unwrap(), 200, Some(&sdp::chromium_answer())));
    rig.take(browser.path);
    server.deliver(&mut rig, server.write("CANCEL", 1, &[], ""));
    last_status(&sent(&mut rig), 487);
    assert!(rig.take(browser.path).is_empty());
    assert_eq!(rig.ports.len(), 1);
    rig.input(Input::Shutdown);
    request(&rig.take(browser.path), Method::Bye);
    rig.assert_clean();
}

#[test]
fn flow_one_the_200_has_our_offer_and_the_agent_hears_ringback_until_the_ack() {
    let (mut rig, _, server, _, ok) = originated();
    let offer = text(&ok);
    assert!(offer.contains("m=audio 11000 RTP/AVP 0 8 101\r\n") && offer.contains("a=sendrecv\r\n"), "{offer}");
    assert_eq!(ok.contacts().next().unwrap().unwrap().uri, "sip:5001@192.0.2.54:5060");
    assert_eq!(ok.headers(Name::AllowEvents).collect::<Vec<_>>(), [&b"talk"[..], b"hold"]);
    assert!(heard(&rig).is_empty(), "no tone for an ACK that comes at once");
    rig.advance(Duration::from_secs(1));
    assert!(matches!(heard(&rig)[..], [Topology::Parked(_, Source::Tone(_))]), "{:?}", heard(&rig));
    // The destination answers after 20 s; its description comes in the ACK, only o= rewritten.
    rig.advance(Duration::from_secs(19));
    assert!(sent(&mut rig).iter().all(|m| m.status() == 200), "the 200 is repeated");
    server.ack(&mut rig, 1, &sdp::genesys("192.0.2.90", 20_318).replace("a=rtpmap:18", "a=sendrecv\r\na=rtpmap:18"));
    assert_eq!(sends_to(&rig), Some(("192.0.2.90:20318".to_owned(), true)));
    assert!(matches!(heard(&rig).last(), Some(Topology::Pair(_, _))));
}

#[test]
fn flow_one_an_ack_that_is_32_seconds_late_is_waited_for_and_a_black_hole_is_sent_nothing() {
    let (mut rig, browser, mut server, _, _) = originated();
    rig.advance(Duration::from_secs(32));
    let repeated = sent(&mut rig);
    assert!(repeated.len() > 8 && repeated.iter().all(|m| m.status() == 200), "{:?}", lines(&repeated));
    server.ack(&mut rig, 1, &black_hole());
    assert_eq!(rig.snapshot().calls.len(), 1, "no BYE of ours crosses theirs");
    assert!(sends_to(&rig).is_none_or(|(_, send)| !send), "{:?}", sends_to(&rig));
    server.bye(&mut rig, &[]);
    assert_eq!(lines(&sent(&mut rig)), ["SIP/2.0 200 OK"]);
    request(&rig.take(browser.path), Method::Bye);
    assert!(matches!(rig.kinds().last(), Some(EventKind::Released { cause: ReleaseCause::Trunk, .. })));
    rig.assert_clean();
}

#[test]
fn flow_one_without_any_ack_the_call_ends_four_seconds_after_the_peers_own_patience() {
    let (mut rig, browser, _, _, _) = originated();
    rig.take(browser.path);
    rig.advance(Duration::from_millis(35_900));
    assert!(rig.take(browser.path).is_empty());
    rig.advance(Duration::from_millis(200));
    request(&rig.take(browser.path), Method::Bye);
    request(&sent(&mut rig), Method::Bye);
    assert!(matches!(rig.kinds().last(), Some(EventKind::Released { cause: ReleaseCause::AckTimeout, .. })));
    rig.assert_clean();
}

#[test]
fn flow_one_refused_our_own_offer_mirrored_is_sent_nothing_and_the_bye_tells_why() {
    for rewritten in [false, true] {
        let (mut rig, browser, mut server, _, ok) = originated();
        let mut mirrored = text(&ok);
        if rewritten {
            // Something in between has put its own address in the place of ours.
            mirrored = mirrored.replace("c=IN IP4 192.0.2.54", "c=IN IP4 192.0.2.60");
        }
        server.ack(&mut rig, 1, &mirrored);
        assert!(sends_to(&rig).is_none_or(|(_, send)| !send), "{:?}", sends_to(&rig));
        assert!(!heard(&rig).iter().any(|topology| matches!(topology, Topology::Pair(_, _))), "{:?}", heard(&rig));
        server.bye(&mut rig, &["Reason: SIP;cause=403;text=\"Forbidden\""]);
        let bye = request(&rig.take(browser.path), Method::Bye);
        assert_eq!(bye.header(Name::Reason).unwrap(), b"SIP;cause=403;text=\"Forbidden\"");
        rig.assert_clean();
    }
}

#[test]
fn flow_one_to_another_of_our_own_dns_rings_there_as_any_call() {
    let (mut rig, _, server, _, ok) = originated();
    let other = signed_in(&mut rig, "5002");
    // The SIP Server passes our offer on, only o= rewritten.
    let own = text(&ok);
    let origin = own.lines().find(|line| line.starts_with("o=")).unwrap();
    let passed = own.replace(origin, "o=SIPServer 1 1 IN IP4 192.0.2.81");
    let mut trunk = Ua::trunk();
    let mut there = trunk.call(&mut rig, "5002", Some(&passed), &[("Supported", "uui,100rel,timer")]);
    let invite = request(&rig.take(other.path), Method::Invite);
    rig.deliver(other.path, other.respond(&invite, 200, Some(&sdp::chromium_answer())));
    let answer = last_status(&sent(&mut rig), 200);
    there.learn(&answer);
    let ack = trunk.ack(&there, &answer, None);
    rig.deliver(trunk.path, ack);
    let theirs = text(&answer);
    let origin = theirs.lines().find(|line| line.starts_with("o=")).unwrap();
    server.ack(&mut rig, 1, &theirs.replace(origin, "o=SIPServer 2 1 IN IP4 192.0.2.81"));
    let sends: Vec<_> =
        rig.orders.iter().filter(|(_, order)| matches!(order, Order::UpdateRtp(_, r) if r.audio.send)).collect();
    assert_eq!(sends.len(), 1, "each sends to the other's port: {sends:?}");
    assert_eq!(heard(&rig).iter().filter(|topology| matches!(topology, Topology::Pair(_, _))).count(), 2);
}

#[test]
fn flow_four_begins_without_media_and_gets_it_by_reinvite() {
    let nothing = "v=0\r\no=SIPServer 9 1 IN IP4 192.0.2.81\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n";
    for first in [nothing.to_owned(), black_hole()] {
        let (mut rig, browser, mut server, invite) = ringing(AnswerMode::Page, &first);
        rig.deliver(browser.path, browser.respond(&invite.unwrap(), 200, Some(&sdp::chromium_answer())));
        rig.take(browser.path);
        let ok = last_status(&sent(&mut rig), 200);
        assert_eq!(text(&ok).matches("m=audio").count(), first.matches("m=audio").count());
        server.ack(&mut rig, 1, "");
        // The other party's offer, then, offerless, a second look at ours.
        let ok = server.reinvite(&mut rig, &sdp::genesys_offer());
        assert!(text(&ok).contains("m=audio 11000 RTP/AVP 0 101\r\n"), "{}", text(&ok));
        server.ack(&mut rig, server.cseq, "");
        assert_eq!(sends_to(&rig), Some(("192.0.2.90:20318".to_owned(), true)));
        let ok = server.reinvite(&mut rig, "");
        assert!(text(&ok).contains("a=sendrecv\r\n"));
        server.ack(&mut rig, server.cseq, &sdp::trunk_answer_from(20_444));
        assert_eq!(sends_to(&rig), Some(("192.0.2.90:20444".to_owned(), true)));
        assert!(rig.take(browser.path).is_empty(), "the browser hears nothing of all this");
        assert!(matches!(heard(&rig).last(), Some(Topology::Pair(_, _))));
    }
}

#[test]
fn an_offerless_reinvite_whose_ack_has_no_answer_leaves_the_call_as_it_was() {
    let (mut rig, browser, mut server, invite) = ringing(AnswerMode::Page, &sdp::genesys_offer());
    rig.deliver(browser.path, browser.respond(&invite.unwrap(), 200, Some(&sdp::chromium_answer())));
    last_status(&sent(&mut rig), 200);
    server.ack(&mut rig, 1, "");
    let orders = rig.orders.len();
    server.reinvite(&mut rig, "");
    server.ack(&mut rig, server.cseq, "");
    assert_eq!(rig.orders.len(), orders);
    assert_eq!(rig.snapshot().calls.len(), 1);
    server.reinvite(&mut rig, &sdp::genesys_offer());
}

#[test]
fn a_message_within_a_call_is_answered() {
    let (mut rig, browser, mut server, invite) = ringing(AnswerMode::Page, &sdp::genesys_offer());
    rig.deliver(browser.path, browser.respond(&invite.unwrap(), 200, Some(&sdp::chromium_answer())));
    last_status(&sent(&mut rig), 200);
    server.ack(&mut rig, 1, "");
    server.cseq += 1;
    let body = "hello";
    let bytes = server.write("MESSAGE", server.cseq, &[], "");
    let bytes = String::from_utf8(bytes.to_vec()).unwrap();
    let bytes =
        bytes.replace("Content-Length: 0", &format!("Content-Type: text/plain\r\nContent-Length: {}", body.len()));
    server.deliver(&mut rig, Bytes::from(format!("{bytes}{body}")));
    assert_eq!(lines(&sent(&mut rig)), ["SIP/2.0 200 OK"]);
}

#[test]
fn another_party_by_reinvite_is_told_to_the_page_and_to_the_world() {
    for is_page in [true, false] {
        let mut rig = Rig::new();
        let mut browser = Ua::browser(&mut rig, "5001");
        browser.resumes = is_page;
        browser.sign_in(&mut rig, crate::rig::PASSWORD);
        let mut talk = crate::peers::inbound_to(&mut rig, browser);
        rig.take(talk.browser.path);
        let mut moved = |rig: &mut Rig, asserted: &[(&str, &str)]| {
            let body = Some(("application/sdp", sdp::genesys_offer()));
            let body = body.as_ref().map(|(kind, body)| (*kind, body.as_str()));
            let reinvite = talk.trunk.within(&mut talk.at_trunk, Method::Invite, asserted, body);
            rig.deliver(talk.trunk.path, reinvite);
            let ok = last_status(&rig.take(talk.trunk.path), 200);
            let ack = talk.trunk.ack(&talk.at_trunk, &ok, None);
            rig.deliver(talk.trunk.path, ack);
            rig.take(talk.browser.path)
        };
        let events = rig.events.len();
        assert!(moved(&mut rig, &[]).is_empty());
        assert_eq!(rig.events.len(), events, "it says nothing of the party");
        let told = moved(&mut rig, &[("P-Asserted-Identity", "\"Ann\" <sip:1004@192.0.2.81>")]);
        let updated = EventKind::ParticipantsUpdated { parties: vec!["1004".into()] };
        assert_eq!(rig.kinds()[events..], [&updated]);
        assert_eq!(rig.snapshot().calls[0].peer, "1004");
        if is_page {
            assert_eq!(request(&told, Method::Info).body(), br#"{"event":"party","number":"1004","name":"Ann"}"#);
        }
        assert_eq!(told.len(), usize::from(is_page), "the browser is not offered anything");
        let told = moved(&mut rig, &[("P-Asserted-Identity", "<sip:1004@192.0.2.81>")]);
        assert!(told.iter().all(|m| !m.is_request() || m.method() != Method::Info));
        assert_eq!(rig.events.len(), events + 1, "it is the same one");
    }
}

#[test]
fn another_party_by_update_without_sdp_is_told_as_well() {
    let mut rig = Rig::new();
    let mut browser = Ua::browser(&mut rig, "5001");
    browser.resumes = true;
    browser.sign_in(&mut rig, crate::rig::PASSWORD);
    let mut talk = crate::peers::inbound_to(&mut rig, browser);
    rig.take(talk.browser.path);
    let mut update = |rig: &mut Rig, headers: &[(&str, &str)]| {
        let events = rig.events.len();
        let update = talk.trunk.within(&mut talk.at_trunk, Method::Update, headers, None);
        rig.deliver(talk.trunk.path, update);
        last_status(&rig.take(talk.trunk.path), 200);
        (rig.take(talk.browser.path), rig.kinds()[events..].iter().map(|kind| (*kind).clone()).collect::<Vec<_>>())
    };
    let (told, events) = update(&mut rig, &[]);
    assert!(told.is_empty() && events.is_empty(), "a refresh says nothing of the party");
    let (told, events) = update(&mut rig, &[("P-Asserted-Identity", "<sip:1004@192.0.2.81>")]);
    assert_eq!(events, [EventKind::ParticipantsUpdated { parties: vec!["1004".into()] }]);
    assert_eq!(request(&told, Method::Info).body(), br#"{"event":"party","number":"1004","name":""}"#);
    let (_, events) = update(&mut rig, &[("X-Genesys-CallUUID", "4EL2M5C8R93B5CA7B0BB4AKQ0000000F")]);
    assert_eq!(events, [EventKind::CallUuidChanged]);
}
