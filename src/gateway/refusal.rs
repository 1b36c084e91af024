//! Why an INVITE makes no call, and the limits that new calls are held to; calls under way never meet them.

use super::Gateway;
use super::ports::NoPlace;
use crate::call::{Call, Nailed};
use crate::id::WorkerId;
use crate::sip::endpoint::Header;

/// Why an INVITE makes no call: the status, what is counted, and, for a challenge, its headers.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) headers: Vec<Header>,
    pub(super) limit: Option<Limit>,
}

/// What there is too much of for another call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Work for the worker.
    Overload,
    /// Calls in all.
    Calls,
    /// Calls of one DN.
    Dn,
    /// Time: the gateway is about to end.
    Draining,
}

impl Limit {
    /// Says so to whoever reads the refusal (Warning 399, RFC 3261 20.43).
    pub(super) fn words(self) -> &'static str {
        match self {
            Limit::Overload => "the gateway is overloaded, and keeps the calls that it has",
            Limit::Calls => "the gateway has as many calls as it may have (limits.calls)",
            Limit::Dn => "this number has as many calls as it may have (dn.calls)",
            Limit::Draining => "the gateway takes no new calls before it ends",
        }
    }
}

impl Refusal {
    pub(super) fn status(&self) -> u16 {
        self.status
    }
}

impl From<u16> for Refusal {
    fn from(status: u16) -> Refusal {
        Refusal { status, headers: Vec::new(), limit: None }
    }
}

impl Refusal {
    pub(super) fn limit(status: u16, limit: Limit) -> Refusal {
        Refusal { limit: Some(limit), ..Refusal::from(status) }
    }
}

impl From<NoPlace> for Refusal {
    fn from(why: NoPlace) -> Refusal {
        match why {
            NoPlace::NoWorker | NoPlace::Apart => 503.into(),
            NoPlace::Overload => Refusal::limit(503, Limit::Overload),
        }
    }
}

impl Gateway {
    pub(super) fn count_limit(&mut self, limit: Limit) {
        let counters = &mut self.counters;
        let counter = match limit {
            Limit::Overload => &mut counters.overload,
            Limit::Calls => &mut counters.too_many_calls,
            Limit::Dn => &mut counters.too_many_of_dn,
            Limit::Draining => &mut counters.draining,
        };
        *counter += 1;
    }

    /// Returns true where the DN may have another call; those that are being taken down do not count.
    pub(super) fn has_room(&self, dn: &str) -> bool {
        let most = self.admission.most_calls(dn);
        let is_own = |call: &&Call| {
            let parties = &call.parties;
            let is_called = parties.local && parties.peer == dn;
            let of_dn = parties.dn == dn || is_called || call.leg_of_dn(dn).is_some();
            of_dn && call.nailed != Nailed::Alone && !call.is_releasing()
        };
        self.ports.calls_of(dn) < most || self.calls.iter().filter(is_own).count() < most
    }

    /// Places a new call of a DN.
    pub(super) fn place_call(&mut self, dn: &str) -> Result<WorkerId, Refusal> {
        let worker = self.ports.place_call(dn)?;
        self.counters.overload_g711 += u64::from(self.ports.is_tight(worker));
        Ok(worker)
    }
}
