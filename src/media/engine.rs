//! The core of a worker: finds the leg of a datagram and carries it to the leg that it is joined with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::id::PortPairId;
use crate::packet::PacketBuf;
use crate::plan::{Order, Report};
use crate::webrtc::dtls::Certificate;

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
}

/// What the engine counted.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Legs open (a level).
    pub legs: u64,
}

/// The pure core of a media worker.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
}

impl Engine {
    /// Makes an engine without legs.
    pub fn new(config: EngineConfig, seed: u64, now: Instant) -> Self {
        let _ = (seed, now);
        Engine { config }
    }

    /// Carries out an order.
    pub fn handle_order(&mut self, order: Order, now: Instant, out: &mut impl Sink) {
        let _ = (order, now, out, &self.config);
        todo!()
    }

    /// Works on a received datagram, in place.
    pub fn handle_datagram(
        &mut self,
        socket: Socket,
        from: SocketAddr,
        packet: &mut PacketBuf,
        now: Instant,
        out: &mut impl Sink,
    ) {
        let _ = (socket, from, packet, now, out);
        todo!()
    }

    /// Works on at most `flights` DTLS datagrams that wait; true when there are more.
    pub fn work_handshakes(&mut self, flights: usize, now: Instant, out: &mut impl Sink) -> bool {
        let _ = (flights, now, out);
        todo!()
    }

    /// Runs whatever is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut impl Sink) {
        let _ = (now, out);
        todo!()
    }

    /// Returns when [`Engine::handle_timeout`] is due.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        todo!()
    }

    /// Returns the next report.
    pub fn poll_report(&mut self) -> Option<Report> {
        todo!()
    }

    /// Returns a pair whose leg was closed.
    pub fn poll_released(&mut self) -> Option<PortPairId> {
        todo!()
    }
}
