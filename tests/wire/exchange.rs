//! A SIP Server that answers by itself what it is sent, calls a DN when it is told to, and keeps everything that came.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;

#[derive(Default)]
struct State {
    log: Vec<String>,
    /// By Call-ID.
    dialogs: HashMap<String, Dialog>,
    cseq: u32,
    /// Events of RFC 4733 that came, each once, with the timestamps that they began at.
    keys: Vec<(u8, [u8; 4])>,
}

/// What our own requests in a dialog begin with.
struct Dialog {
    us: String,
    them: String,
    target: String,
}

/// Payload type of keys.
const EVENTS: u8 = 101;

/// Its sockets; 6006 is busy, every other number answers.
#[derive(Clone)]
pub struct Exchange {
    socket: Arc<UdpSocket>,
    media: u16,
    gateway: SocketAddr,
    state: Arc<Mutex<State>>,
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let found = message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_default()
}

fn uri(value: &str) -> String {
    value.split(['<', '>']).nth(1).unwrap_or(value).to_owned()
}

impl Exchange {
    /// Begins to answer at `address`.
    pub async fn start(address: SocketAddr, gateway: SocketAddr) -> Exchange {
        let socket = Arc::new(UdpSocket::bind(address).await.expect("bound"));
        let voice = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bound");
        let media = voice.local_addr().expect("bound").port();
        let exchange = Exchange { socket, media, gateway, state: Arc::default() };
        let own = exchange.clone();
        tokio::spawn(async move {
            let mut packet = [0; 1500];
            while let Ok(length) = voice.recv(&mut packet).await {
                if length >= 16 && packet[1] & 0x7F == EVENTS {
                    let key = (packet[12], [packet[4], packet[5], packet[6], packet[7]]);
                    let mut state = own.state();
                    if state.keys.last() != Some(&key) {
                        state.keys.push(key);
                    }
                }
            }
        });
        let own = exchange.clone();
        tokio::spawn(async move {
            let mut buffer = vec![0; 65_535];
            while let Ok((length, from)) = own.socket.recv_from(&mut buffer).await {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                for out in own.receive(&text) {
                    let _ = own.socket.send_to(out.as_bytes(), from).await;
                }
            }
        });
        exchange
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    fn sdp(&self, direction: &str) -> String {
        let (ip, port) = (Ipv4Addr::LOCALHOST, self.media);
        format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 {EVENTS}\r\n\
             a=rtpmap:{EVENTS} telephone-event/8000\r\na={direction}\r\n"
        )
    }

    fn respond(&self, to: &str, status: &str, body: &str) -> String {
        let vias: String = to.lines().filter(|l| l.starts_with("Via: ")).map(|l| format!("{l}\r\n")).collect();
        let mut callee = header(to, "To").to_owned();
        if !callee.contains(";tag=") {
            callee.push_str(";tag=x");
        }
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "SIP/2.0 {status}\r\n{vias}From: {}\r\nTo: {callee}\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: <sip:x@{}>\r\n\
             X-Genesys-CallUUID: {}\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            header(to, "From"),
            header(to, "Call-ID"),
            header(to, "CSeq"),
            self.own(),
            uuid(header(to, "Call-ID")),
            body.len(),
        )
    }

    fn receive(&self, text: &str) -> Vec<String> {
        let method = text.split(' ').next().unwrap_or_default();
        if method != "OPTIONS" {
            self.state().log.push(text.to_owned());
        }
        match method {
            "INVITE" => self.invited(text),
            "ACK" => Vec::new(),
            "SIP/2.0" => self.response(text),
            _ => vec![self.respond(text, "200 OK", "")],
        }
    }

    fn invited(&self, text: &str) -> Vec<String> {
        if text.starts_with("INVITE sip:6006@") {
            return vec![self.respond(text, "486 Busy Here", "")];
        }
        let direction = match () {
            () if text.contains("a=sendonly") => "recvonly",
            () if text.contains("a=inactive") => "inactive",
            () => "sendrecv",
        };
        let dialog = Dialog {
            us: format!("{};tag=x", header(text, "To")),
            them: header(text, "From").to_owned(),
            target: uri(header(text, "Contact")),
        };
        self.state().dialogs.entry(header(text, "Call-ID").to_owned()).or_insert(dialog);
        let ringing = (!header(text, "To").contains(";tag=")).then(|| self.respond(text, "180 Ringing", ""));
        ringing.into_iter().chain([self.respond(text, "200 OK", &self.sdp(direction))]).collect()
    }

    fn response(&self, text: &str) -> Vec<String> {
        let status: u16 = text.get(8..11).and_then(|s| s.parse().ok()).unwrap_or(0);
        if !header(text, "CSeq").ends_with("INVITE") || status < 200 {
            return Vec::new();
        }
        let call_id = header(text, "Call-ID");
        let cseq = header(text, "CSeq").split(' ').next().unwrap_or("1").to_owned();
        let mut state = self.state();
        let Some(dialog) = state.dialogs.get_mut(call_id) else { return Vec::new() };
        header(text, "To").clone_into(&mut dialog.them);
        if status < 300 {
            dialog.target = uri(header(text, "Contact"));
        }
        vec![self.request(dialog, call_id, "ACK", &cseq, "")]
    }

    fn request(&self, dialog: &Dialog, call_id: &str, method: &str, cseq: &str, body: &str) -> String {
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let own = self.own();
        format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{call_id}{method}{cseq}\r\nMax-Forwards: 70\r\n\
             From: {}\r\nTo: {}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:x@{own}>\r\n\
             X-Genesys-CallUUID: {}\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            dialog.target,
            dialog.us,
            dialog.them,
            uuid(call_id),
            body.len(),
        )
    }

    /// Calls a DN as a customer; returns the CallUUID.
    pub async fn call(&self, dn: &str, from: &str) -> String {
        self.call_as(dn, from, format!("customer{from}")).await
    }

    /// Calls a DN as a customer who has called before, by the same CallUUID.
    pub async fn call_again(&self, dn: &str, from: &str, time: usize) -> String {
        self.call_as(dn, from, format!("customer{from}~{time}")).await
    }

    async fn call_as(&self, dn: &str, from: &str, call_id: String) -> String {
        let dialog = Dialog {
            us: format!("<sip:{from}@{}>;tag=x", self.own()),
            them: format!("<sip:{dn}@{}>", self.gateway),
            target: format!("sip:{dn}@{}", self.gateway),
        };
        let invite = self.request(&dialog, &call_id, "INVITE", "1", &self.sdp("sendrecv"));
        self.state().dialogs.insert(call_id.clone(), dialog);
        self.socket.send_to(invite.as_bytes(), self.gateway).await.expect("sent");
        uuid(&call_id)
    }

    /// Hangs up the customer's call.
    pub async fn hang_up(&self, from: &str) {
        let call_id = format!("customer{from}");
        let bye = {
            let mut state = self.state();
            state.cseq += 1;
            let cseq = (100 + state.cseq).to_string();
            self.request(&state.dialogs[&call_id], &call_id, "BYE", &cseq, "")
        };
        self.socket.send_to(bye.as_bytes(), self.gateway).await.expect("sent");
    }

    /// Returns the keys that were pressed towards it.
    pub fn keys(&self) -> String {
        self.state().keys.iter().map(|(event, _)| char::from(b"0123456789*#ABCD"[usize::from(*event & 15)])).collect()
    }

    /// Waits for a message that came and is wanted; returns it.
    pub async fn got(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let found = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                if let Some(found) = self.state().log.iter().find(|message| wanted(message)) {
                    return found.clone();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        found.await.unwrap_or_else(|_| panic!("{what} within 10 s; there was:\n{}", self.state().log.join("\n")))
    }
}

/// A CallUUID as the SIP Server writes them: 32 characters, the same for the whole of a call.
fn uuid(call_id: &str) -> String {
    let customer = call_id.split('~').next().unwrap_or_default();
    let letters = customer.bytes().filter(u8::is_ascii_alphanumeric).map(|b| char::from(b.to_ascii_uppercase()));
    letters.chain(std::iter::repeat('0')).take(32).collect()
}
