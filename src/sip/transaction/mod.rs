//! SIP transactions (RFC 3261 17, RFC 6026): four machines and the table that finds them.
//!
//! Matching is by branch, sent-by and method (RFC 3261 17.1.3, 17.2.3); a request without the magic cookie is matched by
//! Request-URI, From tag, Call-ID, CSeq number and top Via. From and To are never compared as strings, because one
//! transaction may spell them in several ways.

mod client;
mod invite_client;
mod invite_server;
mod large;
mod server;
mod table;
#[cfg(test)]
mod tests;

use bytes::Bytes;

pub(crate) use table::Table;

/// What a machine wants done after an input.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// Sent on the transaction's path.
    pub(crate) send: Option<Bytes>,
    /// The message is the user's.
    pub(crate) deliver: bool,
    /// The user hears of a time-out.
    pub(crate) timed_out: bool,
}

impl Step {
    fn send(bytes: Bytes) -> Step {
        Step { send: Some(bytes), ..Step::default() }
    }

    fn deliver() -> Step {
        Step { deliver: true, ..Step::default() }
    }

    fn timed_out() -> Step {
        Step { timed_out: true, ..Step::default() }
    }
}
