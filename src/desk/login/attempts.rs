//! How fast passwords may be tried: each failure makes the next attempt wait longer, per user and per address.
//!
//! An attempt waits for its turn; turns of one user, and of one address, lie apart by a gap that doubles with each failure.
//! Whoever would wait longer than [`LONGEST_WAIT`] is refused unheard. An address from which the user has logged in before
//! does not wait for the user's turns, so that nobody can lock an agent out by guessing from elsewhere.
//! Users that are not configured are remembered by their address alone, so that the table of users is bounded by the
//! configuration.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::super::UserName;
use crate::path::source_of;

/// Failures that cost nothing: people mistype.
const FREE: u32 = 3;
/// The gap after the first failure that costs.
const FIRST_GAP: Duration = Duration::from_millis(500);
/// The longest gap between the turns of one user: an attack must not shut the user out.
const LONGEST_USER_GAP: Duration = Duration::from_secs(4);
/// The longest gap between the turns of one address.
const LONGEST_ADDRESS_GAP: Duration = Duration::from_secs(60);
/// Longer than this nobody is kept waiting.
pub const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// Failures are forgotten after so long.
const MEMORY: Duration = Duration::from_secs(900);
/// Addresses that are remembered as a user's own.
const KNOWN: usize = 16;

/// Whether an attempt may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// After this time.
    After(Duration),
    /// Not at all; who asks again in so long may be heard.
    Refused(Duration),
}

#[derive(Clone, Copy, Debug)]
struct Record {
    failures: u32,
    /// When the next attempt may begin.
    next: Instant,
    last: Instant,
}

impl Record {
    fn gap(&self, longest: Duration) -> Duration {
        match self.failures.checked_sub(FREE) {
            None => Duration::ZERO,
            Some(over) => FIRST_GAP.saturating_mul(1 << over.min(16)).min(longest),
        }
    }

    fn is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= MEMORY
    }
}

/// Failed attempts, and where users are known.
#[derive(Debug)]
pub struct Attempts {
    bound: usize,
    users: BTreeMap<UserName, Record>,
    addresses: BTreeMap<IpAddr, Record>,
    /// The addresses by the moment of their last failure: the oldest makes room.
    oldest: BTreeMap<(Instant, IpAddr), ()>,
    known: BTreeMap<UserName, Vec<IpAddr>>,
}

impl Attempts {
    /// Makes an empty memory of at most `bound` addresses.
    pub fn new(bound: usize) -> Attempts {
        Attempts {
            bound: bound.max(1),
            users: BTreeMap::new(),
            addresses: BTreeMap::new(),
            oldest: BTreeMap::new(),
            known: BTreeMap::new(),
        }
    }

    /// Gives an attempt its turn; `user` is `None` if there is no such user.
    pub fn ask(&mut self, user: Option<&UserName>, address: IpAddr, now: Instant) -> Turn {
        let address = source_of(address);
        let is_known = user.and_then(|user| self.known.get(user)).is_some_and(|known| known.contains(&address));
        let mut at = now;
        let theirs = user.filter(|_| !is_known).and_then(|user| self.users.get_mut(user)).filter(|r| !r.is_old(now));
        let here = self.addresses.get_mut(&address).filter(|record| !record.is_old(now));
        for record in theirs.iter().chain(here.iter()) {
            at = at.max(record.next);
        }
        let wait = at.saturating_duration_since(now);
        if wait > LONGEST_WAIT {
            return Turn::Refused(wait);
        }
        if let Some(record) = theirs {
            record.next = at + record.gap(LONGEST_USER_GAP);
        }
        if let Some(record) = here {
            record.next = at + record.gap(LONGEST_ADDRESS_GAP);
        }
        Turn::After(wait)
    }

    /// Notes what became of an attempt.
    pub fn tell(&mut self, user: Option<&UserName>, address: IpAddr, was_right: bool, now: Instant) {
        let address = source_of(address);
        if let (Some(user), true) = (user, was_right) {
            let known = self.known.entry(user.clone()).or_default();
            known.retain(|other| *other != address);
            known.truncate(KNOWN - 1);
            known.insert(0, address);
            self.forget(address);
            return;
        }
        let record = self.addresses.get(&address).copied().filter(|record| !record.is_old(now));
        self.forget(address);
        if self.addresses.len() >= self.bound
            && let Some(((_, oldest), ())) = self.oldest.pop_first()
        {
            self.addresses.remove(&oldest);
        }
        self.addresses.insert(address, failed(record, LONGEST_ADDRESS_GAP, now));
        self.oldest.insert((now, address), ());
        if let Some(user) = user {
            let record = self.users.get(user).copied().filter(|record| !record.is_old(now));
            self.users.insert(user.clone(), failed(record, LONGEST_USER_GAP, now));
        }
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        assert_eq!(self.addresses.len(), self.oldest.len());
        self.addresses.len()
    }

    fn forget(&mut self, address: IpAddr) {
        if let Some(record) = self.addresses.remove(&address) {
            self.oldest.remove(&(record.last, address));
        }
    }
}

fn failed(record: Option<Record>, longest: Duration, now: Instant) -> Record {
    let mut record = record.unwrap_or(Record { failures: 0, next: now, last: now });
    record.failures = record.failures.saturating_add(1);
    record.last = now;
    record.next = record.next.max(now + record.gap(longest));
    record
}
