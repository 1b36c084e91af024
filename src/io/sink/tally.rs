//! How far each sink is, and what went wrong.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// The figures of one sink at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkFigures {
    /// Its name.
    pub name: String,
    /// Events that it does not have yet.
    pub waiting: u64,
    /// Events that it has taken since the start.
    pub delivered: u64,
    /// Attempts that came to nothing.
    pub failures: u64,
    /// Events that it refused for good; they do not go again.
    pub refused: u64,
    /// Events that it will never have: the journal was full, or damaged.
    pub lost: u64,
}

/// Counts since the start, and the cursors; shared by the writer, the sinks and whoever looks.
#[derive(Debug)]
pub struct SinkTally {
    sinks: Vec<One>,
    /// Number of the next event that will be handed over.
    next: AtomicU64,
    /// Events that never came into the journal.
    refused: AtomicU64,
    moved: Notify,
}

#[derive(Debug, Default)]
struct One {
    name: String,
    cursor: AtomicU64,
    /// Those that it refused counted in.
    settled: AtomicU64,
    failures: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
}

impl SinkTally {
    /// Makes the counts of these sinks, all zero.
    pub fn new(names: &[&str]) -> SinkTally {
        let sinks = names.iter().map(|name| One { name: (*name).to_owned(), ..One::default() }).collect();
        SinkTally { sinks, next: AtomicU64::new(0), refused: AtomicU64::new(0), moved: Notify::new() }
    }

    /// Returns the figures of each sink, in the order of the configuration.
    pub fn figures(&self) -> Vec<SinkFigures> {
        let next = self.next.load(Ordering::Relaxed);
        let each = self.sinks.iter().map(|one| SinkFigures {
            name: one.name.clone(),
            waiting: next.saturating_sub(one.cursor.load(Ordering::Relaxed)),
            delivered: {
                let settled = one.settled.load(Ordering::Relaxed);
                settled.saturating_sub(one.refused.load(Ordering::Relaxed))
            },
            failures: one.failures.load(Ordering::Relaxed),
            refused: one.refused.load(Ordering::Relaxed),
            lost: one.lost.load(Ordering::Relaxed),
        });
        each.collect()
    }

    /// Returns the events that no sink will have, because the queue into the journal was full or they were too long.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Sets where a run begins.
    pub(super) fn begin(&self, next: u64, cursors: &[u64]) {
        self.next.store(next, Ordering::Relaxed);
        for (one, cursor) in self.sinks.iter().zip(cursors) {
            one.cursor.store(*cursor, Ordering::Relaxed);
        }
    }

    pub(super) fn cursor(&self, at: usize) -> u64 {
        self.sinks[at].cursor.load(Ordering::Acquire)
    }

    /// Returns name and cursor of each sink.
    pub(super) fn cursors(&self) -> impl Iterator<Item = (&str, u64)> {
        self.sinks.iter().map(|one| (one.name.as_str(), one.cursor.load(Ordering::Acquire)))
    }

    pub(super) fn accepted(&self) {
        self.next.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused_by_queue(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn settled(&self, at: usize, cursor: u64, events: u64) {
        self.sinks[at].settled.fetch_add(events, Ordering::Relaxed);
        self.sinks[at].cursor.store(cursor, Ordering::Release);
        self.moved.notify_waiters();
    }

    pub(super) fn failed(&self, at: usize) {
        self.sinks[at].failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused_by_sink(&self, at: usize, events: u64) {
        self.sinks[at].refused.fetch_add(events, Ordering::Relaxed);
    }

    /// The sink is past events that it never had.
    pub(super) fn lost(&self, at: usize, cursor: u64, events: u64) {
        self.sinks[at].lost.fetch_add(events, Ordering::Relaxed);
        self.sinks[at].cursor.store(cursor, Ordering::Release);
        self.moved.notify_waiters();
    }

    /// Waits until every sink has all that was handed over.
    pub(super) async fn all_delivered(&self) {
        loop {
            let moved = self.moved.notified();
            let next = self.next.load(Ordering::Relaxed);
            if self.sinks.iter().all(|one| one.cursor.load(Ordering::Acquire) >= next) {
                return;
            }
            moved.await;
        }
    }
}
