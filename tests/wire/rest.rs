//! Desktops rule real calls by REST: what they ask reaches the phone and the trunk, and comes back as an event.

use serde_json::{Value, json};

use crate::desk;
use crate::desktop::{Desktop, base64, field, send, status};
use crate::exchange::Exchange;
use crate::lines::Lines;
use crate::rig::Rig;

pub const PASSWORD: &str = "correct horse";

/// A gateway with an agent, its SIP Server, and the agent's desktop.
struct Scene {
    rig: Rig,
    exchange: Exchange,
    desktop: Desktop,
}

impl Scene {
    async fn start() -> Scene {
        let server = desk::server();
        let rig = desk::rig(server, &agents()).await;
        let exchange = Exchange::start(server, rig.sip()).await;
        let desktop = Desktop::log_in(rig.http(), "anna", PASSWORD).await;
        Scene { rig, exchange, desktop }
    }

    async fn phone(&self) -> Lines {
        Lines::sign_in(self.rig.http(), "5001").await
    }

    /// A customer's call that is answered; returns the phone and the path of the call.
    async fn talking(&self) -> (Lines, String) {
        let phone = self.phone().await;
        self.exchange.call("5001", "5550100").await;
        let call = self.desktop.call_is("Ringing").await;
        let path = path_of(&call);
        self.desktop.does(&format!("POST {path}"), json!({"operationName": "Answer"})).await;
        phone.talk(1).await;
        self.desktop.call_is("Established").await;
        (phone, path)
    }
}

fn path_of(call: &Value) -> String {
    format!("/me/calls/{}", call["id"].as_str().unwrap_or_default())
}

/// One agent at 5001, who has a second to finish a call that is over.
pub fn agents() -> Vec<(String, String)> {
    let hash = crosspoint::desk::PasswordHash::make(PASSWORD, [7; 16]);
    let agent =
        format!("{{ user = \"anna\", password = \"{}\", name = \"Anna Smith\", dns = [\"5001\"] }}", hash.as_str());
    let keys = [("agent", format!("[{agent}]")), ("desk.after_call_work_seconds", "1".to_owned())];
    keys.map(|(key, value)| (key.to_owned(), value)).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_call_is_answered_held_retrieved_and_released_in_the_guides_words() {
    let scene = Scene::start().await;
    let (phone, desktop, exchange) = (scene.phone().await, &scene.desktop, &scene.exchange);
    let uuid = exchange.call("5001", "5550100").await;
    let call = desktop.call_is("Ringing").await;
    assert_eq!((&call["callUuid"], &call["participants"][0]["phoneNumber"]), (&json!(uuid), &json!("5550100")));
    phone.ring(1).await;
    let path = path_of(&call);
    // The call's CallUUID names it as well as our own identifier.
    desktop.does(&format!("PUT /me/calls/{uuid}"), json!({"action": "answer"})).await;
    phone.talk(1).await;
    exchange.got("200 of the INVITE", |m| m.starts_with("SIP/2.0 200 ") && m.contains("CSeq: 1 INVITE")).await;
    desktop.call_is("Established").await;
    desktop.does(&format!("PUT {path}"), json!({"action": "hold"})).await;
    let is_hold = |m: &str| m.starts_with("INVITE ") && (m.contains("a=sendonly") || m.contains("a=inactive"));
    exchange.got("re-INVITE that holds", is_hold).await;
    assert_eq!(path_of(&desktop.call_is("Held").await), path);
    desktop.forget();
    desktop.does(&format!("PUT {path}"), json!({"action": "retrieve"})).await;
    exchange.got("re-INVITE that retrieves", |m| m.starts_with("INVITE ") && m.contains("a=sendrecv")).await;
    desktop.call_is("Established").await;
    desktop.does(&format!("PUT {path}"), json!({"action": "release"})).await;
    exchange.got("BYE", |m| m.starts_with("BYE ")).await;
    desktop.call_is("Released").await;
    phone.talk(0).await;
    assert_eq!(desktop.ask("GET /me/calls", Value::Null).await.1["calls"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_has_a_path_of_its_own_too() {
    let scene = Scene::start().await;
    let (phone, desktop) = (scene.phone().await, &scene.desktop);
    scene.exchange.call("5001", "5550100").await;
    let path = path_of(&desktop.call_is("Ringing").await);
    desktop.does(&format!("POST {path}/answer"), Value::Null).await;
    desktop.call_is("Established").await;
    desktop.does(&format!("POST {path}/hold"), Value::Null).await;
    desktop.call_is("Held").await;
    desktop.forget();
    desktop.does(&format!("POST {path}/retrieve"), Value::Null).await;
    desktop.call_is("Established").await;
    desktop.does(&format!("POST {path}/release"), Value::Null).await;
    desktop.call_is("Released").await;
    phone.talk(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_pressed_towards_the_trunk() {
    let scene = Scene::start().await;
    let (_phone, path) = scene.talking().await;
    scene.desktop.does(&format!("POST {path}"), json!({"operationName": "SendDtmf", "digits": "12#"})).await;
    crate::rig::eventually(|| scene.exchange.keys() == "12#").await;
    scene.exchange.hang_up("5550100").await;
    scene.desktop.call_is("Released").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blind_transfer_hands_the_customer_on_and_lets_the_agent_go() {
    let scene = Scene::start().await;
    let (phone, path) = scene.talking().await;
    // The customer's ACK may be on its way still.
    let to = json!({"destination": "6001", "type": "blind"});
    scene.desktop.does(&format!("POST {path}/transfer"), to).await;
    scene.desktop.call_is("Released").await;
    scene.exchange.got("INVITE to 6001", |m| m.starts_with("INVITE sip:6001@")).await;
    phone.talk(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consultation_is_called_by_the_phone_and_joined_with_the_customer() {
    let scene = Scene::start().await;
    let (phone, path) = scene.talking().await;
    let desktop = &scene.desktop;
    let to = json!({"operationName": "InitiateTransfer", "destination": {"phoneNumber": "6001"}});
    desktop.does(&format!("POST {path}"), to).await;
    desktop.call_is("Held").await;
    scene.exchange.got("INVITE to 6001", |m| m.starts_with("INVITE sip:6001@")).await;
    phone.talk(2).await;
    let consultation = |data: &Value| data["call"]["state"] == "Established" && path_of(&data["call"]) != path;
    let consultation = desktop.told("consultation", consultation).await["call"]["uri"].clone();
    let complete = json!({"operationName": "CompleteTransfer", "consultCallUri": consultation});
    desktop.does(&format!("POST {path}"), complete).await;
    phone.talk(0).await;
    desktop
        .told("end of the first call", |data| data["call"]["state"] == "Released" && path_of(&data["call"]) == path)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conference_lets_three_talk() {
    let scene = Scene::start().await;
    let (phone, path) = scene.talking().await;
    let desktop = &scene.desktop;
    let to = json!({"operationName": "InitiateConference", "destination": {"phoneNumber": "6001"}});
    desktop.does(&format!("POST {path}"), to).await;
    phone.talk(2).await;
    let consultation = |data: &Value| data["call"]["state"] == "Established" && path_of(&data["call"]) != path;
    desktop.told("consultation", consultation).await;
    desktop.does(&format!("POST {path}"), json!({"operationName": "CompleteConference"})).await;
    let three =
        desktop.told("three", |data| data["call"]["participants"].as_array().is_some_and(|p| p.len() == 2)).await;
    assert_eq!(three["notificationType"], "ParticipantsUpdated");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_calls_are_swapped_and_swapped_again() {
    let scene = Scene::start().await;
    let (phone, path) = scene.talking().await;
    let desktop = &scene.desktop;
    let to = json!({"operationName": "InitiateTransfer", "destination": {"phoneNumber": "6001"}});
    desktop.does(&format!("POST {path}"), to).await;
    phone.talk(2).await;
    let consultation = |data: &Value| data["call"]["state"] == "Established" && path_of(&data["call"]) != path;
    let consultation = path_of(&desktop.told("consultation", consultation).await["call"]);
    for (held, talking) in [(&consultation, &path), (&path, &consultation)] {
        desktop.forget();
        desktop.does(&format!("POST {path}"), json!({"operationName": "SwapCalls"})).await;
        for (path, state) in [(held, "Held"), (talking, "Established")] {
            let swapped = |data: &Value| path_of(&data["call"]) == *path && data["call"]["state"] == state;
            desktop.told(state, swapped).await;
        }
    }
    phone.talk(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_party_is_called_into_the_call_which_is_then_cleared() {
    let scene = Scene::start().await;
    let (phone, path) = scene.talking().await;
    let desktop = &scene.desktop;
    let (line, to) = (format!("POST {path}"), json!({"operationName": "SingleStepConference", "destination": "6001"}));
    desktop.does(&line, to.clone()).await;
    let is_three = |data: &Value| data["call"]["participants"].as_array().is_some_and(|parties| parties.len() == 2);
    let told = desktop.told("an outcome", |data| data["messageType"] == "ErrorMessage" || is_three(data)).await;
    if told["messageType"] == "ErrorMessage" {
        // The customer's ACK was still on its way.
        assert_eq!(told["operationName"], "SingleStepConference", "{told}");
        desktop.does(&line, to).await;
        desktop.told("three", is_three).await;
    }
    scene.exchange.got("INVITE to 6001", |m| m.starts_with("INVITE sip:6001@")).await;
    phone.talk(1).await;
    desktop.does(&line, json!({"operationName": "ClearCall"})).await;
    let to =
        |message: &str, number: &str| message.lines().any(|line| line.starts_with("To: ") && line.contains(number));
    let ends = |number: &'static str| move |m: &str| m.starts_with("BYE ") && to(m, number);
    scene.exchange.got("BYE to the third party", ends("sip:6001@")).await;
    scene.exchange.got("BYE to the customer", ends("sip:5550100@")).await;
    desktop.call_is("Released").await;
    phone.talk(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_ruled_by_the_conn_id_that_somebody_told_of_it() {
    let scene = Scene::start().await;
    let desktop = &scene.desktop;
    let phone = scene.phone().await;
    let uuid = scene.exchange.call("5001", "5550100").await;
    desktop.call_is("Ringing").await;
    let path = "/me/calls/0074032e5a5a5a01";
    assert_eq!(desktop.ask(&format!("GET {path}"), Value::Null).await.0, 404, "nobody has told it");
    let told = scene.rig.app.remote().told(uuid, Some("0074032e5a5a5a01".to_owned()), serde_json::Map::new()).await;
    assert!(told);
    desktop.told("the ConnID", |data| data["call"]["connId"] == "0074032e5a5a5a01").await;
    desktop.does(&format!("PUT {path}"), json!({"action": "answer"})).await;
    phone.talk(1).await;
    desktop.call_is("Established").await;
    desktop.does(&format!("PUT {path}"), json!({"action": "release"})).await;
    desktop.call_is("Released").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_as_the_address_of_something_leads_to_it() {
    let scene = Scene::start().await;
    let (_phone, path) = scene.talking().await;
    let desktop = &scene.desktop;
    let leads = async |uri: &Value, kind: &str| {
        let uri = uri.as_str().unwrap_or_default();
        let (_, path) = uri.split_once("/api/v2").unwrap_or_else(|| panic!("no address of a {kind}: {uri}"));
        let (status, shown) = desktop.ask(&format!("GET {path}"), Value::Null).await;
        assert_eq!((status, shown[kind].is_object()), (200, true), "{uri}: {shown}");
        shown[kind].clone()
    };
    let (_, me) = desktop.ask("GET /me?subresources=*", Value::Null).await;
    let me = &me["user"];
    leads(&me["uri"], "user").await;
    assert_eq!(leads(&me["devices"][0]["uri"], "device").await["id"], "5001");
    assert_eq!(leads(&me["channels"][0]["uri"], "channel").await["name"], "voice");
    let call = leads(&me["calls"][0]["uri"], "call").await;
    assert_eq!(path_of(&call), path);
    assert_eq!(leads(&call["deviceUri"], "device").await["id"], "5001");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_dials_only_when_ready_and_its_phone_is_called_first() {
    let scene = Scene::start().await;
    let (phone, desktop) = (scene.phone().await, &scene.desktop);
    let dial = json!({"destination": "6001", "userData": {"campaign": "sales"}});
    desktop.does("POST /me", json!({"operationName": "StartContactCenterSession", "channels": ["voice"]})).await;
    let (status, answer) = desktop.ask("POST /me/calls", dial.clone()).await;
    assert_eq!((status, &answer["statusCode"]), (409, &json!(2)), "{answer}");
    desktop.does("PUT /me/state", json!({"state": "Ready"})).await;
    desktop.told("Ready", |data| data["state"] == "Ready").await;
    desktop.does("POST /me/calls", dial).await;
    phone.talk(1).await;
    scene.exchange.got("INVITE to 6001", |m| m.starts_with("INVITE sip:6001@")).await;
    let call = desktop.call_is("Established").await;
    assert_eq!(call["userData"]["campaign"], "sales", "{call}");
    desktop.forget();
    desktop.does(&format!("POST {}", path_of(&call)), json!({"operationName": "Hangup"})).await;
    desktop.told("AfterCallWork", |data| data["state"] == "AfterCallWork").await;
    desktop.told("Ready, by itself", |data| data["state"] == "Ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_nobody_has_registered_as_cannot_dial() {
    let scene = Scene::start().await;
    let desktop = &scene.desktop;
    desktop.does("POST /me/channels/voice", json!({"operationName": "Ready"})).await;
    let dial = json!({"operationName": "Dial", "destination": {"phoneNumber": "6001"}});
    let refusal = json!({"statusCode": 4, "statusMessage": "Device '5001' is not registered."});
    assert_eq!(desktop.ask("POST /me/devices/5001/calls", dial.clone()).await, (500, refusal));
    let (status, answer) = desktop.ask("POST /me/devices/5002/calls", dial).await;
    assert_eq!((status, &answer["statusCode"]), (404, &json!(6)), "another one's device");
}

#[tokio::test(flavor = "multi_thread")]
async fn user_data_is_attached_changed_and_taken_away_again() {
    let scene = Scene::start().await;
    let (_phone, path) = scene.talking().await;
    let desktop = &scene.desktop;
    let data_is = async |wanted: Value| {
        let told = desktop.told("user data", |data| {
            data["notificationType"] == "AttachedDataChanged" && data["call"]["userData"] == wanted
        });
        told.await;
    };
    let attach = json!({"operationName": "AttachUserData", "userData": {"customer_id": "98765", "tier": "gold"}});
    desktop.does(&format!("POST {path}"), attach).await;
    data_is(json!({"customer_id": "98765", "tier": "gold"})).await;
    let update = json!({"action": "updateUserData", "userData": {"tier": "silver"}});
    desktop.does(&format!("PUT {path}"), update).await;
    data_is(json!({"customer_id": "98765", "tier": "silver"})).await;
    assert_eq!(desktop.ask(&format!("GET {path}"), Value::Null).await.1["call"]["userData"]["tier"], "silver");
    let pair = json!({"operationName": "DeleteUserDataPair", "key": "tier"});
    desktop.does(&format!("POST {path}"), pair).await;
    data_is(json!({"customer_id": "98765"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_logged_in_or_shows_no_token_gets_403() {
    let scene = Scene::start().await;
    let (address, desktop) = (scene.rig.http(), &scene.desktop);
    let json = "Content-Type: application/json\r\n";
    let (head, body) = send(address, "GET /api/v2/me", "", "").await;
    let denied = json!({"statusCode": 20, "statusMessage": "Access denied", "error": "Not authenticated"});
    assert_eq!((status(&head), serde_json::from_str::<Value>(&body).expect("JSON")), (403, denied));
    let wrong = format!("Authorization: Basic {}\r\n", base64("anna:wrong"));
    assert_eq!(status(&send(address, "GET /api/v2/me", &wrong, "").await.0), 403);
    let ready = r#"{"state":"Ready"}"#;
    let without = send(address, "PUT /api/v2/me/state", &format!("{}{json}", desktop.cookie), ready).await;
    assert_eq!(status(&without.0), 403, "{}", without.1);
    let with = format!("{}{}{json}", desktop.cookie, desktop.token);
    assert_eq!(status(&send(address, "PUT /api/v2/me/state", &with, ready).await.0), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_method_path_type_or_size_is_told_in_json() {
    let scene = Scene::start().await;
    let (address, desktop) = (scene.rig.http(), &scene.desktop);
    let fields = format!("{}{}", desktop.cookie, desktop.token);
    let json = format!("{fields}Content-Type: application/json\r\n");
    let (head, body) = send(address, "DELETE /api/v2/me", &json, "").await;
    assert_eq!((status(&head), field(&head, "allow")), (405, Some("GET, HEAD, POST")), "{body}");
    let large = "x".repeat(crosspoint::desk::request::MAX_BODY + 1);
    let cases = [
        ("GET /api/v2/nothing", &json, "", 404, 6),
        ("PUT /api/v2/me/state", &fields, "{}", 415, 2),
        ("PUT /api/v2/me/state", &json, "{", 400, 2),
        ("PUT /api/v2/me/state", &json, "{}", 400, 1),
        ("PUT /api/v2/me/state", &json, &large, 413, 2),
        ("GET /api/v2/me/calls/1", &json, "", 404, 6),
    ];
    for (line, fields, body, expected, code) in cases {
        let (head, answer) = send(address, line, fields, body).await;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|why| panic!("{line}: {why}\n{head}"));
        assert_eq!((status(&head), &answer["statusCode"]), (expected, &json!(code)), "{line}: {answer}");
        assert!(answer["statusMessage"].is_string() && field(&head, "content-type") == Some("application/json"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_sees_itself_its_devices_and_its_channels() {
    let scene = Scene::start().await;
    let desktop = &scene.desktop;
    let (_, me) = desktop.ask("GET /me?subresources=devices,channels,calls", Value::Null).await;
    let me = &me["user"];
    assert_eq!((&me["userName"], &me["firstName"], &me["calls"]), (&json!("anna"), &json!("Anna"), &json!([])));
    assert_eq!((&me["devices"][0]["phoneNumber"], &me["channels"][0]["name"]), (&json!("5001"), &json!("voice")));
    desktop.does("PUT /me/state", json!({"state": "NotReady", "reason": "Lunch"})).await;
    let told = desktop.told("NotReady", |data| data["reason"] == "Lunch").await;
    assert_eq!(told["state"], "NotReady");
    let (_, state) = desktop.ask("GET /me/state", Value::Null).await;
    assert_eq!((&state["state"], &state["reason"]), (&json!("NotReady"), &json!("Lunch")));
    let (head, document) = send(scene.rig.http(), "GET /api/v2/openapi.json", "", "").await;
    assert_eq!((status(&head), document.as_str()), (200, crosspoint::desk::openapi::DOCUMENT));
}
