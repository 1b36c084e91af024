//! One session: who may use it, what waits for it, and the connect that is held.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::message::Timesync;
use super::{Caller, ClientId, Peer};
use crate::id::FlowId;

/// The key of a session inside the server; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) u64);

/// A connect that waits for its answer.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) peer: Peer,
    pub(super) id: Option<Bytes>,
    pub(super) timesync: Option<Timesync>,
    pub(super) since: Instant,
    /// The answer carries advice: the client asked for it.
    pub(super) advised: bool,
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: ClientId,
    pub(super) caller: Caller,
    /// The WebSocket that it spoke by last; `None` with the polling transports.
    pub(super) socket: Option<FlowId>,
    pub(super) queue: Queue,
    pub(super) held: Option<Held>,
    /// A connect has been answered: later ones may be held.
    pub(super) is_connected: bool,
    /// Its last advice was that of a browser with several tabs; the next one takes that back.
    pub(super) is_crowded: bool,
    /// With a connect held: when it is answered. Without: when the session ends.
    pub(super) deadline: Instant,
    pub(super) patterns: BTreeSet<Arc<str>>,
}

/// The events that wait for one session, oldest first, and with the ack extension those that it has not acknowledged.
#[derive(Debug)]
pub(super) struct Queue {
    events: VecDeque<Bytes>,
    /// Sum of the lengths of `events`.
    bytes: usize,
    most: Most,
    /// The ack extension, if the client has it.
    acks: Option<Acks>,
}

/// The bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

#[derive(Debug, Default)]
struct Acks {
    /// The last batch that was closed.
    batch: u64,
    /// Batches on their way and the events of each, oldest first; their events are the first of the queue.
    open: VecDeque<(u64, usize)>,
    /// Sum of the events of `open`.
    sent: usize,
}

impl Queue {
    pub(super) fn new(most: Most, with_acks: bool) -> Queue {
        Queue { events: VecDeque::new(), bytes: 0, most, acks: with_acks.then(Acks::default) }
    }

    /// Adds an event; false if there is no room.
    #[must_use]
    pub(super) fn push(&mut self, event: Bytes) -> bool {
        let bytes = self.bytes + event.len();
        let has_room = self.events.len() < self.most.events && bytes <= self.most.bytes;
        if has_room {
            self.bytes = bytes;
            self.events.push_back(event);
        }
        has_room
    }

    /// Returns true if the client has the ack extension: then events travel only with the answer to a connect.
    pub(super) fn has_acks(&self) -> bool {
        self.acks.is_some()
    }

    /// Returns true if events wait that are not on their way.
    pub(super) fn has_unsent(&self) -> bool {
        self.events.len() > self.acks.as_ref().map_or(0, |acks| acks.sent)
    }

    /// Forgets what the client has: all batches up to `batch`. The rest was lost with its answer, and goes again.
    pub(super) fn acknowledge(&mut self, batch: i64) {
        let Some(acks) = &mut self.acks else { return };
        let batch = u64::try_from(batch).unwrap_or(0);
        for (number, count) in acks.open.drain(..) {
            if number <= batch {
                self.bytes -= self.events.drain(..count).map(|event| event.len()).sum::<usize>();
            }
        }
        acks.sent = 0;
    }

    /// Calls `each` with every event that is not on its way, and closes a batch, whose number it returns.
    pub(super) fn take(&mut self, mut each: impl FnMut(&Bytes)) -> Option<u64> {
        let Some(acks) = &mut self.acks else {
            self.events.drain(..).for_each(|event| each(&event));
            self.bytes = 0;
            return None;
        };
        self.events.iter().skip(acks.sent).for_each(&mut each);
        acks.batch += 1;
        acks.open.push_back((acks.batch, self.events.len() - acks.sent));
        acks.sent = self.events.len();
        Some(acks.batch)
    }

    /// Takes the only event that waits, if there is one and no more: it needs no copy.
    pub(super) fn take_single(&mut self) -> Option<Bytes> {
        if self.events.len() != 1 || self.acks.is_some() {
            return None;
        }
        self.bytes = 0;
        self.events.pop_front()
    }
}
