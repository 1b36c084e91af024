//! Request methods (RFC 3261 7.1): case-sensitive tokens.

use std::{fmt, sync::Arc};

/// A request method; one that we do not know is carried along by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// INVITE, RFC 3261.
    Invite,
    /// ACK, RFC 3261.
    Ack,
    /// CANCEL, RFC 3261.
    Cancel,
    /// BYE, RFC 3261.
    Bye,
    /// REGISTER, RFC 3261.
    Register,
    /// OPTIONS, RFC 3261.
    Options,
    /// INFO, RFC 6086.
    Info,
    /// UPDATE, RFC 3311.
    Update,
    /// PRACK, RFC 3262.
    Prack,
    /// REFER, RFC 3515.
    Refer,
    /// NOTIFY, RFC 6665.
    Notify,
    /// SUBSCRIBE, RFC 6665.
    Subscribe,
    /// MESSAGE, RFC 3428.
    Message,
    /// PUBLISH, RFC 3903.
    Publish,
    /// Any other token.
    Other(Arc<str>),
}

impl Method {
    /// Reads a method token; `None` when `text` is no token.
    pub fn parse(text: &[u8]) -> Option<Method> {
        Some(match text {
            b"INVITE" => Method::Invite,
            b"ACK" => Method::Ack,
            b"CANCEL" => Method::Cancel,
            b"BYE" => Method::Bye,
            b"REGISTER" => Method::Register,
            b"OPTIONS" => Method::Options,
            b"INFO" => Method::Info,
            b"UPDATE" => Method::Update,
            b"PRACK" => Method::Prack,
            b"REFER" => Method::Refer,
            b"NOTIFY" => Method::Notify,
            b"SUBSCRIBE" => Method::Subscribe,
            b"MESSAGE" => Method::Message,
            b"PUBLISH" => Method::Publish,
            other => Method::Other(super::chars::token(other)?.into()),
        })
    }

    /// The method as it stands on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Invite => "INVITE",
            Method::Ack => "ACK",
            Method::Cancel => "CANCEL",
            Method::Bye => "BYE",
            Method::Register => "REGISTER",
            Method::Options => "OPTIONS",
            Method::Info => "INFO",
            Method::Update => "UPDATE",
            Method::Prack => "PRACK",
            Method::Refer => "REFER",
            Method::Notify => "NOTIFY",
            Method::Subscribe => "SUBSCRIBE",
            Method::Message => "MESSAGE",
            Method::Publish => "PUBLISH",
            Method::Other(name) => name,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
