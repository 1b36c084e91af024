//! A media worker: one thread with its own event loop, sockets, buffers and [`crate::media::Engine`].
//!
//! Orders come in by a bounded queue with an eventfd: a full one gives the order back, and signalling keeps it. Reports go out
//! by an outbox that is never dropped from: beyond its bound they stay in the slots of their legs, coalesced, and of the load
//! it holds the last word. A packet waits nowhere but in the kernel's buffer of its socket.
//! Every browser leg shares one UDP socket per media address, every trunk leg owns an RTP/RTCP pair (RFC 3550 11).
//! RTP is served before handshakes, and at most a few handshake flights are worked per turn of the loop.
//! We do not use SO_REUSEPORT, because its hash would part a leg from its state.
//!
//! # What was measured
//!
//! `chrt -r 20 paced --calls 190,335,430` (see `benches/paced`): 2.64, 2.26 and 2.14 ms of CPU per call-second at 40, 70 and 90 %
//! of the floor's capacity, 1.03, 1.04 and 1.08 times the floor. At 100 calls 1.6 ms of it are the kernel's (waking the peer and
//! ourselves, mostly), 1.65 libopus, 0.2 ours. What did not pay there, in ms per call-second beside the 3.52 of one run under perf:
//!
//! * huge pages for the codec states (an arena of our own through `opusic-sys`, madvise): 3.59, libopus alone 1.665 against 1.657;
//!   for all of malloc (`glibc.malloc.hugetlb=1`): 2.95 against 2.89 in a run of its own.
//! * prefetch of the leg, its keys and both codec states before the socket is read: 3.62, libopus 1.651; with the arena 3.50, our
//!   own part 0.15 in place of 0.18. libopus did not get faster by any of it: no reason for `unsafe`.
//! * io_uring, 1.91 in place of 2.36 µs for a packet in and out, and sendmmsg, 4 % less than sendto, were measured without a codec:
//!   1 % and less of what a packet takes.
//! * recvmmsg, 32 packets at a time from the browsers' socket (`nix` has it without `unsafe`), a spin of 17 µs as the codec, one core,
//!   medians of 3: 31.1, 29.3 and 23.8 µs for a packet in and out of 200, 400 and 800 paced calls, against 30.2, 28.8 and 23.7 with one
//!   recvfrom after the other. A turn finds 1.0 to 1.6 packets until the core is full, and a trunk's socket one each 20 ms: there is
//!   nothing to batch. The crates of io_uring hand out its queues by `unsafe` alone.

mod taps;
mod turn;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use mio::{Poll, Waker};

use super::capture::Sink;
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
    /// How long a packet that shows a gap waits for what is missing.
    pub reorder_hold: std::time::Duration,
    /// How long a closed pair ignores what still arrives before it is used again.
    pub drain: std::time::Duration,
    /// Niceness of the thread, where the process may have it.
    pub nice: i8,
    /// How many orders may wait; the last quarter is kept for orders that open no leg.
    pub queue: usize,
    /// Sounds for parked legs, by [`crate::plan::SoundId`].
    pub sounds: Arc<[crate::media::Sound]>,
    /// Where the packets of captured legs go.
    pub capture: Option<Sink>,
    /// Seed of the worker's randomness (sequence numbers, timestamps, CNAMEs).
    pub seed: u64,
}

/// A running worker; dropping it stops the thread.
#[derive(Debug)]
pub struct WorkerHandle {
    site: WorkerSite,
    orders: SyncSender<Order>,
    capacity: usize,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and its handle have in common. The media path touches none of it.
#[derive(Debug)]
struct Shared {
    waker: Waker,
    stop: AtomicBool,
    /// Orders that wait.
    waiting: AtomicUsize,
    outbox: Mutex<Vec<Report>>,
    counters: Mutex<WorkerCounters>,
}

/// Figures of a worker for the metrics; they only rise, except those that say so.
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
    /// Share of its core that the thread used in the last second, in thousandths (a level).
    pub load_permille: u64,
}

/// Starts a worker thread. `wake` is called from it whenever there are new reports. Fails where a browser socket cannot
/// be bound; a range without free RTP ports is no error here, but counted.
pub fn spawn(
    config: WorkerConfig,
    certificate: Arc<Certificate>,
    wake: impl Fn() + Send + 'static,
) -> io::Result<WorkerHandle> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), turn::WAKE)?;
    let shared = Arc::new(Shared {
        waker,
        stop: AtomicBool::new(false),
        waiting: AtomicUsize::new(0),
        outbox: Mutex::new(Vec::new()),
        counters: Mutex::new(WorkerCounters::default()),
    });
    let capacity = config.queue.max(4);
    let (orders, inbox) = sync_channel(capacity);
    let turning = turn::Turning::new(&config, certificate, poll, inbox, shared.clone())?;
    let candidates = config.media.iter().zip(turning.browser_ports());
    let candidates = candidates.map(|(media, port)| SocketAddr::new(media.advertise, port)).collect();
    let site = WorkerSite { worker: config.worker, candidates };
    let nice = config.nice;
    let thread = std::thread::Builder::new().name(format!("media-{}", config.worker.0)).spawn(move || {
        be_as_urgent(nice);
        turning.run(&wake);
    })?;
    Ok(WorkerHandle { site, orders, capacity, shared, thread: Some(thread) })
}

/// Gives the calling thread its niceness. Without the right to it (CAP_SYS_NICE, LimitNICE) it goes on as it is.
fn be_as_urgent(nice: i8) {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), nice.into()) {
        tracing::debug!(%error, nice, "the media thread keeps its priority");
    }
}

impl WorkerHandle {
    /// Returns what signalling must know before the first call.
    pub fn site(&self) -> WorkerSite {
        self.site.clone()
    }

    /// Hands an order over; gives it back when the queue is full (or the worker has stopped). Orders that open a leg
    /// are refused while the last quarter of the queue is in use, so that updates and releases still have room.
    pub fn send(&self, order: Order) -> Result<(), Order> {
        let opens = matches!(order, Order::OpenBrowser(..) | Order::OpenRtp(..));
        if opens && self.shared.waiting.load(Ordering::Relaxed) >= self.capacity - self.capacity / 4 {
            return Err(order);
        }
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        match self.orders.try_send(order) {
            Ok(()) => {
                // An eventfd that cannot be written to is already signalled.
                let _ = self.shared.waker.wake();
                Ok(())
            }
            Err(std::sync::mpsc::TrySendError::Full(order) | std::sync::mpsc::TrySendError::Disconnected(order)) => {
                self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                Err(order)
            }
        }
    }

    /// Moves all waiting reports to the end of `reports`.
    pub fn take_reports(&self, reports: &mut Vec<Report>) {
        let mut outbox = self.shared.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        let was_full = outbox.len() >= turn::OUTBOX;
        reports.append(&mut outbox);
        drop(outbox);
        if was_full {
            let _ = self.shared.waker.wake();
        }
    }

    /// Returns the figures, at most a second old.
    pub fn counters(&self) -> WorkerCounters {
        self.shared.counters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the thread and waits for it; its sockets are closed.
    pub fn stop(self) {}
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        let _ = self.shared.waker.wake();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by its own hook.
            let _ = thread.join();
        }
    }
}
