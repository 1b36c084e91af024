//! From the INVITE that gives a phone its call back until its answer: a page that was reloaded knows its dialogs no more,
//! so a new leg takes the place of the old one. The other party hears nothing of it.
//!
//! ```text
//!  offered ──2xx──> the new leg is where the old one was
//!     └───refused───> as before: the old leg waits for the end of its grace
//! ```

use super::{Action, Next, Signal, Step, answer};
use crate::id::LegId;

/// A leg that is about to take another's place.
#[derive(Debug)]
pub struct Resume {
    old: LegId,
    new: LegId,
}

impl Resume {
    /// Begins: the new leg was sent an INVITE.
    pub fn begin(old: LegId, new: LegId) -> Resume {
        Resume { old, new }
    }

    /// Returns the leg whose dialog is lost.
    pub fn old_leg(&self) -> LegId {
        self.old
    }

    /// Returns the leg that was sent the INVITE.
    pub fn new_leg(&self) -> LegId {
        self.new
    }

    pub(super) fn on(&mut self, signal: Signal) -> Step {
        let (old, new) = (self.old, self.new);
        match signal {
            Signal::Answered { leg } if leg == new => {
                Step { actions: vec![Action::Resumed { old, new }], next: Next::Resumed { old, new } }
            }
            Signal::Refused { leg, .. } if leg == new => {
                Step { actions: vec![Action::CloseMedia(new), Action::Forget(new)], next: Next::Done }
            }
            other => answer::talking(other),
        }
    }
}
