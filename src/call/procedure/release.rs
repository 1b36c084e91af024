//! From the reason to end a call until nothing of it is left: sessions are hung up at once, ports say their last words.

use std::time::{Duration, Instant};

use super::{Action, Next, Signal, Step};
use crate::call::cause::ReleaseCause;
use crate::id::LegId;

/// How long a worker may take to close a port before its figures are given up.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A call being taken down.
#[derive(Debug)]
pub struct Release {
    /// Why.
    pub cause: ReleaseCause,
    open: Vec<LegId>,
    until: Instant,
}

impl Release {
    /// Begins for these legs. The peer's own Reason goes before ours.
    pub fn begin(
        cause: ReleaseCause,
        reason: Option<Vec<u8>>,
        legs: Vec<LegId>,
        now: Instant,
    ) -> (Release, Vec<Action>) {
        let reason = reason.unwrap_or_else(|| cause.reason().into_bytes());
        let mut actions = Vec::with_capacity(legs.len() * 2);
        for &leg in &legs {
            actions.push(Action::HangUp { leg, reason: reason.clone() });
            actions.push(Action::CloseMedia(leg));
        }
        (Release { cause, open: legs, until: now + LAST_WORDS }, actions)
    }

    /// Returns true once no port is awaited.
    pub fn is_over(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn deadline(&self) -> Instant {
        self.until
    }

    pub(super) fn on(&mut self, signal: Signal, now: Instant) -> Step {
        match signal {
            Signal::MediaClosed { leg, .. } => self.open.retain(|&open| open != leg),
            Signal::Deadline { .. } if now >= self.until => self.open.clear(),
            _ => {}
        }
        Step { actions: Vec::new(), next: if self.is_over() { Next::Gone } else { Next::Stay } }
    }
}
