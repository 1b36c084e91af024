//! Who is next: two queues by time, and the least time between two sends.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What waits for its time, and for its turn after that.
#[derive(Debug)]
pub(in crate::gateway::trunks) struct Pace<Q> {
    gap: Duration,
    next_send: Option<Instant>,
    first: BTreeSet<(Instant, Q)>,
    later: BTreeSet<(Instant, Q)>,
}

impl<Q: Ord + Clone> Pace<Q> {
    pub(in crate::gateway::trunks) fn new(per_second: u32) -> Pace<Q> {
        let gap = Duration::from_secs(1) / per_second.max(1);
        Pace { gap, next_send: None, first: BTreeSet::new(), later: BTreeSet::new() }
    }

    pub(in crate::gateway::trunks) fn insert(&mut self, at: Instant, first: bool, what: Q) {
        self.queue(first).insert((at, what));
    }

    pub(in crate::gateway::trunks) fn remove(&mut self, at: Instant, first: bool, what: Q) {
        self.queue(first).remove(&(at, what));
    }

    fn queue(&mut self, first: bool) -> &mut BTreeSet<(Instant, Q)> {
        if first { &mut self.first } else { &mut self.later }
    }

    /// Returns what may go now, and its queue; it stays in there.
    pub(in crate::gateway::trunks) fn next(&self, now: Instant) -> Option<(Q, bool)> {
        if self.next_send.is_some_and(|at| at > now) {
            return None;
        }
        let due =
            |queue: &BTreeSet<(Instant, Q)>| queue.first().filter(|(at, _)| *at <= now).map(|(_, what)| what.clone());
        let first = due(&self.first).map(|what| (what, true));
        first.or_else(|| due(&self.later).map(|what| (what, false)))
    }

    /// Something was sent.
    pub(in crate::gateway::trunks) fn sent(&mut self, now: Instant) {
        self.next_send = Some(now + self.gap);
    }

    pub(in crate::gateway::trunks) fn poll_timeout(&self) -> Option<Instant> {
        let due = [&self.first, &self.later].into_iter().filter_map(|queue| queue.first()).map(|(at, _)| *at).min()?;
        Some(self.next_send.map_or(due, |pace| pace.max(due)))
    }
}
