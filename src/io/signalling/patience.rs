//! How long signalling waits for a worker that has given all its bound ports to calls.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::id::WorkerId;

/// A worker binds its reserve anew within milliseconds of having its core. Below T1 (RFC 3261 17.1.1.1): nobody repeats.
const PATIENCE: Duration = Duration::from_millis(300);
/// A worker that was waited for in vain has no more ports: calls are refused at once, and this long it is not waited for again.
const VAIN: Duration = Duration::from_secs(10);

/// Until when which workers are waited for.
#[derive(Debug, Default)]
pub(super) struct Patience {
    until: HashMap<WorkerId, Instant>,
}

impl Patience {
    /// Returns until when no message is to be taken, for there are no ports for the call that it may begin; `None`: take it.
    pub(super) fn until(&mut self, without: impl Iterator<Item = WorkerId>, now: Instant) -> Option<Instant> {
        let before = std::mem::take(&mut self.until);
        let in_vain = before.iter().filter(|(_, until)| (**until..**until + VAIN).contains(&now));
        self.until.extend(in_vain);
        for worker in without {
            let until = before.get(&worker).copied().unwrap_or(now + PATIENCE);
            self.until.insert(worker, until);
        }
        self.until.values().copied().filter(|until| *until > now).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_waited_for_until_it_has_ports_again_and_then_anew() {
        let (mut patience, begin) = (Patience::default(), Instant::now());
        let half = begin + PATIENCE / 2;
        assert_eq!(patience.until([].into_iter(), begin), None);
        assert_eq!(patience.until([WorkerId(1)].into_iter(), begin), Some(begin + PATIENCE));
        let both = [WorkerId(1), WorkerId(2)].into_iter();
        assert_eq!(patience.until(both, half), Some(half + PATIENCE), "the later one, too");
        assert_eq!(patience.until([].into_iter(), half), None);
        assert_eq!(patience.until([WorkerId(1)].into_iter(), half), Some(half + PATIENCE), "it has had some");
    }

    #[test]
    fn one_that_was_waited_for_in_vain_is_not_waited_for_soon_again() {
        let (mut patience, begin) = (Patience::default(), Instant::now());
        let (one, end) = ([WorkerId(1)], begin + PATIENCE);
        assert!(patience.until(one.into_iter(), begin).is_some());
        assert_eq!(patience.until(one.into_iter(), end), None);
        assert_eq!(patience.until([].into_iter(), end + VAIN / 2), None, "a call has ended");
        assert_eq!(patience.until(one.into_iter(), end + VAIN / 2), None, "and another has begun");
        assert_eq!(patience.until([].into_iter(), end + VAIN), None);
        assert_eq!(patience.until(one.into_iter(), end + VAIN), Some(end + VAIN + PATIENCE));
    }
}
