//! SIP over WebSocket (RFC 7118): who gets in, what is taken, and who is thrown out.

use std::time::Duration;

use crosspoint::http::{self, WebSocketLimits};
use crosspoint::io::accept::Limits;
use crosspoint::io::tally::Count;
use futures_util::SinkExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{self, Request, open_plain, request};
use crate::rig::{PASSWORD, Web, rules};

async fn web() -> Web {
    Web::start(rules(), Limits::default()).await
}

async fn quick(limits: WebSocketLimits) -> Web {
    Web::start(http::Config { websocket: limits, ..rules() }, Limits::default()).await
}

fn options(more: &str) -> String {
    request("OPTIONS", "sip:crosspoint.test", "5001", 1, more)
}

#[tokio::test]
async fn the_subprotocol_sip_is_required() {
    let web = web().await;
    for protocol in [None, Some("chat"), Some("SIP2, xmpp")] {
        let refused = open_plain(web.address, Request { protocol, ..Request::default() }).await;
        let (status, why) = refused.err().expect("refused");
        assert_eq!(status, 400, "{protocol:?}");
        assert!(why.contains("`sip`"), "{why}");
    }
    assert!(open_plain(web.address, Request { protocol: Some("xmpp, sip"), ..Request::default() }).await.is_ok());
    assert_eq!(web.signalling.tally().get(Count::NoSubprotocol), 3);
}

#[tokio::test]
async fn a_foreign_origin_is_refused_and_the_own_one_is_not() {
    let config = http::Config { origins: vec!["https://desk.example".into()], ..rules() };
    let web = Web::start(config, Limits::default()).await;
    let host = format!("localhost:{}", web.address.port());
    let own = format!("http://{host}");
    let with = |origin| Request { host: &host, origin, ..Request::default() };
    for origin in ["https://evil.example", "null", "http://localhost:1"] {
        let refused = open_plain(web.address, with(Some(origin))).await;
        assert_eq!(refused.err().map(|(status, _)| status), Some(403), "{origin}");
    }
    assert_eq!(web.signalling.tally().get(Count::ForeignOrigin), 3);
    for origin in [Some(own.as_str()), Some("https://desk.example"), None] {
        assert!(open_plain(web.address, with(origin)).await.is_ok(), "{origin:?}");
    }
}

#[tokio::test]
async fn an_origin_can_be_required() {
    let web = Web::start(http::Config { require_origin: true, ..rules() }, Limits::default()).await;
    let refused = open_plain(web.address, Request::default()).await;
    assert_eq!(refused.err().map(|(status, _)| status), Some(403));
}

#[tokio::test]
async fn a_request_that_is_no_upgrade_is_told_so() {
    let web = web().await;
    let (head, _) = client::get(web.address, "/ws").await;
    assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
    assert!(head.to_ascii_lowercase().contains("upgrade: websocket"), "{head}");
}

#[tokio::test]
async fn text_and_binary_frames_carry_one_message_each() {
    let web = web().await;
    let mut client = open_plain(web.address, Request::default()).await.expect("open");
    client.send(Message::text(options(""))).await;
    assert!(client.sip().await.starts_with("SIP/2.0 200 "));
    let other = options("").replace("z9hG4bKOPTIONS1", "z9hG4bKother");
    client.send(Message::binary(other.into_bytes())).await;
    assert!(client.sip().await.contains("z9hG4bKother"));
}

#[tokio::test]
async fn a_double_crlf_is_answered_by_one() {
    let web = web().await;
    let mut client = open_plain(web.address, Request::default()).await.expect("open");
    client.send(Message::text("\r\n\r\n")).await;
    assert_eq!(client.next().await, Some(Message::text("\r\n")));
    client.send(Message::binary(b"\r\n\r\n".to_vec())).await;
    assert_eq!(client.next().await, Some(Message::binary(b"\r\n".to_vec())));
    // A single one is an answer, and is not answered.
    client.send(Message::text("\r\n")).await;
    client.send(Message::text(options(""))).await;
    assert!(client.sip().await.starts_with("SIP/2.0 200 "));
}

#[tokio::test]
async fn a_message_beyond_the_limit_closes_the_flow() {
    let web = web().await;
    let mut client = open_plain(web.address, Request::default()).await.expect("open");
    web.flows(1).await;
    let large = options(&format!("X-Large: {}\r\n", "a".repeat(64 << 10)));
    let _ = client.socket.send(Message::text(large)).await;
    assert!(matches!(client.next().await, None | Some(Message::Close(_))));
    assert_eq!(web.signalling.tally().get(Count::BadFrame), 1);
    web.flows(0).await;
}

#[tokio::test]
async fn a_message_in_endless_fragments_closes_the_flow() {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    let web = web().await;
    let mut client = open_plain(web.address, Request::default()).await.expect("open");
    let mut code = Data::Text;
    let mut sent = 0;
    while sent < 1000 {
        let frame = Frame::message(vec![b'a'; 1024], OpCode::Data(code), false);
        if client.socket.send(Message::Frame(frame)).await.is_err() {
            break;
        }
        code = Data::Continue;
        sent += 1;
    }
    web.counted(Count::BadFrame).await;
    web.flows(0).await;
}

#[tokio::test]
async fn malformed_sip_does_not_close_the_flow() {
    let web = web().await;
    let mut client = open_plain(web.address, Request::default()).await.expect("open");
    for bad in ["hello", "OPTIONS sip:a SIP/2.0\r\n\r\n", "SIP/2.0 999\r\n\r\n", "\0\0\0"] {
        client.send(Message::text(bad)).await;
    }
    client.send(Message::text(options(""))).await;
    let mut answer = client.sip().await;
    while answer.starts_with("SIP/2.0 400 ") {
        answer = client.sip().await;
    }
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
}

#[tokio::test]
async fn a_browser_registers_with_digest() {
    let web = web().await;
    let mut client = open_plain(web.address, Request::default()).await.expect("open");
    let answer = client.sign_in("5001").await;
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    assert!(answer.contains("k4tn5q.invalid"), "{answer}");
    assert_eq!(web.signalling.figures().await.expect("alive").snapshot.registrations.len(), 1);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_dn_are_told_apart_by_nothing() {
    let web = web().await;
    let mut firsts = Vec::new();
    for (dn, password) in [("5001", "wrong"), ("4711", PASSWORD)] {
        let mut client = open_plain(web.address, Request::default()).await.expect("open");
        let challenge = client.register(dn, password, 1, None).await;
        assert!(challenge.starts_with("SIP/2.0 401 "), "{challenge}");
        let answer = client.register(dn, password, 2, Some(&challenge)).await;
        firsts.push(answer.lines().next().expect("a line").to_owned());
        assert_eq!(web.signalling.figures().await.expect("alive").snapshot.registrations.len(), 0);
    }
    assert_eq!(firsts[0], firsts[1]);
    assert!(firsts[0].starts_with("SIP/2.0 40"), "{firsts:?}");
}

#[tokio::test]
async fn a_lost_connection_takes_its_registration_along() {
    let web = web().await;
    let mut client = open_plain(web.address, Request::default()).await.expect("open");
    client.sign_in("5001").await;
    drop(client);
    web.flows(0).await;
    assert_eq!(web.signalling.figures().await.expect("alive").snapshot.registrations.len(), 0);
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_loses_its_flow() {
    let limits = WebSocketLimits {
        ping_interval: Duration::from_millis(50),
        pong_timeout: Duration::from_millis(100),
        ..WebSocketLimits::default()
    };
    let web = quick(limits).await;
    // Not polled, the client answers no ping.
    let silent = open_plain(web.address, Request::default()).await.expect("open");
    web.counted(Count::NoPong).await;
    web.flows(0).await;
    drop(silent);
}

#[tokio::test]
async fn a_peer_that_answers_pings_stays() {
    let limits = WebSocketLimits {
        ping_interval: Duration::from_millis(20),
        pong_timeout: Duration::from_millis(500),
        ..WebSocketLimits::default()
    };
    let web = quick(limits).await;
    let mut client = open_plain(web.address, Request::default()).await.expect("open");
    // Reading is what makes the client answer.
    let reading = tokio::time::timeout(Duration::from_millis(1500), client.next());
    assert!(tokio::time::timeout(Duration::from_secs(3), reading).await.expect("ends").is_err());
    client.send(Message::text(options(""))).await;
    assert!(client.sip().await.starts_with("SIP/2.0 200 "));
    assert_eq!(web.signalling.tally().get(Count::NoPong), 0);
}

#[tokio::test]
async fn a_reader_that_does_not_read_loses_its_flow() {
    let limits = WebSocketLimits { write_timeout: Duration::from_millis(300), ..WebSocketLimits::default() };
    let web = quick(limits).await;
    let socket = TcpSocket::new_v4().expect("socket");
    socket.set_recv_buffer_size(4096).expect("small");
    let stream = socket.connect(web.address).await.expect("connected");
    let mut client = client::open(stream, Request::default()).await.expect("open");
    // The answers repeat the Via: 16 KiB each, never read.
    let padding = "a".repeat(16 << 10);
    for at in 0..4000 {
        let branch = format!("z9hG4bK{at};x={padding}");
        let message = Message::text(options("").replace("z9hG4bKOPTIONS1", &branch));
        let sent = tokio::time::timeout(Duration::from_millis(200), client.socket.send(message)).await;
        if !matches!(sent, Ok(Ok(()))) {
            break;
        }
    }
    web.counted(Count::SlowReader).await;
    web.flows(0).await;
}

#[tokio::test]
async fn a_header_that_never_ends_is_not_waited_for() {
    let web =
        Web::start(http::Config { header_timeout: Duration::from_millis(100), ..rules() }, Limits::default()).await;
    let mut stream = TcpStream::connect(web.address).await.expect("connected");
    stream.write_all(b"GET /ws HTTP/1.1\r\nHost: local").await.expect("written");
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "still open");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let web = Web::start(rules(), Limits { connections: 2, ..Limits::default() }).await;
    let first = open_plain(web.address, Request::default()).await.expect("open");
    let _second = open_plain(web.address, Request::default()).await.expect("open");
    let mut third = TcpStream::connect(web.address).await.expect("the kernel takes it");
    let read = tokio::time::timeout(Duration::from_secs(5), third.read(&mut [0; 16])).await.expect("closed");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert_eq!(web.signalling.tally().get(Count::TooManyConnections), 1);
    drop(first);
    web.flows(1).await;
    crate::rig::eventually(|| true).await;
    assert!(open_plain(web.address, Request::default()).await.is_ok(), "a seat is free again");
}

#[tokio::test]
async fn a_shutdown_closes_flows_in_good_order() {
    let web = web().await;
    let mut client = open_plain(web.address, Request::default()).await.expect("open");
    web.flows(1).await;
    web.signalling.shutdown(std::time::Instant::now() + Duration::from_secs(1)).await.expect("told");
    assert!(matches!(client.next().await, Some(Message::Close(_))));
}
