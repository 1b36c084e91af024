//! The server: sessions, their connects and subscriptions.
//!
//! [`Server::handle_input`], then drain [`Server::poll_output`], then wait until [`Server::poll_timeout`]. Who may do what
//! is asked of a [`Policy`]; what agents see is narrowed once more by the [`Audience`] of each publication.
//!
//! A subscriber that does not read costs nobody else anything: to a WebSocket go at most [`Config::window`] bodies that the
//! shell has not reported [`Input::Written`]; the rest waits in the session, in one body at the next turn, and a queue that
//! is full ends the session.

mod meta;
mod publish;
mod sweep;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rustc_hash::FxHashMap;

use super::channel::{Channel, Pattern};
use super::message::Batch;
use super::session::{Session, Slot};
use super::write::{Body, Reply};
use super::{Caller, ClientId, Owner, Peer, Transport};
use crate::id::FlowId;

/// What the server is told.
#[derive(Debug)]
pub enum Input {
    /// A request or a frame, its cookies and its login checked by the shell.
    Request {
        /// Where the answer goes.
        peer: Peer,
        /// Who sent it.
        caller: Caller,
        /// What it says.
        batch: Batch,
    },
    /// An HTTP request whose client has gone, or a WebSocket that has closed.
    Gone(Peer),
    /// This many bodies have been written to a WebSocket.
    Written(FlowId, usize),
    /// An event for all subscribers of the audience.
    Publish(Publication),
    /// An event for one session, whether it subscribes or not (the answer to a service message).
    Deliver(ClientId, Publication),
    /// All sessions of this login end: it has logged out.
    LoggedOut(Caller),
    /// Nothing but that time has passed.
    Tick,
}

/// An event on its way to subscribers.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Where.
    pub channel: Channel,
    /// Whose subscriptions count.
    pub audience: Audience,
    /// One JSON value; anything else is dropped.
    pub data: Bytes,
}

/// Whose subscriptions an event is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody's.
    All,
    /// Those of one agent.
    Owner(Owner),
}

/// What the server asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this: the one body of an HTTP answer, or one text frame.
    Send(Peer, Bytes),
    /// Close this WebSocket.
    Close(FlowId),
    /// A client sent this to a service channel.
    Service {
        /// Which session; an answer goes by [`Input::Deliver`].
        client: ClientId,
        /// Whose.
        owner: Option<Owner>,
        /// The channel, below `/service/`.
        channel: Channel,
        /// JSON.
        data: Bytes,
    },
    /// A session is over.
    Ended(ClientId, Why),
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The client disconnected.
    Disconnected,
    /// No connect came in time.
    Silent,
    /// Its queue was full.
    QueueFull,
    /// Its login ended.
    LoggedOut,
}

/// Whom a client's publication reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nobody: it is refused.
    Nobody,
    /// The other sessions of the same agent.
    Own,
    /// All subscribers.
    All,
}

/// Who may do what; asked in passing, so it answers from memory.
pub trait Policy {
    /// May this caller have a session?
    fn may_handshake(&self, caller: &Caller) -> bool;
    /// May it subscribe to this? Never asked for `/meta`.
    fn may_subscribe(&self, caller: &Caller, pattern: &Pattern) -> bool;
    /// Whom does its publication reach? For service channels anything but [`Reach::Nobody`] is yes. Never asked for `/meta`.
    fn may_publish(&self, caller: &Caller, channel: &Channel) -> Reach;
}

/// Times and bounds of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a connect is held.
    pub timeout: Duration,
    /// How long a client shall wait between connects.
    pub interval: Duration,
    /// How long after `interval` a session lives without a connect.
    pub max_interval: Duration,
    /// The interval of a browser's further tabs, whose connects are not held.
    pub multi_interval: Duration,
    /// How many polling connects of one browser are held.
    pub held_per_browser: usize,
    /// Most sessions; all that are nobody's together have a twentieth of them.
    pub sessions: usize,
    /// Most sessions of one owner.
    pub sessions_per_owner: usize,
    /// Most subscriptions of one session, and of one message.
    pub subscriptions: usize,
    /// Most events that wait for one session.
    pub queue: usize,
    /// Most bytes of them.
    pub queue_bytes: usize,
    /// Most bodies on their way to one WebSocket.
    pub window: usize,
    /// What clients are offered, the preferred first.
    pub transports: Vec<Transport>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            timeout: Duration::from_secs(60),
            interval: Duration::ZERO,
            max_interval: Duration::from_secs(10),
            multi_interval: Duration::from_secs(2),
            held_per_browser: 1,
            sessions: 20_000,
            sessions_per_owner: 1_000,
            subscriptions: 64,
            queue: 1_000,
            queue_bytes: 4 << 20,
            window: 16,
            transports: vec![Transport::WebSocket, Transport::LongPolling, Transport::CallbackPolling],
        }
    }
}

/// One moment on both clocks; the wall clock is only for the timesync extension.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The moment.
    pub at: Instant,
    /// The same, in milliseconds since 1970.
    pub unix_ms: i64,
}

/// What a WebSocket has on its way, and who speaks by it.
#[derive(Debug, Default)]
struct Socket {
    unwritten: usize,
    sessions: BTreeSet<Slot>,
}

/// A Bayeux server.
#[derive(Debug)]
pub struct Server<P> {
    config: Config,
    policy: P,
    rng: StdRng,
    clock: Clock,
    next_slot: u64,
    /// Its keys are our own random bits, so that nobody can choose them to collide.
    clients: FxHashMap<ClientId, Slot>,
    sessions: FxHashMap<Slot, Session>,
    /// One entry per session: its deadline.
    deadlines: BTreeSet<(Instant, Slot)>,
    subscribers: BTreeMap<Arc<str>, BTreeMap<Option<Owner>, BTreeSet<Slot>>>,
    /// Sockets of sessions, and those with bodies on their way; and who holds a polling connect.
    peers: Peers,
    output: VecDeque<Output>,
}

/// What the server knows of those it answers.
#[derive(Debug, Default)]
struct Peers {
    sockets: FxHashMap<FlowId, Socket>,
    held: FxHashMap<Peer, BTreeSet<Slot>>,
    browsers: BTreeMap<Arc<str>, usize>,
    /// Sessions of each owner, and of nobody.
    owners: BTreeMap<Option<Owner>, usize>,
}

impl<P: Policy> Server<P> {
    /// Makes a server without sessions.
    pub fn new(config: Config, policy: P, clock: Clock, rng: StdRng) -> Server<P> {
        Server {
            config,
            policy,
            rng,
            clock,
            next_slot: 0,
            clients: FxHashMap::default(),
            sessions: FxHashMap::default(),
            deadlines: BTreeSet::new(),
            subscribers: BTreeMap::new(),
            peers: Peers::default(),
            output: VecDeque::new(),
        }
    }

    /// Returns the number of sessions.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Returns the sessions of the audience that subscribe to the channel.
    pub fn subscribers(&self, channel: &Channel, audience: &Audience) -> BTreeSet<ClientId> {
        let slots = self.subscribers_of(channel, audience);
        slots.iter().filter_map(|slot| self.sessions.get(slot)).map(|session| session.id).collect()
    }

    /// Returns what decides; the shell changes it when the configuration changes.
    pub fn policy_mut(&mut self) -> &mut P {
        &mut self.policy
    }

    /// Takes one input. Whatever was due before it happens first.
    pub fn handle_input(&mut self, input: Input, now: Instant) {
        self.sweep(now);
        match input {
            Input::Request { peer, caller, batch } => self.request(peer, &caller, batch, now),
            Input::Gone(peer) => self.gone(peer, now),
            Input::Written(socket, bodies) => self.written(socket, bodies),
            Input::Publish(publication) => self.publish(&publication, now),
            Input::Deliver(client, publication) => self.deliver(client, &publication, now),
            Input::LoggedOut(caller) => self.logged_out(&caller),
            Input::Tick => {}
        }
    }

    /// Returns what is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// Returns when [`Input::Tick`] is due, at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Answers each message of a request; a connect that is held is left out.
    fn request(&mut self, peer: Peer, caller: &Caller, batch: Batch, now: Instant) {
        if let Peer::Socket(flow) = peer
            && self.peers.sockets.get(&flow).is_some_and(|s| s.unwritten > 4 * self.config.window.max(16))
        {
            // It asks and asks and reads nothing.
            self.output.push_back(Output::Close(flow));
            return;
        }
        let is_alone = batch.count() == 1;
        let mut body = Body::new();
        for message in batch.into_messages() {
            let from = meta::Origin { peer, caller, is_alone };
            match message.channel.as_deref() {
                Some("/meta/handshake") => self.handshake(&from, &message, &mut body, now),
                Some("/meta/connect") => self.connect(&from, message, &mut body, now),
                Some("/meta/subscribe") => self.subscribe(&from, &message, &mut body, now),
                Some("/meta/unsubscribe") => self.unsubscribe(&from, &message, &mut body, now),
                Some("/meta/disconnect") => self.disconnect(&from, &message, &mut body, now),
                Some(channel) => self.publication_of(&from, channel, &message, &mut body, now),
                None => body.reply(&Reply::refused(None, message.id.as_ref(), "400::channel_missing")),
            }
        }
        if !body.is_empty() {
            self.send(peer, body.finish());
        }
    }

    /// Sends a body, and counts it if it goes to a WebSocket.
    fn send(&mut self, peer: Peer, body: Bytes) {
        if let Peer::Socket(flow) = peer {
            self.peers.sockets.entry(flow).or_default().unwritten += 1;
        }
        self.output.push_back(Output::Send(peer, body));
    }

    /// Moves a session's deadline.
    fn set_deadline(&mut self, slot: Slot, at: Instant) {
        if let Some(session) = self.sessions.get_mut(&slot) {
            self.deadlines.remove(&(session.deadline, slot));
            session.deadline = at;
            self.deadlines.insert((at, slot));
        }
    }

    /// Notes by which WebSocket a session speaks, or that it polls.
    fn speaks_by(&mut self, slot: Slot, peer: Peer) {
        let Some(session) = self.sessions.get_mut(&slot) else { return };
        let socket = match peer {
            Peer::Socket(flow) => Some(flow),
            Peer::Http(_) => None,
        };
        if session.socket == socket {
            return;
        }
        let before = std::mem::replace(&mut session.socket, socket);
        if let Some(before) = before.and_then(|flow| self.peers.sockets.get_mut(&flow)) {
            before.sessions.remove(&slot);
        }
        if let Some(flow) = socket {
            self.peers.sockets.entry(flow).or_default().sessions.insert(slot);
        }
    }
}
