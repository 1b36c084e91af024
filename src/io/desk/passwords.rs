//! Passwords of agents, verified by argon2 on threads that may block, few at a time.
//!
//! A name that nobody has takes as long as one that somebody has: its password is checked against a hash of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::PATIENCE;
use crate::desk::login::attempts::Turn;
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
    /// What passwords of unknown users are checked against.
    nobody: PasswordHash,
    waiting: Semaphore,
    threads: Arc<Semaphore>,
}

fn of(agents: &[AgentConfig]) -> BTreeMap<UserName, PasswordHash> {
    agents.iter().map(|agent| (agent.user.clone(), agent.password.clone())).collect()
}

impl Passwords {
    pub(super) fn new(agents: &[AgentConfig]) -> Passwords {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let accounts = of(agents);
        // Of the same cost as the others, which `crosspoint hash-password` makes.
        let nobody = accounts.values().next().cloned();
        let nobody = nobody.unwrap_or_else(|| PasswordHash::make("", rand::random()));
        Passwords {
            accounts: RwLock::new(accounts),
            nobody,
            waiting: Semaphore::new(WAITING),
            threads: Arc::new(Semaphore::new((cores / 2).max(1))),
        }
    }

    /// Returns the user of this name, if there is one.
    pub(super) fn find(&self, user: &str) -> Option<UserName> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        accounts.get_key_value(&UserName(Arc::from(user))).map(|(user, _)| user.clone())
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

    /// Waits for the turn and for a thread, then verifies the password of `user`.
    ///
    /// # Errors
    /// [`Denied::TooSoon`], [`Denied::Busy`]: it was not looked at.
    pub(super) async fn verify(&self, user: Option<&UserName>, password: &str, turn: Turn) -> Result<bool, Denied> {
        let wait = match turn {
            Turn::After(wait) => wait,
            Turn::Refused(wait) => return Err(Denied::TooSoon(wait)),
        };
        let _place = self.waiting.try_acquire().map_err(|_| Denied::Busy)?;
        tokio::time::sleep(wait).await;
        let hash = {
            let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
            user.and_then(|user| accounts.get(user)).cloned()
        };
        let is_known = hash.is_some() && password.len() <= LONGEST;
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let thread = timeout(PATIENCE, self.threads.clone().acquire_owned()).await;
        let Ok(Ok(thread)) = thread else { return Err(Denied::Busy) };
        let password = if is_known { password.to_owned() } else { String::new() };
        let verified = tokio::task::spawn_blocking(move || {
            // Given back when the thread is done, whether somebody still waits for it or not.
            let _thread = thread;
            hash.verify(&password)
        });
        Ok(verified.await.unwrap_or(false) && is_known)
    }
}
