//! A third party is called into a call whose two parties talk on meanwhile (what T-Server calls a single-step conference).
//!
//! ```text
//!  calling ──2xx of the third──> conference
//!     ├──refused, no answer──> done: the call is as it was
//!     └──one of the two leaves──> release
//! ```
//! The agent does not hear it ring, because there is somebody to talk to.

use std::time::Instant;

use super::conference::Members;
use super::setup::SetupLimits;
use super::{Action, Next, Signal, Step};
use crate::call::event::EventKind;
use crate::call::wish::Declined;
use crate::id::LegId;

/// A third party is being called.
#[derive(Debug)]
pub struct Addition {
    /// The conference that is to be; the second guest is the one that is called.
    members: Members,
    /// It is the agent's call who asked for it.
    by_agent: bool,
    limits: SetupLimits,
    until: Instant,
    /// When the server that is being tried must have given a sign of life.
    target_by: Option<Instant>,
    tried: usize,
    rung: bool,
}

impl Addition {
    /// Begins, the INVITE to the second guest being sent. `by_agent`: who asked is the agent whose call it is.
    pub fn begin(members: Members, by_agent: bool, limits: SetupLimits, now: Instant) -> Addition {
        let target_by = limits.target.map(|wait| now + wait);
        Addition { members, by_agent, limits, until: now + limits.answer, target_by, tried: 1, rung: false }
    }

    /// Another server was sent the INVITE.
    pub fn set_target(&mut self, leg: LegId, now: Instant) {
        self.members.guests[1].leg = leg;
        self.target_by = self.limits.target.map(|wait| now + wait);
    }

    /// Returns the leg that is called.
    pub fn target(&self) -> LegId {
        self.members.guests[1].leg
    }

    /// Returns the leg of who asked for it.
    pub fn agent(&self) -> LegId {
        self.members.agent
    }

    pub(super) fn deadline(&self) -> Instant {
        self.target_by.map_or(self.until, |at| at.min(self.until))
    }

    pub(super) fn on(&mut self, signal: Signal, now: Instant) -> Step {
        let target = self.target();
        match signal {
            Signal::Ringing { leg, .. } if leg == target => {
                (self.target_by, self.rung) = (None, true);
                Step::stay(Vec::new())
            }
            Signal::Answered { leg } if leg == target => {
                Step { actions: Vec::new(), next: Next::Conferring(self.members.clone()) }
            }
            Signal::Refused { leg, status, heard } if leg == target => self.refused(status, heard, Vec::new()),
            Signal::Ended { leg, .. } if leg == target => self.failed(480, Vec::new()),
            Signal::NoTarget if self.tried < self.limits.targets => {
                self.tried += 1;
                Step::stay(vec![Action::TryTarget(self.tried - 1)])
            }
            Signal::NoTarget => self.failed(503, Vec::new()),
            Signal::Ended { leg, cause, reason } => {
                let members = &self.members;
                match leg == members.agent || leg == members.guests[0].leg {
                    true => Step::release(Vec::new(), cause, reason),
                    false => Step::stay(Vec::new()),
                }
            }
            Signal::Release(cause) => Step::release(Vec::new(), cause, None),
            Signal::Deadline { .. } if now >= self.until => {
                self.failed(408, vec![hang_up(target, b"SIP;cause=408;text=\"No answer\"")])
            }
            Signal::Deadline { target_alive } if self.target_by.is_some_and(|at| at <= now) => {
                self.target_by = None;
                match target_alive {
                    true => Step::stay(Vec::new()),
                    false => self.refused(503, false, vec![hang_up(target, b"SIP;cause=408;text=\"No response\"")]),
                }
            }
            _ => Step::stay(Vec::new()),
        }
    }

    /// RFC 3263 4.3: silence and 503 alike send the INVITE to the next server, as long as nobody rang.
    fn refused(&mut self, status: u16, heard: bool, mut actions: Vec<Action>) -> Step {
        let target = self.target();
        if !heard {
            actions.push(Action::NoteSilence(target));
        }
        let is_down = !heard || (status == 503 && !self.rung);
        if !is_down || self.tried >= self.limits.targets {
            return self.failed(status, actions);
        }
        self.target_by = None;
        self.tried += 1;
        actions.extend([Action::CloseMedia(target), Action::Forget(target), Action::TryTarget(self.tried - 1)]);
        Step::stay(actions)
    }

    fn failed(&mut self, status: u16, mut actions: Vec<Action>) -> Step {
        let (target, by_agent) = (self.target(), self.by_agent);
        actions.extend([Action::CloseMedia(target), Action::Forget(target)]);
        actions.push(Action::Emit(EventKind::Declined { why: Declined::Refused(status), by_agent }));
        Step { actions, next: Next::Done }
    }
}

fn hang_up(leg: LegId, reason: &[u8]) -> Action {
    Action::HangUp { leg, reason: reason.to_vec() }
}
