//! INVITE client transaction (RFC 3261 17.1.1, RFC 6026 7.2), timers A, B, D, M.
//!
//! ```text
//! Calling --1xx--> Proceeding --2xx--> Accepted --M--> Terminated
//!    |  \--2xx----------------------------^
//!    +--300..699--> Completed --D--> Terminated
//!    \--B, or 64 × T1 after a CANCEL--> Late --64 × T1--> Terminated
//! ```
//! Late: the user has been told that nobody answers, but a 2xx that comes all the same is still heard of, for whoever
//! sent it has to be told to hang up.

use std::time::Instant;

use bytes::Bytes;

use super::Step;
use crate::sip::endpoint::Timers;

/// One INVITE that we sent.
#[derive(Debug)]
pub(crate) struct InviteClient {
    timers: Timers,
    reliable: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Calling {
        request: Bytes,
        resend: Option<(Instant, std::time::Duration)>,
        give_up: Instant,
    },
    /// `give_up`: set once a CANCEL is out (RFC 3261 9.1).
    Proceeding {
        give_up: Option<Instant>,
    },
    Completed {
        ack: Bytes,
        until: Instant,
    },
    Accepted {
        until: Instant,
    },
    Late {
        until: Instant,
    },
    Terminated,
}

impl InviteClient {
    /// The request has just been sent.
    pub(crate) fn new(request: Bytes, reliable: bool, timers: Timers, now: Instant) -> Self {
        let resend = (!reliable).then_some((now + timers.t1, timers.t1));
        InviteClient { timers, reliable, state: State::Calling { request, resend, give_up: now + timers.patience() } }
    }

    /// Takes a response; `ack` writes the ACK of a 300..699.
    pub(crate) fn on_response(&mut self, status: u16, now: Instant, ack: impl FnOnce() -> Bytes) -> Step {
        match (&mut self.state, status) {
            (State::Calling { .. } | State::Proceeding { .. }, 100..=199) => {
                if matches!(self.state, State::Calling { .. }) {
                    self.state = State::Proceeding { give_up: None };
                }
                Step::deliver()
            }
            (State::Calling { .. } | State::Proceeding { .. } | State::Late { .. }, 200..=299) => {
                self.state = State::Accepted { until: now + self.timers.patience() };
                Step::deliver()
            }
            (State::Calling { .. } | State::Proceeding { .. } | State::Late { .. }, 300..=699) => {
                let ack = ack();
                self.state = if self.reliable {
                    State::Terminated
                } else {
                    State::Completed { ack: ack.clone(), until: now + self.timers.d }
                };
                Step { send: Some(ack), ..Step::deliver() }
            }
            (State::Completed { ack, .. }, 300..=699) => Step::send(ack.clone()),
            (State::Accepted { .. }, 200..=299) => Step::deliver(),
            _ => Step::default(),
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) -> Step {
        match &mut self.state {
            State::Calling { give_up, .. } | State::Proceeding { give_up: Some(give_up) } if *give_up <= now => {
                self.state = State::Late { until: now + self.timers.patience() };
                Step::timed_out()
            }
            State::Calling { request, resend: Some((at, interval)), .. } if *at <= now => {
                *interval *= 2;
                *at = now + *interval;
                Step::send(request.clone())
            }
            State::Completed { until, .. } | State::Accepted { until } | State::Late { until } if *until <= now => {
                self.state = State::Terminated;
                Step::default()
            }
            _ => Step::default(),
        }
    }

    /// A CANCEL is out: without a final response the transaction ends 64 × T1 later (RFC 3261 9.1).
    pub(crate) fn cancelled(&mut self, now: Instant) {
        if let State::Proceeding { give_up } = &mut self.state {
            give_up.get_or_insert(now + self.timers.patience());
        }
    }

    /// A provisional has come, so that a CANCEL may go out.
    pub(crate) fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    /// No final response has come yet.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::Calling { .. } | State::Proceeding { .. })
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Calling { resend, give_up, .. } => Some(resend.map_or(*give_up, |(at, _)| at.min(*give_up))),
            State::Completed { until, .. } | State::Accepted { until } | State::Late { until } => Some(*until),
            State::Proceeding { give_up } => *give_up,
            State::Terminated => None,
        }
    }

    pub(crate) fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}
