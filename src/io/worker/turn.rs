//! The loop of a worker thread.
//!
//! ```text
//!  epoll ─► orders ─► sockets: RTP, RTCP, STUN at once; DTLS waits in the engine
//!        ─► a few DTLS flights ─► deadlines ─► reports, reserve of ports
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use super::taps::Taps;
use super::{Shared, WorkerConfig, WorkerCounters};
use crate::io::ports::{Half, Ports, bind_udp};
use crate::media::{Engine, EngineConfig, Sink, Socket};
use crate::packet::PacketBuf;
use crate::plan::{LegStats, Order, Report};
use crate::webrtc::dtls::Certificate;

/// The token of the queue's eventfd.
pub(super) const WAKE: Token = Token(usize::MAX);
/// Reports in the outbox beyond which the engine keeps further ones in the slots of their legs.
pub(super) const OUTBOX: usize = 4096;
/// Datagrams taken from a trunk's socket before the others have their turn.
const BUDGET: usize = 64;
/// The same of a browser socket, which bears those of all calls.
const PORTION: usize = 8;
/// Orders carried out per turn.
const ORDERS: usize = 64;
/// DTLS flights worked per turn: each is a third of a millisecond, in which packets wait.
const FLIGHTS: usize = 1;
/// Room for a burst of all legs of the worker between two turns.
const BROWSER_BUFFER: usize = 4 * 1024 * 1024;
/// How often the figures are published.
const PUBLISH: Duration = Duration::from_secs(1);
/// Seconds from 1900 to 1970 (RFC 868).
const NTP_UNIX: u64 = 2_208_988_800;

/// A worker's state, owned by its thread.
pub(super) struct Turning {
    poll: Poll,
    browser: Vec<UdpSocket>,
    ports: Ports,
    engine: Engine,
    inbox: Receiver<Order>,
    shared: Arc<Shared>,
    packet: PacketBuf,
    /// Sockets that were not read to their end.
    again: Vec<Token>,
    pending: Vec<Report>,
    taps: Taps,
    /// The browser sockets as peers are told them.
    told: Arc<[SocketAddr]>,
    counters: WorkerCounters,
    published: Instant,
    load: Load,
}

/// The sockets, as the engine sees them.
struct Wire<'a> {
    browser: &'a [UdpSocket],
    ports: &'a Ports,
    errors: &'a mut u64,
}

impl Sink for Wire<'_> {
    #[inline]
    fn send(&mut self, socket: Socket, to: SocketAddr, datagram: &[u8]) {
        let socket = match socket {
            Socket::Browser(index) => self.browser.get(index),
            Socket::Rtp(id) => self.ports.socket(id, Half::Rtp),
            Socket::Rtcp(id) => self.ports.socket(id, Half::Rtcp),
        };
        if socket.is_none_or(|s| s.send_to(datagram, to).is_err()) {
            *self.errors += 1;
        }
    }
}

impl Turning {
    pub(super) fn new(
        config: &WorkerConfig,
        certificate: Arc<Certificate>,
        poll: Poll,
        inbox: Receiver<Order>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let mut browser = Vec::new();
        let mut locals = Vec::new();
        for (index, media) in config.media.iter().enumerate() {
            let address = SocketAddr::new(media.bind, config.browser_port);
            let mut socket = bind_udp(address, BROWSER_BUFFER)
                .map_err(|why| io::Error::new(why.kind(), format!("{address} for browsers, of media.ports: {why}")))?;
            poll.registry().register(&mut socket, Token(index), Interest::READABLE)?;
            locals.push(socket.local_addr()?);
            browser.push(socket);
        }
        let ports = Ports::new(
            config.worker,
            &config.media,
            config.rtp_ports.clone(),
            config.reserve,
            config.drain,
            browser.len(),
        );
        let ports_of = browser.iter().zip(&config.media);
        let told =
            ports_of.filter_map(|(s, m)| Some(SocketAddr::new(m.advertise, s.local_addr().ok()?.port()))).collect();
        let now = Instant::now();
        let engine = EngineConfig {
            certificate,
            browser: locals,
            ntp_at_start: ntp_now(),
            sounds: config.sounds.clone(),
            reorder_hold: config.reorder_hold,
        };
        Ok(Turning {
            poll,
            browser,
            ports,
            engine: Engine::new(engine, config.seed, now),
            inbox,
            shared,
            packet: PacketBuf::new(),
            again: Vec::with_capacity(256),
            pending: Vec::new(),
            taps: Taps::new(config.capture.clone(), now),
            told,
            counters: WorkerCounters::default(),
            published: now,
            load: Load { cpu: Duration::ZERO, at: now },
        })
    }

    /// Returns the ports of the browser sockets, in the order of the media addresses.
    pub(super) fn browser_ports(&self) -> impl Iterator<Item = u16> {
        self.browser.iter().filter_map(|s| s.local_addr().ok()).map(|a| a.port())
    }

    /// Turns until it is told to stop.
    pub(super) fn run(mut self, wake: &(impl Fn() + Send)) {
        self.load = Load { cpu: thread_cpu(), at: Instant::now() };
        let mut events = Events::with_capacity(1024);
        let mut tokens = Vec::with_capacity(1024);
        let mut busy = true;
        while !self.shared.stop.load(Ordering::Acquire) {
            let timeout = if busy { Duration::ZERO } else { self.idle_time() };
            match self.poll.poll(&mut events, Some(timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
                Err(error) => {
                    tracing::error!(%error, "epoll failed, the media worker ends");
                    return;
                }
            }
            self.counters.turns += 1;
            busy = self.carry_out_orders();
            tokens.clear();
            tokens.append(&mut self.again);
            // Those of an event are all different; only what was left over may come twice.
            let left = tokens.len();
            for event in &events {
                if event.token() != WAKE && !tokens[..left].contains(&event.token()) {
                    tokens.push(event.token());
                }
            }
            for token in &tokens {
                self.serve(*token);
            }
            busy |= !self.again.is_empty();
            let now = Instant::now();
            let mut wire = Wire { browser: &self.browser, ports: &self.ports, errors: &mut self.counters.send_errors };
            busy |= self.engine.work_handshakes(FLIGHTS, now, &mut wire);
            self.engine.handle_timeout(now, &mut wire);
            self.taps.empty(&mut self.engine, now);
            self.tend_ports(now);
            if now.duration_since(self.published) >= PUBLISH {
                self.publish(now);
            }
            self.report(wake);
        }
    }

    fn idle_time(&mut self) -> Duration {
        let now = Instant::now();
        let due = [
            self.engine.poll_timeout(),
            self.ports.poll_timeout(),
            self.taps.poll_timeout(),
            Some(self.published + PUBLISH),
        ];
        due.into_iter().flatten().min().map_or(PUBLISH, |at| at.saturating_duration_since(now))
    }

    fn carry_out_orders(&mut self) -> bool {
        for _ in 0..ORDERS {
            let Ok(order) = self.inbox.try_recv() else { return false };
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            let now = Instant::now();
            match &order {
                Order::ReleasePair(id) => self.ports.release(*id, now),
                Order::OpenRtp(leg, plan) if !self.ports.take(plan.pair) => {
                    tracing::error!(%leg, pair = %plan.pair, "the pair is not in the reserve");
                    self.pending.push(Report::Closed(*leg, LegStats::default()));
                    continue;
                }
                _ => {}
            }
            let mut wire = Wire { browser: &self.browser, ports: &self.ports, errors: &mut self.counters.send_errors };
            let about_tap = matches!(order, Order::Tap(..) | Order::Close(_)).then(|| order.clone());
            self.engine.handle_order(order, now, &mut wire);
            if let Some(order) = about_tap {
                self.tap(&order, now);
            }
        }
        true
    }

    fn tap(&mut self, order: &Order, now: Instant) {
        let locals = match order {
            Order::Tap(leg, Some(_)) => match self.engine.pair_of(*leg) {
                Some(pair) => match self.ports.told(pair) {
                    Some(rtp) => [rtp, SocketAddr::new(rtp.ip(), rtp.port() + 1)].into(),
                    None => return,
                },
                None => self.told.clone(),
            },
            _ => Arc::default(),
        };
        self.taps.ordered(order, &mut self.engine, locals, now);
    }

    /// Serves one socket. After a stall each trunk has a packet or two and the browsers' socket has hundreds: they take
    /// turns, one of those for each of these, so that neither direction waits for the whole of the other.
    fn serve(&mut self, token: Token) {
        if token.0 < self.browser.len() {
            return self.receive(token, PORTION);
        }
        self.receive(token, BUDGET);
        if !self.again.is_empty() {
            let first = self.again.remove(0);
            self.receive(first, 1);
        }
    }

    /// Reads one socket until it is empty or the budget is used up.
    fn receive(&mut self, token: Token, budget: usize) {
        for _ in 0..budget {
            let (source, socket) = if token.0 < self.browser.len() {
                (Some(Socket::Browser(token.0)), &self.browser[token.0])
            } else {
                let Some((id, half, socket)) = self.ports.by_token(token) else { return };
                let source = id.map(|id| match half {
                    Half::Rtp => Socket::Rtp(id),
                    Half::Rtcp => Socket::Rtcp(id),
                });
                (source, socket)
            };
            let (len, from) = match socket.recv_from(self.packet.receive_space()) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error of something sent before; the socket goes on.
                Err(_) => continue,
            };
            let Some(source) = source else { continue };
            if !self.packet.received(len) {
                self.counters.oversized += 1;
                continue;
            }
            let mut wire = Wire { browser: &self.browser, ports: &self.ports, errors: &mut self.counters.send_errors };
            self.engine.handle_datagram(source, from, &mut self.packet, Instant::now(), &mut wire);
        }
        self.again.push(token);
    }

    fn tend_ports(&mut self, now: Instant) {
        while let Some(pair) = self.engine.poll_released() {
            self.ports.release(pair, now);
        }
        if self.ports.is_short() || self.ports.poll_timeout().is_some_and(|at| at <= now) {
            let ready = self.ports.refill(self.poll.registry(), now);
            if !ready.is_empty() {
                self.pending.push(Report::PairsReady(ready));
            }
        }
    }

    /// Moves reports to the outbox while it has room; the others stay in the slots of their legs.
    fn report(&mut self, wake: &(impl Fn() + Send)) {
        if self.pending.is_empty() && !self.engine.has_report() {
            return;
        }
        let mut outbox = self.shared.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        let mut grown = !self.pending.is_empty();
        if self.pending.iter().any(|report| matches!(report, Report::Load { .. })) {
            // The last word on the load counts: a signalling that does not listen must not fill the outbox with older ones.
            outbox.retain(|report| !matches!(report, Report::Load { .. }));
        }
        outbox.append(&mut self.pending);
        while outbox.len() < OUTBOX {
            let Some(report) = self.engine.poll_report() else { break };
            outbox.push(report);
            grown = true;
        }
        drop(outbox);
        if grown {
            wake();
        }
    }

    fn publish(&mut self, now: Instant) {
        let permille = self.load.since(thread_cpu(), now);
        self.pending.push(Report::Load { permille });
        self.counters.load_permille = u64::from(permille);
        self.published = now;
        let levels = self.ports.levels();
        self.counters.engine.clone_from(self.engine.counters());
        self.counters.pairs_ready = levels.ready;
        self.counters.pairs_used = levels.used;
        self.counters.pairs_draining = levels.draining;
        self.counters.ports_exhausted = self.ports.exhausted;
        self.shared.counters.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.counters);
    }
}

/// What the thread's processor time was when it was looked at last.
struct Load {
    cpu: Duration,
    at: Instant,
}

impl Load {
    /// Returns the share of the time since the last look that the thread was on a core, in thousandths.
    fn since(&mut self, cpu: Duration, now: Instant) -> u16 {
        let wall = now.saturating_duration_since(self.at).as_nanos().max(1);
        let used = cpu.saturating_sub(self.cpu).as_nanos();
        *self = Load { cpu, at: now };
        u16::try_from(used * 1000 / wall).unwrap_or(1000).min(1000)
    }
}

/// Returns the processor time of this thread, user and system.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Returns the time of day as NTP has it (RFC 3550 4): seconds since 1900 in the upper 32 bits.
fn ntp_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    ((since.as_secs() + NTP_UNIX) << 32) | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_the_share_of_the_time_since_the_last_look() {
        let begin = Instant::now();
        let ms = Duration::from_millis;
        let mut load = Load { cpu: ms(300), at: begin };
        assert_eq!(load.since(ms(1150), begin + ms(1000)), 850);
        assert_eq!(load.since(ms(1150), begin + ms(2000)), 0);
        assert_eq!(load.since(ms(3000), begin + ms(3000)), 1000, "clocks that disagree");
        assert_eq!(load.since(ms(3000), begin + ms(3000)), 0, "no time has passed");
    }

    #[test]
    fn the_clock_of_the_thread_counts_work_and_not_waiting() {
        let before = thread_cpu();
        std::thread::park_timeout(Duration::from_millis(20));
        let slept = thread_cpu() - before;
        let until = Instant::now() + Duration::from_secs(20);
        while thread_cpu() - before < slept + Duration::from_millis(5) {
            assert!(Instant::now() < until, "the clock stands still");
        }
        assert!(slept < Duration::from_millis(15), "{slept:?}");
    }
}
