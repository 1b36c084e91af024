//! Calls between two of our numbers, and conferences with another one: each desktop sees and rules its own side.

use super::calls::{events, pairs};
use super::operations::{on, ready, transfer};
use super::*;
use crate::call::{Declined, ReleaseCause};

const CALLS: &str = "/v2/me/calls";

/// What the desktop of an agent may do with a call.
fn capabilities(room: &mut Room, agent: &str, line: &Line) -> Vec<String> {
    let shown = room.shown(agent, Operation::Call(line.name()))["call"]["capabilities"].clone();
    serde_json::from_value(shown).unwrap()
}

#[test]
fn both_agents_of_an_internal_call_can_do_the_same_with_it_each_for_its_own_side() {
    let mut room = ready();
    let mut line = Line::local(1);
    let call = CallId(1);
    line.tell(&mut room, EventKind::Dialing);
    line.tell(&mut room, EventKind::Ringing);
    let outputs = room.done("agent5002", on(&line, CallOperation::Answer));
    assert_eq!(commands(&outputs), [asked(call, "5002", CallCommand::Answer)]);
    assert_eq!(room.refused("agent5001", on(&line, CallOperation::Answer)).status_code(), 2);
    line.tell(&mut room, EventKind::Established);
    let (one, two) = (capabilities(&mut room, "agent5001", &line), capabilities(&mut room, "agent5002", &line));
    assert!(
        one == two && ["Hold", "SingleStepTransfer"].iter().all(|what| two.contains(&(*what).to_owned())),
        "{two:?}"
    );
    let to = || "6001".to_owned();
    for (what, command) in [
        (CallOperation::Hold, CallCommand::Hold),
        (CallOperation::SingleStepTransfer { to: to() }, CallCommand::BlindTransfer { to: to() }),
        (CallOperation::SingleStepConference { to: to() }, CallCommand::SingleStepConference { to: to() }),
        (CallOperation::Hangup, CallCommand::HangUp),
    ] {
        let outputs = room.done("agent5002", on(&line, what));
        assert_eq!(commands(&outputs), [asked(call, "5002", command)]);
    }
    let outputs = line.tell(&mut room, EventKind::Held { by_agent: false });
    assert_eq!(told(&outputs, "agent5002", CALLS)[0]["event"], "CallHeld");
    assert_eq!(told(&outputs, "agent5001", CALLS)[0]["extensions"], json!({ "heldByPeer": true }));
    let why = room.refused("agent5002", on(&line, CallOperation::Hold)).to_string();
    assert_eq!(why, "Operation 'Hold' is not possible: the call is not in a state for it.");
    assert!(capabilities(&mut room, "agent5001", &line).contains(&"Hold".to_owned()), "she has nobody on hold");
    let outputs = room.done("agent5002", on(&line, CallOperation::Retrieve));
    assert_eq!(commands(&outputs), [asked(call, "5002", CallCommand::Retrieve)]);
}

#[test]
fn what_is_declined_is_told_to_the_agent_who_asked_for_it_alone() {
    let mut room = ready();
    let mut line = Line::local(1);
    line.answered(&mut room);
    room.done("agent5001", on(&line, CallOperation::SingleStepConference { to: "6001".into() }));
    room.done("agent5002", on(&line, CallOperation::SingleStepTransfer { to: "6001".into() }));
    for (by_agent, asks, other, what) in [
        (false, "agent5002", "agent5001", "SingleStepTransfer"),
        (true, "agent5001", "agent5002", "SingleStepConference"),
    ] {
        let outputs = line.tell(&mut room, EventKind::Declined { why: Declined::Refused(486), by_agent });
        let failure = &told(&outputs, asks, CALLS)[0];
        assert_eq!((&failure["messageType"], &failure["operationName"]), (&json!("ErrorMessage"), &json!(what)));
        assert_eq!(told(&outputs, other, CALLS), [] as [Value; 0]);
    }
}

#[test]
fn the_called_agent_consults_out_of_an_internal_call_as_the_caller_does() {
    let mut room = ready();
    room.input(Input::Presence { dn: "5002".into(), is_here: true });
    let mut line = Line::local(1);
    line.answered(&mut room);
    let outputs = room.done("agent5002", on(&line, transfer("6001".to_owned(), AttachedData::new())));
    assert_eq!(commands(&outputs), [asked(CallId(1), "5002", CallCommand::Hold)]);
    assert_eq!(commands(&line.tell(&mut room, EventKind::Held { by_agent: true })), [], "that is the caller's hold");
    let outputs = line.tell(&mut room, EventKind::Held { by_agent: false });
    let [Command::Dial { dn, to, dial, .. }] = &commands(&outputs)[..] else { panic!("{outputs:?}") };
    assert_eq!((&dn[..], &to[..]), ("5002", "6001"));
    let mut consult = Line::outbound(2, "6001");
    (consult.event.dn, consult.event.dial) = ("5002".to_owned(), Some(*dial));
    consult.answered(&mut room);
    let outputs = room.done("agent5002", on(&line, CallOperation::CompleteTransfer { with: None }));
    assert_eq!(commands(&outputs), [asked(CallId(1), "5002", CallCommand::AttendedTransfer { with: CallId(2) })]);
    // She hears that it is over for him, and with whom she is then; and at the end that it has ended.
    let outputs = line.tell(&mut room, EventKind::Transferred { to: "6001".into(), by_agent: false });
    let gone = pairs(&[("CallTransferred", "Held"), ("CallReleased", "Released")]);
    assert_eq!((events(&outputs, "agent5001"), &events(&outputs, "agent5002")[..2]), (vec![], &gone[..]));
    let outputs = line.tell(&mut room, EventKind::Retrieved { by_agent: false });
    assert_eq!(events(&outputs, "agent5002"), [], "he is not taken back into it");
    (line.event.peer, line.event.others) = ("6001".to_owned(), Box::default());
    let outputs = line.tell(&mut room, EventKind::ParticipantsUpdated { parties: vec!["6001".into()] });
    let told = told(&outputs, "agent5001", CALLS);
    assert_eq!(told.last().unwrap()["call"]["participants"][0]["phoneNumber"], "6001");
    let outputs = line.released(&mut room, ReleaseCause::Trunk);
    assert_eq!(events(&outputs, "agent5001"), pairs(&[("CallReleased", "Released")]));
}

#[test]
fn a_colleague_who_rings_without_a_trunk_is_not_offered_for_joining_until_he_answers() {
    let mut room = ready();
    let (mut line, mut consult) = (Line::inbound(1), Line::local(2));
    line.answered(&mut room);
    line.tell(&mut room, EventKind::Held { by_agent: true });
    consult.tell(&mut room, EventKind::Dialing);
    consult.tell(&mut room, EventKind::Ringing);
    for call in [&line, &consult] {
        let asked = on(call, CallOperation::CompleteTransfer { with: None });
        assert_eq!(room.refused("agent5001", asked).status_code(), 2);
    }
    consult.tell(&mut room, EventKind::Established);
    let can = capabilities(&mut room, "agent5001", &line);
    assert!(["CompleteTransfer", "CompleteConference"].iter().all(|what| can.contains(&(*what).to_owned())), "{can:?}");
}

#[test]
fn a_colleague_in_a_conference_sees_it_can_leave_it_and_nothing_else() {
    let mut room = ready();
    room.done("agent5002", Operation::Ready);
    let (mut line, mut consult) = (Line::inbound(1), Line::local(2));
    line.answered(&mut room);
    consult.answered(&mut room);
    line.event.others = ["5002".to_owned()].into();
    let parties = vec!["5551234567".to_owned(), "5002".to_owned()];
    let outputs = line.tell(&mut room, EventKind::ParticipantsUpdated { parties });
    let joined = told(&outputs, "agent5002", CALLS);
    assert_eq!((&joined[0]["event"], &joined[0]["call"]["direction"]), (&json!("CallEstablished"), &json!("Inbound")));
    let numbers =
        joined.last().unwrap()["call"]["participants"].as_array().unwrap().iter().map(|p| p["digits"].clone());
    assert_eq!(numbers.collect::<Vec<_>>(), ["5001", "5551234567"]);
    consult.released(&mut room, ReleaseCause::Merged);
    assert_eq!(room.state("agent5002"), "Ready", "he still talks: he has nothing to finish yet");
    assert_eq!(capabilities(&mut room, "agent5002", &line)[..2], ["Hangup", "SendDtmf"]);
    let why = room.refused("agent5002", on(&line, CallOperation::Hold)).to_string();
    assert_eq!(why, "Operation 'Hold' is not possible: the call is a conference.");
    let outputs = room.done("agent5002", on(&line, CallOperation::Hangup));
    assert_eq!(commands(&outputs), [asked(CallId(1), "5002", CallCommand::HangUp)]);
    line.event.others = Box::default();
    let outputs = line.tell(&mut room, EventKind::ParticipantsUpdated { parties: vec!["5551234567".into()] });
    assert_eq!(events(&outputs, "agent5002")[0], ("CallReleased".to_owned(), "Released".to_owned()));
    assert_eq!(told(&outputs, "agent5002", CALLS)[0]["extensions"]["releaseCause"], "Agent");
    assert!(capabilities(&mut room, "agent5001", &line).contains(&"Hold".to_owned()), "two are a pair again");
}
