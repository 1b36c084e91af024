//! Those who guess, replay and claim: passwords, digests, numbers and instances that are not theirs.

use std::time::Duration;

use crosspoint::gateway::{DnRule, DnSet, Input, Secret};
use crosspoint::id::FlowId;
use crosspoint::path::{Path, Transport};
use crosspoint::sip::message::{Message, Method, Name};

use crate::peers::{Ua, inbound_call, inbound_to, last_status, request, signed_in};
use crate::rig::{PASSWORD, REALM, Rig, WSS, config, trunk_addr};
use crate::sdp;

/// Registers with the wrong password until the address is refused unheard.
fn guess_until_refused(rig: &mut Rig, dn: &str) {
    let mut guesser = Ua::browser(rig, dn);
    let tries = (0..20).map(|_| guesser.sign_in(rig, "wrong").status()).take_while(|status| *status != 403).count();
    assert_eq!(tries, 10);
}

#[test]
fn a_guesser_behind_the_same_address_neither_shuts_out_nor_cuts_off_a_registered_browser() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    guess_until_refused(&mut rig, "5001");
    assert_eq!(talk.browser.sign_in(&mut rig, PASSWORD).status(), 200);
    assert!(!rig.closed_flows.contains(&talk.browser.path.flow().unwrap()));
    assert_eq!(rig.snapshot().calls.len(), 1);
}

#[test]
fn a_connection_with_a_registration_is_not_closed_for_a_guess_at_another_dn() {
    let mut rig = Rig::new();
    let browser = signed_in(&mut rig, "5001");
    let mut guesser = Ua { user: "5002".to_owned(), ..browser };
    for _ in 0..12 {
        guesser.sign_in(&mut rig, "wrong");
    }
    assert_eq!(guesser.sign_in(&mut rig, PASSWORD).status(), 403);
    assert!(rig.closed_flows.is_empty());
}

#[test]
fn filling_the_memory_of_failures_does_not_make_guesses_free() {
    let mut rig = Rig::new();
    // A registered browser is spared the limit per source, so it can fill the table within the window.
    let browser = signed_in(&mut rig, "5001");
    let mut flood = Ua { user: String::new(), ..browser.clone() };
    let garbage = format!("Digest username=\"x\", realm=\"{REALM}\", nonce=\"n\", uri=\"u\", response=\"r\"");
    for n in 0..10_050 {
        flood.user = format!("x{n}");
        let bytes = flood.register(1, 600, Some(&garbage));
        rig.deliver(flood.path, bytes);
    }
    rig.take(flood.path);
    let mut guesser = Ua { user: "5002".to_owned(), ..browser };
    for _ in 0..10 {
        assert_eq!(guesser.sign_in(&mut rig, "wrong").status(), 401);
    }
    assert_eq!(guesser.sign_in(&mut rig, PASSWORD).status(), 403);
}

#[test]
fn an_unknown_dn_is_offered_the_algorithms_of_a_known_one() {
    let mut by_rule = config();
    by_rule.dns[0].sha256 = true;
    let mut by_listener = config();
    by_listener.listeners[WSS.0].sha256 = true;
    let secret = Secret::Ha1 { md5: Some("0".repeat(32)), sha256: None };
    let dial = Vec::new();
    by_listener.dns = vec![DnRule {
        dns: DnSet::One("6001".to_owned()),
        secret,
        sha256: false,
        dial,
        trunk_secret: None,
        ring: None,
        answer: crosspoint::call::AnswerMode::Page,
        resume: false,
        opus: Default::default(),
        codecs: Vec::new(),
        calls: 10,
    }];
    for with in [by_rule, by_listener] {
        let mut rig = Rig::with(with, 1, 1);
        let mut offered = Vec::new();
        for dn in ["5001", "6001", "nobody"] {
            let mut browser = Ua::browser(&mut rig, dn);
            let bytes = browser.register(1, 600, None);
            rig.deliver(browser.path, bytes);
            let challenge = rig.take_one(browser.path);
            let algorithm = |value: &[u8]| String::from_utf8_lossy(value).contains("SHA-256");
            offered.push(challenge.headers(Name::WwwAuthenticate).map(algorithm).collect::<Vec<_>>());
        }
        assert!(offered.iter().all(|one| *one == offered[0]), "{offered:?}");
    }
}

#[test]
fn an_unknown_dn_and_a_known_one_get_the_same_answer_to_an_invite() {
    let mut rig = Rig::new();
    signed_in(&mut rig, "5001");
    let mut answers = Vec::new();
    for dn in ["5001", "5002", "7777"] {
        let mut prober = Ua::browser(&mut rig, dn);
        prober.call(&mut rig, "1003", Some(&sdp::chromium_offer()), &[]);
        let refusal = last_status(&rig.take(prober.path), 401);
        let names =
            |m: &Message| [Name::WwwAuthenticate, Name::RetryAfter, Name::Contact].map(|n| m.headers(n).count());
        answers.push(names(&refusal));
    }
    assert!(answers.iter().all(|one| *one == answers[0]), "{answers:?}");
}

#[test]
fn a_replayed_digest_is_challenged_as_stale_and_binds_nothing() {
    let mut rig = Rig::new();
    let mut browser = Ua::browser(&mut rig, "5001");
    let first = browser.register(1, 600, None);
    rig.deliver(browser.path, first);
    let challenge = rig.take_one(browser.path);
    let proof = browser.answer_challenge(&challenge, &Method::Register, &format!("sip:{REALM}"), PASSWORD);
    let second = browser.register(2, 600, Some(&proof));
    rig.deliver(browser.path, second);
    assert_eq!(rig.take_one(browser.path).status(), 200);

    let mut thief = Ua::browser(&mut rig, "5001");
    let replayed = thief.register(3, 600, Some(&proof));
    rig.deliver(thief.path, replayed);
    let again = rig.take_one(thief.path);
    assert_eq!(again.status(), 401);
    let value = String::from_utf8_lossy(again.header(Name::WwwAuthenticate).unwrap()).into_owned();
    assert!(value.contains("stale=true"), "{value}");
    let flows: Vec<_> = rig.snapshot().registrations.iter().map(|r| r.flow).collect();
    assert_eq!(flows, [browser.path.flow()]);
}

#[test]
fn a_digest_for_a_register_does_not_pay_for_a_call() {
    let mut rig = Rig::new();
    let mut browser = Ua::browser(&mut rig, "5001");
    let first = browser.register(1, 600, None);
    rig.deliver(browser.path, first);
    let challenge = rig.take_one(browser.path);
    let proof = browser.answer_challenge(&challenge, &Method::Register, &format!("sip:{REALM}"), PASSWORD);
    browser.call(&mut rig, "1003", Some(&sdp::chromium_offer()), &[("Authorization", &proof)]);
    last_status(&rig.take(browser.path), 401);
    assert!(rig.take(Ua::trunk().path).is_empty());
}

#[test]
fn a_register_in_the_name_of_another_is_refused_though_the_digest_is_right() {
    let mut rig = Rig::new();
    let mut thief = signed_in(&mut rig, "5002");
    let bytes = thief.register(50, 600, None);
    let text = String::from_utf8_lossy(&bytes).replace(&format!("To: <sip:5002@{REALM}>"), "To: <sip:5001@gw.test>");
    rig.deliver(thief.path, text.into_bytes().into());
    assert_eq!(rig.take_one(thief.path).status(), 403);
    assert!(rig.snapshot().registrations.iter().all(|r| r.dn == "5002"));
}

#[test]
fn an_instance_of_another_dn_takes_nothing_from_it() {
    let mut rig = Rig::new();
    let victim = signed_in(&mut rig, "5001");
    let mut thief = Ua::browser(&mut rig, "5002");
    thief.instance = victim.instance.clone();
    thief.contact = victim.contact.clone();
    assert_eq!(thief.sign_in(&mut rig, PASSWORD).status(), 200);
    assert_eq!(rig.snapshot().registrations.len(), 2);
    let talk = inbound_to(&mut rig, victim);
    assert_eq!(talk.browser.user, "5001");
    assert!(rig.take(thief.path).is_empty());
}

#[test]
fn a_storm_of_registers_leaves_one_binding_and_nothing_else() {
    let mut rig = Rig::new();
    let mut browser = signed_in(&mut rig, "5001");
    let before = rig.snapshot().entries;
    for round in 0..2000 {
        let bytes = browser.register(1000 + round, 600, None);
        rig.deliver(browser.path, bytes);
    }
    assert!(rig.take(browser.path).iter().all(|answer| answer.status() == 401));
    let snapshot = rig.snapshot();
    assert_eq!((snapshot.registrations.len(), snapshot.transactions, snapshot.entries), (1, 0, before));
}

#[test]
fn a_storm_of_registers_of_a_stranger_is_limited() {
    let mut rig = Rig::new();
    let mut browser = Ua::browser(&mut rig, "5001");
    for round in 0..1000 {
        let bytes = browser.register(1 + round, 600, None);
        rig.deliver(browser.path, bytes);
    }
    let heard = rig.take(browser.path).iter().filter(|answer| answer.status() == 401).count();
    assert!(heard <= 110, "{heard}");
    assert!(rig.snapshot().sip.limited >= 890);
}

#[test]
fn an_office_behind_one_address_signs_in_all_at_once() {
    let mut rig = Rig::new();
    for dn in 5001..5801 {
        signed_in(&mut rig, &dn.to_string());
    }
    assert_eq!(rig.snapshot().registrations.len(), 800);
    assert_eq!(rig.snapshot().sip.limited, 0);
}

#[test]
fn connections_without_end_do_not_multiply_the_share_of_an_address() {
    let mut rig = Rig::new();
    let mut heard = 0;
    for _ in 0..200 {
        let mut browser = Ua::browser(&mut rig, "5001");
        for round in 0..100 {
            let bytes = browser.register(1 + round, 600, None);
            rig.deliver(browser.path, bytes);
        }
        heard += rig.take(browser.path).iter().filter(|answer| answer.status() == 401).count();
    }
    assert_eq!(heard, 5000);
}

#[test]
fn a_connection_from_the_trunks_own_host_is_no_trunk() {
    let mut rig = Rig::new();
    signed_in(&mut rig, "5001");
    let (flow, remote) = (FlowId(900), trunk_addr());
    rig.input(Input::FlowOpened { flow, transport: Transport::Wss, listener: WSS, remote });
    let mut pretender = Ua::at(Path::Tcp { flow, remote }, "1003");
    pretender.call(&mut rig, "5001", Some(&sdp::chromium_offer()), &[("P-Asserted-Identity", "<sip:911@x>")]);
    last_status(&rig.take(pretender.path), 401);
}

#[test]
fn a_browser_that_dials_another_dn_goes_through_the_trunk() {
    let mut rig = Rig::new();
    let callee = signed_in(&mut rig, "5002");
    let mut caller = signed_in(&mut rig, "5001");
    caller.call(&mut rig, "5002", Some(&sdp::chromium_offer()), &[]);
    let invite = request(&rig.take(Ua::trunk().path), Method::Invite);
    assert!(invite.request_uri().starts_with("sip:5002@192.0.2.81"), "{}", invite.request_uri());
    assert!(rig.take(callee.path).is_empty());
}

#[test]
fn only_the_trunk_changes_the_identifier_of_a_call() {
    let forged = ("X-Genesys-CallUUID", "FORGEDFORGEDFORGEDFORGEDFORGED01");
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let notify = talk.browser.within(&mut talk.at_browser, Method::Notify, &[("Event", "talk"), forged], None);
    rig.deliver(talk.browser.path, notify);
    let info = talk.browser.within(&mut talk.at_browser, Method::Options, &[forged], None);
    rig.deliver(talk.browser.path, info);
    let again = sdp::chromium_offer();
    let body = Some(("application/sdp", again.as_str()));
    let reinvite = talk.browser.within(&mut talk.at_browser, Method::Invite, &[forged], body);
    rig.deliver(talk.browser.path, reinvite);
    assert_eq!(rig.snapshot().calls[0].call_uuid, None);
    let bye = talk.browser.within(&mut talk.at_browser, Method::Bye, &[forged], None);
    rig.deliver(talk.browser.path, bye);

    let mut browser = signed_in(&mut rig, "5002");
    let call = browser.call(&mut rig, "1003", Some(&sdp::chromium_offer()), &[forged]);
    let cancel = browser.cancel(&call, None);
    let text = String::from_utf8_lossy(&cancel).replacen("\r\n", &format!("\r\n{}: {}\r\n", forged.0, forged.1), 1);
    rig.deliver(browser.path, text.into_bytes().into());
    rig.advance(Duration::from_secs(40));
    assert!(rig.events.iter().all(|event| event.call_uuid.is_none()), "{:?}", rig.events);
    assert!(rig.events.len() >= 6);
}
