//! The ends of calls that were open when the run before ended, kept for desktops that come back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::bayeux::server;
use crate::bayeux::{ClientId, Owner};
use crate::desk::journal::Heading;
use crate::desk::message::CALLS;

/// How long they are kept; who comes back later has begun anew.
const TIME: Duration = Duration::from_secs(600);

/// How much is kept of one agent. It must have room in the queue of a session: one that a flood has ended shakes hands again,
/// and would be told again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Most events.
    pub(super) events: usize,
    /// Most bytes of them.
    pub(super) bytes: usize,
}

impl Bounds {
    /// Half of a session's queue, 100 events at the most.
    pub(super) fn of(config: &server::Config) -> Bounds {
        Bounds { events: config.queue.div_ceil(2).min(100), bytes: config.queue_bytes / 2 }
    }
}

/// What each agent's desktops are to hear, each of them once: each showed the calls that are over.
#[derive(Debug)]
pub(super) struct Released {
    until: Instant,
    of: BTreeMap<Owner, Ends>,
}

#[derive(Debug, Default)]
struct Ends {
    events: Vec<Bytes>,
    /// Of the events.
    bytes: usize,
    /// The sessions that have heard them, of those that there are.
    told: BTreeSet<ClientId>,
}

impl Released {
    /// Reads the events as sinks have them; those of nobody are for nobody here.
    pub(super) fn new(envelopes: &[Bytes], bounds: Bounds, now: Instant) -> Released {
        let mut of: BTreeMap<Owner, Ends> = BTreeMap::new();
        for envelope in envelopes {
            let Some(heading) = Heading::read(envelope).filter(|heading| heading.channel == CALLS) else { continue };
            let Some(owner) = heading.owner else { continue };
            let ends = of.entry(Owner(owner.into_owned().into())).or_default();
            let data = heading.data.get().as_bytes();
            if ends.events.len() < bounds.events && ends.bytes + data.len() <= bounds.bytes {
                ends.bytes += data.len();
                ends.events.push(Bytes::copy_from_slice(data));
            }
        }
        Released { until: now + TIME, of }
    }

    /// Says whether there is something that an agent's desktops are to hear.
    pub(super) fn has(&mut self, owner: &Owner, now: Instant) -> bool {
        if now >= self.until {
            self.of = BTreeMap::new();
        }
        self.of.contains_key(owner)
    }

    /// Takes all sessions by which an agent hears of its calls; returns those to tell, and what, in order.
    pub(super) fn tell(&mut self, owner: &Owner, listening: BTreeSet<ClientId>) -> (Vec<ClientId>, Vec<Bytes>) {
        let Some(ends) = self.of.get_mut(owner) else { return (Vec::new(), Vec::new()) };
        let new: Vec<ClientId> = listening.difference(&ends.told).copied().collect();
        // A session that has ended never comes back.
        ends.told = listening;
        let events = if new.is_empty() { Vec::new() } else { ends.events.clone() };
        (new, events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { events: 100, bytes: 1000 };

    fn envelope(owner: Option<&str>, channel: &str, n: usize) -> Bytes {
        let owner = owner.map(|owner| format!(r#""owner":"{owner}","#)).unwrap_or_default();
        format!(r#"{{"eventId":"a-call-1-{n}","channel":"{channel}",{owner}"dn":"5001","at":1,"data":{{"n":{n}}}}}"#)
            .into()
    }

    fn sessions(all: &[u8]) -> BTreeSet<ClientId> {
        all.iter().map(|n| ClientId::new([*n; 20])).collect()
    }

    fn owner(name: &str) -> Owner {
        Owner(name.into())
    }

    #[test]
    fn each_session_of_an_agent_hears_of_its_own_calls_in_order_and_once() {
        let now = Instant::now();
        let all = [
            envelope(Some("anna"), CALLS, 1),
            envelope(None, CALLS, 2),
            envelope(Some("anna"), CALLS, 3),
            envelope(Some("bert"), "/v2/me/state", 4),
        ];
        let mut released = Released::new(&all, BOUNDS, now);
        assert!(released.has(&owner("anna"), now) && !released.has(&owner("bert"), now));
        let mut tell = |listening: &[u8]| {
            let (to, events) = released.tell(&owner("anna"), sessions(listening));
            (to, events.iter().map(|event| String::from_utf8(event.to_vec()).expect("text")).collect::<Vec<_>>())
        };
        let all = vec![r#"{"n":1}"#.to_owned(), r#"{"n":3}"#.to_owned()];
        assert_eq!(tell(&[1]), (vec![ClientId::new([1; 20])], all.clone()));
        assert_eq!(tell(&[1]), (Vec::new(), Vec::new()));
        // A second tab had the call on its screen, too.
        assert_eq!(tell(&[1, 2]), (vec![ClientId::new([2; 20])], all));
        assert_eq!(tell(&[2]), (Vec::new(), Vec::new()));
        let nobody: (Vec<ClientId>, Vec<Bytes>) = (Vec::new(), Vec::new());
        assert_eq!(released.tell(&owner("bert"), sessions(&[3])), nobody);
    }

    #[test]
    fn whoever_comes_back_late_hears_nothing() {
        let now = Instant::now();
        let mut released = Released::new(&[envelope(Some("anna"), CALLS, 1)], BOUNDS, now);
        assert!(released.has(&owner("anna"), now + TIME - Duration::from_secs(1)));
        assert!(!released.has(&owner("anna"), now + TIME));
        assert!(released.of.is_empty(), "what nobody will hear is let go");
    }

    #[test]
    fn what_is_kept_of_one_agent_has_room_in_its_sessions_and_those_that_have_heard_are_few() {
        // Nine bytes each.
        let all: Vec<Bytes> = (100..300).map(|n| envelope(Some("anna"), CALLS, n)).collect();
        let kept = |events, bytes| {
            let mut released = Released::new(&all, Bounds { events, bytes }, Instant::now());
            released.tell(&owner("anna"), sessions(&[1])).1.len()
        };
        assert_eq!((kept(100, 10_000), kept(100, 90), kept(100, 89)), (100, 10, 9));
        let config = server::Config { queue: 1, ..server::Config::default() };
        assert_eq!((Bounds::of(&server::Config::default()).events, Bounds::of(&config).events), (100, 1));
        let mut released = Released::new(&all, BOUNDS, Instant::now());
        (0..200).for_each(|n| assert_eq!(released.tell(&owner("anna"), sessions(&[n])).0.len(), 1));
        assert_eq!(released.of[&owner("anna")].told.len(), 1);
    }
}
