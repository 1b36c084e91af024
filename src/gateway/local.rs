//! Calls from one of our DNs to another that stay here: the trunk does not see them, so only where that is configured.
//!
//! Both browsers are on one media thread, and their Opus goes from one to the other untouched, in full band. Events tell of
//! such a call as the caller's, and name the other DN among `others`: for that agent's desktop they are to be read from the
//! other side. Commands of either agent name the DN that asks.

use std::time::Instant;

use super::Gateway;
use super::audio::Beside;
use super::config::LocalCalls;
use super::identity;
use super::ports::NoPlace;
use super::refusal::{Limit, Refusal};
use super::routing::{offer, sdp_status};
use crate::call::{Direction, Leg, LegMedia, Parties, SetupLimits, Signal, UserData};
use crate::id::{CallId, WorkerId};
use crate::path::Path;
use crate::sip::endpoint::SessionId;
use crate::sip::message::Message;

impl Gateway {
    /// Returns the thread that both share, if a call of this DN to the number stays here; it is placed then. Agents who talk on two threads already are not joined: their call goes by the trunk. A leg that
    /// stands for no call is in nobody's way.
    pub(super) fn local_party(&mut self, dn: &str, number: &str, now: Instant) -> Result<Option<WorkerId>, Refusal> {
        let stays = match self.policy.local {
            LocalCalls::Never => false,
            LocalCalls::TrunkDown => self.trunks.is_down(dn, number),
            LocalCalls::Always => true,
        };
        if !stays || dn == number || !self.admission.knows(number) {
            return Ok(None);
        }
        if self.reachable(number, now).is_empty() {
            return Ok(None);
        }
        if !self.has_room(number) {
            return Err(Refusal::limit(486, Limit::Dn));
        }
        let mut placed = self.ports.place_both(dn, number);
        if placed == Err(NoPlace::Apart) && (self.give_way(number, now) || self.give_way(dn, now)) {
            placed = self.ports.place_both(dn, number);
        }
        Ok(placed.ok())
    }

    /// Makes the call between two of our DNs.
    pub(super) fn connect_locally(
        &mut self,
        session: SessionId,
        invite: &Message,
        path: Path,
        (dn, number): (String, String),
        worker: WorkerId,
        now: Instant,
    ) -> Result<(), Refusal> {
        let leg = self.calls.next_leg();
        let local = self.browser_local(worker, &dn, Beside::Browser);
        let made = offer(invite).and_then(|offer| {
            LegMedia::browser(leg, worker, local, offer).map_err(|error| Refusal::from(sdp_status(&error)))
        });
        let (media, open) = match made {
            Ok(made) => made,
            Err(refusal) => {
                self.ports.unplace(&dn);
                self.ports.unplace(&number);
                return Err(refusal);
            }
        };
        self.answer_as(session, &path, &number);
        let limits = self.local_limits(&number);
        let trunk = self.peers.trunk(0);
        let parties = Parties {
            dn,
            peer: number,
            peer_name: String::new(),
            direction: Direction::Outbound,
            call_uuid: None,
            data: UserData::default(),
            told: trunk.map(|trunk| identity::carried_out(invite, &trunk.carry).into()).unwrap_or_default(),
            local: true,
            dnis: None,
            dial: None,
        };
        let caller = Leg::browser(leg, parties.dn.clone(), session, path, media);
        let call = self.begin(parties, caller, limits, open, now);
        self.ring_peer(call, now);
        self.calls.schedule(call);
        Ok(())
    }

    /// Says how long a DN rings that is called without a trunk; nobody else is tried.
    pub(super) fn local_limits(&self, number: &str) -> SetupLimits {
        let answer = self.admission.ring(number).unwrap_or(self.policy.ring_timeout);
        SetupLimits { answer, target: None, targets: 0 }
    }

    /// Calls the phones of the other DN.
    pub(super) fn ring_peer(&mut self, call: CallId, now: Instant) {
        let Some(found) = self.calls.get(call) else { return };
        let Some(worker) = found.legs.first().map(|caller| caller.media.worker) else { return };
        let (number, legs) = (found.parties.peer.clone(), found.legs.len());
        for binding in self.reachable(&number, now) {
            self.ring(call, worker, &binding, now);
        }
        if self.calls.get(call).is_some_and(|call| call.legs.len() == legs) {
            self.signal(call, Signal::NoTarget, now);
        }
    }
}
