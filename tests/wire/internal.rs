//! Two agents who talk without a trunk, and a colleague in a customer's call: each desktop rules its own side by REST, and what
//! it asks is heard on the phones and at the SIP Server.

use crosspoint::lab::scenario::AgentAct;
use serde_json::{Value, json};

use crate::desk::{self, Desk};
use crate::desktop::Desktop;
use crate::exchange::Exchange;
use crate::lines::Lines;
use crate::rest::PASSWORD;
use crate::rig::Rig;
use crate::voice::Voice;

/// A gateway whose calls between DNs stay there, its SIP Server, and the desktops of Anna at 5001 and Ben at 5002.
struct Scene {
    rig: Rig,
    exchange: Exchange,
    anna: Desktop,
    ben: Desktop,
}

impl Scene {
    async fn start() -> Scene {
        let server = desk::server();
        let hash = crosspoint::desk::PasswordHash::make(PASSWORD, [7; 16]);
        let agent = |user: &str, dn: &str| {
            format!("{{ user = \"{user}\", password = \"{}\", dns = [\"{dn}\"] }}", hash.as_str())
        };
        let keys = [
            ("agent", format!("[{}, {}]", agent("anna", "5001"), agent("ben", "5002"))),
            ("calls.local_calls", "\"always\"".to_owned()),
            ("hold.music", "\"tone:440/200,440/200\"".to_owned()),
        ];
        let rig = desk::rig(server, &keys.map(|(key, value)| (key.to_owned(), value))).await;
        let exchange = Exchange::start(server, rig.sip()).await;
        let anna = Desktop::log_in(rig.http(), "anna", PASSWORD).await;
        let ben = Desktop::log_in(rig.http(), "ben", PASSWORD).await;
        Scene { rig, exchange, anna, ben }
    }

    async fn phone(&self, dn: &'static str) -> Lines {
        Lines::sign_in(self.rig.http(), dn).await
    }

    /// Anna clicks on Ben's number and he answers from his desktop; returns their phones and the path of the call.
    async fn talking(&self) -> (Lines, Lines, String) {
        let (first, second) = (self.phone("5001").await, self.phone("5002").await);
        self.anna.does("PUT /me/state", json!({ "state": "Ready" })).await;
        self.anna.does("POST /me/calls", json!({ "destination": "5002" })).await;
        first.talk(1).await;
        let call = self.ben.call_is("Ringing").await;
        assert_eq!((&call["callType"], &call["participants"][0]["digits"]), (&json!("Internal"), &json!("5001")));
        let path = path_of(&call);
        self.ben.does(&format!("PUT {path}"), json!({ "action": "answer" })).await;
        second.talk(1).await;
        self.anna.call_is("Established").await;
        self.ben.call_is("Established").await;
        (first, second, path)
    }
}

fn path_of(call: &Value) -> String {
    format!("/me/calls/{}", call["id"].as_str().unwrap_or_default())
}

fn names(call: &Value) -> Vec<&str> {
    let parties = call["participants"].as_array().into_iter().flatten();
    parties.filter_map(|party| party["digits"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_who_was_called_holds_retrieves_and_hands_on_and_both_desktops_see_their_side() {
    let scene = Scene::start().await;
    let (first, second, path) = scene.talking().await;
    let Scene { rig, exchange, anna, ben } = &scene;
    let can = |call: &Value| call["capabilities"].clone();
    let (hers, his) =
        (anna.ask(&format!("GET {path}"), Value::Null).await.1, ben.ask(&format!("GET {path}"), Value::Null).await.1);
    assert_eq!(can(&hers["call"]), can(&his["call"]), "each can do the same");
    ben.does(&format!("PUT {path}"), json!({ "action": "hold" })).await;
    ben.call_is("Held").await;
    let held = anna.told("held", |data| data["extensions"]["heldByPeer"] == true).await;
    assert_eq!(held["call"]["state"], "Established");
    let (status, refusal) = ben.ask(&format!("PUT {path}"), json!({ "action": "hold" })).await;
    let why = "Operation 'Hold' is not possible: the call is not in a state for it.";
    assert_eq!((status, &refusal["statusMessage"]), (409, &json!(why)));
    for desktop in [anna, ben] {
        desktop.forget();
    }
    ben.does(&format!("PUT {path}"), json!({ "action": "retrieve" })).await;
    ben.call_is("Established").await;
    anna.told("taken back", |data| data["extensions"] == json!({})).await;

    // Nobody knows 6006 but as busy: he hears of it, she does not.
    ben.does(&format!("POST {path}/transfer"), json!({ "destination": "6006", "type": "blind" })).await;
    let failure = ben.told("failure", |data| data["messageType"] == "ErrorMessage").await;
    assert_eq!(failure["operationName"], "SingleStepTransfer");
    ben.does(&format!("POST {path}/transfer"), json!({ "destination": "6001", "type": "blind" })).await;
    let invite = exchange.got("INVITE to 6001", |m| m.starts_with("INVITE sip:6001@")).await;
    assert!(invite.contains("Referred-By: <sip:5002@") && invite.contains("From: <sip:5002@"), "{invite}");
    ben.call_is("Released").await;
    second.talk(0).await;
    let moved = anna.told("another party", |data| names(&data["call"]) == ["6001"]).await;
    assert_eq!(moved["call"]["state"], "Established");
    anna.told("no failure", |data| data["messageType"] != "ErrorMessage").await;
    first.talk(1).await;
    anna.does(&format!("PUT {path}"), json!({ "action": "release" })).await;
    exchange.got("BYE", |m| m.starts_with("BYE ")).await;
    anna.call_is("Released").await;
    first.talk(0).await;
    desk::no_call_is_left(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_who_was_called_is_handed_on_to_the_outside_and_hears_the_end_of_it() {
    let scene = Scene::start().await;
    let (first, second, path) = scene.talking().await;
    let Scene { rig, exchange, anna, ben } = &scene;
    anna.does(&format!("POST {path}/transfer"), json!({ "destination": "6001", "type": "blind" })).await;
    exchange.got("INVITE to 6001", |m| m.starts_with("INVITE sip:6001@")).await;
    anna.call_is("Released").await;
    first.talk(0).await;
    ben.told("another party", |data| names(&data["call"]) == ["6001"]).await;
    ben.does(&format!("PUT {path}"), json!({ "action": "hold" })).await;
    exchange.got("re-INVITE that holds", |m| m.starts_with("INVITE ") && m.contains("a=sendonly")).await;
    ben.call_is("Held").await;
    ben.does(&format!("PUT {path}"), json!({ "action": "release" })).await;
    exchange.got("BYE", |m| m.starts_with("BYE ")).await;
    ben.call_is("Released").await;
    second.talk(0).await;
    desk::no_call_is_left(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_colleague_is_consulted_without_a_trunk_and_talks_with_the_customer_and_the_agent() {
    let scene = Scene::start().await;
    let Scene { rig, exchange, anna, ben } = &scene;
    let (first, second) = (scene.phone("5001").await, scene.phone("5002").await);
    exchange.call("5001", "5550100").await;
    let customer = anna.call_is("Ringing").await;
    let path = path_of(&customer);
    anna.does(&format!("PUT {path}"), json!({ "action": "answer" })).await;
    anna.call_is("Established").await;
    let to = json!({ "operationName": "InitiateConference", "destination": { "phoneNumber": "5002" } });
    anna.does(&format!("POST {path}"), to).await;
    let asked = ben.call_is("Ringing").await;
    let consultation = path_of(&asked);
    assert_ne!(consultation, path);
    ben.does(&format!("PUT {consultation}"), json!({ "action": "answer" })).await;
    second.talk(1).await;
    first.talk(2).await;
    let ready = |data: &Value| {
        data["callId"] == customer["id"] && data["call"]["capabilities"].to_string().contains("CompleteConference")
    };
    anna.told("the offer to join them", ready).await;
    anna.does(&format!("POST {path}"), json!({ "operationName": "CompleteConference" })).await;
    // He is in her call with the customer from now on, and his own one with her is over.
    let joined = ben.told("three", |data| data["callId"] == customer["id"] && names(&data["call"]).len() == 2).await;
    assert_eq!(names(&joined["call"]), ["5001", "5550100"]);
    let over = ben.told("the end", |data| data["callId"] == asked["id"] && data["state"] == "Released").await;
    assert_eq!(over["extensions"]["releaseCause"], "Conferenced");
    let (status, refusal) = ben.ask(&format!("PUT {path}"), json!({ "action": "hold" })).await;
    assert_eq!(
        (status, &refusal["statusMessage"]),
        (409, &json!("Operation 'Hold' is not possible: the call is a conference."))
    );
    first.talk(1).await;
    ben.does(&format!("POST {path}"), json!({ "operationName": "Hangup" })).await;
    ben.told("his end", |data| data["callId"] == customer["id"] && data["state"] == "Released").await;
    second.talk(0).await;
    anna.told("two again", |data| {
        data["notificationType"] == "ParticipantsUpdated" && names(&data["call"]) == ["5550100"]
    })
    .await;
    first.talk(1).await;
    exchange.hang_up("5550100").await;
    anna.told("the end", |data| data["callId"] == customer["id"] && data["state"] == "Released").await;
    first.talk(0).await;
    desk::no_call_is_left(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_hears_music_while_the_agent_who_was_called_has_her_on_hold_and_nothing_before() {
    for holds in [false, true] {
        let scene = Scene::start().await;
        let second = scene.phone("5002").await;
        let (voice, first) = (Voice::new(), Desk::sign_in(&scene.rig).await);
        first.phone().sdp = voice.offer();
        first.act(AgentAct::Dials("5002".into())).await.expect("dialled");
        let path = path_of(&scene.ben.call_is("Ringing").await);
        scene.ben.does(&format!("PUT {path}"), json!({ "action": "answer" })).await;
        second.talk(1).await;
        first.act(AgentAct::IsTalking).await.expect("answered");
        if holds {
            scene.ben.does(&format!("PUT {path}"), json!({ "action": "hold" })).await;
            scene.ben.call_is("Held").await;
        }
        let answer =
            first.phone().log.iter().rfind(|m| m.starts_with("SIP/2.0 200 ") && m.contains("m=audio")).cloned();
        let answer = answer.expect("an answer").split_once("\r\n\r\n").expect("a body").1.to_owned();
        let heard = tokio::task::spawn_blocking(move || voice.speak(&answer, 700.0, 100)).await.expect("spoken");
        // His phone is one without media: what she hears is played to her.
        assert!(if holds { heard > 50 } else { heard == 0 }, "{holds}: {heard}");
        first.act(AgentAct::HangsUp).await.expect("hung up");
        scene.ben.call_is("Released").await;
        desk::no_call_is_left(&scene.rig).await;
    }
}
