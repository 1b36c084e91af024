//! Two calls of the lab that are one for its callers: somebody dials a DN, or is routed to one.
//!
//! ```text
//!  taken call ──────────────── lab ──────────────── made call
//!    hears 180, 200, the refusal <── of the DN        │
//!    its end, a CANCEL too ──────────────────────────>│ and the other way round, once both talk
//! ```
//! A customer who was answered by an announcement waits on when the agent refuses: who routes has the next word. Hold is not
//! passed on: each leg is answered by itself, and who is held hears what the holder sends.

use std::time::Instant;

use tokio::sync::mpsc;

use super::super::call::Side;
use super::super::inbound::{self, Arrival};
use super::super::registrar::user;
use super::super::{CallIn, CallStatus, Sound};
use super::Server;

/// One caller and whom it is to be joined with, by Call-ID.
#[derive(Debug)]
struct Pair {
    taken: String,
    made: String,
    talks: bool,
}

/// All that are joined, or to be.
#[derive(Debug)]
pub(super) struct Joined {
    pairs: Vec<Pair>,
    /// Who routes customers.
    arrivals: Option<mpsc::Sender<Arrival>>,
}

impl Joined {
    pub fn new(arrivals: Option<mpsc::Sender<Arrival>>) -> Joined {
        Joined { pairs: Vec::new(), arrivals }
    }

    pub fn add(&mut self, taken: String, made: String) {
        self.pairs.push(Pair { taken, made, talks: false });
    }
}

impl Server {
    /// Returns true for a number that is routed.
    pub(super) fn is_queue(&self, number: &str) -> bool {
        self.joined.arrivals.is_some() && self.config.queues.iter().any(|queue| queue.number == number)
    }

    /// The customer of the configuration dials a number; false: it is not routed.
    pub(super) fn arrives(&self, number: &str) -> bool {
        let Some(arrivals) = self.joined.arrivals.as_ref().filter(|_| self.is_queue(number)) else { return false };
        let customer = &self.config.customer;
        let (arrival, _) = inbound::arrival(&customer.number, number, customer.patience, None);
        arrivals.try_send(arrival).is_ok()
    }

    /// Somebody who dialled a number that is routed waits for an agent.
    pub(super) fn queue_up(&mut self, call_id: &str) -> bool {
        let (Some(arrivals), Some(call)) = (&self.joined.arrivals, self.calls.get(call_id)) else { return false };
        let (arrival, _) = inbound::arrival(&user(&call.remote), &call.number, None, Some(self.seen(call)));
        arrivals.try_send(arrival).is_ok()
    }

    /// Somebody who dialled a DN is to be joined with it; false: it cannot be called. Who is handed on stays who it is: the
    /// new agent sees the customer, with its CallUUID, ConnID and user data.
    pub(super) fn call_through(&mut self, call_id: &str, now: Instant) -> bool {
        let handed_on = self.handed_on(call_id);
        let Some(call) = self.calls.get_mut(call_id) else { return false };
        let (dn, from, join) = (call.number.clone(), user(&call.remote), Some(call_id.to_owned()));
        let call = match handed_on {
            Some(customer) => {
                customer.uuid.iter().for_each(|uuid| call.dialog.uuid.clone_from(uuid));
                CallIn { dn, join, ..customer }
            }
            None => CallIn { dn, from, join, uuid: Some(call.dialog.uuid.clone()), ..CallIn::default() },
        };
        self.make(call, Sound::Silence, now).is_some()
    }

    /// Returns what is known of the customer whom the DN that talks to it hands on by this call (RFC 3892), which has no
    /// other sign of it.
    fn handed_on(&self, call_id: &str) -> Option<CallIn> {
        let Side::Taken { invite, .. } = &self.calls.get(call_id)?.side else { return None };
        let referrer = user(&invite.header("Referred-By"));
        let of_referrer = self.calls.values().filter(|call| call.number == referrer && call.is_answered());
        let mut customers = of_referrer.filter_map(|call| match &call.side {
            Side::Made { told, .. } => Some((call, told)),
            Side::Taken { .. } => None,
        });
        let (call, told) = customers.next()?;
        let dialled = Some(user(&call.remote)).filter(|number| *number != call.number);
        let (from, uuid) = (user(&call.local), Some(call.dialog.uuid.clone()));
        Some(CallIn { from, dialled, uuid, headers: told.clone(), ..CallIn::default() })
    }

    /// Lets either side of each pair follow what has become of the other.
    pub(super) fn tend_joined(&mut self, now: Instant) {
        let mut pairs = std::mem::take(&mut self.joined.pairs);
        pairs.retain_mut(|pair| self.follow(pair, now));
        self.joined.pairs = pairs;
    }

    /// Returns false where nothing is left to follow.
    fn follow(&mut self, pair: &mut Pair, now: Instant) -> bool {
        let status = |call_id: &str| self.calls.get(call_id).map(|call| *call.status.borrow());
        let (Some(taken), Some(made)) = (status(&pair.taken), status(&pair.made)) else { return false };
        match (taken, made) {
            (CallStatus::Ended(_), CallStatus::Ended(_)) => return false,
            (CallStatus::Ended(_), _) => {
                self.hang_up(&pair.made, now);
                return false;
            }
            (_, CallStatus::Ended(_)) if pair.talks => {
                self.hang_up(&pair.taken, now);
                return false;
            }
            (CallStatus::Answered, CallStatus::Ended(_)) => return false,
            (_, CallStatus::Ended(status)) => {
                let status = if status >= 300 { status } else { 480 };
                self.finish(&pair.taken, status, now);
                return false;
            }
            (CallStatus::Trying, CallStatus::Ringing) => self.provisional(&pair.taken, 180, "Ringing"),
            (_, CallStatus::Answered) if !pair.talks => {
                if taken != CallStatus::Answered {
                    self.answer(&pair.taken, now);
                }
                let audio = |call_id: &str| self.calls.get(call_id).and_then(|call| call.audio.as_ref());
                if let (Some(one), Some(other)) = (audio(&pair.taken), audio(&pair.made)) {
                    one.join(other);
                }
                pair.talks = true;
            }
            _ => {}
        }
        true
    }

    /// Returns true for a call that was taken of somebody.
    pub(super) fn is_taken(&self, call_id: &str) -> bool {
        self.calls.get(call_id).is_some_and(|call| matches!(call.side, Side::Taken { .. }) && !call.is_over())
    }
}
