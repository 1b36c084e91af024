//! Fuzz body of the Bayeux server: a course of requests, time and events must never panic, stays bounded, and answers each
//! HTTP request at most once while its client waits, and at least once in the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crosspoint::bayeux::channel::{Channel, Pattern};
use crosspoint::bayeux::client::{self, Client};
use crosspoint::bayeux::message::{Batch, Limits};
use crosspoint::bayeux::server::{Audience, Clock, Config, Input, Output, Policy, Publication, Reach, Server};
use crosspoint::bayeux::{Caller, Owner, Peer, RequestId};
use crosspoint::id::FlowId;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::value::RawValue;

const SESSIONS: usize = 8;

struct Lenient;

impl Policy for Lenient {
    fn may_handshake(&self, _: &Caller) -> bool {
        true
    }

    fn may_subscribe(&self, caller: &Caller, pattern: &Pattern) -> bool {
        caller.owner.is_some() || !pattern.is_service()
    }

    fn may_publish(&self, caller: &Caller, channel: &Channel) -> Reach {
        if channel.is_service() || caller.owner.is_none() { Reach::All } else { Reach::Own }
    }
}

struct Course {
    server: Server<Lenient>,
    now: Instant,
    client: String,
    waiting: BTreeSet<u64>,
    requests: u64,
}

/// Reads `data` as steps parted by NUL: an op byte, then its text. In a request `@C` stands for the last clientId.
pub fn bayeux(data: &[u8]) {
    answered(data);
    let config = Config { sessions: SESSIONS, subscriptions: 8, queue: 8, window: 4, ..Config::default() };
    let now = Instant::now();
    let clock = Clock { at: now, unix_ms: 0 };
    let server = Server::new(config, Lenient, clock, StdRng::seed_from_u64(1));
    let mut course = Course { server, now, client: String::new(), waiting: BTreeSet::new(), requests: 0 };
    for step in data.split(|b| *b == 0).take(200) {
        if let Some((op, text)) = step.split_first() {
            course.step(*op, text);
        }
    }
    // Nobody comes any more: held connects are answered, then the sessions end.
    for _ in 0..3 {
        course.now += Duration::from_secs(100);
        course.input(Input::Tick);
    }
    assert_eq!((course.server.sessions(), course.server.poll_timeout()), (0, None));
    assert!(course.waiting.is_empty(), "never answered: {:?}", course.waiting);
}

/// Gives the client each step's text as the answer to all that it asks; what it asks can always be read.
fn answered(data: &[u8]) {
    let mut now = Instant::now();
    let pattern = Pattern::parse("/a/**").expect("a pattern");
    let config = client::Config { subscriptions: vec![pattern], outbox: 4, batch: 2, ..client::Config::default() };
    let mut client = Client::new(config, now, StdRng::seed_from_u64(1));
    let mut asked = Vec::new();
    for (token, step) in (0..).zip(data.split(|b| *b == 0).take(200)) {
        let channel = Channel::parse("/a").expect("a channel");
        let _ = client.publish(token, channel, Bytes::copy_from_slice(step.get(1..).unwrap_or_default()));
        now += Duration::from_secs(1);
        client.handle_input(client::Input::Tick, now);
        asked.extend(posts(&mut client));
        for request in std::mem::take(&mut asked) {
            let text = Bytes::copy_from_slice(step.get(1..).unwrap_or_default());
            client.handle_input(client::Input::Answer(request, text), now);
            asked.extend(posts(&mut client));
        }
        assert!(asked.len() <= 2, "one request of the session and one of publications");
        assert!(client.poll_timeout().is_some() || !asked.is_empty(), "it waits for nothing");
    }
}

fn posts(client: &mut Client) -> Vec<RequestId> {
    let outputs = std::iter::from_fn(|| client.poll_output());
    let posts = outputs.filter_map(|output| match output {
        client::Output::Post { request, body, .. } => {
            let limits = Limits { bytes: usize::MAX, messages: 8, depth: usize::MAX };
            Batch::read(&body, &limits).expect("what the client sends can be read");
            Some(request)
        }
        _ => None,
    });
    posts.collect()
}

impl Course {
    fn step(&mut self, op: u8, text: &[u8]) {
        let anna = Caller { owner: Some(Owner(Arc::from("anna"))), cookie: Some(Arc::from("1")) };
        let count = text.first().copied().unwrap_or(1);
        match op {
            b'h' => self.http(anna, text),
            b'i' => self.http(Caller::default(), text),
            b'w' | b'x' => self.request(Peer::Socket(FlowId(u64::from(op))), anna, text),
            b't' => {
                self.now += Duration::from_secs(u64::from(count) / 4);
                self.input(Input::Tick);
            }
            b'p' | b'q' => {
                let mut parts = text.splitn(2, |b| *b == b' ');
                let name = String::from_utf8_lossy(parts.next().unwrap_or_default());
                let Ok(channel) = Channel::parse(&name) else { return };
                let data = Bytes::copy_from_slice(parts.next().unwrap_or(b"1"));
                let owner = Audience::Owner(Owner(Arc::from("anna")));
                let audience = if op == b'p' { Audience::All } else { owner };
                self.input(Input::Publish(Publication { channel, audience, data }));
            }
            b'r' => self.input(Input::Written(FlowId(u64::from(b'w')), usize::from(count))),
            b'g' => self.input(Input::Gone(Peer::Socket(FlowId(u64::from(b'w'))))),
            b'G' => {
                if let Some(request) = self.waiting.pop_last() {
                    self.input(Input::Gone(Peer::Http(RequestId(request))));
                }
            }
            b'l' => self.input(Input::LoggedOut(anna)),
            _ => {}
        }
    }

    fn http(&mut self, caller: Caller, text: &[u8]) {
        self.requests += 1;
        self.request(Peer::Http(RequestId(self.requests)), caller, text);
    }

    fn request(&mut self, peer: Peer, caller: Caller, text: &[u8]) {
        let text = String::from_utf8_lossy(text).replace("@C", &self.client);
        let limits = Limits { bytes: 4096, messages: 16, depth: 16 };
        if let Ok(batch) = Batch::read(&Bytes::from(text), &limits) {
            let _ = (batch.login(), batch.is_handshake());
            if let Peer::Http(request) = peer {
                self.waiting.insert(request.0);
            }
            self.input(Input::Request { peer, caller, batch });
        }
    }

    fn input(&mut self, input: Input) {
        self.server.handle_input(input, self.now);
        while let Some(output) = self.server.poll_output() {
            let Output::Send(peer, body) = output else { continue };
            // Data goes through unread, so a number or a nesting that `Value` refuses may be in it.
            let messages: Vec<&RawValue> = serde_json::from_slice(&body).expect("always an array, always JSON");
            assert!(!messages.is_empty());
            let text = std::str::from_utf8(&body).expect("JSON is UTF-8");
            let ids = text.split("\"clientId\":\"").skip(1).filter_map(|rest| rest.get(..40));
            ids.last().unwrap_or(&self.client.clone()).clone_into(&mut self.client);
            if let Peer::Http(request) = peer {
                assert!(self.waiting.remove(&request.0), "{peer:?} does not wait for this");
            }
        }
        assert!(self.server.sessions() <= SESSIONS);
        assert_eq!(self.server.poll_timeout().is_some(), self.server.sessions() > 0);
    }
}
