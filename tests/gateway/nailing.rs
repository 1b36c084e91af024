//! `answer = "nailed"`: the leg that stands from sign-in to sign-out, and is made anew when it is lost.

use std::time::Duration;

use crosspoint::call::AnswerMode;
use crosspoint::gateway::{Input, LocalCalls};
use crosspoint::sip::message::{Message, Method, Name};

use crate::peers::{Ua, last_status, request, signed_in};
use crate::rig::{PASSWORD, Rig, config};
use crate::sdp;

/// A gateway with nailed phones, one of them signed in, and the INVITE that it was sent for no call.
fn called() -> (Rig, Ua, Message) {
    let mut with = config();
    with.dns[0].answer = AnswerMode::Nailed;
    with.calls.max_calls = 1;
    let mut rig = Rig::with(with, 1, 8);
    let browser = signed_in(&mut rig, "5001");
    let invite = request(&rig.take(browser.path), Method::Invite);
    (rig, browser, invite)
}

fn standing() -> (Rig, Ua, Message) {
    let (mut rig, browser, invite) = called();
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    request(&rig.take(browser.path), Method::Ack);
    (rig, browser, invite)
}

fn hang_up(rig: &mut Rig, browser: &mut Ua, invite: &Message) {
    let mut dialog = browser.dialog_of(invite);
    let bye = browser.within(&mut dialog, Method::Bye, &[], None);
    rig.deliver(browser.path, bye);
    last_status(&rig.take(browser.path), 200);
}

fn is_called(rig: &mut Rig, browser: &Ua) -> bool {
    rig.take(browser.path).iter().any(|m| m.is_request() && m.method() == Method::Invite)
}

#[test]
fn a_nailed_phone_is_called_when_it_signs_in_and_not_again_when_it_refreshes() {
    let (mut rig, mut browser, invite) = called();
    assert_eq!(invite.header(Name::CallInfo).unwrap(), b"<sip:gw.test>;answer-after=0", "it answers by itself");
    assert_eq!(invite.from().uri, "sip:anonymous@anonymous.invalid", "nobody calls");
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    request(&rig.take(browser.path), Method::Ack);
    assert_eq!(rig.ports.len(), 1);
    assert!(rig.snapshot().calls.is_empty() && rig.events.is_empty(), "it is no call, and nobody is told of it");
    browser.sign_in(&mut rig, PASSWORD);
    assert!(!is_called(&mut rig, &browser));
    let call = Ua::trunk().invite("5001", Some(&sdp::genesys_offer()), &[]);
    rig.deliver(Ua::trunk().path, call.invite.raw().clone());
    last_status(&rig.take(Ua::trunk().path), 180);
    assert!(rig.take(browser.path).is_empty(), "the first call finds it there, and it counts for no limit of calls");
    assert_eq!(rig.ports.len(), 2);
}

#[test]
fn a_call_that_comes_while_the_nailed_phone_is_called_waits_for_its_answer() {
    let (mut rig, browser, invite) = called();
    let call = Ua::trunk().invite("5001", Some(&sdp::genesys_offer()), &[("Call-Info", "<sip:x>;answer-after=0")]);
    rig.deliver(Ua::trunk().path, call.invite.raw().clone());
    assert!(!rig.take(Ua::trunk().path).iter().any(|m| m.status() == 200));
    assert!(!is_called(&mut rig, &browser), "one INVITE is enough");
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    last_status(&rig.take(Ua::trunk().path), 200);
    assert_eq!(rig.ports.len(), 2);
}

#[test]
fn a_nailed_leg_that_is_lost_is_made_again_later_and_later() {
    let (mut rig, mut browser, mut invite) = standing();
    for wait in [1, 2, 4] {
        hang_up(&mut rig, &mut browser, &invite);
        rig.assert_clean();
        rig.advance(Duration::from_millis(wait * 1000 - 100));
        assert!(!is_called(&mut rig, &browser), "before {wait} s");
        rig.advance(Duration::from_millis(200));
        invite = request(&rig.take(browser.path), Method::Invite);
        rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
        rig.take(browser.path);
    }
    // It stood for a while: the next loss is a first one.
    rig.advance(Duration::from_secs(100));
    hang_up(&mut rig, &mut browser, &invite);
    rig.advance(Duration::from_millis(1100));
    assert!(is_called(&mut rig, &browser));
}

#[test]
fn a_nailed_phone_that_refuses_is_called_again_after_a_while() {
    let (mut rig, browser, invite) = called();
    rig.deliver(browser.path, browser.respond(&invite, 486, None));
    rig.take(browser.path);
    rig.assert_clean();
    rig.advance(Duration::from_millis(1100));
    assert!(is_called(&mut rig, &browser));
}

#[test]
fn a_nailed_leg_ends_when_its_phone_signs_out_or_its_registration_runs_out() {
    for signs_out in [true, false] {
        let (mut rig, mut browser, _) = standing();
        if signs_out {
            browser.sign_in_for(&mut rig, PASSWORD, 0);
        } else {
            rig.advance(Duration::from_secs(601));
        }
        let bye = request(&rig.take(browser.path), Method::Bye);
        rig.deliver(browser.path, browser.respond(&bye, 200, None));
        rig.assert_clean();
        rig.advance(Duration::from_secs(120));
        assert!(!is_called(&mut rig, &browser), "nobody is there");
    }
}

#[test]
fn a_reloaded_page_without_resume_is_called_anew() {
    let (mut rig, browser, _) = standing();
    rig.input(Input::FlowClosed(browser.path.flow().unwrap()));
    rig.advance(Duration::from_secs(1));
    let mut page = browser.reloaded(&mut rig);
    page.resumes = false;
    page.sign_in(&mut rig, PASSWORD);
    let info = request(&rig.take(page.path), Method::Info);
    rig.deliver(page.path, page.respond(&info, 481, None));
    rig.advance(Duration::from_millis(1100));
    assert!(is_called(&mut rig, &page));
    assert_eq!(rig.ports.len(), 1);
}

#[test]
fn a_call_that_is_given_up_leaves_one_nailed_leg_and_one_place() {
    let (mut rig, browser, _) = standing();
    rig.advance(Duration::from_secs(64));
    let before = rig.snapshot().entries;
    let mut trunk = Ua::trunk();
    for _ in 0..3 {
        let call = trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
        rig.deliver(trunk.path, trunk.cancel(&call, None));
        let refused = last_status(&rig.take(trunk.path), 487);
        let ack = trunk.ack(&call, &refused, None);
        rig.deliver(trunk.path, ack);
        rig.advance(Duration::from_secs(64));
    }
    assert!(rig.take(browser.path).is_empty());
    assert_eq!((rig.ports.len(), rig.snapshot().entries), (1, before));
}

#[test]
fn a_nailed_phone_that_only_rings_is_let_go_and_called_again_later_and_later() {
    let (mut rig, browser, invite) = called();
    rig.deliver(browser.path, browser.respond(&invite, 180, None));
    rig.advance(config().calls.ring_timeout + Duration::from_millis(10));
    let cancel = request(&rig.take(browser.path), Method::Cancel);
    assert_eq!(cancel.call_id(), invite.call_id());
    rig.deliver(browser.path, browser.respond(&cancel, 200, None));
    rig.deliver(browser.path, browser.respond(&invite, 487, None));
    rig.take(browser.path);
    rig.assert_clean();
    rig.advance(Duration::from_millis(1100));
    let invite = request(&rig.take(browser.path), Method::Invite);
    rig.deliver(browser.path, browser.respond(&invite, 180, None));
    rig.advance(config().calls.ring_timeout);
    request(&rig.take(browser.path), Method::Cancel);
    rig.deliver(browser.path, browser.respond(&invite, 487, None));
    rig.take(browser.path);
    rig.advance(Duration::from_millis(1100));
    assert!(!is_called(&mut rig, &browser), "ringing is no good leg");
    rig.advance(Duration::from_millis(1000));
    assert!(is_called(&mut rig, &browser));
}

#[test]
fn a_nailed_leg_that_answered_stands_beyond_its_ring_time() {
    let (mut rig, browser, _) = standing();
    rig.advance(config().calls.ring_timeout * 3);
    assert!(rig.take(browser.path).is_empty());
    assert_eq!(rig.ports.len(), 1);
}

#[test]
fn nailed_phones_of_two_workers_can_talk_locally() {
    let mut with = config();
    with.dns[0].answer = AnswerMode::Nailed;
    with.calls.local = LocalCalls::Always;
    let mut rig = Rig::with(with, 2, 8);
    let phones = ["5001", "5002"].map(|dn| {
        let browser = signed_in(&mut rig, dn);
        let invite = request(&rig.take(browser.path), Method::Invite);
        rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
        rig.take(browser.path);
        (browser, invite)
    });
    let workers: std::collections::BTreeSet<_> = rig.ports.values().map(|port| port.worker).collect();
    assert_eq!(workers.len(), 2, "each stands on its own");
    let [(mut caller, _), (callee, stood)] = phones;
    let mut call = caller.call(&mut rig, "5002", Some(&sdp::chromium_offer()), &[]);
    assert!(rig.take(Ua::trunk().path).is_empty(), "it is a local call");
    let heard = rig.take(callee.path);
    assert_eq!(request(&heard, Method::Bye).call_id(), stood.call_id(), "what stood elsewhere gave way");
    let invite = request(&heard, Method::Invite);
    rig.deliver(callee.path, callee.respond(&invite, 200, Some(&sdp::chromium_answer())));
    caller.acknowledge(&mut rig, &mut call);
    let workers: std::collections::BTreeSet<_> = rig.ports.values().map(|port| port.worker).collect();
    assert_eq!(workers.len(), 1);
    rig.take(callee.path);
    rig.advance(Duration::from_millis(1100));
    let again = request(&rig.take(callee.path), Method::Invite);
    rig.deliver(callee.path, callee.respond(&again, 200, Some(&sdp::chromium_answer())));
    let workers: std::collections::BTreeSet<_> = rig.ports.values().map(|port| port.worker).collect();
    assert_eq!((workers.len(), rig.ports.len()), (1, 4), "and is made anew beside the call");
}
