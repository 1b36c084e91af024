//! How many new transactions a source may open: token buckets in a bounded map.
//!
//! Over UDP a source is an address. A connection has a bucket of its own, and its address a wider one: an office behind
//! one NAT signs in all at once when its network comes back, and is no flood.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use super::SourceLimit;
use crate::id::FlowId;
use crate::path::{Path, source_of};

/// Most buckets kept; beyond it those that have been quiet are forgotten, then all.
const MAX_BUCKETS: usize = 32_768;

/// How many times a connection's rate and burst all connections of one address have together.
const OFFICE: (f64, f64) = (10.0, 50.0);

type Judgement = Box<dyn Fn(&Path) -> bool + Send>;

/// Buckets of all sources.
pub(super) struct Limiter {
    limit: SourceLimit,
    trusted: Judgement,
    known: Judgement,
    buckets: HashMap<Source, Bucket>,
}

/// Whose share it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Datagrams(IpAddr),
    Flow(FlowId),
    /// All connections of an address.
    Flows(IpAddr),
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn filled(&self, (rate, burst): (f64, f64), now: Instant) -> f64 {
        (self.tokens + now.saturating_duration_since(self.at).as_secs_f64() * rate).min(burst)
    }
}

impl Limiter {
    pub(super) fn new(limit: SourceLimit) -> Limiter {
        Limiter { limit, trusted: Box::new(|_| false), known: Box::new(|_| true), buckets: HashMap::new() }
    }

    pub(super) fn set_trusted(&mut self, trusted: Judgement) {
        self.trusted = trusted;
    }

    pub(super) fn set_known(&mut self, known: Judgement) {
        self.known = known;
    }

    pub(super) fn is_known(&self, path: &Path) -> bool {
        (self.known)(path)
    }

    pub(super) fn is_trusted(&self, path: &Path) -> bool {
        (self.trusted)(path)
    }

    /// Takes one token; false: the source has used up its share.
    pub(super) fn admit(&mut self, path: &Path, now: Instant) -> bool {
        if self.is_trusted(path) {
            return true;
        }
        let address = source_of(path.remote().ip());
        match path.flow() {
            Some(flow) => self.take(Source::Flow(flow), now) && self.take(Source::Flows(address), now),
            None => self.take(Source::Datagrams(address), now),
        }
    }

    fn take(&mut self, source: Source, now: Instant) -> bool {
        let (rate, burst) = (f64::from(self.limit.per_second), f64::from(self.limit.burst));
        let share = |source: &Source| match source {
            Source::Flows(_) => (rate * OFFICE.0, burst * OFFICE.1),
            Source::Datagrams(_) | Source::Flow(_) => (rate, burst),
        };
        if self.buckets.len() >= MAX_BUCKETS && !self.buckets.contains_key(&source) {
            self.buckets.retain(|source, bucket| bucket.filled(share(source), now) < share(source).1);
            if self.buckets.len() >= MAX_BUCKETS {
                self.buckets.clear();
            }
        }
        let share = share(&source);
        let bucket = self.buckets.entry(source).or_insert(Bucket { tokens: share.1, at: now });
        bucket.tokens = bucket.filled(share, now);
        bucket.at = now;
        let admitted = bucket.tokens >= 1.0;
        if admitted {
            bucket.tokens -= 1.0;
        }
        admitted
    }
}
