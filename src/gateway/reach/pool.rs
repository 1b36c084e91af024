//! The connections that we open to trunks: one per target, used by all that goes there (RFC 5923, RFC 5626 4.5).
//!
//! ```text
//!           first message          connected
//!   (named) ────────────► Opening ───────────► Open
//!      ▲                     │ refused          │ lost
//!      └──── after the back-off: a message, or its time when it had been open ◄──┘
//! ```
//! The back-off is for what dies young; a connection that had lasted is opened again at once, because it is a virtual
//! address that moved from one machine to the other.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::id::FlowId;
use crate::path::Transport;

/// Flows that we name have this bit, so that none is one that the shell names.
const OURS: u64 = 1 << 63;
/// First and longest wait before a lost connection is opened again (RFC 5626 4.5 has 30 s for one that is needed).
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// A message does not wait longer than this after the last attempt.
const ON_DEMAND: Duration = Duration::from_secs(2);
/// Whatever lives this long was no failure.
const SOUND: Duration = Duration::from_secs(5);

/// What a connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) trunk: usize,
    pub(super) transport: Transport,
    pub(super) addr: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was sent yet.
    Named,
    Opening,
    Open(Instant),
}

#[derive(Debug)]
struct Connection {
    key: Key,
    state: State,
}

/// What became of the last connections to a target.
#[derive(Clone, Copy, Debug)]
struct Failure {
    /// In a row.
    count: u32,
    at: Instant,
    /// It is opened again without being asked.
    standing: bool,
}

impl Failure {
    fn back_off(&self) -> Duration {
        match self.count {
            0 => Duration::ZERO,
            count => BACK_OFF.0.saturating_mul(1 << (count - 1).min(10)).min(BACK_OFF.1),
        }
    }
}

/// Returns true for a connection that we open.
pub(super) fn is_ours(flow: FlowId) -> bool {
    flow.0 & OURS != 0
}

/// All connections that we open.
#[derive(Debug, Default)]
pub(super) struct Pool {
    connections: HashMap<FlowId, Connection>,
    flows: HashMap<Key, FlowId>,
    failures: HashMap<Key, Failure>,
    last: u64,
}

impl Pool {
    /// Returns the connection to a target, a new one where there is none; `None`: the last attempt is too fresh.
    pub(super) fn flow(&mut self, key: Key, now: Instant) -> Option<FlowId> {
        let too_early = |failure: &Failure| now < failure.at + failure.back_off().min(ON_DEMAND);
        if !self.is_under_way(&key) && self.failures.get(&key).is_some_and(too_early) {
            return None;
        }
        Some(self.name(key))
    }

    /// A connection to this is there, or is being opened.
    fn is_under_way(&self, key: &Key) -> bool {
        let connection = self.flows.get(key).and_then(|flow| self.connections.get(flow));
        connection.is_some_and(|connection| connection.state != State::Named)
    }

    /// Returns the connection to a target, at whatever time it may be opened: for what waits until there is something
    /// to be said.
    pub(super) fn name(&mut self, key: Key) -> FlowId {
        if let Some(flow) = self.flows.get(&key) {
            return *flow;
        }
        self.last += 1;
        let flow = FlowId(OURS | self.last);
        self.connections.insert(flow, Connection { key, state: State::Named });
        self.flows.insert(key, flow);
        flow
    }

    /// Returns what a connection of ours leads to.
    pub(super) fn key(&self, flow: FlowId) -> Option<Key> {
        self.connections.get(&flow).map(|connection| connection.key)
    }

    /// A message is to go down this connection; returns its key if it is to be opened for it.
    pub(super) fn start(&mut self, flow: FlowId) -> Option<Key> {
        let connection = self.connections.get_mut(&flow).filter(|connection| connection.state == State::Named)?;
        connection.state = State::Opening;
        Some(connection.key)
    }

    /// It is connected.
    pub(super) fn opened(&mut self, flow: FlowId, now: Instant) {
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        connection.state = State::Open(now);
        if let Some(failure) = self.failures.get_mut(&connection.key) {
            failure.standing = true;
        }
    }

    /// It is gone; returns what it led to, if it was ours, and whether it had been there at all.
    pub(super) fn closed(&mut self, flow: FlowId, now: Instant) -> Option<(Key, bool)> {
        let Connection { key, state } = self.connections.remove(&flow)?;
        if self.flows.get(&key) == Some(&flow) {
            self.flows.remove(&key);
        }
        let before = self.failures.get(&key).copied();
        let (count, standing) = match state {
            State::Open(since) if now.saturating_duration_since(since) >= SOUND => (0, true),
            State::Open(_) => (before.map_or(1, |failure| failure.count + 1), true),
            _ => before.map_or((1, false), |failure| (failure.count + 1, failure.standing)),
        };
        self.failures.insert(key, Failure { count, at: now, standing });
        Some((key, matches!(state, State::Open(_))))
    }

    /// Returns what is to be opened again.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Key> {
        let is_due = |(key, failure): &(&Key, &Failure)| {
            failure.standing && !self.is_under_way(key) && now >= failure.at + failure.back_off()
        };
        self.failures.iter().filter(is_due).map(|(key, _)| *key).collect()
    }

    /// Nobody wants to reach this any more.
    pub(super) fn forget(&mut self, key: &Key) {
        self.failures.remove(key);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let waiting = |(key, failure): &(&Key, &Failure)| failure.standing && !self.is_under_way(key);
        self.failures.iter().filter(waiting).map(|(_, failure)| failure.at + failure.back_off()).min()
    }
}
