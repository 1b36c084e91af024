//! How fast passwords may be tried: each failure makes the next attempt wait longer, per user and per address.
//!
//! ```text
//!  begin ── stands in line ── turn ──► counts as a failure ──┬─ right ──► forgiven
//!             └─ gone: nothing                               ├─ wrong, or its client has gone ──► a failure
//!                                                            └─ not looked at ──► nothing
//! ```
//! An attempt stands in two lines: that of the user's name and that of the address. Of a line that has failed less than
//! [`FREE`] times, no more than that many are tried at once; of any other, one after the other, with a gap that doubles
//! with each failure. Whoever would wait longer than [`LONGEST_WAIT`] is refused unheard, and so is one too many in a line.
//!
//! Where a user has logged in before, the two have a line of their own instead: so nobody can lock an agent out by guessing
//! from elsewhere, nor by failing in another name behind the same proxy; and what one's own login forgives is one's own.
//! Names are kept as keyed hashes, whether somebody has them or not, so that the pace does not tell which are taken.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;

use super::super::UserName;
use crate::path::source_of;

/// Failures that cost nothing: people mistype.
const FREE: u32 = 3;
/// The gap after the first failure that costs.
const FIRST_GAP: Duration = Duration::from_millis(500);
/// The longest gap between the turns of one user, at home and elsewhere: an attack must not shut the user out.
const LONGEST_USER_GAP: Duration = Duration::from_secs(4);
/// The longest gap between the turns of one address.
const LONGEST_ADDRESS_GAP: Duration = Duration::from_secs(60);
/// Longer than this nobody is kept waiting.
pub const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// How often one looks whether those before it have ended.
const LOOK: Duration = Duration::from_millis(50);
/// Failures are forgotten after so long.
const MEMORY: Duration = Duration::from_secs(900);
/// Addresses that are remembered as a user's own.
const KNOWN: usize = 16;
/// Most that stand in a line: after a restart, a whole site logs in from one address.
const ROOM: u32 = 128;
/// Most that stand in a line that has failed: its waiting must not take the places of others.
const ROOM_OF_FAILED: u32 = 4;

/// Whether an attempt may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// At once; from here on it counts as a failure.
    Now,
    /// It is to ask again after this time.
    After(Duration),
    /// Not at all; who begins again in so long may be heard.
    Refused(Duration),
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The password was right.
    Right,
    /// It was wrong, or nobody waited to hear of it.
    Wrong,
    /// It was not looked at.
    Unheard,
}

/// A keyed hash of a name.
type Name = [u8; 32];
/// An address, and a user who is known there; without one, all others.
type Place = (IpAddr, Option<Name>);

/// One attempt, from [`Attempts::begin`] to [`Attempts::end`].
#[derive(Debug)]
pub struct Attempt {
    user: Option<UserName>,
    name: Name,
    place: Place,
    since: Instant,
    is_pending: bool,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    failures: u32,
    /// Attempts that are being made.
    pending: u32,
    waiting: u32,
    /// When the next attempt may begin.
    next: Instant,
    last: Instant,
}

impl Record {
    fn new(now: Instant) -> Record {
        Record { failures: 0, pending: 0, waiting: 0, next: now, last: now }
    }

    fn gap(&self, longest: Duration) -> Duration {
        match self.failures.checked_sub(FREE) {
            None => Duration::ZERO,
            Some(over) => FIRST_GAP.saturating_mul(1 << over.min(16)).min(longest),
        }
    }

    fn room(&self) -> u32 {
        if self.failures < FREE { ROOM } else { ROOM_OF_FAILED }
    }

    fn wait(&self, now: Instant) -> Duration {
        let gap = self.next.saturating_duration_since(now);
        match self.pending {
            _ if self.failures.saturating_add(self.pending) < FREE => Duration::ZERO,
            0 => gap,
            _ => gap.max(LOOK),
        }
    }

    fn fail(&mut self, longest: Duration, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.last = now;
        self.next = self.next.max(now + self.gap(longest));
    }

    fn forgive(&mut self, now: Instant) {
        (self.failures, self.next) = (0, now);
    }

    fn start(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
        self.pending += 1;
    }

    fn in_use(&self) -> bool {
        self.pending > 0 || self.waiting > 0
    }
}

/// Records by what they are of. Those that nobody stands in are bounded in number: the one that failed longest ago makes
/// room. The others are as many as there are attempts.
#[derive(Debug)]
struct Lines<K> {
    bound: usize,
    longest: fn(&K) -> Duration,
    records: BTreeMap<K, Record>,
    quiet: BTreeSet<(Instant, K)>,
}

impl<K: Copy + Ord> Lines<K> {
    fn new(bound: usize, longest: fn(&K) -> Duration) -> Lines<K> {
        Lines { bound: bound.max(1), longest, records: BTreeMap::new(), quiet: BTreeSet::new() }
    }

    fn get(&self, key: &K, now: Instant) -> Record {
        let mut record = self.records.get(key).copied().unwrap_or_else(|| Record::new(now));
        if now.saturating_duration_since(record.last) >= MEMORY {
            record.forgive(now);
        }
        record
    }

    fn change(&mut self, key: K, now: Instant, what: impl FnOnce(&mut Record, Duration)) {
        let mut record = self.get(&key, now);
        if let Some(old) = self.records.remove(&key) {
            self.quiet.remove(&(old.last, key));
        }
        what(&mut record, (self.longest)(&key));
        if !record.in_use() {
            if record.failures == 0 {
                return;
            }
            if self.quiet.len() >= self.bound
                && let Some((_, oldest)) = self.quiet.pop_first()
            {
                self.records.remove(&oldest);
            }
            self.quiet.insert((record.last, key));
        }
        self.records.insert(key, record);
    }
}

/// Attempts, those that have failed, and where users are known.
#[derive(Debug)]
pub struct Attempts {
    key: hmac::Key,
    users: Lines<Name>,
    places: Lines<Place>,
    known: BTreeMap<UserName, Vec<IpAddr>>,
}

impl Attempts {
    /// Makes an empty memory of at most `bound` names and `bound` addresses; names are hashed with `key`.
    pub fn new(bound: usize, key: [u8; 32]) -> Attempts {
        Attempts {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            users: Lines::new(bound, |_| LONGEST_USER_GAP),
            places: Lines::new(bound, |place| match place.1 {
                Some(_) => LONGEST_USER_GAP,
                None => LONGEST_ADDRESS_GAP,
            }),
            known: BTreeMap::new(),
        }
    }

    /// Puts an attempt into its lines; `user` is `None` if nobody has this name. Each must be given back to
    /// [`Attempts::end`].
    pub fn begin(&mut self, name: &str, user: Option<&UserName>, address: IpAddr, now: Instant) -> Attempt {
        let address = source_of(address);
        let mut hash = Name::default();
        hash.copy_from_slice(hmac::sign(&self.key, name.as_bytes()).as_ref());
        let is_known = user.and_then(|user| self.known.get(user)).is_some_and(|known| known.contains(&address));
        let place = (address, is_known.then_some(hash));
        self.places.change(place, now, |record, _| record.waiting += 1);
        if !is_known {
            self.users.change(hash, now, |record, _| record.waiting += 1);
        }
        Attempt { user: user.cloned(), name: hash, place, since: now, is_pending: false }
    }

    /// Gives an attempt its turn, if it is.
    pub fn turn(&mut self, attempt: &mut Attempt, now: Instant) -> Turn {
        if attempt.is_pending {
            return Turn::Now;
        }
        let is_known = attempt.place.1.is_some();
        let here = self.places.get(&attempt.place, now);
        let theirs = (!is_known).then(|| self.users.get(&attempt.name, now));
        let mut wait = Duration::ZERO;
        for record in std::iter::once(here).chain(theirs) {
            if record.waiting > record.room() {
                return Turn::Refused(record.gap(LONGEST_USER_GAP).max(record.wait(now)));
            }
            wait = wait.max(record.wait(now));
        }
        if (now + wait).saturating_duration_since(attempt.since) > LONGEST_WAIT {
            return Turn::Refused(wait);
        }
        if !wait.is_zero() {
            return Turn::After(wait);
        }
        attempt.is_pending = true;
        self.places.change(attempt.place, now, |record, _| record.start());
        if !is_known {
            self.users.change(attempt.name, now, |record, _| record.start());
        }
        Turn::Now
    }

    /// Notes how an attempt ended; one that has not had its turn leaves its lines as if it had never been.
    pub fn end(&mut self, attempt: Attempt, outcome: Outcome, now: Instant) {
        let Attempt { user, name, place, is_pending, .. } = attempt;
        let leave = |record: &mut Record| {
            let count = if is_pending { &mut record.pending } else { &mut record.waiting };
            *count = count.saturating_sub(1);
        };
        let is_failure = is_pending && outcome == Outcome::Wrong;
        self.places.change(place, now, |record, longest| {
            leave(record);
            if is_failure {
                record.fail(longest, now);
            }
        });
        self.users.change(name, now, |record, longest| {
            if place.1.is_none() {
                leave(record);
            }
            if is_failure {
                record.fail(longest, now);
            }
        });
        if let (true, Outcome::Right, Some(user)) = (is_pending, outcome, user) {
            self.forgive(user, name, place.0, now);
        }
    }

    /// A user has logged in: what failed in this name is forgiven, and what others did at this address is not.
    fn forgive(&mut self, user: UserName, name: Name, address: IpAddr, now: Instant) {
        self.users.change(name, now, |record, _| record.forgive(now));
        self.places.change((address, Some(name)), now, |record, _| record.forgive(now));
        let known = self.known.entry(user).or_default();
        known.retain(|other| *other != address);
        known.truncate(KNOWN - 1);
        known.insert(0, address);
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> (usize, usize) {
        assert_eq!(self.places.records.len(), self.places.quiet.len());
        assert_eq!(self.users.records.len(), self.users.quiet.len());
        (self.places.records.len(), self.users.records.len())
    }
}
