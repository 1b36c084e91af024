//! Calls that bear one CallUUID: what a desktop does to their data at one of them.

use super::operations::{on, ready};
use super::*;
use crate::call::ReleaseCause;

const CALLS: &str = "/v2/me/calls";
const PREFIXED: (&str, &str) = ("X-Genesys-UserData-tier", "silver");

fn attach(room: &mut Room, line: &Line, key: &str, value: &str) -> Vec<Output> {
    let pairs = json!({ key: value }).as_object().unwrap().clone();
    room.done("agent5001", on(line, CallOperation::AttachUserData(pairs)))
}

/// A customer's call as it comes to the colleague whom it was handed on to.
fn handed_on(call: u64, uuid: &str) -> Line {
    let mut line = Line::inbound(call).uuid(uuid).data(&[PREFIXED]);
    line.event.dn = "5002".to_owned();
    line
}

/// The user data with which the colleague's phone rings.
fn seen(outputs: &[Output]) -> Value {
    told(outputs, "agent5002", CALLS).first().expect("a message")["userData"].clone()
}

#[test]
fn what_a_desktop_attaches_and_deletes_is_so_for_the_colleague_whom_the_call_is_handed_on_to() {
    let mut room = ready();
    let mut line = Line::inbound(1).uuid("U").data(&[PREFIXED]);
    line.answered(&mut room);
    attach(&mut room, &line, "wish", "a refund");
    let delete = CallOperation::DeleteUserDataPair { key: "tier".to_owned() };
    room.done("agent5001", on(&line, delete));
    let outputs = handed_on(2, "U").answered(&mut room);
    assert_eq!(seen(&outputs), json!({ "wish": "a refund" }));
    let outputs = handed_on(3, "OTHER").answered(&mut room);
    assert_eq!(seen(&outputs), json!({ "tier": "silver" }), "another customer's");
}

#[test]
fn parts_of_one_call_are_told_of_a_change_at_any_of_them() {
    let mut room = ready();
    let mut line = Line::inbound(1).uuid("U");
    line.answered(&mut room);
    let mut other = handed_on(2, "U");
    other.answered(&mut room);
    let outputs = attach(&mut room, &line, "wish", "a refund");
    let message = told(&outputs, "agent5002", CALLS).pop().expect("told");
    assert_eq!(message["notificationType"], "AttachedDataChanged");
    assert_eq!(message["userData"], json!({ "tier": "silver", "wish": "a refund" }));
    assert_eq!(message["call"]["id"], other.name());
}

#[test]
fn what_a_desktop_said_outlives_its_own_part_by_a_minute() {
    for (wait, expected) in [(59, json!({ "tier": "silver", "wish": "a refund" })), (61, json!({ "tier": "silver" }))] {
        let mut room = ready();
        let mut line = Line::inbound(1).uuid("U").data(&[PREFIXED]);
        line.answered(&mut room);
        attach(&mut room, &line, "wish", "a refund");
        line.released(&mut room, ReleaseCause::Transferred);
        room.now += Duration::from_secs(wait);
        assert_eq!(seen(&handed_on(2, "U").answered(&mut room)), expected, "{wait} s later");
    }
}
