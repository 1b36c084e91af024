//! Where media goes: agents on workers, trunk legs on bound port pairs, and the keys and numbers that SDP needs at once.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use rand::RngExt;
use rand::rngs::StdRng;

use super::config::Trunk;
use super::placement::{Load, OverloadPolicy, Room};
use super::snapshot::WorkerView;
use crate::call::{PairUse, ParkSource, Tones};
use crate::id::{PortPairId, WorkerId};
use crate::plan::{Fingerprint, IceCredentials, Order, Source, WorkerSite};
use crate::sdp::description::Direction;
use crate::sdp::offer_answer::{AudioWish, BrowserLocal, RtpLocal};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What is known of one worker.
#[derive(Debug)]
struct Site {
    worker: WorkerId,
    candidates: Vec<SocketAddr>,
    free: VecDeque<(PortPairId, SocketAddr)>,
    calls: usize,
    legs: usize,
    load: Load,
}

/// Why a call was not placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// There is no worker.
    NoWorker,
    /// The worker that it would be on has more to do than is good for the calls that it has.
    Overload,
    /// Two agents are on two workers.
    Apart,
}

/// What legs hear that hear nobody.
#[derive(Debug)]
pub(super) struct Sounds {
    pub(super) tones: Tones,
    /// What a party on hold hears, where its trunk does not say.
    pub(super) hold: Source,
}

/// The books of all workers.
#[derive(Debug)]
pub(super) struct Ports {
    sounds: Sounds,
    sites: Vec<Site>,
    /// Where the agents with calls are: index of the site, number of calls.
    placed: HashMap<String, (usize, usize)>,
    fingerprint: Fingerprint,
    rng: StdRng,
}

impl Ports {
    pub(super) fn new(
        sites: Vec<WorkerSite>,
        fingerprint: Fingerprint,
        overload: OverloadPolicy,
        sounds: Sounds,
        rng: StdRng,
    ) -> Ports {
        let sites = sites
            .into_iter()
            .map(|site| Site {
                worker: site.worker,
                candidates: site.candidates,
                free: VecDeque::new(),
                calls: 0,
                legs: 0,
                load: Load::new(overload),
            })
            .collect();
        Ports { sounds, sites, placed: HashMap::new(), fingerprint, rng }
    }

    /// Says what a parked leg hears, in the words of the media threads.
    pub(super) fn source(&self, source: ParkSource, trunk: Option<&Trunk>) -> Source {
        let tones = &self.sounds.tones;
        match source {
            ParkSource::Nothing => Source::Nothing,
            ParkSource::Ringback => Source::Tone(tones.ringback.clone()),
            ParkSource::Busy => Source::Tone(tones.busy.clone()),
            ParkSource::Congestion => Source::Tone(tones.congestion.clone()),
            ParkSource::Hold => trunk.and_then(|trunk| trunk.hold.as_ref()).unwrap_or(&self.sounds.hold).clone(),
        }
    }

    /// Takes pairs into the reserve.
    pub(super) fn ready(&mut self, worker: WorkerId, pairs: Vec<(PortPairId, SocketAddr)>) {
        if let Some(site) = self.sites.iter_mut().find(|site| site.worker == worker) {
            site.free.extend(pairs);
        }
    }

    /// Takes a worker's report of its load; says so in the log where that changes what it takes.
    pub(super) fn loaded(&mut self, worker: WorkerId, permille: u16) {
        let Some(site) = self.sites.iter_mut().find(|site| site.worker == worker) else { return };
        let before = site.load.room();
        site.load.report(permille, site.calls);
        match site.load.room() {
            now if now == before => {}
            Room::Free => tracing::info!(%worker, permille, "the worker takes calls as usual again"),
            Room::Tight => tracing::warn!(%worker, permille, "high load: browsers of new calls are offered G.711"),
            Room::None => tracing::warn!(%worker, permille, "overload: the worker takes no new calls"),
        }
    }

    /// Takes note of legs that are opened and closed.
    pub(super) fn ordered(&mut self, worker: WorkerId, order: &Order) {
        let Some(site) = self.sites.iter_mut().find(|site| site.worker == worker) else { return };
        match order {
            Order::OpenBrowser(..) | Order::OpenRtp(..) => site.legs += 1,
            Order::Close(_) => site.legs = site.legs.saturating_sub(1),
            _ => {}
        }
    }

    /// Returns the site of an agent: that of its other calls, else the least loaded one, and of several such ones that with
    /// the fewest legs.
    fn site_of(&self, dn: &str) -> Option<usize> {
        let least = || self.sites.iter().enumerate().min_by_key(|(_, site)| (site.load.rank(), site.legs));
        self.placed.get(dn).map(|(index, _)| *index).or_else(|| least().map(|(index, _)| index))
    }

    fn put(&mut self, dn: &str, index: usize) -> Option<WorkerId> {
        let site = self.sites.get_mut(index)?;
        self.placed.entry(dn.to_owned()).or_insert((index, 0)).1 += 1;
        site.calls += 1;
        site.load.place();
        Some(site.worker)
    }

    /// Places a leg that stands for no call: it costs nothing, and is never refused for the load.
    pub(super) fn place_standing(&mut self, dn: &str) -> Option<WorkerId> {
        let index = self.site_of(dn)?;
        self.placed.entry(dn.to_owned()).or_insert((index, 0)).1 += 1;
        self.sites.get(index).map(|site| site.worker)
    }

    /// Places a new call of an agent.
    pub(super) fn place_call(&mut self, dn: &str) -> Result<WorkerId, NoPlace> {
        let index = self.site_of(dn).ok_or(NoPlace::NoWorker)?;
        if self.sites.get(index).is_some_and(|site| site.load.room() == Room::None) {
            return Err(NoPlace::Overload);
        }
        self.put(dn, index).ok_or(NoPlace::NoWorker)
    }

    /// Returns true where browsers on this worker are to be offered G.711, for its load.
    pub(super) fn is_tight(&self, worker: WorkerId) -> bool {
        self.sites.iter().any(|site| site.worker == worker && site.load.room() != Room::Free)
    }

    /// Returns the number of calls of an agent, those that are being taken down included.
    pub(super) fn calls_of(&self, dn: &str) -> usize {
        self.placed.get(dn).map_or(0, |(_, calls)| *calls)
    }

    /// One call of the agent is over.
    pub(super) fn unplace(&mut self, dn: &str) {
        if let Some(site) = self.unplace_standing(dn).and_then(|index| self.sites.get_mut(index)) {
            site.calls = site.calls.saturating_sub(1);
            site.load.unplace();
        }
    }

    /// A leg that stood for no call is gone, or in a call.
    pub(super) fn unplace_standing(&mut self, dn: &str) -> Option<usize> {
        let (index, calls) = self.placed.get_mut(dn)?;
        let index = *index;
        *calls -= 1;
        if *calls == 0 {
            self.placed.remove(dn);
        }
        Some(index)
    }

    /// Takes a bound pair out of the reserve: at the address named, else at the most preferred one of this family. No
    /// other address will do, for the peer may not reach it.
    pub(super) fn take(
        &mut self,
        worker: WorkerId,
        at: Option<IpAddr>,
        ipv6: bool,
    ) -> Option<(PortPairId, SocketAddr)> {
        let site = self.sites.iter_mut().find(|site| site.worker == worker)?;
        let preferred = || site.candidates.iter().map(SocketAddr::ip).find(|ip| ip.is_ipv6() == ipv6);
        let at = at.or_else(preferred)?;
        let index = site.free.iter().position(|(_, addr)| addr.ip() == at)?;
        site.free.remove(index)
    }

    /// Returns the workers that have no bound pair for a call at one of their addresses.
    pub(super) fn without(&self) -> impl Iterator<Item = WorkerId> {
        let has = |site: &Site, ip: IpAddr| site.free.iter().any(|(_, address)| address.ip() == ip);
        let lacks = move |site: &&Site| site.candidates.iter().any(|candidate| !has(site, candidate.ip()));
        self.sites.iter().filter(lacks).map(|site| site.worker)
    }

    /// Returns the number of free pairs per worker.
    pub(super) fn free(&self) -> Vec<(WorkerId, usize)> {
        self.sites.iter().map(|site| (site.worker, site.free.len())).collect()
    }

    /// Returns how loaded each worker is thought to be.
    pub(super) fn loads(&self) -> Vec<WorkerView> {
        let view = |site: &Site| WorkerView {
            worker: site.worker,
            permille: u16::try_from(site.load.permille()).unwrap_or_default(),
            legs: site.legs,
            is_overloaded: site.load.room() != Room::Free,
        };
        self.sites.iter().map(view).collect()
    }

    /// Returns the number of agents that have calls.
    pub(super) fn placed(&self) -> usize {
        self.placed.len()
    }

    /// Returns fresh ICE credentials: 48 and 144 bits of randomness (RFC 8839 5.4 asks for 24 and 128).
    pub(super) fn credentials(&mut self) -> IceCredentials {
        IceCredentials { ufrag: self.text(8), pwd: self.text(24) }
    }

    /// Places a call between two agents on one worker, as [`Ports::place_call`] does.
    pub(super) fn place_both(&mut self, dn: &str, other: &str) -> Result<WorkerId, NoPlace> {
        let at = |dn: &str| self.placed.get(dn).map(|(index, _)| *index);
        let index = match (at(dn), at(other)) {
            (Some(one), Some(two)) if one != two => return Err(NoPlace::Apart),
            (Some(one), _) | (None, Some(one)) => one,
            (None, None) => self.site_of(dn).ok_or(NoPlace::NoWorker)?,
        };
        if self.sites.get(index).is_some_and(|site| site.load.room() == Room::None) {
            return Err(NoPlace::Overload);
        }
        self.put(dn, index).and_then(|_| self.put(other, index)).ok_or(NoPlace::NoWorker)
    }

    /// Describes our side of a browser leg.
    pub(super) fn browser(&mut self, worker: WorkerId, audio: AudioWish) -> BrowserLocal {
        let candidates = self
            .sites
            .iter()
            .find(|site| site.worker == worker)
            .map(|site| site.candidates.clone())
            .unwrap_or_default();
        BrowserLocal {
            candidates,
            ice: self.credentials(),
            fingerprint: self.fingerprint,
            ssrc: self.ssrc(),
            cname: format!("{:016x}", self.rng.random::<u64>()),
            session_id: self.session_id(),
            audio,
        }
    }

    /// Describes our side of a trunk leg.
    pub(super) fn trunk(&mut self, trunk: &Trunk, pair: (PortPairId, SocketAddr)) -> (RtpLocal, PairUse) {
        let mut audio = AudioWish::trunk(trunk.codecs.clone());
        audio.ptime_ms = trunk.ptime_ms;
        audio.noise = trunk.comfort_noise;
        audio.direction = Direction::SendRecv;
        let local = RtpLocal { rtp: pair.1, session_id: self.session_id(), audio };
        (local, PairUse { pair: pair.0, ssrc: self.ssrc(), latch: trunk.latch, dejitter: trunk.dejitter })
    }

    fn ssrc(&mut self) -> u32 {
        self.rng.random_range(1..=u32::MAX)
    }

    fn session_id(&mut self) -> u64 {
        self.rng.random_range(1..1u64 << 61)
    }

    fn text(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(ALPHABET[usize::from(self.rng.random::<u8>() & 63)])).collect()
    }
}
