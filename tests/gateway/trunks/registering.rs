//! Our DNs at the SIP Server, for the browsers that are signed in here.

use std::collections::BTreeMap;
use std::time::Duration;

use crosspoint::call::{CallCommand, Command, EventKind};
use crosspoint::gateway::{DnRegistration, GatewayConfig, Input, Secret, TrunkAccount};
use crosspoint::sip::digest::Credentials;
use crosspoint::sip::message::{Builder, Message, Method, Name};

use super::{Server, dial_with, register, run, secs, sign_in, state, watched};
use crate::peers::{Ua, inbound_to, last_status, outbound_call, request};
use crate::rig::Rig;
use crate::sdp;

fn registering() -> GatewayConfig {
    let mut with = watched(1);
    with.trunks[0].policy.register = Some(DnRegistration::default());
    with
}

fn word(response: &Message) -> String {
    String::from_utf8(response.extension("X-Crosspoint-Trunk").unwrap_or_default().to_vec()).unwrap()
}

#[test]
fn a_dn_is_registered_at_the_sip_server_when_its_agent_signs_in() {
    let mut rig = Rig::with(registering(), 1, 4);
    let mut server = Server::first();
    let (_, ok) = sign_in(&mut rig, &mut [&mut server], "5001");
    assert_eq!((ok.status(), word(&ok).as_str(), ok.header(Name::Warning)), (200, "registered", None));
    let [(_, register)] = &server.registers[..] else { panic!("one REGISTER: {}", server.registers.len()) };
    assert_eq!(register.request_uri(), "sip:192.0.2.81:5060");
    assert_eq!((register.from().uri, register.to().uri), ("sip:5001@192.0.2.81:5060", "sip:5001@192.0.2.81:5060"));
    assert_eq!(register.contacts().next().unwrap().unwrap().uri, "sip:5001@192.0.2.54:5060");
    assert_eq!(register.number(Name::Expires), Some(1800));
    assert_eq!(state(&rig).registrations.unwrap().registered, 1);
    // Another page of the same agent changes nothing.
    sign_in(&mut rig, &mut [&mut server], "5001");
    assert_eq!(server.registers.len(), 1);
}

#[test]
fn a_page_reload_never_flaps_the_dn_at_the_sip_server() {
    let mut rig = Rig::with(registering(), 1, 4);
    let mut server = Server::first();
    let (mut browser, _) = sign_in(&mut rig, &mut [&mut server], "5001");
    for round in 0..10 {
        if round % 2 == 0 {
            // The page says good-bye on its way out, as JsSIP does.
            register(&mut rig, &mut browser, 20 + round * 2, 0);
            assert_eq!(rig.take_one(browser.path).status(), 200);
        }
        rig.input(Input::FlowClosed(browser.path.flow().unwrap()));
        run(&mut rig, &mut [&mut server], secs(3));
        browser = sign_in(&mut rig, &mut [&mut server], "5001").0;
        run(&mut rig, &mut [&mut server], secs(5));
    }
    assert_eq!(server.expires(), [1800]);
}

#[test]
fn a_dn_whose_browser_stays_away_is_given_up_after_the_grace() {
    let mut rig = Rig::with(registering(), 1, 4);
    let mut server = Server::first();
    let (browser, _) = sign_in(&mut rig, &mut [&mut server], "5001");
    rig.input(Input::FlowClosed(browser.path.flow().unwrap()));
    run(&mut rig, &mut [&mut server], secs(19));
    assert_eq!(server.expires(), [1800]);
    run(&mut rig, &mut [&mut server], secs(2));
    assert_eq!(server.expires(), [1800, 0]);
    assert!(server.bindings.is_empty());
    run(&mut rig, &mut [&mut server], secs(3600));
    assert_eq!(server.expires(), [1800, 0], "said once");
}

#[test]
fn a_browser_whose_registration_runs_out_unnoticed_is_given_up_too() {
    let mut rig = Rig::with(registering(), 1, 4);
    let mut server = Server::first();
    sign_in(&mut rig, &mut [&mut server], "5001");
    run(&mut rig, &mut [&mut server], secs(599));
    assert_eq!(server.expires(), [1800]);
    run(&mut rig, &mut [&mut server], secs(30));
    assert_eq!(server.expires(), [1800, 0]);
}

#[test]
fn a_dn_that_the_sip_server_does_not_know_is_told_to_the_browser_in_plain_words() {
    let mut rig = Rig::with(registering(), 1, 4);
    let mut server = Server::first();
    server.registrar = Some(Box::new(|request| {
        let contact = String::from_utf8_lossy(request.header(Name::Contact).unwrap()).into_owned();
        Builder::response_to(request, 404, None, Some("r"))
            .header("Contact", contact)
            .header("Expires", "1800")
            .build_message()
    }));
    let (_, ok) = sign_in(&mut rig, &mut [&mut server], "5001");
    assert_eq!((ok.status(), word(&ok).as_str()), (200, "unknown-dn"));
    assert_eq!(ok.header(Name::Warning).unwrap(), b"399 gw.test \"The SIP Server does not know the number 5001.\"");
    assert_eq!(state(&rig).registrations.unwrap().refused, 1);
}

#[test]
fn a_sip_server_without_a_word_keeps_no_agent_from_signing_in_for_longer_than_a_second() {
    let mut rig = Rig::with(registering(), 1, 4);
    let mut server = Server::first();
    server.is_up = false;
    let mut browser = Ua::browser(&mut rig, "5001");
    register(&mut rig, &mut browser, 1, 600);
    run(&mut rig, &mut [&mut server], Duration::from_millis(999));
    assert!(rig.take(browser.path).is_empty());
    run(&mut rig, &mut [&mut server], Duration::from_millis(1));
    let ok = rig.take_one(browser.path);
    assert_eq!((ok.status(), word(&ok).as_str()), (200, "pending"));
    inbound_to(&mut rig, browser);
}

#[test]
fn an_agent_who_signs_in_while_the_sip_server_is_down_is_told_at_once() {
    let mut rig = Rig::with(registering(), 1, 4);
    let mut server = Server::first();
    run(&mut rig, &mut [&mut server], secs(1));
    server.is_up = false;
    run(&mut rig, &mut [&mut server], secs(45));
    let mut browser = Ua::browser(&mut rig, "5001");
    register(&mut rig, &mut browser, 1, 600);
    let ok = rig.take_one(browser.path);
    assert_eq!((ok.status(), word(&ok).as_str()), (200, "unreachable"));
    let warning = String::from_utf8_lossy(ok.header(Name::Warning).unwrap()).into_owned();
    assert!(warning.contains("does not answer"), "{warning}");
    assert!(server.registers.is_empty(), "nothing is sent to who is down");
    server.is_up = true;
    run(&mut rig, &mut [&mut server], secs(12));
    assert_eq!(server.bindings.len(), 1);
}

#[test]
fn a_trunk_with_a_static_contact_gets_no_register_and_the_browser_no_word() {
    let mut rig = Rig::with(watched(1), 1, 4);
    let mut server = Server::first();
    let (_, ok) = sign_in(&mut rig, &mut [&mut server], "5001");
    assert_eq!((ok.status(), word(&ok).as_str()), (200, ""));
    assert!(server.registers.is_empty());
}

#[test]
fn three_thousand_agents_in_the_morning_and_all_their_refreshes_make_no_burst() {
    let mut with = registering();
    with.dns[0].dns = crosspoint::gateway::DnSet::Range { first: 10_000, last: 12_999, digits: 5 };
    with.source_limit = crosspoint::sip::endpoint::SourceLimit { per_second: 100_000, burst: 100_000 };
    let mut rig = Rig::with(with, 1, 4);
    let mut server = Server::first();
    rig.advance(Duration::ZERO);
    for dn in 10_000..13_000u32 {
        let mut browser = Ua::browser(&mut rig, &dn.to_string());
        register(&mut rig, &mut browser, 1, 3600);
    }
    run(&mut rig, &mut [&mut server], secs(3500));
    let mut histogram: BTreeMap<u64, usize> = BTreeMap::new();
    let mut last: BTreeMap<String, Duration> = BTreeMap::new();
    for (at, register) in &server.registers {
        *histogram.entry(at.as_secs()).or_default() += 1;
        if let Some(before) = last.insert(register.to().uri.to_owned(), *at) {
            assert!(*at - before < secs(1800), "{} lapsed", register.to().uri);
        }
    }
    assert_eq!((last.len(), server.bindings.len()), (3000, 3000));
    assert!(server.registers.len() >= 6000, "each was refreshed");
    assert!(histogram.values().all(|count| *count <= 50), "{histogram:?}");
    assert_eq!(state(&rig).registrations.unwrap().registered, 3000);
    // Those who signed in were not kept waiting for their turn at the SIP Server.
    let answered = rig.sent.values().filter(|sent| sent.iter().any(|m| m.status() == 200)).count();
    assert_eq!(answered, 3000);
}

pub(super) const REALM_THERE: &str = "genesys";

fn with_account() -> GatewayConfig {
    let mut with = registering();
    with.trunks[0].policy.account = Some(TrunkAccount {
        realm: REALM_THERE.to_owned(),
        username: None,
        secret: Some(Secret::Plain("for all".to_owned())),
    });
    with.dns[0].trunk_secret = Some(Secret::Plain("for 5001".to_owned()));
    with
}

pub(super) fn challenge(request: &Message, status: u16, realm: &str, nonce: &str) -> Message {
    let name = if status == 407 { "Proxy-Authenticate" } else { "WWW-Authenticate" };
    Builder::response_to(request, status, None, Some("c"))
        .header(name, format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\""))
        .build_message()
}

/// Returns true where the credentials prove the password for this request.
pub(super) fn proves(request: &Message, value: &[u8], password: &str) -> bool {
    use crosspoint::sip::digest::Algorithm;
    use crosspoint::sip::digest::client::ha1;
    let found = Credentials::parse(value).unwrap();
    let protection = found.protection.clone().unwrap();
    let hash = |text: String| {
        // H(a:b:c) is what `ha1` computes; the parts are put together so that it serves for all three.
        let parts: Vec<&str> = text.splitn(3, ':').collect();
        ha1(Algorithm::Md5, parts[0], parts[1], parts[2])
    };
    let one = ha1(Algorithm::Md5, &found.username, &found.realm, password);
    let method = request.method();
    let two = {
        let text = format!("{}:{}", method.as_str(), found.uri);
        hash(text)
    };
    let all = format!("{one}:{}:{:08x}:{}:auth:{two}", found.nonce, protection.nc, protection.cnonce);
    found.uri == request.request_uri() && found.response == hash(all)
}

#[test]
fn a_sip_server_that_challenges_registers_gets_the_dns_own_password_and_nothing_is_asked_of_the_browser() {
    let mut rig = Rig::with(with_account(), 1, 4);
    let mut server = Server::first();
    server.registrar = Some(Box::new(|request| match request.header(Name::Authorization) {
        Some(value) => {
            assert!(proves(request, value, "for 5001"));
            Builder::response_to(request, 200, None, Some("r")).header("Expires", "600").build_message()
        }
        None => challenge(request, 401, REALM_THERE, "n1"),
    }));
    let (_, ok) = sign_in(&mut rig, &mut [&mut server], "5001");
    assert_eq!(word(&ok), "registered");
    assert_eq!(server.registers.len(), 2);
    let call_ids: Vec<&str> = server.registers.iter().map(|(_, register)| register.call_id()).collect();
    assert_eq!(call_ids[0], call_ids[1]);
    let cseq = |at: usize| server.registers[at].1.cseq().number;
    assert_eq!(cseq(1), cseq(0) + 1);
}

#[test]
fn a_challenge_of_a_strangers_realm_to_our_register_learns_no_digest() {
    let mut rig = Rig::with(with_account(), 1, 4);
    let mut server = Server::first();
    server.registrar = Some(Box::new(|request| challenge(request, 401, "stranger", "n1")));
    let (_, ok) = sign_in(&mut rig, &mut [&mut server], "5001");
    assert_eq!(word(&ok), "refused;status=401");
    assert!(server.registers.iter().all(|(_, register)| register.header(Name::Authorization).is_none()));
}

#[test]
fn an_invite_that_the_trunk_challenges_is_sent_again_with_the_dns_digest_in_the_same_call() {
    for status in [401, 407] {
        let mut rig = Rig::with(with_account(), 1, 4);
        let mut server = Server::first();
        let (browser, _) = dial_with(&mut rig, &mut [&mut server], "5001", "1003");
        let one = request(&server.inbox, Method::Invite);
        rig.deliver(server.path, challenge(&one, status, REALM_THERE, "n1").raw().clone());
        let sent = rig.take(server.path);
        request(&sent, Method::Ack);
        let other = request(&sent, Method::Invite);
        let name = if status == 407 { Name::ProxyAuthorization } else { Name::Authorization };
        assert!(proves(&other, other.header(name).unwrap(), "for 5001"));
        assert_eq!((other.call_id(), other.cseq().number), (one.call_id(), one.cseq().number + 1));
        assert_eq!((other.from().tag(), other.body()), (one.from().tag(), one.body()));
        assert_ne!(other.via().branch(), one.via().branch());
        rig.deliver(server.path, server.ua().respond(&other, 200, Some(&sdp::trunk_answer())));
        let heard = rig.take(browser.path);
        last_status(&heard, 200);
        assert!(heard.iter().all(|m| m.status() <= 200));
    }
}

#[test]
fn an_invite_challenged_by_another_realm_or_a_second_time_is_502_to_the_agent() {
    let mut rig = Rig::with(with_account(), 1, 4);
    let mut server = Server::first();
    let (browser, _) = dial_with(&mut rig, &mut [&mut server], "5001", "1003");
    let one = request(&server.inbox, Method::Invite);
    rig.deliver(server.path, challenge(&one, 401, "stranger", "n1").raw().clone());
    assert!(rig.take(server.path).iter().all(|m| m.method() == Method::Ack));
    last_status(&rig.take(browser.path), 502);
    rig.assert_clean();

    let mut rig = Rig::with(with_account(), 1, 4);
    let mut server = Server::first();
    let (browser, _) = dial_with(&mut rig, &mut [&mut server], "5001", "1003");
    let one = request(&server.inbox, Method::Invite);
    rig.deliver(server.path, challenge(&one, 401, REALM_THERE, "n1").raw().clone());
    let other = request(&rig.take(server.path), Method::Invite);
    rig.deliver(server.path, challenge(&other, 401, REALM_THERE, "n2").raw().clone());
    assert!(rig.take(server.path).iter().all(|m| m.method() == Method::Ack));
    last_status(&rig.take(browser.path), 502);
    rig.assert_clean();
}

#[test]
fn a_call_reaches_a_registered_dn_and_leaves_its_registration_alone() {
    let mut rig = Rig::with(registering(), 1, 4);
    let mut server = Server::first();
    let (browser, _) = sign_in(&mut rig, &mut [&mut server], "5001");
    let mut talk = inbound_to(&mut rig, browser);
    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(talk.trunk.path, bye);
    run(&mut rig, &mut [&mut server], secs(60));
    assert_eq!(server.expires(), [1800]);
}

#[test]
fn a_hold_that_the_trunk_challenges_is_asked_for_again_with_a_digest_but_not_for_ever() {
    let mut with = with_account();
    with.trunks[0].policy.register = None;
    let mut rig = Rig::with(with, 1, 4);
    let talk = outbound_call(&mut rig);
    let (call, trunk) = (rig.snapshot().calls[0].call, talk.trunk.path);
    rig.take(trunk);
    rig.input(Input::Command(Command::of(call, CallCommand::Hold)));
    let one = request(&rig.take(trunk), Method::Invite);
    rig.deliver(trunk, challenge(&one, 401, REALM_THERE, "n1").raw().clone());
    let other = request(&rig.take(trunk), Method::Invite);
    assert!(proves(&other, other.header(Name::Authorization).unwrap(), "for 5001"));
    assert_eq!(
        (other.call_id(), other.cseq().number, other.body()),
        (one.call_id(), one.cseq().number + 1, one.body())
    );
    rig.deliver(trunk, talk.trunk.respond(&other, 200, Some(&sdp::trunk_answer())));
    request(&rig.take(trunk), Method::Ack);
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Held { by_agent: true }));

    rig.input(Input::Command(Command::of(call, CallCommand::Retrieve)));
    let one = request(&rig.take(trunk), Method::Invite);
    rig.deliver(trunk, challenge(&one, 401, REALM_THERE, "n2").raw().clone());
    let other = request(&rig.take(trunk), Method::Invite);
    rig.deliver(trunk, challenge(&other, 401, REALM_THERE, "n3").raw().clone());
    assert!(rig.take(trunk).iter().all(|message| message.method() == Method::Ack));
    rig.advance(secs(10));
    assert!(rig.take(trunk).iter().all(|message| message.method() == Method::Options), "no third one");
    assert_eq!(rig.snapshot().calls.len(), 1, "the call is as it was");
}
