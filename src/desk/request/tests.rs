//! Both dialects come to the same operations, and nothing unbounded comes through.

use serde_json::{Value, json};

use super::*;
use crate::desk::operation::AttachedData;

fn asked(line: &str, body: &Value) -> Result<Operation, Refusal> {
    let (method, target) = line.split_once(' ').expect("a method and a path");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let content_type = Some("application/json; charset=utf-8");
    read(&Request { method, path, query, content_type, body: body.as_bytes() })
}

fn on_call(body: &Value) -> Result<CallOperation, Refusal> {
    asked("POST /me/calls/C1", body).map(|operation| match operation {
        Operation::OnCall(id, operation) if id == "C1" => operation,
        other => panic!("{other:?}"),
    })
}

/// Refusals as `status/statusCode name`.
fn refused(result: Result<impl std::fmt::Debug, Refusal>) -> String {
    let refusal = result.expect_err("a refusal");
    let name = match &refusal {
        Refusal::Missing(name) | Refusal::Invalid { name, .. } => name,
        _ => "",
    };
    format!("{}/{} {name}", refusal.http_status(), refusal.status_code()).trim_end().to_owned()
}

fn data(value: Value) -> AttachedData {
    value.as_object().expect("an object").clone()
}

#[test]
fn both_dialects_answer_a_call() {
    let expected = Ok(Operation::OnCall("C1".into(), CallOperation::Answer));
    assert_eq!(asked("PUT /me/calls/C1", &json!({"action": "answer"})), expected);
    assert_eq!(asked("POST /me/calls/C1", &json!({"operationName": "Answer"})), expected);
    assert_eq!(asked("POST /me/calls/C1/answer", &Value::Null), expected);
    assert_eq!(asked("POST /me/calls/C1/answer/", &json!({})), expected);
}

#[test]
fn both_dialects_dial() {
    let customer = data(json!({"customer_id": 12345, "campaign": "sales"}));
    let dial = |from: Option<&str>| {
        Ok(Operation::Dial { to: "5559876543".into(), user_data: customer.clone(), from: from.map(Into::into) })
    };
    let guide = json!({"destination": "555-987-6543", "userData": customer});
    assert_eq!(asked("POST /me/calls", &guide), dial(None));
    let real = json!({"operationName": "Dial", "destination": {"phoneNumber": "5559876543"}, "userData": customer});
    assert_eq!(asked("POST /me/devices/d-5001/calls", &real), dial(Some("d-5001")));
    let other = json!({"operationName": "Answer", "destination": "1"});
    assert_eq!(refused(asked("POST /me/calls", &other)), "400/2 operationName");
    assert_eq!(refused(asked("POST /me/calls", &json!({}))), "400/1 destination");
    assert_eq!(refused(asked("POST /me/calls", &json!({"destination": {}}))), "400/1 phoneNumber");
}

#[test]
fn both_dialects_transfer() {
    let to = || "5002".to_owned();
    let guide = |kind: &str| asked("POST /me/calls/C1/transfer", &json!({"destination": "5002", "type": kind}));
    let real = |name: &str| on_call(&json!({"operationName": name, "destination": {"phoneNumber": "5002"}}));
    let op = |operation| Ok(Operation::OnCall("C1".into(), operation));
    let blind = CallOperation::SingleStepTransfer { to: to() };
    assert_eq!((guide("blind"), real("SingleStepTransfer")), (op(blind.clone()), Ok(blind.clone())));
    assert_eq!(asked("POST /me/calls/C1/transfer", &json!({"destination": "5002"})), op(blind));
    let consult = CallOperation::InitiateTransfer { to: to(), user_data: AttachedData::new() };
    assert_eq!((guide("consult"), real("InitiateTransfer")), (op(consult.clone()), Ok(consult)));
    let complete = CallOperation::CompleteTransfer { with: None };
    assert_eq!((guide("Complete"), real("CompleteTransfer")), (op(complete.clone()), Ok(complete)));
    assert_eq!(refused(guide("other")), "400/2 type");
    let joined = asked("POST /me/calls/C1/conference", &json!({"destination": "5002"}));
    assert_eq!(joined, op(CallOperation::SingleStepConference { to: to() }));
}

#[test]
fn both_dialects_set_the_state_of_the_agent() {
    let state = |body| asked("PUT /me/state", &body);
    let voice = |body| asked("POST /me/channels/voice", &body);
    assert_eq!(state(json!({"state": "Ready"})), Ok(Operation::Ready));
    assert_eq!(voice(json!({"operationName": "Ready"})), Ok(Operation::Ready));
    let lunch = || Ok(Operation::NotReady { reason: Some("Lunch".into()) });
    assert_eq!(state(json!({"state": "NotReady", "reason": "Lunch"})), lunch());
    assert_eq!(voice(json!({"operationName": "NotReady", "notReadyReason": "Lunch"})), lunch());
    assert_eq!(voice(json!({"operationName": "NotReady"})), Ok(Operation::NotReady { reason: None }));
    let after = json!({"operationName": "NotReady", "workmode": "AfterCallWork"});
    assert_eq!((state(json!({"state": "AfterCallWork"})), voice(after)), {
        (Ok(Operation::AfterCallWork), Ok(Operation::AfterCallWork))
    });
    assert_eq!(state(json!({"state": "LoggedOut"})), Ok(Operation::LoggedOut));
    assert_eq!(refused(state(json!({"state": "Asleep"}))), "400/2 state");
    assert_eq!(refused(state(json!({"state": "NotReady", "reason": "x".repeat(65)}))), "400/2 reason");
    assert_eq!(refused(state(json!({}))), "400/1 state");
}

#[test]
fn a_session_begins_and_ends() {
    let begun = asked("POST /me", &json!({"operationName": "StartContactCenterSession", "channels": ["voice"]}));
    assert_eq!(begun, Ok(Operation::StartSession { channels: vec!["voice".into()], dn: None }));
    let elsewhere = asked("POST /me", &json!({"operationName": "StartContactCenterSession", "dn": "5002"}));
    assert_eq!(elsewhere, Ok(Operation::StartSession { channels: Vec::new(), dn: Some("5002".into()) }));
    let ended = asked("POST /me", &json!({"operationName": "EndContactCenterSession"}));
    assert_eq!(ended, Ok(Operation::EndSession));
    let bad = json!({"operationName": "StartContactCenterSession", "channels": [1]});
    assert_eq!(refused(asked("POST /me", &bad)), "400/2 channels");
}

#[test]
fn resources_are_shown_by_get() {
    let shown = |line: &str| asked(line, &Value::Null);
    let all = Subresources { devices: true, channels: true, calls: true };
    assert_eq!(shown("GET /me"), Ok(Operation::Me(Subresources::default())));
    assert_eq!(shown("GET /me?subresources=devices%2Cchannels,calls&x=1"), Ok(Operation::Me(all)));
    assert_eq!(shown("HEAD /me?subresources=*"), Ok(Operation::Me(all)));
    assert_eq!(refused(shown("GET /me?subresources=secrets")), "400/2 subresources");
    assert_eq!(shown("GET /me/state"), Ok(Operation::State));
    assert_eq!(shown("GET /me/devices"), Ok(Operation::Devices));
    assert_eq!(shown("GET /me/devices/5001"), Ok(Operation::Device("5001".into())));
    assert_eq!(shown("GET /devices/5001"), Ok(Operation::Device("5001".into())));
    assert_eq!(shown("GET /me/channels"), Ok(Operation::Channels));
    assert_eq!(shown("GET /me/channels/voice"), Ok(Operation::Voice));
    assert_eq!(shown("GET /me/calls"), Ok(Operation::Calls));
    assert_eq!(shown("GET /me/calls/a%2Fb"), Ok(Operation::Call("a/b".into())));
}

#[test]
fn digits_keys_and_data_come_with_their_operations() {
    let dtmf = on_call(&json!({"operationName": "SendDtmf", "digits": "12a#"}));
    assert_eq!(dtmf, Ok(CallOperation::SendDtmf { digits: "12A#".into() }));
    let pair = on_call(&json!({"action": "deleteUserDataPair", "key": "customer_id"}));
    assert_eq!(pair, Ok(CallOperation::DeleteUserDataPair { key: "customer_id".into() }));
    let attach = on_call(&json!({"operationName": "AttachUserData", "userData": {"a": "1"}}));
    assert_eq!(attach, Ok(CallOperation::AttachUserData(data(json!({"a": "1"})))));
    let uri = json!({"operationName": "CompleteTransfer", "consultCallUri": "https://gw.example/api/v2/me/calls/C2/"});
    assert_eq!(on_call(&uri), Ok(CallOperation::CompleteTransfer { with: Some("C2".into()) }));
}

#[test]
fn what_is_missing_or_out_of_bounds_is_named() {
    let long = "5".repeat(65);
    let many: AttachedData = (0..257).map(|n| (n.to_string(), Value::from(n))).collect();
    let cases = [
        (json!({"operationName": "SendDtmf"}), "400/1 digits"),
        (json!({"operationName": "SendDtmf", "digits": ""}), "400/2 digits"),
        (json!({"operationName": "SendDtmf", "digits": "12x"}), "400/2 digits"),
        (json!({"operationName": "SendDtmf", "digits": long}), "400/2 digits"),
        (json!({"operationName": "SingleStepTransfer", "destination": long}), "400/2 destination"),
        (json!({"operationName": "SingleStepTransfer", "destination": "sip:1@a"}), "400/2 destination"),
        (json!({"operationName": "SingleStepTransfer", "destination": "1\r\nVia: x"}), "400/2 destination"),
        (json!({"operationName": "SingleStepTransfer", "destination": 5002}), "400/2 destination"),
        (json!({"operationName": "AttachUserData"}), "400/1 userData"),
        (json!({"operationName": "AttachUserData", "userData": many}), "400/2 userData"),
        (json!({"operationName": "AttachUserData", "userData": {"": 1}}), "400/2 userData"),
        (json!({"operationName": "AttachUserData", "userData": {"a": {"b": 1}}}), "400/2 userData"),
        (json!({"operationName": "AttachUserData", "userData": {"a": "b".repeat(4097)}}), "400/2 userData"),
        (json!({"operationName": "AttachUserData", "userData": {"a": "b\u{1}"}}), "400/2 userData"),
        (json!({"operationName": "DeleteUserDataPair", "key": ""}), "400/2 key"),
        (json!({"operationName": "CompleteTransfer", "consultCallUri": "/"}), "400/2 consultCallUri"),
        (json!({"operationName": "Explode"}), "400/2 operationName"),
        (json!({"operationName": 1}), "400/2 operationName"),
        (json!({"operationName": "AttachUserData", "userData": {"a": 9_007_199_254_740_992_u64}}), "400/2 userData"),
        (json!({}), "400/1 operationName"),
    ];
    for (body, expected) in cases {
        assert_eq!(refused(on_call(&body)), expected, "{body}");
    }
}

#[test]
fn numbers_are_read_as_people_write_them() {
    let to = |text: &str| {
        asked("POST /me/calls", &json!({"destination": text})).ok().map(|operation| match operation {
            Operation::Dial { to, .. } => to,
            other => panic!("{other:?}"),
        })
    };
    for (written, meant) in [
        ("+1 (555) 123-4567", "+15551234567"),
        ("(555) 123.4567", "5551234567"),
        ("*97#", "*97#"),
        ("8001_vq", "8001_vq"),
        ("anna.smith-2", "anna.smith-2"),
    ] {
        assert_eq!(to(written).as_deref(), Some(meant));
    }
    for bad in ["", "+", "()", "-1", "a@b", "1;2", "é", "_a", "5 b", "+a"] {
        assert_eq!(to(bad), None, "{bad}");
    }
}

#[test]
fn bodies_are_json_objects_of_bounded_size() {
    let send =
        |content_type, body: &[u8]| read(&Request { method: "PUT", path: "/me/state", query: "", content_type, body });
    let json = Some("Application/JSON");
    assert_eq!(send(json, b"{\"state\":\"Ready\"}"), Ok(Operation::Ready));
    assert_eq!(refused(send(json, b"[]")), "400/2");
    assert_eq!(refused(send(json, b"{\"state\":")), "400/2");
    assert_eq!(refused(send(json, b"\xff")), "400/2");
    assert_eq!(refused(send(json, "[".repeat(1000).as_bytes())), "400/2");
    assert_eq!(refused(send(json, &vec![b' '; MAX_BODY + 1])), "413/2");
    for other in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonp")] {
        assert_eq!(refused(send(other, b"{\"state\":\"Ready\"}")), "415/2", "{other:?}");
    }
}

#[test]
fn an_unknown_path_or_method_is_told_apart() {
    let nothing = Value::Null;
    for path in ["", "/", "/me/", "/you", "/me/calls/C1/explode", "/me//calls", "/me/calls//answer", "/me/calls/%zz"] {
        let found = asked(&format!("GET {path}"), &nothing);
        assert_eq!(found.err(), (path != "/me/").then_some(Refusal::NoResource), "{path}");
    }
    assert_eq!(refused(asked(&format!("GET /me/calls/{}", "x".repeat(129)), &nothing)), "404/6");
    assert_eq!(asked("DELETE /me/calls/C1", &nothing), Err(Refusal::Method("GET, HEAD, POST, PUT")));
    assert_eq!(refused(asked("GET /me/devices/5001/calls", &nothing)), "405/3");
}

#[test]
fn the_allow_field_names_exactly_the_methods_that_are_read() {
    for route in ROUTES {
        let mut names: Vec<&str> = route.readers.iter().map(|(name, _)| *name).collect();
        if names.contains(&"GET") {
            names.push("HEAD");
        }
        names.sort_unstable();
        assert_eq!(route.allow.split(", ").collect::<Vec<_>>(), names, "{}", route.path);
    }
}
