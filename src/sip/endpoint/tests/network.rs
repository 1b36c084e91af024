//! Two endpoints over a seeded network that loses, repeats, reorders and delays.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::peer::{OFFER, addr, order};
use crate::path::{Path, Transport};
use crate::sip::endpoint::*;

const CALLS: usize = 4;

/// What the network does to a datagram, in per cent, and the longest delay.
#[derive(Clone, Copy)]
struct Weather {
    loss: u32,
    repeat: u32,
    delay_ms: u64,
}

struct Network {
    sides: [Endpoint; 2],
    now: Instant,
    rng: StdRng,
    weather: Weather,
    flying: BTreeMap<(Instant, u64), (usize, Bytes)>,
    count: u64,
    answered: usize,
    acked: usize,
    /// Terminal events by side and session.
    ended: BTreeMap<(usize, SessionId), usize>,
}

impl Network {
    fn new(seed: u64, weather: Weather) -> Network {
        let endpoint = |n| Endpoint::new(EndpointConfig::default(), StdRng::seed_from_u64(seed * 2 + n));
        Network {
            sides: [endpoint(0), endpoint(1)],
            now: Instant::now(),
            rng: StdRng::seed_from_u64(seed),
            weather,
            flying: BTreeMap::new(),
            count: 0,
            answered: 0,
            acked: 0,
            ended: BTreeMap::new(),
        }
    }

    fn path(side: usize) -> Path {
        let ends = [addr("192.0.2.54:5060"), addr("192.0.2.81:5060")];
        Path::Udp { local: ends[side], remote: ends[1 - side] }
    }

    fn call(&mut self) {
        let hop = Hop { path: Self::path(0), transport: Transport::Udp, sent_by: "192.0.2.54:5060".to_owned() };
        self.sides[0].invite(order(), hop, self.now);
    }

    fn drain(&mut self) {
        for side in 0..2 {
            while let Some(event) = self.sides[side].poll_event() {
                self.react(side, event);
            }
        }
        for side in 0..2 {
            while let Some(transmit) = self.sides[side].poll_transmit() {
                assert_eq!(transmit.path, Self::path(side));
                let copies = u32::from(self.rng.random_range(0..100) >= self.weather.loss)
                    + u32::from(self.rng.random_range(0..100) < self.weather.repeat);
                for _ in 0..copies {
                    let at = self.now + Duration::from_millis(self.rng.random_range(1..=self.weather.delay_ms));
                    self.count += 1;
                    self.flying.insert((at, self.count), (1 - side, transmit.bytes.clone()));
                }
            }
        }
    }

    fn react(&mut self, side: usize, event: Event) {
        let now = self.now;
        let endpoint = &mut self.sides[side];
        match event {
            Event::Invited { session, .. } => {
                endpoint.progress(session, 180, None, &[], now);
                endpoint.answer(session, OFFER, &[], now);
            }
            Event::Answered { session, .. } => {
                self.answered += 1;
                endpoint.ack(session, None, now);
                endpoint.reinvite(session, Some(OFFER), &[], now).expect("a new session is free");
            }
            Event::Acked { session, .. } => {
                self.acked += 1;
                // Both sides want something at the same time: glare.
                let _ = endpoint.reinvite(session, Some(OFFER), &[], now);
            }
            Event::Reinvited { session, .. } => endpoint.answer_reinvite(session, OFFER, &[], now),
            Event::ReinviteAnswered { session, .. } => {
                endpoint.ack(session, None, now);
                if side == 0 {
                    endpoint.hang_up(session, &[], now);
                }
            }
            Event::ReinviteRefused { session, .. } if side == 0 => endpoint.hang_up(session, &[], now),
            Event::Refused { session, .. } | Event::Cancelled { session, .. } | Event::Ended { session, .. } => {
                *self.ended.entry((side, session)).or_default() += 1;
            }
            _ => {}
        }
    }

    /// Runs for ten minutes of simulated time.
    fn run(&mut self) {
        let end = self.now + Duration::from_secs(600);
        self.drain();
        loop {
            let timers = self.sides.iter().filter_map(Endpoint::poll_timeout);
            let next = timers.chain(self.flying.keys().map(|(at, _)| *at).take(1)).min();
            let Some(next) = next.filter(|at| *at <= end) else { return };
            self.now = self.now.max(next);
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (side, bytes) = entry.remove();
                self.sides[side].handle_message(Self::path(side), Transport::Udp, bytes, self.now);
            }
            for side in &mut self.sides {
                side.handle_timeout(self.now);
            }
            self.drain();
        }
    }
}

#[test]
fn calls_over_a_bad_network_end_once_on_each_side_and_leave_nothing() {
    let mut answered = 0;
    for seed in 0..60 {
        let mut network = Network::new(seed, Weather { loss: 20, repeat: 15, delay_ms: 700 });
        for _ in 0..CALLS {
            network.call();
        }
        network.run();
        answered += network.answered;
        for side in &network.sides {
            assert_eq!(side.load(), (0, 0), "seed {seed}");
            assert_eq!(side.poll_timeout(), None, "seed {seed}");
        }
        assert!(network.ended.values().all(|times| *times == 1), "seed {seed}: {:?}", network.ended);
    }
    assert!(answered > 60 * CALLS * 9 / 10, "only {answered} calls were answered");
}

#[test]
fn calls_over_a_good_network_are_all_answered_and_acknowledged() {
    let mut network = Network::new(1, Weather { loss: 0, repeat: 0, delay_ms: 20 });
    for _ in 0..CALLS {
        network.call();
    }
    network.run();
    assert_eq!(network.answered, CALLS);
    assert!(network.acked >= CALLS);
    assert!(network.sides.iter().all(|side| side.load() == (0, 0)));
}

#[test]
fn the_same_seed_gives_the_same_course() {
    let course = |seed| {
        let mut network = Network::new(seed, Weather { loss: 30, repeat: 20, delay_ms: 400 });
        network.call();
        network.run();
        (network.count, network.answered, network.acked)
    };
    assert_eq!(course(5), course(5));
}
