//! Who may call, and whom.

use crosspoint::sip::message::{Method, Name};

use crate::peers::{Offered, Ua, last_status, request, signed_in};
use crate::rig::{PASSWORD, REALM, Rig, config, udp};
use crate::sdp;

#[test]
fn an_invite_from_an_address_that_is_no_trunk_gets_403_and_is_counted() {
    let mut rig = Rig::new();
    let browser = signed_in(&mut rig, "5001");
    let mut stranger = Ua::server(udp("203.0.113.9:5060".parse().unwrap()));
    stranger.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
    last_status(&rig.take(stranger.path), 403);
    assert!(rig.take(browser.path).is_empty());
    assert_eq!(rig.snapshot().counters.strangers, 1);
}

#[test]
fn an_invite_on_a_flow_without_registration_is_challenged() {
    let mut rig = Rig::new();
    let mut browser = Ua::browser(&mut rig, "5001");
    let call = browser.call(&mut rig, "1003", Some(&sdp::chromium_offer()), &[]);
    let challenge = last_status(&rig.take(browser.path), 401);
    let uri = call.invite.request_uri().to_owned();
    let answer = browser.answer_challenge(&challenge, &Method::Invite, &uri, PASSWORD);
    browser.call(&mut rig, "1003", Some(&sdp::chromium_offer()), &[("Authorization", &answer)]);
    request(&rig.take(Ua::trunk().path), Method::Invite);
}

#[test]
fn a_registered_browser_cannot_call_as_another_dn() {
    let mut rig = Rig::new();
    let mut browser = signed_in(&mut rig, "5001");
    browser.user = "5002".to_owned();
    browser.call(&mut rig, "1003", Some(&sdp::chromium_offer()), &[]);
    last_status(&rig.take(browser.path), 401);
    assert!(rig.take(Ua::trunk().path).is_empty());
}

#[test]
fn a_digest_of_one_dn_does_not_call_as_another() {
    let mut rig = Rig::new();
    let mut browser = Ua::browser(&mut rig, "5002");
    let call = browser.call(&mut rig, "1003", Some(&sdp::chromium_offer()), &[]);
    let challenge = last_status(&rig.take(browser.path), 401);
    let thief = Ua { user: "5001".to_owned(), ..browser.clone() };
    let answer = thief.answer_challenge(&challenge, &Method::Invite, call.invite.request_uri(), PASSWORD);
    browser.call(&mut rig, "1003", Some(&sdp::chromium_offer()), &[("Authorization", &answer)]);
    assert!(rig.take(browser.path).iter().any(|m| m.status() == 401 || m.status() == 403));
    assert!(rig.take(Ua::trunk().path).is_empty());
}

#[test]
fn a_dn_dials_only_what_its_rule_allows() {
    let mut with = config();
    with.dns[0].dial = vec!["1".to_owned(), "+49".to_owned()];
    let mut rig = Rig::with(with, 1, 4);
    let mut browser = signed_in(&mut rig, "5001");
    browser.call(&mut rig, "00881234", Some(&sdp::chromium_offer()), &[]);
    last_status(&rig.take(browser.path), 403);
    browser.call(&mut rig, "1003", Some(&sdp::chromium_offer()), &[]);
    request(&rig.take(Ua::trunk().path), Method::Invite);
}

#[test]
fn a_trunk_that_challenges_learns_no_digest() {
    let mut rig = Rig::new();
    let Offered { trunk, invite, .. } = Offered::outbound(&mut rig, "1003");
    assert!(invite.header(Name::Authorization).is_none());
    rig.deliver(trunk.path, trunk.respond(&invite, 401, None));
    assert!(rig.take(trunk.path).iter().all(|m| m.method() == Method::Ack));
}

#[test]
fn what_comes_outside_a_dialog_is_answered_only_to_those_who_are_known() {
    let mut rig = Rig::new();
    let uri = format!("sip:5001@{REALM}");
    for method in [Method::Message, Method::Subscribe, Method::Notify, Method::Publish] {
        let mut stranger = Ua::server(udp("203.0.113.9:5060".parse().unwrap()));
        let bytes = stranger.request(method.clone(), &uri, &[], None);
        rig.deliver(stranger.path, bytes);
        assert_eq!(rig.take_one(stranger.path).status(), 403, "{method:?} of a stranger");
        let mut browser = Ua::browser(&mut rig, "5001");
        let bytes = browser.request(method.clone(), &uri, &[], None);
        rig.deliver(browser.path, bytes);
        assert_eq!(rig.take_one(browser.path).status(), 401, "{method:?} without digest");
    }
}
