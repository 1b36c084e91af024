//! From a datagram to its leg, and from there to the join.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::super::discard::Discard;
use super::super::join::{Arrival, carry, fall_silent, hear};
use super::super::leg::{Format, Leg, Port, scale};
use super::super::report;
use super::super::tap::{Direction, PacketKind};
use super::{Engine, Flight, HANDSHAKES_PER_LEG, Sink, Socket};
use crate::id::PortPairId;
use crate::packet::PacketBuf;
use crate::path::Path;
use crate::plan::EventFormat;
use crate::rtp::{EventPayload, Kind, ReceiverStats, RtpHeader, RtpView, Verdict, classify};
use crate::webrtc::stun;
use crate::webrtc::transport::StunOutcome;

impl Engine {
    /// Works on a received datagram, in place.
    #[inline]
    pub fn handle_datagram(
        &mut self,
        socket: Socket,
        from: SocketAddr,
        packet: &mut PacketBuf,
        now: Instant,
        out: &mut impl Sink,
    ) {
        self.counters.datagrams += 1;
        match socket {
            Socket::Browser(index) => self.browser_datagram(index, from, packet, now, out),
            Socket::Rtp(pair) => self.trunk_datagram(pair, from, packet, now, out),
            Socket::Rtcp(pair) => self.report_from_trunk(pair, from, packet, now),
        }
    }

    /// Works on at most `flights` DTLS datagrams that wait; true when there are more.
    pub fn work_handshakes(&mut self, flights: usize, now: Instant, out: &mut impl Sink) -> bool {
        for _ in 0..flights {
            let Some(flight) = self.flights.0.pop_front() else { return false };
            if let Some(leg) = self.legs.get_mut(flight.slot).and_then(Option::as_mut)
                && leg.id == flight.leg
                && let Port::Browser(port) = &mut leg.port
            {
                let worked = port.transport.handle_dtls(flight.path, flight.packet.bytes(), now);
                if let Err(reason) = worked {
                    self.discard(Some(flight.slot), reason.into());
                }
                self.drain_transport(flight.slot, now, out);
            }
            self.flights.1.put(flight.packet);
        }
        !self.flights.0.is_empty()
    }

    #[inline]
    fn browser_datagram(
        &mut self,
        index: usize,
        from: SocketAddr,
        packet: &mut PacketBuf,
        now: Instant,
        out: &mut impl Sink,
    ) {
        let Some(&local) = self.config.browser.get(index) else { return };
        let path = Path::Udp { local, remote: from };
        let kind = classify(packet.bytes());
        if kind == Kind::Stun {
            return self.check(index, path, packet, now, out);
        }
        let Some(slot) = self.directory.path(&path) else { return self.discard(None, Discard::UnknownPath) };
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        let Port::Browser(port) = &mut leg.port else { return };
        match kind {
            Kind::Rtp => match port.transport.unprotect_rtp(path, packet.bytes_mut()) {
                Ok(len) => {
                    packet.set_len(len);
                    self.rtp(slot, None, packet, now, out);
                }
                Err(reason) => self.discard(Some(slot), reason.into()),
            },
            Kind::Rtcp => match port.transport.unprotect_rtcp(path, packet.bytes_mut()) {
                Ok(len) => {
                    packet.set_len(len);
                    self.rtcp(slot, None, packet, now);
                }
                Err(reason) => self.discard(Some(slot), reason.into()),
            },
            Kind::Dtls => self.wait_for_handshake(slot, path, packet),
            Kind::Stun | Kind::TurnChannel | Kind::Drop => self.discard(Some(slot), Discard::Kind),
        }
    }

    fn wait_for_handshake(&mut self, slot: usize, path: Path, packet: &PacketBuf) {
        let Some(leg) = self.legs.get(slot).and_then(Option::as_ref).map(|leg| leg.id) else { return };
        let waiting = self.flights.0.iter().filter(|flight| flight.slot == slot).count();
        if waiting >= HANDSHAKES_PER_LEG {
            return self.discard(Some(slot), Discard::HandshakeQueue);
        }
        let Some(mut copy) = self.flights.1.take() else { return self.discard(Some(slot), Discard::HandshakeQueue) };
        copy.copy_from(packet.bytes());
        self.flights.0.push_back(Flight { slot, leg, path, packet: copy });
    }

    /// Works on a connectivity check: a valid one makes the path the leg's own.
    fn check(&mut self, index: usize, path: Path, packet: &PacketBuf, now: Instant, out: &mut impl Sink) {
        let datagram = packet.bytes();
        let Some(slot) = stun::ufrag(datagram).and_then(|ufrag| self.directory.ufrag(ufrag)) else {
            return self.discard(None, Discard::UnknownUser);
        };
        let owner = self.directory.path(&path).filter(|owner| *owner != slot);
        if let Some(Port::Browser(port)) = owner.and_then(|o| self.legs.get(o)?.as_ref()).map(|leg| &leg.port)
            && port.transport.holds(path, now)
        {
            return self.discard(Some(slot), Discard::UnknownUser);
        }
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        let Port::Browser(port) = &mut leg.port else { return };
        self.scratch.packet.received(512);
        let reply = self.scratch.packet.bytes_mut();
        let outcome = port.transport.handle_stun(path, datagram, now, reply);
        let len = match outcome {
            StunOutcome::Reply(len) | StunOutcome::Refuse(len) => len,
            StunOutcome::Drop(reason) => return self.discard(Some(slot), reason.into()),
        };
        if let Some(reply) = reply.get(..len) {
            out.send(Socket::Browser(index), path.remote(), reply);
        }
        if matches!(outcome, StunOutcome::Reply(_)) {
            let dropped = port.note(path);
            if let Some(dropped) = dropped {
                self.directory.forget_path(&dropped, slot);
            }
            self.directory.enter_path(path, slot);
            if let Some(Port::Browser(port)) = owner.and_then(|o| self.legs.get_mut(o)?.as_mut()).map(|l| &mut l.port) {
                port.forget(path);
            }
        }
        self.forget_old_ufrags(slot);
        self.drain_transport(slot, now, out);
    }

    /// Drops user fragments that an ICE restart has left behind.
    pub(super) fn forget_old_ufrags(&mut self, slot: usize) {
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        let Port::Browser(port) = &mut leg.port else { return };
        if port.ufrags.len() > 1 && port.transport.local_ufrags().count() < port.ufrags.len() {
            let (kept, old): (Vec<String>, Vec<String>) =
                port.ufrags.drain(..).partition(|ufrag| port.transport.local_ufrags().any(|u| u == ufrag));
            port.ufrags = kept;
            old.iter().for_each(|ufrag| self.directory.forget_ufrag(ufrag, slot));
        }
    }

    #[inline]
    fn trunk_datagram(
        &mut self,
        pair: PortPairId,
        from: SocketAddr,
        packet: &mut PacketBuf,
        now: Instant,
        out: &mut impl Sink,
    ) {
        let Some(slot) = self.directory.pair(pair) else { return self.discard(None, Discard::NoLeg) };
        if classify(packet.bytes()) != Kind::Rtp {
            return self.discard(Some(slot), Discard::Kind);
        }
        self.rtp(slot, Some(from), packet, now, out);
    }

    fn report_from_trunk(&mut self, pair: PortPairId, from: SocketAddr, packet: &PacketBuf, now: Instant) {
        let Some(slot) = self.directory.pair(pair) else { return self.discard(None, Discard::NoLeg) };
        let Some(leg) = self.legs.get(slot).and_then(Option::as_ref) else { return };
        let Port::Rtp(port) = &leg.port else { return };
        if !port.admit_rtcp(from) {
            return self.discard(Some(slot), Discard::Source);
        }
        if classify(packet.bytes()) != Kind::Rtcp {
            return self.discard(Some(slot), Discard::Kind);
        }
        self.rtcp(slot, Some(from), packet, now);
    }

    fn rtcp(&mut self, slot: usize, from: Option<SocketAddr>, packet: &PacketBuf, now: Instant) {
        let ntp = self.ntp(now);
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        self.counters.reports_received += 1;
        if leg.tap.is_some() {
            leg.overhear(Direction::Received, PacketKind::Rtcp, from, packet.bytes(), now);
        }
        if let Err(reason) = report::take(leg, packet.bytes(), ntp, now) {
            self.discard(Some(slot), reason.into());
        }
    }

    /// Works on a plain RTP packet of a leg; `from` is the source where it is to be judged.
    #[inline]
    fn rtp(
        &mut self,
        slot: usize,
        from: Option<SocketAddr>,
        packet: &mut PacketBuf,
        now: Instant,
        out: &mut impl Sink,
    ) {
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        let judged = match judge(leg, from, packet, now) {
            Ok(judged) => judged,
            Err(reason) => return self.discard(Some(slot), reason),
        };
        self.counters.received += 1;
        if leg.inbound.waiting.is_some() {
            return self.wait(slot, &judged, packet, now, out);
        }
        self.take(slot, judged, packet, now, out);
    }

    /// Works on a packet whose turn it is.
    #[inline]
    pub(super) fn take(
        &mut self,
        slot: usize,
        judged: Judged,
        packet: &mut PacketBuf,
        now: Instant,
        out: &mut impl Sink,
    ) {
        let Judged { header, payload, verdict, format } = judged;
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        if let Verdict::Gap(lost) = verdict {
            leg.stats.lost += u64::from(lost);
        }
        if verdict == Verdict::Restart
            && let Some(digit) = leg.inbound.key.reset()
        {
            self.key_released(slot, digit, now, out);
        }
        let codec = match format {
            Format::Event(format) => return self.event(slot, header.timestamp, payload, format, packet, now, out),
            Format::Audio(codec) => Some(codec),
            Format::Noise => None,
        };
        let arrival = Arrival { timestamp: header.timestamp, payload, verdict };
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        let mut paused = false;
        let carried = if leg.seat.is_some() {
            // Others make the noise of a mix.
            codec.map_or(Ok(()), |codec| hear(leg, codec, &arrival, packet, &mut self.scratch))
        } else {
            let Some(peer) = leg.peer else { return };
            let Ok([Some(leg), Some(to)]) = self.legs.get_disjoint_mut([slot, peer]) else { return };
            let carried = match codec {
                Some(codec) => carry(leg, to, codec, &arrival, packet, &mut self.scratch, now, out),
                None => fall_silent(leg, to, &arrival, packet, &mut self.scratch, now, out),
            };
            paused = leg.inbound.pause.is_some();
            carried
        };
        if paused {
            self.schedule(slot, now);
        }
        if let Err(reason) = carried {
            self.counters.discards.count(reason);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one packet, and where it goes")]
    fn event(
        &mut self,
        slot: usize,
        timestamp: u32,
        payload: Range<usize>,
        format: EventFormat,
        packet: &PacketBuf,
        now: Instant,
        out: &mut impl Sink,
    ) {
        let payload = match EventPayload::parse(packet.bytes().get(payload).unwrap_or_default()) {
            Ok(payload) => payload,
            Err(reason) => return self.discard(Some(slot), reason.into()),
        };
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        let stream_hz = leg.audio.map_or(format.clock_hz, |audio| scale(audio.codec) * 8000);
        let key = &mut leg.inbound.key;
        let cut_short = key.set_clocks(format.clock_hz, stream_hz);
        let change = key.receive(timestamp, payload, now);
        let held = key.held().or(change.down_and_up).map(|digit| digit.duration);
        // The key before this one went up first.
        for digit in cut_short.into_iter().chain(change.up) {
            self.key_released(slot, digit, now, out);
        }
        if let Some(held) = held {
            let pressed = change.down.map(|event| (event, payload.volume));
            for k in 0.. {
                let Some(listener) = self.listener(slot, k) else { break };
                self.key_held(listener, pressed, held, now, out);
            }
        }
        if let Some(digit) = change.down_and_up {
            self.key_released(slot, digit, now, out);
        }
        self.schedule(slot, now);
    }

    /// Carries a key to the leg that hears it: `pressed` (event, volume) where it begins, and how long it is held by now.
    fn key_held(&mut self, slot: usize, pressed: Option<(u8, u8)>, held: Duration, now: Instant, out: &mut impl Sink) {
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        if leg.audio.is_none_or(|a| a.send_event.is_none()) || !leg.can_send() {
            return;
        }
        let sender = &mut leg.outbound.key.sender;
        if let Some((event, volume)) = pressed {
            sender.press(event, volume);
        }
        sender.hold(held);
        if pressed.is_some() {
            self.send_keys(slot, now, out);
            self.schedule(slot, now);
        }
    }
}

/// A packet that was judged.
#[derive(Clone, Debug)]
pub(in crate::media) struct Judged {
    pub header: RtpHeader,
    /// Within the packet.
    pub payload: Range<usize>,
    /// What it is to those before it.
    pub verdict: Verdict,
    pub format: Format,
}

/// Judges a packet: header, payload type, source, order.
#[inline]
fn judge(leg: &mut Leg, from: Option<SocketAddr>, packet: &PacketBuf, now: Instant) -> Result<Judged, Discard> {
    let view = RtpView::parse(packet.bytes())?;
    let header = view.header();
    let Some(audio) = leg.audio else { return Err(Discard::Direction) };
    let format = leg.format(header.pt, now);
    if let (Some(from), Port::Rtp(port)) = (from, &mut leg.port) {
        // A packet of an unknown type is no reason to learn a source.
        if !(format.is_some() || port.target() == Some(from)) || !port.admit(from, now) {
            return Err(Discard::Source);
        }
    }
    // What comes late is of interest too.
    if leg.tap.is_some() {
        leg.overhear(Direction::Received, PacketKind::Rtp, from, packet.bytes(), now);
    }
    let inbound = &mut leg.inbound;
    let clock_hz = scale(audio.codec) * 8000;
    let timestamp = matches!(format, Some(Format::Audio(_) | Format::Noise)).then_some(header.timestamp);
    let stats = &mut inbound.reception.stats;
    let verdict = match stats.as_mut().filter(|stats| stats.is_of(header.ssrc, clock_hz)) {
        Some(stats) => stats.receive(header.seq, timestamp, now),
        None => stats.insert(ReceiverStats::new(header.ssrc, clock_hz, now)).receive(header.seq, timestamp, now),
    };
    match verdict {
        Verdict::Wild => return Err(Discard::Wild),
        Verdict::Restart => {
            inbound.timeline = None;
            inbound.expected = None;
            inbound.pause = None;
        }
        Verdict::Late if inbound.waiting.as_ref().is_some_and(|waiting| waiting.wants(header.seq)) => {}
        Verdict::Late => {
            leg.stats.late += 1;
            return Err(Discard::Late);
        }
        Verdict::Next | Verdict::Gap(_) => {}
    }
    let format = format.ok_or(Discard::PayloadType)?;
    leg.stats.received += 1;
    if !audio.recv {
        return Err(Discard::Direction);
    }
    Ok(Judged { header, payload: view.payload_range(), verdict, format })
}
