//! A client's way into a session, one connection each: handshake, subscription, a connect that is held.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::server::PASSWORD;

/// How a client speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Socket,
    Polling,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Socket => "websocket",
            Kind::Polling => "long-polling",
        }
    }
}

/// What a client wants.
pub struct Opening {
    pub kind: Kind,
    /// Whose session it is.
    pub agent: Option<usize>,
    pub channel: &'static str,
}

/// A client in its session.
pub struct Client {
    pub stream: TcpStream,
    pub kind: Kind,
    /// What it sends when its connect was answered.
    pub connect: Vec<u8>,
    /// What has come and is not whole.
    pub inbox: Vec<u8>,
}

impl Client {
    /// Returns true if the server has neither closed the connection nor answered the connect.
    pub fn is_held(&self) -> bool {
        self.stream.set_nonblocking(true).expect("a socket");
        let got = self.stream.peek(&mut [0; 512]);
        got.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    fn ask(&mut self, body: &str, head: &str) -> String {
        let bytes = request(self.kind, body, head);
        self.stream.write_all(&bytes).expect("a server");
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut piece = [0; 4096];
        loop {
            if let Some((_, whole)) = take(self.kind, &self.inbox) {
                let answer = String::from_utf8_lossy(&self.inbox[..whole]).into_owned();
                self.inbox.drain(..whole);
                return answer;
            }
            let read = self.stream.read(&mut piece).expect("a server");
            assert!(read > 0, "closed");
            self.inbox.extend_from_slice(&piece[..read]);
        }
    }
}

/// Opens a session; panics where it is refused.
pub fn open(at: SocketAddr, opening: &Opening) -> Client {
    let Opening { kind, agent, channel } = opening;
    let stream = TcpStream::connect(at).expect("a server");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    let mut client = Client { stream, kind: *kind, connect: Vec::new(), inbox: Vec::new() };
    if *kind == Kind::Socket {
        upgrade(&mut client);
    }
    let name = kind.name();
    let login = agent.map_or(String::new(), |k| {
        format!(r#","ext":{{"authentication":{{"username":"agent{k}","password":"{PASSWORD}"}}}}"#)
    });
    let hands = client.ask(
        &format!(
            r#"[{{"id":"1","channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["{name}"]{login}}}]"#
        ),
        "",
    );
    let id = between(&hands, "\"clientId\":\"", '"').unwrap_or_else(|| panic!("{hands}")).to_owned();
    // Ours names the login, the other the browser.
    let cookie = hands.lines().filter(|line| line.to_ascii_lowercase().starts_with("set-cookie:"));
    let cookie: Vec<&str> = cookie.filter_map(|line| between(line, ": ", ';')).collect();
    let head = if cookie.is_empty() { String::new() } else { format!("Cookie: {}\r\n", cookie.join("; ")) };
    let message = format!(r#"[{{"id":"2","channel":"/meta/subscribe","subscription":"{channel}","clientId":"{id}"}}]"#);
    let subscribed = client.ask(&message, &head);
    assert!(subscribed.contains("\"successful\":true"), "{subscribed}");
    let connect = format!(r#"[{{"id":"3","channel":"/meta/connect","connectionType":"{name}","clientId":"{id}"}}]"#);
    // The other server holds the first one, too, unless it is asked not to.
    let connected = client.ask(&connect.replacen('}', r#","advice":{"timeout":0}}"#, 1), &head);
    assert!(connected.contains("\"successful\":true"), "{connected}");
    client.connect = request(*kind, &connect, &head);
    let again = client.connect.clone();
    client.stream.write_all(&again).expect("a server");
    client
}

fn upgrade(client: &mut Client) {
    let head = "GET /genesys/cometd HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    client.stream.write_all(head.as_bytes()).expect("a server");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.stream.read_exact(&mut byte).expect("a server");
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
}

fn between<'a>(text: &'a str, before: &str, after: char) -> Option<&'a str> {
    let from = text.find(before)? + before.len();
    text[from..].find(after).map(|to| &text[from..from + to])
}

fn request(kind: Kind, body: &str, head: &str) -> Vec<u8> {
    match kind {
        Kind::Polling => format!(
            "POST /genesys/cometd HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{head}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes(),
        Kind::Socket => frame(1, body.as_bytes()),
    }
}

/// Writes a frame, masked with zeros.
pub fn frame(opcode: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80 | opcode];
    match body.len() {
        short @ 0..126 => out.push(0x80 | short as u8),
        long => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(body);
    out
}

/// Finds the first whole answer or frame: where its body begins, and its end.
pub fn take(kind: Kind, bytes: &[u8]) -> Option<(usize, usize)> {
    let (from, len) = match kind {
        Kind::Socket => match *bytes.get(1)? {
            126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
            127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
            short => (2, usize::from(short)),
        },
        Kind::Polling => {
            let head = memchr::memmem::find(bytes, b"\r\n\r\n")?;
            let line = bytes[..head]
                .split(|b| *b == b'\n')
                .find(|line| line.get(..15).is_some_and(|name| name.eq_ignore_ascii_case(b"content-length:")));
            let Some(line) = line else {
                // In pieces, and nothing follows before the next request.
                return bytes.ends_with(b"\r\n0\r\n\r\n").then_some((head + 4, bytes.len()));
            };
            (head + 4, std::str::from_utf8(&line[15..]).ok()?.trim().parse().ok()?)
        }
    };
    (bytes.len() >= from + len).then_some((from, from + len))
}
