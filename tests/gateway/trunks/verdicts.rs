//! What the SIP Server says of a DN after its browser was welcomed: told by MESSAGE, once, and to each browser.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crosspoint::gateway::{DnRegistration, GatewayConfig, Input};
use crosspoint::sip::message::{Builder, Message, Method, Name};

use super::{PING, Server, register, run, secs, sign_in, watched};
use crate::peers::{Ua, inbound_to};
use crate::rig::Rig;

/// A refresh comes within this time, and a refused DN is asked for again.
const A_WHILE: Duration = Duration::from_secs(2400);

fn registering() -> GatewayConfig {
    let mut with = watched(1);
    with.trunks[0].policy.register = Some(DnRegistration::default());
    with
}

/// A SIP Server that answers REGISTER with the status of the moment.
fn moody() -> (Server, Rc<Cell<u16>>) {
    let mut server = Server::first();
    let status = Rc::new(Cell::new(200));
    let mood = Rc::clone(&status);
    server.registrar = Some(Box::new(move |request| {
        Builder::response_to(request, mood.get(), None, Some("r")).header("Expires", "1800").build_message()
    }));
    (server, status)
}

/// Signs in for longer than these tests last.
fn stays(rig: &mut Rig, server: &mut Server, dn: &str) -> Ua {
    let mut browser = Ua::browser(rig, dn);
    register(rig, &mut browser, 1, 3600);
    run(rig, &mut [server], Duration::from_millis(100));
    assert_eq!(rig.take_one(browser.path).status(), 200);
    browser
}

/// Lets time pass and answers MESSAGEs with this status; returns those that came.
fn hears(rig: &mut Rig, server: &mut Server, browser: &Ua, by: Duration, status: u16) -> Vec<Message> {
    let mut heard = Vec::new();
    for _ in 0..by.as_secs() {
        run(rig, &mut [server], secs(1));
        for message in rig.take(browser.path) {
            assert_eq!((message.is_request(), message.method()), (true, Method::Message));
            rig.deliver(browser.path, browser.respond(&message, status, None));
            heard.push(message);
        }
    }
    heard
}

/// The token and the sentence of each.
fn told(messages: &[Message]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let each = |m: &Message| (text(m.extension("X-Crosspoint-Trunk").unwrap_or_default()), text(m.body()));
    messages.iter().map(each).collect()
}

fn unknown() -> (String, String) {
    ("unknown-dn".to_owned(), "The SIP Server does not know the number 5001.".to_owned())
}

#[test]
fn a_dn_that_is_removed_in_mid_shift_is_told_once_down_each_connection_and_so_is_its_return() {
    let mut rig = Rig::with(registering(), 1, 4);
    let (mut server, status) = moody();
    let one = stays(&mut rig, &mut server, "5001");
    let other = stays(&mut rig, &mut server, "5001");
    let stranger = stays(&mut rig, &mut server, "5002");
    assert!(hears(&mut rig, &mut server, &one, secs(60), 200).is_empty(), "the 200 said it");
    server.registrar = Some(Box::new({
        let status = Rc::clone(&status);
        move |request| {
            let status = if request.to().uri.contains("5001") { status.get() } else { 200 };
            Builder::response_to(request, status, None, Some("r")).header("Expires", "1800").build_message()
        }
    }));
    status.set(404);
    let heard = hears(&mut rig, &mut server, &one, A_WHILE, 200);
    assert_eq!(told(&heard), [unknown()], "once, however often it is refused");
    assert!(server.registers.len() > 4, "it was asked for again");
    let message = &heard[0];
    assert_eq!(message.request_uri(), one.contact.trim_matches(['<', '>']));
    assert_eq!((message.from().uri, message.to().uri), ("sip:gw.test", "sip:5001@gw.test"));
    assert_eq!(message.header(Name::ContentType).unwrap(), b"text/plain;charset=utf-8");
    assert_eq!((message.to().tag(), message.header(Name::Contact)), (None, None), "outside of any dialog");
    // The other one answered nothing: its MESSAGE has run out, and none came in its place.
    assert_eq!(told(&rig.take(other.path)), [unknown()]);
    assert!(rig.take(stranger.path).is_empty());

    status.set(200);
    let heard = hears(&mut rig, &mut server, &one, secs(500), 200);
    let good = ("registered".to_owned(), "The number 5001 is registered at the SIP Server.".to_owned());
    assert_eq!(told(&heard), [good]);
    rig.assert_clean();
}

#[test]
fn a_trunk_that_goes_and_comes_back_is_told_twice_and_405_to_it_harms_nothing() {
    let mut rig = Rig::with(registering(), 1, 4);
    let mut server = Server::first();
    let browser = stays(&mut rig, &mut server, "5001");
    server.is_up = false;
    let down = told(&hears(&mut rig, &mut server, &browser, PING * 6, 405));
    assert_eq!(down.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>(), ["unreachable"]);
    assert!(down[0].1.contains("does not answer"), "{down:?}");
    server.is_up = true;
    let up = told(&hears(&mut rig, &mut server, &browser, PING * 6, 405));
    assert_eq!(up.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>(), ["registered"]);
    inbound_to(&mut rig, browser);
}

#[test]
fn a_word_that_comes_after_the_200_was_sent_comes_by_message() {
    let mut rig = Rig::with(registering(), 1, 4);
    let (mut server, status) = moody();
    server.is_up = false;
    let mut browser = Ua::browser(&mut rig, "5001");
    register(&mut rig, &mut browser, 1, 3600);
    run(&mut rig, &mut [&mut server], secs(2));
    assert_eq!(rig.take_one(browser.path).extension("X-Crosspoint-Trunk").unwrap(), b"pending");
    (server.is_up, _) = (true, status.set(404));
    assert_eq!(told(&hears(&mut rig, &mut server, &browser, secs(20), 200)), [unknown()]);
}

#[test]
fn a_phone_that_says_that_it_takes_no_message_gets_none() {
    for (allow, count) in [("INVITE, ACK, BYE, CANCEL", 0), ("INVITE, ACK, BYE, CANCEL, MESSAGE", 1)] {
        let mut rig = Rig::with(registering(), 1, 4);
        let (mut server, status) = moody();
        let mut browser = Ua::browser(&mut rig, "5001");
        browser.allow = Some(allow);
        register(&mut rig, &mut browser, 1, 3600);
        run(&mut rig, &mut [&mut server], Duration::from_millis(100));
        assert_eq!(rig.take_one(browser.path).status(), 200);
        status.set(404);
        assert_eq!(hears(&mut rig, &mut server, &browser, A_WHILE, 200).len(), count, "{allow}");
    }
}

#[test]
fn a_browser_that_left_is_told_nothing_and_one_that_comes_anew_by_its_200() {
    let mut rig = Rig::with(registering(), 1, 4);
    let (mut server, status) = moody();
    let mut left = stays(&mut rig, &mut server, "5001");
    let gone = stays(&mut rig, &mut server, "5001");
    let stays = stays(&mut rig, &mut server, "5001");
    register(&mut rig, &mut left, 20, 0);
    assert_eq!(rig.take_one(left.path).status(), 200);
    rig.input(Input::FlowClosed(gone.path.flow().unwrap()));
    status.set(404);
    assert_eq!(hears(&mut rig, &mut server, &stays, A_WHILE, 200).len(), 1);
    assert!(rig.take(left.path).is_empty() && rig.take(gone.path).is_empty());
    let (anew, ok) = sign_in(&mut rig, &mut [&mut server], "5001");
    assert_eq!(ok.extension("X-Crosspoint-Trunk").unwrap(), b"unknown-dn");
    assert!(hears(&mut rig, &mut server, &anew, secs(500), 200).is_empty());
}

#[test]
fn a_trunk_that_takes_thousands_of_dns_with_it_makes_no_burst_of_messages() {
    let mut with = registering();
    with.dns[0].dns = crosspoint::gateway::DnSet::Range { first: 10_000, last: 10_999, digits: 5 };
    with.source_limit = crosspoint::sip::endpoint::SourceLimit { per_second: 100_000, burst: 100_000 };
    let mut rig = Rig::with(with, 1, 4);
    let mut server = Server::first();
    let mut browsers = Vec::new();
    for dn in 10_000..11_000u32 {
        let mut browser = Ua::browser(&mut rig, &dn.to_string());
        register(&mut rig, &mut browser, 1, 3600);
        browsers.push(browser);
    }
    run(&mut rig, &mut [&mut server], secs(60));
    assert_eq!(server.bindings.len(), 1000);
    browsers.iter().for_each(|browser| drop(rig.take(browser.path)));
    server.is_up = false;
    let mut counts = Vec::new();
    for _ in 0..120 {
        run(&mut rig, &mut [&mut server], secs(1));
        let heard = browsers.iter().map(|browser| rig.take(browser.path).len());
        counts.push(heard.sum::<usize>());
    }
    assert_eq!(counts.iter().sum::<usize>(), 1000, "each hears it once");
    assert!(counts.iter().all(|count| *count <= 201), "{counts:?}");
}
