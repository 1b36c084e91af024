//! The deadline heap of a worker: everything that is generated hangs on it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::id::LegId;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// A leg, with its slot.
    Leg(LegId, usize),
    /// The tick of a mix: its number and its slot.
    Mix(u64, usize),
}

/// One deadline per leg and per mix; a leg that needs to be woken earlier is entered again, and the later entry goes stale.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, Due)>>,
}

impl Deadlines {
    pub(super) fn with_capacity(legs: usize) -> Self {
        Deadlines { heap: BinaryHeap::with_capacity(legs) }
    }

    pub(super) fn push(&mut self, at: Instant, due: Due) {
        self.heap.push(Reverse((at, due)));
    }

    /// Returns the next entry that is due, stale or not.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(Instant, Due)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
}
