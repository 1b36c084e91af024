//! How many new transactions a source may open: a token bucket per address, in a bounded map.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use super::SourceLimit;
use crate::path::Path;

/// Most sources kept; beyond it those that have been quiet are forgotten, then all.
const MAX_SOURCES: usize = 8192;

type Judgement = Box<dyn Fn(&Path) -> bool + Send>;

/// Buckets of all sources.
pub(super) struct Limiter {
    limit: SourceLimit,
    trusted: Judgement,
    known: Judgement,
    buckets: HashMap<IpAddr, Bucket>,
}

struct Bucket {
    tokens: f64,
    at: Instant,
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
        let (rate, burst) = (f64::from(self.limit.per_second), f64::from(self.limit.burst));
        let filled = |bucket: &Bucket| {
            (bucket.tokens + now.saturating_duration_since(bucket.at).as_secs_f64() * rate).min(burst)
        };
        let source = path.remote().ip();
        if self.buckets.len() >= MAX_SOURCES && !self.buckets.contains_key(&source) {
            self.buckets.retain(|_, bucket| filled(bucket) < burst);
            if self.buckets.len() >= MAX_SOURCES {
                self.buckets.clear();
            }
        }
        let bucket = self.buckets.entry(source).or_insert(Bucket { tokens: burst, at: now });
        bucket.tokens = filled(bucket);
        bucket.at = now;
        let admitted = bucket.tokens >= 1.0;
        if admitted {
            bucket.tokens -= 1.0;
        }
        admitted
    }
}
