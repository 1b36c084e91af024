//! A conference of three: two calls of one agent made one, mixed on the agent's worker.

use std::time::Instant;

use super::Gateway;
use super::transfers::status_of;
use crate::call::procedure::{Guest, Members};
use crate::call::{LegKind, ReleaseCause, Signal};
use crate::id::CallId;

impl Gateway {
    /// Merges two calls of one agent. The browser leg that is not on hold by the browser is kept, that of `call` where
    /// neither is; the other call ends. The error is the status of the refusal.
    pub(super) fn confer(&mut self, call: CallId, with: CallId, now: Instant) -> Result<(), u16> {
        let listens = |id| {
            let agent = self.calls.get(id).and_then(|call| call.agent_leg());
            agent.is_some_and(|leg| leg.media.peer_direction().receives())
        };
        let (call, with) = if !listens(call) && listens(with) { (with, call) } else { (call, with) };
        let (found, other) = (self.calls.get(call).ok_or(404u16)?, self.calls.get(with).ok_or(404u16)?);
        if call == with || found.parties.dn != other.parties.dn {
            return Err(403);
        }
        found.may_begin().and(other.may_begin()).map_err(status_of)?;
        let agent = found.agent_leg().ok_or(403u16)?.id;
        let (one, two) = (found.far_leg().ok_or(403u16)?, other.far_leg().ok_or(403u16)?);
        let is_near = one.media.worker == two.media.worker;
        if one.kind != LegKind::Trunk || two.kind != LegKind::Trunk || !is_near {
            return Err(403);
        }
        let guest = |leg, number: &str| Guest { leg, number: number.to_owned() };
        let (one, two) = (one.id, two.id);
        let guests = [guest(one, &found.parties.peer), guest(two, &other.parties.peer)];
        let mut held = found.held_legs();
        held.extend(other.held_legs());
        if !self.calls.adopt(two, with, call) {
            return Err(404);
        }
        let stays = self.policy.conference_stays;
        if let Some(found) = self.calls.get_mut(call) {
            let actions = found.begin_conference(Members { agent, guests, held, stays });
            self.carry_out(call, actions, now);
        }
        self.signal(with, Signal::Release(ReleaseCause::Merged), now);
        Ok(())
    }
}
