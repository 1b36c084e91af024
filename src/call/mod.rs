//! A call: its legs, its topology, and at most one running procedure (RFC 3261, RFC 3264, RFC 3326).
//!
//! A [`Call`] is told [`Signal`]s and returns [`Action`]s; it knows neither messages nor sockets. What is to come
//! (transfer, conference, resume) are further procedures beside set-up, answer, hold and release.
//! We do not let a call have two procedures at a time, because their effects on legs and topology would cross; [`wish`]
//! has the rule for what comes meanwhile.

pub mod cause;
pub mod command;
pub mod event;
mod handover;
mod keys;
pub mod leg;
mod legs;
pub mod media;
pub mod procedure;
#[cfg(test)]
mod tests;
pub mod tones;
pub mod topology;
pub mod wish;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use cause::ReleaseCause;
pub use command::{CallCommand, Command};
pub use event::{CallEvent, CaptureEnd, Direction, EventKind};
pub use keys::Keys;
pub use leg::{Leg, LegKind};
pub use media::{LegMedia, PairUse};
pub use procedure::{Action, AnswerMode, Procedure, Setup, SetupLimits, Signal, Summons};
pub use tones::{ToneError, Tones};
pub use topology::{Joined, ParkSource, Topology};
pub use wish::{Declined, Holders, Wish};

use crate::id::{CallId, DialId, LegId};
use procedure::{Answer, Next, Release, Resume, Step, answer};
use wish::Kept;

/// Who the parties are, as the agent's side sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parties {
    /// The agent's DN.
    pub dn: String,
    /// The other party's number.
    pub peer: String,
    /// Display name of the other party, without quotes; empty: none.
    pub peer_name: String,
    /// Who called.
    pub direction: Direction,
    /// The last `X-Genesys-CallUUID` seen.
    pub call_uuid: Option<String>,
    /// What else the trunk said of the call.
    pub data: UserData,
    /// What the browser's INVITE says to the other side.
    pub told: UserData,
    /// The other party is a DN of ours too, reached without a trunk.
    pub local: bool,
    /// The number that the caller had dialled before the call came to the DN, where the trunk told one.
    pub dnis: Option<String>,
    /// The [`Command::Dial`] that the call came of.
    pub dial: Option<DialId>,
}

/// Header fields of the trunk that go along with a call, by name: user data mapped to `X-…`, `User-to-User`.
pub type UserData = Arc<[(String, String)]>;

/// Nailed-up legs: a phone that is called once and joined to call after call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Nailed {
    /// The call has none.
    #[default]
    No,
    /// This leg of the call goes on standing when the call is over.
    Leg(LegId),
    /// It is no call but the place where such a leg waits: nobody is told of it.
    Alone,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    /// Its name.
    pub id: CallId,
    /// Who talks to whom.
    pub parties: Parties,
    /// When it began.
    pub since: Instant,
    /// Its legs; the caller first.
    pub legs: Vec<Leg>,
    /// Who hears whom.
    pub topology: Topology,
    /// The running change.
    pub procedure: Option<Procedure>,
    /// Who has it on hold.
    pub hold: Holders,
    /// What was wished while a procedure ran.
    kept: Kept,
    /// What it has to do with a leg that stands from call to call.
    pub nailed: Nailed,
    /// Until when a phone may ring that is called for no call yet.
    ring_by: Option<Instant>,
    /// The DNs that are placed on its worker as long as it lasts, and whether it counts as a call of theirs.
    pub placed: Vec<(String, bool)>,
    sequence: u64,
}

impl Call {
    /// Makes a call in set-up, with its caller's leg.
    pub fn begin(id: CallId, parties: Parties, caller: Leg, limits: SetupLimits, now: Instant) -> Call {
        let mut setup = Setup::begin(parties.direction, caller.id, limits, now);
        if parties.local {
            setup.set_local();
        }
        let mut call = Call::with(id, parties, Some(Procedure::Setup(setup)), now);
        call.legs.push(caller);
        call
    }

    /// Makes a call that the agent's phone is to make; its legs are to be added.
    pub fn summon(id: CallId, parties: Parties, summons: Summons, now: Instant) -> Call {
        Call::with(id, parties, Some(Procedure::Summons(summons)), now)
    }

    fn with(id: CallId, parties: Parties, procedure: Option<Procedure>, now: Instant) -> Call {
        let mut placed = vec![(parties.dn.clone(), true)];
        placed.extend(parties.local.then(|| (parties.peer.clone(), true)));
        Call {
            id,
            parties,
            since: now,
            legs: Vec::new(),
            topology: Topology::default(),
            procedure,
            hold: Holders::default(),
            kept: Kept::default(),
            nailed: Nailed::No,
            ring_by: None,
            placed,
            sequence: 0,
        }
    }

    /// Makes the place where a nailed leg waits for its next call; the leg is to be added, and to answer by then.
    pub fn standing(id: CallId, parties: Parties, ring_by: Option<Instant>, now: Instant) -> Call {
        let placed = vec![(parties.dn.clone(), false)];
        Call { nailed: Nailed::Alone, ring_by, placed, ..Call::with(id, parties, None, now) }
    }

    /// Lets a browser whose call is refused hear busy or congestion for so long before it is told; zero: not at all.
    pub fn set_refusal_tone(&mut self, length: Duration) {
        if let Some(Procedure::Setup(setup)) = &mut self.procedure {
            setup.set_refusal_tone(length);
        }
    }

    /// A nailed leg has been added: it has answered already.
    pub fn nail(&mut self, leg: LegId, now: Instant) {
        self.nailed = Nailed::Leg(leg);
        self.called(leg, now);
    }

    /// A leg was sent an INVITE, or has answered one before.
    fn called(&mut self, leg: LegId, now: Instant) {
        match &mut self.procedure {
            Some(Procedure::Setup(setup)) => setup.add_callee(leg, now),
            Some(Procedure::Transfer(transfer)) => transfer.set_target(leg, now),
            Some(Procedure::Addition(addition)) => addition.set_target(leg, now),
            Some(Procedure::Summons(summons)) => summons.add_phone(leg),
            _ => {}
        }
    }

    /// Adds a leg that was sent an INVITE. Only a set-up takes one.
    pub fn add_callee(&mut self, leg: Leg, now: Instant) {
        self.called(leg.id, now);
        self.legs.push(leg);
    }

    /// Adds a leg beside a set-up: one to be mixed in, or one that is to replace another.
    pub fn add_leg(&mut self, leg: Leg) {
        self.legs.push(leg);
    }

    /// Lets a leg that the call has take the place of another: its rank among the legs, and who hears it. What is returned
    /// connects it and ends the other one.
    pub fn replace_leg(&mut self, old: LegId, new: LegId) -> Vec<Action> {
        let place = |id| self.legs.iter().position(|leg| leg.id == id);
        let (Some(at), Some(from)) = (place(old), place(new)) else { return Vec::new() };
        self.legs.swap(at, from);
        let mut actions = match self.topology.joined() {
            Joined::Pair(one, other) if *one == old => vec![Action::Connect(new, *other)],
            Joined::Pair(one, other) if *other == old => vec![Action::Connect(*one, new)],
            Joined::Mix(legs) if legs.contains(&old) => {
                let replaced = legs.iter().map(|id| if *id == old { new } else { *id });
                vec![Action::Mix(replaced.collect())]
            }
            _ => vec![Action::Park { leg: new, source: self.topology.source(old).unwrap_or_default() }],
        };
        let reason = b"SIP;cause=200;text=\"Replaced\"".to_vec();
        actions.extend([Action::HangUp { leg: old, reason }, Action::CloseMedia(old), Action::Forget(old)]);
        actions
    }

    /// A leg was sent an INVITE that is to take another's place; [`Call::may_begin`] allowed it.
    pub fn begin_resume(&mut self, old: LegId, new: LegId) {
        self.procedure = Some(Procedure::Resume(Resume::begin(old, new)));
    }

    /// Returns true while the caller of a set-up has been sent no provisional response with a tag.
    pub fn has_told_nothing(&self) -> bool {
        matches!(&self.procedure, Some(Procedure::Setup(setup)) if setup.has_told_nothing())
    }

    /// Returns true once the callee answered and nothing ends the call.
    pub fn is_answered(&self) -> bool {
        !matches!(self.procedure, Some(Procedure::Summons(_) | Procedure::Setup(_) | Procedure::Release(_)))
    }

    /// Returns true while the agent's phone is called, that is to make the call.
    pub fn is_summons(&self) -> bool {
        matches!(self.procedure, Some(Procedure::Summons(_)))
    }

    /// Returns true for the caller's leg until it has acknowledged our 200.
    pub fn is_waiting_for_ack(&self, leg: LegId) -> bool {
        matches!(self.procedure, Some(Procedure::Answer(_))) && self.legs.first().is_some_and(|first| first.id == leg)
    }

    /// Returns true while the call is taken down.
    pub fn is_releasing(&self) -> bool {
        matches!(self.procedure, Some(Procedure::Release(_)))
    }

    /// Returns why the call is taken down, once it is.
    pub fn cause(&self) -> Option<ReleaseCause> {
        match &self.procedure {
            Some(Procedure::Release(release)) => Some(release.cause.clone()),
            _ => None,
        }
    }

    /// Returns when [`Signal::Deadline`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.procedure.as_ref().map_or(self.ring_by, Procedure::deadline)
    }

    /// Takes a signal and says what follows.
    pub fn on(&mut self, signal: Signal, now: Instant) -> Vec<Action> {
        if let Signal::MediaClosed { leg, stats } = &signal
            && let Some(leg) = self.leg_mut(*leg)
        {
            leg.stats = Some(*stats);
            leg.open = false;
        }
        let signal = match signal {
            Signal::Wish { what, by } => return self.wish(what, by, now),
            Signal::Reoffered { leg, before, after } => return self.reoffered(leg, before, after, now),
            other => other,
        };
        self.proceed(signal, now)
    }

    fn proceed(&mut self, signal: Signal, now: Instant) -> Vec<Action> {
        let step = match &mut self.procedure {
            Some(procedure) => procedure.on(signal, now),
            None => match signal {
                // The phone was called for no call yet, and would not answer.
                Signal::Refused { status, .. } if self.nailed == Nailed::Alone => {
                    answer::talking(Signal::Release(ReleaseCause::Refused(status)))
                }
                Signal::Answered { .. } if self.nailed == Nailed::Alone => {
                    self.ring_by = None;
                    Step { actions: Vec::new(), next: Next::Stay }
                }
                Signal::Deadline { .. } if self.ring_by.is_some_and(|by| by <= now) => self.rung_out(now),
                other => answer::talking(other),
            },
        };
        self.follow(step, now)
    }

    /// A phone that was called for no call yet has had its time: one that rings on is let go.
    fn rung_out(&mut self, now: Instant) -> Step {
        self.ring_by = None;
        if self.legs.iter().all(|leg| !leg.media.is_waiting()) {
            return Step { actions: Vec::new(), next: Next::Stay };
        }
        // It has stood for no time at all.
        self.since = now;
        answer::talking(Signal::Release(ReleaseCause::Refused(480)))
    }

    fn follow(&mut self, step: Step, now: Instant) -> Vec<Action> {
        let mut actions = step.actions;
        match step.next {
            Next::Stay => {}
            Next::Summoned { phone, limits, tone } => {
                let mut setup = Setup::summoned(phone, limits, tone, now);
                if self.parties.local {
                    setup.set_local();
                }
                self.procedure = Some(Procedure::Setup(setup));
                actions.push(Action::TryTarget(0));
            }
            // Who was called for it has acknowledged long ago.
            Next::Answered(callee) if matches!(&self.procedure, Some(Procedure::Setup(s)) if s.is_summoned()) => {
                self.procedure = None;
                actions.extend(self.legs.first().map(|caller| Action::Connect(caller.id, callee)));
                actions.extend(self.resume_wish());
            }
            Next::Answered(callee) => {
                let Some(caller) = self.legs.first() else { return actions };
                let (answer, first) = Answer::begin(caller.id, callee, caller.media.is_waiting(), now);
                self.procedure = Some(Procedure::Answer(answer));
                actions.splice(0..0, first);
            }
            Next::Talking(caller, callee) => {
                self.procedure = None;
                let mirrored = self.leg(caller).is_some_and(|leg| leg.media.is_mirrored());
                actions.push(match mirrored {
                    // The SIP Server gives the call up; its BYE is on the way.
                    true => Action::Park { leg: callee, source: ParkSource::Nothing },
                    false => Action::Connect(caller, callee),
                });
                actions.extend(self.resume_wish());
            }
            Next::Done => {
                self.procedure = None;
                actions.extend(self.resume_wish());
            }
            Next::Held { near, far, hold } => {
                self.procedure = None;
                actions.extend(self.held(near, far, hold));
                if !hold && let Some(answered) = self.leg(far).map(|leg| leg.media.peer_direction()) {
                    actions.extend(self.held_by_trunk(!answered.receives()));
                }
                actions.extend(self.resume_wish());
            }
            Next::GivenBack { near, far } => {
                self.procedure = None;
                actions.extend(self.heard_again(near, far));
                actions.extend(self.resume_wish());
            }
            Next::Joined { peer, uuid, known } => {
                self.forget_wishes(&actions);
                actions.extend(self.joined_anew(peer, uuid, known));
            }
            Next::Conferring(members) => actions.extend(self.begin_conference(members)),
            Next::Resumed { old, new } => {
                self.procedure = None;
                actions.extend(self.replace_leg(old, new));
                actions.extend(self.resume_wish());
            }
            Next::Release { cause, reason } => {
                actions.extend(self.decline_kept());
                let gone = |actions: &[Action], id: LegId| {
                    actions.contains(&Action::Forget(id)) || actions.contains(&Action::Stand(id))
                };
                if let Some(leg) = self.stands_on(&cause).filter(|&leg| !gone(&actions, leg)) {
                    actions.push(Action::Stand(leg));
                }
                let legs: Vec<LegId> = self.legs.iter().map(|leg| leg.id).filter(|&id| !gone(&actions, id)).collect();
                let (release, more) = Release::begin(cause, reason, legs, now);
                actions.extend(more);
                let is_over = release.is_over();
                self.procedure = Some(Procedure::Release(release));
                if is_over {
                    actions.extend([Action::Emit(self.last_words()), Action::Finish]);
                }
            }
            Next::Gone => {
                actions.push(Action::Emit(self.last_words()));
                actions.push(Action::Finish);
            }
        }
        actions
    }

    /// Returns the nailed leg that outlives the call.
    fn stands_on(&self, cause: &ReleaseCause) -> Option<LegId> {
        let Nailed::Leg(leg) = self.nailed else { return None };
        let lost = matches!(
            cause,
            ReleaseCause::FlowLost | ReleaseCause::ConsentLost | ReleaseCause::DtlsFailed | ReleaseCause::Shutdown
        );
        self.leg(leg).filter(|leg| leg.session.is_some() && !lost).map(|leg| leg.id)
    }

    fn last_words(&self) -> EventKind {
        let stats = |kind| self.legs.iter().filter(|leg| leg.kind == kind).find_map(|leg| leg.stats);
        let cause = self.cause().unwrap_or(ReleaseCause::Command);
        EventKind::Released { cause, browser: stats(LegKind::Browser), trunk: stats(LegKind::Trunk) }
    }

    /// Makes the next event of the call's log.
    pub fn event(&mut self, kind: EventKind, now: Instant) -> CallEvent {
        let sequence = self.sequence;
        self.sequence += 1;
        CallEvent {
            call: self.id,
            sequence,
            at: now,
            kind,
            dn: self.parties.dn.clone(),
            peer: self.parties.peer.clone(),
            direction: self.parties.direction,
            call_uuid: self.parties.call_uuid.clone(),
            data: Arc::clone(&self.parties.data),
            dnis: self.parties.dnis.clone(),
            dial: self.parties.dial,
            others: self.other_dns().into(),
        }
    }
}
