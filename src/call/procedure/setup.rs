//! From the caller's INVITE to the callee's answer (RFC 3261 13, 16.7 for the choice among several refusals).
//!
//! ```text
//!  calling ──18x──> ringing ──2xx──> answered (losers are cancelled)
//!     │  └─silence──> next target        │
//!     └──────refused by all, cancelled, timed out──> release
//! ```

use std::time::{Duration, Instant};

use super::alert::{Alert, Wished};
use super::{Action, Next, Signal, Step};
use crate::call::cause::ReleaseCause;
use crate::call::event::{Direction, EventKind};
use crate::call::topology::ParkSource;
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
    caller: Caller,
    callees: Vec<LegId>,
    limits: SetupLimits,
    answer_by: Instant,
    target_by: Option<Instant>,
    tried: usize,
    best: Option<u16>,
    /// The progress that the caller was told of last.
    told: Option<(u16, bool)>,
    /// A callee is heard.
    early: bool,
    alert: Alert,
    tone: RefusalTone,
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
struct Caller {
    leg: LegId,
    /// It was called for it, and has answered.
    is_summoned: bool,
    /// Whom it calls is an agent, too, who may be told to answer.
    calls_agent: bool,
}

/// The tone that a browser hears before it is refused.
#[derive(Debug, Default)]
struct RefusalTone {
    /// How long; zero: none.
    length: Duration,
    /// The refusal that is to come, and when.
    playing: Option<(u16, Instant)>,
}

impl Setup {
    /// Begins; callees are added by [`Setup::add_callee`].
    pub fn begin(direction: Direction, caller: LegId, limits: SetupLimits, now: Instant) -> Setup {
        Setup {
            direction,
            caller: Caller { leg: caller, is_summoned: false, calls_agent: direction == Direction::Inbound },
            callees: Vec::new(),
            limits,
            answer_by: now + limits.answer,
            target_by: None,
            tried: 1,
            best: None,
            told: None,
            early: false,
            alert: Alert::default(),
            tone: RefusalTone::default(),
        }
    }

    /// Begins for a phone that was called to make the call: the first target is still to be tried.
    pub fn summoned(phone: LegId, limits: SetupLimits, tone: Duration, now: Instant) -> Setup {
        let mut setup = Setup::begin(Direction::Outbound, phone, limits, now);
        setup.caller.is_summoned = true;
        setup.set_refusal_tone(tone);
        setup
    }

    /// Two of our DNs are to talk without a trunk: whom is called is an agent.
    pub fn set_local(&mut self) {
        self.caller.calls_agent = true;
    }

    /// Returns true where the caller's own call is answered already.
    pub fn is_summoned(&self) -> bool {
        self.caller.is_summoned
    }

    /// Lets a browser whose call is refused hear busy or congestion for so long before it is told.
    pub fn set_refusal_tone(&mut self, length: Duration) {
        self.tone.length = length;
    }

    /// Another leg was sent an INVITE.
    pub fn add_callee(&mut self, leg: LegId, now: Instant) {
        self.callees.push(leg);
        self.target_by = self.limits.target.map(|wait| now + wait);
    }

    /// Returns the leg that called.
    pub fn caller(&self) -> LegId {
        self.caller.leg
    }

    /// Returns true while the caller has heard nothing but 100.
    pub fn has_told_nothing(&self) -> bool {
        self.told.is_none()
    }

    pub(super) fn deadline(&self) -> Instant {
        match self.tone.playing {
            Some((_, until)) => until,
            None => self.target_by.map_or(self.answer_by, |at| at.min(self.answer_by)),
        }
    }

    pub(super) fn on(&mut self, signal: Signal, now: Instant) -> Step {
        match signal {
            Signal::Ringing { leg, status, early_media } => self.ringing(leg, status, early_media),
            Signal::Answered { leg } => self.answered(leg),
            Signal::Refused { leg, status, heard } => self.refused(leg, status, heard, now),
            Signal::Redirected { leg, target } if self.callees.contains(&leg) => {
                self.callees.retain(|&callee| callee != leg);
                Step::stay(vec![Action::CloseMedia(leg), Action::Forget(leg), Action::TryTarget(target)])
            }
            Signal::Ended { leg, cause, reason } if leg == self.caller.leg => {
                let told = reason.clone().unwrap_or_else(|| cause.reason().into_bytes());
                Step::release(self.drop_callees(&told), cause, reason)
            }
            Signal::Ended { leg, .. } => self.refused(leg, 480, false, now),
            Signal::Release(cause) => {
                let mut actions = self.drop_callees(cause.reason().as_bytes());
                actions.push(Action::Reject { status: cause.status() });
                Step::release(actions, cause, None)
            }
            Signal::NoTarget if self.callees.is_empty() && self.tried < self.limits.targets => {
                self.tried += 1;
                Step::stay(vec![Action::TryTarget(self.tried - 1)])
            }
            Signal::NoTarget if self.callees.is_empty() => self.give_up(Vec::new(), self.best.unwrap_or(503), now),
            Signal::Deadline { target_alive } => self.timed_out(target_alive, now),
            Signal::Alerting(mode) => {
                self.alert.set_mode(mode);
                Step::stay(self.tell(180, false))
            }
            Signal::Wish { what: Wish::Answer, .. } if self.caller.calls_agent => match self.alert.wish() {
                Wished::Join(leg) => self.join(leg),
                Wished::Actions(actions) => Step::stay(actions),
            },
            _ => Step::stay(Vec::new()),
        }
    }

    fn ringing(&mut self, leg: LegId, status: u16, early_media: bool) -> Step {
        if !self.callees.contains(&leg) {
            return Step::stay(Vec::new());
        }
        self.target_by = None;
        self.early |= early_media;
        let mut actions = Vec::new();
        if early_media {
            actions.push(Action::Connect(self.caller.leg, leg));
        }
        match self.direction {
            Direction::Inbound => actions.extend(self.tell(status, early_media)),
            Direction::Outbound => {
                if !self.early {
                    // Nobody else plays it: an agent does not sit in silence.
                    actions.push(Action::Park { leg: self.caller.leg, source: ParkSource::Ringback });
                }
                actions.extend(self.tell(183, true));
            }
        }
        actions.extend(self.alert.rings(leg));
        Step::stay(actions)
    }

    /// Tells the caller of progress, the same one once; the first is an event.
    fn tell(&mut self, status: u16, early_media: bool) -> Vec<Action> {
        let before = self.told.replace((status, early_media));
        let mut actions = Vec::new();
        if before != self.told {
            actions.push(Action::Progress { status, early_media });
        }
        if before.is_none() {
            actions.push(Action::Emit(EventKind::Ringing));
        }
        actions
    }

    fn answered(&mut self, leg: LegId) -> Step {
        if !self.callees.contains(&leg) {
            return Step::stay(vec![Action::HangUp { leg, reason: ELSEWHERE.to_vec() }]);
        }
        if self.alert.answered(leg) {
            return self.join(leg);
        }
        // A nailed leg: it waits for the wish, the others are not needed.
        self.callees.retain(|&callee| callee != leg);
        let actions = self.drop_callees(ELSEWHERE);
        self.callees.push(leg);
        Step::stay(actions)
    }

    /// The callee that answered and the caller talk.
    fn join(&mut self, leg: LegId) -> Step {
        self.alert.forget(leg);
        self.callees.retain(|&callee| callee != leg);
        let mut actions = vec![Action::Accept];
        actions.extend(self.drop_callees(ELSEWHERE));
        actions.push(Action::Emit(EventKind::Established));
        Step { actions, next: Next::Answered(leg) }
    }

    fn refused(&mut self, leg: LegId, status: u16, heard: bool, now: Instant) -> Step {
        if !self.callees.contains(&leg) {
            return Step::stay(Vec::new());
        }
        self.callees.retain(|&callee| callee != leg);
        self.alert.forget(leg);
        let mut actions = Vec::new();
        if !heard && self.direction == Direction::Outbound {
            actions.push(Action::NoteSilence(leg));
        }
        actions.extend([Action::CloseMedia(leg), Action::Forget(leg)]);
        // RFC 3263 4.3: silence and 503 alike send a request to the next target, as long as nobody rang.
        let is_down = !heard || (status == 503 && self.told.is_none());
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
        self.give_up(actions, best, now)
    }

    fn timed_out(&mut self, target_alive: bool, now: Instant) -> Step {
        if let Some((status, until)) = self.tone.playing {
            return if now >= until { reject(Vec::new(), status) } else { Step::stay(Vec::new()) };
        }
        if now >= self.answer_by {
            let actions = self.drop_callees(b"SIP;cause=480;text=\"No answer\"");
            return self.give_up(actions, 480, now);
        }
        match self.target_by {
            Some(at) if now >= at => self.target_by = None,
            _ => return Step::stay(Vec::new()),
        }
        let Some(&silent) = self.callees.first() else { return Step::stay(Vec::new()) };
        if target_alive {
            return Step::stay(Vec::new());
        }
        let mut step = self.refused(silent, 503, false, now);
        let reason = b"SIP;cause=408;text=\"No response\"".to_vec();
        step.actions.insert(0, Action::HangUp { leg: silent, reason });
        step
    }

    /// No callee is left: the caller is refused, a browser perhaps after a tone.
    fn give_up(&mut self, mut actions: Vec<Action>, status: u16, now: Instant) -> Step {
        if self.direction == Direction::Inbound || self.tone.length.is_zero() {
            return reject(actions, status);
        }
        self.tone.playing = Some((status, now + self.tone.length));
        let source = if matches!(status, 486 | 600) { ParkSource::Busy } else { ParkSource::Congestion };
        actions.push(Action::Park { leg: self.caller.leg, source });
        if self.told.replace((183, true)) != Some((183, true)) {
            actions.push(Action::Progress { status: 183, early_media: true });
        }
        Step::stay(actions)
    }

    fn drop_callees(&mut self, reason: &[u8]) -> Vec<Action> {
        let mut actions = Vec::with_capacity(self.callees.len() * 3);
        for leg in self.callees.drain(..) {
            if self.alert.ready() == Some(leg) {
                actions.push(Action::Stand(leg));
                continue;
            }
            actions.push(Action::HangUp { leg, reason: reason.to_vec() });
            actions.push(Action::CloseMedia(leg));
            actions.push(Action::Forget(leg));
        }
        actions
    }
}

/// The caller is refused.
fn reject(mut actions: Vec<Action>, status: u16) -> Step {
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
