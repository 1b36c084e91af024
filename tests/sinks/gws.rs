use std::time::{Duration, Instant};

use crosspoint::bayeux::message;
use crosspoint::io::client::{Trust, address};
use crosspoint::io::sink::{self, GwsAccount, GwsConfig, Told};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::outbox::{Server, free_port};

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
        let data = told.user_data.as_ref().expect("user data");
        assert_eq!((&data["customer_id"], &data["n"]["a"]), (&"98765".into(), &1.into()));
    }
    server.kill();
    // Back without any memory: neither the session nor the CometD client is known to it.
    let _server = Server::script("gws.js", &[&port.to_string(), MESSAGE]);
    let again = [next(&mut heard).await, next(&mut heard).await];
    assert!(again.iter().all(|told| told.user_data.as_ref().is_some_and(|data| data.len() == 2)));
}

/// A GWS that knows nobody; it tells when it is asked.
async fn stranger() -> (u16, mpsc::UnboundedReceiver<Instant>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, attempts) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.is_ok_and(|n| n > 0) {}
            if request.is_empty() || asked.send(Instant::now()).is_err() {
                continue;
            }
            let answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer).await;
        }
    });
    (port, attempts)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gws_that_refuses_a_password_is_asked_less_and_less() {
    let (port, mut attempts) = stranger().await;
    let mut config = config(port, "wrong");
    config.accounts.truncate(1);
    let (tasks, mut heard) = sink::subscribe(&[config]).unwrap();
    let mut before: Option<Instant> = None;
    for attempt in 0..5 {
        let at = timeout(Duration::from_secs(20), attempts.recv()).await.expect("it goes on trying").unwrap();
        // The waits double from 0.2 s, and may be half of that, so that many do not come back as one.
        let least = Duration::from_millis(50) * (1 << attempt);
        let wait = before.replace(at).map(|before| at - before);
        assert!(wait.is_none_or(|wait| wait >= least), "{wait:?} before attempt {attempt}");
    }
    assert!(heard.try_recv().is_err(), "it hears nothing");
    assert_eq!(tasks.len(), 1);
}
