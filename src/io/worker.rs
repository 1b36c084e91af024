//! A media worker: one thread with its own event loop, sockets, buffers and [`crate::media::Engine`].
//!
//! Orders come in by a bounded queue with an eventfd; reports go out by an outbox that is never dropped from.
//! Every browser leg shares one UDP socket per media address, every trunk leg owns an RTP/RTCP pair (RFC 3550 11).
//! RTP is served before handshakes, and at most a few handshake flights are worked per turn of the loop.
//! We do not use SO_REUSEPORT, because its hash would part a leg from its state.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::id::WorkerId;
use crate::media;
use crate::plan::{Order, Report, WorkerSite};
use crate::webrtc::dtls::Certificate;

/// An address that media is sent from and received at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaAddress {
    /// Address that sockets are bound to.
    pub bind: IpAddr,
    /// Address that stands in SDP.
    pub advertise: IpAddr,
}

/// The settings of one worker.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Which worker.
    pub worker: WorkerId,
    /// Media addresses, most preferred first.
    pub media: Vec<MediaAddress>,
    /// UDP port of the browser legs, the same at every media address; 0: any free one.
    pub browser_port: u16,
    /// This worker's share of the RTP/RTCP ports; pairs start at even ports.
    pub rtp_ports: RangeInclusive<u16>,
    /// How many bound pairs are kept ready at each media address.
    pub reserve: usize,
    /// How long a closed pair ignores what still arrives before it is used again.
    pub drain: std::time::Duration,
    /// How many orders may wait; the last quarter is kept for orders that open no leg.
    pub queue: usize,
    /// Seed of the worker's randomness (sequence numbers, timestamps, CNAMEs).
    pub seed: u64,
}

/// A running worker.
#[derive(Debug)]
pub struct WorkerHandle {
    site: WorkerSite,
}

/// Figures of a worker for the metrics; they only rise, except `legs` and the `pairs_*` that say so.
#[derive(Clone, Debug, Default)]
pub struct WorkerCounters {
    /// What the engine counted.
    pub engine: media::Counters,
    /// Pairs bound and ready (a level).
    pub pairs_ready: u64,
    /// Pairs that belong to a leg (a level).
    pub pairs_used: u64,
    /// Pairs that are draining (a level).
    pub pairs_draining: u64,
    /// Times that no free port was found for the reserve.
    pub ports_exhausted: u64,
    /// Datagrams that the kernel did not take.
    pub send_errors: u64,
    /// Datagrams longer than a packet may be.
    pub oversized: u64,
    /// Turns of the loop.
    pub turns: u64,
}

/// Starts a worker thread. `wake` is called from it whenever there are new reports.
pub fn spawn(
    config: WorkerConfig,
    certificate: Arc<Certificate>,
    wake: impl Fn() + Send + 'static,
) -> std::io::Result<WorkerHandle> {
    let _ = (config, certificate, wake);
    todo!()
}

impl WorkerHandle {
    /// Returns what signalling must know before the first call.
    pub fn site(&self) -> WorkerSite {
        self.site.clone()
    }

    /// Hands an order over; gives it back when the queue is full (or the worker has stopped).
    pub fn send(&self, order: Order) -> Result<(), Order> {
        Err(order)
    }

    /// Moves all waiting reports to the end of `reports`.
    pub fn take_reports(&self, reports: &mut Vec<Report>) {
        let _ = reports;
    }

    /// Returns the figures as of the last turn of the loop.
    pub fn counters(&self) -> WorkerCounters {
        WorkerCounters::default()
    }

    /// Ends the thread and waits for it; its sockets are closed.
    pub fn stop(self) {}
}
