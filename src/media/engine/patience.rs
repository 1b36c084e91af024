//! Packets that wait: taken in where that is asked for, and worked on when it is their turn.

use std::time::Instant;

use super::super::discard::Discard;
use super::super::leg::{Format, scale};
use super::super::waiting::{Admission, Released};
use super::{Engine, Judged, Sink};
use crate::packet::PacketBuf;

/// Weight of what was before in the smoothed wait.
const SMOOTHING: u32 = 16;

impl Engine {
    /// Takes a packet of a leg whose packets may have to wait.
    pub(super) fn wait(
        &mut self,
        slot: usize,
        judged: &Judged,
        packet: &mut PacketBuf,
        now: Instant,
        out: &mut impl Sink,
    ) {
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        let Some(waiting) = &mut leg.inbound.waiting else { return };
        let audio = match judged.format {
            Format::Audio(codec) => Some(scale(codec)),
            // Comfort noise is beside G.711 alone.
            Format::Noise => Some(1),
            Format::Event(_) => None,
        };
        match waiting.admit(judged, audio, packet, now) {
            Admission::Pass(verdict) => {
                self.waited(slot, 0);
                self.take(slot, Judged { verdict, ..judged.clone() }, packet, now, out);
            }
            Admission::Wait => {}
            Admission::Late => {
                leg.stats.late += 1;
                self.discard(Some(slot), Discard::Late);
            }
        }
        self.release(slot, now, out);
        self.schedule(slot, now);
    }

    /// Works on the packets of a leg whose turn it is.
    pub(super) fn release(&mut self, slot: usize, now: Instant, out: &mut impl Sink) {
        loop {
            let leg = self.legs.get_mut(slot).and_then(Option::as_mut);
            let Some(waiting) = leg.and_then(|leg| leg.inbound.waiting.as_mut()) else { return };
            let Some(Released { judged, mut packet, waited }) = waiting.release(now) else { return };
            let waited = u32::try_from(waited.as_micros()).unwrap_or(u32::MAX);
            self.counters.waited += 1;
            self.counters.waited_us += u64::from(waited);
            self.waited(slot, waited);
            self.take(slot, judged, &mut packet, now, out);
            let leg = self.legs.get_mut(slot).and_then(Option::as_mut);
            if let Some(waiting) = leg.and_then(|leg| leg.inbound.waiting.as_mut()) {
                waiting.give_back(packet);
            }
        }
    }

    fn waited(&mut self, slot: usize, waited_us: u32) {
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        let before = leg.stats.wait_us;
        leg.stats.wait_us = if before == 0 { waited_us } else { before - before / SMOOTHING + waited_us / SMOOTHING };
    }
}
