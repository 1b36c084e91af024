//! Hold and retrieve: by the agent's desktop, by the browser itself, by the trunk, and by both at once.

use std::time::Duration;

use crosspoint::call::{CallCommand, Command, Declined, EventKind};
use crosspoint::gateway::Input;
use crosspoint::plan::{Order, Source, Topology};
use crosspoint::sip::message::{Message, Method};

use crate::peers::{Talk, inbound_call, last_status, outbound_call, request};
use crate::rig::Rig;
use crate::sdp;

fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}

fn direction(message: &Message) -> &'static str {
    let body = text(message);
    let tokens = ["sendrecv", "sendonly", "recvonly", "inactive"];
    tokens.into_iter().find(|token| body.contains(&format!("a={token}\r\n"))).unwrap_or("none")
}

/// NOTIFY talk or hold, as the SIP Server sends it; returns what it was answered, the INVITE of ours aside.
fn notify(rig: &mut Rig, talk: &mut Talk, event: &str) {
    let extra = [("Event", event), ("Subscription-State", "active")];
    let bytes = talk.trunk.within(&mut talk.at_trunk, Method::Notify, &extra, None);
    rig.deliver(talk.trunk.path, bytes);
}

fn hold_by_notify(rig: &mut Rig, talk: &mut Talk) {
    notify(rig, talk, "hold");
}

fn hold_by_command(rig: &mut Rig, _: &mut Talk) {
    let call = rig.snapshot().calls[0].call;
    rig.input(Input::Command(Command::of(call, CallCommand::Hold)));
}

fn retrieve_by_notify(rig: &mut Rig, talk: &mut Talk) {
    notify(rig, talk, "talk");
}

fn retrieve_by_command(rig: &mut Rig, _: &mut Talk) {
    let call = rig.snapshot().calls[0].call;
    rig.input(Input::Command(Command::of(call, CallCommand::Retrieve)));
}

/// The browser's own re-INVITE; returns the answer, acknowledged.
fn browser_says(rig: &mut Rig, talk: &mut Talk, theirs: &str) -> Message {
    rig.take(talk.browser.path);
    let offer = sdp::chromium(theirs, "kX3v", 3, "actpass");
    let bytes = talk.browser.within(&mut talk.at_browser, Method::Invite, &[], Some(("application/sdp", &offer)));
    rig.deliver(talk.browser.path, bytes);
    let ok = last_status(&rig.take(talk.browser.path), 200);
    let ack = talk.browser.ack(&talk.at_browser, &ok, None);
    rig.deliver(talk.browser.path, ack);
    ok
}

/// The trunk's own re-INVITE; returns the answer, acknowledged.
fn trunk_says(rig: &mut Rig, talk: &mut Talk, offer: &str) -> Message {
    rig.take(talk.trunk.path);
    let bytes = talk.trunk.within(&mut talk.at_trunk, Method::Invite, &[], Some(("application/sdp", offer)));
    rig.deliver(talk.trunk.path, bytes);
    let ok = last_status(&rig.take(talk.trunk.path), 200);
    let ack = talk.trunk.ack(&talk.at_trunk, &ok, None);
    rig.deliver(talk.trunk.path, ack);
    ok
}

/// The trunk answers our re-INVITE; returns it.
fn trunk_answers(rig: &mut Rig, talk: &Talk, status: u16, theirs: &str) -> Message {
    let invite = request(&rig.take(talk.trunk.path), Method::Invite);
    let answer = sdp::trunk_answer().replace("a=fmtp", &format!("a={theirs}\r\na=fmtp"));
    let sdp = (status == 200).then_some(answer.as_str());
    rig.deliver(talk.trunk.path, talk.trunk.respond(&invite, status, sdp));
    request(&rig.take(talk.trunk.path), Method::Ack);
    invite
}

fn connections(rig: &Rig, since: usize) -> Vec<&Topology> {
    let connects = rig.orders[since..].iter().filter_map(|(_, order)| match order {
        Order::Connect(topology) => Some(topology),
        _ => None,
    });
    connects.collect()
}

fn count(rig: &Rig, kind: &EventKind) -> usize {
    rig.kinds().into_iter().filter(|seen| *seen == kind).count()
}

/// How a hold or a retrieve is asked for.
type Way = fn(&mut Rig, &mut Talk);

#[test]
fn notify_hold_and_talk_hold_and_retrieve_the_trunk_and_leave_the_browser_alone() {
    for call in [inbound_call, outbound_call] {
        let ways: [(Way, Way); 2] = [(hold_by_notify, retrieve_by_notify), (hold_by_command, retrieve_by_command)];
        for (hold, retrieve) in ways {
            let mut rig = Rig::new();
            let mut talk = call(&mut rig);
            rig.take(talk.browser.path);
            rig.take(talk.trunk.path);
            let before = rig.orders.len();
            hold(&mut rig, &mut talk);
            let invite = trunk_answers(&mut rig, &talk, 200, "recvonly");
            assert_eq!(direction(&invite), "sendonly");
            assert!(matches!(connections(&rig, before)[..], [Topology::Parked(_, _)]), "the customer alone is parked");
            assert_eq!(count(&rig, &EventKind::Held { by_agent: true }), 1);

            let before = rig.orders.len();
            retrieve(&mut rig, &mut talk);
            assert!(connections(&rig, before).is_empty(), "not before the trunk agrees");
            let invite = trunk_answers(&mut rig, &talk, 200, "sendrecv");
            assert_eq!(direction(&invite), "sendrecv");
            assert!(matches!(connections(&rig, before)[..], [Topology::Pair(_, _)]));
            assert_eq!(count(&rig, &EventKind::Retrieved { by_agent: true }), 1);
            assert!(rig.take(talk.browser.path).is_empty(), "the browser is not re-INVITEd");
        }
    }
}

#[test]
fn a_party_on_hold_hears_what_the_configuration_says() {
    let mut with = crate::rig::config();
    let tone = with.tones.ringback.clone();
    with.trunks[0].hold = Some(Source::Tone(tone.clone()));
    let mut rig = Rig::with(with, 1, 4);
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    let before = rig.orders.len();
    notify(&mut rig, &mut talk, "hold");
    let [Topology::Parked(_, source)] = connections(&rig, before)[..] else { panic!("parked") };
    assert_eq!(source, &Source::Tone(tone));
}

#[test]
fn talk_and_hold_without_anything_to_do_get_200_and_have_no_effect() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    let (orders, events) = (rig.orders.len(), rig.events.len());
    notify(&mut rig, &mut talk, "talk");
    assert_eq!(rig.take_one(talk.trunk.path).status(), 200);
    assert_eq!((rig.orders.len(), rig.events.len()), (orders, events));

    notify(&mut rig, &mut talk, "hold");
    trunk_answers(&mut rig, &talk, 200, "recvonly");
    let (orders, events) = (rig.orders.len(), rig.events.len());
    notify(&mut rig, &mut talk, "hold");
    assert_eq!(rig.take_one(talk.trunk.path).status(), 200);
    assert_eq!((rig.orders.len(), rig.events.len()), (orders, events));
}

#[test]
fn the_latest_wish_that_comes_while_a_hold_is_under_way_is_the_one_that_counts() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    notify(&mut rig, &mut talk, "hold");
    let invite = request(&rig.take(talk.trunk.path), Method::Invite);
    for event in ["talk", "hold", "talk"] {
        notify(&mut rig, &mut talk, event);
        assert_eq!(rig.take_one(talk.trunk.path).status(), 200, "and no second INVITE");
    }
    let answer = sdp::trunk_answer().replace("a=fmtp", "a=recvonly\r\na=fmtp");
    rig.deliver(talk.trunk.path, talk.trunk.respond(&invite, 200, Some(&answer)));
    let invite = trunk_answers(&mut rig, &talk, 200, "sendrecv");
    assert_eq!(direction(&invite), "sendrecv");
    assert_eq!(count(&rig, &EventKind::Held { by_agent: true }), 1);
    assert_eq!(count(&rig, &EventKind::Retrieved { by_agent: true }), 1);
}

#[test]
fn the_browsers_own_hold_is_answered_at_once_and_carried_to_the_trunk() {
    for theirs in ["sendonly", "inactive"] {
        let mut rig = Rig::new();
        let mut talk = inbound_call(&mut rig);
        rig.take(talk.trunk.path);
        let ok = browser_says(&mut rig, &mut talk, theirs);
        assert_eq!(direction(&ok), if theirs == "sendonly" { "recvonly" } else { "inactive" });
        assert_eq!(direction(&trunk_answers(&mut rig, &talk, 200, "recvonly")), "sendonly");
        assert_eq!(count(&rig, &EventKind::Held { by_agent: true }), 1);
        let ok = browser_says(&mut rig, &mut talk, "sendrecv");
        assert_eq!(direction(&ok), "sendrecv");
        assert_eq!(direction(&trunk_answers(&mut rig, &talk, 200, "sendrecv")), "sendrecv");
        assert_eq!(count(&rig, &EventKind::Retrieved { by_agent: true }), 1);
    }
}

#[test]
fn a_reinvite_of_the_browser_that_changes_no_direction_ends_no_hold() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    notify(&mut rig, &mut talk, "hold");
    trunk_answers(&mut rig, &talk, 200, "recvonly");
    browser_says(&mut rig, &mut talk, "sendrecv");
    assert!(rig.take(talk.trunk.path).is_empty());
    assert_eq!(count(&rig, &EventKind::Retrieved { by_agent: true }), 0);
}

#[test]
fn the_trunks_hold_is_told_whatever_its_shape_and_so_is_its_end() {
    let hold = |shape: &str| sdp::genesys_offer().replace("a=fmtp", &format!("a={shape}\r\na=fmtp"));
    let shapes =
        [(hold("sendonly"), "recvonly"), (hold("inactive"), "inactive"), (sdp::genesys("0.0.0.0", 20318), "recvonly")];
    for (offer, ours) in shapes {
        let mut rig = Rig::new();
        let mut talk = inbound_call(&mut rig);
        rig.take(talk.browser.path);
        assert_eq!(direction(&trunk_says(&mut rig, &mut talk, &offer)), ours);
        assert_eq!(rig.kinds().last(), Some(&&EventKind::Held { by_agent: false }));
        assert_eq!(direction(&trunk_says(&mut rig, &mut talk, &sdp::genesys_offer())), "sendrecv");
        assert_eq!(rig.kinds().last(), Some(&&EventKind::Retrieved { by_agent: false }));
        assert!(rig.take(talk.browser.path).is_empty());
    }
}

#[test]
fn a_trunk_that_only_listens_holds_nobody() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let listens = sdp::genesys_offer().replace("a=fmtp", "a=recvonly\r\na=fmtp");
    assert_eq!(direction(&trunk_says(&mut rig, &mut talk, &listens)), "sendonly");
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Established));
}

#[test]
fn both_may_hold_and_each_ends_its_own() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    notify(&mut rig, &mut talk, "hold");
    trunk_answers(&mut rig, &talk, 200, "recvonly");
    let hold = sdp::genesys_offer().replace("a=fmtp", "a=sendonly\r\na=fmtp");
    assert_eq!(direction(&trunk_says(&mut rig, &mut talk, &hold)), "inactive", "we hold as well");
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Held { by_agent: false }));
    let before = rig.orders.len();
    assert_eq!(direction(&trunk_says(&mut rig, &mut talk, &sdp::genesys_offer())), "sendonly", "we still hold");
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Retrieved { by_agent: false }));
    assert!(connections(&rig, before).is_empty(), "the agent's hold goes on");
    notify(&mut rig, &mut talk, "talk");
    assert_eq!(direction(&trunk_answers(&mut rig, &talk, 200, "sendrecv")), "sendrecv");
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Retrieved { by_agent: true }));
}

#[test]
fn a_refused_hold_leaves_the_call_as_it_was() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    let before = rig.orders.len();
    notify(&mut rig, &mut talk, "hold");
    trunk_answers(&mut rig, &talk, 488, "");
    assert!(matches!(connections(&rig, before)[..], [Topology::Parked(_, _), Topology::Pair(_, _)]));
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Declined { why: Declined::Refused(488), by_agent: true }));
    // What we say next is what we said before the refusal.
    assert_eq!(direction(&trunk_says(&mut rig, &mut talk, &sdp::genesys_offer())), "sendrecv");
    notify(&mut rig, &mut talk, "hold");
    assert_eq!(direction(&trunk_answers(&mut rig, &talk, 200, "recvonly")), "sendonly");
    assert_eq!(count(&rig, &EventKind::Held { by_agent: true }), 1);
}

#[test]
fn a_retrieve_that_is_refused_leaves_the_party_on_hold_and_may_be_tried_again() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    notify(&mut rig, &mut talk, "hold");
    trunk_answers(&mut rig, &talk, 200, "recvonly");
    let before = rig.orders.len();
    notify(&mut rig, &mut talk, "talk");
    trunk_answers(&mut rig, &talk, 488, "");
    assert!(connections(&rig, before).is_empty());
    notify(&mut rig, &mut talk, "talk");
    trunk_answers(&mut rig, &talk, 200, "sendrecv");
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Retrieved { by_agent: true }));
}

#[test]
fn a_hold_that_meets_glare_is_sent_again() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    notify(&mut rig, &mut talk, "hold");
    trunk_answers(&mut rig, &talk, 491, "");
    rig.advance(Duration::from_secs(5));
    assert_eq!(direction(&trunk_answers(&mut rig, &talk, 200, "recvonly")), "sendonly");
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Held { by_agent: true }));
}

#[test]
fn a_hold_gives_way_to_the_trunks_own_reinvite_and_comes_after_it() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    notify(&mut rig, &mut talk, "hold");
    trunk_answers(&mut rig, &talk, 491, "");
    // The trunk is quicker than our back-off.
    let ok = trunk_says(&mut rig, &mut talk, &sdp::genesys("192.0.2.91", 30_000));
    assert_eq!(direction(&ok), "sendrecv", "our hold was not agreed");
    rig.advance(Duration::from_secs(5));
    assert_eq!(direction(&trunk_answers(&mut rig, &talk, 200, "recvonly")), "sendonly");
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Held { by_agent: true }));
}

#[test]
fn a_hold_that_comes_before_the_ack_waits_for_it() {
    let mut rig = Rig::new();
    let browser = crate::peers::signed_in(&mut rig, "5001");
    let mut trunk = crate::peers::Ua::trunk();
    let mut at_trunk = trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
    let ringing = request(&rig.take(browser.path), Method::Invite);
    rig.deliver(browser.path, browser.respond(&ringing, 200, Some(&sdp::chromium_answer())));
    let ok = last_status(&rig.take(trunk.path), 200);
    at_trunk.learn(&ok);
    let at_browser = browser.dialog_of(&ringing);
    let mut talk = Talk { browser, trunk, at_browser, at_trunk };
    notify(&mut rig, &mut talk, "hold");
    assert_eq!(rig.take_one(talk.trunk.path).status(), 200, "no INVITE before the ACK");
    let ack = talk.trunk.ack(&talk.at_trunk, &ok, None);
    rig.deliver(talk.trunk.path, ack);
    assert_eq!(direction(&trunk_answers(&mut rig, &talk, 200, "recvonly")), "sendonly");
}

#[test]
fn a_call_on_hold_ends_as_any_other() {
    for by_agent in [true, false] {
        let mut rig = Rig::new();
        let mut talk = inbound_call(&mut rig);
        rig.take(talk.trunk.path);
        notify(&mut rig, &mut talk, "hold");
        if by_agent {
            let bye = talk.browser.within(&mut talk.at_browser, Method::Bye, &[], None);
            rig.deliver(talk.browser.path, bye);
        } else {
            trunk_answers(&mut rig, &talk, 200, "recvonly");
            let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
            rig.deliver(talk.trunk.path, bye);
        }
        rig.advance(Duration::from_secs(60));
        assert!(matches!(rig.kinds().last(), Some(EventKind::Released { .. })));
        rig.assert_clean();
    }
}

#[test]
fn a_notify_of_a_browser_holds_nobody() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    let extra = [("Event", "hold"), ("Subscription-State", "active")];
    let bytes = talk.browser.within(&mut talk.at_browser, Method::Notify, &extra, None);
    rig.deliver(talk.browser.path, bytes);
    last_status(&rig.take(talk.browser.path), 200);
    assert!(rig.take(talk.trunk.path).is_empty(), "a browser is not the agent's desktop");
}
