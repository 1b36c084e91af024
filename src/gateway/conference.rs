//! A conference of three: two calls of one agent made one, mixed on the agent's worker.

use std::time::Instant;

use super::Gateway;
use super::transfers::status_of;
use crate::call::procedure::{Guest, Members};
use crate::call::{Call, Leg, ReleaseCause, Signal};
use crate::id::{CallId, LegId};

impl Gateway {
    /// Merges two calls of one agent. The browser leg that is not on hold by the browser is kept, that of `call` where
    /// neither is; the other call ends. The error is the status of the refusal.
    pub(super) fn confer(&mut self, call: CallId, by: Option<LegId>, with: CallId, now: Instant) -> Result<(), u16> {
        let found = self.calls.get(call).ok_or(404u16)?;
        let asks = by.or_else(|| found.agent_leg().map(|leg| leg.id)).ok_or(403u16)?;
        let dn = found.dn_of(asks).to_owned();
        let listens = |id| {
            let agent = self.calls.get(id).and_then(|call| call.leg_of_dn(&dn));
            agent.is_some_and(|leg| leg.media.peer_direction().receives())
        };
        let (call, with) = if !listens(call) && listens(with) { (with, call) } else { (call, with) };
        let (found, other) = (self.calls.get(call).ok_or(404u16)?, self.calls.get(with).ok_or(404u16)?);
        let (near, beside) = (found.leg_of_dn(&dn).ok_or(403u16)?, other.leg_of_dn(&dn).ok_or(403u16)?);
        if call == with {
            return Err(403);
        }
        found.may_begin().and(other.may_begin()).map_err(status_of)?;
        let agent = near.id;
        let (one, two) = (found.other_leg(agent).ok_or(403u16)?, other.other_leg(beside.id).ok_or(403u16)?);
        let is_same = one.dn.is_some() && one.dn == two.dn;
        if is_same || one.media.worker != two.media.worker {
            return Err(403);
        }
        let guest = |leg: &Leg, of: &Call| {
            let number = leg.dn.clone().unwrap_or_else(|| of.parties.peer.clone());
            Guest { leg: leg.id, number }
        };
        let guests = [guest(one, found), guest(two, other)];
        let (two, of) = (two.id, two.dn.clone());
        let mut held = found.held_legs();
        held.extend(other.held_legs());
        if !self.calls.adopt(two, with, call) {
            return Err(404);
        }
        self.place_with(call, of);
        let stays = self.policy.conference_stays;
        if let Some(found) = self.calls.get_mut(call) {
            let actions = found.begin_conference(Members { agent, guests, held, stays });
            self.carry_out(call, actions, now);
        }
        self.signal(with, Signal::Release(ReleaseCause::Merged), now);
        Ok(())
    }
}
