//! A SIP Server that challenges every request of a dialog: each is answered once, for the trunk's own realm.

use std::time::Duration;

use crosspoint::gateway::{GatewayConfig, Secret, TrunkAccount};
use crosspoint::sip::endpoint::{Refresher, Reliable, SessionTimer};
use crosspoint::sip::message::{Builder, Message, Method, Name};

use super::registering::{REALM_THERE, challenge, proves};
use crate::peers::{Offered, Talk, Ua, inbound_call, last_status, outbound_call, request};
use crate::rig::{Rig, config};
use crate::sdp;

fn with_account() -> GatewayConfig {
    let mut with = config();
    with.trunks[0].policy.account = Some(TrunkAccount {
        realm: REALM_THERE.to_owned(),
        username: None,
        secret: Some(Secret::Plain("for all".to_owned())),
    });
    with
}

/// Challenges a request and returns it as it comes again; then challenges that one too, which is the end of it.
fn again(rig: &mut Rig, trunk: &Ua, one: &Message, status: u16) -> Message {
    rig.deliver(trunk.path, challenge(one, status, REALM_THERE, "n1").raw().clone());
    let other = request(&rig.take(trunk.path), one.method());
    let name = if status == 407 { Name::ProxyAuthorization } else { Name::Authorization };
    assert!(proves(&other, other.header(name).expect("credentials"), "for all"));
    assert_eq!((other.call_id(), other.to().tag(), other.body()), (one.call_id(), one.to().tag(), one.body()));
    assert!(other.cseq().number > one.cseq().number);
    assert_ne!(other.via().branch(), one.via().branch());
    other
}

fn refuses_again(rig: &mut Rig, trunk: &Ua, other: &Message) {
    rig.deliver(trunk.path, challenge(other, 401, REALM_THERE, "n2").raw().clone());
    assert!(rig.take(trunk.path).iter().all(|m| !m.is_request()), "once");
}

fn hung_up(rig: &mut Rig, talk: &mut Talk) -> Message {
    rig.take(talk.trunk.path);
    let bye = talk.browser.within(&mut talk.at_browser, Method::Bye, &[], None);
    rig.deliver(talk.browser.path, bye);
    request(&rig.take(talk.trunk.path), Method::Bye)
}

#[test]
fn a_challenged_bye_is_sent_again_though_its_call_is_gone() {
    for (status, call) in [(401, inbound_call as fn(&mut Rig) -> Talk), (407, outbound_call)] {
        let mut rig = Rig::with(with_account(), 1, 4);
        let mut talk = call(&mut rig);
        let bye = hung_up(&mut rig, &mut talk);
        let other = again(&mut rig, &talk.trunk, &bye, status);
        refuses_again(&mut rig, &talk.trunk, &other);
        rig.assert_clean();
        rig.advance(Duration::from_secs(40));
        assert_eq!((rig.snapshot().transactions, rig.snapshot().sessions), (0, 0));
    }
}

#[test]
fn a_challenge_of_a_strangers_realm_or_without_an_account_is_left_unanswered() {
    for (with, realm) in [(with_account(), "stranger"), (config(), REALM_THERE)] {
        let mut rig = Rig::with(with, 1, 4);
        let mut talk = inbound_call(&mut rig);
        let bye = hung_up(&mut rig, &mut talk);
        rig.deliver(talk.trunk.path, challenge(&bye, 401, realm, "n1").raw().clone());
        assert!(rig.take(talk.trunk.path).is_empty());
        rig.assert_clean();
    }
}

#[test]
fn a_browser_that_challenges_our_bye_learns_no_digest() {
    let mut rig = Rig::with(with_account(), 1, 4);
    let mut talk = inbound_call(&mut rig);
    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(talk.trunk.path, bye);
    let bye = request(&rig.take(talk.browser.path), Method::Bye);
    rig.deliver(talk.browser.path, challenge(&bye, 401, REALM_THERE, "n1").raw().clone());
    assert!(rig.take(talk.browser.path).is_empty());
}

/// A REFER that the trunk takes, challenged with this status; and the one that answers the challenge.
fn challenged_refer(status: u16) -> (Rig, Talk, Message) {
    let mut with = with_account();
    with.trunks[0].refer = true;
    let mut rig = Rig::with(with, 1, 4);
    let mut talk = inbound_call(&mut rig);
    let refer = talk.browser.within(&mut talk.at_browser, Method::Refer, &[("Refer-To", "<sip:6001@gw.test>")], None);
    rig.deliver(talk.browser.path, refer);
    let one = request(&rig.take(talk.trunk.path), Method::Refer);
    let other = again(&mut rig, &talk.trunk, &one, status);
    (rig, talk, other)
}

#[test]
fn a_challenged_refer_goes_on_under_its_new_number() {
    let (mut rig, mut talk, other) = challenged_refer(401);
    rig.deliver(talk.trunk.path, talk.trunk.respond(&other, 202, None));
    rig.take(talk.browser.path);
    let event = format!("refer;id={}", other.cseq().number);
    let headers = [("Event", event.as_str()), ("Subscription-State", "terminated;reason=noresource")];
    let body = Some(("message/sipfrag", "SIP/2.0 200 OK\r\n"));
    let notify = talk.trunk.within(&mut talk.at_trunk, Method::Notify, &headers, body);
    rig.deliver(talk.trunk.path, notify);
    last_status(&rig.take(talk.trunk.path), 200);
    let told = request(&rig.take(talk.browser.path), Method::Notify);
    assert!(String::from_utf8_lossy(told.body()).contains("200"));
}

#[test]
fn a_refer_whose_second_challenge_is_not_answered_leaves_the_call_as_it_was() {
    let (mut rig, talk, other) = challenged_refer(407);
    refuses_again(&mut rig, &talk.trunk, &other);
    let notifies: Vec<_> = rig.take(talk.browser.path).into_iter().filter(|m| m.method() == Method::Notify).collect();
    assert!(notifies.iter().any(|m| String::from_utf8_lossy(m.body()).contains("401")), "the agent is told");
    assert_eq!(rig.snapshot().calls.len(), 1);
}

#[test]
fn a_challenged_prack_is_sent_again_in_the_early_dialog() {
    let mut with = with_account();
    with.trunks[0].policy.provisionals = Reliable::Supported;
    let mut rig = Rig::with(with, 1, 4);
    let Offered { trunk, invite, .. } = Offered::outbound(&mut rig, "1003");
    let early = Builder::response_to(&invite, 183, None, Some("e"))
        .header("Contact", &trunk.contact)
        .header("Require", "100rel")
        .header("RSeq", "7")
        .body("application/sdp", sdp::trunk_answer().as_bytes());
    rig.deliver(trunk.path, early.build());
    let one = request(&rig.take(trunk.path), Method::Prack);
    let other = again(&mut rig, &trunk, &one, 401);
    assert_eq!(other.header(Name::RAck), one.header(Name::RAck));
}

#[test]
fn a_challenged_notify_of_a_transfer_is_sent_again() {
    let mut rig = Rig::with(with_account(), 1, 4);
    let mut talk = inbound_call(&mut rig);
    let refer = talk.trunk.within(&mut talk.at_trunk, Method::Refer, &[("Refer-To", "<sip:6001@192.0.2.81>")], None);
    rig.deliver(talk.trunk.path, refer);
    let one = request(&rig.take(talk.trunk.path), Method::Notify);
    let other = again(&mut rig, &talk.trunk, &one, 401);
    assert!(String::from_utf8_lossy(other.body()).contains("100"));
}

#[test]
fn a_challenged_refresh_is_sent_again_by_update_and_by_reinvite() {
    for (allow, method) in [("INVITE, ACK, BYE, UPDATE", Method::Update), ("INVITE, ACK, BYE", Method::Invite)] {
        let mut with = with_account();
        let timer = SessionTimer { interval_s: 200, min_se_s: 90, refresher: Some(Refresher::Us) };
        with.trunks[0].policy.session = Some(timer);
        let mut rig = Rig::with(with, 1, 4);
        let Offered { mut browser, trunk, mut call, invite } = Offered::outbound(&mut rig, "1003");
        let ok = Builder::response_to(&invite, 200, None, Some("t"))
            .header("Contact", &trunk.contact)
            .header("Allow", allow)
            .header("Session-Expires", "200;refresher=uac")
            .body("application/sdp", sdp::trunk_answer().as_bytes());
        rig.deliver(trunk.path, ok.build());
        browser.acknowledge(&mut rig, &mut call);
        rig.take(trunk.path);
        rig.advance(Duration::from_secs(101));
        let one = request(&rig.take(trunk.path), method.clone());
        let other = again(&mut rig, &trunk, &one, 401);
        // The refresh that succeeds keeps the call beyond the end of its interval.
        let ok = Builder::response_to(&other, 200, None, None)
            .header("Contact", &trunk.contact)
            .header("Session-Expires", "200;refresher=uac");
        let ok = if method == Method::Invite { ok.body("application/sdp", sdp::trunk_answer().as_bytes()) } else { ok };
        rig.deliver(trunk.path, ok.build());
        rig.advance(Duration::from_secs(98));
        assert_eq!(rig.snapshot().calls.len(), 1);
        assert!(rig.take(trunk.path).iter().all(|m| m.method() != Method::Bye));
    }
}
