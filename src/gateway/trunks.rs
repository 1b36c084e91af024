//! The trunks in use: which targets answer, where our DNs are registered, which way a number goes.
//!
//! Each question has a pure machine ([`liveness`], [`registration`], [`routes`]); [`tend`] and [`attempts`] drive them
//! with the gateway's messages. What they know of a call lives as long as the call.
//! We do not keep any of it across a restart, because the first OPTIONS and REGISTERs tell it anew.

mod attempts;
mod challenges;
pub(super) mod liveness;
pub(super) mod policy;
pub(super) mod proof;
pub(super) mod registration;
pub(super) mod routes;
mod tend;
mod verdicts;
mod words;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use rand::rngs::StdRng;

use super::Gateway;
use super::config::Trunk;
use super::reach::{Target, TargetId};
use super::snapshot::TrunkView;
use crate::id::{CallId, FlowId, LegId};
use crate::sip::endpoint::{ClientTx, Header, ReferDialog, ServerTx};
use crate::sip::message::Message;

use liveness::{Health, Liveness};
use policy::{Route, TrunkPolicy};
use registration::{Registration, RegistrationCounts, Standing};
use routes::Routes;
use verdicts::Verdicts;

/// What is known of one trunk.
#[derive(Debug)]
struct Watch {
    name: String,
    policy: TrunkPolicy,
    liveness: Liveness<TargetId>,
    registration: Option<Registration<TargetId>>,
    /// The target that holds our registrations, where one does for all.
    home: Option<TargetId>,
}

/// A request of ours that is no call's.
#[derive(Clone, Debug)]
enum Job {
    Ping { trunk: usize, target: TargetId },
    Register { trunk: usize, target: TargetId, dn: Arc<str>, contact: String },
}

/// One INVITE to be sent for a call.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) trunk: usize,
    pub(super) target: TargetId,
    /// The number as it is written there.
    pub(super) number: String,
    leg: Option<LegId>,
}

/// A 200 to a browser's REGISTER that waits for the SIP Server's word on its DN.
#[derive(Debug)]
struct Held {
    dn: String,
    tx: ServerTx,
    request: Message,
    headers: Vec<Header>,
    /// Its connection, where later news may be sent down.
    flow: Option<FlowId>,
    until: Instant,
}

/// All trunks.
#[derive(Debug)]
pub(super) struct Trunks {
    watches: Vec<Watch>,
    routes: Routes,
    jobs: HashMap<ClientTx, Job>,
    attempts: HashMap<CallId, Vec<Attempt>>,
    held: Vec<Held>,
    verdicts: Verdicts,
    /// Who asked for calls by a REFER outside any dialog, and is to be told how they go.
    pub(super) referred: HashMap<CallId, ReferDialog>,
    /// Legs whose re-INVITE went out again with credentials.
    proving: HashSet<(CallId, LegId)>,
    rng: StdRng,
}

impl Trunks {
    /// Without targets: those come with the first look.
    pub(super) fn new(trunks: &[Trunk], routes: Vec<Route>, mut rng: StdRng) -> Trunks {
        let mut watch = |trunk: &Trunk| Watch {
            name: trunk.name.clone(),
            policy: trunk.policy.clone(),
            liveness: Liveness::new(trunk.policy.ping),
            registration: trunk.policy.register.map(|policy| Registration::new(policy, super::fork(&mut rng))),
            home: None,
        };
        Trunks {
            watches: trunks.iter().map(&mut watch).collect(),
            routes: Routes::new(routes),
            jobs: HashMap::new(),
            attempts: HashMap::new(),
            held: Vec::new(),
            verdicts: Verdicts::new(),
            referred: HashMap::new(),
            proving: HashSet::new(),
            rng,
        }
    }

    /// Returns when the trunks want to be looked at.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let watches = self.watches.iter().flat_map(|watch| {
            let registration = watch.registration.as_ref().and_then(Registration::poll_timeout);
            [watch.liveness.poll_timeout(), registration]
        });
        let others = self.held.iter().map(|held| held.until).chain(self.verdicts.poll_timeout());
        watches.flatten().chain(others).min()
    }

    /// Entries of the tables that calls fill.
    pub(super) fn entries(&self) -> usize {
        self.attempts.len() + self.referred.len() + self.proving.len()
    }

    /// The call is gone.
    pub(super) fn forget(&mut self, call: CallId) {
        self.attempts.remove(&call);
        self.proving.retain(|(of, _)| *of != call);
    }

    /// Returns how the DN stands, the worst of its trunks first told; `None`: it is registered nowhere.
    fn standing(&self, dn: &str) -> Option<Standing> {
        let all = || self.watches.iter().filter_map(|watch| watch.registration.as_ref()?.standing(dn));
        all().find(|standing| *standing == Standing::Pending).or_else(|| {
            let bad = all().find(|standing| *standing != Standing::Registered);
            bad.or_else(|| all().next())
        })
    }

    /// Returns what pages and metrics see of a trunk; `address` writes a target.
    fn state(&self, trunk: usize, address: impl Fn(TargetId) -> Option<String>) -> Option<TrunkState> {
        let watch = self.watches.get(trunk)?;
        let target = |(target, health)| Some(TargetState { target: address(target)?, health });
        Some(TrunkState {
            health: watch.liveness.health(),
            targets: watch.liveness.iter().filter_map(target).collect(),
            registrations: watch.registration.as_ref().map(Registration::counts),
        })
    }
}

impl Gateway {
    /// Returns what pages and metrics see of the trunks.
    pub(super) fn trunk_views(&self) -> Vec<TrunkView> {
        let address = |target| self.reach.target(target).map(Target::to_string);
        let view =
            |(trunk, (name, counters))| Some(TrunkView { name, counters, state: self.trunks.state(trunk, address)? });
        self.peers.trunk_counters().enumerate().filter_map(view).collect()
    }
}

/// What is known of a trunk at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkState {
    /// Of all its targets together.
    pub health: Health,
    /// Its targets in order of preference.
    pub targets: Vec<TargetState>,
    /// The DNs that are, or should be, registered there; `None`: that is not asked for.
    pub registrations: Option<RegistrationCounts>,
}

/// One target of a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetState {
    /// Transport and address: `udp:192.0.2.81:5060`.
    pub target: String,
    /// Whether it answers.
    pub health: Health,
}
