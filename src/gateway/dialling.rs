//! A call that page, REST or an embedding program wants made: click-to-dial without the SIP Server (after RFC 3725 flow I: the
//! agent's phone is called first, then the number).
//!
//! ```text
//! 403   the DN may not dial the number
//! 404   no DN of ours, or no trunk for the number
//! 480   nobody is signed in as that DN
//! 484   no number
//! 486   the DN has as many calls as it may have
//! 503   no new calls, or no server of the trunk can be reached
//! ```

use std::time::Instant;

use super::page::is_number;
use super::refusal::Refusal;
use super::summons::{Said, Wanted};
use super::trunks::Attempt;
use super::{Gateway, Output, identity};
use crate::id::DialId;

impl Gateway {
    /// Has a phone called that is then to call a number; tells of the call by its events, of none by [`Output::NotDialled`].
    pub(super) fn command_dial(&mut self, dial: DialId, mut wanted: Wanted, now: Instant) {
        let outcome = self.may_dial_for(&mut wanted, now).and_then(|attempts| {
            let worker = self.place_call(&wanted.dn)?;
            Ok((worker, attempts))
        });
        match outcome {
            Ok((worker, attempts)) => {
                let said = Said { dial: Some(dial), ..Said::default() };
                let call = self.begin_summons(&wanted, attempts, said, now);
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

    /// Judges the wish, finds the phones, and returns the servers that the number is dialled at.
    fn may_dial_for(&mut self, wanted: &mut Wanted, now: Instant) -> Result<Vec<Attempt>, Refusal> {
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
        let mut attempts = self.trunks.attempts(dn, number).ok_or(404u16)?;
        wanted.phones = self.phones_of(dn, now)?;
        let first = attempts.iter().position(|attempt| self.reach.hop(attempt.target, now).is_some()).ok_or(503u16)?;
        attempts.drain(..first);
        let carry = attempts.first().and_then(|attempt| self.peers.trunk(attempt.trunk)).map(|trunk| &trunk.carry);
        let told = std::mem::take(&mut wanted.told);
        wanted.told = carry.map(|carry| identity::carried_from(told, carry)).unwrap_or_default();
        Ok(attempts)
    }
}
