//! Offers that come otherwise than by INVITE: in an UPDATE (RFC 3311), or in the PRACK of a provisional (RFC 3262 5).
//!
//! ```text
//!  confirmed   as a re-INVITE is, at once                              491: an offer of ours has no answer
//!  ringing     as a re-INVITE is, once offer and answer were           491: the same
//!              exchanged in acknowledged provisionals                  500: the peer's own offer has no answer
//! ```

use std::time::Instant;

use super::Gateway;
use super::routing::sdp_status;
use super::sessions::has_sdp;
use crate::id::{CallId, LegId};
use crate::sip::endpoint::ServerTx;
use crate::sip::message::{Builder, Message};

/// How long a peer is to wait before it offers again, s; RFC 3311 5.2 has 0 to 10.
const RETRY_AFTER: &str = "2";

impl Gateway {
    /// UPDATE, or PRACK with an offer.
    pub(super) fn update(&mut self, call: CallId, leg: LegId, tx: ServerTx, message: &Message, now: Instant) {
        if !has_sdp(message) {
            return self.reply(tx, message, 200, &[], now);
        }
        if let Err(status) = self.may_offer(call, leg, message.from().tag().unwrap_or_default()) {
            let retry = [("Retry-After".to_owned(), RETRY_AFTER.as_bytes().to_vec())];
            let headers = if status == 500 { &retry[..] } else { &[] };
            return self.reply(tx, message, status, headers, now);
        }
        let fresh = self.ports.credentials();
        let Some(found) = self.calls.get_mut(call) else { return self.reply(tx, message, 481, &[], now) };
        let is_answered = found.is_answered();
        let Some(found) = found.leg_mut(leg) else { return self.reply(tx, message, 481, &[], now) };
        let (worker, before) = (found.media.worker, found.media.peer_direction());
        match found.media.answer_again(leg, message.body(), fresh) {
            Ok(orders) => {
                let response = Builder::response_to(message, 200, None, None);
                let response = response.body("application/sdp", &found.media.sdp);
                self.endpoint.respond(tx, response, now);
                orders.into_iter().for_each(|order| self.order(worker, order));
                // Nobody is put on hold who does not talk yet.
                if is_answered {
                    self.reoffered(call, leg, before, now);
                }
            }
            Err(error) => self.reply(tx, message, sdp_status(&error), &[], now),
        }
    }

    /// Says whether the peer may make an offer; `fork`: its tag. The error is the status of the refusal.
    fn may_offer(&mut self, call: CallId, leg: LegId, fork: &str) -> Result<(), u16> {
        let found = self.calls.get_mut(call).and_then(|call| call.leg_mut(leg)).ok_or(481u16)?;
        let session = found.session.ok_or(481u16)?;
        let waits = found.media.is_waiting();
        match (self.endpoint.is_confirmed(session), self.endpoint.is_settled_early(session)) {
            (true, _) | (false, Some(true)) if !waits => Ok(()),
            (false, Some(false)) if !waits => Err(500),
            // We called: the answer of a provisional that was acknowledged is the last word on our offer.
            (false, None) if !waits || found.media.settle_early(fork) => Ok(()),
            _ => Err(491),
        }
    }
}
