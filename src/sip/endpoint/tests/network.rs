//! Two endpoints over a seeded network: datagrams that are lost, repeated, reordered and delayed, or a stream.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::peer::{OFFER, addr, order};
use crate::id::FlowId;
use crate::path::{Path, Transport};
use crate::sip::endpoint::*;
use crate::sip::message::{Builder, Message, Method};
use crate::sip::refer::Progress;

const CALLS: usize = 4;

/// What the network does to a datagram, in per cent, and the longest delay.
#[derive(Clone, Copy)]
struct Weather {
    loss: u32,
    repeat: u32,
    delay_ms: u64,
    /// All goes down one connection, where nothing is lost and all stays in order.
    is_stream: bool,
    /// How often one of the two hangs up at any event, in per cent.
    impatience: u32,
}

const BAD: Weather = Weather { loss: 20, repeat: 20, delay_ms: 700, is_stream: false, impatience: 0 };
const FINE: Weather = Weather { loss: 0, repeat: 0, delay_ms: 20, is_stream: false, impatience: 0 };
const STREAM: Weather = Weather { loss: 0, repeat: 0, delay_ms: 700, is_stream: true, impatience: 0 };

/// How often each thing happened.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    answered: usize,
    acked: usize,
    pracked: usize,
    /// Transfers that were told to be over.
    told: usize,
    /// Sessions of the caller that were alive after five minutes of refreshes.
    lasting: usize,
    /// Sessions that ended for want of a refresh.
    expired: usize,
}

struct Network {
    sides: [Endpoint; 2],
    now: Instant,
    rng: StdRng,
    weather: Weather,
    flying: BTreeMap<(Instant, u64), (usize, Bytes)>,
    /// When the last message to each side comes off the stream.
    last: [Instant; 2],
    count: u64,
    tally: Tally,
    /// Terminal events by side and session.
    ended: BTreeMap<(usize, SessionId), usize>,
    /// Sessions that their user gave up: what was in the queue by then is not heard any more.
    left: HashSet<(usize, SessionId)>,
    /// What was sent more than once.
    sent: HashSet<Bytes>,
    repeated: Vec<Bytes>,
}

impl Network {
    fn new(seed: u64, weather: Weather) -> Network {
        let with = |n, takes_update: bool| {
            let mut config = EndpointConfig::default();
            config.allow.retain(|method| takes_update || *method != Method::Update);
            let mut endpoint = Endpoint::new(config, StdRng::seed_from_u64(seed * 2 + n));
            endpoint.set_reliable(|_| true);
            endpoint
        };
        let now = Instant::now();
        Network {
            // Every other network refreshes by re-INVITE.
            sides: [with(0, true), with(1, seed.is_multiple_of(2))],
            now,
            rng: StdRng::seed_from_u64(seed),
            weather,
            flying: BTreeMap::new(),
            last: [now; 2],
            count: 0,
            tally: Tally::default(),
            ended: BTreeMap::new(),
            left: HashSet::new(),
            sent: HashSet::new(),
            repeated: Vec::new(),
        }
    }

    fn path(&self, side: usize) -> (Path, Transport) {
        let ends = [addr("192.0.2.54:5060"), addr("192.0.2.81:5060")];
        match self.weather.is_stream {
            true => (Path::Tcp { flow: FlowId(1), remote: ends[1 - side] }, Transport::Tcp),
            false => (Path::Udp { local: ends[side], remote: ends[1 - side] }, Transport::Udp),
        }
    }

    fn call(&mut self) {
        let timer = SessionTimer { interval_s: 90, min_se_s: 90, refresher: None };
        let invite = OutInvite { reliable: Reliable::Supported, session_expires: Some(timer), ..order() };
        let (path, transport) = self.path(0);
        let hop = Hop { path, transport, sent_by: "192.0.2.54:5060".to_owned() };
        self.sides[0].invite(invite, hop, self.now);
    }

    fn drain(&mut self) {
        for side in 0..2 {
            while let Some(event) = self.sides[side].poll_event() {
                self.react(side, event);
            }
        }
        for side in 0..2 {
            while let Some(transmit) = self.sides[side].poll_transmit() {
                assert_eq!(transmit.path, self.path(side).0);
                if !self.sent.insert(transmit.bytes.clone()) {
                    self.repeated.push(transmit.bytes.clone());
                }
                self.send(1 - side, &transmit.bytes);
            }
        }
    }

    fn send(&mut self, to: usize, bytes: &Bytes) {
        let copies = u32::from(self.rng.random_range(0..100) >= self.weather.loss)
            + u32::from(self.rng.random_range(0..100) < self.weather.repeat);
        for _ in 0..copies {
            let mut at = self.now + Duration::from_millis(self.rng.random_range(1..=self.weather.delay_ms));
            if self.weather.is_stream {
                at = at.max(self.last[to]);
                self.last[to] = at;
            }
            self.count += 1;
            self.flying.insert((at, self.count), (to, bytes.clone()));
        }
    }

    fn react(&mut self, side: usize, event: Event) {
        let now = self.now;
        let gives_up = self.rng.random_range(0..100) < self.weather.impatience;
        let endpoint = &mut self.sides[side];
        match event {
            Event::Refused { session, .. } | Event::Cancelled { session, .. } => self.end(side, session),
            Event::Ended { session, why } => {
                self.tally.expired += usize::from(matches!(why, EndReason::SessionExpired));
                self.end(side, session);
            }
            Event::Invited { session, .. }
            | Event::Provisional { session, .. }
            | Event::Pracked { session, .. }
            | Event::Acked { session, .. }
            | Event::ReinviteAnswered { session, .. }
            | Event::InDialog { session, .. }
                if gives_up =>
            {
                endpoint.hang_up(session, &[], now);
                self.left.insert((side, session));
            }
            Event::Invited { session, .. } => {
                endpoint.progress(session, 183, Some(OFFER), &[], now);
                endpoint.answer(session, OFFER, &[], now);
            }
            Event::Pracked { .. } => self.tally.pracked += 1,
            Event::Answered { session, .. } => {
                self.tally.answered += 1;
                endpoint.ack(session, None, now);
                endpoint.reinvite(session, Some(OFFER), &[], now).expect("a new session is free");
            }
            Event::Acked { session, .. } => {
                self.tally.acked += 1;
                // Both sides want something at the same time: glare.
                let _ = endpoint.reinvite(session, Some(OFFER), &[], now);
            }
            Event::Reinvited { session, .. } => endpoint.answer_reinvite(session, OFFER, &[], now),
            Event::ReinviteAnswered { session, .. } => {
                endpoint.ack(session, None, now);
                self.transfer(side, session);
            }
            Event::ReinviteRefused { session, .. } => self.transfer(side, session),
            Event::InDialog { session, tx, message, .. } => self.asked(side, session, tx, &message),
            _ => {}
        }
    }

    /// The caller asks for a transfer.
    fn transfer(&mut self, side: usize, session: SessionId) {
        if side == 0 {
            let refer = OutRefer { refer_to: "<sip:6001@192.0.2.81>".to_owned(), ..OutRefer::default() };
            self.sides[0].refer(session, &refer, self.now);
        }
    }

    fn asked(&mut self, side: usize, session: SessionId, tx: ServerTx, message: &Message) {
        let (now, endpoint) = (self.now, &mut self.sides[side]);
        let status = if message.method() == Method::Refer { 202 } else { 200 };
        endpoint.respond(tx, Builder::response_to(message, status, None, None), now);
        if status == 202 {
            endpoint.notify_refer(session, message.cseq().number, 180, false, now);
            endpoint.notify_refer(session, message.cseq().number, 200, true, now);
        }
        if Progress::of(message).is_some_and(|progress| progress.is_over) {
            self.tally.told += 1;
        }
    }

    fn end(&mut self, side: usize, session: SessionId) {
        if !self.left.contains(&(side, session)) {
            *self.ended.entry((side, session)).or_default() += 1;
        }
    }

    /// Runs for five minutes, has the caller hang up what is left, and runs for five more.
    fn run(&mut self) {
        let half = Duration::from_secs(300);
        self.run_until(self.now + half);
        self.tally.lasting = self.sides[0].load().1;
        // The sessions of an endpoint are counted from 1.
        for session in (1..=CALLS as u64).map(SessionId) {
            self.sides[0].hang_up(session, &[], self.now);
        }
        self.run_until(self.now + half);
    }

    fn run_until(&mut self, end: Instant) {
        self.drain();
        loop {
            let timers = self.sides.iter().filter_map(Endpoint::poll_timeout);
            let next = timers.chain(self.flying.keys().map(|(at, _)| *at).take(1)).min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (side, bytes) = entry.remove();
                let (path, transport) = self.path(side);
                self.sides[side].handle_message(path, transport, bytes, self.now);
            }
            for side in &mut self.sides {
                side.handle_timeout(self.now);
            }
            self.drain();
        }
        self.now = end;
    }

    fn assert_over(&self, seed: u64) {
        for side in &self.sides {
            assert_eq!(side.load(), (0, 0), "seed {seed}");
            assert_eq!(side.entries(), 0, "seed {seed}");
            assert_eq!(side.poll_timeout(), None, "seed {seed}");
        }
        assert!(self.ended.values().all(|times| *times == 1), "seed {seed}: {:?}", self.ended);
    }
}

fn course(seed: u64, weather: Weather) -> Network {
    let mut network = Network::new(seed, weather);
    for _ in 0..CALLS {
        network.call();
    }
    network.run();
    network.assert_over(seed);
    network
}

#[test]
fn calls_over_a_bad_network_end_once_on_each_side_and_leave_nothing() {
    let mut all = Tally::default();
    for seed in 0..60 {
        let tally = course(seed, BAD).tally;
        all.answered += tally.answered;
        all.pracked += tally.pracked;
        all.told += tally.told;
        all.lasting += tally.lasting;
        all.expired += tally.expired;
    }
    // One time in a hundred a whole series of retransmissions is lost.
    let most = 60 * CALLS * 9 / 10;
    assert!(all.answered > most && all.pracked > most, "{all:?}");
    assert!(all.told > most && all.lasting > most, "{all:?}");
}

#[test]
fn calls_over_a_good_network_are_all_acknowledged_transferred_and_refreshed() {
    for seed in 0..2 {
        let tally = course(seed, FINE).tally;
        assert!(tally.acked >= CALLS && tally.told >= CALLS, "{tally:?}");
        assert_eq!((tally.answered, tally.pracked, tally.lasting, tally.expired), (CALLS, CALLS, CALLS, 0));
    }
}

#[test]
fn over_a_stream_nothing_is_repeated_but_what_the_session_repeats() {
    for seed in 0..20 {
        let network = course(seed, STREAM);
        assert_eq!((network.tally.answered, network.tally.lasting), (CALLS, CALLS), "seed {seed}");
        assert!(!network.repeated.is_empty(), "a 2xx is repeated end to end (RFC 3261 13.3.1.4)");
        for bytes in &network.repeated {
            let message = Message::parse(bytes.clone()).expect("ours");
            let is_invites = message.cseq().method == Method::Invite && matches!(message.status(), 101..300);
            assert!(is_invites || message.method() == Method::Ack, "{message:?} was repeated");
        }
    }
}

#[test]
fn calls_that_are_given_up_at_any_moment_end_once_on_each_side_and_leave_nothing() {
    for seed in 0..60 {
        course(seed, Weather { impatience: 12, ..BAD });
        course(seed, Weather { impatience: 12, ..STREAM });
    }
}

#[test]
fn the_same_seed_gives_the_same_course() {
    let again = |seed| {
        let network = course(seed, Weather { loss: 30, ..BAD });
        (network.count, network.tally)
    };
    assert_eq!(again(5), again(5));
}
