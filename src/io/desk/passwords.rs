//! Passwords of agents, verified by argon2 on threads that may block, few at a time.
//!
//! A name that nobody has takes as long as one that somebody has: its password is checked against the hash of some account,
//! the same one each time, and never matches.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::PATIENCE;
use crate::desk::{AgentConfig, PasswordHash, UserName};

/// Logins that wait for their turn or a thread; more are told to come later.
const WAITING: usize = 256;
/// Longest name and longest password that are looked at, bytes.
const LONGEST: usize = 256;

/// Why a login was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No such user, or another password; which, is not said.
    #[error("wrong user name or password")]
    Wrong,
    /// Too many failures: come again after so long.
    #[error("too many failures")]
    TooSoon(Duration),
    /// Too many logins at a time.
    #[error("too many logins at a time")]
    Busy,
}

/// The accounts, and the threads that their passwords are verified on.
#[derive(Debug)]
pub(super) struct Passwords {
    accounts: RwLock<BTreeMap<UserName, PasswordHash>>,
    /// Which account's hash a name that nobody has is checked against.
    choice: RandomState,
    /// What passwords are checked against where there are no accounts.
    nobody: OnceLock<PasswordHash>,
    waiting: Semaphore,
    pub(super) threads: Arc<Semaphore>,
}

fn of(agents: &[AgentConfig]) -> BTreeMap<UserName, PasswordHash> {
    agents.iter().map(|agent| (agent.user.clone(), agent.password.clone())).collect()
}

impl Passwords {
    pub(super) fn new(agents: &[AgentConfig]) -> Passwords {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Passwords {
            accounts: RwLock::new(of(agents)),
            choice: RandomState::new(),
            nobody: OnceLock::new(),
            waiting: Semaphore::new(WAITING),
            threads: Arc::new(Semaphore::new((cores / 2).max(1))),
        }
    }

    /// Returns the user of this name, if there is one.
    pub(super) fn find(&self, user: &str) -> Option<UserName> {
        self.accounts().get_key_value(&UserName(Arc::from(user))).map(|(user, _)| user.clone())
    }

    /// Takes other accounts; returns the users that are gone or have another password.
    pub(super) fn replace(&self, agents: &[AgentConfig]) -> BTreeSet<UserName> {
        let new = of(agents);
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        let changed = accounts.iter().filter(|(user, hash)| new.get(*user) != Some(*hash));
        let changed = changed.map(|(user, _)| user.clone()).collect();
        *accounts = new;
        changed
    }

    /// Returns true while `hash` is that of the user's password.
    pub(super) fn is_current(&self, user: &UserName, hash: &PasswordHash) -> bool {
        self.accounts().get(user) == Some(hash)
    }

    /// Takes one of the places of those that wait; they are given back when dropped.
    ///
    /// # Errors
    /// [`Denied::Busy`]
    pub(super) fn place(&self) -> Result<SemaphorePermit<'_>, Denied> {
        self.waiting.try_acquire().map_err(|_| Denied::Busy)
    }

    /// Waits for a thread, then verifies the password of `name`. Returns the hash that it matches.
    ///
    /// # Errors
    /// [`Denied::Busy`]: it was not looked at.
    pub(super) async fn verify(&self, name: &str, password: &str) -> Result<Option<PasswordHash>, Denied> {
        let (hash, is_known) = self.hash(name);
        let is_known = is_known && password.len() <= LONGEST;
        let thread = timeout(PATIENCE, self.threads.clone().acquire_owned()).await;
        let Ok(Ok(thread)) = thread else { return Err(Denied::Busy) };
        let password = if is_known { password.to_owned() } else { String::new() };
        let verified = tokio::task::spawn_blocking(move || {
            // Given back when the thread is done, whether somebody still waits for it or not.
            let _thread = thread;
            hash.verify(&password).then_some(hash)
        });
        Ok(verified.await.unwrap_or(None).filter(|_| is_known))
    }

    /// Returns what a password of `name` is checked against, and whether somebody has that name. Accounts may have hashes
    /// of different costs: names that nobody has are spread over them.
    pub(super) fn hash(&self, name: &str) -> (PasswordHash, bool) {
        let accounts = self.accounts();
        if let Some(hash) = accounts.get(&UserName(Arc::from(name))) {
            return (hash.clone(), true);
        }
        let at = self.choice.hash_one(name).checked_rem(accounts.len() as u64).unwrap_or(0);
        let chosen = usize::try_from(at).ok().and_then(|at| accounts.values().nth(at).cloned());
        let chosen =
            chosen.unwrap_or_else(|| self.nobody.get_or_init(|| PasswordHash::make("", rand::random())).clone());
        (chosen, false)
    }

    fn accounts(&self) -> RwLockReadGuard<'_, BTreeMap<UserName, PasswordHash>> {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner)
    }
}
