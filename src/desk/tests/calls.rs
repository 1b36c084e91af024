//! What desktops are told of calls.

use super::*;
use crate::call::{Declined, ReleaseCause};
use crate::plan::LegStats;

const CALLS: &str = "/v2/me/calls";

pub(super) fn events(outputs: &[Output], owner: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    told(outputs, owner, CALLS).iter().map(|data| (text(&data["event"]), text(&data["call"]["state"]))).collect()
}

pub(super) fn pairs(wanted: &[(&str, &str)]) -> Vec<(String, String)> {
    wanted.iter().map(|(event, state)| ((*event).to_owned(), (*state).to_owned())).collect()
}

#[test]
fn a_call_that_rings_is_told_with_all_that_is_known_of_it_in_both_dialects() {
    let mut room = Room::new();
    let mut line = Line::inbound(7).uuid("UIVB0001").data(&[
        ("X-Genesys-UserData-customer_id", "98765"),
        ("x-genesys-userdata-segment", "premium"),
        ("User-to-User", "00aa"),
    ]);
    line.event.dnis = Some("18005551234".to_owned());
    assert_eq!(told(&line.tell(&mut room, EventKind::Dialing), "agent5001", CALLS), [Value::Null; 0]);
    let told = told(&line.tell(&mut room, EventKind::Ringing), "agent5001", CALLS);
    let name = line.name();
    assert_eq!(
        told,
        [json!({
            "messageType": "CallStateChangeMessage",
            "notificationType": "StatusChange",
            "eventId": "00000000000000ab-call-7-0",
            "event": "CallRinging",
            "call": {
                "id": name,
                "callUuid": "UIVB0001",
                "state": "Ringing",
                "deviceUri": "https://desk.test/api/v2/devices/5001",
                "participants": [{
                    "e164Number": "",
                    "formattedPhoneNumber": "5551234567",
                    "phoneNumber": "5551234567",
                    "digits": "5551234567",
                }],
                "dnis": "18005551234",
                "callType": "Inbound",
                "capabilities":
                    ["Answer", "AttachUserData", "UpdateUserData", "DeleteUserData", "DeleteUserDataPair"],
                "userData": { "customer_id": "98765", "segment": "premium" },
                "duration": "0",
                "mute": "Off",
                "uri": format!("https://desk.test/api/v2/me/calls/{name}"),
                "path": format!("/calls/{name}"),
                "from": "5551234567",
                "to": "5001",
                "ani": "5551234567",
                "direction": "Inbound",
            },
            "phoneNumber": "5001",
            "extensions": {},
            "timestamp": START_MS,
            "callId": name,
            "state": "Ringing",
            "from": "5551234567",
            "to": "5001",
            "ani": "5551234567",
            "userData": { "customer_id": "98765", "segment": "premium" },
            "duration": 0,
        })]
    );
}

#[test]
fn what_nobody_told_is_left_out() {
    let mut room = Room::new();
    let mut line = Line::inbound(1);
    line.event.peer = String::new();
    line.tell(&mut room, EventKind::Dialing);
    let told = told(&line.tell(&mut room, EventKind::Ringing), "agent5001", CALLS);
    let call = told[0]["call"].as_object().unwrap();
    for key in ["connId", "callUuid", "dnis", "ani", "from", "parentCallUri", "recordingState"] {
        assert!(!call.contains_key(key), "{key}");
    }
    assert_eq!((&call["participants"], &call["userData"]), (&json!([]), &json!({})));
    assert!(told[0].get("ani").is_none() && told[0].get("from").is_none());
}

#[test]
fn a_change_of_state_has_the_guides_name_where_that_is_wanted_and_other_notifications_keep_theirs() {
    let mut room = Room::with(DeskConfig { status: StatusName::StateChange, ..config() });
    let mut line = Line::inbound(1);
    let ringing = &told(&line.answered(&mut room), "agent5001", CALLS)[0];
    assert_eq!((&ringing["notificationType"], &ringing["state"]), (&json!("StateChange"), &json!("Ringing")));
    let data = json!({ "note": "vip" }).as_object().unwrap().clone();
    let outputs = room.done("agent5001", Operation::OnCall(line.name(), CallOperation::AttachUserData(data)));
    assert_eq!(told(&outputs, "agent5001", CALLS)[0]["notificationType"], "AttachedDataChanged");
}

#[test]
fn an_inbound_call_runs_its_course_and_is_followed_by_after_call_work() {
    let mut room = Room::new();
    room.done("agent5001", Operation::Ready);
    let mut line = Line::inbound(1);
    let outputs = line.answered(&mut room);
    assert_eq!(events(&outputs, "agent5001"), pairs(&[("CallRinging", "Ringing"), ("CallEstablished", "Established")]));
    let outputs = line.tell(&mut room, EventKind::Held { by_agent: true });
    assert_eq!(events(&outputs, "agent5001"), pairs(&[("CallHeld", "Held")]));
    let outputs = line.tell(&mut room, EventKind::Retrieved { by_agent: true });
    assert_eq!(events(&outputs, "agent5001"), pairs(&[("CallRetrieved", "Established")]));
    room.now += Duration::from_secs(83);
    let seen = LegStats { received: 4150, sent: 4149, lost: 2, jitter_us: 1500, ..LegStats::default() };
    let kind = EventKind::Released { cause: ReleaseCause::Trunk, browser: Some(seen), trunk: None };
    let outputs = line.tell(&mut room, kind);
    let told_calls = told(&outputs, "agent5001", CALLS);
    assert_eq!(events(&outputs, "agent5001"), pairs(&[("CallReleased", "Released")]));
    assert_eq!((&told_calls[0]["call"]["duration"], &told_calls[0]["duration"]), (&json!("83"), &json!(83)));
    assert_eq!(told_calls[0]["call"]["capabilities"], json!([]));
    let extensions = &told_calls[0]["extensions"];
    assert_eq!(extensions["releaseCause"], "OtherParty");
    assert_eq!(extensions["media"]["browser"]["received"], 4150);
    assert_eq!(extensions["media"]["browser"]["jitterMs"], 1.5);
    assert!(extensions["media"].get("trunk").is_none());
    assert_eq!(told(&outputs, "agent5001", "/v2/me/state")[0]["event"], "AfterCallWork");
    assert_eq!(room.desk.poll_timeout(), Some(room.now + Duration::from_secs(30)));
    room.now += Duration::from_millis(29_999);
    assert_eq!(room.input(Input::Tick), []);
    room.now += Duration::from_millis(1);
    let outputs = room.input(Input::Tick);
    assert_eq!(told(&outputs, "agent5001", "/v2/me/state")[0]["event"], "Ready");
    assert_eq!(room.desk.poll_timeout(), None);
}

#[test]
fn a_call_that_nobody_answered_leaves_nothing_to_finish() {
    let mut room = Room::new();
    room.done("agent5001", Operation::Ready);
    let mut line = Line::inbound(1);
    line.tell(&mut room, EventKind::Dialing);
    line.tell(&mut room, EventKind::Ringing);
    line.released(&mut room, ReleaseCause::Trunk);
    assert_eq!(room.state("agent5001"), "Ready");
    assert_eq!(room.shown("agent5001", Operation::Calls)["calls"], json!([]));
}

#[test]
fn after_call_work_ends_by_the_agents_word_and_leads_back_to_what_was_before() {
    let mut room = Room::new();
    room.done("agent5001", Operation::NotReady { reason: Some("Lunch".into()) });
    let mut line = Line::inbound(1);
    line.answered(&mut room);
    line.released(&mut room, ReleaseCause::Agent);
    assert_eq!(room.state("agent5001"), "AfterCallWork");
    room.now += Duration::from_secs(30);
    room.input(Input::Tick);
    assert_eq!(room.shown("agent5001", Operation::State)["reason"], "Lunch");
    let mut line = Line::inbound(2);
    line.answered(&mut room);
    line.released(&mut room, ReleaseCause::Agent);
    room.done("agent5001", Operation::Ready);
    assert_eq!(room.desk.poll_timeout(), None);
    // What the agent said of itself has no end of its own.
    room.done("agent5001", Operation::AfterCallWork);
    assert_eq!(room.desk.poll_timeout(), None);
}

#[test]
fn without_after_call_work_the_agent_is_ready_at_once() {
    let mut room = Room::with(DeskConfig { after_call_work: Duration::ZERO, ..config() });
    room.done("agent5001", Operation::Ready);
    let mut line = Line::inbound(1);
    line.answered(&mut room);
    let outputs = line.released(&mut room, ReleaseCause::Agent);
    assert_eq!(told(&outputs, "agent5001", "/v2/me/state"), [Value::Null; 0]);
    assert_eq!(room.state("agent5001"), "Ready");
}

#[test]
fn without_after_call_work_the_end_of_a_call_makes_an_agent_newly_ready_for_those_who_route() {
    let mut room = Room::with(DeskConfig { after_call_work: Duration::ZERO, ..config() });
    room.done("agent5001", Operation::Ready);
    let since = |outputs: &[Output]| {
        let views = outputs.iter().rev().filter_map(|output| match output {
            Output::Agent(view) => Some(view.since),
            _ => None,
        });
        views.into_iter().next()
    };
    let ready = room.now;
    room.now += Duration::from_secs(60);
    let mut line = Line::inbound(1);
    assert_eq!(since(&line.answered(&mut room)), Some(ready));
    room.now += Duration::from_secs(60);
    assert_eq!(since(&line.released(&mut room, ReleaseCause::Trunk)), Some(room.now));
    // Who is not ready does not become it.
    let away = room.now;
    room.done("agent5001", Operation::NotReady { reason: None });
    room.now += Duration::from_secs(60);
    let mut line = Line::inbound(2);
    line.answered(&mut room);
    assert_eq!(since(&line.released(&mut room, ReleaseCause::Trunk)), Some(away));
}

#[test]
fn after_call_work_begins_with_the_end_of_the_last_call() {
    let mut room = Room::new();
    room.done("agent5001", Operation::Ready);
    let (mut one, mut two) = (Line::inbound(1), Line::inbound(2));
    one.answered(&mut room);
    two.tell(&mut room, EventKind::Dialing);
    one.released(&mut room, ReleaseCause::Trunk);
    assert_eq!(room.state("agent5001"), "Ready");
    two.released(&mut room, ReleaseCause::Trunk);
    assert_eq!(room.state("agent5001"), "AfterCallWork");
}

#[test]
fn events_of_a_call_are_numbered_without_gaps_whoever_causes_them() {
    let mut room = Room::new();
    let mut line = Line::inbound(3);
    let mut outputs = line.answered(&mut room);
    let data = json!({ "note": "called twice" }).as_object().unwrap().clone();
    let what = Operation::OnCall(line.name(), CallOperation::AttachUserData(data));
    outputs.extend(room.done("agent5001", what));
    outputs.extend(line.tell(&mut room, EventKind::Held { by_agent: true }));
    outputs.extend(line.tell(&mut room, EventKind::Declined { why: Declined::Busy, by_agent: true }));
    outputs.extend(line.released(&mut room, ReleaseCause::Agent));
    let ids: Vec<String> = told(&outputs, "agent5001", CALLS).iter().map(|d| d["eventId"].to_string()).collect();
    let wanted: Vec<String> = (0..6).map(|n| format!("\"00000000000000ab-call-3-{n}\"")).collect();
    assert_eq!(ids, wanted);
}

#[test]
fn both_agents_of_a_call_between_two_numbers_see_their_own_side_of_it() {
    let mut room = Room::new();
    let mut line = Line::local(4);
    let outputs = line.answered(&mut room);
    let caller = pairs(&[("CallDialing", "Dialing"), ("CallEstablished", "Established")]);
    assert_eq!(events(&outputs, "agent5001"), caller);
    let called = pairs(&[("CallRinging", "Ringing"), ("CallEstablished", "Established")]);
    assert_eq!(events(&outputs, "agent5002"), called);
    let (one, two) = (told(&outputs, "agent5001", CALLS), told(&outputs, "agent5002", CALLS));
    assert_eq!((&one[0]["call"]["direction"], &two[0]["call"]["direction"]), (&json!("Outbound"), &json!("Inbound")));
    assert_eq!(two[0]["call"]["from"], "5001");
    assert_eq!(two[0]["call"]["callType"], "Internal");
    assert_eq!(two[0]["eventId"], "00000000000000ab-call-4.1-0");
    let outputs = line.tell(&mut room, EventKind::Held { by_agent: false });
    assert_eq!(events(&outputs, "agent5002"), pairs(&[("CallHeld", "Held")]));
    assert_eq!(events(&outputs, "agent5001"), pairs(&[("-", "Established")]));
    assert_eq!(told(&outputs, "agent5001", CALLS)[0]["extensions"], json!({ "heldByPeer": true }));
    assert_eq!(told(&outputs, "agent5002", CALLS)[0]["extensions"], json!({}));
    let outputs = line.tell(&mut room, EventKind::Retrieved { by_agent: false });
    assert_eq!(told(&outputs, "agent5001", CALLS)[0]["extensions"], json!({}));
    let outputs = line.released(&mut room, ReleaseCause::Agent);
    assert_eq!(events(&outputs, "agent5001"), pairs(&[("CallReleased", "Released")]));
    assert_eq!(events(&outputs, "agent5002"), pairs(&[("CallReleased", "Released")]));
}

#[test]
fn an_agent_who_hands_a_call_on_is_done_with_it_though_the_call_goes_on() {
    let mut room = Room::new();
    room.done("agent5001", Operation::Ready);
    let mut line = Line::inbound(5);
    line.answered(&mut room);
    let outputs = line.tell(&mut room, EventKind::Transferred { to: "6001".into(), by_agent: true });
    assert_eq!(
        events(&outputs, "agent5001"),
        pairs(&[("CallTransferred", "Established"), ("CallReleased", "Released")])
    );
    assert_eq!(told(&outputs, "agent5001", CALLS)[0]["transferredTo"], "6001");
    assert_eq!(room.state("agent5001"), "AfterCallWork");
    let later = line.tell(&mut room, EventKind::Held { by_agent: false });
    assert_eq!(events(&later, "agent5001"), []);
    let outputs = line.released(&mut room, ReleaseCause::Trunk);
    assert_eq!(events(&outputs, "agent5001"), []);
}

#[test]
fn an_agent_whom_a_call_was_handed_on_to_sees_it_as_it_is() {
    let mut room = Room::new();
    let mut line = Line::inbound(6).data(&[("X-Genesys-UserData-customer_id", "98765")]);
    line.answered(&mut room);
    line.tell(&mut room, EventKind::Transferred { to: "5002".into(), by_agent: true });
    line.event.dn = "5002".to_owned();
    let outputs = line.tell(&mut room, EventKind::ParticipantsUpdated { parties: vec!["5551234567".into()] });
    assert_eq!(events(&outputs, "agent5002")[0], ("CallEstablished".into(), "Established".into()));
    let told = told(&outputs, "agent5002", CALLS);
    assert_eq!(told[0]["call"]["userData"]["customer_id"], "98765");
    assert_eq!(events(&outputs, "agent5001"), []);
}

#[test]
fn a_conference_shows_all_others_and_cannot_be_held() {
    let mut room = Room::new();
    let mut line = Line::inbound(8);
    line.answered(&mut room);
    let parties = vec!["5551234567".to_owned(), "6001".to_owned()];
    let outputs = line.tell(&mut room, EventKind::ParticipantsUpdated { parties });
    let told = told(&outputs, "agent5001", CALLS);
    assert_eq!(told[0]["notificationType"], "ParticipantsUpdated");
    let numbers: Vec<&Value> =
        told[0]["call"]["participants"].as_array().unwrap().iter().map(|p| &p["phoneNumber"]).collect();
    assert_eq!(numbers, ["5551234567", "6001"]);
    let capabilities = told[0]["call"]["capabilities"].as_array().unwrap();
    assert!(capabilities.contains(&json!("Hangup")) && !capabilities.contains(&json!("Hold")), "{capabilities:?}");
}

#[test]
fn user_data_that_the_trunk_changes_is_told_and_what_the_agent_took_away_does_not_come_back() {
    let mut room = Room::new();
    let mut line = Line::inbound(9).data(&[("X-Genesys-UserData-a", "1"), ("X-Genesys-UserData-b", "2")]);
    line.answered(&mut room);
    let what = CallOperation::DeleteUserDataPair { key: "a".to_owned() };
    room.done("agent5001", Operation::OnCall(line.name(), what));
    line = line.data(&[("X-Genesys-UserData-a", "1"), ("X-Genesys-UserData-b", "3")]);
    let outputs = line.tell(&mut room, EventKind::AttachedDataChanged);
    let told_data = told(&outputs, "agent5001", CALLS);
    assert_eq!(told_data.len(), 1);
    assert_eq!(told_data[0]["notificationType"], "AttachedDataChanged");
    assert_eq!(told_data[0]["call"]["userData"], json!({ "b": "3" }));
    // Fields that are no user data are no news for a desktop.
    line = line.data(&[("X-Genesys-UserData-b", "3"), ("Diversion", "<sip:1@a>")]);
    assert_eq!(told(&line.tell(&mut room, EventKind::AttachedDataChanged), "agent5001", CALLS), [Value::Null; 0]);
}

#[test]
fn what_a_real_gws_says_of_a_call_is_joined_by_its_uuid_whichever_comes_first() {
    let mut room = Room::new();
    let data = json!({ "customer_id": "98765" }).as_object().unwrap().clone();
    let tell = |uuid: &str| Input::Told {
        call_uuid: uuid.to_owned(),
        conn_id: Some("006c03a7194aa020".to_owned()),
        user_data: Some(data.clone()),
    };
    assert_eq!(room.input(tell("EARLY")), []);
    let outputs = Line::inbound(1).uuid("EARLY").answered(&mut room);
    let ringing = &told(&outputs, "agent5001", CALLS)[0];
    assert_eq!((&ringing["call"]["connId"], &ringing["userData"]), (&json!("006c03a7194aa020"), &json!(data)));
    let mut late = Line::inbound(2).uuid("LATE");
    late.answered(&mut room);
    let outputs = room.input(tell("LATE"));
    assert_eq!(told(&outputs, "agent5001", CALLS)[0]["notificationType"], "AttachedDataChanged");
    assert_eq!(room.input(tell("LATE")), []);
    assert_eq!(room.input(tell("UNKNOWN")), []);
    room.now += Duration::from_secs(61);
    let outputs = Line::inbound(3).uuid("UNKNOWN").answered(&mut room);
    assert!(told(&outputs, "agent5001", CALLS)[0]["call"].get("connId").is_none());
}

/// What a GWS says of the call `U`, and the user data that the desktop is told then, if it is told any.
fn gws(room: &mut Room, user_data: Value) -> Option<Value> {
    let user_data = Some(user_data.as_object().unwrap().clone());
    let outputs = room.input(Input::Told { call_uuid: "U".into(), conn_id: None, user_data });
    told(&outputs, "agent5001", CALLS).pop().map(|data| data["userData"].clone())
}

#[test]
fn names_that_a_gws_says_are_believed_up_to_a_length() {
    let mut room = Room::new();
    let conn_id =
        |outputs: &[Output]| told(outputs, "agent5001", CALLS).pop().map(|data| data["call"]["connId"].clone());
    let tell = |uuid: &str, conn_id: &str| Input::Told {
        call_uuid: uuid.to_owned(),
        conn_id: Some(conn_id.to_owned()),
        user_data: None,
    };
    // A call whose CallUUID is as long may be there: nothing is joined to it, before it comes and after.
    for (length, is_believed) in [(128, true), (129, false)] {
        let uuid = "U".repeat(length);
        room.input(tell(&uuid, "early"));
        let outputs = Line::inbound(length as u64).uuid(&uuid).answered(&mut room);
        assert_eq!(conn_id(&outputs).is_some_and(|id| id == "early"), is_believed, "{length}");
        assert_eq!(conn_id(&room.input(tell(&uuid, "late"))).is_some(), is_believed, "{length}");
        room = Room::new();
    }
    Line::inbound(1).uuid("U").answered(&mut room);
    for no_conn_id in ["", &"6".repeat(65), "006c 03a7", "<006c>", "00\u{0}"] {
        assert_eq!(room.input(tell("U", no_conn_id)), [], "{no_conn_id}");
    }
    assert_eq!(conn_id(&room.input(tell("U", &"6".repeat(64)))), Some("6".repeat(64).into()));
    let (longest, too_long) = ("k".repeat(256), "k".repeat(257));
    assert_eq!(
        gws(&mut room, json!({ &longest: "1", too_long: "2", "b": "3" })),
        Some(json!({ &longest: "1", "b": "3" }))
    );
}

#[test]
fn a_pair_that_is_deleted_at_the_gws_goes_here_too_unless_the_desktop_gave_it_another_value() {
    let mut room = Room::new();
    let mut line = Line::inbound(1).uuid("U").data(&[("X-Genesys-UserData-own", "0")]);
    line.answered(&mut room);
    let all = json!({ "a": "1", "b": "2", "own": "0" });
    assert_eq!(gws(&mut room, json!({ "a": "1", "b": "2" })), Some(all));
    let what = CallOperation::UpdateUserData(json!({ "b": "3" }).as_object().unwrap().clone());
    room.done("agent5001", Operation::OnCall(line.name(), what));
    assert_eq!(gws(&mut room, json!({})), Some(json!({ "b": "3", "own": "0" })));
    assert_eq!(gws(&mut room, json!({ "a": "1" })), Some(json!({ "a": "1", "b": "3", "own": "0" })));
    // What says nothing of user data takes none away.
    let conn_id = Some("006c03a7194aa020".to_owned());
    let outputs = room.input(Input::Told { call_uuid: "U".into(), conn_id, user_data: None });
    assert_eq!(told(&outputs, "agent5001", CALLS)[0]["userData"]["a"], "1");
}

#[test]
fn a_pair_that_the_desktop_deleted_does_not_come_back_by_what_the_gws_repeats() {
    let mut room = Room::new();
    let mut line = Line::inbound(1).uuid("U").data(&[("X-Genesys-UserData-a", "1")]);
    line.answered(&mut room);
    let delete = |key: &str| CallOperation::DeleteUserDataPair { key: key.to_owned() };
    room.done("agent5001", Operation::OnCall(line.name(), delete("a")));
    // The trunk had told it already: the first word of the GWS is no news.
    assert_eq!(gws(&mut room, json!({ "a": "1", "b": "2" })), Some(json!({ "b": "2" })));
    room.done("agent5001", Operation::OnCall(line.name(), delete("b")));
    assert_eq!(gws(&mut room, json!({ "a": "1", "b": "2", "c": "3" })), Some(json!({ "c": "3" })));
    assert_eq!(gws(&mut room, json!({ "a": "1", "b": "2", "c": "3" })), None);
    assert_eq!(gws(&mut room, json!({ "a": "1", "b": "4", "c": "3" })), Some(json!({ "b": "4", "c": "3" })));
}

#[test]
fn of_what_was_said_before_the_call_is_there_the_last_word_counts() {
    let mut room = Room::new();
    assert_eq!(gws(&mut room, json!({ "a": "1", "b": "2" })), None);
    assert_eq!(gws(&mut room, json!({ "b": "3" })), None);
    let mut line = Line::inbound(1).uuid("U");
    let outputs = line.answered(&mut room);
    assert_eq!(told(&outputs, "agent5001", CALLS)[0]["userData"], json!({ "b": "3" }));
    assert_eq!(gws(&mut room, json!({})), Some(json!({})));
}

#[test]
fn a_trunk_that_tells_the_conn_id_is_believed() {
    let mut room = Room::new();
    let mut line = Line::inbound(1).data(&[("x-genesys-connid", "006c03a7194aa020")]);
    let outputs = line.answered(&mut room);
    assert_eq!(told(&outputs, "agent5001", CALLS)[0]["call"]["connId"], "006c03a7194aa020");
    line = line.data(&[("X-Genesys-ConnID", "no id")]);
    assert_eq!(told(&line.tell(&mut room, EventKind::AttachedDataChanged), "agent5001", CALLS), [Value::Null; 0]);
    line = line.data(&[("X-Genesys-ConnID", "006c03a7194aa021")]);
    let outputs = line.tell(&mut room, EventKind::AttachedDataChanged);
    assert_eq!(told(&outputs, "agent5001", CALLS)[0]["call"]["connId"], "006c03a7194aa021");
}

#[test]
fn a_call_is_found_by_each_of_its_names_by_its_agent_alone() {
    let mut room = Room::new();
    let mut line = Line::inbound(10).uuid("OLD");
    line.answered(&mut room);
    line = line.uuid("NEW");
    let outputs = line.tell(&mut room, EventKind::CallUuidChanged);
    assert_eq!(told(&outputs, "agent5001", CALLS)[0]["call"]["callUuid"], "NEW");
    let conn_id = Some("006c03a7194aa020".to_owned());
    room.input(Input::Told { call_uuid: "NEW".into(), conn_id, user_data: None });
    for name in [line.name(), "NEW".into(), "OLD".into(), "006c03a7194aa020".into()] {
        assert_eq!(room.shown("agent5001", Operation::Call(name.clone()))["call"]["id"], line.name(), "{name}");
        assert_eq!(room.refused("agent5002", Operation::Call(name.clone())), Refusal::NoCall(name));
    }
    let unknown = room.refused("agent5001", Operation::Call("006c03a7194aa021".into()));
    assert_eq!((unknown.http_status(), unknown.status_code()), (404, 6));
}

#[test]
fn calls_of_a_number_without_an_agent_are_told_to_the_sinks_alone() {
    let mut room = Room::new();
    let mut line = Line::inbound(1);
    line.event.dn = "5900".to_owned();
    let outputs = line.answered(&mut room);
    let owners: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Publish(published) => Some((published.owner.clone(), published.dn.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(owners, [(None, "5900".to_owned()), (None, "5900".to_owned())]);
}

#[test]
fn an_agent_who_begins_to_work_at_a_number_takes_over_its_calls() {
    let mut room = Room::new();
    let mut line = Line::inbound(1);
    line.event.dn = "5101".to_owned();
    line.answered(&mut room);
    let outputs = room.done("agent5002", Operation::StartSession { channels: vec![], dn: Some("5101".into()) });
    assert_eq!(events(&outputs, "agent5002"), pairs(&[("-", "Established")]));
    assert_eq!(room.shown("agent5002", Operation::Calls)["calls"][0]["id"], line.name());
    line.released(&mut room, ReleaseCause::Trunk);
    assert_eq!(room.state("agent5002"), "AfterCallWork");
}

#[test]
fn calls_whose_end_was_missed_are_over() {
    let mut room = Room::new();
    let (mut one, mut two) = (Line::inbound(1), Line::inbound(2));
    one.answered(&mut room);
    two.answered(&mut room);
    let outputs = room.input(Input::Missed { alive: vec![CallId(2)] });
    assert_eq!(events(&outputs, "agent5001")[0], ("CallReleased".into(), "Released".into()));
    assert_eq!(told(&outputs, "agent5001", CALLS)[0]["extensions"]["releaseCause"], "EventsLost");
    assert_eq!(room.shown("agent5001", Operation::Calls)["calls"].as_array().unwrap().len(), 1);
}

#[test]
fn what_still_comes_of_a_call_that_was_given_up_neither_revives_it_nor_uses_an_identifier_twice() {
    let mut room = Room::new();
    let mut line = Line::inbound(1);
    line.answered(&mut room);
    assert_eq!(told(&room.input(Input::Missed { alive: Vec::new() }), "agent5001", CALLS).len(), 1);
    assert_eq!(line.tell(&mut room, EventKind::Held { by_agent: true }), []);
    assert_eq!(line.released(&mut room, ReleaseCause::Trunk), [], "its end was told already");
    let mut other = Line::inbound(2);
    assert!(!other.tell(&mut room, EventKind::Ringing).is_empty(), "other calls come as ever");
}

#[test]
fn user_data_is_counted_as_it_is_written_so_that_every_event_fits_the_journal() {
    let mut room = Room::new();
    let mut line = Line::inbound(1).uuid("UUID");
    line.answered(&mut room);
    let mut longest = 0;
    let mut user_data = serde_json::Map::new();
    for n in 0..64 {
        user_data.insert(format!("key{n}"), json!("\u{1}\"".repeat(512)));
        let user_data = Some(user_data.clone());
        let outputs = room.input(Input::Told { call_uuid: "UUID".into(), conn_id: None, user_data });
        for output in outputs {
            if let Output::Publish(published) = output {
                let line = crate::desk::journal::envelope(&published).expect("an event that fits");
                longest = longest.max(line.len());
            }
        }
    }
    assert!((100_000..140_000).contains(&longest), "twice 64 KiB, and little beside: {longest}");
}

#[test]
fn a_view_of_an_agent_counts_its_calls() {
    let mut room = Room::new();
    let busy = |outputs: &[Output]| {
        outputs.iter().rev().find_map(|o| match o {
            Output::Agent(view) => Some((view.user.to_string(), view.calls)),
            _ => None,
        })
    };
    let mut line = Line::inbound(1);
    let outputs = line.tell(&mut room, EventKind::Dialing);
    assert_eq!(busy(&outputs), Some(("agent5001".to_owned(), 1)));
    let outputs = line.released(&mut room, ReleaseCause::Refused(480));
    assert_eq!(busy(&outputs), Some(("agent5001".to_owned(), 0)));
}

#[test]
fn a_capture_is_told_as_a_recording() {
    let mut room = Room::new();
    let mut line = Line::inbound(1);
    line.answered(&mut room);
    let outputs = line.tell(&mut room, EventKind::CaptureStarted { name: "x".into() });
    let begun = &told(&outputs, "agent5001", CALLS)[0];
    assert_eq!(begun["notificationType"], "CallRecordingStateChange");
    assert_eq!(begun["call"]["recordingState"], "Recording");
}
