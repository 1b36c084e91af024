//! The table of calls: by name, by session, by leg, and by the time at which each wants to be looked at.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use super::replaces::Ended;
use crate::call::{Call, Leg, Nailed};
use crate::id::{CallId, LegId};
use crate::path::Path;
use crate::sip::endpoint::{ClientTx, SessionId};

/// All calls.
#[derive(Debug, Default)]
pub(super) struct CallTable {
    by_id: HashMap<CallId, Call>,
    by_session: HashMap<SessionId, (CallId, LegId)>,
    by_leg: HashMap<LegId, CallId>,
    deadlines: BTreeSet<(Instant, CallId)>,
    scheduled: HashMap<CallId, Instant>,
    /// Requests of ours whose outcome a call waits for.
    awaited: HashMap<ClientTx, CallId>,
    /// What legs were told by INFO, and have not responded to.
    told: HashMap<ClientTx, (CallId, LegId)>,
    /// Dialogs that are over, lest they be taken for some that never were.
    pub(super) ended: Ended,
    /// Calls that may have gained or lost a leg since [`CallTable::take_touched`].
    touched: BTreeSet<CallId>,
    /// How many of the calls are legs that stand for none.
    standing: usize,
    last_call: u64,
    last_leg: u64,
}

impl CallTable {
    pub(super) fn next_call(&mut self) -> CallId {
        self.last_call += 1;
        CallId(self.last_call)
    }

    pub(super) fn next_leg(&mut self) -> LegId {
        self.last_leg += 1;
        LegId(self.last_leg)
    }

    /// Takes note that something of the call may have changed.
    pub(super) fn touch(&mut self, call: CallId) {
        self.touched.insert(call);
    }

    /// Returns the calls that may have gained or lost a leg, once.
    pub(super) fn take_touched(&mut self) -> BTreeSet<CallId> {
        std::mem::take(&mut self.touched)
    }

    pub(super) fn insert(&mut self, call: Call) {
        self.touch(call.id);
        for leg in &call.legs {
            index(&mut self.by_session, &mut self.by_leg, call.id, leg);
        }
        self.standing += usize::from(call.nailed == Nailed::Alone);
        self.by_id.insert(call.id, call);
    }

    /// Adds a callee to a call in set-up.
    pub(super) fn add_callee(&mut self, call: CallId, leg: Leg, now: Instant) {
        self.touch(call);
        if let Some(found) = self.by_id.get_mut(&call) {
            index(&mut self.by_session, &mut self.by_leg, call, &leg);
            found.add_callee(leg, now);
        }
    }

    pub(super) fn get_mut(&mut self, call: CallId) -> Option<&mut Call> {
        self.by_id.get_mut(&call)
    }

    pub(super) fn get(&self, call: CallId) -> Option<&Call> {
        self.by_id.get(&call)
    }

    pub(super) fn of_session(&self, session: SessionId) -> Option<(CallId, LegId)> {
        self.by_session.get(&session).copied()
    }

    pub(super) fn of_leg(&self, leg: LegId) -> Option<CallId> {
        self.by_leg.get(&leg).copied()
    }

    /// Returns the browser legs of a DN that are bound to one of these connections.
    pub(super) fn legs_of(&self, dn: &str, paths: &[Path]) -> Vec<(CallId, LegId)> {
        if paths.is_empty() {
            return Vec::new();
        }
        let legs = self.by_id.values().flat_map(|call| call.legs.iter().map(move |leg| (call, leg)));
        let here = legs.filter(|(_, leg)| leg.session.is_some() && paths.contains(&leg.path));
        let own = here.filter(|(call, leg)| call.dn_of(leg.id) == dn && !call.is_releasing());
        let mut own: Vec<(CallId, LegId)> = own.map(|(call, leg)| (call.id, leg.id)).collect();
        own.sort();
        own
    }

    /// The leg has no session any more; returns the one that it had.
    pub(super) fn end_session(&mut self, call: CallId, leg: LegId) -> Option<SessionId> {
        let session = self.by_id.get_mut(&call)?.leg_mut(leg)?.session.take()?;
        self.by_session.remove(&session);
        Some(session)
    }

    /// Adds a leg beside a set-up.
    pub(super) fn add_leg(&mut self, call: CallId, leg: Leg) {
        self.touch(call);
        if let Some(found) = self.by_id.get_mut(&call) {
            index(&mut self.by_session, &mut self.by_leg, call, &leg);
            found.add_leg(leg);
        }
    }

    /// Moves a leg with its session and its port from one call to another; false where there is none such. Who hears it is
    /// then for the other call to say.
    pub(super) fn adopt(&mut self, leg: LegId, from: CallId, to: CallId) -> bool {
        if !self.by_id.contains_key(&to) {
            return false;
        }
        let Some(giver) = self.by_id.get_mut(&from) else { return false };
        let Some(at) = giver.legs.iter().position(|l| l.id == leg) else { return false };
        let moved = giver.legs.remove(at);
        giver.topology.forget(leg);
        self.touch(from);
        self.add_leg(to, moved);
        true
    }

    /// The leg is gone.
    pub(super) fn forget_leg(&mut self, call: CallId, leg: LegId) {
        self.touch(call);
        self.end_session(call, leg);
        // Another call may have adopted it.
        if self.by_leg.get(&leg) == Some(&call) {
            self.by_leg.remove(&leg);
        }
        if let Some(call) = self.by_id.get_mut(&call) {
            call.legs.retain(|l| l.id != leg);
            call.topology.forget(leg);
        }
    }

    /// The call is gone.
    pub(super) fn remove(&mut self, call: CallId) -> Option<Call> {
        self.unschedule(call);
        let gone = self.by_id.remove(&call)?;
        self.standing -= usize::from(gone.nailed == Nailed::Alone);
        for leg in &gone.legs {
            self.by_leg.remove(&leg.id);
            if let Some(session) = leg.session {
                self.by_session.remove(&session);
            }
        }
        Some(gone)
    }

    /// The call waits for the outcome of this request.
    pub(super) fn await_response(&mut self, tx: ClientTx, call: CallId) {
        self.awaited.insert(tx, call);
    }

    /// Returns the call that waited for this outcome.
    pub(super) fn take_awaited(&mut self, tx: ClientTx) -> Option<CallId> {
        self.awaited.remove(&tx)
    }

    /// A leg was told something by this INFO.
    pub(super) fn await_info(&mut self, tx: ClientTx, call: CallId, leg: LegId) {
        self.told.insert(tx, (call, leg));
    }

    pub(super) fn awaits_info(&self, tx: ClientTx) -> bool {
        self.told.contains_key(&tx)
    }

    /// Returns who was told something by this request, once.
    pub(super) fn take_told(&mut self, tx: ClientTx) -> Option<(CallId, LegId)> {
        self.told.remove(&tx)
    }

    /// Takes note of when the call wants to be looked at.
    pub(super) fn schedule(&mut self, call: CallId) {
        self.touch(call);
        self.unschedule(call);
        if let Some(at) = self.by_id.get(&call).and_then(Call::deadline) {
            self.deadlines.insert((at, call));
            self.scheduled.insert(call, at);
        }
    }

    fn unschedule(&mut self, call: CallId) {
        if let Some(at) = self.scheduled.remove(&call) {
            self.deadlines.remove(&(at, call));
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Returns the calls that want to be looked at.
    pub(super) fn due(&self, now: Instant) -> Vec<CallId> {
        self.deadlines.iter().take_while(|(at, _)| *at <= now).map(|(_, call)| *call).collect()
    }

    /// Calls, without the legs that stand for none.
    pub(super) fn len(&self) -> usize {
        self.by_id.len().saturating_sub(self.standing)
    }

    /// Entries of all maps.
    pub(super) fn entries(&self) -> usize {
        let maps = [self.by_id.len(), self.by_session.len(), self.by_leg.len(), self.awaited.len(), self.told.len()];
        maps.into_iter().sum::<usize>() + self.deadlines.len() + self.scheduled.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Call> {
        self.by_id.values()
    }

    /// Returns all names, in order of age.
    pub(super) fn names(&self) -> Vec<CallId> {
        let mut names: Vec<CallId> = self.by_id.keys().copied().collect();
        names.sort();
        names
    }
}

fn index(
    by_session: &mut HashMap<SessionId, (CallId, LegId)>,
    by_leg: &mut HashMap<LegId, CallId>,
    call: CallId,
    leg: &Leg,
) {
    if let Some(session) = leg.session {
        by_session.insert(session, (call, leg.id));
    }
    by_leg.insert(leg.id, call);
}
