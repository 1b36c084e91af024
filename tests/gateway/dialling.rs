//! A page or REST has an agent's phone make a call: `Command::Dial`; and who is told to be here.

use std::time::Duration;

use crosspoint::call::{AnswerMode, Command, EventKind, ReleaseCause};
use crosspoint::gateway::{GatewayConfig, Input};
use crosspoint::id::DialId;
use crosspoint::plan::{Order, Topology};
use crosspoint::sip::message::{Message, Method};

use crate::peers::{Ua, request, signed_in};
use crate::rig::{PASSWORD, Rig, config};
use crate::sdp;

const DIAL: DialId = DialId(7);

fn dial(rig: &mut Rig, dn: &str, to: &str, told: &[(&str, &str)]) {
    let told = told.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (dn, to) = (dn.to_owned(), to.to_owned());
    rig.input(Input::Command(Command::Dial { dial: DIAL, dn, to, told }));
}

/// A phone that is to call 1003, up to its INVITE.
fn dialled(with: GatewayConfig) -> (Rig, Ua, Message) {
    let mut rig = Rig::with(with, 1, 8);
    let browser = signed_in(&mut rig, "5001");
    dial(&mut rig, "5001", "1003", &[("User-to-User", "6162"), ("X-Genesys-CallUUID", "FORGED"), ("Via", "x")]);
    let invite = request(&rig.take(browser.path), Method::Invite);
    (rig, browser, invite)
}

#[test]
fn a_click_has_the_phone_answer_by_itself_and_then_calls_the_number() {
    let (mut rig, mut browser, invite) = dialled(config());
    assert_eq!(invite.from().uri, "sip:1003@gw.test", "the phone shows whom it is to call");
    assert!(rig.take(Ua::trunk().path).is_empty(), "nobody is called before the agent is there");
    rig.deliver(browser.path, browser.respond(&invite, 180, None));
    let info = request(&rig.take(browser.path), Method::Info);
    assert_eq!(info.body(), b"{\"command\":\"answer\"}");
    rig.deliver(browser.path, browser.respond(&info, 200, None));
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    request(&rig.take(browser.path), Method::Ack);

    let trunk = Ua::trunk();
    let out = request(&rig.take(trunk.path), Method::Invite);
    assert_eq!((out.request_uri(), out.from().uri), ("sip:1003@192.0.2.81:5060", "sip:5001@192.0.2.54:5060"));
    assert_eq!(out.extension("User-to-User"), None, "it has a name of its own");
    let text = String::from_utf8_lossy(out.raw()).into_owned();
    assert!(text.contains("User-to-User: 6162") && !text.contains("FORGED"), "{text}");
    rig.deliver(trunk.path, trunk.respond(&out, 180, None));
    rig.deliver(trunk.path, trunk.respond(&out, 200, Some(&sdp::trunk_answer())));
    request(&rig.take(trunk.path), Method::Ack);
    assert!(matches!(rig.orders.last(), Some((_, Order::Connect(Topology::Pair(..))))));
    assert!(matches!(rig.kinds()[..], [EventKind::Dialing, EventKind::Ringing, EventKind::Established]));
    assert!(rig.events.iter().all(|event| event.dial == Some(DIAL) && event.dn == "5001" && event.peer == "1003"));
    assert!(rig.not_dialled.is_empty());

    let mut at_browser = browser.dialog_of(&invite);
    let bye = browser.within(&mut at_browser, Method::Bye, &[], None);
    rig.deliver(browser.path, bye);
    let bye = request(&rig.take(trunk.path), Method::Bye);
    rig.deliver(trunk.path, trunk.respond(&bye, 200, None));
    rig.assert_clean();
}

#[test]
fn a_phone_that_refuses_or_a_number_that_is_busy_ends_the_call_with_its_status() {
    let (mut rig, browser, invite) = dialled(config());
    rig.deliver(browser.path, browser.respond(&invite, 486, None));
    let released = |rig: &Rig| match &rig.events.last().unwrap().kind {
        EventKind::Released { cause, .. } => cause.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(released(&rig), ReleaseCause::Refused(486));
    assert!(rig.take(Ua::trunk().path).is_empty());
    rig.assert_clean();

    let (mut rig, browser, invite) = dialled(config());
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    request(&rig.take(browser.path), Method::Ack);
    let trunk = Ua::trunk();
    let out = request(&rig.take(trunk.path), Method::Invite);
    rig.deliver(trunk.path, trunk.respond(&out, 404, None));
    request(&rig.take(browser.path), Method::Bye);
    assert_eq!(released(&rig), ReleaseCause::Refused(404));
    assert!(rig.events.iter().all(|event| event.dial == Some(DIAL)));
    rig.assert_clean();
}

#[test]
fn a_page_that_was_to_call_and_is_reloaded_leaves_no_invite_behind() {
    let mut with = config();
    with.dns[0].resume = true;
    let mut rig = Rig::with(with, 1, 8);
    let mut browser = Ua { resumes: true, ..Ua::browser(&mut rig, "5001") };
    browser.sign_in(&mut rig, PASSWORD);
    dial(&mut rig, "5001", "1003", &[]);
    let invite = request(&rig.take(browser.path), Method::Invite);
    rig.deliver(browser.path, browser.respond(&invite, 183, None));
    rig.input(Input::FlowClosed(browser.path.flow().unwrap()));
    let mut page = browser.reloaded(&mut rig);
    page.sign_in(&mut rig, PASSWORD);
    let asked = rig.take(page.path).into_iter().find(|m| m.is_request() && m.method() == Method::Info);
    rig.deliver(page.path, page.respond(&asked.expect("whether it knows the dialog"), 481, None));
    assert!(matches!(rig.kinds().last(), Some(EventKind::Released { .. })), "{:?}", rig.kinds());
    rig.advance(Duration::from_secs(100));
    assert_eq!((rig.snapshot().transactions, rig.snapshot().sessions), (0, 0));
    rig.assert_clean();
}

#[test]
fn what_cannot_be_dialled_makes_no_call_and_says_why() {
    let mut with = config();
    with.dns[0].dial = vec!["10".to_owned()];
    with.dns[0].calls = 1;
    let mut rig = Rig::with(with, 1, 8);
    let browser = signed_in(&mut rig, "5001");
    for (dn, to, status) in [
        ("9999", "1003", 404),
        ("5001", "", 484),
        ("5001", "10 3", 484),
        ("5001", "0900123", 403),
        ("5002", "1003", 480),
    ] {
        dial(&mut rig, dn, to, &[]);
        assert_eq!(rig.not_dialled.pop(), Some((DIAL, dn.to_owned(), status)), "{dn} {to}");
    }
    assert!(rig.events.is_empty() && rig.take(browser.path).is_empty());
    dial(&mut rig, "5001", "1003", &[]);
    assert!(rig.not_dialled.is_empty());
    dial(&mut rig, "5001", "1004", &[]);
    assert_eq!(rig.not_dialled.pop().map(|(_, _, status)| status), Some(486), "one call at a time");
    rig.input(Input::Drain);
    dial(&mut rig, "5001", "1004", &[]);
    assert_eq!(rig.not_dialled.pop().map(|(_, _, status)| status), Some(503));
}

#[test]
fn a_nailed_phone_dials_by_the_leg_that_stands() {
    let mut with = config();
    with.dns[0].answer = AnswerMode::Nailed;
    let mut rig = Rig::with(with, 1, 8);
    let browser = signed_in(&mut rig, "5001");
    let stands = request(&rig.take(browser.path), Method::Invite);
    rig.deliver(browser.path, browser.respond(&stands, 200, Some(&sdp::chromium_answer())));
    rig.take(browser.path);
    dial(&mut rig, "5001", "1003", &[]);
    assert!(rig.take(browser.path).is_empty(), "it answers nothing anew");
    let out = request(&rig.take(Ua::trunk().path), Method::Invite);
    assert!(out.request_uri().starts_with("sip:1003@"));
}

#[test]
fn the_number_that_a_customer_dialled_is_told_where_the_trunk_told_it() {
    let dnis = |to: &str, extra: &[(&str, &str)]| {
        let mut rig = Rig::new();
        let browser = signed_in(&mut rig, "5001");
        let mut trunk = Ua::trunk();
        let mut call = trunk.invite("5001", Some(&sdp::genesys_offer()), extra);
        let text = String::from_utf8(call.invite.raw().to_vec()).unwrap().replace("To: <sip:5001@gw.test>", to);
        call.invite = Message::parse(text.into_bytes().into()).unwrap();
        rig.deliver(trunk.path, call.invite.raw().clone());
        request(&rig.take(browser.path), Method::Invite);
        rig.events[0].dnis.clone()
    };
    assert_eq!(dnis("To: <sip:5001@gw.test>", &[]), None, "nobody told of another number");
    assert_eq!(dnis("To: <sip:18005551234@192.0.2.81>", &[]).as_deref(), Some("18005551234"));
    let twice =
        [("Diversion", "<sip:6000@192.0.2.81>;reason=no-answer"), ("Diversion", "<sip:18005550000@192.0.2.81>")];
    assert_eq!(
        dnis("To: <sip:6000@192.0.2.81>", &twice).as_deref(),
        Some("18005550000"),
        "the first diversion stands last"
    );
}

#[test]
fn an_agent_is_here_with_the_first_page_and_gone_a_while_after_the_last() {
    let mut rig = Rig::new();
    let grace = config().calls.flow_grace;
    let mut first = signed_in(&mut rig, "5001");
    assert_eq!(rig.presence, [("5001".to_owned(), true)]);
    let second = first.reloaded(&mut rig);
    let mut second = Ua { instance: "<urn:uuid:of-another-phone>".to_owned(), ..second };
    second.sign_in(&mut rig, PASSWORD);
    rig.input(Input::FlowClosed(first.path.flow().unwrap()));
    rig.advance(grace * 2);
    assert_eq!(rig.presence.len(), 1, "the second page is there");

    rig.input(Input::FlowClosed(second.path.flow().unwrap()));
    rig.advance(grace / 2);
    first = first.reloaded(&mut rig);
    first.sign_in(&mut rig, PASSWORD);
    rig.advance(grace * 2);
    assert_eq!(rig.presence.len(), 1, "a reload does not show");

    rig.input(Input::FlowClosed(first.path.flow().unwrap()));
    rig.advance(grace - Duration::from_millis(1));
    assert_eq!(rig.presence.len(), 1);
    rig.advance(Duration::from_millis(1));
    assert_eq!(rig.presence[1..], [("5001".to_owned(), false)]);
    let mut back = first.reloaded(&mut rig);
    back.sign_in(&mut rig, PASSWORD);
    assert_eq!(rig.presence[2..], [("5001".to_owned(), true)]);
}
