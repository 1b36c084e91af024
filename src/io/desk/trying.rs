//! A login that is under way. Its client may go at any moment, and the task of its request with it: then it has failed.

use std::net::IpAddr;
use std::time::Instant;

use super::{Denied, Logins};
use crate::desk::UserName;
use crate::desk::login::Login;
use crate::desk::login::attempts::{Attempt, Outcome, Turn};

/// An attempt at a password; when dropped before its end, a wrong one.
pub(super) struct Trying<'a> {
    logins: &'a Logins,
    attempt: Option<Attempt>,
}

impl<'a> Trying<'a> {
    /// Puts it into line.
    pub(super) fn begin(logins: &'a Logins, name: &str, user: Option<&UserName>, peer: IpAddr) -> Trying<'a> {
        let attempt = logins.table().begin(name, user, peer, Instant::now());
        Trying { logins, attempt: Some(attempt) }
    }

    /// Waits for its turn.
    ///
    /// # Errors
    /// [`Denied::TooSoon`]
    pub(super) async fn turn(&mut self) -> Result<(), Denied> {
        while let Some(attempt) = &mut self.attempt {
            let turn = self.logins.table().turn(attempt, Instant::now());
            match turn {
                Turn::Now => break,
                Turn::After(wait) => tokio::time::sleep(wait).await,
                Turn::Refused(wait) => return Err(Denied::TooSoon(wait)),
            }
        }
        Ok(())
    }

    /// Says how it ended, to the table that is locked.
    pub(super) fn end(&mut self, table: &mut Login, outcome: Outcome) {
        if let Some(attempt) = self.attempt.take() {
            table.end(attempt, outcome, Instant::now());
        }
    }
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            self.logins.table().end(attempt, Outcome::Wrong, Instant::now());
        }
    }
}
