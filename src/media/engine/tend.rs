//! Everything that hangs on the deadline heap: transports, RTCP, tones, keys.

use std::time::Instant;

use super::super::deadline::Due;
use super::super::join::{fill_pause, send_frame};
use super::super::leg::{Leg, Port};
use super::super::port::browser::socket_of;
use super::super::tap::PacketKind;
use super::super::{join::Scratch, report};
use super::{Engine, Sink, Socket};
use crate::packet::PacketBuf;
use crate::plan::Digit;
use crate::rtp::EventPayload;
use crate::rtp::{HEADER_LEN, RtpHeader, write_header};
use crate::webrtc::transport::Output;

/// Frames of a sound that one turn may catch up with.
const CATCH_UP: usize = 12;

impl Engine {
    /// Runs whatever is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut impl Sink) {
        while let Some((at, due)) = self.deadlines.pop_due(now) {
            let (id, slot) = match due {
                Due::Leg(id, slot) => (id, slot),
                Due::Mix(id, slot) => {
                    self.tick(slot, id, now, out);
                    continue;
                }
            };
            let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { continue };
            if leg.id != id || leg.due != Some(at) {
                continue;
            }
            leg.due = None;
            if let Port::Browser(port) = &mut leg.port
                && port.transport.poll_timeout().is_some_and(|due| due <= now)
            {
                port.transport.handle_timeout(now);
            }
            self.drain_transport(slot, now, out);
            self.play(slot, now, out);
            self.release(slot, now, out);
            self.fill_pause(slot, now, out);
            self.expire_key(slot, now, out);
            self.send_keys(slot, now, out);
            self.send_report(slot, now, out);
            self.schedule(slot, now);
        }
    }

    /// Sends and tells what a browser leg's transport has made.
    pub(super) fn drain_transport(&mut self, slot: usize, now: Instant, out: &mut impl Sink) {
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        let Leg { port: Port::Browser(port), news, .. } = &mut **leg else { return };
        loop {
            self.scratch.packet.received(crate::packet::MAX_DATAGRAM);
            let buffer = self.scratch.packet.bytes_mut();
            match port.transport.poll_output(buffer) {
                None => break,
                Some(Output::Transmit { path, len }) => {
                    if let (Some((socket, to)), Some(datagram)) =
                        (socket_of(path, &self.config.browser), buffer.get(..len))
                    {
                        out.send(Socket::Browser(socket), to, datagram);
                    }
                }
                Some(Output::Connected) => news.connected(),
                Some(Output::DtlsFailed(failure)) => news.failed(failure),
                Some(Output::ConsentLost) => news.consent_lost(),
            }
        }
        port.retarget(&self.config.browser);
        self.announce(slot);
        self.schedule(slot, now);
    }

    fn play(&mut self, slot: usize, now: Instant, out: &mut impl Sink) {
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        let Scratch { frame, packet, .. } = &mut self.scratch;
        for _ in 0..CATCH_UP {
            let Some(player) = leg.player.as_mut().filter(|player| player.due() <= now) else { break };
            let size = leg.outbound.framer.frame();
            let at = player.play(&mut frame[..size], now);
            if leg.can_send() && !leg.outbound.key.sender.is_down() {
                // What cannot be sent plays on unheard.
                let _ = send_frame(leg, at, &frame[..size], packet, now, out);
            }
        }
    }

    /// Sends who hears a leg the noise of its pause.
    fn fill_pause(&mut self, slot: usize, now: Instant, out: &mut impl Sink) {
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        if leg.inbound.pause.is_none() {
            return;
        }
        let Some(peer) = leg.peer else {
            leg.inbound.pause = None;
            return;
        };
        let Ok([Some(leg), Some(to)]) = self.legs.get_disjoint_mut([slot, peer]) else { return };
        if let Err(reason) = fill_pause(leg, to, &mut self.scratch, now, out) {
            self.counters.discards.count(reason);
        }
    }

    fn expire_key(&mut self, slot: usize, now: Instant, out: &mut impl Sink) {
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        if let Some(digit) = leg.inbound.key.handle_timeout(now) {
            self.key_released(slot, digit, now, out);
        }
    }

    /// Reports a key that a leg's peer has released, and ends it at the other leg.
    pub(super) fn key_released(&mut self, slot: usize, digit: Digit, now: Instant, out: &mut impl Sink) {
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        leg.news.digit(digit);
        self.announce(slot);
        for k in 0.. {
            let Some(peer) = self.listener(slot, k) else { break };
            if let Some(leg) = self.legs.get_mut(peer).and_then(Option::as_mut) {
                leg.outbound.key.sender.release(digit.duration);
            }
            self.send_keys(peer, now, out);
            self.schedule(peer, now);
        }
    }

    /// Sends the event packet of a leg that is due.
    pub(super) fn send_keys(&mut self, slot: usize, now: Instant, out: &mut impl Sink) {
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        if leg.outbound.key.due(now).is_none_or(|due| due > now) {
            return;
        }
        let Some(format) = leg.audio.and_then(|a| a.send_event).filter(|_| leg.can_send()) else {
            leg.outbound.key.sender.clear();
            return;
        };
        let interval = leg.ptime();
        let outbound = &mut leg.outbound;
        let Some(event) = outbound.key.poll(&mut outbound.stream, format.clock_hz, interval, now) else { return };
        let packet: &mut PacketBuf = &mut self.scratch.packet;
        packet.received(HEADER_LEN + EventPayload::LEN);
        let header = RtpHeader {
            pt: format.pt,
            marker: event.marker,
            seq: outbound.stream.number(EventPayload::LEN),
            timestamp: event.timestamp,
            ssrc: outbound.stream.ssrc,
        };
        write_header(packet.bytes_mut(), &header);
        if let Some(payload) = packet.bytes_mut().get_mut(HEADER_LEN..) {
            event.payload.write(payload);
        }
        if let Err(reason) = leg.transmit(PacketKind::Rtp, packet, now, out) {
            self.counters.discards.count(reason);
        }
    }

    fn send_report(&mut self, slot: usize, now: Instant, out: &mut impl Sink) {
        let ntp = self.ntp(now);
        let interval = self.report_interval();
        let Some(leg) = self.legs.get_mut(slot).and_then(Option::as_mut) else { return };
        if leg.outbound.report_at > now {
            return;
        }
        leg.outbound.report_at = now + interval;
        if leg.audio.is_none() || leg.target().is_none() {
            return;
        }
        let packet = &mut self.scratch.packet;
        packet.received(report::RTCP_ROOM);
        let Some(len) = report::write(leg, packet.bytes_mut(), ntp, now, false) else { return };
        packet.set_len(len);
        leg.outbound.reported_at = now;
        match leg.transmit(PacketKind::Rtcp, packet, now, out) {
            Ok(()) => self.counters.reports_sent += 1,
            Err(reason) => self.counters.discards.count(reason),
        }
    }
}
