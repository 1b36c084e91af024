//! A conference of three, mixed by the gateway: how it begins, who may leave, and with whom it ends.

use crosspoint::call::{CallCommand, Command, Declined, EventKind, ReleaseCause};
use crosspoint::gateway::Input;
use crosspoint::id::{CallId, LegId};
use crosspoint::plan::{Digit, Order, Topology};
use crosspoint::sip::message::{Message, Method};

use crate::handover::{Consult, consult, consult_ringing, read, refer};
use crate::peers::{Talk, inbound_call, last_status, outbound_call, request};
use crate::rig::{Rig, config};
use crate::sdp;

fn calls(rig: &Rig) -> Vec<CallId> {
    let mut calls: Vec<CallId> = rig.snapshot().calls.iter().map(|view| view.call).collect();
    calls.sort();
    calls
}

fn connected(rig: &Rig) -> &Topology {
    let found = rig.orders.iter().rev().find_map(|(_, order)| match order {
        Order::Connect(topology) => Some(topology),
        _ => None,
    });
    found.expect("somebody was connected")
}

/// Three of them, in a call of this many ways to begin.
fn three(rig: &mut Rig, call: fn(&mut Rig) -> Talk) -> (Talk, Consult) {
    let mut talk = call(rig);
    let other = consult(rig, &mut talk, "6001");
    let both = calls(rig);
    rig.input(Input::Command(Command::of(both[0], CallCommand::Conference { with: both[1] })));
    (talk, other)
}

fn bye_of_customer(rig: &mut Rig, talk: &mut Talk) {
    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(talk.trunk.path, bye);
}

#[test]
fn two_calls_of_an_agent_become_one_of_three() {
    for call in [inbound_call, outbound_call] {
        let mut rig = Rig::new();
        let (talk, other) = three(&mut rig, call);
        assert!(matches!(connected(&rig), Topology::Mix(legs) if legs.len() == 3));
        let byes: Vec<_> = read(&mut rig, &talk.browser).into_iter().filter(|m| m.is_request()).collect();
        assert_eq!(request(&byes, Method::Bye).call_id(), other.at_browser.call_id, "one phone line is enough");
        assert!(rig.kinds().contains(&&EventKind::ParticipantsUpdated { parties: vec!["1003".into(), "6001".into()] }));
        assert!(matches!(rig.kinds().last(), Some(EventKind::Released { cause: ReleaseCause::Merged, .. })));
        assert_eq!((calls(&rig).len(), rig.ports.len()), (1, 3));
    }
}

#[test]
fn one_of_three_leaves_and_the_others_go_on_as_a_pair() {
    for first in [true, false] {
        let mut rig = Rig::new();
        let (mut talk, mut other) = three(&mut rig, inbound_call);
        read(&mut rig, &talk.browser);
        let leaver = if first { &mut talk.at_trunk } else { &mut other.at_trunk };
        let bye = talk.trunk.within(leaver, Method::Bye, &[], None);
        rig.deliver(talk.trunk.path, bye);
        assert!(matches!(connected(&rig), Topology::Pair(..)));
        assert!(read(&mut rig, &talk.browser).is_empty(), "the agent talks on");
        let left = if first { "6001" } else { "1003" };
        assert_eq!(rig.snapshot().calls[0].peer, left);
        assert!(rig.kinds().contains(&&EventKind::ParticipantsUpdated { parties: vec![left.into()] }));
        let bye = talk.browser.within(&mut talk.at_browser, Method::Bye, &[], None);
        rig.deliver(talk.browser.path, bye);
        rig.assert_clean();
    }
}

#[test]
fn by_default_a_conference_ends_with_its_agent() {
    let mut rig = Rig::new();
    let (mut talk, _other) = three(&mut rig, inbound_call);
    rig.take(talk.trunk.path);
    let bye = talk.browser.within(&mut talk.at_browser, Method::Bye, &[], None);
    rig.deliver(talk.browser.path, bye);
    let byes = rig.take(talk.trunk.path).into_iter().filter(|m| m.is_request() && m.method() == Method::Bye).count();
    assert_eq!(byes, 2);
    rig.assert_clean();
}

#[test]
fn the_others_stay_joined_where_the_configuration_says_so() {
    for vanishes in [false, true] {
        let mut with = config();
        with.calls.conference_stays = true;
        let mut rig = Rig::with(with, 1, 8);
        let (mut talk, other) = three(&mut rig, inbound_call);
        rig.take(talk.trunk.path);
        if vanishes {
            rig.input(Input::FlowClosed(talk.browser.path.flow().unwrap()));
            rig.advance(std::time::Duration::from_secs(30));
        } else {
            let bye = talk.browser.within(&mut talk.at_browser, Method::Bye, &[], None);
            rig.deliver(talk.browser.path, bye);
        }
        assert!(matches!(connected(&rig), Topology::Pair(..)));
        assert!(rig.take(talk.trunk.path).is_empty());
        assert_eq!(rig.ports.len(), 2);
        bye_of_customer(&mut rig, &mut talk);
        assert_eq!(request(&rig.take(talk.trunk.path), Method::Bye).call_id(), other.at_trunk.call_id);
        rig.assert_clean();
    }
}

#[test]
fn a_page_asks_for_a_conference_by_the_call_id_of_its_other_dialog() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let (mut other, invite) = consult_ringing(&mut rig, &mut talk, "6001");
    for (answered, status) in [(false, 403), (true, 200)] {
        if answered {
            rig.deliver(talk.trunk.path, talk.trunk.respond(&invite, 200, Some(&sdp::trunk_answer_from(20_500))));
            talk.browser.acknowledge(&mut rig, &mut other.at_browser);
        }
        let body = format!("{{\"command\":\"conference\",\"with\":\"{}\"}}", other.at_browser.call_id);
        let body = Some(("application/vnd.crosspoint+json", body.as_str()));
        let info = talk.browser.within(&mut talk.at_browser, Method::Info, &[], body);
        rig.deliver(talk.browser.path, info);
        last_status(&read(&mut rig, &talk.browser), status);
    }
    assert!(matches!(connected(&rig), Topology::Mix(_)));
}

#[test]
fn who_was_on_hold_is_retrieved_into_the_conference() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let call = calls(&rig)[0];
    rig.take(talk.trunk.path);
    rig.input(Input::Command(Command::of(call, CallCommand::Hold)));
    let hold = request(&rig.take(talk.trunk.path), Method::Invite);
    rig.deliver(talk.trunk.path, talk.trunk.respond(&hold, 200, Some(&sdp::trunk_answer())));
    let _other = consult(&mut rig, &mut talk, "6001");
    let both = calls(&rig);
    rig.take(talk.trunk.path);
    rig.input(Input::Command(Command::of(both[0], CallCommand::Conference { with: both[1] })));
    let retrieve = request(&rig.take(talk.trunk.path), Method::Invite);
    assert_eq!(retrieve.call_id(), hold.call_id());
    assert!(String::from_utf8_lossy(retrieve.body()).contains("a=sendrecv"));
    assert!(matches!(connected(&rig), Topology::Mix(_)));
}

#[test]
fn the_line_that_the_browser_has_on_hold_is_the_one_that_goes() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let offer = sdp::chromium("sendonly", "kX3v", 3, "actpass");
    let bytes = talk.browser.within(&mut talk.at_browser, Method::Invite, &[], Some(("application/sdp", &offer)));
    rig.deliver(talk.browser.path, bytes);
    let ok = last_status(&rig.take(talk.browser.path), 200);
    let ack = talk.browser.ack(&talk.at_browser, &ok, None);
    rig.deliver(talk.browser.path, ack);
    for message in rig.take(talk.trunk.path).iter().filter(|m| m.is_request() && m.method() == Method::Invite) {
        rig.deliver(talk.trunk.path, talk.trunk.respond(message, 200, Some(&sdp::trunk_answer())));
    }
    let _other = consult(&mut rig, &mut talk, "6001");
    let both = calls(&rig);
    rig.input(Input::Command(Command::of(both[0], CallCommand::Conference { with: both[1] })));
    let bye = request(&read(&mut rig, &talk.browser), Method::Bye);
    assert_eq!(bye.call_id(), talk.at_browser.call_id);
    assert_eq!(calls(&rig), [both[1]]);
}

#[test]
fn no_other_change_begins_in_a_conference_and_no_conference_with_another_agent() {
    let mut rig = Rig::new();
    let (mut talk, _other) = three(&mut rig, inbound_call);
    let call = calls(&rig)[0];
    assert_eq!(refer(&mut rig, &mut talk, "<sip:6002@gw.test>").status(), 491);
    rig.input(Input::Command(Command::of(call, CallCommand::Hold)));
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Declined { why: Declined::WrongState, by_agent: true }));
    rig.input(Input::Command(Command::of(call, CallCommand::Conference { with: call })));
    rig.input(Input::Command(Command::of(call, CallCommand::Conference { with: CallId(99) })));
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Declined { why: Declined::Refused(404), by_agent: true }));
    assert!(matches!(connected(&rig), Topology::Mix(_)));
}

/// Who was sent these keys last, in order of the legs.
fn keyed(rig: &Rig, from: usize) -> Vec<(LegId, u8)> {
    let sent = rig.orders[from..].iter().filter_map(|(_, order)| match order {
        Order::SendDigit(leg, digit) => Some((*leg, digit.event)),
        _ => None,
    });
    let mut sent: Vec<_> = sent.collect();
    sent.sort();
    sent
}

/// All three, the browser's leg first.
fn mixed(rig: &Rig) -> Vec<LegId> {
    let Topology::Mix(legs) = connected(rig) else { panic!("three are mixed") };
    let mut legs = legs.clone();
    legs.sort_by_key(|leg| (rig.ports[leg].pair.is_some(), *leg));
    legs
}

#[test]
fn a_key_by_info_in_a_conference_goes_to_both_others() {
    let mut rig = Rig::new();
    let (mut talk, _other) = three(&mut rig, inbound_call);
    let legs = mixed(&rig);
    let (before, events) = (rig.orders.len(), rig.events.len());
    let key = Some(("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"));
    let info = talk.browser.within(&mut talk.at_browser, Method::Info, &[], key);
    rig.deliver(talk.browser.path, info);
    last_status(&read(&mut rig, &talk.browser), 200);
    assert_eq!(keyed(&rig, before), [(legs[1], 5), (legs[2], 5)]);
    let told = rig.events[events..].iter().filter(|event| matches!(event.kind, EventKind::Digit { .. })).count();
    assert_eq!((told, rig.snapshot().counters.info_digits), (1, 1), "it is one key");
    let before = rig.orders.len();
    let info = talk.trunk.within(&mut talk.at_trunk, Method::Info, &[], Some(("application/dtmf", "7")));
    rig.deliver(talk.trunk.path, info);
    let heard: Vec<LegId> = keyed(&rig, before).into_iter().map(|(leg, _)| leg).collect();
    assert_eq!(heard.len(), 2);
    assert!(heard.contains(&legs[0]), "the agent, and the other customer");
}

#[test]
fn keys_that_a_command_sends_go_to_all_who_hear_the_agent() {
    let mut rig = Rig::new();
    let (_talk, _other) = three(&mut rig, inbound_call);
    let (call, legs) = (calls(&rig)[0], mixed(&rig));
    let (before, events) = (rig.orders.len(), rig.events.len());
    let digit = Digit { event: 3, duration: std::time::Duration::from_millis(100) };
    rig.input(Input::Command(Command::of(call, CallCommand::SendDigits { digits: vec![digit] })));
    assert_eq!(keyed(&rig, before), [(legs[1], 3), (legs[2], 3)]);
    assert_eq!(rig.events[events..].len(), 1);
}

/// The agent of a call has 6001 called into it; the INVITE at the trunk.
fn adding(rig: &mut Rig, call: fn(&mut Rig) -> Talk) -> (Talk, Message) {
    let talk = call(rig);
    read(rig, &talk.browser);
    rig.take(talk.trunk.path);
    let id = calls(rig)[0];
    rig.input(Input::Command(Command::of(id, CallCommand::SingleStepConference { to: "6001".into() })));
    let invite = request(&rig.take(talk.trunk.path), Method::Invite);
    (talk, invite)
}

#[test]
fn a_third_party_is_called_into_a_call_whose_two_talk_on_until_it_answers() {
    for call in [inbound_call, outbound_call] {
        let mut rig = Rig::new();
        let (mut talk, invite) = adding(&mut rig, call);
        assert!(invite.request_uri().starts_with("sip:6001@"));
        rig.deliver(talk.trunk.path, talk.trunk.respond(&invite, 180, None));
        assert!(matches!(connected(&rig), Topology::Pair(..)), "they talk on");
        assert!(rig.take(talk.browser.path).is_empty());
        rig.deliver(talk.trunk.path, talk.trunk.respond(&invite, 200, Some(&sdp::trunk_answer_from(20_500))));
        request(&rig.take(talk.trunk.path), Method::Ack);
        assert!(matches!(connected(&rig), Topology::Mix(legs) if legs.len() == 3));
        assert!(rig.kinds().contains(&&EventKind::ParticipantsUpdated { parties: vec!["1003".into(), "6001".into()] }));
        assert_eq!((calls(&rig).len(), rig.ports.len()), (1, 3));
        bye_of_customer(&mut rig, &mut talk);
        assert!(matches!(connected(&rig), Topology::Pair(..)), "the customer leaves, the others go on");
        assert_eq!(rig.snapshot().calls[0].peer, "6001");
        let bye = talk.browser.within(&mut talk.at_browser, Method::Bye, &[], None);
        rig.deliver(talk.browser.path, bye);
        rig.assert_clean();
    }
}

#[test]
fn a_third_party_who_refuses_or_is_silent_leaves_the_call_as_it_was() {
    let mut rig = Rig::new();
    let (talk, invite) = adding(&mut rig, inbound_call);
    rig.deliver(talk.trunk.path, talk.trunk.respond(&invite, 486, None));
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Declined { why: Declined::Refused(486), by_agent: true }));
    assert!(matches!(connected(&rig), Topology::Pair(..)));
    assert_eq!(rig.ports.len(), 2);

    let mut rig = Rig::new();
    let (talk, invite) = adding(&mut rig, inbound_call);
    rig.deliver(talk.trunk.path, talk.trunk.respond(&invite, 180, None));
    rig.advance(config().calls.transfer_timeout);
    request(&rig.take(talk.trunk.path), Method::Cancel);
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Declined { why: Declined::Refused(408), by_agent: true }));
    let hold = Input::Command(Command::of(calls(&rig)[0], CallCommand::Hold));
    rig.input(hold);
    assert!(matches!(rig.orders.last(), Some((_, Order::Connect(Topology::Parked(..))))), "it can be held again");
}

#[test]
fn a_customer_who_leaves_while_a_third_party_is_called_ends_the_call() {
    let mut rig = Rig::new();
    let (mut talk, invite) = adding(&mut rig, inbound_call);
    rig.deliver(talk.trunk.path, talk.trunk.respond(&invite, 180, None));
    bye_of_customer(&mut rig, &mut talk);
    let sent = rig.take(talk.trunk.path);
    request(&sent, Method::Cancel);
    request(&rig.take(talk.browser.path), Method::Bye);
    rig.deliver(talk.trunk.path, talk.trunk.respond(&invite, 487, None));
    rig.assert_clean();
}
