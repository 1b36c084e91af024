//! From the 200 to the caller until its ACK (RFC 3261 13.3.1.4): the dialog is not sure yet.
//!
//! Where the 200 has the answer, both hear each other at once. Where it has our offer (RFC 3725 flow I), the ACK comes when the
//! destination of the call has answered: until then the agent hears it ring.

use std::time::{Duration, Instant};

use super::{Action, Next, Signal, Step};
use crate::call::topology::ParkSource;
use crate::id::LegId;

/// How late an ACK must be to mean that a destination rings; before that a tone would be a click.
const RINGS: Duration = Duration::from_millis(400);

/// An answered call whose caller has not acknowledged.
#[derive(Debug)]
pub struct Answer {
    caller: LegId,
    callee: LegId,
    rings: Option<Instant>,
}

impl Answer {
    /// Begins: the 200 was sent. `has_offer`: it is our offer that the ACK is to answer.
    pub fn begin(caller: LegId, callee: LegId, has_offer: bool, now: Instant) -> (Answer, Vec<Action>) {
        let actions = if has_offer { Vec::new() } else { vec![Action::Connect(caller, callee)] };
        (Answer { caller, callee, rings: has_offer.then(|| now + RINGS) }, actions)
    }

    /// Returns the leg that answered.
    pub fn callee(&self) -> LegId {
        self.callee
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.rings
    }

    pub(super) fn on(&mut self, signal: Signal, now: Instant) -> Step {
        match signal {
            Signal::Acked => Step { actions: Vec::new(), next: Next::Talking(self.caller, self.callee) },
            Signal::Deadline { .. } if self.rings.is_some_and(|at| at <= now) => {
                self.rings = None;
                Step::stay(vec![Action::Park { leg: self.callee, source: ParkSource::Ringback }])
            }
            other => talking(other),
        }
    }
}

/// What every answered call does, within a procedure or without.
pub fn talking(signal: Signal) -> Step {
    match signal {
        Signal::Ended { cause, reason, .. } => Step::release(Vec::new(), cause, reason),
        Signal::Release(cause) => Step::release(Vec::new(), cause, None),
        _ => Step::stay(Vec::new()),
    }
}
