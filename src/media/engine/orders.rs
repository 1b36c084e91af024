//! Carries out what signalling wants.

use std::time::{Duration, Instant};

use rand::RngExt;

use super::super::framer::Framer;
use super::super::hush::Hush;
use super::super::leg::{Inbound, Leg, Outbound, Port};
use super::super::player::Player;
use super::super::port::browser::BrowserPort;
use super::super::port::rtp::RtpPort;
use super::super::stream::Stream;
use super::super::tap::PacketKind;
use super::super::waiting::Waiting;
use super::super::{key::Keys, news::News, report};
use super::{Engine, Sink, figures};
use crate::id::LegId;
use crate::packet::PacketBuf;
use crate::plan::{
    BrowserPlan, BrowserRemote, Dejitter, LegStats, Order, Report, RtpPlan, RtpRemote, Source, Topology,
};

/// Samples of a frame until the plan says otherwise: 20 ms.
const FRAME: usize = 160;
/// Time between RTCP reports (RFC 3550 6.2).
pub(super) const REPORTS: Duration = Duration::from_secs(5);

impl Engine {
    /// Carries out an order. One for a leg that is not open does nothing, except that `Close` is always answered.
    pub fn handle_order(&mut self, order: Order, now: Instant, out: &mut impl Sink) {
        match order {
            Order::OpenBrowser(leg, plan) => self.open_browser(leg, *plan, now),
            Order::OpenRtp(leg, plan) => self.open_rtp(leg, &plan, now),
            Order::UpdateBrowser(leg, remote) => self.update_browser(leg, &remote, now, out),
            Order::RestartIce(leg, credentials) => {
                if let Some(slot) = self.directory.leg(leg)
                    && let Some(Port::Browser(port)) = self.port_mut(slot)
                {
                    let ufrag = credentials.ufrag.clone();
                    port.ufrags.push(ufrag.clone());
                    port.transport.restart_ice(credentials);
                    self.directory.enter_ufrag(ufrag, slot);
                    // One that was never nominated is replaced: restarts without checks pile nothing up.
                    self.forget_old_ufrags(slot);
                }
            }
            Order::UpdateRtp(leg, remote) => self.update_rtp(leg, remote, now),
            Order::Connect(Topology::Parked(leg, source)) => self.park(leg, source, now),
            Order::Connect(Topology::Pair(one, other)) => self.pair(one, other, now),
            Order::Connect(Topology::Mix(legs)) => self.mix(&legs, now),
            Order::SendDigit(leg, digit) => {
                if let Some(slot) = self.directory.leg(leg) {
                    if let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut)
                        && leg.audio.is_some_and(|a| a.send_event.is_some() && a.send)
                    {
                        leg.outbound.key.enter(digit);
                    }
                    self.send_keys(slot, now, out);
                    self.schedule(slot, now);
                }
            }
            Order::Tap(leg, Some(_)) => self.open_tap(leg, now),
            Order::Tap(leg, None) => self.close_tap(leg),
            Order::Close(leg) => self.close(leg, now, out),
            Order::ReleasePair(pair) => self.directory.forget_pair(pair),
        }
    }

    fn port_mut(&mut self, slot: usize) -> Option<&mut Port> {
        self.legs.get_mut(slot)?.as_mut().map(|leg| &mut leg.port)
    }

    fn open(&mut self, id: LegId, port: Port, ssrc: u32, cname: Box<str>, dejitter: Dejitter, now: Instant) -> usize {
        let outbound = Outbound {
            stream: Stream::new(ssrc, self.rng.random(), self.rng.random()),
            framer: Framer::new(FRAME),
            encoder: None,
            hush: Hush::default(),
            key: Keys::new(),
            loss_percent: 0,
            report_at: now + self.report_interval() / 2,
            reported_at: now,
            cname,
        };
        let leg = Leg {
            id,
            port,
            audio: None,
            inbound: Inbound { waiting: Waiting::new(self.config.reorder_hold, dejitter, now), ..Inbound::default() },
            outbound,
            peer: None,
            seat: None,
            player: None,
            news: News::default(),
            due: None,
            tap: None,
            stats: LegStats::default(),
        };
        let slot = self.legs.iter().position(Option::is_none).unwrap_or_else(|| {
            self.legs.push(None);
            self.legs.len() - 1
        });
        self.legs[slot] = Some(Box::new(leg));
        self.directory.enter_leg(id, slot);
        self.counters.legs += 1;
        slot
    }

    /// Returns the time to the next report: 5 s, spread by half either way (RFC 3550 6.3.1).
    pub(super) fn report_interval(&mut self) -> Duration {
        REPORTS.mul_f64(self.rng.random_range(0.5..1.5))
    }

    fn open_browser(&mut self, id: LegId, plan: BrowserPlan, now: Instant) {
        if self.directory.leg(id).is_some() {
            return;
        }
        let ufrag = plan.ice.ufrag.clone();
        let mut port = BrowserPort::new(self.config.certificate.clone(), plan.ice);
        if let Some(remote) = &plan.remote {
            port.transport.set_remote(remote, now);
        }
        let slot = self.open(id, Port::Browser(Box::new(port)), plan.ssrc, plan.cname.into(), Dejitter::default(), now);
        self.directory.enter_ufrag(ufrag, slot);
        if let (Some(leg), Some(remote)) = (self.legs[slot].as_mut(), plan.remote) {
            leg.set_audio(remote.audio, now);
        }
        self.schedule(slot, now);
    }

    fn open_rtp(&mut self, id: LegId, plan: &RtpPlan, now: Instant) {
        if self.directory.leg(id).is_some() || self.directory.pair(plan.pair).is_some() {
            return;
        }
        // The trunk's SDP names no source: one name per call (RFC 7022 4.2).
        let cname = format!("{:016x}", self.rng.random::<u64>()).into();
        let slot = self.open(id, Port::Rtp(RtpPort::new(plan, now)), plan.ssrc, cname, plan.dejitter, now);
        self.directory.enter_pair(plan.pair, slot);
        if let (Some(leg), Some(remote)) = (self.legs[slot].as_mut(), plan.remote) {
            leg.set_audio(remote.audio, now);
        }
        self.schedule(slot, now);
    }

    fn update_browser(&mut self, id: LegId, remote: &BrowserRemote, now: Instant, out: &mut impl Sink) {
        let Some(slot) = self.directory.leg(id) else { return };
        let Some(leg) = self.legs[slot].as_mut() else { return };
        if let Port::Browser(port) = &mut leg.port {
            port.transport.set_remote(remote, now);
            leg.set_audio(remote.audio, now);
            self.drain_transport(slot, now, out);
        }
    }

    fn update_rtp(&mut self, id: LegId, remote: RtpRemote, now: Instant) {
        let Some(leg) = self.leg_mut(id) else { return };
        if let Port::Rtp(port) = &mut leg.port {
            if port.set_remote(remote, now) {
                leg.outbound.stream.mark();
            }
            leg.set_audio(remote.audio, now);
        }
    }

    /// Takes a leg out of whatever it is in.
    pub(super) fn part(&mut self, slot: usize) {
        self.release_keys(slot);
        self.leave_mix(slot);
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        leg.player = None;
        leg.forget();
        leg.outbound.key.sender.release(Duration::ZERO);
        let peer = leg.peer.take();
        if let Some(peer) = peer.and_then(|peer| self.legs.get_mut(peer)?.as_mut()) {
            peer.peer = None;
            peer.forget();
        }
    }

    /// Lets go of the keys that others are sent because this leg holds them.
    fn release_keys(&mut self, slot: usize) {
        let leg = self.legs.get(slot).and_then(Option::as_ref);
        if leg.is_none_or(|leg| leg.seat.is_some() && leg.inbound.key.held().is_none()) {
            return;
        }
        for k in 0.. {
            let Some(listener) = self.listener(slot, k) else { break };
            if let Some(leg) = self.legs.get_mut(listener).and_then(Option::as_mut) {
                leg.outbound.key.sender.release(Duration::ZERO);
            }
        }
    }

    /// Parks a leg. One that hears this source already goes on hearing it from where it is.
    fn park(&mut self, id: LegId, source: Source, now: Instant) {
        let Some(slot) = self.directory.leg(id) else { return };
        let player = self.legs[slot].as_ref().and_then(|leg| leg.player.as_ref());
        if player.is_some_and(|player| *player.source() == source) {
            return;
        }
        self.part(slot);
        if let Some(leg) = self.legs[slot].as_mut() {
            leg.player = Player::new(source, &self.config.sounds, now).map(Box::new);
        }
        self.schedule(slot, now);
    }

    fn pair(&mut self, one: LegId, other: LegId, now: Instant) {
        let (Some(a), Some(b)) = (self.directory.leg(one), self.directory.leg(other)) else { return };
        let joined = self.legs[a].as_ref().is_some_and(|leg| leg.peer == Some(b));
        if a == b || joined {
            return;
        }
        for slot in [a, b] {
            self.part(slot);
            self.open_window(slot, now);
        }
        for (slot, peer) in [(a, b), (b, a)] {
            if let Some(leg) = self.legs[slot].as_mut() {
                leg.peer = Some(peer);
            }
        }
    }

    /// Gives a plain leg's peer its time to be learnt.
    pub(super) fn open_window(&mut self, slot: usize, now: Instant) {
        if let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut)
            && let Port::Rtp(port) = &mut leg.port
        {
            // The answer goes out about now: this is when a peer behind NAT begins to send.
            port.open_window(now);
        }
    }

    fn close(&mut self, id: LegId, now: Instant, out: &mut impl Sink) {
        let Some(slot) = self.directory.forget_leg(id) else {
            self.news.1.push_back(Report::Closed(id, LegStats::default()));
            return;
        };
        self.part(slot);
        let ntp = self.ntp(now);
        let Some(mut leg) = self.legs[slot].take() else { return };
        if leg.can_send() {
            let mut packet = PacketBuf::new();
            packet.received(report::RTCP_ROOM);
            let len = report::write(&mut leg, packet.bytes_mut(), ntp, now, true).unwrap_or(0);
            packet.set_len(len);
            // Last words; nobody waits for them.
            let _ = leg.transmit(PacketKind::Rtcp, &mut packet, now, out);
        }
        match &leg.port {
            Port::Browser(port) => {
                port.paths().iter().for_each(|path| self.directory.forget_path(path, slot));
                port.ufrags.iter().for_each(|ufrag| self.directory.forget_ufrag(ufrag, slot));
            }
            Port::Rtp(port) => {
                self.directory.forget_pair(port.pair);
                self.left.pairs.push_back(port.pair);
            }
        }
        self.left.taps.extend(leg.tap.take().map(|tap| (id, tap)));
        self.counters.legs -= 1;
        let stats = figures(&leg);
        let sum = &mut self.counters.closed;
        sum.received += stats.received;
        sum.sent += stats.sent;
        sum.lost += stats.lost;
        sum.late += stats.late;
        sum.concealed += stats.concealed;
        sum.discarded += stats.discarded;
        while let Some(report) = leg.news.take(id) {
            self.news.1.push_back(report);
        }
        self.news.1.push_back(Report::Closed(id, stats));
    }
}
