//! What is wished of a call, and the rule for wishes that come while another change is under way.
//!
//! A call is in one procedure at a time. A wish to hold or to retrieve that comes meanwhile is kept, the latest one, and
//! carried out when the procedure is done. So is one [`Command`] that changes who takes part, as long as the procedure is a
//! short one that leaves the parties alone: an ACK that is awaited, hold and retrieve, a phone that takes its dialog back.
//! Who clicks quickly is not to fail by what nobody sees. Any other is declined with the reason.

use super::command::Command;
use super::procedure::{Action, Hold, Procedure, Signal};
use super::topology::Joined;
use super::{Call, EventKind, LegKind, Nailed};
use crate::id::LegId;
use crate::sdp::description::Direction;
use std::time::Instant;

/// What is wished of a call, whoever says it: NOTIFY talk and hold, page, REST, the browser's own hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wish {
    /// The agent's phone is to answer.
    Answer,
    /// The other party is to be put on hold.
    Hold,
    /// The other party is to be taken back from hold.
    Retrieve,
}

/// Why a wish was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Declined {
    /// Another change of the call is under way.
    #[error("another change of the call is under way")]
    Busy,
    /// The call is not answered, or over already.
    #[error("the call is not in a state for it")]
    WrongState,
    /// Captures have no place to be written to.
    #[error("captures have no folder: [capture] of the configuration")]
    NoCapture,
    /// The peer refused with this status.
    #[error("refused with {0}")]
    Refused(u16),
}

/// What was wished while a procedure ran.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Held or not, as it was wished last.
    hold: Option<bool>,
    /// The transfer or conference that was wished last, of this call or with it.
    parties: Option<Command>,
}

/// Who has put the call on hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Holders {
    /// The agent: by phone, page, REST or NOTIFY hold.
    pub by_agent: bool,
    /// The trunk, by its description.
    pub by_trunk: bool,
}

impl Call {
    /// Says whether a procedure may begin: transfer, conference, resume.
    pub fn may_begin(&self) -> Result<(), Declined> {
        match &self.procedure {
            // A leg that stands between calls has nobody to be handed on to, or mixed with.
            None if self.nailed == Nailed::Alone => Err(Declined::WrongState),
            None => Ok(()),
            Some(Procedure::Summons(_) | Procedure::Setup(_) | Procedure::Release(_)) => Err(Declined::WrongState),
            Some(_) => Err(Declined::Busy),
        }
    }

    /// Keeps a transfer or a conference until the running procedure is done; returns what was kept before, which is not to
    /// be any more.
    ///
    /// # Errors
    /// The command, where nothing runs or where it would wait for long.
    pub fn keep(&mut self, command: Command) -> Result<Option<Command>, Command> {
        match &self.procedure {
            Some(Procedure::Answer(_) | Procedure::Hold(_) | Procedure::Resume(_)) => {
                Ok(self.kept.parties.replace(command))
            }
            _ => Err(command),
        }
    }

    /// The call is taken down: what was kept does not come about.
    pub(super) fn decline_kept(&mut self) -> Option<Action> {
        self.kept.hold = None;
        let call = self.kept.parties.take()?.call()?;
        Some(Action::Decline { call, why: Declined::WrongState })
    }

    /// What is handed on can be taken back, before it has begun too.
    fn take_back(&mut self) -> Option<Action> {
        let kept = self.kept.parties.take_if(|kept| matches!(kept, Command::BlindTransfer { .. }))?;
        Some(Action::Decline { call: kept.call()?, why: Declined::Refused(487) })
    }

    /// Takes a wish and says what follows.
    pub(super) fn wish(&mut self, wish: Wish, now: Instant) -> Vec<Action> {
        let hold = match wish {
            Wish::Answer => {
                let Some(procedure @ Procedure::Setup(_)) = &mut self.procedure else { return Vec::new() };
                let step = procedure.on(Signal::Wish(wish), now);
                return self.follow(step, now);
            }
            Wish::Hold => true,
            Wish::Retrieve => false,
        };
        match &self.procedure {
            None => self.begin_hold(hold),
            Some(Procedure::Summons(_) | Procedure::Setup(_) | Procedure::Release(_)) => Vec::new(),
            // What is handed on can be taken back; three are not held by one.
            Some(Procedure::Transfer(_)) if !hold => self.proceed(Signal::Wish(wish), now),
            Some(Procedure::Addition(_) | Procedure::Conference(_)) => {
                vec![Action::Emit(EventKind::Declined { why: Declined::WrongState })]
            }
            Some(_) => {
                self.kept.hold = Some(hold);
                let taken_back = if hold { None } else { self.take_back() };
                taken_back.into_iter().collect()
            }
        }
    }

    /// A procedure is done: what was wished meanwhile has its turn.
    pub(super) fn resume_wish(&mut self) -> Vec<Action> {
        let mut actions = self.kept.hold.take().map(|hold| self.begin_hold(hold)).unwrap_or_default();
        if self.procedure.is_none() {
            actions.extend(self.kept.parties.take().map(Action::Obey));
        }
        actions
    }

    fn begin_hold(&mut self, hold: bool) -> Vec<Action> {
        if hold == self.hold.by_agent {
            return Vec::new();
        }
        let (Some(near), Some(far)) = (self.agent_leg().map(|leg| leg.id), self.far_leg()) else { return Vec::new() };
        if matches!(self.topology.joined(), Joined::Mix(_)) {
            return vec![Action::Emit(EventKind::Declined { why: Declined::WrongState })];
        }
        if far.kind == LegKind::Browser {
            // Two browsers: nobody else need be told.
            let far = far.id;
            return self.held(near, far, hold);
        }
        let (procedure, actions) = Hold::begin(near, far.id, hold);
        self.procedure = Some(Procedure::Hold(procedure));
        actions
    }

    /// The agent's hold is in force, or over.
    pub(super) fn held(&mut self, near: LegId, far: LegId, hold: bool) -> Vec<Action> {
        self.hold.by_agent = hold;
        if hold {
            vec![super::procedure::hold::park(far), Action::Emit(EventKind::Held { by_agent: true })]
        } else {
            vec![Action::Connect(near, far), Action::Emit(EventKind::Retrieved { by_agent: true })]
        }
    }

    /// A peer's description has changed its direction, as the peer writes it.
    pub(super) fn reoffered(&mut self, leg: LegId, before: Direction, after: Direction, now: Instant) -> Vec<Action> {
        let is_agent = self.agent_leg().is_some_and(|agent| agent.id == leg);
        match (is_agent, before.receives(), after.receives()) {
            (true, true, false) => self.wish(Wish::Hold, now),
            (true, false, true) => self.wish(Wish::Retrieve, now),
            (true, ..) => Vec::new(),
            (false, _, receives) => self.held_by_trunk(!receives),
        }
    }

    pub(super) fn held_by_trunk(&mut self, hold: bool) -> Vec<Action> {
        if std::mem::replace(&mut self.hold.by_trunk, hold) == hold {
            return Vec::new();
        }
        let by_agent = false;
        vec![Action::Emit(if hold { EventKind::Held { by_agent } } else { EventKind::Retrieved { by_agent } })]
    }
}
