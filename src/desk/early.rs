//! What was said of calls before they are there: a real GWS may be quicker than the INVITE.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::call::size;
use super::operation::AttachedData;

/// Calls that something is kept for; beyond it the oldest is forgotten.
const MAX: usize = 4096;
/// How long it is kept.
const TIME: Duration = Duration::from_secs(60);
/// Most bytes of the user data of one call; what is more is not kept.
const MAX_BYTES: usize = 16_384;

/// What is kept, by CallUUID.
#[derive(Debug, Default)]
pub(super) struct Early {
    told: HashMap<String, (Option<String>, AttachedData)>,
    order: VecDeque<(Instant, String)>,
}

impl Early {
    pub(super) fn keep(&mut self, uuid: String, conn_id: Option<String>, data: AttachedData, now: Instant) {
        self.expire(now);
        let data = if size(&data) <= MAX_BYTES { data } else { AttachedData::new() };
        match self.told.get_mut(&uuid) {
            Some((known, pairs)) => {
                *known = conn_id.or(known.take());
                if size(pairs) + size(&data) <= MAX_BYTES {
                    pairs.extend(data);
                }
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

    pub(super) fn take(&mut self, uuid: &str, now: Instant) -> Option<(Option<String>, AttachedData)> {
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
