//! The ends of calls that were open when the run before ended, kept for desktops that come back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::bayeux::Owner;
use crate::desk::journal::Heading;
use crate::desk::message::CALLS;

/// How long they are kept; who comes back later has begun anew.
const TIME: Duration = Duration::from_secs(600);
/// Most of one agent.
const MAX: usize = 100;

/// What each agent's desktops have not heard yet.
#[derive(Debug)]
pub(super) struct Released {
    until: Instant,
    of: BTreeMap<Owner, Vec<Bytes>>,
}

impl Released {
    /// Reads the events as sinks have them; those of nobody are for nobody here.
    pub(super) fn new(envelopes: &[Bytes], now: Instant) -> Released {
        let mut of: BTreeMap<Owner, Vec<Bytes>> = BTreeMap::new();
        for envelope in envelopes {
            let Some(heading) = Heading::read(envelope).filter(|heading| heading.channel == CALLS) else { continue };
            let Some(owner) = heading.owner else { continue };
            let events = of.entry(Owner(owner.into_owned().into())).or_default();
            if events.len() < MAX {
                events.push(Bytes::copy_from_slice(heading.data.get().as_bytes()));
            }
        }
        Released { until: now + TIME, of }
    }

    /// Says whether an agent has not heard all.
    pub(super) fn has(&mut self, owner: &Owner, now: Instant) -> bool {
        if now >= self.until {
            self.of = BTreeMap::new();
        }
        self.of.contains_key(owner)
    }

    /// Returns what an agent has not heard, in order: once.
    pub(super) fn take(&mut self, owner: &Owner) -> Vec<Bytes> {
        self.of.remove(owner).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(owner: Option<&str>, channel: &str, n: usize) -> Bytes {
        let owner = owner.map(|owner| format!(r#""owner":"{owner}","#)).unwrap_or_default();
        format!(r#"{{"eventId":"a-call-1-{n}","channel":"{channel}",{owner}"dn":"5001","at":1,"data":{{"n":{n}}}}}"#)
            .into()
    }

    #[test]
    fn each_agent_hears_of_its_own_calls_once_and_not_for_ever() {
        let (anna, bert) = (Owner("anna".into()), Owner("bert".into()));
        let now = Instant::now();
        let all = [
            envelope(Some("anna"), CALLS, 1),
            envelope(None, CALLS, 2),
            envelope(Some("anna"), CALLS, 3),
            envelope(Some("bert"), "/v2/me/state", 4),
            envelope(Some("carl"), CALLS, 5),
        ];
        let mut released = Released::new(&all, now);
        assert!(released.has(&anna, now) && !released.has(&bert, now));
        assert_eq!(released.take(&anna), [r#"{"n":1}"#, r#"{"n":3}"#]);
        assert!(!released.has(&anna, now) && released.take(&anna).is_empty());
        assert!(!released.has(&Owner("carl".into()), now + TIME));
    }

    #[test]
    fn what_is_kept_of_one_agent_is_bounded() {
        let all: Vec<Bytes> = (0..MAX + 1).map(|n| envelope(Some("anna"), CALLS, n)).collect();
        assert_eq!(Released::new(&all, Instant::now()).take(&Owner("anna".into())).len(), MAX);
    }
}
