//! An agent's desktop: HTTP with its cookie and token, and the events that Bayeux brings it by long-polling.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::client::http;

/// Header fields of each request.
#[derive(Clone)]
pub struct Desktop {
    address: SocketAddr,
    pub cookie: String,
    pub token: String,
    events: Arc<Mutex<Vec<Value>>>,
}

/// Base64 (RFC 4648 4).
pub fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// Sends a request with these header fields; returns the head and the body.
pub async fn send(address: SocketAddr, line: &str, fields: &str, body: &str) -> (String, String) {
    let request = format!(
        "{line} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        address.port(),
        body.len()
    );
    http(TcpStream::connect(address).await.expect("connected"), &request).await
}

pub fn status(head: &str) -> u16 {
    head.get(9..12).and_then(|status| status.parse().ok()).expect("a status")
}

pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

impl Desktop {
    /// Logs in by Basic credentials and subscribes to all that is an agent's.
    pub async fn log_in(address: SocketAddr, user: &str, password: &str) -> Desktop {
        let desktop = Desktop::enter(address, user, password).await;
        desktop.subscribe().await;
        desktop
    }

    /// Logs in by Basic credentials.
    pub async fn enter(address: SocketAddr, user: &str, password: &str) -> Desktop {
        let basic = format!("Authorization: Basic {}\r\n", base64(&format!("{user}:{password}")));
        let (head, body) = send(address, "GET /api/v2/me", &basic, "").await;
        assert_eq!(status(&head), 200, "{head}\n{body}");
        let cookie = field(&head, "set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie");
        let named = field(&head, "x-csrf-header").expect("the name of the token's field");
        let token = format!("{named}: {}\r\n", field(&head, "x-csrf-token").expect("a token"));
        let cookie = format!("Cookie: {cookie}\r\n");
        Desktop { address, cookie, token, events: Arc::default() }
    }

    async fn bayeux(&self, message: Value) -> Vec<Value> {
        let fields = format!("{}{}Content-Type: application/json\r\n", self.cookie, self.token);
        let body = json!([message]).to_string();
        let (head, body) = send(self.address, "POST /genesys/cometd", &fields, &body).await;
        assert_eq!(status(&head), 200, "{head}\n{body}");
        serde_json::from_str(&body).expect("an array of messages")
    }

    async fn subscribe(&self) {
        let shake =
            json!({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]});
        let client = self.bayeux(shake).await[0]["clientId"].as_str().expect("a client").to_owned();
        let all = json!({"channel": "/meta/subscribe", "subscription": "/v2/me/*", "clientId": client});
        assert_eq!(self.bayeux(all).await[0]["successful"], true);
        let own = self.clone();
        tokio::spawn(async move {
            loop {
                // A held request is ended, and asked again, before the ten seconds that a request may take here.
                let advice = json!({"timeout": 5000});
                let connect = json!({"channel": "/meta/connect", "connectionType": "long-polling", "clientId": client, "advice": advice});
                let messages = own.bayeux(connect).await;
                let events = messages.into_iter().filter(|message| !message["data"].is_null());
                own.events.lock().unwrap_or_else(PoisonError::into_inner).extend(events);
            }
        });
    }

    /// Asks something with all that it takes; returns status and body.
    pub async fn ask(&self, line: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let fields = format!("{}{}Content-Type: application/json\r\n", self.cookie, self.token);
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let (head, body) = send(self.address, &format!("{method} /api/v2{path}"), &fields, &body).await;
        let shown = serde_json::from_str(&body).unwrap_or_else(|why| panic!("{line}: {why}\n{head}\n{body}"));
        (status(&head), shown)
    }

    /// Asks something that is to be done.
    pub async fn does(&self, line: &str, body: Value) {
        let (status, answer) = self.ask(line, body.clone()).await;
        assert_eq!((status, &answer["statusCode"]), (200, &json!(0)), "{line} {body}: {answer}");
    }

    /// Waits for an event, those of the past included; returns its data.
    pub async fn told(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let events = || self.events.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let found = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                if let Some(found) = events().into_iter().map(|event| event["data"].clone()).find(|data| wanted(data)) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        found.await.unwrap_or_else(|_| panic!("{what} within 10 s; there was:\n{}", json!(events())))
    }

    /// Waits for a call in a state; returns the call.
    pub async fn call_is(&self, state: &str) -> Value {
        self.told(state, |data| data["call"]["state"] == state).await["call"].clone()
    }

    /// Returns the data of all events so far.
    pub fn heard(&self) -> Vec<Value> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().map(|event| event["data"].clone()).collect()
    }

    /// Forgets the events so far.
    pub fn forget(&self) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
