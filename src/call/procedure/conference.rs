//! A conference of three that the gateway mixes: two calls of one agent made one (RFC 4579 5.1, a local conference).
//!
//! ```text
//!  mixed ──one of the others leaves──> done: the remaining two are a pair
//!    ├──the agent leaves──> release, or done: the others stay joined, as the configuration says
//!    └──Release──> release
//! ```
//! It lasts as long as the three do: no other change of the call begins meanwhile. By default all ends with the agent, as
//! the local conference of a desk phone does: the phone is the mixer, and nobody is left to answer for the others.

use std::time::Instant;

use super::retrieval::Retrieval;
use super::{Action, Next, Signal, Step, answer};
use crate::call::event::EventKind;
use crate::id::LegId;

/// A party beside the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// Its leg.
    pub leg: LegId,
    /// Its number.
    pub number: String,
}

/// What a conference begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// The agent's leg.
    pub agent: LegId,
    /// The others.
    pub guests: [Guest; 2],
    /// Parties that the trunk has been told to be on hold.
    pub held: Vec<LegId>,
    /// The others stay joined when the agent leaves.
    pub stays: bool,
}

/// Three parties that hear each other.
#[derive(Debug)]
pub struct Conference {
    agent: LegId,
    guests: [Guest; 2],
    stays: bool,
    retrieval: Retrieval,
    /// One has left, with whom the call is from then on; a party is still to be retrieved from hold.
    parted: Option<Option<String>>,
}

impl Conference {
    /// Begins, all legs being of one call.
    pub fn begin(members: Members) -> (Conference, Vec<Action>) {
        let Members { agent, guests, held, stays } = members;
        let held: Vec<LegId> = held.into_iter().filter(|leg| guests.iter().any(|guest| guest.leg == *leg)).collect();
        let (retrieval, more) = Retrieval::begin(&held);
        let mut actions = vec![Action::Mix(vec![agent, guests[0].leg, guests[1].leg])];
        actions.extend(more);
        let parties = guests.iter().map(|guest| guest.number.clone()).collect();
        actions.push(Action::Emit(EventKind::ParticipantsUpdated { parties }));
        (Conference { agent, guests, stays, retrieval, parted: None }, actions)
    }

    /// Returns true if this leg may go without an end to the call.
    pub fn outlives(&self, leg: LegId) -> bool {
        self.parted.is_none() && (leg != self.agent || self.stays)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.retrieval.deadline()
    }

    pub(super) fn on(&mut self, signal: Signal, now: Instant) -> Step {
        if let Some(actions) = self.retrieval.on(&signal, now) {
            return Step { actions, next: self.next() };
        }
        match signal {
            other if self.parted.is_some() => answer::talking(other),
            Signal::Ended { leg, cause, reason } if leg == self.agent && !self.stays => {
                Step::release(Vec::new(), cause, reason)
            }
            Signal::Ended { leg, .. } => self.left(leg),
            Signal::Release(cause) => Step::release(Vec::new(), cause, None),
            _ => Step::stay(Vec::new()),
        }
    }

    /// One of three has left.
    fn left(&mut self, leg: LegId) -> Step {
        let legs = [self.agent, self.guests[0].leg, self.guests[1].leg];
        if !legs.contains(&leg) {
            return Step::stay(Vec::new());
        }
        let mut rest = legs.into_iter().filter(|id| *id != leg);
        let mut actions = vec![Action::CloseMedia(leg), Action::Forget(leg)];
        if let (Some(one), Some(other)) = (rest.next(), rest.next()) {
            actions.push(Action::Connect(one, other));
        }
        let stayed: Vec<&Guest> = self.guests.iter().filter(|guest| guest.leg != leg).collect();
        let parties: Vec<String> = stayed.iter().map(|guest| guest.number.clone()).collect();
        // Whoever is left of the guests is whom the call is with; without the agent it is what it was.
        let peer = if leg == self.agent { None } else { parties.first().cloned() };
        if leg == self.agent {
            actions.push(Action::Emit(EventKind::Transferred { to: self.guests[1].number.clone(), by_agent: true }));
        }
        actions.push(Action::Emit(EventKind::ParticipantsUpdated { parties }));
        self.retrieval.forget(leg);
        self.parted = Some(peer);
        Step { actions, next: self.next() }
    }

    /// A pair is done once nobody is on hold.
    fn next(&mut self) -> Next {
        match self.parted.take_if(|_| self.retrieval.is_over()) {
            Some(peer) => {
                let known = self.guests.iter().map(|guest| (guest.leg, guest.number.clone())).collect();
                Next::Joined { peer, uuid: None, known }
            }
            None => Next::Stay,
        }
    }
}
