//! The core of a worker: finds the leg of a datagram and carries it to the leg that it is joined with.
//!
//! ```text
//!  browser socket ─► kind ─┬ STUN ─► leg by user fragment ─► reply, path
//!                          ├ DTLS ─► waits for its turn
//!                          └ SRTP ─► leg by path ─► opened in place ┐
//!  pair ─► leg by pair ─► the rule of the plain leg ────────────────┴► judged ─► join ─► sent
//! ```

mod arrive;
mod directory;
mod mixing;
mod orders;
mod patience;
mod tend;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

pub(super) use self::arrive::Judged;
use self::directory::Directory;
use super::deadline::{Deadlines, Due};
use super::discard::{Discard, Discards};
use super::join::Scratch;
use super::leg::{Leg, Port};
use super::mix::Mix;
use super::sound::Sound;
use super::tap::Tap;
use crate::id::{LegId, PortPairId};
use crate::packet::{PacketBuf, Pool};
use crate::path::Path;
use crate::plan::{LegStats, Report};
use crate::webrtc::dtls::Certificate;

/// Handshake datagrams that may wait.
const HANDSHAKES: usize = 256;
/// Those of them that may be one leg's: twice the longest flight in fragments, and no more, lest one browser's flood
/// keep the others from their handshakes.
const HANDSHAKES_PER_LEG: usize = 32;

/// Room of a tap: what both ways of a leg carry in two seconds, several times over.
const TAP_BYTES: usize = 64 << 10;

/// Which socket of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Socket {
    /// The shared socket of the browser legs at a media address, by its index.
    Browser(usize),
    /// The RTP socket of a pair.
    Rtp(PortPairId),
    /// The RTCP socket of a pair.
    Rtcp(PortPairId),
}

/// Where datagrams go.
pub trait Sink {
    /// Sends a datagram, or drops it where the kernel does not take it.
    fn send(&mut self, socket: Socket, to: SocketAddr, datagram: &[u8]);
}

/// Settings of an engine.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The certificate of every DTLS handshake.
    pub certificate: Arc<Certificate>,
    /// Bound addresses of the browser sockets, in the order of their indices.
    pub browser: Vec<SocketAddr>,
    /// NTP time (RFC 3550 4) at the instant that the engine is made.
    pub ntp_at_start: u64,
    /// What [`crate::plan::SoundId`] names, by its place.
    pub sounds: Arc<[Sound]>,
    /// How long a packet that shows a gap waits for what is missing; zero: it goes on at once.
    pub reorder_hold: Duration,
}

/// What the engine counted; figures only rise, except `legs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Legs open (a level).
    pub legs: u64,
    /// Datagrams handed in.
    pub datagrams: u64,
    /// RTP packets taken, of all legs.
    pub received: u64,
    /// RTCP packets taken.
    pub reports_received: u64,
    /// RTCP packets sent.
    pub reports_sent: u64,
    /// Packets that waited for those before them or for their time, and for how long together, µs.
    pub waited: u64,
    /// See [`Counters::waited`].
    pub waited_us: u64,
    /// Figures of the legs that were closed, added up (jitter and round trip time left out).
    pub closed: LegStats,
    /// Datagrams dropped, by reason.
    pub discards: Discards,
}

/// A DTLS datagram that waits.
#[derive(Debug)]
struct Flight {
    slot: usize,
    leg: LegId,
    path: Path,
    packet: PacketBuf,
}

/// What closed legs leave behind.
#[derive(Debug, Default)]
struct Left {
    pairs: VecDeque<PortPairId>,
    /// Taps with what waits in them.
    taps: Vec<(LegId, Box<Tap>)>,
}

/// The pure core of a media worker.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    started: Instant,
    rng: StdRng,
    legs: Vec<Option<Box<Leg>>>,
    directory: Directory,
    mixes: Vec<Option<Box<Mix>>>,
    begun_mixes: u64,
    deadlines: Deadlines,
    scratch: Scratch,
    flights: (VecDeque<Flight>, Pool),
    /// Slots of legs with news, and the last words of closed ones.
    news: (VecDeque<usize>, VecDeque<Report>),
    left: Left,
    counters: Counters,
}

impl Engine {
    /// Makes an engine without legs.
    pub fn new(config: EngineConfig, seed: u64, now: Instant) -> Self {
        Engine {
            config,
            started: now,
            rng: StdRng::seed_from_u64(seed),
            legs: Vec::new(),
            directory: Directory::default(),
            mixes: Vec::new(),
            begun_mixes: 0,
            deadlines: Deadlines::with_capacity(1024),
            scratch: Scratch::new(),
            flights: (VecDeque::with_capacity(HANDSHAKES), Pool::new(HANDSHAKES)),
            news: (VecDeque::new(), VecDeque::new()),
            left: Left::default(),
            counters: Counters::default(),
        }
    }

    /// Returns when [`Engine::handle_timeout`] is due; it may be early.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Returns the next report.
    pub fn poll_report(&mut self) -> Option<Report> {
        if let Some(report) = self.news.1.pop_front() {
            return Some(report);
        }
        while let Some(&slot) = self.news.0.front() {
            if let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) {
                if let Some(report) = leg.news.take(leg.id) {
                    return Some(report);
                }
                leg.news.queued = false;
            }
            self.news.0.pop_front();
        }
        None
    }

    /// Tells whether [`Engine::poll_report`] may have something.
    pub fn has_report(&self) -> bool {
        !self.news.0.is_empty() || !self.news.1.is_empty()
    }

    /// Returns a pair whose leg was closed.
    pub fn poll_released(&mut self) -> Option<PortPairId> {
        self.left.pairs.pop_front()
    }

    /// Returns what was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns the figures of an open leg.
    pub fn stats(&self, leg: LegId) -> Option<LegStats> {
        self.directory.leg(leg).and_then(|slot| self.legs.get(slot)?.as_ref()).map(|leg| figures(leg))
    }

    /// Returns the address that a leg's media goes to.
    pub fn target(&self, leg: LegId) -> Option<SocketAddr> {
        self.directory.leg(leg).and_then(|slot| self.legs.get(slot)?.as_ref())?.target()
    }

    /// Returns the tap of a leg, where it has one.
    pub fn tap(&mut self, leg: LegId) -> Option<&mut Tap> {
        self.leg_mut(leg)?.tap.as_deref_mut()
    }

    /// Returns a tap that was closed, or whose leg was, with what waits in it.
    pub fn poll_closed_tap(&mut self) -> Option<(LegId, Box<Tap>)> {
        self.left.taps.pop()
    }

    /// Returns the port pair of a trunk leg; `None` for a browser leg.
    pub fn pair_of(&self, leg: LegId) -> Option<PortPairId> {
        match &self.directory.leg(leg).and_then(|slot| self.legs.get(slot)?.as_ref())?.port {
            Port::Rtp(port) => Some(port.pair),
            Port::Browser(_) => None,
        }
    }

    fn open_tap(&mut self, leg: LegId, now: Instant) {
        if let Some(leg) = self.leg_mut(leg)
            && leg.tap.is_none()
        {
            leg.tap = Some(Box::new(Tap::new(TAP_BYTES, now)));
        }
    }

    fn close_tap(&mut self, id: LegId) {
        let tap = self.leg_mut(id).and_then(|leg| leg.tap.take());
        self.left.taps.extend(tap.map(|tap| (id, tap)));
    }

    fn leg_mut(&mut self, leg: LegId) -> Option<&mut Box<Leg>> {
        let slot = self.directory.leg(leg)?;
        self.legs.get_mut(slot)?.as_mut()
    }

    /// Returns the NTP time of an instant.
    fn ntp(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started);
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        self.config.ntp_at_start.wrapping_add((since.as_secs() << 32) | fraction)
    }

    /// Enters a leg into the queue of those with news.
    fn announce(&mut self, slot: usize) {
        if let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut)
            && !leg.news.queued
            && !leg.news.is_empty()
        {
            leg.news.queued = true;
            self.news.0.push_back(slot);
        }
    }

    /// Enters a leg's next deadline, where it is earlier than the one that stands.
    fn schedule(&mut self, slot: usize, now: Instant) {
        if let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut)
            && let Some(due) = leg.next_due(now)
            && leg.due.is_none_or(|standing| due < standing)
        {
            leg.due = Some(due);
            self.deadlines.push(due, Due::Leg(leg.id, slot));
        }
    }

    fn discard(&mut self, slot: Option<usize>, reason: Discard) {
        self.counters.discards.count(reason);
        if let Some(leg) = slot.and_then(|slot| self.legs.get_mut(slot)?.as_mut()) {
            leg.stats.discarded += 1;
        }
    }
}

/// Returns a leg's figures with those that its receiver keeps.
fn figures(leg: &Leg) -> LegStats {
    let jitter = leg.inbound.reception.stats.as_ref().map_or(0, |s| s.jitter_time().as_micros());
    LegStats {
        jitter_us: u32::try_from(jitter).unwrap_or(u32::MAX),
        rtt_us: leg.inbound.reception.round_trip_us,
        ..leg.stats
    }
}
