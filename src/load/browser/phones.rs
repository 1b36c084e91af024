//! The browsers' registrations: one connection and one binding each (RFC 3261 10, RFC 7118 5).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::id::FlowId;
use crate::path::{Path, Transport};
use crate::sip::digest::client::Account;
use crate::sip::digest::{Challenge, DigestError, Secret};
use crate::sip::endpoint::{ClientTx, Endpoint, Header, Hop, OutRequest};
use crate::sip::message::{Message, Method, Name};

/// What is asked for, s: longer than most runs.
const EXPIRES_S: u32 = 3_600;
/// Shortest time until a binding is renewed.
const SHORTEST: Duration = Duration::from_secs(5);

/// How far a browser's registration is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It was not asked for yet.
    Idle,
    /// Under way.
    Asked(ClientTx),
    /// Bound, to be renewed at this time.
    Bound(Instant),
    /// Refused or lost: why.
    Failed(String),
}

/// One browser.
#[derive(Debug)]
pub struct Phone {
    /// Its number.
    pub dn: String,
    /// How its registration stands.
    pub state: State,
    /// The way to the target.
    pub path: Path,
    /// Address of ours that leads to the target.
    pub local: IpAddr,
    transport: Transport,
    queue: Option<mpsc::Sender<Bytes>>,
    domain: String,
    secret: String,
    /// A name of its own, as browsers make them up.
    host: String,
    instance: String,
    call_id: String,
    cseq: u32,
    /// The request that is under way bears credentials.
    proved: bool,
}

/// What a phone is made of.
#[derive(Debug)]
pub struct Connected {
    /// Its queue.
    pub queue: mpsc::Sender<Bytes>,
    /// Our address of the connection.
    pub local: SocketAddr,
    /// The target's.
    pub remote: SocketAddr,
    /// Under TLS.
    pub is_secure: bool,
}

impl Phone {
    /// Makes the phone of a connection; `token` is random and its own.
    pub fn new(number: usize, dn: String, domain: &str, secret: &str, connected: Connected, token: u64) -> Phone {
        Phone {
            dn,
            state: State::Idle,
            path: Path::Tcp { flow: FlowId(number as u64), remote: connected.remote },
            local: connected.local.ip(),
            transport: if connected.is_secure { Transport::Wss } else { Transport::Ws },
            queue: Some(connected.queue),
            domain: domain.to_owned(),
            secret: secret.to_owned(),
            host: format!("{token:016x}.invalid"),
            instance: format!(
                "{:08x}-{:04x}-4000-8000-{:012x}",
                token >> 32,
                (token >> 16) as u16,
                token & 0xffff_ffff
            ),
            call_id: format!("{:016x}", token.rotate_left(17)),
            cseq: 0,
            proved: false,
        }
    }

    /// Its address of record.
    pub fn aor(&self) -> String {
        format!("sip:{}@{}", self.dn, self.domain)
    }

    /// Its Contact, in angle brackets.
    pub fn contact(&self) -> String {
        format!("<sip:{}@{};transport=ws>", self.dn, self.host)
    }

    /// Where its requests go.
    pub fn hop(&self) -> Hop {
        Hop { path: self.path, transport: self.transport, sent_by: self.host.clone() }
    }

    /// How it sends.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Sends a message; a connection that takes no more is given up.
    pub fn send(&mut self, bytes: Bytes) {
        if self.queue.as_ref().is_some_and(|queue| queue.try_send(bytes).is_err()) {
            self.lose();
        }
    }

    /// Takes note that the connection is gone.
    pub fn lose(&mut self) {
        self.queue = None;
        self.state = State::Failed("the WebSocket was closed".to_owned());
    }

    /// Asks for a binding.
    pub fn register(&mut self, endpoint: &mut Endpoint, now: Instant) {
        self.ask(endpoint, None, now);
    }

    fn ask(&mut self, endpoint: &mut Endpoint, credentials: Option<Header>, now: Instant) {
        self.cseq += 1;
        self.proved = credentials.is_some();
        let contact = format!("{};+sip.instance=\"<urn:uuid:{}>\";reg-id=1", self.contact(), self.instance);
        let mut headers: Vec<Header> = vec![
            ("Contact".to_owned(), contact.into_bytes()),
            ("Expires".to_owned(), EXPIRES_S.to_string().into_bytes()),
            ("Supported".to_owned(), b"path, outbound".to_vec()),
        ];
        headers.extend(credentials);
        let aor = format!("<{}>", self.aor());
        let request = OutRequest {
            method: Method::Register,
            uri: format!("sip:{}", self.domain),
            from: aor.clone(),
            to: aor,
            call_id: Some(self.call_id.clone()),
            cseq: Some(self.cseq),
            headers,
            body: None,
        };
        self.state = State::Asked(endpoint.send_request(request, self.hop(), now));
    }

    /// Takes a response to its REGISTER.
    pub fn answered(&mut self, response: &Message, endpoint: &mut Endpoint, now: Instant) {
        match response.status() {
            100..200 => {}
            200..300 => {
                let granted = response.contacts().flatten().find_map(|contact| contact.param("expires")?.parse().ok());
                let granted = granted.or_else(|| response.number(Name::Expires)).unwrap_or(EXPIRES_S);
                let renew = Duration::from_secs(u64::from(granted) * 3 / 4).max(SHORTEST);
                self.state = State::Bound(now + renew);
            }
            401 | 407 => {
                let uri = format!("sip:{}", self.domain);
                let proof =
                    prove(response, &self.dn, &self.secret, &Method::Register, &uri, &self.call_id, self.proved);
                match proof {
                    Ok(credentials) => self.ask(endpoint, Some(credentials), now),
                    Err(why) => self.state = State::Failed(format!("REGISTER: {why}")),
                }
            }
            status => {
                let reason = String::from_utf8_lossy(response.reason()).into_owned();
                self.state = State::Failed(format!("REGISTER: {status} {reason}"));
            }
        }
    }
}

/// Answers a 401 or 407: the header to repeat the request with. `again`: it bore credentials already.
///
/// # Errors
/// Why it cannot be answered.
pub fn prove(
    response: &Message,
    username: &str,
    secret: &str,
    method: &Method,
    uri: &str,
    cnonce: &str,
    again: bool,
) -> Result<Header, DigestError> {
    let (challenge, answer) = if response.status() == 407 {
        (Name::ProxyAuthenticate, "Proxy-Authorization")
    } else {
        (Name::WwwAuthenticate, "Authorization")
    };
    // The realm is the target's own affair: a driver that does not know it yet takes what it is told.
    let first = response.headers(challenge).next().ok_or(DigestError::ForeignRealm)?;
    let realm = Challenge::parse(first)?.realm;
    let mut account = Account::new(username, realm, Secret::Password(secret.to_owned()));
    let value = account.answer(response.headers(challenge), method, uri, cnonce, again)?;
    Ok((answer.to_owned(), value.into_bytes()))
}
