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
use super::trunks::Attempt;
use super::{Closing, Gateway, identity};
use crate::call::{AnswerMode, Call, Direction, EventKind, Parties, ReleaseCause, SetupLimits, Signal, Summons};
use crate::id::{CallId, DialId, WorkerId};
use crate::path::{Path, Transport};
use crate::registrar::Binding;
use crate::sip::endpoint::ServerTx;
use crate::sip::message::{Message, Name};
use crate::sip::refer::{ReferError, ReferTo};

/// What a phone is to do.
pub(super) struct Wanted {
    pub(super) dn: String,
    pub(super) number: String,
    pub(super) phones: Vec<Binding>,
    /// What goes along with the INVITE to the number.
    pub(super) told: Vec<(String, String)>,
}

/// How the number is reached.
pub(super) enum Way {
    /// By servers of trunks, one after the other; there is at least one.
    Trunk(Vec<Attempt>),
    /// It is another of our DNs, whose phones are on this worker then.
    Here(WorkerId),
}

/// What is known of the call that it is to make.
#[derive(Default)]
pub(super) struct Said {
    pub(super) call_uuid: Option<String>,
    pub(super) data: Vec<(String, String)>,
    pub(super) dial: Option<DialId>,
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
        let first = self.reach.targets(trunk).iter().find(|target| target.addr.ip() == path.remote().ip());
        let attempts = self.trunks.attempts_at(trunk, &wanted.number, first.map(|target| target.id));
        let carry = self.peers.trunk(trunk).map(|trunk| identity::carried_in(refer, &trunk.carry));
        let said = Said { call_uuid: identity::call_uuid(refer), data: carry.unwrap_or_default(), dial: None };
        let call = self.begin_summons(&wanted, Way::Trunk(attempts), said, now);
        self.trunks.referred.insert(call, referrer);
        self.call_agent(call, worker, &wanted, now);
    }

    /// Makes the call; its phones are to be called. The first attempt is the trunk's whose time limits hold.
    pub(super) fn begin_summons(&mut self, wanted: &Wanted, way: Way, said: Said, now: Instant) -> CallId {
        let dn = &wanted.dn;
        let (local, attempts) = match way {
            Way::Here(_) => (true, Vec::new()),
            Way::Trunk(attempts) => (false, attempts),
        };
        let target = attempts.first().map(|attempt| self.trunks.failover(attempt.trunk));
        let limits = match local {
            true => self.local_limits(&wanted.number),
            false => SetupLimits { answer: self.policy.dial_timeout, target, targets: attempts.len() },
        };
        let until = now + self.admission.ring(dn).unwrap_or(self.policy.ring_timeout);
        let mode = self.admission.answer(dn);
        let summons = Summons::begin(mode == AnswerMode::Page, until, limits, self.policy.refusal_tone);
        let parties = Parties {
            dn: dn.clone(),
            peer: wanted.number.clone(),
            peer_name: String::new(),
            direction: Direction::Outbound,
            call_uuid: said.call_uuid,
            data: said.data.into(),
            told: wanted.told.clone().into(),
            local,
            dnis: None,
            dial: said.dial,
        };
        let call = self.calls.next_call();
        self.calls.insert(Call::summon(call, parties, summons, now));
        if !local {
            self.trunks.keep_attempts(call, attempts);
        }
        self.counters.calls += 1;
        self.emit(call, EventKind::Dialing, now);
        call
    }

    /// Calls the phones of the agent, or takes the one that stands.
    pub(super) fn call_agent(&mut self, call: CallId, worker: WorkerId, wanted: &Wanted, now: Instant) {
        let nailed = self.admission.answer(&wanted.dn) == AnswerMode::Nailed;
        match self.standing_leg(&wanted.dn).filter(|_| nailed) {
            Some((standing, leg)) => self.take_standing(call, standing, leg, now),
            None => {
                for binding in &wanted.phones {
                    self.ring(call, worker, binding, now);
                }
                if self.calls.get(call).is_some_and(|call| call.legs.is_empty()) {
                    self.signal(call, Signal::NoTarget, now);
                }
            }
        }
        self.calls.schedule(call);
    }

    /// Says whether there may be another call at all.
    pub(super) fn may_summon(&self) -> Result<(), Refusal> {
        if self.closing != Closing::No {
            return Err(Refusal::limit(503, Limit::Draining));
        }
        if self.calls.len() >= self.policy.max_calls {
            return Err(Refusal::limit(503, Limit::Calls));
        }
        Ok(())
    }

    /// Returns the phones of a DN that may have another call.
    pub(super) fn phones_of(&mut self, dn: &str, now: Instant) -> Result<Vec<Binding>, Refusal> {
        let phones = self.reachable(dn, now);
        if phones.is_empty() {
            return Err(480.into());
        }
        if !self.has_room(dn) {
            return Err(Refusal::limit(486, Limit::Dn));
        }
        Ok(phones)
    }

    /// Reads what is wanted.
    fn wanted(&mut self, refer: &Message, trunk: usize, now: Instant) -> Result<Wanted, Refusal> {
        self.may_summon()?;
        let dn = identity::user(refer.request_uri()).filter(|dn| self.admission.knows(dn)).ok_or(404u16)?;
        let mut values = refer.headers(Name::ReferTo);
        let (Some(value), None) = (values.next(), values.next()) else { return Err(400.into()) };
        let target = ReferTo::parse(value.get(..MAX_VALUE).map_or(value, |_| b"")).map_err(|error| match error {
            ReferError::Scheme => 416u16,
            _ => 400,
        })?;
        let number = identity::user(&target.target).filter(|number| is_number(number)).ok_or(400u16)?;
        let phones = self.phones_of(&dn, now)?;
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
