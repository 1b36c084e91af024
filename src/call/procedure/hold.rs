//! From our re-INVITE of the trunk to its answer: hold and retrieve (RFC 3264 8.4, RFC 6337 5.3).
//!
//! ```text
//! hold:      park the far leg, re-INVITE sendonly ──2xx──> held        ──refused──> joined again, as it was
//! retrieve:  re-INVITE sendrecv ──2xx──> joined                        ──refused──> still held
//!                     └──491, or an INVITE transaction is open──> again
//! ```
//! The far party is parked before the trunk knows, so that it hears nothing said after the key was pressed.

use std::time::{Duration, Instant};

use super::{Action, Next, Signal, Step, answer};
use crate::call::event::EventKind;
use crate::call::topology::ParkSource;
use crate::call::wish::Declined;
use crate::id::LegId;
use crate::sdp::description::Direction;

/// How long to wait before a re-INVITE that could not be sent is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// How often it is tried: an ACK may be 36 s late (RFC 3261 13.3.1.4).
const TRIES: u8 = 80;

/// A change between held and not held under way.
#[derive(Debug)]
pub struct Hold {
    near: LegId,
    far: LegId,
    hold: bool,
    tries: u8,
    again: Option<Instant>,
}

/// Parks the leg that is on hold.
pub(in crate::call) fn park(far: LegId) -> Action {
    Action::Park { leg: far, source: ParkSource::Hold }
}

impl Hold {
    /// Begins: `near` is the agent's leg, `far` that of the trunk.
    pub fn begin(near: LegId, far: LegId, hold: bool) -> (Hold, Vec<Action>) {
        let procedure = Hold { near, far, hold, tries: 1, again: None };
        let mut actions = Vec::new();
        if hold {
            actions.push(park(far));
        }
        actions.push(procedure.reinvite());
        (procedure, actions)
    }

    fn reinvite(&self) -> Action {
        let direction = if self.hold { Direction::SendOnly } else { Direction::SendRecv };
        Action::Reinvite { leg: self.far, direction }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.again
    }

    pub(super) fn on(&mut self, signal: Signal, now: Instant) -> Step {
        match signal {
            Signal::ReinviteDone { leg, status } if leg == self.far => self.done(status, now),
            Signal::Deadline { .. } if self.again.is_some_and(|at| at <= now) => {
                self.again = None;
                self.tries += 1;
                Step::stay(vec![self.reinvite()])
            }
            other => answer::talking(other),
        }
    }

    fn done(&mut self, status: u16, now: Instant) -> Step {
        match status {
            200..=299 => {
                let (near, far, hold) = (self.near, self.far, self.hold);
                Step { actions: Vec::new(), next: Next::Held { near, far, hold } }
            }
            491 if self.tries < TRIES => {
                self.again = Some(now + AGAIN);
                Step::stay(Vec::new())
            }
            _ => {
                let mut actions = Vec::new();
                if self.hold {
                    actions.push(Action::Connect(self.near, self.far));
                }
                actions.push(Action::Emit(EventKind::Declined { why: Declined::Refused(status), by_agent: true }));
                Step { actions, next: Next::Done }
            }
        }
    }
}
