//! What is wrong with a message, and what to answer.

use bytes::Bytes;

/// A message that was refused: the status that fits, and a reply where one can be sent.
///
/// Responses and ACKs are never answered; nor is a request without a readable Via, From, To, Call-ID and CSeq.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {reason}")]
pub struct Malformed {
    /// The SIP status: 400, 416 (Request-URI scheme), 505 (version), 513 (too large).
    pub status: u16,
    /// What was found, for the log and the reason phrase.
    pub reason: &'static str,
    pub(super) reply: Option<Bytes>,
}

impl Malformed {
    /// The reply, ready to send to where the message came from; `None`: drop and count.
    pub fn response(&self) -> Option<Bytes> {
        self.reply.clone()
    }
}

/// A flaw before it is known whether it can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub status: u16,
    pub reason: &'static str,
}

/// A flaw to be answered with 400 Bad Request.
pub(super) const fn bad(reason: &'static str) -> Flaw {
    Flaw { status: 400, reason }
}
