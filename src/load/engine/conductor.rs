//! The course of a run: registrations, ramp, hold, end; and what is told of it each second.
//!
//! ```text
//!  signing in ──all decided──► ramp ──all calls settled or failed──► hold ──its time is up──► ending ──all over──► done
//! ```

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;

use super::Threads;
use super::bridge::Bridge;
use super::call::{Call, Stage};
use super::order::{Order, SeatId, Side, Tick, Told};
use super::signalling::Signalling;
use super::witnesses::Witnesses;
use crate::load::LoadError;
use crate::load::browser::phones::State;
use crate::load::outcome::{Outcome, Second};
use crate::load::peer::rtpengine::{Met, NgError};
use crate::load::plan::{self, BrowserProfile, LoadPlan};
use crate::load::process::Processes;
use crate::load::voice::{Choir, Coding, LookAhead, PILOTS, Probe};
use crate::sip::endpoint::SessionId;

/// Calls that hang up in a turn, and the time between two turns: an end that is no storm.
const HANG_UPS: usize = 10;
const TURN: Duration = Duration::from_millis(10);
/// Longest time between two turns.
const IDLE: Duration = Duration::from_millis(100);
/// How long registrations may take beyond what their number needs.
const SIGN_IN: Duration = Duration::from_secs(20);

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    SigningIn { until: Instant },
    Ramp,
    Hold { until: Instant },
    Ending,
}

/// What the ends say.
pub(super) struct Voices {
    pub(super) browsers: Choir,
    pub(super) pcmu: Choir,
    pub(super) pcma: Choir,
}

/// The run.
pub(super) struct Conductor<'a> {
    pub(super) plan: &'a LoadPlan,
    pub(super) threads: &'a Threads,
    told: mpsc::Receiver<Told>,
    seconds: mpsc::Sender<Second>,
    pub(super) rng: StdRng,
    pub(super) voices: Voices,
    pub(super) ahead: LookAhead,
    /// `None`: the floor, or rtpengine.
    pub(super) sip: Option<Signalling>,
    /// rtpengine.
    pub(super) bridge: Option<Bridge>,
    pub(super) witnesses: Witnesses,
    /// The present attempt of each call.
    pub(super) calls: Vec<Call>,
    pub(super) seats: FxHashMap<SeatId, usize>,
    pub(super) sessions: FxHashMap<(Side, SessionId), usize>,
    course: Course,
    begun: Instant,
    pub(super) next_seat: u32,
    /// When the next call of the ramp begins.
    next_call: Instant,
    outcome: Outcome,
    ourselves: Processes,
    failed: u32,
}

impl<'a> Conductor<'a> {
    pub(super) fn new(
        plan: &'a LoadPlan,
        threads: &'a Threads,
        told: mpsc::Receiver<Told>,
        seconds: mpsc::Sender<Second>,
    ) -> Result<Conductor<'a>, LoadError> {
        let frame_ms = plan.browsers.frame_ms;
        let coding = match plan.browsers.profile {
            BrowserProfile::Hint => Coding::NarrowOpus { frame_ms },
            BrowserProfile::FullBand => Coding::FullOpus { frame_ms },
        };
        let libopus = |error: crate::codec::CodecError| LoadError::Driver(std::io::Error::other(error));
        let mut browsers = Choir::new(coding);
        let first = browsers.voice(0).map_err(libopus)?;
        let ahead = LookAhead::measure(&first, &mut Probe::new()).map_err(libopus)?;
        let mut voices = Voices { browsers, pcmu: Choir::new(Coding::Pcmu), pcma: Choir::new(Coding::Pcma) };
        // A voice takes 15 ms to make: in a call's set-up that would be the target's.
        for k in 0..PILOTS.min(2 * plan.calls.concurrent as usize) {
            let pilot = (plan.seed as usize % PILOTS + k) % PILOTS;
            voices.browsers.voice(pilot).map_err(libopus)?;
            voices.pcmu.voice(pilot).map_err(libopus)?;
        }
        let now = Instant::now();
        Ok(Conductor {
            plan,
            threads,
            told,
            seconds,
            rng: StdRng::seed_from_u64(plan.seed),
            voices,
            ahead,
            sip: None,
            bridge: None,
            witnesses: Witnesses::new(),
            calls: Vec::new(),
            seats: FxHashMap::default(),
            sessions: FxHashMap::default(),
            course: Course::Ramp,
            begun: now,
            next_seat: 0,
            next_call: now,
            outcome: Outcome::default(),
            ourselves: Processes::ourselves()?,
            failed: 0,
        })
    }

    /// Runs to the end.
    pub(super) async fn run(mut self) -> Result<Outcome, LoadError> {
        if self.plan.ends == plan::Ends::Sip {
            self.sip = Some(Signalling::open(self.plan, &mut self.rng).await?);
            self.course = Course::SigningIn { until: Instant::now() + SIGN_IN + self.ramp_time(self.count()) };
        }
        if let plan::Ends::Rtpengine { ng } = self.plan.ends {
            let unreachable =
                |error: NgError| LoadError::Unreachable { target: ng.to_string(), reason: error.to_string() };
            self.bridge = Some(Bridge::open(ng).await.map_err(unreachable)?);
        }
        self.next_call = Instant::now();
        loop {
            self.turn()?;
            if self.is_over() {
                if let Some(bridge) = self.bridge.take() {
                    bridge.close().await;
                }
                return Ok(self.outcome);
            }
            let deadline = tokio::time::Instant::from_std(self.deadline());
            match &mut self.sip {
                Some(sip) => tokio::select! {
                    came = sip.next() => {
                        let now = Instant::now();
                        sip.take(came, now);
                        while let Some(came) = sip.waiting() {
                            sip.take(came, now);
                        }
                    }
                    Some((seat, said)) = self.witnesses.next() => self.witnessed(seat, said)?,
                    Some(told) = self.told.recv() => self.take(told)?,
                    () = tokio::time::sleep_until(deadline) => {}
                },
                None => tokio::select! {
                    (seat, met) = next_met(&mut self.bridge) => self.met(seat, met)?,
                    Some(told) = self.told.recv() => self.take(told)?,
                    () = tokio::time::sleep_until(deadline) => {}
                },
            }
            while let Ok(told) = self.told.try_recv() {
                self.take(told)?;
            }
        }
    }

    fn count(&self) -> usize {
        self.plan.calls.concurrent as usize
    }

    fn ramp_time(&self, calls: usize) -> Duration {
        Duration::from_secs_f64((calls as f64 / self.plan.calls.ramp_per_s).min(1e6))
    }

    pub(super) fn us(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.begun).as_micros() as u64
    }

    fn is_over(&self) -> bool {
        self.course == Course::Ending && self.calls.iter().all(|call| call.stage == Stage::Over && call.told)
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let sip = self.sip.as_ref().and_then(Signalling::poll_timeout);
        let ramp = (self.course == Course::Ramp && self.calls.len() < self.count()).then_some(self.next_call);
        let answers = self.calls.iter().filter_map(|call| call.answer_at).min();
        let ending = (self.course == Course::Ending).then_some(now + TURN);
        [sip, ramp, answers, ending, Some(now + IDLE)].into_iter().flatten().min().unwrap_or(now)
    }

    /// One turn: events, what is due, the course.
    fn turn(&mut self) -> Result<(), LoadError> {
        let now = Instant::now();
        self.work_events(now)?;
        self.answer_due(now);
        match self.course {
            Course::SigningIn { until } => self.sign_in(until, now)?,
            Course::Ramp => self.ramp(now)?,
            Course::Hold { until } if now >= until => self.end(now)?,
            Course::Hold { .. } => self.renew(now)?,
            Course::Ending => self.hang_up_some(now),
        }
        self.give_up_late(now);
        self.work_events(now)
    }

    fn sign_in(&mut self, until: Instant, now: Instant) -> Result<(), LoadError> {
        let Some(sip) = &mut self.sip else { return Ok(()) };
        let undecided = sip.register(now);
        if undecided > 0 && now < until {
            return Ok(());
        }
        if !sip.phones.iter().any(|phone| matches!(phone.state, State::Bound(_))) {
            let reason = sip.phones.iter().find_map(|phone| match &phone.state {
                State::Failed(why) => Some(why.clone()),
                _ => None,
            });
            let reason = reason.unwrap_or_else(|| "no answer to REGISTER".to_owned());
            return Err(LoadError::Unreachable { target: self.plan.browsers.urls.join(", "), reason });
        }
        self.course = Course::Ramp;
        self.next_call = now;
        Ok(())
    }

    fn ramp(&mut self, now: Instant) -> Result<(), LoadError> {
        while self.calls.len() < self.count() && self.next_call <= now {
            let number = self.calls.len();
            let call = self.begin(number, now)?;
            self.calls.push(call);
            // The time that its sockets take is no part of its set-up.
            let now = Instant::now();
            if !matches!(self.plan.ends, plan::Ends::Floor { .. }) {
                let late = now.saturating_duration_since(self.next_call);
                self.outcome.setup_lateness.record(late.as_micros() as u64);
            }
            self.dial(number, now)?;
            self.next_call += self.ramp_time(1);
        }
        let is_ready = |call: &mut Call| call.settle(now) || matches!(call.stage, Stage::Over | Stage::Leaving);
        if self.calls.len() < self.count() || !self.calls.iter_mut().all(is_ready) {
            return Ok(());
        }
        if self.calls.iter().all(|call| call.stage != Stage::Settled) {
            self.course = Course::Ending;
            return Ok(());
        }
        self.threads.media.give(Order::Measure(true));
        self.outcome.hold_at_us = self.us(now);
        self.outcome.driver_cpu_us = self.ourselves.cost()?.cpu_us;
        self.course = Course::Hold { until: now + self.plan.calls.hold };
        Ok(())
    }

    /// The hold is over: nothing counts any more, and all hang up.
    fn end(&mut self, now: Instant) -> Result<(), LoadError> {
        self.threads.media.give(Order::Measure(false));
        self.outcome.hold_us = self.us(now) - self.outcome.hold_at_us;
        self.outcome.driver_cpu_us = self.ourselves.cost()?.cpu_us.saturating_sub(self.outcome.driver_cpu_us);
        self.course = Course::Ending;
        Ok(())
    }

    /// Hangs up calls that have lasted, and makes them anew once they are over.
    fn renew(&mut self, now: Instant) -> Result<(), LoadError> {
        if let Some(sip) = &mut self.sip {
            sip.register(now);
        }
        let Some(lasting) = self.plan.calls.renew_after else { return Ok(()) };
        for number in 0..self.calls.len() {
            let call = &mut self.calls[number];
            call.settle(now);
            if call.stage == Stage::Settled && now >= call.since + lasting {
                self.leave(number, now);
            } else if call.stage == Stage::Over && call.told {
                let next = self.begin(number, now)?;
                self.calls[number] = next;
                self.dial(number, now)?;
            }
        }
        Ok(())
    }

    fn hang_up_some(&mut self, now: Instant) {
        let alive = |call: &Call| !matches!(call.stage, Stage::Leaving | Stage::Over);
        let some: Vec<usize> = (0..self.calls.len()).filter(|n| alive(&self.calls[*n])).take(HANG_UPS).collect();
        for number in some {
            self.leave(number, now);
        }
    }

    /// Gives up what takes too long.
    fn give_up_late(&mut self, now: Instant) {
        for number in 0..self.calls.len() {
            let Some((_, why)) = self.calls[number].limit().filter(|(at, _)| *at <= now) else { continue };
            match self.calls[number].stage {
                Stage::Leaving => self.finish(number, now),
                _ => self.fail(number, None, why, now),
            }
        }
    }

    /// Hangs up from one of the two ends, as it is drawn.
    fn leave(&mut self, number: usize, now: Instant) {
        let side = if self.rng.random() { Side::Browser } else { Side::Trunk };
        let call = &mut self.calls[number];
        self.threads.media.give(Order::Quiet(call.seat));
        let is_up = matches!(call.stage, Stage::Up | Stage::Settled);
        // An INVITE is taken back by whoever sent it.
        let side = if is_up { side } else { call.caller() };
        call.enter(Stage::Leaving, now);
        let both = call.sessions.iter().all(Option::is_some);
        self.hang_up(number, side, now);
        if !both {
            self.finish(number, now);
        }
    }

    /// Ends a call that went wrong.
    pub(super) fn fail(&mut self, number: usize, status: Option<u16>, why: &str, now: Instant) {
        let call = &mut self.calls[number];
        if call.stage == Stage::Over {
            return;
        }
        if call.stage != Stage::Leaving {
            call.fail(status, why);
            self.failed += 1;
            self.threads.media.give(Order::Quiet(self.calls[number].seat));
        }
        self.hang_up(number, Side::Browser, now);
        self.hang_up(number, Side::Trunk, now);
        self.finish(number, now);
    }

    /// Nothing of the call is left at the target.
    pub(super) fn finish(&mut self, number: usize, now: Instant) {
        self.hang_up(number, Side::Browser, now);
        self.hang_up(number, Side::Trunk, now);
        let call = &mut self.calls[number];
        if call.stage == Stage::Over {
            return;
        }
        call.enter(Stage::Over, now);
        call.answer_at = None;
        self.threads.media.give(Order::Close(call.seat));
        if let Some(bridge) = &mut self.bridge {
            bridge.delete(call.seat);
        }
        if call.told {
            self.outcome.calls.push(call.outcome.clone());
        }
    }

    /// Takes what the media thread tells.
    fn take(&mut self, told: Told) -> Result<(), LoadError> {
        let now = Instant::now();
        match told {
            Told::Connected(seat) => {
                if let Some(call) = self.call(seat) {
                    call.connected = true;
                    call.settle(now);
                }
            }
            Told::Heard(seat, at) => {
                if let Some(call) = self.call(seat) {
                    call.heard = true;
                    let since = at.saturating_duration_since(call.invited);
                    call.outcome.first_audio_us = Some(since.as_micros() as u64);
                    call.settle(now);
                }
            }
            Told::DtlsFailed(seat, failure) => {
                if let Some(number) = self.seats.get(&seat).copied() {
                    self.fail(number, None, &format!("DTLS: {failure:?}"), now);
                }
            }
            Told::ConsentLost(seat) => {
                if let Some(number) = self.seats.get(&seat).copied() {
                    self.fail(number, None, "ICE: no answer to checks for 30 s", now);
                }
            }
            Told::Figures(seat, ways) => {
                let Some(number) = self.seats.remove(&seat) else { return Ok(()) };
                let call = &mut self.calls[number];
                if call.seat == seat {
                    call.take_figures(ways.0, ways.1);
                    if call.stage == Stage::Over {
                        self.outcome.calls.push(call.outcome.clone());
                    }
                }
            }
            Told::Lateness(lateness) => self.outcome.lateness = *lateness,
            Told::Tick(tick) => self.tell(tick, now),
            Told::Broken(error) => return Err(LoadError::Driver(error)),
        }
        Ok(())
    }

    fn call(&mut self, seat: SeatId) -> Option<&mut Call> {
        let number = *self.seats.get(&seat)?;
        self.calls.get_mut(number).filter(|call| call.seat == seat)
    }

    fn tell(&self, tick: Tick, now: Instant) {
        let count = |wanted: &[Stage]| self.calls.iter().filter(|call| wanted.contains(&call.stage)).count() as u32;
        let second = Second {
            t_us: self.us(now),
            ringing: count(&[Stage::Calling]),
            up: count(&[Stage::Up, Stage::Settled]),
            failed: self.failed,
            hold: matches!(self.course, Course::Hold { .. }),
            sent: tick.sent,
            received: tick.received,
            lateness_p99_us: tick.lateness_p99_us,
            ..Second::default()
        };
        // Whoever does not take them in time misses them.
        let _ = self.seconds.try_send(second);
    }
}

/// Waits for rtpengine, where there is one.
async fn next_met(bridge: &mut Option<Bridge>) -> (SeatId, Result<Met, NgError>) {
    match bridge {
        Some(bridge) => bridge.next().await,
        None => std::future::pending().await,
    }
}
