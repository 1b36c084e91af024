//! Mixes: who is in which, and their ticks.

use std::time::Instant;

use super::super::deadline::Due;
use super::super::join;
use super::super::leg::Leg;
use super::super::mix::Mix;
use super::super::seat::Seat;
use super::{Engine, Sink};
use crate::id::LegId;

impl Engine {
    /// Makes these legs hear each other. The mix that has most of them goes on as this one.
    pub(super) fn mix(&mut self, legs: &[LegId], now: Instant) {
        let mut named: Vec<usize> = legs.iter().filter_map(|leg| self.directory.leg(*leg)).collect();
        named.sort_unstable();
        named.dedup();
        let shared = |mix: &Mix| mix.legs.iter().filter(|slot| named.contains(slot)).count();
        let most = self.mixes.iter().enumerate().filter_map(|(at, mix)| Some((shared(mix.as_ref()?), at)));
        let going_on = most.filter(|(shared, _)| *shared > 0).max_by_key(|(shared, _)| *shared).map(|(_, at)| at);
        if named.is_empty() {
            return;
        }
        let at = going_on.unwrap_or_else(|| self.begin_mix(now));
        let present = self.mixes[at].as_ref().map(|mix| mix.legs.clone()).unwrap_or_default();
        for slot in named.iter().copied().filter(|slot| !present.contains(slot)) {
            let past = self.legs[slot].as_mut().map(|leg| std::mem::take(&mut leg.inbound.conceal));
            self.part(slot);
            self.open_window(slot, now);
            if let (Some(leg), Some(mix)) = (self.legs[slot].as_mut(), self.mixes[at].as_mut()) {
                leg.seat = Some(Box::new(Seat::new(at, past.unwrap_or_default())));
                mix.legs.push(slot);
            }
        }
        present.into_iter().filter(|slot| !named.contains(slot)).for_each(|slot| self.part(slot));
    }

    fn begin_mix(&mut self, now: Instant) -> usize {
        let at = self.mixes.iter().position(Option::is_none).unwrap_or_else(|| {
            self.mixes.push(None);
            self.mixes.len() - 1
        });
        self.begun_mixes += 1;
        let mix = Mix::new(self.begun_mixes, now);
        self.deadlines.push(mix.next, Due::Mix(mix.id, at));
        self.mixes[at] = Some(Box::new(mix));
        at
    }

    /// Takes a leg out of its mix; the others hear it fade away. One that is left alone is in no mix any more.
    pub(super) fn leave_mix(&mut self, slot: usize) {
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        let Some(mut seat) = leg.seat.take() else { return };
        let place = &mut self.mixes[seat.mix];
        if let Some(mix) = place {
            mix.legs.retain(|other| *other != slot);
            seat.leave(&mut mix.tail);
            if let [] | [_] = mix.legs[..] {
                let last = mix.legs.first().copied();
                *place = None;
                if let Some(leg) = last.and_then(|last| self.legs.get_mut(last)?.as_mut()) {
                    leg.seat = None;
                    leg.forget();
                }
            }
        }
    }

    /// Runs the ticks of a mix that are due.
    pub(super) fn tick(&mut self, at: usize, id: u64, now: Instant, out: &mut impl Sink) {
        let Some(mut mix) = self.mixes.get_mut(at).and_then(|mix| mix.take_if(|mix| mix.id == id)) else { return };
        while let Some(time) = mix.begin(now) {
            for k in 0..mix.legs.len() {
                if let Some(seat) = self.seat(mix.legs[k]) {
                    seat.pull();
                    mix.add(&seat.frame);
                }
            }
            for slot in &mix.legs {
                if let Some(leg) = self.legs.get_mut(*slot).and_then(Option::as_mut)
                    && let Err(reason) = join::speak(leg, &mix.total, time, &mut self.scratch, now, out)
                {
                    self.counters.discards.count(reason);
                }
            }
        }
        self.deadlines.push(mix.next, Due::Mix(id, at));
        self.mixes[at] = Some(mix);
    }

    fn seat(&mut self, slot: usize) -> Option<&mut Seat> {
        self.legs.get_mut(slot)?.as_mut()?.seat.as_deref_mut()
    }

    /// Returns the leg that hears this one, or of those of a mix the one at place `k`: itself is left out, and an end of the
    /// places is `None`.
    pub(super) fn listener(&self, slot: usize, k: usize) -> Option<usize> {
        let leg: &Leg = self.legs.get(slot)?.as_ref()?;
        match &leg.seat {
            None => leg.peer.filter(|_| k == 0),
            Some(seat) => {
                let legs = &self.mixes.get(seat.mix)?.as_ref()?.legs;
                legs.iter().filter(|other| **other != slot).nth(k).copied()
            }
        }
    }
}
