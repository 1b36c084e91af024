//! An agent: who it is, where it works, and whether it takes calls.
//!
//! ```text
//!  LoggedOut ──session──> NotReady <──> Ready
//!                 ▲           └────┬──────┘
//!                 │                │ the last of its calls is over, and was answered; or by its own word
//!                 │                ▼
//!                 └──────── AfterCallWork ──its time is over──> as before
//! ```
//! From each state an agent may go to each other one by its own word.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::password::PasswordHash;
use crate::id::CallId;

/// The name that an agent logs in with; compared as it is written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(pub Arc<str>);

impl UserName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for UserName {
    fn from(name: &str) -> UserName {
        UserName(name.into())
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An agent as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    /// The name that it logs in with.
    pub user: UserName,
    /// What it proves itself with.
    pub password: PasswordHash,
    /// First and last name, for people.
    pub name: String,
    /// Numbers that it may work at; it works at the first one where it does not say otherwise. At least one.
    pub dns: Vec<String>,
    /// What it is good at, and how good: 1 to 10.
    pub skills: Vec<(String, u8)>,
}

/// Whether an agent takes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AgentState {
    /// It is not at work.
    LoggedOut,
    /// It takes no calls.
    NotReady,
    /// It takes calls.
    Ready,
    /// It has a call to finish.
    AfterCallWork,
}

impl AgentState {
    /// Returns the name that messages use.
    pub fn name(self) -> &'static str {
        match self {
            AgentState::LoggedOut => "LoggedOut",
            AgentState::NotReady => "NotReady",
            AgentState::Ready => "Ready",
            AgentState::AfterCallWork => "AfterCallWork",
        }
    }

    /// Returns the name for people.
    pub fn display_name(self) -> &'static str {
        match self {
            AgentState::LoggedOut => "Logged Out",
            AgentState::NotReady => "Not Ready",
            AgentState::Ready => "Ready",
            AgentState::AfterCallWork => "After Call Work",
        }
    }
}

/// An agent at this moment, for whoever routes calls and for the dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentView {
    /// Who.
    pub user: UserName,
    /// For people.
    pub name: String,
    /// Where it works.
    pub dn: String,
    /// Whether it takes calls.
    pub state: AgentState,
    /// Why it takes none, where it said so.
    pub reason: Option<String>,
    /// Since when it is in that state; where it has no time to finish a call, the end of its last call counts, too.
    pub since: Instant,
    /// What it is good at.
    pub skills: Vec<(String, u8)>,
    /// A browser has registered as its number.
    pub is_here: bool,
    /// Calls that it has.
    pub calls: usize,
}

/// What an agent is in while it has no call to finish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Ready,
    NotReady(Option<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    LoggedOut,
    At(Rest),
    AfterCallWork { until: Option<Instant>, then: Rest },
}

/// An agent at work.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) config: AgentConfig,
    /// Its number in the identifiers of its events.
    pub(super) number: u64,
    /// Where it works.
    pub(super) dn: String,
    state: State,
    pub(super) since: Instant,
    /// Events so far.
    sequence: u64,
    /// Its calls, in the order in which they came.
    pub(super) calls: Vec<CallId>,
    /// One of its calls since it had none has been answered.
    pub(super) has_talked: bool,
}

impl Agent {
    pub(super) fn new(config: AgentConfig, number: u64, now: Instant) -> Agent {
        let dn = config.dns.first().cloned().unwrap_or_default();
        Agent {
            config,
            number,
            dn,
            state: State::LoggedOut,
            since: now,
            sequence: 0,
            calls: Vec::new(),
            has_talked: false,
        }
    }

    /// Takes what the configuration says from here on; what the agent does goes on, where it still may.
    pub(super) fn reconfigure(&mut self, config: AgentConfig) {
        if !config.dns.contains(&self.dn) {
            self.dn = config.dns.first().cloned().unwrap_or_default();
        }
        self.config = config;
    }

    pub(super) fn state(&self) -> AgentState {
        match &self.state {
            State::LoggedOut => AgentState::LoggedOut,
            State::At(Rest::Ready) => AgentState::Ready,
            State::At(Rest::NotReady(_)) => AgentState::NotReady,
            State::AfterCallWork { .. } => AgentState::AfterCallWork,
        }
    }

    pub(super) fn is_at_work(&self) -> bool {
        self.state != State::LoggedOut
    }

    pub(super) fn reason(&self) -> Option<&str> {
        match &self.state {
            State::At(Rest::NotReady(reason)) => reason.as_deref(),
            _ => None,
        }
    }

    /// Takes its own word; returns true where that changes anything.
    pub(super) fn rest(&mut self, rest: Rest, now: Instant) -> bool {
        self.go(State::At(rest), now)
    }

    /// Has something to finish, until it says otherwise.
    pub(super) fn finish_work(&mut self, now: Instant) -> bool {
        let then = self.then();
        self.go(State::AfterCallWork { until: None, then }, now)
    }

    pub(super) fn leave(&mut self, now: Instant) -> bool {
        self.go(State::LoggedOut, now)
    }

    /// Its last call is over.
    pub(super) fn call_over(&mut self, after_call_work: Duration, now: Instant) -> bool {
        let by_own_word = matches!(self.state, State::AfterCallWork { until: None, .. });
        if after_call_work.is_zero() && self.state == State::At(Rest::Ready) {
            // Nobody need be told of a state, but whoever goes by the longest wait must not find the same agent for ever.
            self.since = now;
        }
        if !self.is_at_work() || by_own_word || after_call_work.is_zero() {
            return false;
        }
        let then = self.then();
        self.go(State::AfterCallWork { until: Some(now + after_call_work), then }, now)
    }

    /// Returns when it has had its time to finish a call.
    pub(super) fn until(&self) -> Option<Instant> {
        match self.state {
            State::AfterCallWork { until, .. } => until,
            _ => None,
        }
    }

    /// Looks at the time; returns true where that changes anything.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        match &self.state {
            State::AfterCallWork { until: Some(until), then } if *until <= now => {
                let then = then.clone();
                self.go(State::At(then), now)
            }
            _ => false,
        }
    }

    /// Returns the place of its next event.
    pub(super) fn next_event(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence - 1
    }

    fn then(&self) -> Rest {
        match &self.state {
            State::LoggedOut => Rest::NotReady(None),
            State::At(rest) | State::AfterCallWork { then: rest, .. } => rest.clone(),
        }
    }

    fn go(&mut self, state: State, now: Instant) -> bool {
        if self.state == state {
            return false;
        }
        let before = self.state();
        self.state = state;
        if self.state() != before {
            self.since = now;
        }
        true
    }
}
