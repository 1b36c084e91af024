//! What becomes of a call's facts: states at its numbers, and what their desktops are told.

use std::sync::Arc;
use std::time::Instant;

use super::call::{Call, CallState, Consultation, Place, is_conn_id};
use super::happened::Happened;
use super::{AttachedData, Desk, UserName};
use crate::call::{CallEvent, Direction, EventKind, ReleaseCause};
use crate::id::CallId;

/// Longest CallUUID that somebody else is believed to know a call by; the SIP Server's have 32 characters.
const MAX_UUID: usize = 128;
/// Longest key of user data that somebody else says, bytes.
const MAX_KEY: usize = 256;

impl Desk {
    /// Takes the next fact of a call.
    pub(super) fn call_event(&mut self, event: &CallEvent, now: Instant) {
        let is_end = matches!(event.kind, EventKind::Released { .. });
        if self.strays.ended.is_late(event.call, is_end) {
            return;
        }
        let known = self.calls.remove(&event.call);
        let is_new = known.is_none();
        let mut call = known.unwrap_or_else(|| Call::new(event));
        let mut users = call.owners();
        if is_new {
            self.note_dial(&mut call);
        }
        let moved = self.settle_sides(&mut call, event, now);
        let is_named_anew = call.facts.take_uuid(event.call_uuid.as_ref());
        let told_early = is_named_anew && self.take_told(&mut call, event, now);
        let told_now = call.facts.take_fields(&event.data, &self.config.user_data_fields);
        let data_changed = is_named_anew && self.join_parts(&mut call) || told_now || told_early;
        if call.facts.dnis.is_none() {
            call.facts.dnis.clone_from(&event.dnis);
        }
        let was_told = self.take_kind(&mut call, event, now);
        if data_changed && !was_told {
            self.tell_all(&mut call, &Happened::data(), event.at);
        }
        for dn in moved {
            // Nothing else of this event told who is there now, and it may have left by it.
            if !was_told && let Some(side) = call.sides.iter().position(|side| side.dn == dn) {
                self.tell_side(&mut call, side, &Happened::participants(), event.at);
            }
        }
        users.extend(call.owners());
        match event.kind {
            EventKind::Released { ref cause, .. } => self.forget(call, *cause == ReleaseCause::Merged, now),
            _ => drop(self.calls.insert(call.id, call)),
        }
        self.tell_beside(users, now);
    }

    /// Tells desktops of calls with which more, or less, can be done because of another call of their agent.
    fn tell_beside(&mut self, mut users: Vec<UserName>, now: Instant) {
        users.sort_unstable();
        users.dedup();
        for user in users {
            let calls = self.agents.get(&user).map(|agent| agent.calls.clone()).unwrap_or_default();
            for id in calls {
                let Some(mut call) = self.calls.remove(&id) else { continue };
                let own = call.sides.iter().position(|side| side.owner.as_ref() == Some(&user));
                if let Some(own) = own
                    && call.sides[own].state.is_some_and(CallState::is_talking)
                    && self.sight(&call, &call.sides[own]).beside() != call.sides[own].told_beside
                {
                    self.tell_side(&mut call, own, &Happened::status(None), now);
                }
                self.calls.insert(id, call);
            }
        }
    }

    /// Takes what the event is about; returns true where all desktops of the call have been told of it.
    fn take_kind(&mut self, call: &mut Call, event: &CallEvent, now: Instant) -> bool {
        match &event.kind {
            EventKind::Dialing => {
                let callers = |side: &super::call::Side| side.direction == Direction::Outbound;
                self.go(call, CallState::Dialing, "CallDialing", callers, event.at)
            }
            EventKind::Ringing => {
                let called = |side: &super::call::Side| side.direction == Direction::Inbound && !side.was_answered;
                self.go(call, CallState::Ringing, "CallRinging", called, event.at)
            }
            EventKind::Established => {
                call.answered_at.get_or_insert(event.at);
                self.answered(call);
                self.go(call, CallState::Established, "CallEstablished", |_| true, event.at)
            }
            EventKind::Held { by_agent } => self.held(call, *by_agent, true, event.at, now),
            EventKind::Retrieved { by_agent } => self.held(call, *by_agent, false, event.at, now),
            EventKind::AttachedDataChanged => false,
            EventKind::CallUuidChanged => self.tell_all(call, &Happened::status(None), event.at),
            EventKind::ParticipantsUpdated { parties } => {
                let alone = parties.len() == 1 && parties.first() == Some(&event.peer);
                call.parties = (!alone).then(|| parties.clone());
                self.tell_all(call, &Happened::participants(), event.at)
            }
            EventKind::Transferred { to, by_agent } => {
                let near = call.sides.iter().position(|side| side.is_second != *by_agent);
                if let Some(near) = near {
                    self.tell_side(call, near, &Happened::transferred(to), event.at);
                    call.left = Some(call.sides[near].dn.clone());
                    self.leave(call, near, Some(&ReleaseCause::Transferred), event.at, now);
                }
                false
            }
            EventKind::CaptureStarted { .. } | EventKind::CaptureStopped { .. } => {
                call.is_captured = matches!(event.kind, EventKind::CaptureStarted { .. });
                self.tell_all(call, &Happened::recording(), event.at)
            }
            EventKind::Declined { why, by_agent } => {
                self.tell_declined(call, &why.to_string(), *by_agent, event.at);
                false
            }
            EventKind::Released { cause, browser, trunk } => {
                let happened = Happened::released(cause, *browser, *trunk);
                for side in 0..call.sides.len() {
                    call.sides[side].state = Some(CallState::Released);
                    self.tell_side(call, side, &happened, event.at);
                }
                true
            }
            _ => false,
        }
    }

    /// Brings sides into a state, and tells those that were in another one.
    fn go(
        &mut self,
        call: &mut Call,
        state: CallState,
        event: &'static str,
        of: impl Fn(&super::call::Side) -> bool,
        at: Instant,
    ) -> bool {
        for at_side in 0..call.sides.len() {
            let side = &mut call.sides[at_side];
            // Who has the other party on hold keeps it there.
            let stays =
                side.state == Some(state) || (state == CallState::Established && side.state == Some(CallState::Held));
            if !of(side) || stays {
                continue;
            }
            side.state = Some(state);
            self.tell_side(call, at_side, &Happened::status(Some(event)), at);
        }
        true
    }

    /// The call is answered: its agents will have something to finish.
    fn answered(&mut self, call: &mut Call) {
        for side in &mut call.sides {
            side.was_answered = true;
            if let Some(agent) = side.owner.as_ref().and_then(|user| self.agents.get_mut(user)) {
                agent.has_talked = true;
            }
        }
    }

    /// One side has the other one on hold, or no longer.
    fn held(&mut self, call: &mut Call, by_agent: bool, hold: bool, at: Instant, now: Instant) -> bool {
        for index in 0..call.sides.len() {
            let side = &mut call.sides[index];
            if side.is_second == by_agent {
                side.is_held_by_peer = hold;
                self.tell_side(call, index, &Happened::status(None), at);
                continue;
            }
            let (state, event) =
                if hold { (CallState::Held, "CallHeld") } else { (CallState::Established, "CallRetrieved") };
            if side.state != Some(state) {
                side.state = Some(state);
                self.tell_side(call, index, &Happened::status(Some(event)), at);
            }
        }
        let held = call.sides.iter_mut().filter(|side| hold && side.is_second != by_agent);
        let wanted: Vec<_> = held.filter_map(|side| side.wanted.take()).filter(|wanted| wanted.is_fresh(now)).collect();
        for wanted in wanted {
            self.consult(call.id, wanted, now);
        }
        true
    }

    /// Finds whose the call is: who has come, who has left. Returns the numbers whose other party is another one.
    fn settle_sides(&mut self, call: &mut Call, event: &CallEvent, now: Instant) -> Vec<String> {
        // A call between two of ours is the other one's, seen from the other side; guests of a conference were called.
        let far = match event.direction {
            Direction::Inbound => Direction::Outbound,
            Direction::Outbound => Direction::Inbound,
        };
        let near = Place { dn: &event.dn, peer: &event.peer, direction: event.direction, is_second: false };
        let others = event.others.iter().map(|dn| {
            let direction = if *dn == event.peer { far } else { Direction::Inbound };
            Place { dn, peer: &event.dn, direction, is_second: true }
        });
        let all: Vec<Place<'_>> = [near].into_iter().chain(others).collect();
        if call.left.as_ref().is_some_and(|left| all.iter().all(|place| place.dn != left)) {
            call.left = None;
        }
        let places: Vec<_> = all.into_iter().filter(|place| call.left.as_deref() != Some(place.dn)).collect();
        // A guest leaves a conference as he likes; who leaves a pair was handed on, or has handed on.
        let cause = if call.is_conference() { ReleaseCause::Agent } else { ReleaseCause::Transferred };
        while let Some(gone) = call.sides.iter().position(|side| places.iter().all(|place| place.dn != side.dn)) {
            self.leave(call, gone, Some(&cause), event.at, now);
        }
        let mut moved = Vec::new();
        for place in places {
            match call.sides.iter().position(|side| side.dn == place.dn) {
                Some(at) => {
                    if call.sides[at].peer != place.peer {
                        call.parties = None;
                        call.sides[at].is_held_by_peer = false;
                        moved.push(place.dn.to_owned());
                    }
                    (call.sides[at].peer, call.sides[at].is_second) = (place.peer.to_owned(), place.is_second);
                }
                None => self.join(call, place, event.at),
            }
        }
        moved
    }
}

impl Desk {
    /// A number comes to a call.
    fn join(&mut self, call: &mut Call, place: Place<'_>, at: Instant) {
        let owner = self.owner(place.dn).cloned();
        let is_talking = call.answered_at.is_some();
        let id = call.id;
        let side = call.add_side(place, owner.clone());
        side.was_answered = is_talking;
        if is_talking {
            // Its phone has answered before it came to this call; what follows tells of it.
            side.state = Some(CallState::Established);
        }
        if let Some(user) = owner {
            if let Some(agent) = self.agents.get_mut(&user) {
                agent.calls.push(id);
                agent.has_talked |= is_talking;
            }
            self.tell_others(&user);
        }
        if is_talking {
            let index = call.sides.len() - 1;
            self.tell_side(call, index, &Happened::status(Some("CallEstablished")), at);
        }
    }

    /// A number leaves a call that goes on without it.
    fn leave(&mut self, call: &mut Call, index: usize, cause: Option<&ReleaseCause>, at: Instant, now: Instant) {
        call.sides[index].state = Some(CallState::Released);
        let happened = cause.map_or_else(Happened::lost, |cause| Happened::released(cause, None, None));
        self.tell_side(call, index, &happened, at);
        let side = call.sides.remove(index);
        if let Some(user) = side.owner {
            self.call_over(&user, call, false, now);
        }
    }

    /// A call is over.
    fn forget(&mut self, mut call: Call, merged: bool, now: Instant) {
        for user in call.owners() {
            self.call_over(&user, &call, merged, now);
        }
        self.leave_parts(&mut call, now);
    }

    /// An agent has lost a call; `merged`: another one has taken in its party.
    fn call_over(&mut self, user: &UserName, call: &Call, merged: bool, now: Instant) {
        let Some(agent) = self.agents.get_mut(user) else { return };
        agent.calls.retain(|other| *other != call.id);
        let left = agent.calls.clone();
        let is_over = left.is_empty() && std::mem::take(&mut agent.has_talked);
        let time = self.config.after_call_work;
        if is_over {
            self.change(user, now, |agent| agent.call_over(time, now));
        }
        self.tell_others(user);
        // What could be done with two calls cannot be done any more.
        for id in left {
            let Some(mut other) = self.calls.remove(&id) else { continue };
            let is_parent = other.consultation.is_some_and(|consultation| consultation.parent == call.id);
            let was_consultation = call.consultation.is_some_and(|consultation| consultation.parent == id);
            if is_parent {
                other.consultation = None;
            }
            if is_parent && merged {
                // What was known of the customer belongs to the call that goes on.
                let own = std::mem::replace(&mut other.facts.data, call.facts.data.clone());
                other.facts.attach(own);
                self.tell_all(&mut other, &Happened::data(), now);
            } else if is_parent || was_consultation {
                self.tell_all(&mut other, &Happened::status(None), now);
            }
            self.calls.insert(id, other);
        }
    }

    /// A call that is new may be one that an agent has dialled here.
    fn note_dial(&mut self, call: &mut Call) {
        let Some(dialling) = call.dial.and_then(|dial| self.dials.remove(&dial)) else { return };
        call.facts.attach(dialling.data);
        // The call that it was to be a consultation for may be over by now.
        let parent = dialling.parent.filter(|parent| self.calls.contains_key(parent));
        call.consultation = parent.map(|parent| Consultation { parent });
    }

    /// What somebody else said of a call.
    pub(super) fn told(&mut self, uuid: String, conn_id: Option<String>, data: Option<AttachedData>, now: Instant) {
        if uuid.is_empty() || uuid.len() > MAX_UUID {
            return;
        }
        let conn_id = conn_id.filter(|id| is_conn_id(id));
        let data = data.map(|mut pairs| {
            pairs.retain(|key, _| key.len() <= MAX_KEY);
            pairs
        });
        let ids: Vec<CallId> =
            self.calls.values().filter(|call| call.facts.has_uuid(&uuid)).map(|call| call.id).collect();
        if ids.is_empty() {
            return self.strays.early.keep(uuid, conn_id, data, now);
        }
        for id in ids {
            let Some(mut call) = self.calls.remove(&id) else { continue };
            let new_name = conn_id.is_some() && conn_id != call.facts.conn_id;
            if new_name {
                call.facts.conn_id.clone_from(&conn_id);
            }
            let prefixes = &self.config.user_data_fields;
            let new_data = data.clone().is_some_and(|data| call.facts.take_told(&uuid, data, prefixes));
            if new_data {
                self.tell_all(&mut call, &Happened::data(), now);
            } else if new_name {
                self.tell_all(&mut call, &Happened::status(None), now);
            }
            self.calls.insert(id, call);
        }
    }

    /// Takes what was said of a call before it was there; returns true where user data changes.
    fn take_told(&mut self, call: &mut Call, event: &CallEvent, now: Instant) -> bool {
        let Some(uuid) = &event.call_uuid else { return false };
        let Some((conn_id, data)) = self.strays.early.take(uuid, now) else { return false };
        if conn_id.is_some() {
            call.facts.conn_id = conn_id;
        }
        data.is_some_and(|data| call.facts.take_told(uuid, data, &self.config.user_data_fields))
    }

    /// Facts have been missed: calls that are not among these are over. What still comes of them is older than this.
    pub(super) fn missed(&mut self, alive: &[CallId], now: Instant) {
        let gone: Vec<CallId> = self.calls.keys().copied().filter(|id| !alive.contains(id)).collect();
        let mut users = Vec::new();
        for id in gone {
            let Some(mut call) = self.calls.remove(&id) else { continue };
            self.strays.ended.note(id);
            users.extend(call.owners());
            while !call.sides.is_empty() {
                self.leave(&mut call, 0, None, now, now);
            }
        }
        self.tell_beside(users, now);
    }

    /// Tells the desktops of a call; always true.
    pub(super) fn tell_all(&mut self, call: &mut Call, happened: &Happened<'_>, at: Instant) -> bool {
        for side in 0..call.sides.len() {
            self.tell_side(call, side, happened, at);
        }
        true
    }

    /// Tells the desktops of one side, where there is anything to show.
    pub(super) fn tell_side(&mut self, call: &mut Call, index: usize, happened: &Happened<'_>, at: Instant) {
        if call.sides[index].state.is_none() {
            return;
        }
        let event_id: Arc<str> = format!("{}-{}", self.config.run, call.sides[index].next_event(call.id)).into();
        let data = self.call_message(call, &call.sides[index], &event_id, happened, at);
        call.sides[index].told_beside = self.sight(call, &call.sides[index]).beside();
        let side = &call.sides[index];
        self.publish(super::Published {
            event_id,
            channel: super::message::CALLS,
            owner: side.owner.clone(),
            dn: side.dn.clone(),
            at_unix_ms: self.clock.unix_ms(at),
            data,
        });
    }
}
