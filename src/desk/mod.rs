//! The agents' side: who works where, which of their calls is in which state, and what their desktops are told and may ask.
//!
//! Pure: [`Desk`] is told of calls ([`Input::Call`]), of phones and of what desktops ask, and gives back commands for the
//! calls, messages for the desktops, and answers: `handle_input(input, now)`, then drain `poll_output()`, then
//! `poll_timeout()`. Who may ask (passwords, cookies) and how messages travel is the shell's.
//!
//! ```text
//!  CallEvent ──> Desk ──> Published ──> Bayeux sessions of the call's agent, sinks
//!  Operation ──> Desk ──> Answer at once ─┬─> call::Command ──> signalling ──> CallEvent
//!                                         └─> or a refusal, and nothing happens
//! ```
//! What nobody told (ConnID, user data, the number that was dialled) is left out, never invented. We do not route calls, and
//! keep no history: a call that is over is forgotten.

pub mod agent;
mod agents;
pub mod call;
mod calls;
mod cti;
mod dials;
mod early;
mod happened;
pub mod journal;
pub mod login;
pub mod message;
pub mod openapi;
pub mod operation;
pub mod password;
mod perform;
pub mod request;
mod resources;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;

use crate::call::{CallEvent, Command};
use crate::id::{CallId, DialId, RunId};

use agent::Agent;
pub use agent::{AgentConfig, AgentState, AgentView, UserName};
use call::Call;
pub use call::CallState;
use dials::Dials;
use early::Strays;
pub use happened::StatusName;
pub use operation::{Answer, AttachedData, CallName, CallOperation, Operation, Refusal, Subresources};
pub use password::PasswordHash;

/// What the desk needs to know from the start.
#[derive(Clone, Debug)]
pub struct DeskConfig {
    /// This run of the process.
    pub run: RunId,
    /// The agents.
    pub agents: Vec<AgentConfig>,
    /// How long an agent has to finish a call that is over; zero: it is as it was at once.
    pub after_call_work: Duration,
    /// What the addresses of resources begin with: `https://host:port`, without a slash at the end.
    pub base_uri: String,
    /// Beginnings of names of the trunk's header fields that hold user data; the rest of the name is the key, as it is
    /// written. Other fields are no user data.
    pub user_data_fields: Vec<String>,
    /// Beginning of the names of header fields by which the trunk is told the user data of a call that is dialled here;
    /// none: it is not told. The trunk's `carry_out` has to let them pass.
    pub user_data_out: Option<String>,
    /// How messages call a change of a call's state.
    pub status: StatusName,
}

/// Names what a desktop asked until it is answered; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u64);

/// What the desk is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A fact of a call; those of one call in their order.
    Call(Arc<CallEvent>),
    /// No call comes of a [`Command::Dial`].
    NotDialled {
        /// As in the command.
        dial: DialId,
        /// Why, as a final status of SIP.
        status: u16,
    },
    /// Facts of calls did not come through; calls that are not among these are over.
    Missed {
        /// The calls that there are.
        alive: Vec<CallId>,
    },
    /// Phones of a number.
    Presence {
        /// The number.
        dn: String,
        /// A browser has registered as it; else none is there any more.
        is_here: bool,
    },
    /// A desktop asks; [`Output::Answer`] follows in the same drain.
    Operation {
        /// For the answer.
        request: OperationId,
        /// Who asks, as the shell has made sure.
        agent: UserName,
        /// What.
        what: Operation,
    },
    /// Something else than a call for an agent: chat, work item.
    Interaction {
        /// For whom.
        agent: UserName,
        /// What the desktop is told, as it is.
        data: Value,
    },
    /// What somebody else (a real GWS, the lab) said of a call.
    Told {
        /// The call.
        call_uuid: String,
        /// Its ConnID.
        conn_id: Option<String>,
        /// Its user data, all of them: what is not there any more goes, what is as it was said before changes nothing.
        /// `None`: nothing was said of them.
        user_data: Option<AttachedData>,
    },
    /// The agents from here on; those that stay keep their states.
    Reconfigured(Vec<AgentConfig>),
    /// No browser of the agent is logged in any more.
    Gone {
        /// Who.
        agent: UserName,
    },
    /// [`Desk::poll_timeout`] is due.
    Tick,
}

/// What the desk wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Signalling is to do this.
    Command(Command),
    /// Desktops and sinks are to learn this.
    Publish(Published),
    /// What was asked is answered.
    Answer(OperationId, Answer),
    /// An agent, or what it does, is another one; `state` LoggedOut where it is not configured any more.
    Agent(AgentView),
}

/// A message for desktops and sinks; those of one call, and of one agent, are in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// `RUN-call-N-SEQUENCE`, or `RUN-aN-SEQUENCE` of an agent; SEQUENCE counts from 0 without gaps.
    pub event_id: Arc<str>,
    /// The channel of the agent's own: `/v2/me/calls` and its like.
    pub channel: &'static str,
    /// Whose; nobody's where no agent works at `dn`.
    pub owner: Option<UserName>,
    /// The number that it happened at.
    pub dn: String,
    /// When, ms since 1970 (UTC).
    pub at_unix_ms: i64,
    /// A JSON object.
    pub data: Bytes,
}

/// Wall time of a moment.
#[derive(Clone, Copy, Debug)]
struct Clock {
    start: Instant,
    unix_ms: i64,
}

impl Clock {
    fn unix_ms(&self, at: Instant) -> i64 {
        let since = i64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(i64::MAX);
        self.unix_ms.saturating_add(since)
    }
}

/// The agents' side of the gateway.
#[derive(Debug)]
pub struct Desk {
    config: DeskConfig,
    clock: Clock,
    agents: HashMap<UserName, Agent>,
    /// Who may work at a number, in the order of the configuration.
    candidates: HashMap<String, Vec<UserName>>,
    next_agent: u64,
    /// Numbers that a browser has registered as: none beyond those of the configuration.
    here: HashSet<String>,
    due: BTreeSet<(Instant, UserName)>,
    calls: BTreeMap<CallId, Call>,
    strays: Strays,
    dials: Dials,
    outputs: VecDeque<Output>,
}

impl Desk {
    /// Makes a desk at which nobody is. `now` is `unix_ms` (UTC).
    pub fn new(mut config: DeskConfig, now: Instant, unix_ms: i64) -> Desk {
        let agents = std::mem::take(&mut config.agents);
        let mut desk = Desk {
            config,
            clock: Clock { start: now, unix_ms },
            agents: HashMap::new(),
            candidates: HashMap::new(),
            next_agent: 0,
            here: HashSet::new(),
            due: BTreeSet::new(),
            calls: BTreeMap::new(),
            strays: Strays::default(),
            dials: Dials::default(),
            outputs: VecDeque::new(),
        };
        desk.reconfigure(agents, now);
        desk.outputs.clear();
        desk
    }

    /// Takes an input; what follows is in [`Desk::poll_output`].
    pub fn handle_input(&mut self, input: Input, now: Instant) {
        match input {
            Input::Call(event) => self.call_event(&event, now),
            Input::NotDialled { dial, status } => self.not_dialled(dial, status, now),
            Input::Missed { alive } => self.missed(&alive, now),
            Input::Presence { dn, is_here } => self.presence(dn, is_here, now),
            Input::Operation { request, agent, what } => {
                let answer = match self.operate(&agent, what, now) {
                    Ok(answer) => answer,
                    Err(refusal) => Answer::Refused(refusal),
                };
                self.outputs.push_back(Output::Answer(request, answer));
            }
            Input::Interaction { agent, data } => self.interaction(&agent, data, now),
            Input::Told { call_uuid, conn_id, user_data } => self.told(call_uuid, conn_id, user_data, now),
            Input::Reconfigured(agents) => self.reconfigure(agents, now),
            Input::Gone { agent } => self.gone(&agent, now),
            Input::Tick => {}
        }
        self.tick(now);
    }

    /// Returns what is to be done, in order; to be drained after each input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns when [`Input::Tick`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Returns all agents, in no order.
    pub fn agents(&self) -> impl Iterator<Item = AgentView> {
        self.agents.values().map(|agent| self.view(agent))
    }

    /// Returns what an agent's password is verified with.
    pub fn password(&self, agent: &UserName) -> Option<&PasswordHash> {
        self.agents.get(agent).map(|agent| &agent.config.password)
    }

    fn publish(&mut self, published: Published) {
        self.outputs.push_back(Output::Publish(published));
    }
}
