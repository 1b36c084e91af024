//! Keeping a session alive (RFC 4028 7.4, 10): our refreshes, what becomes of them, and the end of a session that nobody
//! refreshed.
//!
//! ```text
//! agreed --half time--> refreshing --2xx--> agreed
//!    |                     |  \--491, 500, 503, …--> waiting --> refreshing
//!    |                     \--408, 481--> gone (BYE)
//!    \--the end, less 32 s or a third--> gone (BYE)
//! ```
//! A refresh is an UPDATE without SDP where the peer allows UPDATE, else a re-INVITE with the SDP that we sent last.

use std::time::{Duration, Instant};

use super::{Ours, Owner, Phase, Session, Wish};
use crate::sip::endpoint::{ClientTx, EndReason, Endpoint, Event, SessionId};
use crate::sip::message::{Message, Method, Name};

/// How long we wait before a refresh that was refused is sent again, unless the peer says how long.
const PAUSE: Duration = Duration::from_secs(10);

impl Endpoint {
    /// Refreshes a session, or ends it, when that is due.
    pub(super) fn run_expiry(&mut self, id: SessionId, now: Instant) {
        let Some(Phase::Talking(talk)) = self.sessions.get_mut(&id).map(|session| &mut session.phase) else { return };
        let Some(expiry) = talk.expiry.as_mut() else { return };
        if expiry.ends_at <= now {
            let has_left = talk.leaving.is_some();
            let reason = ("Reason".to_owned(), b"SIP;cause=408;text=\"Session Expired\"".to_vec());
            self.end_by_bye(id, &[reason], now);
            if !has_left {
                self.events.push_back(Event::Ended { session: id, why: EndReason::SessionExpired });
            }
        } else if expiry.refresh_at.is_some_and(|at| at <= now) {
            expiry.refresh_at = None;
            self.refresh(id, now);
        }
    }

    fn refresh(&mut self, id: SessionId, now: Instant) {
        let Some(talk) = self.sessions.get_mut(&id).and_then(Session::talk) else { return };
        let Some(expiry) = talk.expiry else { return };
        if talk.allows_update || talk.sdp.is_none() {
            let headers = expiry.request_headers();
            if let Some(ClientTx(tx)) = self.send_in_dialog(id, Method::Update, &headers, None, now) {
                self.owners.insert(tx, Owner::Refresh(id));
            }
        } else if talk.is_busy() {
            // An INVITE is under way: if it is ours, it refreshes as well.
            self.refresh_later(id, now + PAUSE);
        } else {
            let wish = Wish { sdp: talk.sdp.clone(), headers: Vec::new(), refused: 0, is_refresh: true };
            self.send_reinvite(id, wish, now);
        }
    }

    pub(super) fn refresh_later(&mut self, id: SessionId, at: Instant) {
        if let Some(talk) = self.sessions.get_mut(&id).and_then(Session::talk)
            && let Some(expiry) = talk.expiry.as_mut().filter(|expiry| expiry.is_ours)
        {
            expiry.refresh_at = Some(at);
        }
        self.rearm(id);
    }

    /// A final response to our UPDATE.
    pub(in crate::sip) fn on_refresh_response(&mut self, id: SessionId, response: &Message, now: Instant) {
        let status = response.status();
        if !(200..300).contains(&status) {
            return self.on_refresh_failed(id, status, Some(response), now);
        }
        if let Some(talk) = self.sessions.get_mut(&id).and_then(Session::talk) {
            talk.dialog.refresh_target(response);
            if let Some(expiry) = &mut talk.expiry {
                expiry.confirm(response, now);
            }
        }
        self.rearm(id);
    }

    /// A refresh of ours was refused, or got no answer (408, 503).
    pub(in crate::sip) fn on_refresh_failed(
        &mut self,
        id: SessionId,
        status: u16,
        response: Option<&Message>,
        now: Instant,
    ) {
        let is_caller = self.sessions.get_mut(&id).and_then(Session::talk).is_some_and(|talk| talk.dialog.is_caller);
        let glare = self.backoff(is_caller);
        let Some(talk) = self.sessions.get_mut(&id).and_then(Session::talk) else { return };
        let Some(expiry) = talk.expiry.as_mut() else { return };
        match status {
            481 | 408 => {
                self.end_by_bye(id, &[], now);
                self.events.push_back(Event::Ended { session: id, why: EndReason::Gone });
            }
            422 if response.is_some_and(|response| expiry.raise(response)) => self.refresh(id, now),
            405 | 501 if talk.allows_update && talk.sdp.is_some() => {
                talk.allows_update = false;
                self.refresh(id, now);
            }
            491 => self.refresh_later(id, now + glare),
            _ => {
                let asked = response.and_then(|response| response.number(Name::RetryAfter));
                let pause = asked.map_or(PAUSE, |seconds| Duration::from_secs(u64::from(seconds.clamp(1, 3600))));
                // Not beyond the end: one more try is worth more than the peer's wish to be left alone.
                self.refresh_later(id, now + pause);
            }
        }
    }

    /// A re-INVITE of the user's waits while one that only refreshes is under way.
    pub(super) fn queue_wish(&mut self, id: SessionId, wish: Wish) -> bool {
        let Some(talk) = self.sessions.get_mut(&id).and_then(Session::talk) else { return false };
        let Ours::Open(tx) = talk.ours else { return false };
        let refreshes = matches!(self.owners.get(&tx), Some(Owner::Reinvite(reinvite)) if reinvite.wish.is_refresh);
        if !refreshes || talk.queued.is_some() {
            return false;
        }
        talk.queued = Some(wish);
        true
    }

    /// What waited for a refresh goes out.
    pub(in crate::sip) fn send_queued(&mut self, id: SessionId, now: Instant) {
        let Some(talk) = self.sessions.get_mut(&id).and_then(Session::talk) else { return };
        if let Some(wish) = talk.queued.take() {
            self.send_reinvite(id, wish, now);
        }
    }
}
