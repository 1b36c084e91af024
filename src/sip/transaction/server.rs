//! Non-INVITE server transaction (RFC 3261 17.2.2), timer J.
//!
//! ```text
//! Trying --1xx--> Proceeding --2xx..6xx--> Completed --J--> Terminated
//! ```

use std::time::Instant;

use bytes::Bytes;

use super::Step;
use crate::sip::endpoint::Timers;

/// One request other than INVITE and ACK that we got.
#[derive(Debug)]
pub(crate) struct Server {
    timers: Timers,
    reliable: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nobody waits for ever: the client has given up by `give_up` (its timer F).
    Trying {
        give_up: Instant,
    },
    Proceeding {
        last: Bytes,
        give_up: Instant,
    },
    Completed {
        response: Bytes,
        until: Instant,
    },
    Terminated,
}

impl Server {
    pub(crate) fn new(reliable: bool, timers: Timers, now: Instant) -> Self {
        Server { timers, reliable, state: State::Trying { give_up: now + timers.patience() } }
    }

    /// The request came again.
    pub(crate) fn on_retransmission(&mut self) -> Step {
        match &self.state {
            State::Proceeding { last, .. } => Step::send(last.clone()),
            State::Completed { response, .. } => Step::send(response.clone()),
            State::Trying { .. } | State::Terminated => Step::default(),
        }
    }

    /// The user answers; what comes after a final response is dropped.
    pub(crate) fn respond(&mut self, status: u16, response: Bytes, now: Instant) -> Step {
        let give_up = match self.state {
            State::Trying { give_up } | State::Proceeding { give_up, .. } => give_up,
            State::Completed { .. } | State::Terminated => return Step::default(),
        };
        self.state = match status {
            100..=199 => State::Proceeding { last: response.clone(), give_up },
            _ if self.reliable => State::Terminated,
            _ => State::Completed { response: response.clone(), until: now + self.timers.patience() },
        };
        Step::send(response)
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) -> Step {
        if self.deadline().is_some_and(|at| at <= now) {
            self.state = State::Terminated;
        }
        Step::default()
    }

    /// No final response was sent yet.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::Trying { .. } | State::Proceeding { .. })
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Trying { give_up } | State::Proceeding { give_up, .. } => Some(give_up),
            State::Completed { until, .. } => Some(until),
            State::Terminated => None,
        }
    }

    pub(crate) fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}
