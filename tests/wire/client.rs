//! A WebSocket client that sends what it is told, and SIP requests as JsSIP writes them.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use md5::{Digest, Md5};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::rig::{DOMAIN, PASSWORD};

/// What a browser offers.
pub const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 110 0 8\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=ice-options:trickle\r\na=fingerprint:sha-256 \
    00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
    a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:110 telephone-event/48000\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:8 PCMA/8000\r\na=ssrc:1 cname:x\r\n";

/// Headers of a WebSocket request; `None` leaves one out.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub path: &'a str,
    pub host: &'a str,
    pub origin: Option<&'a str>,
    pub protocol: Option<&'a str>,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Request { path: "/ws", host: "localhost", origin: None, protocol: Some("sip") }
    }
}

pub struct Client<S> {
    pub socket: WebSocketStream<S>,
}

/// Opens a WebSocket on `stream`, or returns status and body of the refusal.
pub async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    request: Request<'_>,
) -> Result<Client<S>, (u16, String)> {
    let mut built = tungstenite::http::Request::builder()
        .uri(format!("ws://{}{}", request.host, request.path))
        .header("Host", request.host)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", tungstenite::handshake::client::generate_key());
    if let Some(origin) = request.origin {
        built = built.header("Origin", origin);
    }
    if let Some(protocol) = request.protocol {
        built = built.header("Sec-WebSocket-Protocol", protocol);
    }
    match client_async(built.body(()).expect("a request"), stream).await {
        Ok((socket, response)) => {
            let chosen = response.headers().get("Sec-WebSocket-Protocol").and_then(|v| v.to_str().ok());
            assert_eq!(chosen, Some("sip"));
            Ok(Client { socket })
        }
        Err(tungstenite::Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            Err((response.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
        }
        Err(error) => panic!("{error}"),
    }
}

pub async fn open_plain(address: SocketAddr, request: Request<'_>) -> Result<Client<TcpStream>, (u16, String)> {
    open(TcpStream::connect(address).await.expect("connected"), request).await
}

/// Asks for a WebSocket without a subprotocol; returns the status of the refusal, `None` if there is none.
pub async fn refused(address: SocketAddr, request: Request<'_>) -> Option<u16> {
    let url = format!("ws://{}:{}{}", request.host, address.port(), request.path);
    let stream = TcpStream::connect(address).await.expect("connected");
    match client_async(url, stream).await {
        Ok(_) => None,
        Err(tungstenite::Error::Http(response)) => Some(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub async fn send(&mut self, message: Message) {
        self.socket.send(message).await.expect("sent");
    }

    /// Returns the next frame that is no ping, pong included; `None` once closed.
    pub async fn next(&mut self) -> Option<Message> {
        let next = async {
            loop {
                match self.socket.next().await? {
                    Ok(Message::Ping(_)) => {}
                    Ok(message) => return Some(message),
                    Err(_) => return None,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), next).await.expect("a frame within 10 s")
    }

    /// Returns the next SIP message.
    pub async fn sip(&mut self) -> String {
        match self.next().await.expect("a message") {
            Message::Text(text) => text.as_str().to_owned(),
            Message::Binary(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            other => panic!("{other:?}"),
        }
    }

    pub async fn register(&mut self, dn: &str, password: &str, cseq: u32, challenge: Option<&str>) -> String {
        let uri = format!("sip:{DOMAIN}");
        let authorization = challenge.map_or(String::new(), |challenge| {
            let nonce = parameter(challenge, "nonce");
            let ha1 = hash(&format!("{dn}:{DOMAIN}:{password}"));
            let ha2 = hash(&format!("REGISTER:{uri}"));
            let response = hash(&format!("{ha1}:{nonce}:00000001:c0ffee:auth:{ha2}"));
            format!(
                "Authorization: Digest algorithm=MD5, username=\"{dn}\", realm=\"{DOMAIN}\", nonce=\"{nonce}\", \
                 uri=\"{uri}\", response=\"{response}\", qop=auth, cnonce=\"c0ffee\", nc=00000001\r\n"
            )
        });
        let contact = format!("<sip:a1b2c3@k4tn5q.invalid;transport=ws>;+sip.instance=\"<urn:uuid:{dn}>\";expires=600");
        let more = format!("Contact: {contact}\r\nExpires: 600\r\n{authorization}");
        self.send(Message::text(request("REGISTER", &uri, dn, cseq, &more))).await;
        self.sip().await
    }

    /// Registers with the right password, and returns the final response.
    pub async fn sign_in(&mut self, dn: &str) -> String {
        let challenge = self.register(dn, PASSWORD, 1, None).await;
        assert!(challenge.starts_with("SIP/2.0 401 "), "{challenge}");
        self.register(dn, PASSWORD, 2, Some(&challenge)).await
    }
}

/// Calls a number as 5001.
pub async fn dial(browser: &mut Client<TcpStream>, number: &str) {
    dial_as(browser, "5001", number).await;
}

pub async fn dial_as(browser: &mut Client<TcpStream>, dn: &str, number: &str) {
    let invite = format!(
        "INVITE sip:{number}@{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/WS k4tn5q.invalid;branch=z9hG4bK{number}\r\n\
         Max-Forwards: 69\r\nTo: <sip:{number}@{DOMAIN}>\r\nFrom: <sip:{dn}@{DOMAIN}>;tag=t{number}\r\n\
         Call-ID: c{number}\r\nCSeq: 1 INVITE\r\nContact: <sip:a1b2c3@k4tn5q.invalid;transport=ws>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{OFFER}",
        OFFER.len()
    );
    browser.send(Message::text(invite)).await;
}

pub fn request(method: &str, uri: &str, dn: &str, cseq: u32, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/WS k4tn5q.invalid;branch=z9hG4bK{method}{cseq}\r\nMax-Forwards: 69\r\n\
         To: <sip:{dn}@{DOMAIN}>\r\nFrom: <sip:{dn}@{DOMAIN}>;tag=f{dn}\r\nCall-ID: {method}{dn}\r\n\
         CSeq: {cseq} {method}\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

fn hash(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

fn parameter<'a>(message: &'a str, name: &str) -> &'a str {
    let start = message.find(&format!("{name}=\"")).expect("the parameter") + name.len() + 2;
    message[start..].split('"').next().expect("its end")
}

/// Sends one HTTP request and returns head and body.
pub async fn http(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> (String, String) {
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
    // A TLS peer may leave without a close_notify; what came counts.
    let _ = read.await.expect("an answer within 10 s");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

pub async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n", address.port());
    http(TcpStream::connect(address).await.expect("connected"), &request).await
}
