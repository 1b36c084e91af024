//! Which targets of a trunk can be reached: OPTIONS to each of them (RFC 3261 11), and what calls find out by themselves.
//!
//! ```text
//!        no answer, 503, a silent call             no answer, 503
//!   up ─────────────────────────────▶ degraded ─────────────────▶ down
//!    ▲                                    │                         │
//!    └──────────── an answer, any message of its own ───────────────┘
//! ```
//!
//! A target that has never answered an OPTIONS is *unknown* where others are down: it may not know OPTIONS at all, as a
//! scripted peer, and so calls try it, after all others. Once it has answered one, silence means what it says.
//! A degraded target is asked again at once, a down one every [`RECOVERY`] at the latest. One silent call does not make
//! a target down where OPTIONS are sent; where none are, it does for [`QUARANTINE`].
//! We do not take a target out of use for a call that it refused, because the refusal may be that call's own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long an OPTIONS may stay without an answer: three retransmissions are lost by then.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);
/// Longest time between two OPTIONS to a target that is down.
pub(crate) const RECOVERY: Duration = Duration::from_secs(10);
/// How long a target that was silent is passed over where no OPTIONS tell more.
pub(crate) const QUARANTINE: Duration = Duration::from_secs(30);

/// What is known of a target, or of a whole trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// It answers, or nothing else is known.
    #[default]
    Up,
    /// A target: it failed to answer once. A trunk: some of its targets are not up.
    Degraded,
    /// It has never answered an OPTIONS: calls try it, and tell.
    Unknown,
    /// It does not answer.
    Down,
}

impl Health {
    /// Returns the word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Up => "up",
            Health::Degraded => "degraded",
            Health::Unknown => "unknown",
            Health::Down => "down",
        }
    }
}

/// A change of one target's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change<K> {
    pub(crate) target: K,
    pub(crate) health: Health,
}

/// One target.
#[derive(Debug)]
struct Watched<K> {
    key: K,
    health: Health,
    /// When the next OPTIONS is to go, or a quarantine ends.
    next: Option<Instant>,
    /// When the one under way is given up.
    give_up: Option<Instant>,
    /// It says itself that it cannot serve (503): then messages of its own prove nothing.
    refuses: bool,
    /// It has answered an OPTIONS, or could not be connected to: silence is no habit of its.
    is_known: bool,
}

/// The targets of one trunk, in order of preference.
#[derive(Debug)]
pub(crate) struct Liveness<K> {
    ping: Duration,
    targets: Vec<Watched<K>>,
    changes: VecDeque<Change<K>>,
}

impl<K: Copy + Eq> Liveness<K> {
    /// `ping`: time between two OPTIONS; zero: none.
    pub(crate) fn new(ping: Duration) -> Liveness<K> {
        Liveness { ping, targets: Vec::new(), changes: VecDeque::new() }
    }

    /// Takes the list of targets in force; what is known of those that stay is kept.
    pub(crate) fn retarget(&mut self, keys: impl IntoIterator<Item = K>, now: Instant) {
        let mut old = std::mem::take(&mut self.targets);
        for key in keys {
            let known = old.iter().position(|target| target.key == key).map(|at| old.swap_remove(at));
            let next = (!self.ping.is_zero()).then_some(now);
            let fresh = Watched { key, health: Health::Up, next, give_up: None, refuses: false, is_known: false };
            self.targets.push(known.unwrap_or(fresh));
        }
    }

    /// Returns the targets that are to be sent OPTIONS now, and gives up those that did not answer.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<K> {
        let mut pings = Vec::new();
        for at in 0..self.targets.len() {
            let target = &mut self.targets[at];
            if target.give_up.is_some_and(|by| by <= now) {
                target.give_up = None;
                self.worsen(at, now);
            }
            let target = &mut self.targets[at];
            if target.next.is_none_or(|next| next > now) {
                continue;
            }
            if self.ping.is_zero() {
                // The quarantine is over: the next call tries it, after all others.
                target.next = None;
                self.turn(at, Health::Degraded);
                continue;
            }
            target.next = None;
            target.give_up = Some(now + PATIENCE);
            pings.push(target.key);
        }
        pings
    }

    /// The target answered an OPTIONS; `usable` unless it said that it cannot serve.
    pub(crate) fn answered(&mut self, key: K, usable: bool, now: Instant) {
        let Some(at) = self.place(key) else { return };
        let target = &mut self.targets[at];
        target.give_up = None;
        target.is_known = true;
        target.refuses = !usable;
        if !usable {
            return self.worsen(at, now);
        }
        target.next = Some(now + self.ping);
        self.turn(at, Health::Up);
    }

    /// The target's connection broke under an OPTIONS, or could not be opened.
    pub(crate) fn failed(&mut self, key: K, now: Instant) {
        let Some(at) = self.place(key) else { return };
        let target = &mut self.targets[at];
        target.give_up = None;
        target.is_known = true;
        self.worsen(at, now);
    }

    /// A message of the target's own came.
    pub(crate) fn heard(&mut self, key: K, now: Instant) {
        let Some(at) = self.place(key) else { return };
        let target = &mut self.targets[at];
        if target.health == Health::Up || target.refuses {
            return;
        }
        target.next = (!self.ping.is_zero()).then_some(now + self.ping);
        target.give_up = None;
        self.turn(at, Health::Up);
    }

    /// A request other than OPTIONS got no answer, or its connection broke.
    pub(crate) fn silent(&mut self, key: K, now: Instant) {
        let Some(at) = self.place(key) else { return };
        let target = &mut self.targets[at];
        if self.ping.is_zero() {
            target.next = Some(now + QUARANTINE);
            return self.turn(at, Health::Down);
        }
        if target.health != Health::Up {
            return;
        }
        if target.give_up.is_none() {
            target.next = Some(now);
        }
        self.turn(at, Health::Degraded);
    }

    fn worsen(&mut self, at: usize, now: Instant) {
        let target = &mut self.targets[at];
        let (health, wait) = match target.health {
            Health::Up => (Health::Degraded, Duration::ZERO),
            _ if !target.is_known => (Health::Unknown, self.ping.min(RECOVERY)),
            Health::Degraded | Health::Unknown | Health::Down => (Health::Down, self.ping.min(RECOVERY)),
        };
        // A refusal comes at once: asking again at once would make a loop of it.
        let wait = if target.refuses { wait.max(Duration::from_secs(1)) } else { wait };
        target.next = Some(now + wait);
        self.turn(at, health);
    }

    fn turn(&mut self, at: usize, health: Health) {
        let target = &mut self.targets[at];
        if std::mem::replace(&mut target.health, health) != health {
            self.changes.push_back(Change { target: target.key, health });
        }
    }

    fn place(&self, key: K) -> Option<usize> {
        self.targets.iter().position(|target| target.key == key)
    }

    /// Returns the next change, until there is none.
    pub(crate) fn poll_change(&mut self) -> Option<Change<K>> {
        self.changes.pop_front()
    }

    /// Returns when [`Liveness::due`] is to be asked.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.targets.iter().flat_map(|target| [target.next, target.give_up]).flatten().min()
    }

    /// Returns the targets in the order in which a call tries them: those that are up, degraded, unknown, down.
    pub(crate) fn ranked(&self) -> Vec<K> {
        let mut targets: Vec<&Watched<K>> = self.targets.iter().collect();
        targets.sort_by_key(|target| target.health);
        targets.into_iter().map(|target| target.key).collect()
    }

    /// Returns each target with its health, in order of preference.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, Health)> {
        self.targets.iter().map(|target| (target.key, target.health))
    }

    /// Returns the health of one target; [`Health::Down`] where it is none of these.
    pub(crate) fn of(&self, key: K) -> Health {
        self.place(key).map_or(Health::Down, |at| self.targets[at].health)
    }

    /// Returns the health of the trunk as a whole.
    pub(crate) fn health(&self) -> Health {
        let all = |health| self.targets.iter().all(|target| target.health == health);
        match () {
            () if all(Health::Down) => Health::Down,
            () if all(Health::Up) => Health::Up,
            () if self.targets.iter().all(|target| target.health >= Health::Unknown) => Health::Unknown,
            () => Health::Degraded,
        }
    }

    /// Returns true where a call can be refused without a try: OPTIONS tell that all are down, and when they are back.
    pub(crate) fn is_out(&self) -> bool {
        self.health() == Health::Down && (!self.ping.is_zero() || self.targets.is_empty())
    }
}

#[cfg(test)]
mod tests;
