//! What the SIP Server says to a REGISTER, and what follows from it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::super::proof::Proof;
use super::{Key, Registration, Standing, State};
use crate::sip::digest::client::Account;
use crate::sip::endpoint::Header;
use crate::sip::message::{Message, Method, Name};
use crate::sip::uri::Uri;

/// First wait after a refusal or a silence; it doubles.
const RETRY: Duration = Duration::from_secs(30);
/// Longest wait after a refusal or a silence.
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// Longest time that a server's own `Retry-After`, `Min-Expires` or expiry is believed.
const LONGEST: Duration = Duration::from_secs(86_400);
/// Shortest time between two refreshes of one DN, whatever is granted.
const SHORTEST: Duration = Duration::from_secs(10);
/// Challenges in a row that are answered.
const MAX_ROUNDS: u8 = 2;

impl<K: Copy + Ord> Registration<K> {
    /// Writes the credentials of the REGISTER that is about to go, where the line was challenged before.
    pub(crate) fn credentials(&mut self, dn: &str, peer: K, uri: &str) -> Option<Header> {
        let cnonce = self.token();
        let line = self.lines.get_mut(&(Arc::from(dn), peer))?;
        line.proof.as_mut()?.header(&Method::Register, uri, &cnonce, false).ok()
    }

    /// A final response came. `contact` is the URI that was registered; `account` is what a challenge is answered with.
    pub(crate) fn answered(
        &mut self,
        dn: &str,
        peer: K,
        response: &Message,
        contact: &str,
        account: Option<Account>,
        now: Instant,
    ) {
        let key = (Arc::from(dn), peer);
        let Some(line) = self.lines.get_mut(&key) else { return };
        let State::Asked { leave } = line.state else { return };
        line.state = State::Idle;
        let status = response.status();
        if matches!(status, 401 | 407) && self.challenged(&key, response, account, now) {
            return;
        }
        if leave {
            return self.left(&key, now);
        }
        if let Some(line) = self.lines.get_mut(&key) {
            line.rounds = 0;
        }
        if !self.is_wanted(&key) && !matches!(status, 200..=299) {
            return self.drop_line(&key);
        }
        match status {
            200..=299 => self.granted(&key, response, contact, now),
            423 => self.too_brief(&key, response, now),
            503 if response.header(Name::RetryAfter).is_some() => self.busy(&key, response, now),
            404 => self.refused(&key, Standing::Unknown, now),
            500..=599 => self.failing(&key, now),
            _ => self.refused(&key, Standing::Refused(status), now),
        }
        self.news.push_back(key.0);
    }

    /// No response came.
    pub(crate) fn failed(&mut self, dn: &str, peer: K, now: Instant) {
        let key = (Arc::from(dn), peer);
        let Some(line) = self.lines.get_mut(&key) else { return };
        let State::Asked { leave } = line.state else { return };
        line.state = State::Idle;
        line.rounds = 0;
        if leave {
            return self.left(&key, now);
        }
        self.failing(&key, now);
        self.news.push_back(key.0);
    }

    /// Answers a challenge; false where it cannot be.
    fn challenged(&mut self, key: &Key<K>, response: &Message, account: Option<Account>, now: Instant) -> bool {
        let Some(line) = self.lines.get_mut(key) else { return false };
        let again = line.rounds > 0;
        line.rounds += 1;
        if line.rounds > MAX_ROUNDS {
            line.proof = None;
            return false;
        }
        let Some(proof) = account.map(|account| Proof::new(account, response)) else { return false };
        // Tried here with a throw-away URI: whether it is our realm, and whether to ask again makes sense.
        if let Err(error) = proof.clone().header(&Method::Register, "sip:", "0", again) {
            tracing::warn!(%error, "the SIP Server's challenge to a REGISTER is not answered");
            line.proof = None;
            return false;
        }
        line.proof = Some(proof);
        self.schedule(key, now, true);
        true
    }

    fn granted(&mut self, key: &Key<K>, response: &Message, contact: &str, now: Instant) {
        let asked = self.policy.expires.max(self.least);
        let granted = granted(response, contact).unwrap_or(asked).clamp(SHORTEST, LONGEST);
        let Some(line) = self.lines.get_mut(key) else { return };
        line.until = Some(now + granted);
        line.failures = 0;
        line.standing = Standing::Registered;
        let at = if line.wanted { now + granted.mul_f64(self.rng.random_range(0.80..0.95)) } else { now };
        self.schedule(key, at, false);
    }

    fn too_brief(&mut self, key: &Key<K>, response: &Message, now: Instant) {
        let least = Duration::from_secs(u64::from(response.number(Name::MinExpires).unwrap_or(0)));
        if least <= self.policy.expires.max(self.least) || least > LONGEST {
            return self.refused(key, Standing::Refused(423), now);
        }
        self.least = least;
        self.schedule(key, now, true);
    }

    /// The server asks for silence: that holds for all DNs.
    fn busy(&mut self, key: &Key<K>, response: &Message, now: Instant) {
        let value = response.header_str(Name::RetryAfter).unwrap_or_default();
        let digits: String = value.trim().chars().take_while(char::is_ascii_digit).collect();
        let wait = Duration::from_secs(digits.parse().unwrap_or(0)).clamp(Duration::from_secs(1), LONGEST);
        let until = now + wait;
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.key == key.1) {
            peer.not_before = Some(until);
        }
        let Some(line) = self.lines.get_mut(key) else { return };
        let is_held = line.until.is_some_and(|until| until > now);
        if !is_held {
            line.standing = Standing::Unreachable;
        }
        self.schedule(key, until, !is_held);
    }

    /// The server does not want this DN: asked again in a while, for what is configured there may change.
    fn refused(&mut self, key: &Key<K>, standing: Standing, now: Instant) {
        let Some(line) = self.lines.get_mut(key) else { return };
        line.standing = standing;
        line.until = None;
        self.retry(key, LONGEST_RETRY, now);
    }

    /// The server did not serve: asked again soon, then less and less often.
    fn failing(&mut self, key: &Key<K>, now: Instant) {
        let Some(line) = self.lines.get_mut(key) else { return };
        if line.until.is_none_or(|until| until <= now) {
            line.standing = Standing::Unreachable;
        }
        let wait = RETRY.saturating_mul(1 << line.failures.min(8)).min(LONGEST_RETRY);
        line.failures += 1;
        self.retry(key, wait, now);
    }

    fn retry(&mut self, key: &Key<K>, wait: Duration, now: Instant) {
        if !self.is_wanted(key) {
            return self.drop_line(key);
        }
        let wait = wait.mul_f64(self.rng.random_range(1.0..1.5));
        self.schedule(key, now + wait, false);
    }

    /// A de-registration is over, whatever was answered: what is not taken back lapses.
    fn left(&mut self, key: &Key<K>, now: Instant) {
        let Some(line) = self.lines.get_mut(key) else { return };
        line.until = None;
        line.rounds = 0;
        if line.wanted {
            self.schedule(key, now, true);
        } else {
            self.drop_line(key);
        }
    }

    fn is_wanted(&self, key: &Key<K>) -> bool {
        self.lines.get(key).is_some_and(|line| line.wanted)
    }
}

/// Reads what a 200 grants: the `expires` of our Contact, else the Expires header (RFC 3261 10.2.4).
fn granted(response: &Message, contact: &str) -> Option<Duration> {
    let is_ours = |uri: &str| match (Uri::parse(uri), Uri::parse(contact)) {
        (Ok(one), Ok(other)) => one.equivalent(&other),
        _ => uri == contact,
    };
    let mut contacts = response.contacts().filter_map(Result::ok);
    let own = contacts.find(|found| is_ours(found.uri)).and_then(|found| found.param("expires")?.parse::<u32>().ok());
    own.or_else(|| response.number(Name::Expires)).map(|seconds| Duration::from_secs(u64::from(seconds)))
}
