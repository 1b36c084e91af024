//! The beginnings of transfer and conference: what a [`Call`] must be for them, and what it is afterwards.

use std::time::Instant;

use super::procedure::{Action, Addition, Conference, Members, Parts, Procedure, Referral, Transfer};
use super::{Call, EventKind, LegKind, SetupLimits};
use crate::id::LegId;

impl Call {
    /// Begins a transfer that the gateway does; the target's leg is of the call, and was sent its INVITE. `rung`: a
    /// consultation that rings already.
    pub fn begin_transfer(&mut self, parts: Parts, rung: bool, limits: SetupLimits, now: Instant) -> Vec<Action> {
        let (transfer, actions) = Transfer::begin(parts, rung, limits, now);
        self.procedure = Some(Procedure::Transfer(transfer));
        actions
    }

    /// Completes a consultation: the target's leg is of the call, and has answered.
    pub fn complete_transfer(&mut self, parts: Parts, now: Instant) -> Vec<Action> {
        let (transfer, step) = Transfer::complete(parts, now);
        self.procedure = Some(Procedure::Transfer(transfer));
        self.follow(step, now)
    }

    /// Begins a transfer that the trunk does; the REFER was sent.
    pub fn begin_referral(&mut self, referral: Referral) {
        self.procedure = Some(Procedure::Referral(referral));
    }

    /// Begins a conference; all legs are of the call. It is the call of who has the two others in it.
    pub fn begin_conference(&mut self, members: Members) -> Vec<Action> {
        if let Some(at) = self.legs.iter().position(|leg| leg.id == members.agent) {
            if !self.is_agent(members.agent) {
                // What one agent held the other one's call on is told as its own from here on.
                std::mem::swap(&mut self.hold.by_agent, &mut self.hold.by_peer);
            }
            let agent = self.legs.remove(at);
            if let Some(dn) = agent.dn.clone().filter(|dn| *dn != self.parties.dn) {
                self.parties.dn = dn;
                self.parties.peer = members.guests[0].number.clone();
            }
            self.legs.insert(0, agent);
        }
        let (conference, actions) = Conference::begin(members);
        self.procedure = Some(Procedure::Conference(conference));
        let mut all = self.unhold();
        all.extend(actions);
        all
    }

    /// Begins to call a third party, the second guest: its leg is of the call, and was sent its INVITE.
    pub fn begin_addition(&mut self, members: Members, limits: SetupLimits, now: Instant) {
        let by_agent = self.is_agent(members.agent);
        self.procedure = Some(Procedure::Addition(Addition::begin(members, by_agent, limits, now)));
    }

    /// No agent holds anybody any more.
    fn unhold(&mut self) -> Vec<Action> {
        let is_local = self.parties.local;
        let over = [
            (true, std::mem::take(&mut self.hold.by_agent)),
            (false, is_local && std::mem::take(&mut self.hold.by_peer)),
        ];
        let over = over.into_iter().filter(|(_, held)| *held);
        over.map(|(by_agent, _)| Action::Emit(EventKind::Retrieved { by_agent })).collect()
    }

    /// The parties are two again, or two others. `peer`: with whom the agent talks from now on; `known`: numbers of legs.
    pub(super) fn joined_anew(
        &mut self,
        peer: Option<String>,
        uuid: Option<String>,
        known: Vec<(LegId, String)>,
    ) -> Vec<Action> {
        self.procedure = None;
        let mut actions = self.unhold();
        if self.legs.iter().any(|leg| leg.dn.as_ref().is_some_and(|dn| *dn != self.parties.dn)) {
            actions.push(Action::Settle(known));
        }
        if let Some(peer) = peer {
            self.parties.peer = peer.clone();
            self.parties.peer_name = String::new();
            actions.push(Action::Emit(EventKind::ParticipantsUpdated { parties: vec![peer] }));
        }
        if uuid.is_some() && uuid != self.parties.call_uuid {
            self.parties.call_uuid = uuid;
            actions.push(Action::Emit(EventKind::CallUuidChanged));
        }
        actions.extend(self.resume_wish());
        actions
    }

    /// The legs are those that are left: it is the call of the first DN among them, with the other leg. Returns with whom,
    /// where that is news.
    pub fn settle(&mut self, known: &[(LegId, String)]) -> Option<String> {
        let agent = self.agent_leg()?;
        let (dn, far) = (agent.dn.clone()?, self.other_leg(agent.id)?);
        let local = far.kind == LegKind::Browser;
        let number = || known.iter().find(|(leg, _)| *leg == far.id).map(|(_, number)| number.clone());
        let peer = far.dn.clone().or_else(number).unwrap_or_else(|| self.parties.peer.clone());
        let is_news = dn != self.parties.dn || peer != self.parties.peer;
        if peer != self.parties.peer {
            self.parties.peer_name.clear();
        }
        (self.parties.dn, self.parties.local) = (dn, local);
        // A trunk that had the call on hold is not in it any more.
        self.hold.by_peer &= !local;
        self.parties.peer.clone_from(&peer);
        is_news.then_some(peer)
    }

    /// Returns true if this leg may go without an end to the call.
    pub fn outlives(&self, leg: LegId) -> bool {
        match &self.procedure {
            Some(Procedure::Transfer(transfer)) => transfer.outlives(leg),
            Some(Procedure::Conference(conference)) => conference.outlives(leg),
            _ => false,
        }
    }

    /// Returns the trunk legs that were told that they are on hold.
    pub fn held_legs(&self) -> Vec<LegId> {
        let trunk = self.legs.iter().filter(|leg| leg.kind == LegKind::Trunk && self.hold.by_agent);
        trunk.map(|leg| leg.id).collect()
    }

    /// Returns true where what a message of this leg says of the call holds for it: it is the trunk's, and of the party
    /// that the agent is with. A target says it for the time when it is that party, and is not believed before; in a
    /// conference the first call's word counts.
    pub fn is_told_by(&mut self, leg: LegId, uuid: Option<&str>) -> bool {
        let is_other = match &mut self.procedure {
            Some(Procedure::Transfer(transfer)) => transfer.note_uuid(leg, uuid),
            Some(Procedure::Addition(addition)) => leg == addition.target(),
            Some(Procedure::Conference(_)) => self.trunk_leg().is_some_and(|first| first.id != leg),
            _ => false,
        };
        !is_other && self.leg(leg).is_some_and(|leg| leg.kind == LegKind::Trunk)
    }
}
