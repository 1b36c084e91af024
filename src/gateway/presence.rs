//! Which DNs have a browser, as the agents' desktops see it: a page that is reloaded, or whose network changes, has not left.
//!
//! ```text
//!  away ──first binding──> here ──last binding gone──> leaving ──grace over──> away
//!                            ▲───────another binding──────┘
//! ```

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::{Gateway, Output};

/// The DNs that are here, and when those will have left whose last binding is gone.
#[derive(Debug, Default)]
pub(super) struct Presence {
    here: HashMap<String, Option<Instant>>,
    leaving: BTreeSet<(Instant, String)>,
}

impl Presence {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.leaving.first().map(|(at, _)| *at)
    }

    /// A DN has a binding; true: that is news.
    fn came(&mut self, dn: &str) -> bool {
        match self.here.insert(dn.to_owned(), None) {
            Some(Some(at)) => {
                self.leaving.remove(&(at, dn.to_owned()));
                false
            }
            Some(None) => false,
            None => true,
        }
    }

    /// A DN has no binding: from `at` on it has left, where nobody comes before.
    fn goes(&mut self, dn: &str, at: Instant) {
        if let Some(leaves @ None) = self.here.get_mut(dn) {
            *leaves = Some(at);
            self.leaving.insert((at, dn.to_owned()));
        }
    }

    /// Returns a DN that has left, once.
    fn take_gone(&mut self, now: Instant) -> Option<String> {
        self.leaving.first().filter(|(at, _)| *at <= now)?;
        let (_, dn) = self.leaving.pop_first()?;
        self.here.remove(&dn);
        Some(dn)
    }
}

impl Gateway {
    /// Takes note of whether a DN has a browser, for its desktop.
    pub(super) fn tell_presence(&mut self, dn: &str, is_here: bool, now: Instant) {
        if !is_here {
            let grace: Duration = self.policy.flow_grace;
            self.presence.goes(dn, now + grace);
            return self.tell_left(now);
        }
        if self.presence.came(dn) {
            self.outputs.push_back(Output::Presence { dn: dn.to_owned(), is_here: true });
        }
    }

    /// Tells of those whose time of grace is over.
    pub(super) fn tell_left(&mut self, now: Instant) {
        while let Some(dn) = self.presence.take_gone(now) {
            self.outputs.push_back(Output::Presence { dn, is_here: false });
        }
    }
}
