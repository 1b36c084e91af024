//! What comes out of turn: what was said of calls before they are there, for a real GWS may be quicker than the INVITE; and
//! facts of calls that have been given up already, because others were missed.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::call::size;
use super::operation::AttachedData;
use crate::id::CallId;

/// Calls that something is kept for; beyond it the oldest is forgotten.
const MAX: usize = 4096;
/// How long it is kept.
const TIME: Duration = Duration::from_secs(60);
/// Most bytes of the user data of one call; what is more is not kept.
const MAX_BYTES: usize = 16_384;

/// Calls that were given up and of which facts may still come: as many as facts can wait.
const MAX_ENDED: usize = 65_536;

/// All that comes out of turn.
#[derive(Debug, Default)]
pub(super) struct Strays {
    pub(super) early: Early,
    pub(super) ended: Ended,
}

/// Calls that were given up, until the fact of their end comes too.
#[derive(Debug, Default)]
pub(super) struct Ended(BTreeSet<CallId>);

impl Ended {
    /// Notes that a call has been given up; beyond the bound the oldest is forgotten, whose end was among what was missed.
    pub(super) fn note(&mut self, call: CallId) {
        self.0.insert(call);
        if self.0.len() > MAX_ENDED {
            self.0.pop_first();
        }
    }

    /// Says whether a fact is of a call that was given up; `is_end`: none comes after it.
    pub(super) fn is_late(&mut self, call: CallId, is_end: bool) -> bool {
        if is_end { self.0.remove(&call) } else { self.0.contains(&call) }
    }
}

/// What is kept, by CallUUID.
#[derive(Debug, Default)]
pub(super) struct Early {
    told: HashMap<String, (Option<String>, Option<AttachedData>)>,
    order: VecDeque<(Instant, String)>,
}

impl Early {
    pub(super) fn keep(&mut self, uuid: String, conn_id: Option<String>, data: Option<AttachedData>, now: Instant) {
        self.expire(now);
        let data = data.filter(|data| size(data) <= MAX_BYTES);
        match self.told.get_mut(&uuid) {
            Some((known, pairs)) => {
                *known = conn_id.or(known.take());
                // What is said last is all that there is.
                *pairs = data.or(pairs.take());
            }
            None => {
                self.order.push_back((now, uuid.clone()));
                self.told.insert(uuid, (conn_id, data));
            }
        }
        if self.order.len() > MAX
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.told.remove(&oldest);
        }
    }

    pub(super) fn take(&mut self, uuid: &str, now: Instant) -> Option<(Option<String>, Option<AttachedData>)> {
        self.expire(now);
        let told = self.told.remove(uuid)?;
        self.order.retain(|(_, other)| other != uuid);
        Some(told)
    }

    fn expire(&mut self, now: Instant) {
        while let Some((at, uuid)) = self.order.front()
            && now.saturating_duration_since(*at) > TIME
        {
            self.told.remove(uuid);
            self.order.pop_front();
        }
    }
}
