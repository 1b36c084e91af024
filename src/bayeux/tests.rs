//! The rules of the room, one test each.

mod client;
mod connects;
mod crowd;
mod events;
mod reading;
mod sessions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use super::channel::{Channel, Pattern};
use super::message::{Batch, Limits};
use super::server::{Audience, Clock, Config, Input, Output, Policy, Publication, Reach, Server};
use super::{Caller, Owner, Peer, RequestId};
use crate::id::FlowId;

/// Agents subscribe to all, others to nothing below `/v2`; `/own` reaches one's own, `/chat` and services everybody.
pub(super) struct Rules;

impl Policy for Rules {
    fn may_handshake(&self, caller: &Caller) -> bool {
        caller.cookie.as_deref() != Some("banned")
    }

    fn may_subscribe(&self, caller: &Caller, pattern: &Pattern) -> bool {
        caller.owner.is_some() || !pattern.starts_with("/v2/")
    }

    fn may_publish(&self, _: &Caller, channel: &Channel) -> Reach {
        match channel.split('/').nth(1) {
            Some("chat" | "service") => Reach::All,
            Some("own") => Reach::Own,
            _ => Reach::Nobody,
        }
    }
}

pub(super) fn agent(name: &str) -> Caller {
    Caller { owner: Some(Owner(Arc::from(name))), cookie: Some(Arc::from(format!("cookie-{name}"))) }
}

pub(super) fn http(number: u64) -> Peer {
    Peer::Http(RequestId(number))
}

pub(super) fn socket(number: u64) -> Peer {
    Peer::Socket(FlowId(number))
}

pub(super) struct Bench {
    pub(super) server: Server<Rules>,
    pub(super) now: Instant,
}

impl Bench {
    pub(super) fn new(config: Config) -> Bench {
        let now = Instant::now();
        let clock = Clock { at: now, unix_ms: 1_000_000 };
        Bench { server: Server::new(config, Rules, clock, StdRng::seed_from_u64(1)), now }
    }

    /// All that the server has to say.
    pub(super) fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.server.poll_output()).collect()
    }

    pub(super) fn input(&mut self, input: Input) -> Vec<Output> {
        self.server.handle_input(input, self.now);
        self.drain()
    }

    pub(super) fn after(&mut self, seconds: u64) -> Vec<Output> {
        self.now += Duration::from_secs(seconds);
        self.input(Input::Tick)
    }

    /// Sends text; returns what came back to the same peer, flattened to messages.
    pub(super) fn ask(&mut self, peer: Peer, caller: &Caller, text: &str) -> Vec<Value> {
        let batch = Batch::read(&Bytes::from(text.to_owned()), &Limits::default()).expect("a batch");
        let outputs = self.input(Input::Request { peer, caller: caller.clone(), batch });
        sent(&outputs, peer)
    }

    pub(super) fn handshake(&mut self, peer: Peer, caller: &Caller, ext: &str) -> String {
        let text = format!(r#"{{"channel":"/meta/handshake","version":"1.0","ext":{{{ext}}}}}"#);
        let reply = self.ask(peer, caller, &text).remove(0);
        reply["clientId"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
    }

    pub(super) fn connect(&mut self, peer: Peer, caller: &Caller, client: &str) -> Vec<Value> {
        self.ask(peer, caller, &connect(client, ""))
    }

    /// A session that has connected once.
    pub(super) fn open(&mut self, peer: Peer, caller: &Caller, ext: &str) -> String {
        let client = self.handshake(peer, caller, ext);
        assert_eq!(self.connect(peer, caller, &client).len(), 1);
        client
    }

    pub(super) fn subscribe(&mut self, peer: Peer, caller: &Caller, client: &str, what: &str) -> Value {
        let text = format!(r#"[{{"channel":"/meta/subscribe","clientId":"{client}","subscription":{what}}}]"#);
        self.ask(peer, caller, &text).remove(0)
    }

    pub(super) fn publish(&mut self, channel: &str, audience: Audience, data: &str) -> Vec<Output> {
        self.input(Input::Publish(publication(channel, audience, data)))
    }
}

pub(super) fn publication(channel: &str, audience: Audience, data: &str) -> Publication {
    let channel = Channel::parse(channel).expect("a channel");
    Publication { channel, audience, data: Bytes::from(data.to_owned()) }
}

pub(super) fn connect(client: &str, more: &str) -> String {
    format!(r#"[{{"channel":"/meta/connect","clientId":"{client}","connectionType":"long-polling","id":"7"{more}}}]"#)
}

/// The messages that these outputs send to `peer`.
pub(super) fn sent(outputs: &[Output], peer: Peer) -> Vec<Value> {
    let bodies = outputs.iter().filter_map(|output| match output {
        Output::Send(to, body) if *to == peer => Some(body),
        _ => None,
    });
    bodies
        .flat_map(|body| match serde_json::from_slice(body) {
            Ok(Value::Array(messages)) => messages,
            other => panic!("not an array: {other:?}"),
        })
        .collect()
}
