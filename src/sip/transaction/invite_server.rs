//! INVITE server transaction (RFC 3261 17.2.1, RFC 6026 7.1), timers G, H, I, L.
//!
//! ```text
//! Proceeding --2xx--> Accepted --L--> Terminated
//!     \--300..699--> Completed --ACK--> Confirmed --I--> Terminated
//!                        \--H--> Terminated
//! ```
//! A 2xx is repeated by the session, not here (RFC 3261 13.3.1.4).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Step;
use crate::sip::endpoint::Timers;

/// One INVITE that we got.
#[derive(Debug)]
pub(crate) struct InviteServer {
    timers: Timers,
    reliable: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// `trying`: when a 100 is due, as long as nothing was sent.
    Proceeding {
        last: Option<Bytes>,
        trying: Option<(Instant, Bytes)>,
    },
    Completed {
        response: Bytes,
        resend: Option<(Instant, Duration)>,
        give_up: Instant,
    },
    Confirmed {
        until: Instant,
    },
    Accepted {
        until: Instant,
    },
    Terminated,
}

impl InviteServer {
    /// `trying` is the 100 to be sent when nothing else is sent soon.
    pub(crate) fn new(trying: Bytes, reliable: bool, timers: Timers, now: Instant) -> Self {
        let trying = Some((now + timers.trying, trying));
        InviteServer { timers, reliable, state: State::Proceeding { last: None, trying } }
    }

    /// The INVITE came again.
    pub(crate) fn on_retransmission(&mut self) -> Step {
        match &mut self.state {
            State::Proceeding { last, trying } => {
                if let Some((_, bytes)) = trying.take() {
                    *last = Some(bytes);
                }
                Step { send: last.clone(), ..Step::default() }
            }
            State::Completed { response, .. } => Step::send(response.clone()),
            State::Confirmed { .. } | State::Accepted { .. } | State::Terminated => Step::default(),
        }
    }

    /// The user answers; what comes after a final response is dropped.
    pub(crate) fn respond(&mut self, status: u16, response: Bytes, now: Instant) -> Step {
        let State::Proceeding { last, trying } = &mut self.state else { return Step::default() };
        match status {
            100..=199 => {
                *last = Some(response.clone());
                *trying = None;
            }
            200..=299 => self.state = State::Accepted { until: now + self.timers.patience() },
            _ => {
                let resend = (!self.reliable).then_some((now + self.timers.t1, self.timers.t1));
                let give_up = now + self.timers.patience();
                self.state = State::Completed { response: response.clone(), resend, give_up };
            }
        }
        Step::send(response)
    }

    /// Takes an ACK: of a 300..699 it is ours; in Accepted it belongs to the session.
    pub(crate) fn on_ack(&mut self, now: Instant) -> Step {
        match self.state {
            State::Completed { .. } if self.reliable => {
                self.state = State::Terminated;
                Step::default()
            }
            State::Completed { .. } => {
                self.state = State::Confirmed { until: now + self.timers.t4 };
                Step::default()
            }
            State::Accepted { .. } => Step::deliver(),
            _ => Step::default(),
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) -> Step {
        let t2 = self.timers.t2;
        match &mut self.state {
            State::Proceeding { last, trying } => match trying.take_if(|(at, _)| *at <= now) {
                Some((_, bytes)) => {
                    *last = Some(bytes.clone());
                    Step::send(bytes)
                }
                None => Step::default(),
            },
            State::Completed { give_up, .. } if *give_up <= now => {
                self.state = State::Terminated;
                Step::timed_out()
            }
            State::Completed { response, resend: Some((at, interval)), .. } if *at <= now => {
                *interval = (*interval * 2).min(t2);
                *at = now + *interval;
                Step::send(response.clone())
            }
            State::Confirmed { until } | State::Accepted { until } if *until <= now => {
                self.state = State::Terminated;
                Step::default()
            }
            _ => Step::default(),
        }
    }

    /// No final response was sent yet.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Proceeding { trying, .. } => trying.as_ref().map(|(at, _)| *at),
            State::Completed { resend, give_up, .. } => Some(resend.map_or(*give_up, |(at, _)| at.min(*give_up))),
            State::Confirmed { until } | State::Accepted { until } => Some(*until),
            State::Terminated => None,
        }
    }

    pub(crate) fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}
