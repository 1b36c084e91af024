//! Which leg of a [`Call`] is whose.

use super::{Call, Leg, LegKind, Procedure};
use crate::id::{LegId, WorkerId};

impl Call {
    /// Returns a leg.
    pub fn leg(&self, id: LegId) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.id == id)
    }

    /// Returns a leg.
    pub fn leg_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        self.legs.iter_mut().find(|leg| leg.id == id)
    }

    /// Returns the leg that called.
    pub fn caller(&mut self) -> Option<&mut Leg> {
        self.legs.first_mut()
    }

    /// Returns the legs that hear this one, each with its worker.
    pub fn hearers(&self, id: LegId) -> Vec<(WorkerId, LegId)> {
        let place = |hearer| self.leg(hearer).map(|leg| (leg.media.worker, leg.id));
        self.topology.hearers(id).into_iter().filter_map(place).collect()
    }

    /// Returns the agent's leg: the browser that called, else the first one called.
    pub fn agent_leg(&self) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.kind == LegKind::Browser)
    }

    /// Returns the leg of the trunk; of several the first.
    pub fn trunk_leg(&self) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.kind == LegKind::Trunk)
    }

    /// Returns the leg of the party that the agent talks to: that of the trunk, else the other browser's.
    pub fn far_leg(&self) -> Option<&Leg> {
        self.other_leg(self.agent_leg()?.id)
    }

    /// Returns the leg of the party that this one talks to: that of the trunk, else the other browser's.
    pub fn other_leg(&self, leg: LegId) -> Option<&Leg> {
        let others = || self.legs.iter().filter(move |other| other.id != leg);
        others().find(|other| other.kind == LegKind::Trunk).or_else(|| others().next())
    }

    /// Returns the leg of a DN's phone.
    pub fn leg_of_dn(&self, dn: &str) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.dn.as_deref() == Some(dn))
    }

    /// Returns true for the leg of the agent whose call it is.
    pub(super) fn is_agent(&self, leg: LegId) -> bool {
        self.agent_leg().is_some_and(|agent| agent.id == leg)
    }

    /// Returns the DNs of ours that take part beside the call's own: the one that is called without a trunk, and the guests of
    /// a conference.
    pub(super) fn other_dns(&self) -> Vec<String> {
        let mut others: Vec<String> = self.parties.local.then(|| self.parties.peer.clone()).into_iter().collect();
        if let Some(Procedure::Conference(_)) = self.procedure {
            for dn in self.legs.iter().filter_map(|leg| leg.dn.as_ref()) {
                if *dn != self.parties.dn && !others.contains(dn) {
                    others.push(dn.clone());
                }
            }
        }
        others
    }

    /// Returns the DN for which a number is dialled: of two that talk that of who hands on, or calls somebody in.
    pub fn dialling_dn(&self) -> &str {
        match &self.procedure {
            Some(Procedure::Transfer(transfer)) => transfer.agent().map_or(&self.parties.dn, |leg| self.dn_of(leg)),
            Some(Procedure::Addition(addition)) => self.dn_of(addition.agent()),
            _ => &self.parties.dn,
        }
    }

    /// Returns true while the phones of another of our DNs are being called, without a trunk.
    pub fn calls_locally(&self) -> bool {
        self.parties.local && matches!(self.procedure, Some(Procedure::Setup(_)))
    }

    /// Returns the DN at the end of a browser leg: the agent's, or the other one's where two of our DNs talk.
    pub fn dn_of(&self, leg: LegId) -> &str {
        self.leg(leg).and_then(|leg| leg.dn.as_deref()).unwrap_or(&self.parties.dn)
    }
}
