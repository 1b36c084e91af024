//! A transfer that the trunk does for us (RFC 3515): our REFER, its progress, and the end of the call once it has succeeded.
//!
//! ```text
//!  asked ──2xx──> running ──sipfrag 2xx──> over ──BYE of the trunk, or a while──> release
//!    │               └──sipfrag 3xx to 6xx, no word──> done: the call goes on as it was
//!    └──refused──> done
//! ```

use std::time::{Duration, Instant};

use super::transfer::Reporter;
use super::{Action, Next, Signal, Step, answer};
use crate::call::cause::ReleaseCause;
use crate::call::event::EventKind;
use crate::call::wish::Declined;
use crate::id::{CallId, LegId};

/// How long the trunk may take to hang up what it has transferred, before we do.
const FAREWELL: Duration = Duration::from_secs(3);

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No final response to the REFER yet.
    Asked,
    /// Accepted.
    Running,
    /// It has succeeded.
    Over,
}

/// A REFER of ours under way.
#[derive(Debug)]
pub struct Referral {
    agent: LegId,
    report: Reporter,
    to: String,
    /// The agent's other call, whose party is the target.
    with: Option<CallId>,
    phase: Phase,
    told: u16,
    until: Instant,
}

/// What a REFER was to bring about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referred {
    /// The agent's leg.
    pub agent: LegId,
    /// How the agent is told.
    pub report: Reporter,
    /// The number.
    pub to: String,
    /// The agent's other call, whose party is the target.
    pub with: Option<CallId>,
}

impl Referral {
    /// Begins: the REFER was sent down the trunk leg, for the agent of this leg.
    pub fn begin(
        agent: LegId,
        to: String,
        with: Option<CallId>,
        report: Reporter,
        patience: Duration,
        now: Instant,
    ) -> Referral {
        Referral { agent, report, to, with, phase: Phase::Asked, told: 100, until: now + patience }
    }

    /// Returns what was wanted, as long as the REFER has no final response.
    pub fn unanswered(&self) -> Option<Referred> {
        let Referral { agent, report, with, .. } = *self;
        (self.phase == Phase::Asked).then(|| Referred { agent, report, to: self.to.clone(), with })
    }

    pub(super) fn deadline(&self) -> Instant {
        self.until
    }

    pub(super) fn on(&mut self, signal: Signal, now: Instant) -> Step {
        match (self.phase, signal) {
            // Without a subscription nothing more is heard of it (RFC 4488).
            (Phase::Asked, Signal::Referred { status: 200..=299, is_followed: false }) => self.succeeded(now),
            (Phase::Asked, Signal::Referred { status: 200..=299, .. }) => {
                self.phase = Phase::Running;
                Step::stay(Vec::new())
            }
            (Phase::Asked, Signal::Referred { status, .. }) => self.failed(status),
            // A NOTIFY may overtake the 202 over UDP.
            (Phase::Asked | Phase::Running, Signal::Followed { status, last }) => self.progress(status, last, now),
            (Phase::Over, Signal::Ended { .. }) => Step::release(Vec::new(), ReleaseCause::Transferred, None),
            (Phase::Over, Signal::Deadline { .. }) if now >= self.until => {
                Step::release(Vec::new(), ReleaseCause::Transferred, None)
            }
            (_, Signal::Deadline { .. }) if now >= self.until => self.failed(408),
            (Phase::Asked | Phase::Running, Signal::Ended { leg, cause, reason }) if leg != self.agent => {
                Step::release(self.report(487, true).into_iter().collect(), cause, reason)
            }
            (_, other) => answer::talking(other),
        }
    }

    fn report(&self, status: u16, last: bool) -> Option<Action> {
        let told = Action::Report { leg: self.agent, by: self.report, status, last };
        (last || status != self.told).then_some(told)
    }

    fn progress(&mut self, status: u16, last: bool, now: Instant) -> Step {
        self.phase = Phase::Running;
        match status {
            // The last word, and it says nothing: the outcome is not known, so the call is kept.
            100..=199 if last => self.failed(503),
            100..=199 => {
                let actions = self.report(status, false).into_iter().collect();
                self.told = status;
                Step::stay(actions)
            }
            200..=299 => self.succeeded(now),
            _ => self.failed(status),
        }
    }

    fn succeeded(&mut self, now: Instant) -> Step {
        self.phase = Phase::Over;
        self.until = now + FAREWELL;
        let mut actions: Vec<Action> = self.report(200, true).into_iter().collect();
        actions.push(Action::Emit(EventKind::Transferred { to: self.to.clone(), by_agent: true }));
        actions.extend(self.with.map(Action::ReleaseOther));
        Step::stay(actions)
    }

    fn failed(&mut self, status: u16) -> Step {
        let mut actions: Vec<Action> = self.report(status, true).into_iter().collect();
        actions.push(Action::Emit(EventKind::Declined { why: Declined::Refused(status), by_agent: true }));
        Step { actions, next: Next::Done }
    }
}
