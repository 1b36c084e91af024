//! The guide's whole inbound flow: a customer of the lab, agents at their desktops by REST and CometD, their phones, a transfer.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crosspoint::app::App;
use crosspoint::config::Config;
use crosspoint::lab::interactions::{self, Channel};
use crosspoint::lab::routing::Queue;
use crosspoint::lab::{self, Customer, CustomerConfig, CustomerStatus, LabConfig, LabHandle, floor};
use serde_json::{Value, json};

use crate::desk::{self, server};
use crate::desktop::{Desktop, send, status};
use crate::lines::Lines;
use crate::rest::PASSWORD;
use crate::rig::Rig;

const NUMBER: &str = "18005551234";

/// Anna at 5001 and Ben at 5002, each with a second to finish a call.
fn agents() -> Vec<(String, String)> {
    let hash = crosspoint::desk::PasswordHash::make(PASSWORD, [7; 16]);
    let agent = |user: &str, dn: &str| {
        format!(
            "{{ user = \"{user}\", password = \"{}\", dns = [\"{dn}\"], skills = {{ support = 5 }} }}",
            hash.as_str()
        )
    };
    let both = format!("[{}, {}]", agent("anna", "5001"), agent("ben", "5002"));
    let keys = [("agent", both), ("desk.after_call_work_seconds", "1".to_owned())];
    keys.map(|(key, value)| (key.to_owned(), value)).to_vec()
}

struct Scene {
    rig: Rig,
    lab: LabHandle,
    anna: (Desktop, Lines),
    ben: (Desktop, Lines),
}

impl Scene {
    async fn start(answer_within: Duration) -> Scene {
        Scene::with(answer_within, None).await
    }

    async fn with(answer_within: Duration, patience: Option<Duration>) -> Scene {
        let sip = server();
        let rig = desk::rig(sip, &agents()).await;
        let queue = Queue { number: NUMBER.to_owned(), skill: Some("support".to_owned()), level: 1, answer_within };
        let config = LabConfig {
            sip,
            gateway: rig.sip(),
            numbers: Vec::new(),
            dns: vec!["5001-5999".to_owned().try_into().expect("a range")],
            queues: vec![queue],
            customer: CustomerConfig { patience, ..CustomerConfig::default() },
            ..LabConfig::default()
        };
        let floor = floor::of(rig.app.remote(), &config.queues).await;
        let lab = lab::start_with(config, Some(floor)).expect("started");
        let phones = [Lines::sign_in(rig.http(), "5001").await, Lines::sign_in(rig.http(), "5002").await];
        let [first, second] = phones;
        let anna = (Desktop::log_in(rig.http(), "anna", PASSWORD).await, first);
        let ben = (Desktop::log_in(rig.http(), "ben", PASSWORD).await, second);
        Scene { rig, lab, anna, ben }
    }
}

async fn becomes(desktop: &Desktop, state: &str) {
    desktop.does("POST /me", json!({"operationName": "StartContactCenterSession", "channels": ["voice"]})).await;
    desktop.does("PUT /me/state", json!({ "state": state })).await;
}

fn path_of(call: &Value) -> String {
    format!("/me/calls/{}", call["id"].as_str().unwrap_or_default())
}

async fn stands(customer: &mut Customer, wanted: CustomerStatus) {
    let found = tokio::time::timeout(Duration::from_secs(10), customer.wait_for(|status| *status == wanted)).await;
    assert_eq!(found.expect("within 10 s"), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_comes_to_the_agent_who_becomes_ready_is_handed_on_and_leaves_after_call_work() {
    let Scene { rig, lab, anna: (anna, first), ben: (ben, second) } = Scene::start(Duration::from_secs(10)).await;
    let mut customer = lab.customer(NUMBER).await.expect("routed");
    stands(&mut customer, CustomerStatus::Waiting).await;
    assert!(lab.interaction(Channel::Chat).is_none(), "nobody is ready");

    becomes(&anna, "Ready").await;
    let mut call = anna.call_is("Ringing").await;
    assert_eq!((&call["participants"][0]["phoneNumber"], &call["dnis"]), (&json!("5551234567"), &json!(NUMBER)));
    assert_eq!(call["userData"]["customer_id"], "98765", "{call}");
    let conn_id = call["connId"].as_str().unwrap_or_default();
    assert!(conn_id.len() == 16 && conn_id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{call}");
    first.ring(1).await;
    let path = path_of(&call);
    anna.does(&format!("PUT {path}"), json!({ "action": "answer" })).await;
    anna.call_is("Established").await;
    stands(&mut customer, CustomerStatus::Talking("5001".to_owned())).await;
    anna.does(&format!("PUT {path}"), json!({ "action": "hold" })).await;
    anna.call_is("Held").await;
    anna.forget();
    anna.does(&format!("PUT {path}"), json!({ "action": "retrieve" })).await;
    anna.call_is("Established").await;

    let wish = json!({ "operationName": "AttachUserData", "userData": { "wish": "a refund" } });
    anna.does(&format!("POST {path}"), wish).await;
    call["userData"]["wish"] = json!("a refund");
    anna.does(&format!("POST {path}/transfer"), json!({ "destination": "5002", "type": "blind" })).await;
    let consulted = ben.call_is("Ringing").await;
    for known in ["userData", "connId", "callUuid", "ani", "dnis"] {
        assert!(!call[known].is_null() && consulted[known] == call[known], "{known} of {call} and {consulted}");
    }
    assert_eq!(consulted["participants"][0]["phoneNumber"], "5551234567", "{consulted}");
    second.ring(1).await;
    ben.does(&format!("PUT {}", path_of(&consulted)), json!({ "action": "answer" })).await;
    ben.call_is("Established").await;
    anna.call_is("Released").await;
    first.talk(0).await;
    let state = |wanted: &'static str| move |event: &Value| event.to_string().contains(wanted);
    anna.told("after-call work", state("AfterCallWork")).await;
    let given = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match lab.interaction(Channel::Chat) {
                Some(agent) => return agent,
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    assert_eq!(given.await.expect("Ready again within 10 s"), "anna");
    anna.told("a chat", state("\"channel\":\"chat\"")).await;
    customer.hang_up();
    ben.call_is("Released").await;
    desk::no_call_is_left(&rig).await;
    assert_eq!(lab.complaints(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_does_not_answer_is_not_ready_and_the_next_one_has_the_customer() {
    let Scene { rig: _rig, lab, anna: (anna, first), ben: (ben, second) } = Scene::start(Duration::from_secs(1)).await;
    becomes(&anna, "Ready").await;
    becomes(&ben, "Ready").await;
    let mut customer = lab.customer(NUMBER).await.expect("routed");
    first.ring(1).await;
    second.ring(1).await;
    // She was told NotReady when she came, too, without a reason.
    anna.told("not ready", |event| event.to_string().contains("no answer")).await;
    let call = ben.call_is("Ringing").await;
    ben.does(&format!("PUT {}", path_of(&call)), json!({ "action": "answer" })).await;
    stands(&mut customer, CustomerStatus::Talking("5002".to_owned())).await;
    first.ring(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_asked_for_by_http_and_whatever_else_is_asked_is_refused_in_json() {
    let floor = Arc::new(OnceLock::new());
    let text = lab::scenario::configure(&crate::rig::text(""), &agents()).expect("a configuration");
    let config = Config::parse(&text, "test.toml", []).unwrap_or_else(|why| panic!("{why}"));
    let folder = tempfile::tempdir().expect("a folder");
    let app = App::new(config).state_folder(folder.path()).routes(interactions::routes(floor.clone()));
    let app = app.run().await.expect("started");
    let agents = floor::of(app.remote(), &[]).await;
    floor.get_or_init(|| agents);
    let address = app.addresses().http[1];
    let anna = Desktop::log_in(address, "anna", PASSWORD).await;
    becomes(&anna, "NotReady").await;
    let post = async |fields: &str, body: &str| {
        let (head, answer) = send(address, &format!("POST {}", interactions::PATH), fields, body).await;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|why| panic!("{why}: {head}\n{answer}"));
        assert!(status(&head) == 200 || answer["statusMessage"].is_string(), "{answer}");
        (status(&head), answer["statusCode"].clone())
    };
    let json = "Content-Type: application/json\r\n";
    let chat = r#"{"channel":"chat","agent":"anna","text":"Where is my order?"}"#;
    let taken = async {
        // The floor learns a little later than the desktop that somebody is at work.
        while post(json, chat).await != (200, 0.into()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), taken).await.expect("delivered");
    let told = anna.told("the chat", |data| data["interaction"]["channel"] == "chat").await;
    assert_eq!(told["interaction"]["text"], "Where is my order?");
    let nobody = chat.replace("anna", "nobody");
    for (fields, body) in [(json, r#"{"channel":"fax"}"#), (json, "{"), (json, ""), ("", chat)] {
        assert_eq!(post(fields, body).await, (400, 2.into()), "{fields}{body}");
    }
    assert_eq!(post(json, &nobody).await, (404, 4.into()));
    assert_eq!(post(json, r#"{"channel":"chat"}"#).await, (404, 4.into()), "nobody is ready");
    let page = |origin: &str| format!("{json}Origin: {origin}\r\n");
    assert_eq!(post(&page("https://foreign.example"), chat).await, (403, 20.into()));
    let own = format!("http://localhost:{}", address.port());
    assert_eq!(post(&page(&own), chat).await, (200, 0.into()), "our own page");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_colleague_is_called_into_a_customers_call_and_leaves_it_again() {
    let Scene { rig, lab, anna: (anna, first), ben: (ben, second) } = Scene::start(Duration::from_secs(10)).await;
    becomes(&anna, "Ready").await;
    let mut customer = lab.customer(NUMBER).await.expect("routed");
    let call = anna.call_is("Ringing").await;
    let path = path_of(&call);
    first.ring(1).await;
    anna.does(&format!("PUT {path}"), json!({ "action": "answer" })).await;
    anna.call_is("Established").await;
    let to = json!({"operationName": "SingleStepConference", "destination": {"phoneNumber": "5002"}});
    anna.does(&format!("POST {path}"), to).await;
    let asked = ben.call_is("Ringing").await;
    assert!(!call["connId"].is_null() && asked["connId"] == call["connId"], "{asked}");
    second.ring(1).await;
    ben.does(&format!("PUT {}", path_of(&asked)), json!({ "action": "answer" })).await;
    let of = |count: usize| {
        move |data: &Value| {
            data["notificationType"] == "ParticipantsUpdated"
                && data["call"]["participants"].as_array().is_some_and(|parties| parties.len() == count)
        }
    };
    anna.told("three", of(2)).await;
    stands(&mut customer, CustomerStatus::Talking("5001".to_owned())).await;
    ben.does(&format!("POST {}", path_of(&asked)), json!({ "operationName": "Hangup" })).await;
    anna.told("two again", of(1)).await;
    customer.hang_up();
    anna.call_is("Released").await;
    desk::no_call_is_left(&rig).await;
    assert_eq!(lab.complaints(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_has_given_up_is_offered_to_nobody_and_the_next_one_is() {
    let patience = Some(Duration::from_secs(2));
    let Scene { rig: _rig, lab, anna: (anna, first), .. } = Scene::with(Duration::from_secs(10), patience).await;
    let mut gone = lab.customer(NUMBER).await.expect("routed");
    stands(&mut gone, CustomerStatus::Waiting).await;
    stands(&mut gone, CustomerStatus::Abandoned).await;
    becomes(&anna, "Ready").await;
    let mut next = lab.customer(NUMBER).await.expect("routed");
    stands(&mut next, CustomerStatus::Offered("5001".to_owned())).await;
    // She is offered one call in all, and its customer's hanging up lets the phone be still.
    first.ring(1).await;
    next.hang_up();
    anna.call_is("Released").await;
    first.ring(0).await;
}
