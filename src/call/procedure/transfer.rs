//! A transfer that the gateway does itself (RFC 3515, RFC 5589): the party that stays is joined with a new one, the one that
//! asked for it leaves.
//!
//! ```text
//!  dialling ──2xx of the target──> joined (who asked for it hears 200 and gets BYE) ──nobody on hold──> done
//!     ├──refused, no answer, taken back──> done: who asked has the call back as it was
//!     ├──who asked has left──> dialling without them; a failure then ends the call
//!     └──who stays has left──> release
//! ```
//! The agent asks by REFER or a command, the trunk by REFER: the same machine with the parts exchanged. A consultation
//! that is answered already skips the dialling.

use std::time::Instant;

use super::retrieval::Retrieval;
use super::setup::SetupLimits;
use super::{Action, Next, Signal, Step, answer};
use crate::call::cause::ReleaseCause;
use crate::call::event::EventKind;
use crate::call::topology::ParkSource;
use crate::call::wish::{Declined, Wish};
use crate::id::LegId;

/// Reason header for who has handed the call on (RFC 3326 2).
const HANDED_ON: &[u8] = b"SIP;cause=200;text=\"Call transferred\"";

/// Reason header for a target that is not wanted any more.
const TAKEN_BACK: &[u8] = b"SIP;cause=487;text=\"Transfer taken back\"";

/// How who asked for a transfer is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reporter {
    /// By NOTIFYs of the REFER with this CSeq number.
    Refer(u32),
    /// By INFO to the page.
    Page,
    /// By the call's events alone.
    Nobody,
}

/// Who takes which part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The leg that asks, and leaves when it is done.
    pub referrer: LegId,
    /// The referrer is an agent; else the trunk.
    pub by_agent: bool,
    /// It is the agent at the other DN of the call, not the one whose call it is.
    pub is_second: bool,
    /// The leg that stays.
    pub stays: LegId,
    /// The leg that is called, or was called in a consultation.
    pub target: LegId,
    /// Number of the target.
    pub to: String,
    /// Parties that the trunk has been told to be on hold.
    pub held: Vec<LegId>,
    /// How the referrer is told.
    pub report: Reporter,
}

/// A transfer under way.
#[derive(Debug)]
pub struct Transfer {
    parts: Parts,
    /// The referrer is still there.
    is_watched: bool,
    rung: bool,
    limits: SetupLimits,
    until: Instant,
    /// When the server that is being tried must have given a sign of life.
    target_by: Option<Instant>,
    tried: usize,
    /// The target has answered.
    joined: Option<Retrieval>,
    /// The last identifier that the target carried: the call's, once it is joined.
    uuid: Option<String>,
}

impl Transfer {
    /// Begins, the target's INVITE being sent. `rung`: it is a consultation that rings already.
    pub fn begin(parts: Parts, rung: bool, limits: SetupLimits, now: Instant) -> (Transfer, Vec<Action>) {
        let stays = parts.stays;
        let mut transfer = Transfer::new(parts, rung, limits, now);
        transfer.target_by = limits.target.filter(|_| !rung).map(|wait| now + wait);
        let source = match (rung, transfer.parts.by_agent) {
            (true, _) => ParkSource::Ringback,
            (false, true) => ParkSource::Hold,
            // The agent goes on talking to who refers them, until there is somebody else to hear.
            (false, false) => return (transfer, Vec::new()),
        };
        (transfer, vec![Action::Park { leg: stays, source }])
    }

    /// Begins with a target that has answered already: a consultation.
    pub fn complete(parts: Parts, now: Instant) -> (Transfer, Step) {
        let mut transfer = Transfer::new(parts, true, SetupLimits::default(), now);
        let step = transfer.answered();
        (transfer, step)
    }

    fn new(parts: Parts, rung: bool, limits: SetupLimits, now: Instant) -> Transfer {
        let until = now + limits.answer;
        let (joined, uuid, target_by) = (None, None, None);
        Transfer { parts, is_watched: true, rung, limits, until, target_by, tried: 1, joined, uuid }
    }

    /// Another server was sent the INVITE to the target.
    pub fn set_target(&mut self, leg: LegId, now: Instant) {
        self.parts.target = leg;
        self.target_by = self.limits.target.map(|wait| now + wait);
    }

    /// Returns the leg that is called.
    pub fn target(&self) -> LegId {
        self.parts.target
    }

    /// Returns the leg of the agent who hands on; `None`: the trunk does.
    pub fn agent(&self) -> Option<LegId> {
        self.parts.by_agent.then_some(self.parts.referrer)
    }

    /// Returns true if this leg may go without an end to the call.
    pub fn outlives(&self, leg: LegId) -> bool {
        leg == self.parts.referrer
    }

    /// Returns true where the agent of this leg may take it back: who hands on, or whom the trunk hands on.
    pub fn may_take_back(&self, leg: LegId) -> bool {
        !self.parts.by_agent || leg == self.parts.referrer
    }

    /// Takes the identifier that a message of the target carried; false: it is not the target's.
    pub fn note_uuid(&mut self, leg: LegId, uuid: Option<&str>) -> bool {
        let is_target = leg == self.parts.target;
        if let Some(uuid) = uuid.filter(|_| is_target && !self.parts.by_agent) {
            self.uuid = Some(uuid.to_owned());
        }
        is_target
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.joined {
            Some(retrieval) => retrieval.deadline(),
            None => Some(self.target_by.map_or(self.until, |at| at.min(self.until))),
        }
    }

    pub(super) fn on(&mut self, signal: Signal, now: Instant) -> Step {
        match &mut self.joined {
            Some(retrieval) => match retrieval.on(&signal, now) {
                Some(actions) if retrieval.is_over() => Step { actions, next: self.next() },
                Some(actions) => Step::stay(actions),
                None => answer::talking(signal),
            },
            None => self.dialling(signal, now),
        }
    }

    fn dialling(&mut self, signal: Signal, now: Instant) -> Step {
        let Parts { referrer, stays, target, .. } = self.parts;
        match signal {
            Signal::Ringing { leg, status, early_media } if leg == target => self.ringing(status, early_media),
            Signal::Answered { leg } if leg == target => self.answered(),
            Signal::Refused { leg, status, heard } if leg == target => self.refused(status, heard, Vec::new()),
            Signal::Ended { leg, .. } if leg == target => self.failed(480, Vec::new()),
            Signal::NoTarget if self.tried < self.limits.targets => {
                self.tried += 1;
                Step::stay(vec![Action::TryTarget(self.tried - 1)])
            }
            Signal::NoTarget => self.failed(503, Vec::new()),
            Signal::Ended { leg, .. } if leg == referrer => {
                // Whoever refers may leave as soon as it is under way (RFC 5589 6.1).
                self.is_watched = false;
                Step::stay(vec![Action::CloseMedia(referrer), Action::Forget(referrer)])
            }
            Signal::Ended { leg, cause, reason } if leg == stays => {
                Step::release(self.report(487, true).into_iter().collect(), cause, reason)
            }
            Signal::Release(cause) => Step::release(self.report(487, true).into_iter().collect(), cause, None),
            Signal::Wish { what: Wish::Retrieve, .. } => self.give_up(487, TAKEN_BACK),
            Signal::Deadline { .. } if now >= self.until => self.give_up(408, b"SIP;cause=408;text=\"No answer\""),
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

    fn report(&self, status: u16, last: bool) -> Option<Action> {
        let Parts { referrer, report, .. } = self.parts;
        self.is_watched.then_some(Action::Report { leg: referrer, by: report, status, last })
    }

    fn ringing(&mut self, status: u16, early_media: bool) -> Step {
        let Parts { stays, target, .. } = self.parts;
        self.target_by = None;
        let mut actions = Vec::new();
        if early_media {
            actions.push(Action::Connect(stays, target));
        } else if !self.rung {
            actions.push(Action::Park { leg: stays, source: ParkSource::Ringback });
        }
        if !self.rung || early_media {
            actions.extend(self.report(status, false));
        }
        self.rung = true;
        Step::stay(actions)
    }

    fn answered(&mut self) -> Step {
        let Parts { referrer, stays, target, .. } = self.parts;
        let mut actions = vec![Action::Connect(stays, target)];
        actions.extend(self.report(200, true));
        if self.is_watched {
            let reason = HANDED_ON.to_vec();
            let leave =
                [Action::HangUp { leg: referrer, reason }, Action::CloseMedia(referrer), Action::Forget(referrer)];
            actions.extend(leave);
        }
        if self.parts.by_agent {
            let by_agent = !self.parts.is_second;
            actions.push(Action::Emit(EventKind::Transferred { to: self.parts.to.clone(), by_agent }));
        }
        let held: Vec<LegId> = self.parts.held.iter().copied().filter(|leg| *leg == stays || *leg == target).collect();
        let (retrieval, more) = Retrieval::begin(&held);
        actions.extend(more);
        let next = if retrieval.is_over() { self.next() } else { Next::Stay };
        self.joined = Some(retrieval);
        Step { actions, next }
    }

    /// Where the call goes when all is done: an agent that was referred talks to somebody else, with another identifier.
    fn next(&mut self) -> Next {
        let peer = (!self.parts.by_agent).then(|| self.parts.to.clone());
        let known = vec![(self.parts.target, self.parts.to.clone())];
        Next::Joined { peer, uuid: self.uuid.take(), known }
    }

    fn give_up(&mut self, status: u16, reason: &[u8]) -> Step {
        self.failed(status, vec![hang_up(self.parts.target, reason)])
    }

    /// RFC 3263 4.3: silence and 503 alike send the INVITE to the next server, as long as nobody rang.
    fn refused(&mut self, status: u16, heard: bool, mut actions: Vec<Action>) -> Step {
        let target = self.parts.target;
        if !heard && self.parts.by_agent {
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

    /// The call is given back as it was: on hold where it was on hold.
    fn failed(&mut self, status: u16, mut actions: Vec<Action>) -> Step {
        let Parts { referrer, stays, target, .. } = self.parts;
        actions.extend([Action::CloseMedia(target), Action::Forget(target)]);
        if !self.is_watched {
            return Step::release(actions, ReleaseCause::Refused(status), None);
        }
        actions.extend(self.report(status, true));
        let by_agent = !self.parts.is_second;
        actions.push(Action::Emit(EventKind::Declined { why: Declined::Refused(status), by_agent }));
        Step { actions, next: Next::GivenBack { near: referrer, far: stays } }
    }
}

fn hang_up(leg: LegId, reason: &[u8]) -> Action {
    Action::HangUp { leg, reason: reason.to_vec() }
}
