use std::time::{Duration, Instant};

use crosspoint::bayeux::message;
use crosspoint::io::client::{Trust, address};
use crosspoint::io::sink::{self, GwsAccount, GwsConfig, Told};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::rig::{Server, free_port};

fn config(port: u16, password: &str) -> GwsConfig {
    let at = |path: &str| address(&format!("http://127.0.0.1:{port}{path}")).unwrap();
    let account = |user: &str| GwsAccount(message::Login { username: user.to_owned(), password: password.to_owned() });
    GwsConfig {
        name: "main".to_owned(),
        cometd: at("/api/v2/notifications"),
        session: at("/api/v2/me"),
        accounts: vec![account("anna"), account("bob")],
        trust: Trust::default(),
    }
}

const MESSAGE: &str = r#"{"messageType":"CallStateChangeMessage","notificationType":"StatusChange","call":{"id":"UIVB","callUuid":"UUID-USER","connId":"006c03a7194aa020","state":"Ringing","userData":{"customer_id":"98765","n":{"a":1}}}}"#;

async fn next(heard: &mut mpsc::Receiver<Told>) -> Told {
    timeout(Duration::from_secs(20), heard.recv()).await.expect("in time").expect("subscribed")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gws_tells_each_agent_of_its_calls_and_again_after_its_sessions_expired() {
    let port = free_port();
    let server = Server::script("gws.js", &[&port.to_string(), MESSAGE]);
    let (_tasks, mut heard) = sink::subscribe(&[config(port, "secret")]).unwrap();
    let mut told = [next(&mut heard).await, next(&mut heard).await];
    told.sort_by(|a, b| a.call_uuid.cmp(&b.call_uuid));
    for (told, user) in told.iter().zip(["anna", "bob"]) {
        assert_eq!(
            (told.call_uuid.as_str(), told.conn_id.as_deref()),
            (&*format!("UUID-{user}"), Some("006c03a7194aa020"))
        );
        assert_eq!((&told.user_data["customer_id"], &told.user_data["n"]["a"]), (&"98765".into(), &1.into()));
    }
    server.kill();
    // Back without any memory: neither the session nor the CometD client is known to it.
    let _server = Server::script("gws.js", &[&port.to_string(), MESSAGE]);
    let again = [next(&mut heard).await, next(&mut heard).await];
    assert!(again.iter().all(|told| told.user_data.len() == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gws_that_refuses_a_password_is_asked_less_and_less() {
    let port = free_port();
    let server = Server::script("gws.js", &[&port.to_string(), MESSAGE]);
    let begun = Instant::now();
    let (tasks, mut heard) = sink::subscribe(&[config(port, "wrong")]).unwrap();
    assert!(timeout(Duration::from_secs(2), heard.recv()).await.is_err(), "it hears nothing");
    assert_eq!(tasks.len(), 2, "and goes on trying");
    assert!(begun.elapsed() < Duration::from_secs(10));
    server.kill();
}
