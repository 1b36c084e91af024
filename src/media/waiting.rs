//! Packets that wait: for those before them (`reorder_hold_ms`), or for their time (`dejitter_ms`).
//!
//! A hold delays nothing as long as packets come in order: the one that shows a gap waits for what is missing, and goes on
//! without it when its time is up. A de-jitter buffer delays every packet up to its target behind the quickest of the last
//! seconds, so that bursts go out at their pace. No sample is ever added or dropped: the target moves the time of packets
//! alone, and so do the clocks of both sides as they drift apart.

use std::time::{Duration, Instant};

use super::engine::Judged;
use super::timeline::Timeline;
use crate::packet::PacketBuf;
use crate::plan::Dejitter;
use crate::rtp::Verdict;

/// Packets that a hold keeps at most.
const HELD: usize = 12;
/// Packets that a de-jitter buffer keeps at most: 320 ms of 10 ms each.
const BUFFERED: usize = 32;
/// How far ahead of what is expected a packet is that belongs to the same sequence.
const AHEAD: u16 = 1000;
/// How far ahead one is with which the sequence begins anew; what is farther is behind.
const FAR: std::ops::Range<u16> = AHEAD..8000;
/// Time over which the quickest and the slowest packet are looked for, twice, µs.
const WINDOW_US: i64 = 5_000_000;

/// What becomes of a packet that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It goes on at once, as what it is to those before it.
    Pass(Verdict),
    /// It waits.
    Wait,
    /// What is behind it has gone on already, or it is there twice.
    Late,
}

/// Quickest and slowest packets of a while: transit times, µs, from an arbitrary zero.
#[derive(Clone, Copy, Debug)]
struct Transit {
    least: i64,
    most: i64,
}

impl Transit {
    fn join(self, other: Transit) -> Transit {
        Transit { least: self.least.min(other.least), most: self.most.max(other.most) }
    }
}

/// When packets are due by their timestamps.
#[derive(Debug)]
struct Playout {
    dejitter: Dejitter,
    epoch: Instant,
    timeline: Option<Timeline>,
    /// Of this window and of the one before it.
    transit: Option<(Transit, Transit)>,
    window_ends_us: i64,
}

impl Playout {
    fn new(dejitter: Dejitter, now: Instant) -> Self {
        Playout { dejitter, epoch: now, timeline: None, transit: None, window_ends_us: 0 }
    }

    fn forget(&mut self) {
        (self.timeline, self.transit) = (None, None);
    }

    /// Returns when a packet of audio is due that arrives at `now`; `scale`: ticks of its clock per sample at 8 kHz.
    fn due(&mut self, timestamp: u32, scale: u32, now: Instant) -> Instant {
        let arrival = now.saturating_duration_since(self.epoch).as_micros() as i64;
        let timeline = self.timeline.get_or_insert_with(|| Timeline::start(timestamp));
        let sent = timeline.at(timestamp, scale) * 125;
        let this = Transit { least: arrival - sent, most: arrival - sent };
        let (present, past) = self.transit.map_or((this, this), |(present, past)| (present.join(this), past));
        let seen = present.join(past);
        self.transit = Some((present, past));
        if arrival >= self.window_ends_us {
            self.window_ends_us = arrival + WINDOW_US;
            self.transit = Some((this, present));
        }
        let most = i64::from(self.dejitter.ms) * 1000;
        let target = if self.dejitter.adaptive { (seen.most - seen.least).min(most) } else { most };
        let due = sent + seen.least + target;
        // Never longer than the target from now, whatever a timestamp says.
        now + Duration::from_micros(u64::try_from((due - arrival).clamp(0, most)).unwrap_or(0))
    }
}

#[derive(Debug)]
struct Held {
    judged: Judged,
    packet: PacketBuf,
    arrived: Instant,
    due: Instant,
}

/// A packet whose time has come.
#[derive(Debug)]
pub(super) struct Released {
    pub judged: Judged,
    pub packet: PacketBuf,
    /// How long it waited.
    pub waited: Duration,
}

/// The packets of one source that wait; it allocates when it is made, and never after that.
#[derive(Debug)]
pub(super) struct Waiting {
    hold: Duration,
    playout: Option<Playout>,
    held: Vec<Held>,
    spare: Vec<PacketBuf>,
    /// Sequence number that goes on next.
    next: Option<u16>,
}

impl Waiting {
    /// Makes room for what is asked for; `None` where nothing is to wait.
    pub(super) fn new(hold: Duration, dejitter: Dejitter, now: Instant) -> Option<Box<Self>> {
        let playout = (dejitter.ms > 0).then(|| Playout::new(dejitter, now));
        let room = match (&playout, hold.is_zero()) {
            (Some(_), _) => BUFFERED,
            (None, false) => HELD,
            (None, true) => return None,
        };
        let spare = (0..room).map(|_| PacketBuf::new()).collect();
        Some(Box::new(Waiting { hold, playout, held: Vec::with_capacity(room), spare, next: None }))
    }

    /// Forgets what waits: the next packet is a beginning.
    pub(super) fn clear(&mut self) {
        self.next = None;
        self.spare.extend(self.held.drain(..).map(|held| held.packet));
        if let Some(playout) = &mut self.playout {
            playout.forget();
        }
    }

    /// Tells whether a packet may still be used though one behind it has come.
    pub(super) fn wants(&self, seq: u16) -> bool {
        self.distance(seq).is_some_and(|ahead| ahead < AHEAD) && self.held.iter().all(|h| h.judged.header.seq != seq)
    }

    fn distance(&self, seq: u16) -> Option<u16> {
        self.next.map(|next| seq.wrapping_sub(next))
    }

    /// Takes a packet. `audio`: its clock per sample where it has a timestamp that moves with time.
    pub(super) fn admit(&mut self, judged: &Judged, audio: Option<u32>, packet: &PacketBuf, now: Instant) -> Admission {
        let seq = judged.header.seq;
        if judged.verdict == Verdict::Restart || self.distance(seq).is_some_and(|ahead| FAR.contains(&ahead)) {
            self.clear();
        }
        let ahead = self.distance(seq).unwrap_or(0);
        if !self.wants(seq) && self.next.is_some() {
            return Admission::Late;
        }
        let due = match (&mut self.playout, audio) {
            (Some(playout), Some(scale)) => playout.due(judged.header.timestamp, scale, now),
            // A key goes on behind the audio before it.
            (Some(_), None) => now,
            (None, _) if ahead == 0 => now,
            (None, _) => now + self.hold,
        };
        // A beginning is heard at once, or what comes before it would be late.
        let first = judged.verdict == Verdict::Restart || self.next.is_none();
        let in_turn = ahead == 0 || self.held.is_empty() && self.playout.is_some() && audio.is_none();
        if in_turn && due <= now || self.spare.is_empty() && ahead == 0 {
            self.next = Some(seq.wrapping_add(1));
            return Admission::Pass(if first { judged.verdict } else { verdict(ahead) });
        }
        let Some(mut room) = self.spare.pop() else { return Admission::Late };
        room.copy_from(packet.bytes());
        if first {
            self.next = Some(seq);
        }
        self.held.push(Held { judged: judged.clone(), packet: room, arrived: now, due });
        Admission::Wait
    }

    /// Returns when something is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.first().map(|at| self.held[at].due)
    }

    fn first(&self) -> Option<usize> {
        let next = self.next?;
        let of = |held: &Held| held.judged.header.seq.wrapping_sub(next);
        self.held.iter().enumerate().min_by_key(|(_, held)| of(held)).map(|(at, _)| at)
    }

    /// Takes out the next packet in order, where it is due or follows what went on last.
    pub(super) fn release(&mut self, now: Instant) -> Option<Released> {
        let at = self.first()?;
        let held = &self.held[at];
        let ahead = held.judged.header.seq.wrapping_sub(self.next?);
        let follows = ahead == 0 && self.playout.is_none();
        if !follows && held.due > now {
            return None;
        }
        let mut held = self.held.swap_remove(at);
        self.next = Some(held.judged.header.seq.wrapping_add(1));
        if held.judged.verdict != Verdict::Restart {
            held.judged.verdict = verdict(ahead);
        }
        let waited = now.saturating_duration_since(held.arrived);
        Some(Released { judged: held.judged, packet: held.packet, waited })
    }

    /// Takes a buffer back.
    pub(super) fn give_back(&mut self, packet: PacketBuf) {
        if self.spare.len() + self.held.len() < self.held.capacity() {
            self.spare.push(packet);
        }
    }
}

fn verdict(ahead: u16) -> Verdict {
    if ahead == 0 { Verdict::Next } else { Verdict::Gap(ahead) }
}

#[cfg(test)]
mod tests;
