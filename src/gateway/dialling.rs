//! A call that page, REST or an embedding program wants made: click-to-dial without the SIP Server (after RFC 3725 flow I: the
//! agent's phone is called first, then the number).
//!
//! ```text
//! 403   the DN may not dial the number
//! 404   no DN of ours, or no trunk for the number, which is no DN either that is called without one
//! 480   nobody is signed in as that DN
//! 484   no number
//! 486   the DN has as many calls as it may have
//! 503   no new calls, or no server of the trunk can be reached
//! ```

use std::time::Instant;

use super::page::is_number;
use super::refusal::Refusal;
use super::summons::{Said, Wanted, Way};
use super::{Gateway, Output, identity};
use crate::id::DialId;

impl Gateway {
    /// Has a phone called that is then to call a number; tells of the call by its events, of none by [`Output::NotDialled`].
    pub(super) fn command_dial(&mut self, dial: DialId, mut wanted: Wanted, now: Instant) {
        let outcome = self.may_dial_for(&mut wanted, now).and_then(|way| {
            let worker = match way {
                Way::Here(worker) => worker,
                Way::Trunk(_) => self.place_call(&wanted.dn)?,
            };
            Ok((worker, way))
        });
        match outcome {
            Ok((worker, way)) => {
                let said = Said { dial: Some(dial), ..Said::default() };
                let call = self.begin_summons(&wanted, way, said, now);
                self.call_agent(call, worker, &wanted, now);
            }
            Err(refusal) => {
                self.counters.refused += 1;
                if let Some(limit) = refusal.limit {
                    self.count_limit(limit);
                }
                let (dn, status) = (wanted.dn, refusal.status());
                self.outputs.push_back(Output::NotDialled { dial, dn, status });
            }
        }
    }

    /// Judges the wish, finds the phones, and returns how the number is reached: as if the agent's browser dialled it.
    fn may_dial_for(&mut self, wanted: &mut Wanted, now: Instant) -> Result<Way, Refusal> {
        let Wanted { dn, number, .. } = wanted;
        self.may_summon()?;
        if !self.admission.knows(dn) {
            return Err(404.into());
        }
        if !is_number(number) {
            return Err(484.into());
        }
        if !self.admission.may_dial(dn, number) {
            return Err(403.into());
        }
        let phones = self.phones_of(dn, now);
        if phones.is_ok()
            && let Some(worker) = self.local_party(dn, number, now)?
        {
            wanted.phones = phones?;
            let told = std::mem::take(&mut wanted.told);
            let carry = self.peers.trunk(0).map(|trunk| &trunk.carry);
            wanted.told = carry.map(|carry| identity::carried_from(told, carry)).unwrap_or_default();
            return Ok(Way::Here(worker));
        }
        let mut attempts = self.trunks.attempts(dn, number).ok_or(404u16)?;
        wanted.phones = phones?;
        let first = attempts.iter().position(|attempt| self.reach.hop(attempt.target, now).is_some()).ok_or(503u16)?;
        attempts.drain(..first);
        let carry = attempts.first().and_then(|attempt| self.peers.trunk(attempt.trunk)).map(|trunk| &trunk.carry);
        let told = std::mem::take(&mut wanted.told);
        wanted.told = carry.map(|carry| identity::carried_from(told, carry)).unwrap_or_default();
        Ok(Way::Trunk(attempts))
    }
}
