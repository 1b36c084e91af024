//! The leg of a nailed phone: made when the phone signs in, joined to call after call, made anew when it is lost.
//!
//! ```text
//!  signs in ──INVITE──> called ──200──> stands <──talk, end of call──> in a call
//!                         ▲  └──refused──┐  └──BYE, media or connection lost──┐
//!                         └──────────── waits: 1 s, 2 s, 4 s … 1 min <────────┘      signs out ──BYE──> (none)
//! ```
//! A phone that only rings is let go when its ring time is over, and waits as one that refused.
//! A call that comes while the phone is called takes the leg as it is, and waits for its answer; one that comes while
//! there is no leg calls all phones of the DN, and the one that answers stands from then on.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::{Closing, Gateway};
use crate::call::{
    AnswerMode, Call, Direction, Leg, LegKind, Nailed, ParkSource, Parties, ReleaseCause, Signal, UserData,
};
use crate::id::{CallId, LegId};
use crate::plan::{Order, Topology};

/// How soon a phone is called again whose leg was lost.
const SOON: Duration = Duration::from_secs(1);

/// The longest that it is waited for; a leg that stood for so long was a good one.
const LATEST: Duration = Duration::from_secs(60);

/// The DNs without a leg that are to be called again.
#[derive(Debug, Default)]
pub(super) struct StandingLegs {
    due: BTreeSet<(Instant, String)>,
    /// How many legs were lost one after the other.
    lost: HashMap<String, u32>,
}

impl StandingLegs {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    fn waits(&self, dn: &str) -> bool {
        self.due.iter().any(|(_, other)| other == dn)
    }

    /// The DN is to be called again; `stood`: how long its last leg did.
    fn wait(&mut self, dn: &str, stood: Duration, now: Instant) {
        let lost = self.lost.entry(dn.to_owned()).or_default();
        if stood >= LATEST {
            *lost = 0;
        }
        let wait = SOON.saturating_mul(1 << (*lost).min(6)).min(LATEST);
        *lost = lost.saturating_add(1);
        self.due.insert((now + wait, dn.to_owned()));
    }

    fn take_due(&mut self, now: Instant) -> Option<String> {
        self.due.first().filter(|(at, _)| *at <= now)?;
        self.due.pop_first().map(|(_, dn)| dn)
    }

    fn forget(&mut self, dn: &str) {
        self.due.retain(|(_, other)| other != dn);
        self.lost.remove(dn);
    }
}

impl Gateway {
    /// A REGISTER was carried out; `was_here`: the phone had been registered on this connection before.
    pub(super) fn nail_registered(&mut self, dn: &str, was_here: bool, now: Instant) {
        if self.admission.answer(dn) != AnswerMode::Nailed {
            return;
        }
        if self.registrar.lookup(dn, now).is_empty() {
            return self.unnail(dn, now);
        }
        // A refresh does not shorten the wait; another page is another phone.
        let waits = was_here && self.standing.waits(dn);
        if waits || self.is_nailed(dn) {
            return;
        }
        self.standing.forget(dn);
        self.call_standing(dn, now);
    }

    /// Nobody is signed in as this DN any more: what stands for it is of no use.
    pub(super) fn unnail(&mut self, dn: &str, now: Instant) {
        self.standing.forget(dn);
        let standing = self.calls.iter().filter(|call| call.nailed == Nailed::Alone && call.parties.dn == dn);
        // What has lost its connection has its grace to come back.
        let ends = standing.filter(|call| call.legs.iter().all(|leg| !self.flows.is_lost(leg.id)));
        let ends: Vec<CallId> = ends.filter(|call| !call.is_releasing()).map(|call| call.id).collect();
        for call in ends {
            self.signal(call, Signal::Release(ReleaseCause::Command), now);
        }
    }

    /// A call of this DN is over, or what stood for it.
    pub(super) fn nail_again(&mut self, dn: &str, since: Instant, now: Instant) {
        if self.admission.answer(dn) != AnswerMode::Nailed || self.is_nailed(dn) || self.standing.waits(dn) {
            return;
        }
        if self.closing != Closing::No || self.reachable(dn, now).is_empty() {
            return self.standing.forget(dn);
        }
        self.standing.wait(dn, now.saturating_duration_since(since), now);
    }

    /// Two DNs are to talk that stand on two media threads: browser legs do not move, so a leg that stands for no call gives
    /// way, and is made anew beside the call. False: this DN has a call there.
    pub(super) fn give_way(&mut self, dn: &str, now: Instant) -> bool {
        let Some((call, _)) = self.standing_leg(dn).filter(|_| self.ports.calls_of(dn) == 1) else { return false };
        if let Some(found) = self.calls.get_mut(call) {
            // It is nobody's from here on.
            found.parties.dn.clear();
            found.placed.clear();
        }
        self.ports.unplace_standing(dn);
        self.standing.wait(dn, Duration::ZERO, now);
        self.signal(call, Signal::Release(ReleaseCause::Command), now);
        true
    }

    /// Calls the phones whose wait is over.
    pub(super) fn nail_due(&mut self, now: Instant) {
        while let Some(dn) = self.standing.take_due(now) {
            if !self.is_nailed(&dn) {
                self.call_standing(&dn, now);
            }
        }
    }

    /// Returns true while a leg of the DN stands or is used by a call, or a call is about to make one.
    fn is_nailed(&self, dn: &str) -> bool {
        let mut own = self.calls.iter().filter(|call| call.parties.dn == dn && !call.is_releasing());
        own.any(|call| match call.nailed {
            Nailed::Alone => true,
            Nailed::Leg(leg) => call.leg(leg).is_some_and(|leg| leg.session.is_some()),
            Nailed::No => call.parties.direction == Direction::Inbound && !call.is_answered(),
        })
    }

    /// Calls the phone that was refreshed last, for no call yet.
    fn call_standing(&mut self, dn: &str, now: Instant) {
        if self.closing != Closing::No {
            return;
        }
        let Some(binding) = self.reachable(dn, now).into_iter().next() else { return };
        let Some(worker) = self.ports.place_standing(dn) else { return };
        let parties = Parties {
            dn: dn.to_owned(),
            peer: String::new(),
            peer_name: String::new(),
            direction: Direction::Inbound,
            call_uuid: None,
            data: UserData::default(),
            told: UserData::default(),
            local: false,
            dnis: None,
            dial: None,
        };
        let id = self.calls.next_call();
        let ring_by = now + self.admission.ring(dn).unwrap_or(self.policy.ring_timeout);
        self.calls.insert(Call::standing(id, parties, Some(ring_by), now));
        self.ring(id, worker, &binding, now);
        self.calls.schedule(id);
        if self.calls.get(id).is_some_and(|call| call.legs.is_empty()) {
            self.finish(id);
        }
    }

    /// A nailed phone answered: its leg outlives the call.
    pub(super) fn nail(&mut self, call: CallId, leg: LegId) {
        let Some(found) = self.calls.get_mut(call) else { return };
        let is_phone = found.parties.direction == Direction::Inbound
            && found.leg(leg).is_some_and(|leg| leg.kind == LegKind::Browser);
        if is_phone && found.nailed == Nailed::No && self.admission.answer(&found.parties.dn) == AnswerMode::Nailed {
            found.nailed = Nailed::Leg(leg);
        }
    }

    /// Returns the leg that stands for a DN, or is called for it.
    pub(super) fn standing_leg(&self, dn: &str) -> Option<(CallId, LegId)> {
        let mut standing = self.calls.iter().filter(|call| call.nailed == Nailed::Alone && call.parties.dn == dn);
        let is_there =
            |leg: &&Leg| leg.session.is_some() && self.peers.flow(&leg.path).is_some() && !self.flows.is_lost(leg.id);
        standing.find_map(|call| Some((call.id, call.legs.first().filter(is_there)?.id)))
    }

    /// A call takes the standing leg as its callee.
    pub(super) fn take_standing(&mut self, call: CallId, standing: CallId, leg: LegId, now: Instant) {
        if !self.calls.adopt(leg, standing, call) {
            return;
        }
        self.finish(standing);
        let Some(found) = self.calls.get_mut(call) else { return };
        found.nail(leg, now);
        if found.leg(leg).is_some_and(|leg| !leg.media.is_waiting()) {
            self.signal(call, Signal::Answered { leg }, now);
        }
    }

    /// A call is over for a nailed leg: it waits for the next one in a place of its own, and hears nothing.
    pub(super) fn stand(&mut self, call: CallId, leg: LegId, now: Instant) {
        let Some(parties) = self.calls.get(call).map(|call| call.parties.clone()) else { return };
        // On the worker where it is: the call that it leaves still counts there.
        let Some(worker) = self.ports.place_standing(&parties.dn) else { return };
        let dn = parties.dn.clone();
        let id = self.calls.next_call();
        self.calls.insert(Call::standing(id, parties, None, now));
        self.calls.adopt(leg, call, id);
        let silence = self.ports.source(ParkSource::Nothing, None);
        self.order(worker, Order::Connect(Topology::Parked(leg, silence)));
        if matches!(self.closing, Closing::Waiting(_) | Closing::Drained) {
            self.signal(id, Signal::Release(ReleaseCause::Shutdown), now);
        } else if self.registrar.lookup(&dn, now).is_empty() {
            self.unnail(&dn, now);
        }
    }
}
