//! The media thread: one loop that sends every packet of all calls when it is due, and takes every one that comes.
//!
//! ```text
//!  deadlines: packets due ─► sent    checks, reports ─► sent
//!  epoll ─► bell: orders             sockets, one datagram each: RTP ─► ear   STUN ─► ICE   DTLS ─► background
//! ```
//! What is due is sent before anything is read, and between two handfuls of events. Each packet's lateness is counted: a driver
//! that is late measures itself.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustc_hash::FxHashMap;
use tokio::sync::mpsc;

use super::background::Job;
use super::end::PACKET;
use super::order::{KeyResult, Order, SeatId, Side, Tick, Told};
use super::seat::{Came, Seat};
use super::wire::{BELL, Wire};
use crate::load::outcome::Histogram;
use crate::rtp::rtcp::{ntp_after, ntp_from_unix};

/// Between two reports of an end (RFC 3550 6.2).
const REPORT: Duration = Duration::from_secs(5);
/// Longest wait.
const IDLE: Duration = Duration::from_millis(500);
/// Orders carried out before packets have their turn.
const ORDERS: usize = 8;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A packet of an end.
    Packet(u32, bool),
    /// Checks of a browser's end.
    Check(u32),
    /// Reports of both ends.
    Report(u32),
    /// The second is over.
    Second,
}

/// The thread's state.
pub struct Media {
    wire: Wire,
    background: Sender<Job>,
    told: mpsc::Sender<Told>,
    seats: FxHashMap<u32, Seat>,
    deadlines: BinaryHeap<Reverse<(Instant, Due)>>,
    clock: Clock,
    measuring: bool,
    counts: Counts,
    scratch: Box<[u8; PACKET]>,
}

/// The thread's clock: µs since it began, and what NTP says.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Instant,
    ntp: u64,
}

impl Clock {
    fn begin() -> Clock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { epoch: Instant::now(), ntp: ntp_from_unix(since) }
    }

    /// µs since the thread began.
    #[inline]
    pub fn us(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_micros() as u64
    }

    /// The time as NTP has it.
    pub fn ntp(&self, now: Instant) -> u64 {
        ntp_after(self.ntp, now.saturating_duration_since(self.epoch))
    }
}

/// Counts of the second, and lateness of second and hold.
#[derive(Default)]
struct Counts {
    sent: u64,
    received: u64,
    second: Histogram,
    hold: Histogram,
}

impl Media {
    /// Makes the thread's state.
    pub fn new(wire: Wire, background: Sender<Job>, told: mpsc::Sender<Told>) -> Media {
        Media {
            wire,
            background,
            told,
            seats: FxHashMap::default(),
            deadlines: BinaryHeap::new(),
            clock: Clock::begin(),
            measuring: false,
            counts: Counts::default(),
            scratch: Box::new([0; PACKET]),
        }
    }

    /// Turns until it is told to stop.
    pub fn run(mut self) {
        if let Err(error) = self.turn() {
            self.tell(Told::Broken(error));
        }
    }

    fn tell(&self, told: Told) {
        // Signalling that is gone, or asleep for minutes, wants to know nothing.
        let _ = self.told.try_send(told);
    }

    fn turn(&mut self) -> io::Result<()> {
        let mut ready = Vec::with_capacity(64);
        self.deadlines.push(Reverse((Instant::now() + Duration::from_secs(1), Due::Second)));
        loop {
            self.work_deadlines();
            let next =
                self.deadlines.peek().map_or(IDLE, |Reverse((at, _))| at.saturating_duration_since(Instant::now()));
            self.wire.wait(next.min(IDLE), &mut ready)?;
            for number in &ready {
                if *number == BELL {
                    self.wire.answer();
                    if !self.carry_out()? {
                        return Ok(());
                    }
                } else {
                    self.receive(*number);
                }
            }
        }
    }

    fn work_deadlines(&mut self) {
        loop {
            let now = Instant::now();
            let Some(Reverse((at, due))) = self.deadlines.peek().copied().filter(|Reverse((at, _))| *at <= now) else {
                return;
            };
            self.deadlines.pop();
            match due {
                Due::Packet(seat, is_browser) => {
                    let side = if is_browser { Side::Browser } else { Side::Trunk };
                    self.speak(seat, side, at, now);
                }
                Due::Check(seat) => self.check(seat, at, now),
                Due::Report(seat) => {
                    let ntp = self.clock.ntp(now);
                    if let Some(seat) = self.seats.get_mut(&seat)
                        && seat.is_talking()
                    {
                        seat.report(ntp, now, &mut self.scratch);
                        self.deadlines.push(Reverse((at + REPORT, due)));
                    }
                }
                Due::Second => {
                    let counts = &mut self.counts;
                    let lateness_p99_us = counts.second.quantile(0.99).unwrap_or(0);
                    let tick = Tick { sent: counts.sent, received: counts.received, lateness_p99_us };
                    (counts.sent, counts.received, counts.second) = (0, 0, Histogram::default());
                    self.tell(Told::Tick(tick));
                    self.deadlines.push(Reverse((at + Duration::from_secs(1), due)));
                }
            }
        }
    }

    #[inline]
    fn speak(&mut self, id: u32, side: Side, at: Instant, now: Instant) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        if seat.end(side).due != Some(at) {
            return;
        }
        if let Some(window) = seat.follow(side) {
            let job = Job::Look(SeatId(id), seat.ahead, window);
            let _ = self.background.send(job);
        }
        let end = seat.end(side);
        let late_us = now.saturating_duration_since(at).as_micros() as u64;
        let is_sent = end.speak(self.clock.us(Instant::now()), self.measuring, &mut self.scratch);
        let next = at + end.frame();
        end.due = Some(next);
        self.deadlines.push(Reverse((next, Due::Packet(id, side == Side::Browser))));
        if is_sent {
            self.counts.sent += 1;
            self.counts.second.record(late_us);
            if self.measuring {
                self.counts.hold.record(late_us);
            }
        }
    }

    /// Takes one datagram of a socket: epoll says again where there are more.
    #[inline]
    fn receive(&mut self, number: u64) {
        let (id, which) = ((number >> 2) as u32, number & 3);
        let Some(seat) = self.seats.get_mut(&id) else { return };
        let Some(socket) = seat.socket(which) else { return };
        let Ok((len, from)) = socket.recv_from(&mut self.scratch[..]) else { return };
        let now = Instant::now();
        let Some(side) = [Side::Browser, Side::Trunk].get(which as usize).copied() else {
            // RTCP of the trunk: it is taken, so that its sender is not told otherwise.
            return;
        };
        let now_us = self.clock.us(now);
        let came = seat.receive(side, from, &mut self.scratch[..], len, now, now_us);
        self.count(id, &came);
        if let Some(datagram) = came.dtls {
            let _ = self.background.send(Job::Datagram(SeatId(id), datagram));
        }
        if came.ice {
            self.arm(id, now);
        }
    }

    #[inline]
    fn count(&mut self, id: u32, came: &Came) {
        if came.is_audio {
            self.counts.received += 1;
        }
        if let Some(at) = came.heard {
            self.tell(Told::Heard(SeatId(id), at));
        }
    }

    /// Tells the figures of a call that is silent, and forgets one that is closed, once all its sound was looked at.
    fn settle(&mut self, id: u32) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        let is_gone = seat.closed && !seat.is_looked_at();
        if let Some(figures) = seat.take_figures() {
            self.tell(Told::Figures(SeatId(id), Box::new(figures)));
        }
        if is_gone {
            self.seats.remove(&id);
        }
    }

    /// Sends the checks that are due.
    fn check(&mut self, id: u32, at: Instant, now: Instant) {
        let Some(seat) = self.seats.get_mut(&id).filter(|seat| !seat.closed) else { return };
        if seat.check(at, now, &mut self.scratch) {
            self.tell(Told::ConsentLost(SeatId(id)));
        }
        self.arm(id, now);
    }

    /// Enters the next check among the deadlines, and has hands shaken once ICE is done.
    fn arm(&mut self, id: u32, now: Instant) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        if let Some(at) = seat.arm(now) {
            self.deadlines.push(Reverse((at, Due::Check(id))));
        }
        if let Some((socket, to, fingerprint, role)) = seat.begin_handshake() {
            let _ = self.background.send(Job::Begin(SeatId(id), socket, to, fingerprint, role));
        }
    }

    /// Carries out a handful of orders; false when it is to stop.
    fn carry_out(&mut self) -> io::Result<bool> {
        for _ in 0..ORDERS {
            let Ok(order) = self.wire.orders.try_recv() else { return Ok(true) };
            if !self.carry_out_one(order)? {
                return Ok(false);
            }
            self.work_deadlines();
        }
        // There may be more; packets come first.
        self.wire.ring();
        Ok(true)
    }

    fn carry_out_one(&mut self, order: Order) -> io::Result<bool> {
        let now = Instant::now();
        match order {
            Order::Open(SeatId(id), plan) => {
                let seat = Seat::new(*plan, now)?;
                for which in 0..3 {
                    if let Some(socket) = seat.socket(which) {
                        self.wire.add(socket, u64::from(id) << 2 | which)?;
                    }
                }
                self.seats.insert(id, seat);
            }
            Order::Meet(SeatId(id), side, peer, speech) => {
                if let Some(seat) = self.seats.get_mut(&id) {
                    seat.meet(side, &peer, speech, self.measuring, now);
                }
                self.arm(id, now);
                self.begin_to_speak(id, now);
            }
            Order::Talk(SeatId(id)) => {
                if self.seats.get_mut(&id).is_some_and(Seat::talk) {
                    self.deadlines.push(Reverse((now + REPORT, Due::Report(id))));
                }
                self.begin_to_speak(id, now);
            }
            Order::Measure(on) => {
                self.measuring = on;
                if !on {
                    let lateness = Box::new(std::mem::take(&mut self.counts.hold));
                    self.tell(Told::Lateness(lateness));
                }
                self.seats.values_mut().for_each(|seat| seat.measure(on));
            }
            Order::Quiet(SeatId(id)) => {
                if let Some(seat) = self.seats.get_mut(&id) {
                    seat.quiet();
                }
                self.settle(id);
            }
            Order::Close(SeatId(id)) => {
                if let Some(seat) = self.seats.get_mut(&id) {
                    seat.closed = true;
                    (0..3).filter_map(|which| seat.socket(which)).for_each(|socket| self.wire.remove(socket));
                    let _ = self.background.send(Job::Forget(SeatId(id)));
                }
                self.settle(id);
            }
            Order::Joined(SeatId(id)) => {
                if self.seats.get_mut(&id).is_some_and(Seat::join) {
                    self.tell(Told::Connected(SeatId(id)));
                    self.begin_to_speak(id, now);
                }
            }
            Order::Witnessed(SeatId(id), header, payload, at) => {
                let now_us = self.clock.us(at);
                if let Some(seat) = self.seats.get_mut(&id) {
                    let came = seat.witnessed(&header, &payload, at, now_us);
                    self.count(id, &came);
                }
            }
            Order::Keys(SeatId(id), result) => self.take_keys(id, result, now),
            Order::Probed(SeatId(id), side, finding) => {
                if let Some(seat) = self.seats.get_mut(&id) {
                    seat.take(side, finding);
                }
                self.settle(id);
            }
            Order::Stop => return Ok(false),
        }
        Ok(true)
    }

    fn take_keys(&mut self, id: u32, result: KeyResult, now: Instant) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        match result {
            Ok(keys) => {
                seat.set_keys(keys);
                self.tell(Told::Connected(SeatId(id)));
                self.begin_to_speak(id, now);
            }
            Err(failure) => self.tell(Told::DtlsFailed(SeatId(id), failure)),
        }
    }

    fn begin_to_speak(&mut self, id: u32, now: Instant) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        for (side, at) in seat.begin_to_speak(now).into_iter().flatten() {
            self.deadlines.push(Reverse((at, Due::Packet(id, side == Side::Browser))));
        }
    }
}
