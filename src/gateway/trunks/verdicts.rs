//! What each browser was told of its DN, and who is to hear that it stands otherwise by now.
//!
//! The 200 to its first REGISTER tells a browser how the DN stands; a verdict that comes later is news, told once. Two
//! pieces of news to one browser are never closer than [`REST`], and all of them together never closer than the pace
//! allows: a trunk that goes down takes thousands of DNs with it, and one that flutters says in the end how it stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::registration::Standing;
use super::registration::pace::Pace;
use crate::id::FlowId;

/// Least time between two pieces of news to one browser.
const REST: Duration = Duration::from_secs(5);

/// Most pieces of news in a second.
const PER_SECOND: u32 = 200;

/// A DN on a connection.
type Key = (Arc<str>, FlowId);

/// What one browser knows of its DN.
#[derive(Debug)]
struct Line {
    told: Standing,
    not_before: Instant,
    due: Option<Instant>,
}

/// All browsers that can be told.
#[derive(Debug)]
pub(super) struct Verdicts {
    lines: BTreeMap<Key, Line>,
    pace: Pace<Key>,
}

impl Verdicts {
    pub(super) fn new() -> Verdicts {
        Verdicts { lines: BTreeMap::new(), pace: Pace::new(PER_SECOND) }
    }

    /// A browser was told in a 200. Only the first one counts, for the libraries show no other.
    pub(super) fn welcomed(&mut self, dn: &str, flow: FlowId, standing: Standing, now: Instant) {
        let line = Line { told: standing, not_before: now, due: None };
        self.lines.entry((Arc::from(dn), flow)).or_insert(line);
    }

    /// Forgets the connections on which this DN is registered no more.
    pub(super) fn retain(&mut self, dn: &str, is_here: impl Fn(FlowId) -> bool) {
        for key in self.keys_of(dn).into_iter().filter(|(_, flow)| !is_here(*flow)) {
            if let Some(at) = self.lines.remove(&key).and_then(|line| line.due) {
                self.pace.remove(at, true, key);
            }
        }
    }

    /// The SIP Server said something of this DN: those who were told otherwise are to hear it.
    pub(super) fn changed(&mut self, dn: &str, standing: Standing, now: Instant) {
        if standing == Standing::Pending {
            return;
        }
        for key in self.keys_of(dn) {
            let Some(line) = self.lines.get_mut(&key) else { continue };
            if line.told != standing && line.due.is_none() {
                let at = line.not_before.max(now);
                line.due = Some(at);
                self.pace.insert(at, true, key);
            }
        }
    }

    /// Returns who is next; what it is told is what holds by then.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Arc<str>, FlowId)> {
        let (key, _) = self.pace.next(now)?;
        if let Some(at) = self.lines.get_mut(&key).and_then(|line| line.due.take()) {
            self.pace.remove(at, true, key.clone());
        }
        Some(key)
    }

    /// The browser is about to be told; false where it knows, or nothing is known.
    pub(super) fn tells(&mut self, dn: &Arc<str>, flow: FlowId, standing: Standing, now: Instant) -> bool {
        let Some(line) = self.lines.get_mut(&(Arc::clone(dn), flow)) else { return false };
        if standing == Standing::Pending || line.told == standing {
            return false;
        }
        line.told = standing;
        line.not_before = now + REST;
        self.pace.sent(now);
        true
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.pace.poll_timeout()
    }

    fn keys_of(&self, dn: &str) -> Vec<Key> {
        let first = (Arc::from(dn), FlowId(0));
        self.lines.range(first..).map(|(key, _)| key).take_while(|(name, _)| **name == *dn).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
