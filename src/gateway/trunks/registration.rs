//! Our DNs at the SIP Server: registered while a browser is signed in, refreshed, given up after a grace (RFC 3261 10.2).
//!
//! ```text
//!            present                200              80 to 95 % of what was granted
//!   (none) ──────────▶ due ──▶ asked ──▶ registered ──────────────────────────────▶ due
//!     ▲                 ▲        │ 401: again with a digest     │ absent for the grace
//!     │                 │        │ 423: for longer              ▼
//!     │                 └────────┘ 503, silence: later    due, Expires 0 ──▶ asked
//!     └───────────────────────────────────────────────────────────────────────┘ any answer
//! ```
//!
//! Two REGISTERs are never closer than the pace allows, whatever happens: a morning, a server that is back, an expiry of
//! all at once. First ones go before refreshes, which have time.
//! We do not de-register at the end of the process, because a gateway that restarts would take every DN out of service.

mod answers;
pub(super) mod pace;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;

use super::policy::DnRegistration;
use super::proof::Proof;
use pace::Pace;

/// How a DN stands at the SIP Server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Its first REGISTER has no answer yet.
    #[default]
    Pending,
    /// It is registered.
    Registered,
    /// The SIP Server does not know it (404).
    Unknown,
    /// Refused with this status, or the challenge could not be answered (401, 407).
    Refused(u16),
    /// No answer.
    Unreachable,
}

/// A REGISTER to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask<K> {
    pub(crate) dn: Arc<str>,
    pub(crate) peer: K,
    /// Zero: de-register.
    pub(crate) expires: Duration,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
}

/// How many DNs stand how; each counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegistrationCounts {
    /// Registered, with one target at least.
    pub registered: usize,
    /// Waiting for an answer, or for their turn.
    pub pending: usize,
    /// Not known to the SIP Server, or refused.
    pub refused: usize,
    /// Without an answer.
    pub unreachable: usize,
}

/// A DN at a peer.
type Key<K> = (Arc<str>, K);

/// Where REGISTERs go to.
#[derive(Debug)]
struct Peer<K> {
    key: K,
    is_up: bool,
    /// It asked for silence until then (503 with Retry-After).
    not_before: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Due { at: Instant, first: bool },
    Asked { leave: bool },
}

/// One DN at one peer.
#[derive(Debug)]
struct Line {
    call_id: String,
    cseq: u32,
    state: State,
    /// It is to be registered; else it is to be given up.
    wanted: bool,
    /// What the peer granted.
    until: Option<Instant>,
    failures: u32,
    /// Challenges since the last other answer.
    rounds: u8,
    proof: Option<Proof>,
    standing: Standing,
}

/// The DNs of one trunk.
#[derive(Debug)]
pub(crate) struct Registration<K> {
    policy: DnRegistration,
    rng: StdRng,
    peers: Vec<Peer<K>>,
    /// DNs with a browser, or with none since less than the grace: then until when.
    dns: HashMap<Arc<str>, Option<Instant>>,
    leaving: BTreeSet<(Instant, Arc<str>)>,
    lines: BTreeMap<Key<K>, Line>,
    pace: Pace<Key<K>>,
    /// The least expiry that the server takes (423).
    least: Duration,
    news: VecDeque<Arc<str>>,
}

impl<K: Copy + Ord> Registration<K> {
    pub(crate) fn new(policy: DnRegistration, rng: StdRng) -> Registration<K> {
        Registration {
            policy,
            rng,
            peers: Vec::new(),
            dns: HashMap::new(),
            leaving: BTreeSet::new(),
            lines: BTreeMap::new(),
            pace: Pace::new(policy.per_second),
            least: Duration::ZERO,
            news: VecDeque::new(),
        }
    }

    /// Takes where REGISTERs are to go, and whether each can be reached. A peer that is new, or back, is told of all DNs.
    pub(crate) fn set_peers(&mut self, list: &[(K, bool)], now: Instant) {
        let gone: Vec<K> = self.peers.iter().map(|p| p.key).filter(|key| list.iter().all(|(k, _)| k != key)).collect();
        for key in gone {
            let lines: Vec<Key<K>> = self.lines.keys().filter(|(_, peer)| *peer == key).cloned().collect();
            for line in lines {
                self.drop_line(&line);
                self.news.push_back(line.0);
            }
        }
        let mut old = std::mem::take(&mut self.peers);
        for &(key, is_up) in list {
            let known = old.iter().position(|peer| peer.key == key).map(|at| old.swap_remove(at));
            let was_up = known.as_ref().map(|peer| peer.is_up);
            let not_before = known.and_then(|peer| peer.not_before).filter(|_| was_up == Some(true));
            self.peers.push(Peer { key, is_up, not_before });
            match (was_up, is_up) {
                (Some(false) | None, true) => self.tell_all(key, now),
                (Some(true) | None, false) => self.suspend(key),
                _ => {}
            }
        }
    }

    fn tell_all(&mut self, peer: K, now: Instant) {
        let dns: Vec<Arc<str>> = self.dns.keys().cloned().collect();
        for dn in dns {
            let key = (dn, peer);
            if !self.lines.contains_key(&key) {
                let line = self.new_line();
                self.lines.insert(key.clone(), line);
            }
            self.schedule(&key, now, false);
        }
    }

    /// The peer is down: nothing is sent there until it is back.
    fn suspend(&mut self, peer: K) {
        let keys: Vec<Key<K>> = self.lines.keys().filter(|(_, p)| *p == peer).cloned().collect();
        for key in keys {
            self.unschedule(&key);
            match self.lines.get_mut(&key) {
                Some(line) if line.wanted => line.standing = Standing::Unreachable,
                // What is to be given up will lapse there.
                Some(_) => self.drop_line(&key),
                None => {}
            }
            self.news.push_back(key.0);
        }
    }

    /// A browser of this DN is signed in.
    pub(crate) fn present(&mut self, dn: &str, now: Instant) {
        if let Some((name, leaving)) = self.dns.get_key_value(dn).map(|(name, leaving)| (name.clone(), *leaving)) {
            let Some(at) = leaving else { return };
            self.leaving.remove(&(at, name.clone()));
            self.dns.insert(name.clone(), None);
            // Somebody signs in anew: what was refused may be right by this time.
            for key in self.keys_of(&name) {
                let is_bad = |line: &Line| matches!(line.standing, Standing::Unknown | Standing::Refused(_));
                if self.lines.get(&key).is_some_and(is_bad) {
                    self.schedule(&key, now, true);
                }
            }
            return;
        }
        let name: Arc<str> = dn.into();
        self.dns.insert(name.clone(), None);
        for at in 0..self.peers.len() {
            let (key, is_up) = ((name.clone(), self.peers[at].key), self.peers[at].is_up);
            match self.lines.get_mut(&key) {
                // It is being given up this very moment.
                Some(line) => line.wanted = true,
                None => {
                    let line = self.new_line();
                    self.lines.insert(key.clone(), line);
                }
            }
            if is_up {
                self.schedule(&key, now, true);
            } else if let Some(line) = self.lines.get_mut(&key) {
                line.standing = Standing::Unreachable;
            }
        }
    }

    /// The last browser of this DN is gone.
    pub(crate) fn absent(&mut self, dn: &str, now: Instant) {
        let Some((name, None)) = self.dns.get_key_value(dn) else { return };
        let (name, at) = (name.clone(), now + self.policy.grace);
        self.dns.insert(name.clone(), Some(at));
        self.leaving.insert((at, name));
    }

    fn give_up(&mut self, dn: &Arc<str>, now: Instant) {
        self.dns.remove(dn);
        for key in self.keys_of(dn) {
            let is_up = self.peers.iter().any(|peer| peer.key == key.1 && peer.is_up);
            let Some(line) = self.lines.get_mut(&key) else { continue };
            line.wanted = false;
            let is_held = line.until.is_some_and(|until| until > now);
            match line.state {
                State::Asked { .. } => {}
                _ if is_held && is_up => self.schedule(&key, now, false),
                _ => self.drop_line(&key),
            }
        }
    }

    /// Returns the next REGISTER that may go now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Ask<K>> {
        while let Some((at, dn)) = self.leaving.first().cloned().filter(|(at, _)| *at <= now) {
            self.leaving.remove(&(at, dn.clone()));
            self.give_up(&dn, now);
        }
        loop {
            let (key, first) = self.pace.next(now)?;
            self.unschedule(&key);
            let Some(peer) = self.peers.iter().find(|peer| peer.key == key.1) else { continue };
            if let Some(until) = peer.not_before.filter(|until| *until > now) {
                self.schedule(&key, until, first);
                continue;
            }
            let expires = self.policy.expires.max(self.least);
            let Some(line) = self.lines.get_mut(&key) else { continue };
            line.cseq += 1;
            line.state = State::Asked { leave: !line.wanted };
            let expires = if line.wanted { expires } else { Duration::ZERO };
            let (call_id, cseq) = (line.call_id.clone(), line.cseq);
            self.pace.sent(now);
            return Some(Ask { dn: key.0, peer: key.1, expires, call_id, cseq });
        }
    }

    fn schedule(&mut self, key: &Key<K>, at: Instant, first: bool) {
        let is_up = self.peers.iter().any(|peer| peer.key == key.1 && peer.is_up);
        if !is_up || matches!(self.lines.get(key).map(|line| line.state), None | Some(State::Asked { .. })) {
            return;
        }
        self.unschedule(key);
        if let Some(line) = self.lines.get_mut(key) {
            line.state = State::Due { at, first };
            self.pace.insert(at, first, key.clone());
        }
    }

    fn unschedule(&mut self, key: &Key<K>) {
        let Some(line) = self.lines.get_mut(key) else { return };
        if let State::Due { at, first } = line.state {
            self.pace.remove(at, first, key.clone());
            line.state = State::Idle;
        }
    }

    fn drop_line(&mut self, key: &Key<K>) {
        self.unschedule(key);
        self.lines.remove(key);
    }

    fn keys_of(&self, dn: &Arc<str>) -> Vec<Key<K>> {
        self.peers.iter().map(|peer| (dn.clone(), peer.key)).filter(|key| self.lines.contains_key(key)).collect()
    }

    fn new_line(&mut self) -> Line {
        Line {
            call_id: self.token(),
            cseq: 0,
            state: State::Idle,
            wanted: true,
            until: None,
            failures: 0,
            rounds: 0,
            proof: None,
            standing: Standing::Pending,
        }
    }

    fn token(&mut self) -> String {
        format!("{:016x}", self.rng.random::<u64>())
    }
}

impl<K: Copy + Ord> Registration<K> {
    /// Returns when [`Registration::next`] is to be asked.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        [self.pace.poll_timeout(), self.leaving.first().map(|(at, _)| *at)].into_iter().flatten().min()
    }

    /// Returns the next DN whose standing may have changed.
    pub(crate) fn poll_news(&mut self) -> Option<Arc<str>> {
        self.news.pop_front()
    }

    /// Returns how a DN stands: the best of its peers. `None`: it is not to be registered.
    pub(crate) fn standing(&self, dn: &str) -> Option<Standing> {
        let (name, _) = self.dns.get_key_value(dn)?;
        let rank = |standing: &Standing| match standing {
            Standing::Registered => 4,
            Standing::Pending => 3,
            Standing::Unknown => 2,
            Standing::Refused(_) => 1,
            Standing::Unreachable => 0,
        };
        let lines = self.peers.iter().filter_map(|peer| self.lines.get(&(name.clone(), peer.key)));
        let best = lines.map(|line| line.standing).min_by_key(|standing| Reverse(rank(standing)));
        Some(best.unwrap_or(Standing::Unreachable))
    }

    /// Counts the DNs by their standing.
    pub(crate) fn counts(&self) -> RegistrationCounts {
        let mut counts = RegistrationCounts::default();
        for dn in self.dns.keys() {
            match self.standing(dn) {
                Some(Standing::Registered) => counts.registered += 1,
                Some(Standing::Unknown | Standing::Refused(_)) => counts.refused += 1,
                Some(Standing::Unreachable) => counts.unreachable += 1,
                Some(Standing::Pending) | None => counts.pending += 1,
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests;
