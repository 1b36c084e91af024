//! The table of HTTP sessions: who is logged in by which cookie, for how long, and how fast passwords may be tried.
//!
//! A session is named by a secret of 192 random bits, which the shell keeps in a cookie; all tabs of one browser share it.
//! It ends when it is closed, when nothing was asked by it for [`Config::idle`], or when its user has too many younger ones.
//! What happens to failed attempts stands in [`attempts`].
//! We do not keep passwords or their hashes here, because verifying one takes longer than a pure room may.

pub mod attempts;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;

use super::UserName;
use attempts::{Attempt, Attempts, Outcome, Turn};

/// Times and bounds.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a session lives without a request.
    pub idle: Duration,
    /// Most sessions; one more ends the one that was idle longest.
    pub sessions: usize,
    /// Most sessions of one user; one more ends that user's idlest.
    pub per_user: usize,
    /// Most addresses, and most names, whose failed attempts are remembered.
    pub addresses: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { idle: Duration::from_secs(1800), sessions: 20_000, per_user: 1_000, addresses: 10_000 }
    }
}

/// A word that only its owner knows; shown to nobody.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secret(pub Arc<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub user: UserName,
    /// What the cookie carries: 48 hexadecimal digits.
    pub secret: Secret,
    /// What requests that change something must show beside the cookie: 32 hexadecimal digits.
    pub csrf: Secret,
}

#[derive(Debug)]
struct Entry {
    session: Session,
    used: Instant,
    number: u64,
}

/// All sessions, and the attempts to open one.
#[derive(Debug)]
pub struct Login {
    config: Config,
    rng: StdRng,
    next: u64,
    entries: HashMap<Secret, Entry>,
    /// By the moment of the last request, the idlest first.
    order: BTreeMap<(Instant, u64), Secret>,
    users: BTreeMap<UserName, BTreeSet<(Instant, u64)>>,
    attempts: Attempts,
    ended: Vec<Session>,
}

impl Login {
    /// Makes an empty table.
    pub fn new(config: Config, mut rng: StdRng) -> Login {
        let attempts = Attempts::new(config.addresses, rng.random());
        Login {
            config,
            rng,
            next: 0,
            entries: HashMap::new(),
            order: BTreeMap::new(),
            users: BTreeMap::new(),
            attempts,
            ended: Vec::new(),
        }
    }

    /// Returns the number of sessions.
    pub fn sessions(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if a user has a session.
    pub fn is_in(&self, user: &UserName) -> bool {
        self.users.contains_key(user)
    }

    /// Opens a session for a user whose password was right.
    pub fn open(&mut self, user: &UserName, now: Instant) -> Session {
        self.sweep(now);
        if self.entries.len() >= self.config.sessions.max(1) {
            self.end_first(self.order.first_key_value().map(|(key, _)| *key));
        }
        if let Some(theirs) = self.users.get(user)
            && theirs.len() >= self.config.per_user.max(1)
        {
            self.end_first(theirs.first().copied());
        }
        let session = Session { user: user.clone(), secret: self.word(24), csrf: self.word(16) };
        let number = self.next;
        self.next += 1;
        self.order.insert((now, number), session.secret.clone());
        self.users.entry(user.clone()).or_default().insert((now, number));
        let entry = Entry { session: session.clone(), used: now, number };
        self.entries.insert(session.secret.clone(), entry);
        session
    }

    /// Finds the session of a cookie; that it was used counts against its idle time.
    pub fn find(&mut self, secret: &str, now: Instant) -> Option<Session> {
        self.sweep(now);
        let entry = self.entries.get_mut(&Secret(Arc::from(secret)))?;
        let (old, new) = ((entry.used, entry.number), (now.max(entry.used), entry.number));
        entry.used = new.0;
        let session = entry.session.clone();
        self.order.remove(&old);
        self.order.insert(new, session.secret.clone());
        if let Some(theirs) = self.users.get_mut(&session.user) {
            theirs.remove(&old);
            theirs.insert(new);
        }
        Some(session)
    }

    /// Ends a session: its user has logged out.
    pub fn close(&mut self, secret: &Secret) {
        let key = self.entries.get(secret).map(|entry| (entry.used, entry.number));
        self.end_first(key);
    }

    /// Ends all sessions of users for whom `stays` is false: they were taken out of the configuration, or their password
    /// was changed.
    pub fn retain(&mut self, stays: impl Fn(&UserName) -> bool) {
        let gone: Vec<_> =
            self.users.iter().filter(|(user, _)| !stays(user)).flat_map(|(_, keys)| keys.iter().copied()).collect();
        gone.into_iter().for_each(|key| self.end_first(Some(key)));
    }

    /// Ends what was idle too long.
    pub fn sweep(&mut self, now: Instant) {
        while let Some((key, _)) = self.order.first_key_value()
            && now.saturating_duration_since(key.0) >= self.config.idle
        {
            let key = *key;
            self.end_first(Some(key));
        }
    }

    /// Returns when [`Login::sweep`] has something to do, at the earliest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.order.first_key_value().map(|(key, _)| key.0 + self.config.idle)
    }

    /// Takes the sessions that have ended, so that what was opened by them ends too.
    pub fn take_ended(&mut self) -> Vec<Session> {
        std::mem::take(&mut self.ended)
    }

    /// Puts an attempt at a password into its lines; see [`Attempts::begin`].
    pub fn begin(&mut self, name: &str, user: Option<&UserName>, address: IpAddr, now: Instant) -> Attempt {
        self.attempts.begin(name, user, address, now)
    }

    /// Says whether a password may be tried; see [`Attempts::turn`].
    pub fn turn(&mut self, attempt: &mut Attempt, now: Instant) -> Turn {
        self.attempts.turn(attempt, now)
    }

    /// Notes what became of an attempt; see [`Attempts::end`].
    pub fn end(&mut self, attempt: Attempt, outcome: Outcome, now: Instant) {
        self.attempts.end(attempt, outcome, now);
    }

    #[cfg(test)]
    fn attempts_remembered(&self) -> (usize, usize) {
        self.attempts.remembered()
    }

    fn end_first(&mut self, key: Option<(Instant, u64)>) {
        let Some(key) = key else { return };
        let Some(secret) = self.order.remove(&key) else { return };
        let Some(entry) = self.entries.remove(&secret) else { return };
        if let Some(theirs) = self.users.get_mut(&entry.session.user) {
            theirs.remove(&key);
            if theirs.is_empty() {
                self.users.remove(&entry.session.user);
            }
        }
        self.ended.push(entry.session);
    }

    fn word(&mut self, bytes: usize) -> Secret {
        let mut text = String::with_capacity(bytes * 2);
        for _ in 0..bytes {
            let byte: u8 = self.rng.random();
            text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        }
        Secret(Arc::from(text))
    }
}
