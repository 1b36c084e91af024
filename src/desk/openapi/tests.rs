//! The document says what the reader does.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::DOCUMENT;
use crate::desk::operation::{MAX_DIGITS, Operation};
use crate::desk::request::{MAX_BODY, ROUTES, Request, read};

/// Served by the shell, not read by [`read`].
const BESIDE: [(&str, &str); 2] = [("/api/v2/openapi.json", "get"), ("/api/v2/logout", "post")];
const METHODS: [&str; 7] = ["get", "head", "post", "put", "delete", "patch", "options"];

fn document() -> Value {
    serde_json::from_str(DOCUMENT).expect("JSON")
}

/// Follows `$ref`.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(target) => {
            let pointer = target.strip_prefix('#').expect("a reference within the document");
            resolved(document, document.pointer(pointer).unwrap_or_else(|| panic!("{target} is not there")))
        }
        None => value,
    }
}

/// Path, method and operation of everything in the document.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let each = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().expect("a path item");
        let methods = item.iter().filter(|(key, _)| METHODS.contains(&key.as_str()));
        methods.map(move |(method, operation)| (path.clone(), method.clone(), operation))
    });
    each.collect()
}

fn ask(path: &str, method: &str, body: &Value) -> Result<Operation, crate::desk::operation::Refusal> {
    let path = path.strip_prefix("/api/v2").expect("below /api/v2").replace("{id}", "C1");
    let (body, method) = (body.to_string(), method.to_ascii_uppercase());
    let content_type = Some("application/json");
    read(&Request { method: &method, path: &path, query: "", content_type, body: body.as_bytes() })
}

#[test]
fn every_route_is_documented_and_every_documented_operation_is_a_route() {
    let document = document();
    let documented: BTreeSet<(String, String)> =
        operations(&document).into_iter().map(|(path, method, _)| (path, method)).collect();
    let routed = ROUTES.iter().flat_map(|route| {
        let methods = route.allow.split(", ").filter(|method| *method != "HEAD");
        methods.map(|method| (format!("/api/v2{}", route.path), method.to_ascii_lowercase()))
    });
    let beside = BESIDE.map(|(path, method)| (path.to_owned(), method.to_owned()));
    assert_eq!(documented, routed.chain(beside).collect());
}

#[test]
fn every_reference_leads_somewhere() {
    fn look(document: &Value, value: &Value) -> usize {
        let inner: usize = match value {
            Value::Object(map) => map.values().map(|value| look(document, value)).sum(),
            Value::Array(list) => list.iter().map(|value| look(document, value)).sum(),
            _ => 0,
        };
        let _ = resolved(document, value);
        inner + usize::from(value.get("$ref").is_some())
    }
    let document = document();
    assert!(look(&document, &document) > 100);
}

#[test]
fn every_example_of_a_body_is_read() {
    let document = document();
    let mut read = 0;
    for (path, method, operation) in operations(&document) {
        let examples = &operation["requestBody"]["content"]["application/json"]["examples"];
        for (name, example) in examples.as_object().into_iter().flatten() {
            let result = ask(&path, &method, &example["value"]);
            assert!(result.is_ok(), "{method} {path} {name}: {result:?}");
            read += 1;
        }
    }
    assert!(read > 40, "{read}");
}

#[test]
fn every_name_of_an_operation_is_read_as_one_and_no_other_is() {
    let document = document();
    let body = json!({
        "destination": "5002", "digits": "1", "key": "a", "userData": {"a": "1"}, "channels": ["voice"],
    });
    let mut names = BTreeSet::new();
    for schema in ["CallOperation", "Session", "StateChange"] {
        let path = match schema {
            "CallOperation" => "/api/v2/me/calls/{id}",
            "Session" => "/api/v2/me",
            _ => "/api/v2/me/state",
        };
        for variant in document["components"]["schemas"][schema]["anyOf"].as_array().expect("variants") {
            for key in ["operationName", "action", "state"] {
                let said = &variant["properties"][key];
                let said = said["enum"].as_array().cloned().unwrap_or_else(|| vec![said["const"].clone()]);
                for name in said.iter().filter_map(Value::as_str) {
                    let mut body = body.clone();
                    body[key] = name.into();
                    let result = ask(path, "post", &body);
                    assert!(result.is_ok(), "{key} {name}: {result:?}");
                    names.insert(name.to_ascii_lowercase());
                    body[key] = format!("{name}x").into();
                    assert!(ask(path, "post", &body).is_err(), "{key} {name}x");
                }
            }
        }
    }
    assert!(names.len() > 25, "{names:?}");
}

#[test]
fn every_answer_of_an_operation_is_json_with_a_status_code() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        let responses = operation["responses"].as_object().expect("responses");
        let expected = ["200", "405"];
        assert!(expected.iter().all(|status| responses.contains_key(*status)), "{method} {path}");
        for (status, response) in responses {
            let response = resolved(&document, response);
            let schema = resolved(&document, &response["content"]["application/json"]["schema"]);
            assert!(schema.is_object(), "{method} {path} {status}");
            if status != "200" {
                let example = &response["content"]["application/json"]["example"];
                assert!(example["statusCode"].as_u64().is_some_and(|code| (1..=20).contains(&code)), "{path} {status}");
                assert!(example["statusMessage"].is_string(), "{path} {status}");
            }
        }
    }
}

#[test]
fn the_bounds_of_the_document_are_those_of_the_reader() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let most =
        |name: &str| schemas[name]["maxLength"].as_u64().map(|most| "5".repeat(most as usize)).expect("a length");
    type Body = fn(&str) -> Value;
    let cases: [(&str, &str, Body); 3] = [
        ("Number", "/api/v2/me/calls", |text| json!({"destination": text})),
        ("Reason", "/api/v2/me/state", |text| json!({"state": "NotReady", "reason": text})),
        ("Text", "/api/v2/me/calls/{id}", |text| json!({"action": "deleteUserDataPair", "key": text})),
    ];
    for (name, path, body) in cases {
        let text = most(name);
        assert!(ask(path, "post", &body(&text)).is_ok(), "{name}");
        assert!(ask(path, "post", &body(&format!("{text}5"))).is_err(), "{name}");
    }
    let keys = |keys: usize| ask("/api/v2/me/calls/{id}/dtmf", "post", &json!({"digits": "5".repeat(keys)})).is_ok();
    assert_eq!((keys(MAX_DIGITS), keys(MAX_DIGITS + 1)), (true, false));
    let pattern = schemas["Keys"]["pattern"].as_str().expect("a pattern");
    assert!(pattern.ends_with(&format!("{{1,{MAX_DIGITS}}}$")), "{pattern}");
    let data = |pairs: usize, value: Value| {
        let pairs: serde_json::Map<_, _> = (0..pairs).map(|n| (n.to_string(), value.clone())).collect();
        ask("/api/v2/me/calls/{id}", "put", &json!({"action": "attachUserData", "userData": pairs})).is_ok()
    };
    let user_data = &schemas["UserData"];
    let pairs = user_data["maxProperties"].as_u64().expect("a number") as usize;
    assert_eq!((data(pairs, true.into()), data(pairs + 1, true.into())), (true, false));
    let values = &user_data["additionalProperties"]["anyOf"];
    let most = "x".repeat(values[0]["maxLength"].as_u64().expect("a length") as usize);
    assert_eq!((data(1, most.clone().into()), data(1, format!("{most}x").into())), (true, false));
    let largest = values[1]["maximum"].as_i64().expect("a number");
    assert_eq!((data(1, largest.into()), data(1, (largest + 1).into())), (true, false));
    let too_large = document["components"]["responses"]["TooLarge"]["description"].as_str().expect("text");
    assert!(too_large.contains(&format!("{} KiB", MAX_BODY / 1024)), "{too_large}");
}
