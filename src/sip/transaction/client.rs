//! Non-INVITE client transaction (RFC 3261 17.1.2), timers E, F, K.
//!
//! ```text
//! Trying --1xx--> Proceeding --2xx..6xx--> Completed --K--> Terminated
//! ```

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Step;
use crate::sip::endpoint::Timers;

/// One request other than INVITE and ACK that we sent.
#[derive(Debug)]
pub(crate) struct Client {
    timers: Timers,
    reliable: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Trying(Waiting),
    Proceeding(Waiting),
    Completed { until: Instant },
    Terminated,
}

#[derive(Debug)]
struct Waiting {
    request: Bytes,
    resend: Option<(Instant, Duration)>,
    give_up: Instant,
}

impl Client {
    /// The request has just been sent.
    pub(crate) fn new(request: Bytes, reliable: bool, timers: Timers, now: Instant) -> Self {
        let resend = (!reliable).then_some((now + timers.t1, timers.t1));
        let waiting = Waiting { request, resend, give_up: now + timers.patience() };
        Client { timers, reliable, state: State::Trying(waiting) }
    }

    pub(crate) fn on_response(&mut self, status: u16, now: Instant) -> Step {
        match (std::mem::replace(&mut self.state, State::Terminated), status) {
            (State::Trying(waiting) | State::Proceeding(waiting), 100..=199) => {
                self.state = State::Proceeding(waiting);
                Step::deliver()
            }
            (State::Trying(_) | State::Proceeding(_), 200..=699) => {
                if !self.reliable {
                    self.state = State::Completed { until: now + self.timers.t4 };
                }
                Step::deliver()
            }
            (state, _) => {
                self.state = state;
                Step::default()
            }
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) -> Step {
        let t2 = self.timers.t2;
        let step = match &mut self.state {
            State::Trying(waiting) => waiting.run(now, |interval| (interval * 2).min(t2)),
            State::Proceeding(waiting) => waiting.run(now, |_| t2),
            State::Completed { until } if *until <= now => {
                self.state = State::Terminated;
                Step::default()
            }
            State::Completed { .. } | State::Terminated => Step::default(),
        };
        if step.timed_out {
            self.state = State::Terminated;
        }
        step
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Trying(w) | State::Proceeding(w) => Some(w.resend.map_or(w.give_up, |(at, _)| at.min(w.give_up))),
            State::Completed { until } => Some(*until),
            State::Terminated => None,
        }
    }

    /// No final response has come yet.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::Trying(_) | State::Proceeding(_))
    }

    pub(crate) fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}

impl Waiting {
    fn run(&mut self, now: Instant, next: impl Fn(Duration) -> Duration) -> Step {
        if self.give_up <= now {
            return Step::timed_out();
        }
        match &mut self.resend {
            Some((at, interval)) if *at <= now => {
                *interval = next(*interval);
                *at = now + *interval;
                Step::send(self.request.clone())
            }
            _ => Step::default(),
        }
    }
}
