//! Bayeux 1.0, the protocol of CometD: channels, messages, sessions, the server and the client.
//!
//! Pure: [`server::Server`] takes requests, frames and the time, and gives back what to send and the next deadline. Sockets,
//! cookies, passwords and the three transports (long-polling, callback-polling, websocket) are the shell's, which tells
//! who called ([`Caller`]) and is told what to write ([`server::Output`]).
//!
//! ```text
//!  handshake ──► session ──connect──► answered at once ──connect──► held ──message, timeout, newer connect──► answered
//!                   │ no connect for `max_interval`, queue full, disconnect, logout               ▲               │
//!                   ▼                                                                             └────connect────┘
//!                 ended: whoever still uses its clientId is told `402::Unknown client` and to handshake again
//! ```
//!
//! A clientId counts only together with the [`Caller`] that shook hands for it: with a stolen one nothing can be read or
//! sent. We do not know lazy channels, and no message outlives its session.

pub mod channel;
pub mod client;
pub mod message;
pub mod server;
mod session;
mod write;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use write::join;

use crate::id::FlowId;

/// Why bytes are not a batch of Bayeux messages, or a publication is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BayeuxError {
    /// The body is larger than the bound.
    #[error("the body is too large")]
    TooLarge,
    /// More messages in one request than the bound, or none.
    #[error("too many messages, or none")]
    BadCount,
    /// Objects within objects beyond the bound.
    #[error("nested too deeply")]
    TooDeep,
    /// Not JSON, or a known field of the wrong kind.
    #[error("not a Bayeux message")]
    Malformed,
    /// Not the name of a channel.
    #[error("not a channel")]
    BadChannel,
    /// The client's outbox is full.
    #[error("the outbox is full")]
    Full,
}

/// Whom a session belongs to: the user name of an agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner(pub Arc<str>);

/// Who sent a request, as the shell knows it from cookies and logins; equal for all requests of one browser's login.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Caller {
    /// The agent that is logged in.
    pub owner: Option<Owner>,
    /// The secret that its cookie carries (HTTP session, or a cookie of the browser); tabs of one browser share it.
    pub cookie: Option<Arc<str>>,
}

impl fmt::Debug for Caller {
    /// Writes the owner; the cookie is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("owner", &self.owner).field("cookie", &self.cookie.is_some()).finish()
    }
}

/// Names one HTTP request that waits for its answer; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Where an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// An HTTP request: one body answers it.
    Http(RequestId),
    /// A WebSocket: each body is a text frame.
    Socket(FlowId),
}

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A frame per batch, both ways.
    WebSocket,
    /// POST with a JSON body.
    LongPolling,
    /// GET with `message` and `jsonp`, answered by a script.
    CallbackPolling,
}

impl Transport {
    /// Returns the name that `supportedConnectionTypes` uses.
    pub fn name(self) -> &'static str {
        match self {
            Transport::WebSocket => "websocket",
            Transport::LongPolling => "long-polling",
            Transport::CallbackPolling => "callback-polling",
        }
    }
}

/// The random name of a session: 160 bits, 40 hexadecimal digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId([u8; 20]);

impl ClientId {
    /// Makes a name of random bits.
    pub(crate) fn new(bits: [u8; 20]) -> ClientId {
        ClientId(bits)
    }

    /// Reads what [`Display`](fmt::Display) writes; anything else names no session.
    pub fn parse(text: &str) -> Option<ClientId> {
        let digit = |b: u8| match b {
            b'0'..=b'9' => Some(b - b'0'),
            b'a'..=b'f' => Some(b - b'a' + 10),
            _ => None,
        };
        let text: &[u8; 40] = text.as_bytes().try_into().ok()?;
        let mut bits = [0; 20];
        for (byte, pair) in bits.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(ClientId(bits))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ClientId {
    /// Writes the first digits: the whole is half of what a thief needs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}…", self.0[0], self.0[1])
    }
}
