//! What is wished of a call, and the rule for wishes that come while another change is under way.
//!
//! A call is in one procedure at a time. A wish to hold or to retrieve that comes meanwhile is kept, the latest one, and
//! carried out when the procedure is done. So is one [`Command`] that changes who takes part, as long as the procedure is a
//! short one that leaves the parties alone: an ACK that is awaited, hold and retrieve, a phone that takes its dialog back.
//! Who clicks quickly is not to fail by what nobody sees. Any other is declined with the reason.

use super::command::{CallCommand, Command};
use super::procedure::hold::park;
use super::procedure::{Action, Hold, Procedure, Signal};
use super::topology::{Joined, ParkSource};
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
    /// Held or not, as each DN wished it last: one of each agent in the call.
    hold: Vec<(String, bool)>,
    /// The transfer or conference that was wished last, of this call or with it.
    parties: Option<Command>,
}

/// Who has put the call on hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Holders {
    /// The agent: by phone, page, REST or NOTIFY hold.
    pub by_agent: bool,
    /// The other party: the trunk by its description, another agent as the first one.
    pub by_peer: bool,
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
        self.kept.hold.clear();
        let kept = self.kept.parties.take()?;
        let by = kept.by().map(str::to_owned);
        Some(Action::Decline { call: kept.call()?, by, why: Declined::WrongState })
    }

    /// What an agent hands on it can take back, before that has begun too.
    fn take_back(&mut self, dn: &str) -> Option<Action> {
        let own = &self.parties.dn;
        let is_it = |kept: &mut Command| {
            let is_transfer = matches!(kept, Command::OnCall { what: CallCommand::BlindTransfer { .. }, .. });
            is_transfer && kept.by().unwrap_or(own) == dn
        };
        let kept = self.kept.parties.take_if(is_it)?;
        let by = kept.by().map(str::to_owned);
        Some(Action::Decline { call: kept.call()?, by, why: Declined::Refused(487) })
    }

    /// Takes a wish and says what follows. `by`: the leg of the agent who has it; `None`: of the agent whose call it is.
    pub(super) fn wish(&mut self, wish: Wish, by: Option<LegId>, now: Instant) -> Vec<Action> {
        let hold = match wish {
            Wish::Answer => {
                let Some(procedure @ Procedure::Setup(_)) = &mut self.procedure else { return Vec::new() };
                let step = procedure.on(Signal::Wish { what: wish, by }, now);
                return self.follow(step, now);
            }
            Wish::Hold => true,
            Wish::Retrieve => false,
        };
        let Some(near) = by.or_else(|| self.agent_leg().map(|leg| leg.id)) else { return Vec::new() };
        match &self.procedure {
            None => self.begin_hold(near, hold),
            Some(Procedure::Summons(_) | Procedure::Setup(_) | Procedure::Release(_)) => Vec::new(),
            // What is handed on can be taken back; three are not held by one.
            Some(Procedure::Transfer(transfer)) if !hold && transfer.may_take_back(near) => {
                self.proceed(Signal::Wish { what: wish, by }, now)
            }
            Some(Procedure::Addition(_) | Procedure::Conference(_)) => vec![self.not_now(near)],
            Some(_) => {
                let dn = self.dn_of(near).to_owned();
                let taken_back = if hold { None } else { self.take_back(&dn) };
                self.kept.hold.retain(|(other, _)| *other != dn);
                self.kept.hold.push((dn, hold));
                taken_back.into_iter().collect()
            }
        }
    }

    /// Who leaves has no more wishes.
    pub(super) fn forget_wishes(&mut self, actions: &[Action]) {
        for action in actions {
            if let Action::Forget(leg) = action {
                let dn = self.leg(*leg).and_then(|leg| leg.dn.clone());
                self.kept.hold.retain(|(other, _)| Some(other) != dn.as_ref());
            }
        }
    }

    fn not_now(&self, near: LegId) -> Action {
        Action::Emit(EventKind::Declined { why: Declined::WrongState, by_agent: self.is_agent(near) })
    }

    /// A procedure is done: what was wished meanwhile has its turn.
    pub(super) fn resume_wish(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        while self.procedure.is_none() && !self.kept.hold.is_empty() {
            let (dn, hold) = self.kept.hold.remove(0);
            if let Some(near) = self.leg_of_dn(&dn).map(|leg| leg.id) {
                actions.extend(self.begin_hold(near, hold));
            }
        }
        if self.procedure.is_none() {
            actions.extend(self.kept.parties.take().map(Action::Obey));
        }
        actions
    }

    /// Returns true where the agent of this leg has the other party on hold.
    pub fn holds(&self, leg: LegId) -> bool {
        if self.is_agent(leg) { self.hold.by_agent } else { self.hold.by_peer }
    }

    fn begin_hold(&mut self, near: LegId, hold: bool) -> Vec<Action> {
        if hold == self.holds(near) {
            return Vec::new();
        }
        let Some(far) = self.other_leg(near) else { return Vec::new() };
        if matches!(self.topology.joined(), Joined::Mix(_)) {
            return vec![self.not_now(near)];
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

    /// The hold of an agent is in force, or over. A phone that holds the call by itself is asked to take it back.
    pub(super) fn held(&mut self, near: LegId, far: LegId, hold: bool) -> Vec<Action> {
        let by_agent = self.is_agent(near);
        *(if by_agent { &mut self.hold.by_agent } else { &mut self.hold.by_peer }) = hold;
        let mut actions = self.heard_again(near, far);
        actions.push(Action::Emit(match hold {
            true => EventKind::Held { by_agent },
            false => EventKind::Retrieved { by_agent },
        }));
        if !hold && self.leg(near).is_some_and(|leg| !leg.media.peer_direction().receives()) {
            actions.push(Action::AskToRetrieve(near));
        }
        actions
    }

    /// Lets two legs hear what they are to hear: each other, or what who is on hold hears. The trunk plays its own music to
    /// whom it has on hold.
    pub(super) fn heard_again(&self, near: LegId, far: LegId) -> Vec<Action> {
        let is_browser = |leg| self.leg(leg).is_some_and(|leg| leg.kind == LegKind::Browser);
        let holds = |leg| is_browser(leg) && self.holds(leg);
        let silent = |leg| Action::Park { leg, source: ParkSource::Nothing };
        // Who is on hold comes first: that parts the pair, and leaves the other one in silence.
        match (holds(near), holds(far)) {
            (false, false) => vec![Action::Connect(near, far)],
            (true, false) => vec![park(far), silent(near)],
            (false, true) => vec![park(near), silent(far)],
            (true, true) => vec![park(far), park(near)],
        }
    }

    /// A peer's description has changed its direction, as the peer writes it.
    pub(super) fn reoffered(&mut self, leg: LegId, before: Direction, after: Direction, now: Instant) -> Vec<Action> {
        let is_agent = self.leg(leg).is_some_and(|leg| leg.kind == LegKind::Browser);
        match (is_agent, before.receives(), after.receives()) {
            (true, true, false) => self.wish(Wish::Hold, Some(leg), now),
            (true, false, true) => self.wish(Wish::Retrieve, Some(leg), now),
            (true, ..) => Vec::new(),
            (false, _, receives) => self.held_by_trunk(!receives),
        }
    }

    pub(super) fn held_by_trunk(&mut self, hold: bool) -> Vec<Action> {
        if std::mem::replace(&mut self.hold.by_peer, hold) == hold {
            return Vec::new();
        }
        let by_agent = false;
        vec![Action::Emit(if hold { EventKind::Held { by_agent } } else { EventKind::Retrieved { by_agent } })]
    }
}
