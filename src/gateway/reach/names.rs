//! The names of trunks, looked up by the shell and looked up again as their answers run out (RFC 3263 4, RFC 2308).
//!
//! The last good answer stands as long as there is no new one: a DNS that is down takes no trunk away.

use std::time::{Duration, Instant};

use super::super::Output;
use super::super::config::Destination;
use crate::path::Transport;
use crate::sip::locate::ResolvedTarget;

/// Bounds of the time until a name is asked for again.
const FRESH: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3600));
/// First and longest wait after a question that was not answered.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// No answer at all comes after this.
const PATIENCE: Duration = Duration::from_secs(60);

/// One name of one trunk.
#[derive(Debug)]
struct Entry {
    trunk: usize,
    destination: usize,
    host: String,
    port: Option<u16>,
    transport: Option<Transport>,
    targets: Vec<ResolvedTarget>,
    /// The question that is open.
    query: Option<u64>,
    /// When it is asked again.
    due: Instant,
    failures: u32,
}

/// All names.
#[derive(Debug, Default)]
pub(super) struct Names {
    entries: Vec<Entry>,
    last_query: u64,
}

impl Names {
    pub(super) fn new<'a>(trunks: impl Iterator<Item = &'a [Destination]>, now: Instant) -> Names {
        let mut entries = Vec::new();
        for (trunk, destinations) in trunks.enumerate() {
            for (destination, what) in destinations.iter().enumerate() {
                if let Destination::Name { host, port, transport } = what {
                    entries.push(Entry {
                        trunk,
                        destination,
                        host: host.clone(),
                        port: *port,
                        transport: *transport,
                        targets: Vec::new(),
                        query: None,
                        due: now,
                        failures: 0,
                    });
                }
            }
        }
        Names { entries, last_query: 0 }
    }

    /// Returns what a destination is known to be.
    pub(super) fn targets(&self, trunk: usize, destination: usize) -> &[ResolvedTarget] {
        let entry = self.entries.iter().find(|entry| (entry.trunk, entry.destination) == (trunk, destination));
        entry.map_or(&[], |entry| &entry.targets)
    }

    /// Returns the next question that is due.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Output> {
        let entry = self.entries.iter_mut().find(|entry| entry.due <= now)?;
        self.last_query += 1;
        entry.query = Some(self.last_query);
        entry.due = now + PATIENCE;
        let Entry { host, port, transport, .. } = entry;
        Some(Output::Resolve { query: self.last_query, host: host.clone(), port: *port, transport: *transport })
    }

    /// Takes an answer; true: the targets are others than before.
    pub(super) fn resolved(&mut self, query: u64, targets: Vec<ResolvedTarget>, ttl: Duration, now: Instant) -> bool {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.query == Some(query)) else { return false };
        entry.query = None;
        if targets.is_empty() {
            entry.due = now + RETRY.0.saturating_mul(1 << entry.failures.min(8)).min(RETRY.1);
            entry.failures = entry.failures.saturating_add(1);
            let stands = entry.targets.len();
            tracing::warn!(host = entry.host, stands, "no address for the trunk; the last good ones stand");
            return false;
        }
        entry.failures = 0;
        entry.due = now + ttl.clamp(FRESH.0, FRESH.1);
        let changed = entry.targets != targets;
        entry.targets = targets;
        changed
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.entries.iter().map(|entry| entry.due).min()
    }
}
