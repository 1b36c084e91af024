//! From the caller's INVITE to the callee's answer (RFC 3261 13, 16.7 for the choice among several refusals).
//!
//! ```text
//!  calling ──18x──> ringing ──2xx──> answered (losers are cancelled)
//!     │  └─silence──> next target        │
//!     └──────refused by all, cancelled, timed out──> release
//! ```

use std::time::{Duration, Instant};

use super::{Action, Next, Signal, Step};
use crate::call::cause::ReleaseCause;
use crate::call::event::{Direction, EventKind};
use crate::call::wish::Wish;
use crate::id::LegId;

/// Reason header for those that rang in vain (RFC 3326 2).
const ELSEWHERE: &[u8] = b"SIP;cause=200;text=\"Call completed elsewhere\"";

/// How patient a set-up is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetupLimits {
    /// From the INVITE to the answer.
    pub answer: Duration,
    /// From the INVITE to any sign of life of a trunk target; `None`: not watched.
    pub target: Option<Duration>,
    /// Targets of the trunk; the first one is tried by whoever begins the set-up.
    pub targets: usize,
}

/// A set-up under way.
#[derive(Debug)]
pub struct Setup {
    direction: Direction,
    caller: LegId,
    callees: Vec<LegId>,
    limits: SetupLimits,
    answer_by: Instant,
    target_by: Option<Instant>,
    tried: usize,
    best: Option<u16>,
    told: Option<(u16, bool)>,
    rung: bool,
    /// Callees that ring, and whether each was asked to answer.
    ringing: Vec<(LegId, bool)>,
    /// Somebody wishes that the phone answers.
    wished: bool,
}

impl Setup {
    /// Begins; callees are added by [`Setup::add_callee`].
    pub fn begin(direction: Direction, caller: LegId, limits: SetupLimits, now: Instant) -> Setup {
        Setup {
            direction,
            caller,
            callees: Vec::new(),
            limits,
            answer_by: now + limits.answer,
            target_by: None,
            tried: 1,
            best: None,
            told: None,
            rung: false,
            ringing: Vec::new(),
            wished: false,
        }
    }

    /// Another leg was sent an INVITE.
    pub fn add_callee(&mut self, leg: LegId, now: Instant) {
        self.callees.push(leg);
        self.target_by = self.limits.target.map(|wait| now + wait);
    }

    /// Returns the leg that called.
    pub fn caller(&self) -> LegId {
        self.caller
    }

    /// Returns true while the caller has heard nothing but 100.
    pub fn has_told_nothing(&self) -> bool {
        self.told.is_none()
    }

    pub(super) fn deadline(&self) -> Instant {
        self.target_by.map_or(self.answer_by, |at| at.min(self.answer_by))
    }

    pub(super) fn on(&mut self, signal: Signal, now: Instant) -> Step {
        match signal {
            Signal::Ringing { leg, status, early_media } => self.ringing(leg, status, early_media),
            Signal::Answered { leg } => self.answered(leg),
            Signal::Refused { leg, status, heard } => self.refused(leg, status, heard),
            Signal::Ended { leg, cause, reason } if leg == self.caller => {
                let told = reason.clone().unwrap_or_else(|| cause.reason().into_bytes());
                Step::release(self.drop_callees(&told), cause, reason)
            }
            Signal::Ended { leg, .. } => self.refused(leg, 480, false),
            Signal::Release(cause) => {
                let mut actions = self.drop_callees(cause.reason().as_bytes());
                actions.push(Action::Reject { status: cause.status() });
                Step::release(actions, cause, None)
            }
            Signal::NoTarget if self.callees.is_empty() && self.tried < self.limits.targets => {
                self.tried += 1;
                Step::stay(vec![Action::TryTarget(self.tried - 1)])
            }
            Signal::NoTarget if self.callees.is_empty() => give_up(Vec::new(), self.best.unwrap_or(503)),
            Signal::Deadline { target_alive } => self.timed_out(target_alive, now),
            Signal::Wish(Wish::Answer) if self.direction == Direction::Inbound => {
                self.wished = true;
                Step::stay(self.ask())
            }
            _ => Step::stay(Vec::new()),
        }
    }

    /// Asks each phone that rings to answer, once. One that does not ring yet has no dialog to be asked in.
    fn ask(&mut self) -> Vec<Action> {
        if !self.wished {
            return Vec::new();
        }
        let unasked = self.ringing.iter_mut().filter(|(_, asked)| !asked);
        unasked
            .map(|(leg, asked)| {
                *asked = true;
                Action::AskToAnswer(*leg)
            })
            .collect()
    }

    fn ringing(&mut self, leg: LegId, status: u16, early_media: bool) -> Step {
        let mut actions = Vec::new();
        if !self.callees.contains(&leg) {
            return Step::stay(actions);
        }
        self.target_by = None;
        if early_media {
            actions.push(Action::Connect(self.caller, leg));
        }
        if self.told != Some((status, early_media)) {
            self.told = Some((status, early_media));
            actions.push(Action::Progress { status, early_media });
        }
        if !self.rung {
            self.rung = true;
            actions.push(Action::Emit(EventKind::Ringing));
        }
        if !self.ringing.iter().any(|(id, _)| *id == leg) {
            self.ringing.push((leg, false));
        }
        actions.extend(self.ask());
        Step::stay(actions)
    }

    fn answered(&mut self, leg: LegId) -> Step {
        if !self.callees.contains(&leg) {
            return Step::stay(vec![Action::HangUp { leg, reason: ELSEWHERE.to_vec() }]);
        }
        self.callees.retain(|&callee| callee != leg);
        let mut actions = vec![Action::Connect(self.caller, leg), Action::Accept];
        actions.extend(self.drop_callees(ELSEWHERE));
        actions.push(Action::Emit(EventKind::Established));
        Step { actions, next: Next::Answered(leg) }
    }

    fn refused(&mut self, leg: LegId, status: u16, heard: bool) -> Step {
        if !self.callees.contains(&leg) {
            return Step::stay(Vec::new());
        }
        self.callees.retain(|&callee| callee != leg);
        self.ringing.retain(|(id, _)| *id != leg);
        let mut actions = Vec::new();
        if !heard && self.direction == Direction::Outbound {
            actions.push(Action::NoteSilence(leg));
        }
        actions.extend([Action::CloseMedia(leg), Action::Forget(leg)]);
        // RFC 3263 4.3: silence and 503 alike send a request to the next target, as long as nobody rang.
        let is_down = !heard || (status == 503 && !self.rung);
        if is_down && self.tried < self.limits.targets {
            actions.push(Action::TryTarget(self.tried));
            self.tried += 1;
            return Step::stay(actions);
        }
        let status = told_to_caller(self.direction, status, heard);
        let best = self.best.map_or(status, |best| better(best, status));
        self.best = Some(best);
        if best >= 600 {
            actions.extend(self.drop_callees(ELSEWHERE));
        }
        if !self.callees.is_empty() {
            return Step::stay(actions);
        }
        give_up(actions, best)
    }

    fn timed_out(&mut self, target_alive: bool, now: Instant) -> Step {
        if now >= self.answer_by {
            return give_up(self.drop_callees(b"SIP;cause=480;text=\"No answer\""), 480);
        }
        match self.target_by {
            Some(at) if now >= at => self.target_by = None,
            _ => return Step::stay(Vec::new()),
        }
        let Some(&silent) = self.callees.first() else { return Step::stay(Vec::new()) };
        if target_alive {
            return Step::stay(Vec::new());
        }
        let mut step = self.refused(silent, 503, false);
        let reason = b"SIP;cause=408;text=\"No response\"".to_vec();
        step.actions.insert(0, Action::HangUp { leg: silent, reason });
        step
    }

    fn drop_callees(&mut self, reason: &[u8]) -> Vec<Action> {
        let mut actions = Vec::with_capacity(self.callees.len() * 3);
        for leg in self.callees.drain(..) {
            actions.push(Action::HangUp { leg, reason: reason.to_vec() });
            actions.push(Action::CloseMedia(leg));
            actions.push(Action::Forget(leg));
        }
        actions
    }
}

/// No callee is left: the caller is refused.
fn give_up(mut actions: Vec<Action>, status: u16) -> Step {
    actions.push(Action::Reject { status });
    Step::release(actions, ReleaseCause::Refused(status), None)
}

/// What the caller hears of a callee's refusal.
fn told_to_caller(direction: Direction, status: u16, heard: bool) -> u16 {
    match (direction, status) {
        // A browser is not to be blamed for what only concerns its own connection.
        (Direction::Inbound, 480 | 486 | 488 | 600 | 603 | 604 | 606) => status,
        (Direction::Inbound, _) => 480,
        // The trunk asks us for credentials, never the browser (CVE-2021-41158).
        (Direction::Outbound, 401 | 407) => 502,
        (Direction::Outbound, 300..=399) => 480,
        (Direction::Outbound, _) if !heard => 503,
        (Direction::Outbound, 400..=699) => status,
        (Direction::Outbound, _) => 500,
    }
}

/// The more telling of two refusals: any 6xx, then busy, then the others but 480.
fn better(one: u16, other: u16) -> u16 {
    let rank = |status: u16| match status {
        600.. => 0,
        486 => 1,
        480 => 3,
        _ => 2,
    };
    if rank(other) < rank(one) { other } else { one }
}
