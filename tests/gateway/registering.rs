//! REGISTER, as JsSIP sends it.

use std::time::Duration;

use crosspoint::gateway::Input;
use crosspoint::sip::message::{Method, Name};

use crate::peers::{Ua, inbound_to, last_status, request, signed_in};
use crate::rig::{PASSWORD, REALM, Rig, WSS, config, trunk_addr, udp};
use crate::sdp;

#[test]
fn a_browser_is_challenged_with_md5_alone_and_then_registered() {
    let mut rig = Rig::new();
    let mut browser = Ua::browser(&mut rig, "5001");
    let first = browser.register(1, 600, None);
    rig.deliver(browser.path, first);
    let challenge = rig.take_one(browser.path);
    assert_eq!(challenge.status(), 401);
    let values: Vec<_> = challenge.headers(Name::WwwAuthenticate).map(String::from_utf8_lossy).collect();
    assert_eq!(values.len(), 1);
    assert!(values[0].contains("algorithm=MD5") && values[0].contains(&format!("realm=\"{REALM}\"")), "{values:?}");
    let ok = browser.sign_in(&mut rig, PASSWORD);
    assert_eq!(ok.status(), 200);
    let contact = String::from_utf8_lossy(ok.header(Name::Contact).unwrap()).into_owned();
    assert!(contact.contains(&browser.instance) && contact.contains("expires="), "{contact}");
    assert_eq!(rig.snapshot().registrations.len(), 1);
}

#[test]
fn sha_256_is_offered_first_where_the_listener_says_so() {
    let mut with = config();
    with.listeners[WSS.0].sha256 = true;
    let mut rig = Rig::with(with, 1, 2);
    let mut browser = Ua::browser(&mut rig, "5001");
    let first = browser.register(1, 600, None);
    rig.deliver(browser.path, first);
    let challenge = rig.take_one(browser.path);
    let values: Vec<_> = challenge.headers(Name::WwwAuthenticate).map(String::from_utf8_lossy).collect();
    assert_eq!(values.len(), 2);
    assert!(values[0].contains("SHA-256") && values[1].contains("MD5"), "{values:?}");
    assert_eq!(browser.sign_in(&mut rig, PASSWORD).status(), 200);
}

#[test]
fn a_wrong_password_and_an_unknown_dn_look_the_same() {
    let mut rig = Rig::new();
    let mut answers = Vec::new();
    for dn in ["5001", "7777"] {
        let mut browser = Ua::browser(&mut rig, dn);
        let first = browser.register(1, 600, None);
        rig.deliver(browser.path, first);
        assert_eq!(rig.take_one(browser.path).status(), 401);
        let answer = browser.sign_in(&mut rig, "wrong");
        answers.push((answer.status(), answer.headers(Name::WwwAuthenticate).count()));
    }
    assert_eq!(answers, [(401, 1), (401, 1)]);
    assert!(rig.snapshot().registrations.is_empty());
    assert_eq!(rig.snapshot().counters.bad_digests, 2);
}

#[test]
fn a_digest_of_one_dn_does_not_register_another() {
    let mut rig = Rig::new();
    let mut victim = Ua::browser(&mut rig, "5002");
    let first = victim.register(1, 600, None);
    rig.deliver(victim.path, first);
    let challenge = rig.take_one(victim.path);
    // The thief knows only the password of 5001, which here is the same: the user name in the digest betrays it.
    let thief = Ua { user: "5001".to_owned(), ..victim.clone() };
    let answer = thief.answer_challenge(&challenge, &Method::Register, &format!("sip:{REALM}"), PASSWORD);
    let second = victim.register(2, 600, Some(&answer));
    rig.deliver(victim.path, second);
    assert_ne!(rig.take_one(victim.path).status(), 200);
    assert!(rig.snapshot().registrations.is_empty());
}

#[test]
fn guessing_is_stopped_unheard_and_the_flow_closed_without_harm_to_others() {
    let mut rig = Rig::new();
    let mut guesser = Ua::browser(&mut rig, "5001");
    for _ in 0..10 {
        assert_eq!(guesser.sign_in(&mut rig, "wrong").status(), 401);
    }
    assert_eq!(guesser.sign_in(&mut rig, PASSWORD).status(), 403);
    assert_eq!(rig.closed_flows, [guesser.path.flow().unwrap()]);
    let mut other = Ua::browser(&mut rig, "5002");
    assert_eq!(other.sign_in(&mut rig, PASSWORD).status(), 200);
    rig.advance(Duration::from_secs(61));
    let mut again = Ua::browser(&mut rig, "5001");
    assert_eq!(again.sign_in(&mut rig, PASSWORD).status(), 200);
}

#[test]
fn a_short_expiry_gets_423_with_min_expires() {
    let mut rig = Rig::new();
    let mut browser = Ua::browser(&mut rig, "5001");
    let brief = browser.sign_in_for(&mut rig, PASSWORD, 5);
    assert_eq!(brief.status(), 423);
    assert_eq!(brief.number(Name::MinExpires), Some(60));
}

#[test]
fn a_lost_flow_takes_its_binding_with_it() {
    let mut rig = Rig::new();
    let browser = signed_in(&mut rig, "5001");
    rig.input(Input::FlowClosed(browser.path.flow().unwrap()));
    assert!(rig.snapshot().registrations.is_empty());
    let mut trunk = Ua::trunk();
    trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
    assert_eq!(last_status(&rig.take(trunk.path), 480).status(), 480);
    rig.assert_clean();
}

#[test]
fn a_binding_ends_with_its_time() {
    let mut rig = Rig::new();
    signed_in(&mut rig, "5001");
    rig.advance(Duration::from_secs(601));
    assert!(rig.snapshot().registrations.is_empty());
}

#[test]
fn a_page_reload_replaces_the_binding_of_its_instance() {
    let mut rig = Rig::new();
    let old = signed_in(&mut rig, "5001");
    let mut new = Ua::browser(&mut rig, "5001");
    new.instance = old.instance.clone();
    assert_eq!(new.sign_in(&mut rig, PASSWORD).status(), 200);
    assert_eq!(rig.snapshot().registrations.len(), 1);
    let talk = inbound_to(&mut rig, new);
    assert!(rig.take(old.path).is_empty());
    assert!(talk.browser.path != old.path);
}

#[test]
fn a_register_over_udp_is_refused() {
    let mut rig = Rig::new();
    for remote in [trunk_addr(), "203.0.113.9:5060".parse().unwrap()] {
        let mut phone = Ua { user: "5001".to_owned(), ..Ua::server(udp(remote)) };
        let bytes = phone.register(1, 600, None);
        rig.deliver(phone.path, bytes);
        assert_eq!(rig.take_one(phone.path).status(), 403);
    }
}

#[test]
fn requests_to_a_browser_go_down_its_flow_whatever_its_contact_says() {
    let mut rig = Rig::new();
    let mut talk = crate::peers::inbound_call(&mut rig);
    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(talk.trunk.path, bye);
    let bye = request(&rig.take(talk.browser.path), Method::Bye);
    assert!(bye.request_uri().contains(".invalid"), "{}", bye.request_uri());
}
