//! REFER outside any dialog: the SIP Server has an agent's phone make a call (genesys.md, `refer-enabled`; RFC 3515).
//!
//! ```text
//! 202   the phone is called, and told to answer; then the number of Refer-To, at the trunk that asked
//! 400   no Refer-To, two, or one that cannot be read
//! 404   no DN of ours
//! 416   neither SIP nor tel
//! 480   nobody is signed in as that DN
//! 503   no new calls
//! ```
//! NOTIFYs tell how it goes: 100 at once, 180 when the number rings, its final status, or why the phone did not answer.
//! Only a trunk may ask for it: nobody else has a say in what an agent's phone does.

use std::time::Instant;

use super::page::is_number;
use super::refer::{MAX_VALUE, carried};
use super::refusal::{Limit, Refusal};
use super::routing::{contact, hop};
use super::{Closing, Gateway, identity};
use crate::call::{AnswerMode, Call, Direction, EventKind, Parties, ReleaseCause, SetupLimits, Signal, Summons};
use crate::id::{CallId, WorkerId};
use crate::path::{Path, Transport};
use crate::registrar::Binding;
use crate::sip::endpoint::ServerTx;
use crate::sip::message::{Message, Name};
use crate::sip::refer::{ReferError, ReferTo};

/// What a phone is to do.
struct Wanted {
    dn: String,
    number: String,
    phones: Vec<Binding>,
    /// What goes along with the INVITE to the number.
    told: Vec<(String, String)>,
}

impl Gateway {
    /// A REFER of a trunk's, outside any dialog.
    pub(super) fn summon(
        &mut self,
        tx: ServerTx,
        refer: &Message,
        (path, transport): (Path, Transport),
        trunk: usize,
        now: Instant,
    ) {
        let wanted = self.wanted(refer, trunk, now);
        let placed = wanted.and_then(|wanted| Ok((self.place_call(&wanted.dn)?, wanted)));
        let (worker, wanted) = match placed {
            Ok(placed) => placed,
            Err(refusal) => {
                self.counters.refused += 1;
                if let Some(limit) = refusal.limit {
                    self.count_limit(limit);
                }
                let headers = self.refusal_headers(refusal.status);
                return self.reply(tx, refer, refusal.status, &headers, now);
            }
        };
        let listener = self.peers.listener_of(&path).or_else(|| self.peers.listener(super::ListenerId(0))).cloned();
        let Some(listener) = listener else {
            self.ports.unplace(&wanted.dn);
            return self.reply(tx, refer, 503, &self.refusal_headers(503), now);
        };
        let own = contact(&wanted.dn, &listener);
        let referrer = self.endpoint.accept_refer(tx, refer, hop(&listener, path, transport), &own, now);
        let Wanted { dn, number, phones, told } = wanted;
        let first = self.reach.targets(trunk).iter().find(|target| target.addr.ip() == path.remote().ip());
        let attempts = self.trunks.attempts_at(trunk, &number, first.map(|target| target.id));
        let (answer, target) = (self.policy.dial_timeout, Some(self.trunks.failover(trunk)));
        let limits = SetupLimits { answer, target, targets: attempts.len() };
        let until = now + self.admission.ring(&dn).unwrap_or(self.policy.ring_timeout);
        let mode = self.admission.answer(&dn);
        let summons = Summons::begin(mode == AnswerMode::Page, until, limits, self.policy.refusal_tone);
        let carry = self.peers.trunk(trunk).map(|trunk| identity::carried_in(refer, &trunk.carry));
        let parties = Parties {
            dn: dn.clone(),
            peer: number,
            peer_name: String::new(),
            direction: Direction::Outbound,
            call_uuid: identity::call_uuid(refer),
            data: carry.unwrap_or_default().into(),
            told: told.into(),
            local: false,
        };
        let call = self.calls.next_call();
        self.calls.insert(Call::summon(call, parties, summons, now));
        self.trunks.referred.insert(call, referrer);
        self.trunks.keep_attempts(call, attempts);
        self.counters.calls += 1;
        self.emit(call, EventKind::Dialing, now);
        self.call_agent(call, (&dn, worker), mode, &phones, now);
        self.calls.schedule(call);
    }

    /// Calls the phones of the agent, or takes the one that stands.
    fn call_agent(
        &mut self,
        call: CallId,
        (dn, worker): (&str, WorkerId),
        mode: AnswerMode,
        phones: &[Binding],
        now: Instant,
    ) {
        let standing = self.standing_leg(dn).filter(|_| mode == AnswerMode::Nailed);
        if let Some((standing, leg)) = standing {
            return self.take_standing(call, standing, leg, now);
        }
        for binding in phones {
            self.ring(call, worker, binding, now);
        }
        if self.calls.get(call).is_some_and(|call| call.legs.is_empty()) {
            self.signal(call, Signal::NoTarget, now);
        }
    }

    /// Reads what is wanted.
    fn wanted(&mut self, refer: &Message, trunk: usize, now: Instant) -> Result<Wanted, Refusal> {
        if self.closing != Closing::No {
            return Err(Refusal::limit(503, Limit::Draining));
        }
        if self.calls.len() >= self.policy.max_calls {
            return Err(Refusal::limit(503, Limit::Calls));
        }
        let dn = identity::user(refer.request_uri()).filter(|dn| self.admission.knows(dn)).ok_or(404u16)?;
        let mut values = refer.headers(Name::ReferTo);
        let (Some(value), None) = (values.next(), values.next()) else { return Err(400.into()) };
        let target = ReferTo::parse(value.get(..MAX_VALUE).map_or(value, |_| b"")).map_err(|error| match error {
            ReferError::Scheme => 416u16,
            _ => 400,
        })?;
        let number = identity::user(&target.target).filter(|number| is_number(number)).ok_or(400u16)?;
        let phones = self.reachable(&dn, now);
        if phones.is_empty() {
            return Err(480.into());
        }
        if !self.has_room(&dn) {
            return Err(Refusal::limit(486, Limit::Dn));
        }
        let carry = self.peers.trunk(trunk).map(|trunk| trunk.carry.clone()).unwrap_or_default();
        let text = |(name, value): (String, Vec<u8>)| (name, String::from_utf8_lossy(&value).into_owned());
        let mut told: Vec<_> = carried(refer, target.replaces.as_ref()).into_iter().map(text).collect();
        told.extend(identity::call_uuid(refer).map(|uuid| (identity::UUID.to_owned(), uuid)));
        told.extend(identity::carried_in(refer, &carry));
        Ok(Wanted { dn, number, phones, told })
    }

    /// Tells who asked for this call by REFER how it goes.
    pub(super) fn tell_referrer(&mut self, call: CallId, status: u16, is_over: bool, now: Instant) {
        let Some(mut referrer) = self.trunks.referred.remove(&call) else { return };
        self.endpoint.notify_outside(&mut referrer, status, is_over, now);
        if !is_over {
            self.trunks.referred.insert(call, referrer);
        }
    }

    /// The call begins to end: so does the wait of who asked for it.
    pub(super) fn tell_referrer_why(&mut self, call: CallId, now: Instant) {
        let cause = self.calls.get(call).and_then(|call| call.cause());
        let status = match cause {
            Some(ReleaseCause::Refused(status)) if status >= 300 => status,
            _ => 487,
        };
        self.tell_referrer(call, status, true, now);
    }
}
