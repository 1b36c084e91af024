//! From the 200 to the caller until its ACK (RFC 3261 13.3.1.4): both hear each other, the dialog is not sure yet.

use super::{Next, Signal, Step};
use crate::id::LegId;

/// An answered call whose caller has not acknowledged.
#[derive(Debug)]
pub struct Answer {
    callee: LegId,
}

impl Answer {
    /// Begins: the 200 was sent.
    pub fn begin(callee: LegId) -> Answer {
        Answer { callee }
    }

    /// Returns the leg that answered.
    pub fn callee(&self) -> LegId {
        self.callee
    }

    pub(super) fn on(&mut self, signal: Signal) -> Step {
        match signal {
            Signal::Acked => Step { actions: Vec::new(), next: Next::Done },
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
