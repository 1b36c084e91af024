//! Parties that were on hold are told that they are talked to again: one re-INVITE each, side by side (RFC 3264 8.4).
//!
//! A part of a transfer that has succeeded and of a conference, whose parties may have been left on hold in calls of their
//! own. A party that refuses stays as it is: it is heard of, and no call ends for it.

use std::time::{Duration, Instant};

use super::{Action, Signal};
use crate::id::LegId;
use crate::sdp::description::Direction;

/// How long to wait before a re-INVITE that could not be sent is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// How often it is tried: an ACK may be 36 s late (RFC 3261 13.3.1.4).
const TRIES: u8 = 80;

/// One party.
#[derive(Debug)]
struct Party {
    leg: LegId,
    tries: u8,
    again: Option<Instant>,
}

/// Re-INVITEs under way.
#[derive(Debug, Default)]
pub struct Retrieval {
    parties: Vec<Party>,
}

fn reinvite(leg: LegId) -> Action {
    Action::Reinvite { leg, direction: Direction::SendRecv }
}

impl Retrieval {
    /// Begins for these legs; with none it is over at once.
    pub fn begin(legs: &[LegId]) -> (Retrieval, Vec<Action>) {
        let parties = legs.iter().map(|&leg| Party { leg, tries: 1, again: None }).collect();
        (Retrieval { parties }, legs.iter().copied().map(reinvite).collect())
    }

    /// Returns true once nobody is on hold any more.
    pub fn is_over(&self) -> bool {
        self.parties.is_empty()
    }

    /// Returns when [`Signal::Deadline`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.parties.iter().filter_map(|party| party.again).min()
    }

    /// The leg is gone.
    pub fn forget(&mut self, leg: LegId) {
        self.parties.retain(|party| party.leg != leg);
    }

    /// Takes an answer to one of the re-INVITEs, or the time; `None`: the signal is not for this.
    pub fn on(&mut self, signal: &Signal, now: Instant) -> Option<Vec<Action>> {
        match signal {
            Signal::ReinviteDone { leg, status } => {
                let party = self.parties.iter_mut().find(|party| party.leg == *leg)?;
                if *status == 491 && party.tries < TRIES {
                    party.again = Some(now + AGAIN);
                } else {
                    self.forget(*leg);
                }
                Some(Vec::new())
            }
            Signal::Deadline { .. } => {
                let mut actions = Vec::new();
                for party in self.parties.iter_mut().filter(|party| party.again.is_some_and(|at| at <= now)) {
                    party.again = None;
                    party.tries += 1;
                    actions.push(reinvite(party.leg));
                }
                (!actions.is_empty()).then_some(actions)
            }
            _ => None,
        }
    }
}
