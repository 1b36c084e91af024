//! A session timer (RFC 4028): what was agreed, what a message says of it, when it is due. Each leg has its own.

use std::time::{Duration, Instant};

use crate::sip::endpoint::{Header, Refresher, SessionTimer};
use crate::sip::message::{Message, Name};

/// Shortest interval that there is, in seconds (RFC 4028 4).
pub(crate) const MIN_SE: u32 = 90;

/// Longest interval that we keep a clock for, in seconds; a longer one is answered as asked and never runs out here.
const MAX_SE: u32 = 7 * 24 * 3600;

/// An agreed session timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expiry {
    /// Seconds.
    interval: u32,
    /// The longest Min-SE that was heard, in seconds.
    min_se: u32,
    /// We refresh.
    pub(crate) is_ours: bool,
    /// When we refresh next; `None`: the peer does, or a refresh of ours is on its way.
    pub(crate) refresh_at: Option<Instant>,
    /// When the session is over unless it was refreshed: early enough for a BYE (RFC 4028 10).
    pub(crate) ends_at: Instant,
    /// The peer's request says nothing of `timer`: its 2xx may not require it (RFC 4028 9).
    is_deaf: bool,
}

/// Whether a request asks for an interval that is too short: to be answered with 422.
pub(crate) fn is_too_short(request: &Message) -> bool {
    knows_timer(request) && stated(request).is_some_and(|(interval, _)| interval < MIN_SE)
}

/// The header of a 422.
pub(crate) fn min_se() -> Header {
    header(Name::MinSe, MIN_SE.to_string())
}

fn header(name: Name, value: String) -> Header {
    (name.as_str().to_owned(), value.into_bytes())
}

fn knows_timer(request: &Message) -> bool {
    request.has_option(Name::Supported, "timer") || request.has_option(Name::Require, "timer")
}

/// Interval and refresher (`true`: the UAS) that a message states.
fn stated(message: &Message) -> Option<(u32, Option<bool>)> {
    let text = message.header_str(Name::SessionExpires)?;
    let (seconds, params) = text.split_once(';').unwrap_or((text, ""));
    let refresher = params.split(';').find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("refresher").then_some(value.trim())
    });
    let is_uas = refresher.and_then(|who| match who {
        who if who.eq_ignore_ascii_case("uas") => Some(true),
        who if who.eq_ignore_ascii_case("uac") => Some(false),
        _ => None,
    });
    Some((seconds.trim().parse().ok()?, is_uas))
}

impl SessionTimer {
    /// The headers of an INVITE that asks for it.
    pub(crate) fn headers(&self) -> Vec<Header> {
        let min_se = self.min_se_s.max(MIN_SE);
        let who = match self.refresher {
            Some(Refresher::Us) => ";refresher=uac",
            Some(Refresher::Peer) => ";refresher=uas",
            None => "",
        };
        let interval = self.interval_s.max(min_se);
        vec![header(Name::SessionExpires, format!("{interval}{who}")), header(Name::MinSe, min_se.to_string())]
    }

    /// Takes the Min-SE of a 422; false: it asks for no more than we did.
    pub(crate) fn raise(&mut self, refusal: &Message) -> bool {
        let least = refusal.number(Name::MinSe).unwrap_or_default();
        if least <= self.interval_s.max(self.min_se_s).max(MIN_SE) {
            return false;
        }
        (self.interval_s, self.min_se_s) = (least, least);
        true
    }
}

impl Expiry {
    fn new(interval: u32, min_se: u32, is_ours: bool, now: Instant) -> Expiry {
        let mut expiry = Expiry { interval, min_se, is_ours, refresh_at: None, ends_at: now, is_deaf: false };
        expiry.renew(now);
        expiry
    }

    /// The timer that a request of the peer's sets; `None`: it sets none, so that there is none any more.
    pub(crate) fn of(request: &Message, now: Instant) -> Option<Expiry> {
        let (interval, uas) = stated(request)?;
        let is_deaf = !knows_timer(request);
        let min_se = request.number(Name::MinSe).unwrap_or(MIN_SE).max(MIN_SE);
        // Put in by a proxy on behalf of a caller that knows nothing of it: we refresh (RFC 4028 9, table 2).
        let is_ours = is_deaf || uas.unwrap_or(false);
        Some(Expiry { is_deaf, ..Expiry::new(interval.max(MIN_SE), min_se, is_ours, now) })
    }

    /// The timer that a 2xx to our INVITE agrees to.
    pub(crate) fn agreed(asked: Option<SessionTimer>, response: &Message, now: Instant) -> Option<Expiry> {
        let min_se = asked.map_or(MIN_SE, |asked| asked.min_se_s.max(MIN_SE));
        match (stated(response), asked) {
            (Some((interval, uas)), _) => Some(Expiry::new(interval.max(MIN_SE), min_se, uas != Some(true), now)),
            // The callee knows nothing of it: we refresh on our own account (RFC 4028 7.2).
            (None, Some(asked)) => Some(Expiry::new(asked.interval_s.max(min_se), min_se, true, now)),
            (None, None) => None,
        }
    }

    /// Takes a 2xx to a re-INVITE or UPDATE of ours.
    pub(crate) fn confirm(&mut self, response: &Message, now: Instant) {
        if let Some((interval, uas)) = stated(response) {
            self.interval = interval.max(MIN_SE);
            self.is_ours = uas != Some(true);
        }
        self.renew(now);
    }

    /// Takes the Min-SE of a 422 to a re-INVITE or UPDATE of ours; false: it asks for no more than we did.
    pub(crate) fn raise(&mut self, refusal: &Message) -> bool {
        let least = refusal.number(Name::MinSe).unwrap_or_default();
        if least <= self.interval {
            return false;
        }
        (self.interval, self.min_se) = (least, least.max(self.min_se));
        true
    }

    /// The headers of our 2xx (RFC 4028 9).
    pub(crate) fn answer_headers(&self) -> Vec<Header> {
        let who = if self.is_ours { "uas" } else { "uac" };
        let mut headers = vec![header(Name::SessionExpires, format!("{};refresher={who}", self.interval))];
        if !self.is_deaf {
            headers.push(header(Name::Require, "timer".to_owned()));
        }
        headers
    }

    /// The headers of a re-INVITE or UPDATE of ours: whoever refreshes goes on to do so.
    pub(crate) fn request_headers(&self) -> Vec<Header> {
        let who = if self.is_ours { "uac" } else { "uas" };
        let mut headers = vec![header(Name::SessionExpires, format!("{};refresher={who}", self.interval))];
        if self.min_se > MIN_SE {
            headers.push(header(Name::MinSe, self.min_se.to_string()));
        }
        headers
    }

    /// Starts again: a refresh at half time, the end min(32 s, a third) before the interval's (RFC 4028 10).
    pub(crate) fn renew(&mut self, now: Instant) {
        let seconds = self.interval.min(MAX_SE);
        let after = |seconds: u32| now + Duration::from_secs(u64::from(seconds));
        self.refresh_at = self.is_ours.then(|| after(seconds / 2));
        self.ends_at = after(seconds - (seconds / 3).min(32));
    }

    /// When there is something to do next.
    pub(crate) fn deadline(&self) -> Instant {
        self.refresh_at.map_or(self.ends_at, |at| at.min(self.ends_at))
    }
}
