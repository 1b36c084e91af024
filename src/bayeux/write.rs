//! Writes replies and events: always an array.

use bytes::Bytes;

use super::channel::Channel;
use super::message::Timesync;
use super::{ClientId, Transport};

/// What a client shall do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reconnect {
    Retry,
    Handshake,
    None,
}

/// Advice (Bayeux 1.0 §6): what to do, how long to wait before it, and how long a connect is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Advice {
    pub(super) reconnect: Reconnect,
    pub(super) interval_ms: u64,
    pub(super) timeout_ms: Option<u64>,
    pub(super) multiple_clients: bool,
}

impl Advice {
    /// Shake hands again, at once.
    pub(super) const HANDSHAKE: Advice =
        Advice { reconnect: Reconnect::Handshake, interval_ms: 0, timeout_ms: None, multiple_clients: false };
    /// Do not come again.
    pub(super) const NONE: Advice = Advice { reconnect: Reconnect::None, ..Advice::HANDSHAKE };

    fn write(&self, out: &mut Vec<u8>) {
        let reconnect = match self.reconnect {
            Reconnect::Retry => "retry",
            Reconnect::Handshake => "handshake",
            Reconnect::None => "none",
        };
        out.extend_from_slice(format!("{{\"reconnect\":\"{reconnect}\",\"interval\":{}", self.interval_ms).as_bytes());
        if let Some(timeout) = self.timeout_ms {
            out.extend_from_slice(format!(",\"timeout\":{timeout}").as_bytes());
        }
        if self.multiple_clients {
            out.extend_from_slice(b",\"multiple-clients\":true");
        }
        out.push(b'}');
    }
}

/// The answer to a timesync: what the client sent, and the server's clock at both ends, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    pub(super) asked: Timesync,
    pub(super) received_ms: i64,
    pub(super) held_ms: i64,
}

impl Clocks {
    fn write(&self, out: &mut Vec<u8>) {
        let accuracy = (self.asked.tc + self.asked.o + self.asked.l) as i64;
        let accuracy = accuracy.saturating_sub(self.received_ms);
        let (tc, ts, p) = (self.asked.tc as i64, self.received_ms, self.held_ms);
        out.extend_from_slice(
            format!("\"timesync\":{{\"tc\":{tc},\"ts\":{ts},\"p\":{p},\"a\":{accuracy}}}").as_bytes(),
        );
    }
}

/// What the ack extension answers.
#[derive(Clone, Copy, Debug)]
pub(super) enum AckReply {
    Enabled,
    Batch(u64),
}

/// One reply; what is `None` is left out.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    pub(super) channel: Option<&'a str>,
    pub(super) id: Option<&'a [u8]>,
    pub(super) error: Option<&'a str>,
    pub(super) client: Option<ClientId>,
    pub(super) subscription: Option<&'a [u8]>,
    pub(super) transports: &'a [Transport],
    pub(super) advice: Option<Advice>,
    pub(super) ack: Option<AckReply>,
    pub(super) clocks: Option<Clocks>,
}

impl<'a> Reply<'a> {
    /// A reply that says yes.
    pub(super) fn ok(channel: &'a str, id: Option<&'a Bytes>) -> Reply<'a> {
        Reply {
            channel: Some(channel),
            id: id.map(AsRef::as_ref),
            error: None,
            client: None,
            subscription: None,
            transports: &[],
            advice: None,
            ack: None,
            clocks: None,
        }
    }

    /// A reply that says no, and why.
    pub(super) fn refused(channel: Option<&'a str>, id: Option<&'a Bytes>, error: &'a str) -> Reply<'a> {
        Reply { channel, error: Some(error), ..Reply::ok("", id) }
    }
}

/// Writes `text` as a JSON string.
fn string(out: &mut Vec<u8>, text: &str) {
    // A Vec takes every write, and a str is always a JSON string.
    let _ = serde_json::to_writer(out, text);
}

/// An array of messages that grows.
#[derive(Debug)]
pub(super) struct Body(Vec<u8>);

impl Body {
    pub(super) fn new() -> Body {
        Body(vec![b'['])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    fn part(&mut self) -> &mut Vec<u8> {
        if !self.is_empty() {
            self.0.push(b',');
        }
        &mut self.0
    }

    /// Adds an event, which is an array of one by itself, or another array that is not empty.
    pub(super) fn event(&mut self, event: &Bytes) {
        self.part().extend_from_slice(&event[1..event.len() - 1]);
    }

    /// Adds a reply.
    pub(super) fn reply(&mut self, reply: &Reply<'_>) {
        let out = self.part();
        let successful = reply.error.is_none();
        out.extend_from_slice(format!("{{\"successful\":{successful}").as_bytes());
        if let Some(channel) = reply.channel {
            out.extend_from_slice(b",\"channel\":");
            string(out, channel);
        }
        if let Some(id) = reply.id {
            out.extend_from_slice(b",\"id\":");
            out.extend_from_slice(id);
        }
        if let Some(client) = reply.client {
            out.extend_from_slice(format!(",\"clientId\":\"{client}\"").as_bytes());
        }
        if let Some(error) = reply.error {
            out.extend_from_slice(b",\"error\":");
            string(out, error);
        }
        if let Some(subscription) = reply.subscription {
            out.extend_from_slice(b",\"subscription\":");
            out.extend_from_slice(subscription);
        }
        if !reply.transports.is_empty() {
            let names: Vec<String> = reply.transports.iter().map(|t| format!("\"{}\"", t.name())).collect();
            let types = names.join(",");
            out.extend_from_slice(
                format!(",\"version\":\"1.0\",\"minimumVersion\":\"1.0\",\"supportedConnectionTypes\":[{types}]")
                    .as_bytes(),
            );
        }
        if let Some(advice) = &reply.advice {
            out.extend_from_slice(b",\"advice\":");
            advice.write(out);
        }
        extensions(out, reply);
        out.push(b'}');
    }

    /// Closes the array.
    pub(super) fn finish(mut self) -> Bytes {
        self.0.push(b']');
        Bytes::from(self.0)
    }
}

fn extensions(out: &mut Vec<u8>, reply: &Reply<'_>) {
    if reply.ack.is_none() && reply.clocks.is_none() {
        return;
    }
    out.extend_from_slice(b",\"ext\":{");
    match reply.ack {
        Some(AckReply::Enabled) => out.extend_from_slice(b"\"ack\":true"),
        Some(AckReply::Batch(batch)) => out.extend_from_slice(format!("\"ack\":{batch}").as_bytes()),
        None => {}
    }
    if let Some(clocks) = &reply.clocks {
        if reply.ack.is_some() {
            out.push(b',');
        }
        clocks.write(out);
    }
    out.push(b'}');
}

/// Makes one body of several that a server wrote, in their order.
pub fn join(bodies: &[Bytes]) -> Bytes {
    let mut joined = Body(Vec::with_capacity(bodies.iter().map(Bytes::len).sum::<usize>() + 2));
    joined.0.push(b'[');
    bodies.iter().for_each(|body| joined.event(body));
    joined.finish()
}

/// Builds an event as an array of one: written once, then shared by all who get it.
pub(super) fn event(channel: &Channel, data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(channel.len() + data.len() + 32);
    out.extend_from_slice(b"[{\"channel\":");
    string(&mut out, channel);
    out.extend_from_slice(b",\"data\":");
    out.extend_from_slice(data);
    out.extend_from_slice(b"}]");
    Bytes::from(out)
}
