//! `/gws/NAME/…` in front of a GWS of its own: HTTP, long polls, WebSocket, cookies, and who is refused.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{Message as Frame, WebSocketUpgrade};
use axum::extract::{Request as Asked, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::private_ca::Authority;
use crate::rig::{Rig, config};

/// What the stand-in saw, and when it may answer a poll.
#[derive(Default)]
struct Gws {
    seen: Mutex<Vec<(String, HeaderMap)>>,
    event: Notify,
}

impl Gws {
    /// Starts one on a free port.
    async fn start() -> (Arc<Gws>, SocketAddr) {
        let gws = Arc::new(Gws::default());
        let router = Router::new()
            .route("/genesys/cometd", get(socket))
            .route("/genesys/cometd/connect", post(poll))
            .route("/api/v2/me", any(login))
            .route("/api/v2/echo", any(|body: Bytes| async move { body }))
            .route("/admin", any(|| async { "secret" }))
            .fallback(|| async { (StatusCode::NOT_FOUND, "no such thing here") })
            .layer(axum::middleware::from_fn_with_state(gws.clone(), note))
            .with_state(gws.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(listener, router).await });
        (gws, address)
    }

    fn seen(&self, path: &str) -> HeaderMap {
        let seen = self.seen.lock().expect("not poisoned");
        seen.iter().rev().find(|(at, _)| at == path).unwrap_or_else(|| panic!("{path} was not asked for")).1.clone()
    }
}

async fn note(State(gws): State<Arc<Gws>>, asked: Asked, next: axum::middleware::Next) -> Response {
    let what = asked.uri().path_and_query().expect("a path").as_str().to_owned();
    gws.seen.lock().expect("not poisoned").push((what, asked.headers().clone()));
    next.run(asked).await
}

async fn login() -> Response {
    let cookies = [
        (header::SET_COOKIE, "JSESSIONID=theirs; Path=/; HttpOnly"),
        (header::SET_COOKIE, "BAYEUX_BROWSER=b; Path=/genesys"),
    ];
    (StatusCode::UNAUTHORIZED, axum::response::AppendHeaders(cookies), [(header::WWW_AUTHENTICATE, "Basic")], "who?")
        .into_response()
}

async fn poll(State(gws): State<Arc<Gws>>, body: Bytes) -> impl IntoResponse {
    gws.event.notified().await;
    body
}

async fn socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        while let Some(Ok(frame)) = socket.recv().await {
            if let Frame::Text(text) = frame {
                let _ = socket.send(Frame::Text(format!("heard {text}").into())).await;
            }
        }
    })
}

async fn rig(gws: SocketAddr, more: &str) -> Rig {
    Rig::with(config(&format!("[[gws]]\nname = \"main\"\nurl = \"http://{gws}\"\n{more}"))).await
}

/// Asks as a page of the gateway does, and returns head and body.
async fn ask(at: SocketAddr, line: &str, fields: &[(&str, &str)], body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(at).await.expect("connected");
    let mut text = format!("{line} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.to_owned(), body.to_owned())
}

const OWN: (&str, &str) = ("Sec-Fetch-Site", "same-origin");

#[tokio::test]
async fn cookies_of_the_gws_come_and_go_under_its_name_and_ours_stay_here() {
    let (gws, address) = Gws::start().await;
    let rig = rig(address, "").await;
    let (head, body) = ask(rig.http(), "GET /gws/main/api/v2/me?subresources=calls", &[OWN], "").await;
    assert!(head.starts_with("HTTP/1.1 401 ") && body.contains("who?"), "{head}\n{body}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("set-cookie: gws.main.jsessionid=theirs; path=/gws/main/; httponly"), "{head}");
    assert!(head.contains("set-cookie: gws.main.bayeux_browser=b; path=/gws/main/genesys; httponly"), "{head}");
    assert!(!head.contains("www-authenticate"), "the browser would ask the person for a password: {head}");
    assert!(head.contains("sandbox") && head.contains("cross-origin-resource-policy: same-origin"), "{head}");
    let cookies = ("Cookie", "JSESSIONID=ours; gws.main.JSESSIONID=theirs; gws.other.JSESSIONID=x");
    let origin = ("Origin", &*format!("http://{}", rig.http()));
    ask(rig.http(), "POST /gws/main/api/v2/echo", &[origin, cookies, ("X-CSRF-TOKEN", "t")], "{}").await;
    let seen = gws.seen("/api/v2/echo");
    assert_eq!(seen[header::COOKIE], "JSESSIONID=theirs");
    assert_eq!(seen[header::HOST], address.to_string());
    assert_eq!(seen["x-csrf-token"], "t");
    assert!(!seen.contains_key(header::ORIGIN));
}

#[tokio::test]
async fn a_poll_is_held_and_a_body_goes_both_ways() {
    let (gws, address) = Gws::start().await;
    let rig = rig(address, "").await;
    let at = rig.http();
    let polling = tokio::spawn(async move {
        ask(at, "POST /gws/main/genesys/cometd/connect", &[("Origin", &format!("http://{at}"))], "[1]").await
    });
    let long = "x".repeat(300_000);
    let origin = ("Origin", &*format!("http://{at}"));
    let (head, body) = ask(at, "PUT /gws/main/api/v2/echo", &[origin], &long).await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body.contains(&long[..1000]), "{head}");
    assert!(!polling.is_finished(), "the poll was not held");
    gws.event.notify_one();
    let (head, body) = polling.await.expect("a task");
    assert!(head.starts_with("HTTP/1.1 200 ") && body.contains("[1]"), "{head}\n{body}");
}

/// Asks for a WebSocket of a GWS as a page of the gateway does.
fn socket_request(at: SocketAddr, name: &str) -> tungstenite::http::Request<()> {
    tungstenite::http::Request::builder()
        .uri(format!("ws://{at}/gws/{name}/genesys/cometd"))
        .header("Host", at.to_string())
        .header("Origin", format!("http://{at}"))
        .header("Cookie", "JSESSIONID=ours; gws.main.JSESSIONID=theirs")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", tungstenite::handshake::client::generate_key())
        .body(())
        .expect("a request")
}

#[tokio::test]
async fn a_websocket_passes_with_its_cookies() {
    let (gws, address) = Gws::start().await;
    let rig = rig(address, "").await;
    let at = rig.http();
    let asked = socket_request(at, "main");
    let stream = TcpStream::connect(at).await.expect("connected");
    let (mut socket, _) = client_async(asked, stream).await.expect("a WebSocket");
    for word in ["one", "two"] {
        socket.send(Message::text(word)).await.expect("sent");
        let heard = tokio::time::timeout(Duration::from_secs(5), socket.next()).await.expect("in time");
        assert_eq!(heard.expect("open").expect("a frame").into_text().expect("text"), format!("heard {word}"));
    }
    let seen = gws.seen("/genesys/cometd");
    assert_eq!(seen[header::COOKIE], "JSESSIONID=theirs");
    assert_eq!(seen[header::ORIGIN], format!("http://{address}"));
}

#[tokio::test]
async fn nobody_but_a_page_of_ours_reaches_a_gws_and_only_its_open_paths() {
    let (gws, address) = Gws::start().await;
    let rig = rig(address, "").await;
    let at = rig.http();
    type Fields<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, Fields<'_>, &str); 8] = [
        ("GET /gws/main/api/v2/me", &[], "403"),
        ("GET /gws/main/api/v2/me", &[("Origin", "https://evil.example")], "403"),
        ("POST /gws/main/api/v2/me", &[("Origin", "https://desk.example")], "403"),
        ("GET /gws/main/api/v2/me", &[OWN, ("Sec-Fetch-Dest", "document")], "403"),
        ("GET /gws/main/admin", &[OWN], "404"),
        ("GET /gws/main/api/v2/../../admin", &[OWN], "404"),
        ("GET /gws/main/api/v2/..;/..;/admin", &[OWN], "404"),
        ("GET /gws/other/api/v2/me", &[OWN], "404"),
    ];
    for (line, fields, status) in cases {
        let (head, _) = ask(at, line, fields, "").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{line} {fields:?}: {head}");
    }
    assert!(gws.seen.lock().expect("not poisoned").is_empty(), "something came through");
    let long = [OWN, ("X-Pad", "")];
    let (head, _) = ask(at, "POST /gws/main/api/v2/echo", &long, &"x".repeat((1 << 20) + 1)).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
}

#[tokio::test]
async fn a_gws_by_https_is_believed_if_its_certificate_is_from_the_authority_of_the_configuration() {
    let (gws, address) = Gws::start().await;
    let folder = tempfile::tempdir().expect("folder");
    let (house, stranger) = (Authority::new(), Authority::new());
    let (good, bad) = (house.front(address).await.port(), stranger.front(address).await.port());
    let ca = house.file(folder.path());
    let entry = |name: &str, port: u16, key: &str| {
        format!("[[gws]]\nname = \"{name}\"\nurl = \"https://localhost:{port}\"\n{key}\n")
    };
    let ca = format!("ca = \"{}\"", ca.display());
    let more = [entry("main", good, &ca), entry("foreign", bad, &ca), entry("anybody", bad, "verify = false")];
    let rig = Rig::with(config(&more.concat())).await;
    let at = rig.http();
    let (head, body) = ask(at, "GET /gws/foreign/api/v2/me", &[OWN], "").await;
    assert!(head.starts_with("HTTP/1.1 502 ") && body.contains("foreign"), "{head}\n{body}");
    assert!(gws.seen.lock().expect("not poisoned").is_empty(), "a stranger was told something");
    for name in ["main", "anybody"] {
        let (head, body) = ask(at, &format!("POST /gws/{name}/api/v2/echo"), &[OWN], name).await;
        assert!(head.starts_with("HTTP/1.1 200 ") && body.contains(name), "{head}\n{body}");
    }
    for (name, wanted) in [("main", true), ("foreign", false)] {
        let asked = socket_request(at, name);
        let stream = TcpStream::connect(at).await.expect("connected");
        let opened = client_async(asked, stream).await;
        assert_eq!(opened.is_ok(), wanted, "{name}");
        let Ok((mut socket, _)) = opened else { continue };
        socket.send(Message::text("one")).await.expect("sent");
        let heard = tokio::time::timeout(Duration::from_secs(5), socket.next()).await.expect("in time");
        assert_eq!(heard.expect("open").expect("a frame").into_text().expect("text"), "heard one");
    }
}

#[tokio::test]
async fn a_gws_that_is_not_there_is_said_in_plain_words() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let rig = rig(free, "").await;
    let (head, body) = ask(rig.http(), "GET /gws/main/api/v2/me", &[OWN], "").await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert_eq!(body, "The GWS main cannot be reached: nobody answers at its address.\n");
}

#[tokio::test]
async fn requests_beyond_the_bound_are_refused_while_others_are_held() {
    let (gws, address) = Gws::start().await;
    let rig = rig(address, "connections = 1").await;
    let at = rig.http();
    let polling = tokio::spawn(async move { ask(at, "POST /gws/main/genesys/cometd/connect", &[OWN], "[1]").await });
    let patience = tokio::time::Instant::now() + Duration::from_secs(5);
    while gws.seen.lock().expect("not poisoned").is_empty() {
        assert!(tokio::time::Instant::now() < patience, "the poll does not arrive");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (head, _) = ask(at, "GET /gws/main/api/v2/me", &[OWN], "").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    gws.event.notify_one();
    polling.await.expect("a task");
    let (head, _) = ask(at, "GET /gws/main/api/v2/me", &[OWN], "").await;
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
}

#[tokio::test]
async fn the_page_learns_each_gws_and_may_call_the_direct_ones() {
    let more = "[[gws]]\nname = \"near\"\nurl = \"http://10.0.0.1:8090\"\n\
        [[gws]]\nname = \"far\"\nurl = \"https://gws.example/\"\ndirect = true";
    let rig = Rig::with(config(more)).await;
    let (_, body) = crate::client::get(rig.http(), "/config.json").await;
    let told: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let expected = serde_json::json!([
        { "name": "near", "url": "/gws/near" }, { "name": "far", "url": "https://gws.example" },
    ]);
    assert_eq!(told["gws"], expected);
    let (head, _) = crate::client::get(rig.http(), "/").await;
    assert!(head.contains(" https://gws.example wss://gws.example;"), "{head}");
    let (head, _) = ask(rig.http(), "GET /gws/far/api/v2/me", &[OWN], "").await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
}
