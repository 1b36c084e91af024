//! Transfers and conferences that are wished while a short change of the call is under way: begun when it is done.

use crosspoint::call::{CallCommand, Command, Declined, EventKind, ReleaseCause};
use crosspoint::gateway::Input;
use crosspoint::id::CallId;
use crosspoint::sip::message::Method;

use crate::handover::{consult_ringing, read};
use crate::peers::{Talk, Ua, inbound_call, request, signed_in};
use crate::rig::Rig;
use crate::sdp;

/// A call whose agent has answered and whose customer has not acknowledged yet.
fn answered(rig: &mut Rig) -> (Talk, CallId) {
    let (browser, mut trunk) = (signed_in(rig, "5001"), Ua::trunk());
    let at_trunk = trunk.call(rig, "5001", Some(&sdp::genesys_offer()), &[]);
    let ringing = request(&rig.take(browser.path), Method::Invite);
    rig.deliver(browser.path, browser.respond(&ringing, 200, Some(&sdp::chromium_answer())));
    request(&rig.take(browser.path), Method::Ack);
    let at_browser = browser.dialog_of(&ringing);
    let call = rig.snapshot().calls[0].call;
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Established));
    (Talk { browser, trunk, at_browser, at_trunk }, call)
}

fn transfer(call: CallId, to: &str) -> Input {
    Input::Command(Command::of(call, CallCommand::BlindTransfer { to: to.into() }))
}

fn wishes(call: CallId) -> [Input; 2] {
    [transfer(call, "6001"), Input::Command(Command::of(call, CallCommand::SingleStepConference { to: "6001".into() }))]
}

fn is_declined(rig: &Rig) -> bool {
    rig.kinds().iter().any(|kind| matches!(kind, EventKind::Declined { .. }))
}

#[test]
fn a_transfer_or_a_conference_that_is_wished_before_the_ack_begins_with_it() {
    for which in 0..2 {
        let mut rig = Rig::new();
        let (mut talk, call) = answered(&mut rig);
        let [transfer, conference] = wishes(call);
        rig.input(if which == 0 { transfer } else { conference });
        let early = rig.sent.get(&talk.trunk.path).into_iter().flatten().any(|m| m.is_request());
        assert!(!early && !is_declined(&rig));
        talk.trunk.acknowledge(&mut rig, &mut talk.at_trunk);
        let invite = request(&rig.take(talk.trunk.path), Method::Invite);
        assert!(invite.request_uri().starts_with("sip:6001@"));
        assert!(!is_declined(&rig));
    }
}

#[test]
fn a_transfer_or_a_conference_that_is_wished_while_the_customer_is_taken_back_begins_then() {
    for which in 0..2 {
        let mut rig = Rig::new();
        let talk = inbound_call(&mut rig);
        let call = rig.snapshot().calls[0].call;
        read(&mut rig, &talk.trunk);
        for command in [Command::of(call, CallCommand::Hold), Command::of(call, CallCommand::Retrieve)] {
            let is_last = matches!(command, Command::OnCall { what: CallCommand::Retrieve, .. });
            rig.input(Input::Command(command));
            let asked = request(&rig.take(talk.trunk.path), Method::Invite);
            if is_last {
                let [transfer, conference] = wishes(call);
                rig.input(if which == 0 { transfer } else { conference });
                assert!(rig.take(talk.trunk.path).is_empty());
            }
            rig.deliver(talk.trunk.path, talk.trunk.respond(&asked, 200, Some(&sdp::trunk_answer())));
        }
        let invite = request(&rig.take(talk.trunk.path), Method::Invite);
        assert!(invite.request_uri().starts_with("sip:6001@"));
        assert!(!is_declined(&rig));
    }
}

#[test]
fn a_consultation_is_completed_once_the_phone_has_acknowledged_its_answer() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let call = rig.snapshot().calls[0].call;
    let (mut other, invite) = consult_ringing(&mut rig, &mut talk, "6001");
    rig.deliver(talk.trunk.path, talk.trunk.respond(&invite, 200, Some(&sdp::trunk_answer_from(20_500))));
    let with = rig.snapshot().calls.iter().map(|view| view.call).find(|id| *id != call).expect("the consultation");
    rig.input(Input::Command(Command::of(call, CallCommand::AttendedTransfer { with })));
    let is_done = |kind: &&EventKind| **kind == EventKind::Transferred { to: "6001".into(), by_agent: true };
    assert!(!rig.kinds().iter().any(is_done) && !is_declined(&rig));
    talk.browser.acknowledge(&mut rig, &mut other.at_browser);
    assert!(rig.kinds().iter().any(is_done) && !is_declined(&rig));
}

#[test]
fn of_two_wishes_the_last_is_kept_and_the_first_is_declined() {
    let mut rig = Rig::new();
    let (mut talk, call) = answered(&mut rig);
    rig.input(transfer(call, "6001"));
    rig.input(transfer(call, "6002"));
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Declined { why: Declined::Busy, by_agent: true }));
    talk.trunk.acknowledge(&mut rig, &mut talk.at_trunk);
    let invite = request(&rig.take(talk.trunk.path), Method::Invite);
    assert!(invite.request_uri().starts_with("sip:6002@"));
    rig.input(transfer(call, "6003"));
    let told = EventKind::Declined { why: Declined::Refused(491), by_agent: true };
    assert_eq!(rig.kinds().last(), Some(&&told), "a transfer under way takes no other");
}

#[test]
fn what_is_kept_is_declined_when_it_is_taken_back_or_the_call_ends() {
    let mut rig = Rig::new();
    let (mut talk, call) = answered(&mut rig);
    rig.input(transfer(call, "6001"));
    rig.input(Input::Command(Command::of(call, CallCommand::Retrieve)));
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Declined { why: Declined::Refused(487), by_agent: true }));
    rig.input(transfer(call, "6001"));
    let bye = talk.browser.within(&mut talk.at_browser, Method::Bye, &[], None);
    rig.deliver(talk.browser.path, bye);
    let kinds = rig.kinds();
    let [.., declined, released] = &kinds[..] else { panic!("{kinds:?}") };
    assert_eq!(**declined, EventKind::Declined { why: Declined::WrongState, by_agent: true });
    assert!(matches!(released, EventKind::Released { cause: ReleaseCause::Agent, .. }));
    talk.trunk.acknowledge(&mut rig, &mut talk.at_trunk);
    read(&mut rig, &talk.trunk);
    rig.advance(std::time::Duration::from_secs(70));
    rig.assert_clean();
}
