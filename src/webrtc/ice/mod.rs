//! The ICE-lite agent of one leg: RFC 8445 2.5, with consent (RFC 7675) as a lite agent sees it.
//!
//! It answers checks and remembers where valid ones came from. The check that bears USE-CANDIDATE last decides where
//! media goes. The browser's checks are signed with our password, so that they are good before its own credentials are
//! known; once they are, its ufrag must be right as well.
//!
//! ```text
//!  credentials:  current ──restart()──► current + next ──nomination with next──► next is current
//!  a path:       unknown ──valid check──► valid ──30 s without one──► forgotten; the last one gone: consent lost
//! ```
//! We do not send checks of our own; so 30 s without a valid check of the peer is loss of consent.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::path::Path;
use crate::plan::IceCredentials;
use crate::webrtc::Discard;
use crate::webrtc::stun::{Key, Request};

/// RFC 7675 5.1.
pub const CONSENT: Duration = Duration::from_secs(30);
/// Paths that a leg follows at a time; a browser with many interfaces uses a handful.
pub const MAX_PATHS: usize = 16;

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Valid: the reply of this length is a success.
    Valid(usize),
    /// Authentic, but refused by an error of this length.
    Refused(usize),
}

/// Our credentials and the ufrag of the peer that goes with them.
#[derive(Debug)]
struct Generation {
    local: IceCredentials,
    key: Key,
    remote_ufrag: Option<String>,
}

impl Generation {
    fn new(local: IceCredentials, remote_ufrag: Option<String>) -> Self {
        Generation { key: Key::new(&local.pwd), local, remote_ufrag }
    }
}

#[derive(Clone, Copy, Debug)]
struct Valid {
    path: Path,
    last: Instant,
}

/// The agent.
#[derive(Debug)]
pub struct Agent {
    current: Generation,
    next: Option<Generation>,
    /// The browser's new ufrag, where it was told before our own new credentials.
    next_remote: Option<String>,
    valid: SmallVec<[Valid; 4]>,
    nominated: Option<Path>,
}

impl Agent {
    /// Makes the agent with our credentials as they stand in the SDP.
    pub fn new(local: IceCredentials) -> Self {
        let current = Generation::new(local, None);
        Agent { current, next: None, next_remote: None, valid: SmallVec::new(), nominated: None }
    }

    /// Takes the browser's ufrag. One that differs from the known one belongs to the restart that is under way or
    /// about to be ordered.
    pub fn set_remote_ufrag(&mut self, ufrag: &str) {
        if self.current.remote_ufrag.as_deref() == Some(ufrag) {
            return;
        }
        if let Some(next) = &mut self.next {
            next.remote_ufrag = Some(ufrag.to_owned());
        } else if self.current.remote_ufrag.is_none() {
            self.current.remote_ufrag = Some(ufrag.to_owned());
        } else {
            self.next_remote = Some(ufrag.to_owned());
        }
    }

    /// Takes new credentials of ours; the old ones are good until a pair is nominated with the new ones.
    pub fn restart(&mut self, local: IceCredentials) {
        let known = self.current.local == local || self.next.as_ref().is_some_and(|next| next.local == local);
        if !known {
            self.next = Some(Generation::new(local, self.next_remote.take()));
        }
    }

    /// Returns the ufrags that checks may carry, newest first.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        self.next.iter().chain([&self.current]).map(|generation| generation.local.ufrag.as_str())
    }

    /// Works on a check and writes the reply. Nothing changes unless the result is [`Check::Valid`].
    pub fn handle_check(
        &mut self,
        path: Path,
        datagram: &[u8],
        now: Instant,
        reply: &mut [u8],
    ) -> Result<Check, Discard> {
        let request = Request::parse(datagram)?;
        let is_next = self.next.as_ref().is_some_and(|next| next.local.ufrag == request.ours());
        let generation = if is_next { self.next.as_ref() } else { Some(&self.current) };
        let generation = generation.filter(|g| g.local.ufrag == request.ours()).ok_or(Discard::StunUser)?;
        let check = request.verify(&generation.key)?;
        if generation.remote_ufrag.as_deref().is_some_and(|ufrag| ufrag != request.theirs()) {
            return Err(Discard::StunUser);
        }
        if let Some(refusal) = check.refusal() {
            return check.write_refusal(refusal, &generation.key, reply).map(Check::Refused);
        }
        let len = check.write_success(path.remote(), &generation.key, reply)?;
        self.mark_valid(path, now)?;
        if check.use_candidate() {
            self.nominated = Some(path);
            if is_next && let Some(next) = self.next.take() {
                self.current = next;
            }
        }
        Ok(Check::Valid(len))
    }

    fn mark_valid(&mut self, path: Path, now: Instant) -> Result<(), Discard> {
        if let Some(valid) = self.valid.iter_mut().find(|valid| valid.path == path) {
            valid.last = now;
            return Ok(());
        }
        if self.valid.len() >= MAX_PATHS {
            self.forget_stale(now);
        }
        if self.valid.len() >= MAX_PATHS {
            return Err(Discard::StunPath);
        }
        self.valid.push(Valid { path, last: now });
        Ok(())
    }

    fn forget_stale(&mut self, now: Instant) {
        self.valid.retain(|valid| now < valid.last + CONSENT);
        if let Some(path) = self.nominated
            && !self.is_valid(path)
        {
            // The nominated path has died without another nomination: the one heard last is the best that is left.
            self.nominated = self.valid.iter().max_by_key(|valid| valid.last).map(|valid| valid.path);
        }
    }

    /// Tells whether a valid check has come on `path`, and not too long ago as of the last time-out worked on.
    #[inline]
    pub fn is_valid(&self, path: Path) -> bool {
        self.valid.iter().any(|valid| valid.path == path)
    }

    /// Tells whether a valid check has come on `path` within the last 30 s.
    pub fn holds(&self, path: Path, now: Instant) -> bool {
        self.valid.iter().any(|valid| valid.path == path && now < valid.last + CONSENT)
    }

    /// Returns where media goes: the path nominated last, before any nomination the first valid one.
    #[inline]
    pub fn selected(&self) -> Option<Path> {
        self.nominated.or_else(|| self.valid.first().map(|valid| valid.path))
    }

    /// Returns when the next path goes stale.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.valid.iter().map(|valid| valid.last + CONSENT).min()
    }

    /// Forgets stale paths; true when the last one went, which is loss of consent.
    #[must_use]
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let had = !self.valid.is_empty();
        self.forget_stale(now);
        had && self.valid.is_empty()
    }
}

#[cfg(test)]
mod tests;
