//! Keys: from an INFO, a command or a media thread to all who are to hear them, by RTP where that was agreed (RFC 4733), else
//! to a trunk by INFO (RFC 6086) with `application/dtmf-relay`, which no RFC describes and every SIP Server reads.
//!
//! A browser is told no keys by INFO: there is no page that would do anything with them.

use std::time::{Duration, Instant};

use super::Gateway;
use crate::call::{EventKind, LegKind};
use crate::id::{CallId, LegId, WorkerId};
use crate::plan::{Digit, Order};

/// Its content type.
pub(super) const RELAY: &str = "application/dtmf-relay";

/// Length of a key where an INFO names none.
const KEY: Duration = Duration::from_millis(160);

/// Shortest and longest key that is played out, ms (RFC 4733 2.5.2.3 asks for 40 at least).
const KEY_MS: (u64, u64) = (40, 6000);

/// The keys by their events (RFC 4733 3.2).
const SIGNALS: &[u8; 16] = b"0123456789*#ABCD";

/// Reads a key: `Signal=5`, `Duration=160` of `dtmf-relay`, or the bare key of `dtmf`.
/// A length out of range is brought into it, as a phone's is; a key that is none, or a number that is none, is refused.
pub(super) fn read(content_type: &str, body: &[u8]) -> Option<Digit> {
    let body = std::str::from_utf8(body).ok()?;
    let (key, duration) = if content_type == "application/dtmf" {
        (body.trim(), KEY)
    } else {
        let mut key = None;
        let mut duration = KEY;
        for line in body.lines() {
            let Some((name, value)) = line.split_once('=') else { continue };
            match name.trim().to_ascii_lowercase().as_str() {
                "signal" => key = Some(value.trim()),
                "duration" => {
                    let ms = value.trim().parse::<u64>().ok()?;
                    duration = Duration::from_millis(ms.clamp(KEY_MS.0, KEY_MS.1));
                }
                _ => {}
            }
        }
        (key?, duration)
    };
    let [key] = key.as_bytes() else { return None };
    let event = SIGNALS.iter().position(|signal| *signal == key.to_ascii_uppercase())?;
    Some(Digit { event: u8::try_from(event).ok()?, duration })
}

/// Writes a key as `dtmf-relay`; `None`: it is no key (a flash, say).
fn written(digit: Digit) -> Option<String> {
    let signal = SIGNALS.get(usize::from(digit.event))?;
    let ms = digit.duration.as_millis().clamp(KEY_MS.0.into(), KEY_MS.1.into());
    Some(format!("Signal={}\r\nDuration={ms}\r\n", char::from(*signal)))
}

impl Gateway {
    /// Has these legs hear a key.
    pub(super) fn press(&mut self, call: CallId, to: &[(WorkerId, LegId)], digit: Digit, now: Instant) {
        for (worker, leg) in to {
            if self.is_told_keys(call, *leg) {
                self.press_by_info(call, *leg, digit, now);
            } else {
                self.order(*worker, Order::SendDigit(*leg, digit));
            }
        }
    }

    /// A media thread has heard a key of this leg, and carries it to all but those who agreed on no way for it.
    pub(super) fn heard_key(&mut self, call: CallId, leg: LegId, digit: Digit, now: Instant) {
        let Some(found) = self.calls.get(call).filter(|call| call.is_answered()) else { return };
        let from_agent = found.leg(leg).is_some_and(|leg| leg.kind == LegKind::Browser);
        for (_, hearer) in found.hearers(leg) {
            if self.is_told_keys(call, hearer) {
                self.press_by_info(call, hearer, digit, now);
            }
        }
        self.emit(call, EventKind::Digit { digit, from_agent }, now);
    }

    fn is_told_keys(&self, call: CallId, leg: LegId) -> bool {
        let leg = self.calls.get(call).and_then(|call| call.leg(leg));
        leg.is_some_and(|leg| leg.kind == LegKind::Trunk && leg.media.is_without_events())
    }

    fn press_by_info(&mut self, call: CallId, leg: LegId, digit: Digit, now: Instant) {
        let Some(found) = self.calls.get_mut(call).and_then(|call| call.leg_mut(leg)) else { return };
        // In an early dialog of ours nobody listens for keys yet.
        if written(digit).is_none() || !found.session.is_some_and(|session| self.endpoint.is_confirmed(session)) {
            return;
        }
        if let Some(digit) = found.keys.press(digit) {
            self.send_key(call, leg, digit, now);
        }
    }

    fn send_key(&mut self, call: CallId, leg: LegId, digit: Digit, now: Instant) {
        let Some(found) = self.calls.get_mut(call).and_then(|call| call.leg_mut(leg)) else { return };
        let sent = match (found.session, written(digit)) {
            (Some(session), Some(body)) => self.endpoint.info(session, RELAY, body.as_bytes(), now),
            _ => None,
        };
        match sent {
            Some(tx) => {
                self.counters.info_digits_sent += 1;
                self.calls.await_info(tx, call, leg);
            }
            // The dialog is over.
            None => drop(found.keys.answered(None)),
        }
    }

    /// The trunk's response to a key, or that there is none.
    pub(super) fn key_taken(&mut self, leg: LegId, status: Option<u16>, now: Instant) {
        let Some(call) = self.calls.of_leg(leg) else { return };
        if status.is_none_or(|status| status >= 300) {
            tracing::info!(%call, %leg, ?status, "the trunk did not take a key by INFO");
        }
        let found = self.calls.get_mut(call).and_then(|call| call.leg_mut(leg));
        if let Some(next) = found.and_then(|leg| leg.keys.answered(status)) {
            self.send_key(call, leg, next, now);
        }
    }
}
