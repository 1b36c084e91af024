//! Session timers as the UAS of RFC 4028 9: a peer's `Session-Expires` is answered, never copied to another leg, never begun by us.

use std::time::{Duration, Instant};

use crate::sip::endpoint::Header;
use crate::sip::message::{Message, Name};

/// Shortest interval that we take, in seconds (RFC 4028 4).
pub(crate) const MIN_SE: u32 = 90;

/// Longest interval that we keep a clock for, in seconds; a longer one is answered as asked and never runs out here.
const MAX_SE: u32 = 7 * 24 * 3600;

/// A running session timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expiry {
    /// Seconds.
    interval: u32,
    /// We refresh, because the peer asked us to.
    pub(crate) is_ours: bool,
    /// When we refresh (half time), or end the session that the peer has not refreshed.
    pub(crate) at: Instant,
}

/// Whether a request asks for an interval that is too short: to be answered with 422.
pub(crate) fn is_too_short(request: &Message) -> bool {
    requested(request).is_some_and(|(interval, _)| interval < MIN_SE)
}

/// Interval and refresher (`true`: the UAS) of a request by a peer that knows session timers.
fn requested(request: &Message) -> Option<(u32, bool)> {
    if !request.has_option(Name::Supported, "timer") && !request.has_option(Name::Require, "timer") {
        return None;
    }
    let text = request.header_str(Name::SessionExpires)?;
    let (seconds, params) = text.split_once(';').unwrap_or((text, ""));
    let refresher = params.split(';').find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("refresher").then_some(value.trim())
    });
    let is_ours = refresher.is_some_and(|who| who.eq_ignore_ascii_case("uas"));
    Some((seconds.trim().parse().ok()?, is_ours))
}

impl Expiry {
    /// The timer that a request sets; `None`: it sets none.
    pub(crate) fn of(request: &Message, now: Instant) -> Option<Expiry> {
        let (interval, is_ours) = requested(request)?;
        Some(Expiry { interval, is_ours, at: due(interval, is_ours, now) })
    }

    /// The headers of the 2xx (RFC 4028 9).
    pub(crate) fn headers(&self) -> Vec<Header> {
        let who = if self.is_ours { "uas" } else { "uac" };
        let mut headers =
            vec![("Session-Expires".to_owned(), format!("{};refresher={who}", self.interval).into_bytes())];
        if !self.is_ours {
            headers.push(("Require".to_owned(), b"timer".to_vec()));
        }
        headers
    }

    /// The headers of a refresh that we send: we stay the refresher.
    pub(crate) fn refresh_headers(&self) -> Vec<Header> {
        vec![
            ("Session-Expires".to_owned(), format!("{};refresher=uac", self.interval).into_bytes()),
            ("Supported".to_owned(), b"timer".to_vec()),
        ]
    }

    /// Starts again.
    pub(crate) fn renew(&mut self, now: Instant) {
        self.at = due(self.interval, self.is_ours, now);
    }
}

/// Half the interval for a refresher, the end less min(32 s, a third) for the one who waits (RFC 4028 10).
fn due(interval: u32, is_ours: bool, now: Instant) -> Instant {
    let seconds = interval.min(MAX_SE);
    let wait = if is_ours { seconds / 2 } else { seconds - (seconds / 3).min(32) };
    now + Duration::from_secs(u64::from(wait))
}
