//! Actor 1: SIP and calls. Bytes, reports and commands in; bytes, orders and events out; told the time.
//!
//! A back-to-back user agent (RFC 7092) between browsers (RFC 7118) and a trunk (RFC 3261), with a registrar (RFC 3261 10).
//!
//! *Invariant*: after every input that is followed by a full drain, each live SIP session belongs to exactly one leg of one
//! call, each open media port to exactly one leg, and each taken port pair to exactly one open port; a call that
//! loses its last leg ends with exactly one `Released`.
//! *Panic policy*: a panic is a bug of ours; no input may cause one.
//!
//! We do not run several gateways on one state, because an agent's calls must be seen together.

pub mod config;
pub mod snapshot;

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use rand::rngs::StdRng;

pub use config::{
    CallPolicy, DnRule, DnSet, GatewayConfig, Listener, ListenerId, MediaPolicy, RegistrationPolicy, Secret, Trunk,
};
pub use snapshot::{CallState, CallView, Counters, RegistrationView, Snapshot};

use crate::call::{CallEvent, Command};
use crate::id::{FlowId, WorkerId};
use crate::path::{Path, Transport};
use crate::plan::{Fingerprint, Order, Report, WorkerSite};

/// What the gateway is told.
#[derive(Debug)]
pub enum Input {
    /// One whole SIP message (datagram, WebSocket frame, or a message cut from a stream) or a keep-alive.
    Sip {
        /// How it came.
        path: Path,
        /// What it came by.
        transport: Transport,
        /// The listener that it came by.
        listener: ListenerId,
        /// The message.
        bytes: Bytes,
    },
    /// A connection was accepted; comes before its first message.
    FlowOpened {
        /// Its name, never used before.
        flow: FlowId,
        /// What it speaks.
        transport: Transport,
        /// The listener that accepted it.
        listener: ListenerId,
        /// The peer.
        remote: SocketAddr,
    },
    /// A connection is gone; nothing more can be sent on it.
    FlowClosed(FlowId),
    /// A media thread reports.
    Media(WorkerId, Report),
    /// Page, REST or an embedding program wants something.
    Command(Command),
    /// No new calls; the present ones are ended, then comes [`Output::Drained`].
    Shutdown,
}

/// What the gateway wants done, in this order.
#[derive(Debug)]
pub enum Output {
    /// Send one whole SIP message.
    Transmit {
        /// Which way.
        path: Path,
        /// The message.
        bytes: Bytes,
    },
    /// Close a connection; [`Input::FlowClosed`] is to follow.
    CloseFlow(FlowId),
    /// An order for a worker.
    Media(WorkerId, Order),
    /// A fact of a call.
    Event(CallEvent),
    /// After [`Input::Shutdown`], once: every call has ended and every port is closed.
    Drained,
}

/// The gateway. Every mutation is to be followed by a drain of [`Gateway::poll_output`], then a look at
/// [`Gateway::poll_timeout`].
pub struct Gateway {}

impl Gateway {
    /// Makes a gateway without calls. `fingerprint` is that of the one DTLS certificate of the process.
    pub fn new(
        config: GatewayConfig,
        sites: Vec<WorkerSite>,
        fingerprint: Fingerprint,
        rng: StdRng,
        now: Instant,
    ) -> Gateway {
        let _ = (config, sites, fingerprint, rng, now);
        todo!()
    }

    /// Takes one input.
    pub fn handle_input(&mut self, input: Input, now: Instant) {
        let _ = (input, now);
        todo!()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    /// Returns the next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }

    /// Returns when [`Gateway::handle_timeout`] is to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Copies out what metrics and pages show.
    pub fn snapshot(&self) -> Snapshot {
        todo!()
    }
}
