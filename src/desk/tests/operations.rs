//! What desktops ask of calls.

use super::*;
use crate::call::{Declined, ReleaseCause};
use crate::plan::Digit;

const CALLS: &str = "/v2/me/calls";

pub(super) fn on(line: &Line, what: CallOperation) -> Operation {
    Operation::OnCall(line.name(), what)
}

fn object(value: Value) -> AttachedData {
    value.as_object().unwrap().clone()
}

fn dial(to: &str) -> Operation {
    Operation::Dial { to: to.to_owned(), user_data: AttachedData::new(), from: None }
}

/// An agent that is ready, with a browser.
pub(super) fn ready() -> Room {
    let mut room = Room::new();
    room.input(Input::Presence { dn: "5001".into(), is_here: true });
    room.done("agent5001", Operation::Ready);
    room
}

/// What dials, and the command's identifier.
fn dialled(outputs: &[Output]) -> DialId {
    match &commands(outputs)[..] {
        [Command::Dial { dial, .. }] => *dial,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_operation_becomes_its_command() {
    let mut room = ready();
    let mut line = Line::inbound(1);
    let call = CallId(1);
    line.tell(&mut room, EventKind::Dialing);
    line.tell(&mut room, EventKind::Ringing);
    let answer = room.done("agent5001", on(&line, CallOperation::Answer));
    assert_eq!(commands(&answer), [asked(call, "5001", CallCommand::Answer)]);
    line.tell(&mut room, EventKind::Established);
    let to = || "6001".to_owned();
    let key = |event| Digit { event, duration: Duration::from_millis(160) };
    for (what, command) in [
        (CallOperation::Hold, asked(call, "5001", CallCommand::Hold)),
        (CallOperation::Hangup, asked(call, "5001", CallCommand::HangUp)),
        (CallOperation::ClearCall, asked(call, "5001", CallCommand::Release)),
        (CallOperation::SingleStepTransfer { to: to() }, asked(call, "5001", CallCommand::BlindTransfer { to: to() })),
        (
            CallOperation::SingleStepConference { to: to() },
            asked(call, "5001", CallCommand::SingleStepConference { to: to() }),
        ),
        (
            CallOperation::SendDtmf { digits: "1*d".to_owned() },
            asked(call, "5001", CallCommand::SendDigits { digits: vec![key(1), key(10), key(15)] }),
        ),
    ] {
        let outputs = room.done("agent5001", on(&line, what.clone()));
        assert_eq!(commands(&outputs), [command], "{what:?}");
    }
    line.tell(&mut room, EventKind::Held { by_agent: true });
    let outputs = room.done("agent5001", on(&line, CallOperation::Retrieve));
    assert_eq!(commands(&outputs), [asked(call, "5001", CallCommand::Retrieve)]);
}

#[test]
fn what_the_state_of_the_call_does_not_allow_is_refused_and_nothing_happens() {
    let mut room = ready();
    let mut line = Line::inbound(1);
    line.tell(&mut room, EventKind::Dialing);
    line.tell(&mut room, EventKind::Ringing);
    for what in [CallOperation::Hold, CallOperation::Retrieve, CallOperation::SendDtmf { digits: "1".into() }] {
        let refusal = room.refused("agent5001", on(&line, what.clone()));
        assert_eq!((refusal.http_status(), refusal.status_code()), (409, 2), "{what:?}");
    }
    // GWS does not list it, but a call that rings can be refused.
    assert_eq!(commands(&room.done("agent5001", on(&line, CallOperation::Hangup))).len(), 1);
    line.tell(&mut room, EventKind::Established);
    for what in [CallOperation::Answer, CallOperation::CompleteTransfer { with: None }] {
        assert_eq!(room.refused("agent5001", on(&line, what)).status_code(), 2);
    }
}

#[test]
fn calls_of_another_agent_are_as_unknown_as_those_that_are_not_there() {
    let mut room = ready();
    let mut line = Line::inbound(1);
    line.answered(&mut room);
    for what in [CallOperation::Hangup, CallOperation::DeleteUserData, CallOperation::Answer] {
        assert_eq!(room.refused("agent5002", on(&line, what)), Refusal::NoCall(line.name()));
    }
    let none = Line::inbound(2);
    assert_eq!(room.refused("agent5001", on(&none, CallOperation::Hangup)), Refusal::NoCall(none.name()));
    line.released(&mut room, ReleaseCause::Agent);
    assert_eq!(room.refused("agent5001", on(&line, CallOperation::Hangup)), Refusal::NoCall(line.name()));
}

#[test]
fn what_is_no_number_and_what_is_no_key_is_refused() {
    let mut room = ready();
    let mut line = Line::inbound(1);
    line.answered(&mut room);
    for (to, code) in [("", 1), ("60 01", 2), ("6001@evil.test", 2), ("6001;x=y", 2), (&"1".repeat(65)[..], 2)] {
        let what = CallOperation::SingleStepTransfer { to: to.to_owned() };
        assert_eq!(room.refused("agent5001", on(&line, what)).status_code(), code, "{to}");
    }
    for (digits, code) in [("", 1), ("1E", 2), ("ü", 2), (&"1".repeat(33)[..], 2)] {
        let what = CallOperation::SendDtmf { digits: digits.to_owned() };
        assert_eq!(room.refused("agent5001", on(&line, what)).status_code(), code, "{digits}");
    }
}

#[test]
fn an_agent_dials_when_ready_with_a_browser_and_no_other_call_in_its_ear() {
    let mut room = Room::new();
    room.done("agent5001", Operation::NotReady { reason: None });
    assert_eq!(
        room.refused("agent5001", dial("6001")).to_string(),
        "Operation 'Dial' is not possible: the agent is not ready."
    );
    room.done("agent5001", Operation::Ready);
    let refusal = room.refused("agent5001", dial("6001"));
    assert_eq!((refusal.http_status(), refusal.status_code()), (500, 4));
    assert_eq!(refusal.to_string(), "Device '5001' is not registered.");
    room.input(Input::Presence { dn: "5001".into(), is_here: true });
    let mut line = Line::inbound(1);
    line.answered(&mut room);
    assert_eq!(room.refused("agent5001", dial("6001")).status_code(), 2);
    line.tell(&mut room, EventKind::Held { by_agent: true });
    dialled(&room.done("agent5001", dial("6001")));
    assert_eq!(room.refused("agent5001", dial("6002")).status_code(), 2);
    let elsewhere = Operation::Dial { to: "6001".into(), user_data: AttachedData::new(), from: Some("5002".into()) };
    assert_eq!(room.refused("agent5001", elsewhere), Refusal::NoDevice("5002".into()));
}

#[test]
fn user_data_of_a_dialled_call_is_attached_to_it_and_told_to_the_trunk() {
    let mut room = ready();
    let user_data = object(json!({ "customer_id": 12345, "campaign": "sales" }));
    let what = Operation::Dial { to: "5559876543".into(), user_data: user_data.clone(), from: Some("5001".into()) };
    let outputs = room.done("agent5001", what);
    let Some(Command::Dial { dial, dn, to, told: fields }) = commands(&outputs).pop() else { panic!("{outputs:?}") };
    assert_eq!((&dn[..], &to[..]), ("5001", "5559876543"));
    let wanted = [("X-UserData-campaign", "sales"), ("X-UserData-customer_id", "12345")];
    assert_eq!(fields, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mut line = Line::outbound(1, "5559876543");
    line.event.dial = Some(dial);
    let outputs = line.tell(&mut room, EventKind::Dialing);
    let dialing = &told(&outputs, "agent5001", CALLS)[0];
    assert_eq!((&dialing["call"]["state"], &dialing["call"]["callType"]), (&json!("Dialing"), &json!("Outbound")));
    assert_eq!(dialing["userData"], json!(user_data));
    // It has come about: the next one may be dialled.
    line.released(&mut room, ReleaseCause::Agent);
    dialled(&room.done("agent5001", self::dial("6001")));
}

#[test]
fn a_call_that_does_not_come_about_is_told_to_its_agent() {
    let mut room = ready();
    let dial_id = dialled(&room.done("agent5001", dial("0900")));
    let outputs = room.input(Input::NotDialled { dial: dial_id, status: 403 });
    let failure = &told(&outputs, "agent5001", CALLS)[0];
    assert_eq!((&failure["messageType"], &failure["operationName"]), (&json!("ErrorMessage"), &json!("Dial")));
    assert_eq!((&failure["destination"], &failure["phoneNumber"]), (&json!("0900"), &json!("5001")));
    assert_eq!(room.input(Input::NotDialled { dial: dial_id, status: 403 }), []);
    dialled(&room.done("agent5001", dial("6001")));
}

#[test]
fn what_signalling_declines_is_told_with_the_operations_name() {
    let mut room = ready();
    let mut line = Line::inbound(1);
    line.answered(&mut room);
    room.done("agent5001", on(&line, CallOperation::SingleStepTransfer { to: "6006".into() }));
    let outputs = line.tell(&mut room, EventKind::Declined { why: Declined::Refused(486), by_agent: true });
    let failure = &told(&outputs, "agent5001", CALLS)[0];
    assert_eq!((&failure["operationName"], &failure["callId"]), (&json!("SingleStepTransfer"), &json!(line.name())));
    assert_eq!(failure["errorMessage"], "refused with 486");
    assert_eq!(room.shown("agent5001", Operation::Call(line.name()))["call"]["state"], "Established");
}

/// Whether each message about a call offers to join it with another one, and to swap them.
fn beside(outputs: &[Output], line: &Line) -> Vec<(bool, bool)> {
    let told = told(outputs, "agent5001", CALLS).into_iter().filter(|data| data["callId"] == line.name());
    let can = |data: &Value, what: &str| data["call"]["capabilities"].as_array().unwrap().contains(&json!(what));
    told.map(|data| (can(&data, "CompleteTransfer"), can(&data, "SwapCalls"))).collect()
}

/// Begins a consultation with 6001 out of call 1; returns the call and the consultation.
fn consultation(room: &mut Room, what: fn(String, AttachedData) -> CallOperation) -> (Line, Line) {
    let mut line = Line::inbound(1).data(&[("X-Genesys-UserData-customer_id", "98765")]);
    line.answered(room);
    let outputs = room.done("agent5001", on(&line, what("6001".to_owned(), AttachedData::new())));
    assert_eq!(commands(&outputs), [asked(CallId(1), "5001", CallCommand::Hold)]);
    let outputs = line.tell(room, EventKind::Held { by_agent: true });
    // There is nobody yet to hand the customer over to.
    assert_eq!(beside(&outputs, &line), [(false, false)]);
    assert_eq!(room.refused("agent5001", on(&line, CallOperation::CompleteTransfer { with: None })).status_code(), 2);
    let dial = dialled(&outputs);
    let mut consult = Line::outbound(2, "6001");
    consult.event.dial = Some(dial);
    let outputs = consult.answered(room);
    // The customer can be handed over while the other one rings, but not swapped with it.
    assert_eq!(beside(&outputs, &line), [(true, false), (true, true)]);
    assert_eq!(beside(&outputs, &consult).last(), Some(&(true, true)));
    let dialing = &told(&outputs, "agent5001", CALLS)[0]["call"];
    assert_eq!(dialing["callType"], "Consult");
    assert_eq!(dialing["parentCallUri"], format!("https://desk.test/api/v2/me/calls/{}", line.name()));
    (line, consult)
}

pub(super) fn transfer(to: String, user_data: AttachedData) -> CallOperation {
    CallOperation::InitiateTransfer { to, user_data }
}

#[test]
fn a_consultation_begins_when_the_customer_is_on_hold_and_hands_the_customer_over() {
    let mut room = ready();
    let (mut line, mut consult) = consultation(&mut room, transfer);
    let wanted = [asked(CallId(1), "5001", CallCommand::AttendedTransfer { with: CallId(2) })];
    // A desktop names whichever call it has in hand, and may say which one the other is.
    for (named, with) in [
        (&line, None),
        (&consult, None),
        (&line, Some(consult.name())),
        (&line, Some(format!("https://desk.test/api/v2/me/calls/{}", consult.name()))),
    ] {
        let outputs = room.done("agent5001", on(named, CallOperation::CompleteTransfer { with: with.clone() }));
        assert_eq!(commands(&outputs), wanted, "{with:?}");
    }
    let own = CallOperation::CompleteTransfer { with: Some(line.name()) };
    assert_eq!(room.refused("agent5001", on(&line, own)).status_code(), 2);
    line.tell(&mut room, EventKind::Transferred { to: "6001".into(), by_agent: true });
    assert_eq!(room.state("agent5001"), "Ready");
    consult.released(&mut room, ReleaseCause::Transferred);
    assert_eq!(room.state("agent5001"), "AfterCallWork");
    line.released(&mut room, ReleaseCause::Trunk);
    assert_eq!(room.shown("agent5001", Operation::Calls)["calls"], json!([]));
}

#[test]
fn two_calls_are_swapped_and_made_one_of_three() {
    let mut room = ready();
    let begin = |to, user_data| CallOperation::InitiateConference { to, user_data };
    let (line, mut consult) = consultation(&mut room, begin);
    let outputs = room.done("agent5001", on(&line, CallOperation::SwapCalls { with: None }));
    assert_eq!(
        commands(&outputs),
        [asked(CallId(2), "5001", CallCommand::Hold), asked(CallId(1), "5001", CallCommand::Retrieve)]
    );
    let outputs = room.done("agent5001", on(&line, CallOperation::CompleteConference { with: None }));
    assert_eq!(commands(&outputs), [asked(CallId(1), "5001", CallCommand::Conference { with: CallId(2) })]);
    let mut line = line;
    // The consultation goes on as the call of all three: what is known of the customer goes with it.
    let outputs = line.released(&mut room, ReleaseCause::Merged);
    let goes_on = told(&outputs, "agent5001", CALLS);
    assert_eq!(goes_on.last().unwrap()["call"]["userData"]["customer_id"], "98765");
    assert_eq!(goes_on.last().unwrap()["call"]["callType"], "Outbound");
    let parties = vec!["5551234567".to_owned(), "6001".to_owned()];
    consult.tell(&mut room, EventKind::ParticipantsUpdated { parties });
    assert_eq!(room.refused("agent5001", on(&consult, CallOperation::Hold)).status_code(), 2);
}

#[test]
fn a_consultation_that_ends_leaves_the_customer_alone_and_the_desktop_learns_what_it_can_do() {
    let mut room = ready();
    let (line, mut consult) = consultation(&mut room, transfer);
    let outputs = consult.released(&mut room, ReleaseCause::Trunk);
    let last = told(&outputs, "agent5001", CALLS).pop().unwrap();
    assert_eq!((&last["callId"], &last["state"]), (&json!(line.name()), &json!("Held")));
    assert!(!last["call"]["capabilities"].as_array().unwrap().contains(&json!("CompleteTransfer")));
    assert_eq!(room.state("agent5001"), "Ready");
}

#[test]
fn another_call_is_offered_for_joining_once_it_is_answered_and_no_longer_than_it_is_there() {
    let mut room = ready();
    let (mut line, mut other) = (Line::inbound(1), Line::inbound(2));
    line.answered(&mut room);
    line.tell(&mut room, EventKind::Held { by_agent: true });
    let mut rings = other.tell(&mut room, EventKind::Dialing);
    rings.extend(other.tell(&mut room, EventKind::Ringing));
    assert_eq!(beside(&rings, &line), []);
    assert_eq!(room.refused("agent5001", on(&line, CallOperation::SwapCalls { with: None })).status_code(), 2);
    let outputs = other.tell(&mut room, EventKind::Established);
    assert_eq!((beside(&outputs, &line), beside(&outputs, &other)), (vec![(true, true)], vec![(true, true)]));
    let outputs = other.tell(&mut room, EventKind::Held { by_agent: true });
    assert_eq!((beside(&outputs, &line), beside(&outputs, &other)), (vec![(true, false)], vec![(true, false)]));
    let outputs = other.released(&mut room, ReleaseCause::Trunk);
    assert_eq!(beside(&outputs, &line), [(false, false)]);
}

#[test]
fn a_consultation_is_not_begun_where_the_hold_is_declined_or_comes_much_later() {
    let mut room = ready();
    let mut line = Line::inbound(1);
    line.answered(&mut room);
    let begin = || transfer("6001".to_owned(), AttachedData::new());
    room.done("agent5001", on(&line, begin()));
    assert_eq!(room.refused("agent5001", on(&line, begin())).status_code(), 2);
    let outputs = line.tell(&mut room, EventKind::Declined { why: Declined::Busy, by_agent: true });
    assert_eq!(told(&outputs, "agent5001", CALLS)[0]["operationName"], "InitiateTransfer");
    assert_eq!(commands(&line.tell(&mut room, EventKind::Held { by_agent: true })), []);
    line.tell(&mut room, EventKind::Retrieved { by_agent: true });
    room.done("agent5001", on(&line, begin()));
    room.now += Duration::from_secs(33);
    assert_eq!(commands(&line.tell(&mut room, EventKind::Held { by_agent: true })), []);
}

#[test]
fn user_data_is_changed_told_and_bounded() {
    let mut room = ready();
    let mut line = Line::inbound(1);
    line.answered(&mut room);
    let mut change = |what: CallOperation| {
        let outputs = room.done("agent5001", on(&line, what));
        told(&outputs, "agent5001", CALLS).pop().map(|data| {
            assert_eq!(data["notificationType"], "AttachedDataChanged");
            data["call"]["userData"].clone()
        })
    };
    assert_eq!(
        change(CallOperation::AttachUserData(object(json!({ "a": 1, "b": 2 })))),
        Some(json!({ "a": 1, "b": 2 }))
    );
    assert_eq!(change(CallOperation::UpdateUserData(object(json!({ "b": 3 })))), Some(json!({ "a": 1, "b": 3 })));
    assert_eq!(change(CallOperation::UpdateUserData(object(json!({ "b": 3 })))), None);
    assert_eq!(change(CallOperation::DeleteUserDataPair { key: "a".into() }), Some(json!({ "b": 3 })));
    assert_eq!(change(CallOperation::DeleteUserData), Some(json!({})));
    assert_eq!(change(CallOperation::DeleteUserData), None);
    let many: AttachedData = (0..257).map(|n| (n.to_string(), Value::from(n))).collect();
    let large = object(json!({ "a": "x".repeat(65_536) }));
    for data in [many, large] {
        assert_eq!(room.refused("agent5001", on(&line, CallOperation::AttachUserData(data))).status_code(), 2);
    }
    assert_eq!(room.shown("agent5001", Operation::Call(line.name()))["call"]["userData"], json!({}));
}

#[test]
fn me_shows_the_agent_and_what_it_asks_to_see_beside() {
    let mut room = ready();
    let mut line = Line::inbound(1);
    line.answered(&mut room);
    let me = room.shown("agent5001", Operation::Me(Subresources::default()));
    assert_eq!((&me["statusCode"], &me["user"]["userName"]), (&json!(0), &json!("agent5001")));
    assert_eq!((&me["user"]["firstName"], &me["user"]["lastName"]), (&json!("Ann"), &json!("Agent")));
    assert!(me["user"].get("devices").is_none());
    let all = Subresources { devices: true, channels: true, calls: true };
    let me = room.shown("agent5001", Operation::Me(all));
    assert_eq!(me["user"]["devices"][0]["deviceState"], "Active");
    assert_eq!(me["user"]["devices"][0]["userState"]["state"], "Ready");
    assert_eq!(me["user"]["devices"][1]["phoneNumber"], "5101");
    assert_eq!(me["user"]["channels"][0]["activity"], "HandlingInteractions");
    assert_eq!(me["user"]["calls"][0]["id"], line.name());
    assert_eq!(room.shown("agent5001", Operation::Device("5101".into()))["device"]["deviceState"], "Inactive");
    assert_eq!(room.refused("agent5001", Operation::Device("5002".into())), Refusal::NoDevice("5002".into()));
}
