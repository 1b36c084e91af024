//! A new INVITE: who sent it, whom it is for, and the call that it makes.

use std::net::IpAddr;
use std::time::Instant;

use super::admission::Verdict;
use super::answering::wants_answer;
use super::audio::Beside;
use super::config::Listener;
use super::identity::{self, Identity};
use super::refusal::{Limit, Refusal};
use super::sessions::has_sdp;
use super::trunks::Attempt;
use super::{Closing, Gateway};
use crate::call::{Call, Direction, EventKind, Leg, LegMedia, Parties, SetupLimits, Signal, UserData};
use crate::id::{CallId, LegId, WorkerId};
use crate::path::{Path, Transport};
use crate::plan::Order;
use crate::registrar::Binding;
use crate::sdp::OfferError;
use crate::sdp::offer_answer::offered_address;
use crate::sip::endpoint::{Header, Hop, OutInvite, SessionId};
use crate::sip::message::{Message, Name};
use crate::sip::uri::escape;

/// Returns the status for an offer that cannot be answered.
pub(super) fn sdp_status(error: &OfferError) -> u16 {
    match error {
        OfferError::Malformed(_) => 400,
        _ => 488,
    }
}

/// Returns the offer of an INVITE; a body of another kind is refused (RFC 3261 8.2.3).
pub(super) fn offer(invite: &Message) -> Result<Option<&[u8]>, Refusal> {
    match invite.body() {
        [] => Ok(None),
        body if has_sdp(invite) => Ok(Some(body)),
        _ => {
            let headers = vec![("Accept".to_owned(), b"application/sdp".to_vec())];
            Err(Refusal { headers, ..415.into() })
        }
    }
}

/// What is written into messages of ours that leave by a listener.
pub(super) fn hop(listener: &Listener, path: Path, transport: Transport) -> Hop {
    Hop { path, transport, sent_by: listener.advertise.clone() }
}

/// Our Contact: the DN is its user, so that a NOTIFY's Request-URI names it (genesys.md).
pub(super) fn contact(dn: &str, listener: &Listener) -> String {
    format!("<{}>", contact_uri(dn, listener))
}

/// The URI of [`contact`].
pub(super) fn contact_uri(dn: &str, listener: &Listener) -> String {
    let transport = match listener.transport {
        Transport::Udp => "",
        Transport::Tcp => ";transport=tcp",
        Transport::Tls => ";transport=tls",
        Transport::Ws | Transport::Wss => ";transport=ws",
    };
    format!("sip:{}@{}{transport}", escape(dn), listener.advertise)
}

impl Gateway {
    pub(super) fn invited(
        &mut self,
        session: SessionId,
        invite: &Message,
        path: Path,
        transport: Transport,
        now: Instant,
    ) {
        let outcome = match self.admit_invite(invite, &path, transport, now) {
            Ok(Caller::Trunk(trunk)) if invite.header(Name::Replaces).is_some() => {
                self.replace(session, invite, path, trunk, now).map_err(Refusal::from)
            }
            Ok(Caller::Trunk(trunk)) => self.inbound(session, invite, path, trunk, now),
            Ok(Caller::Agent(_)) if invite.header(Name::Replaces).is_some() => Err(403.into()),
            Ok(Caller::Agent(dn)) => self.outbound(session, invite, path, dn, now),
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = outcome {
            self.counters.refused += 1;
            let mut headers = refusal.headers;
            if let Some(limit) = refusal.limit {
                self.count_limit(limit);
                headers.push(("Warning".to_owned(), format!("399 {} \"{}\"", self.realm, limit.words()).into_bytes()));
            }
            headers.extend(self.refusal_headers(refusal.status));
            self.endpoint.reject(session, refusal.status, None, &headers, now);
        }
    }

    fn admit_invite(
        &mut self,
        invite: &Message,
        path: &Path,
        transport: Transport,
        now: Instant,
    ) -> Result<Caller, Refusal> {
        let caller = if let Some(trunk) = self.reach.trunk_of(path, transport) {
            Caller::Trunk(trunk)
        } else if !self.peers.is_browser(path) {
            self.counters.strangers += 1;
            return Err(403.into());
        } else {
            match self.authenticate(invite, path, now) {
                Verdict::Admitted(dn) => Caller::Agent(dn),
                Verdict::Challenge(headers) => return Err(Refusal { headers, ..401.into() }),
                Verdict::Refused(status) => return Err(status.into()),
            }
        };
        // What takes the place of a dialog makes no call.
        let is_new = invite.header(Name::Replaces).is_none();
        if is_new && self.closing != Closing::No {
            return Err(Refusal::limit(503, Limit::Draining));
        }
        if is_new && self.calls.len() >= self.policy.max_calls {
            return Err(Refusal::limit(503, Limit::Calls));
        }
        Ok(caller)
    }

    /// Says in whose name a session is answered that has come this way.
    pub(super) fn answer_as(&mut self, session: SessionId, path: &Path, user: &str) {
        if let Some(listener) = self.peers.listener_of(path) {
            self.endpoint.set_local(session, &listener.advertise, &contact(user, listener));
        }
    }

    /// The trunk calls a DN.
    fn inbound(
        &mut self,
        session: SessionId,
        invite: &Message,
        path: Path,
        trunk: usize,
        now: Instant,
    ) -> Result<(), Refusal> {
        let dn = identity::user(invite.request_uri()).ok_or(404)?;
        if !self.admission.knows(&dn) {
            return Err(404.into());
        }
        if self.reachable(&dn, now).is_empty() {
            return Err(480.into());
        }
        if !self.has_room(&dn) {
            return Err(Refusal::limit(486, Limit::Dn));
        }
        let offer = offer(invite)?;
        let worker = self.place_call(&dn)?;
        let (leg, media, open) = match self.trunk_media(worker, trunk, path.remote().ip(), offer) {
            Ok(made) => made,
            Err(refusal) => {
                self.ports.unplace(&dn);
                return Err(refusal);
            }
        };
        self.answer_as(session, &path, &dn);
        let caller = identity::from_trunk(invite);
        let parties = Parties {
            dn,
            peer: caller.number,
            peer_name: caller.name,
            direction: Direction::Inbound,
            call_uuid: identity::call_uuid(invite),
            data: self.peers.trunk(trunk).map(|t| identity::carried_in(invite, &t.carry).into()).unwrap_or_default(),
            told: UserData::default(),
            local: false,
            dnis: identity::dnis(invite),
            dial: None,
        };
        let answer = self.admission.ring(&parties.dn).unwrap_or(self.policy.ring_timeout);
        let limits = SetupLimits { answer, target: None, targets: 0 };
        let caller = Leg::trunk(leg, session, path, media);
        let call = self.begin(parties, caller, limits, open, now);
        self.peers.count(trunk, |counters| counters.inbound += 1);
        self.alert(call, wants_answer(invite), now);
        self.calls.schedule(call);
        Ok(())
    }

    /// A DN calls out.
    fn outbound(
        &mut self,
        session: SessionId,
        invite: &Message,
        path: Path,
        dn: String,
        now: Instant,
    ) -> Result<(), Refusal> {
        let number = identity::user(invite.request_uri()).ok_or(404)?;
        if !self.admission.may_dial(&dn, &number) {
            return Err(403.into());
        }
        if !self.has_room(&dn) {
            return Err(Refusal::limit(403, Limit::Dn));
        }
        if let Some(worker) = self.local_party(&dn, &number, now)? {
            return self.connect_locally(session, invite, path, (dn, number), worker, now);
        }
        let mut attempts = self.trunks.attempts(&dn, &number).ok_or(404)?;
        let first = attempts.iter().position(|attempt| self.reach.hop(attempt.target, now).is_some()).ok_or(503)?;
        attempts.drain(..first);
        let offer = offer(invite)?;
        let worker = self.place_call(&dn)?;
        let leg = self.calls.next_leg();
        let beside = attempts.first().map_or(Beside::Nobody, |attempt| Beside::Trunk(attempt.trunk));
        let local = self.browser_local(worker, &dn, beside);
        let (media, open) = match LegMedia::browser(leg, worker, local, offer) {
            Ok(made) => made,
            Err(error) => {
                self.ports.unplace(&dn);
                return Err(sdp_status(&error).into());
            }
        };
        self.answer_as(session, &path, &number);
        let target = attempts.first().map(|attempt| self.trunks.failover(attempt.trunk));
        let limits = SetupLimits { answer: self.policy.dial_timeout, target, targets: attempts.len() };
        let told = self
            .peers
            .trunk(attempts.first().map_or(0, |attempt| attempt.trunk))
            .map(|t| identity::carried_out(invite, &t.carry).into())
            .unwrap_or_default();
        let parties = Parties {
            dn,
            peer: number,
            peer_name: String::new(),
            direction: Direction::Outbound,
            call_uuid: None,
            data: UserData::default(),
            told,
            local: false,
            dnis: None,
            dial: None,
        };
        let caller = Leg::browser(leg, parties.dn.clone(), session, path, media);
        // The port pair is taken first: without one there is no call, and no event of one.
        let (first, media, order) = match self.attempt_media(worker, attempts.first()) {
            Ok(made) => made,
            Err(refusal) => {
                self.ports.unplace(&parties.dn);
                return Err(refusal);
            }
        };
        let dn = parties.dn.clone();
        let call = self.begin(parties, caller, limits, open, now);
        self.trunks.keep_attempts(call, attempts);
        self.dial(call, &dn, 0, (first, media, order), now);
        self.calls.schedule(call);
        Ok(())
    }

    pub(super) fn begin(
        &mut self,
        parties: Parties,
        caller: Leg,
        limits: SetupLimits,
        open: Order,
        now: Instant,
    ) -> CallId {
        let id = self.calls.next_call();
        self.order(caller.media.worker, open);
        let mut call = Call::begin(id, parties, caller, limits, now);
        call.set_refusal_tone(self.policy.refusal_tone);
        self.calls.insert(call);
        self.counters.calls += 1;
        self.emit(id, EventKind::Dialing, now);
        id
    }

    /// Calls one of the phones of the DN that is called.
    pub(super) fn ring(&mut self, call: CallId, worker: WorkerId, binding: &Binding, now: Instant) {
        let Some((parties, is_summons)) = self.calls.get(call).map(|call| (&call.parties, call.is_summons())) else {
            return;
        };
        let is_local = parties.local && !is_summons;
        let dn = if is_local { &parties.peer } else { &parties.dn }.clone();
        let leg = self.calls.next_leg();
        let beside = self.beside(call);
        let local = self.browser_local(worker, &dn, beside);
        let Ok((media, open)) = LegMedia::browser(leg, worker, local, None) else { return };
        let sdp = media.sdp.clone();
        let hints = self.answer_hints(call);
        let Some(session) = self.invite_browser(call, is_local, binding, sdp, hints, now) else { return };
        self.order(worker, open);
        self.calls.add_callee(call, Leg::browser(leg, dn, session, binding.path, media), now);
    }

    /// Sends a phone the INVITE of a call: to the agent from the other party, or, where two of our DNs talk and it is
    /// `to_far`, the other way round.
    pub(super) fn invite_browser(
        &mut self,
        call: CallId,
        to_far: bool,
        binding: &Binding,
        sdp: Vec<u8>,
        more: Vec<Header>,
        now: Instant,
    ) -> Option<SessionId> {
        let flow = self.peers.flow(&binding.path)?;
        let listener = self.peers.listener(flow.listener)?;
        let parties = &self.calls.get(call)?.parties;
        let (dn, caller) = match to_far {
            true => (&parties.peer, Identity { number: parties.dn.clone(), name: String::new() }),
            false => (&parties.dn, Identity { number: parties.peer.clone(), name: parties.peer_name.clone() }),
        };
        let mut headers = identity::told_to_browser(parties);
        if to_far {
            headers.extend(identity::headers(&parties.told));
        }
        headers.extend(more);
        let invite = OutInvite {
            uri: binding.contact.uri.clone(),
            from: identity::address(&caller, &self.realm),
            to: format!("<sip:{}@{}>", escape(dn), self.realm),
            contact: contact(if caller.number.is_empty() { "anonymous" } else { &caller.number }, listener),
            headers,
            sdp: Some(sdp),
            ..OutInvite::default()
        };
        Some(self.endpoint.invite(invite, hop(listener, binding.path, flow.transport), now))
    }

    /// Makes the media of a trunk leg: takes a pair, answers or offers.
    pub(super) fn trunk_media(
        &mut self,
        worker: WorkerId,
        trunk: usize,
        host: IpAddr,
        offer: Option<&[u8]>,
    ) -> Result<(LegId, LegMedia, Order), Refusal> {
        let trunk = self.peers.trunk(trunk).ok_or(503)?;
        // An offer says itself what the peer can send to; else its signalling address tells.
        let family = offer.and_then(offered_address).unwrap_or(host);
        let Some(pair) = self.ports.take(worker, trunk.media, family.is_ipv6()) else {
            self.counters.no_port += 1;
            return Err(503.into());
        };
        let (local, used) = self.ports.trunk(trunk, pair);
        let leg = self.calls.next_leg();
        match LegMedia::trunk(leg, worker, local, used, offer) {
            Ok((media, open)) => Ok((leg, media, open)),
            Err(error) => {
                self.order(worker, Order::ReleasePair(pair.0));
                Err(sdp_status(&error).into())
            }
        }
    }

    pub(super) fn attempt_media(
        &mut self,
        worker: WorkerId,
        attempt: Option<&Attempt>,
    ) -> Result<(LegId, LegMedia, Order), Refusal> {
        let attempt = attempt.ok_or(503)?;
        let host = self.reach.target(attempt.target).ok_or(503)?.addr.ip();
        self.trunk_media(worker, attempt.trunk, host, None)
    }

    /// Sends the INVITE to a target of a trunk, in the name of this DN.
    pub(super) fn dial(
        &mut self,
        call: CallId,
        dn: &str,
        at: usize,
        (leg, media, open): (LegId, LegMedia, Order),
        now: Instant,
    ) {
        let Some(Attempt { trunk, target, number, .. }) = self.trunks.attempt(call, at).cloned() else { return };
        let Some(target) = self.reach.target(target).cloned() else { return };
        let Some(hop) = self.reach.hop(target.id, now) else { return };
        let (Some(listener), Some(found)) = (self.peers.listener(target.listener), self.calls.get(call)) else {
            return;
        };
        let number = escape(&number);
        let own = format!("<sip:{}@{}>", escape(dn), listener.advertise);
        let uri = format!("sip:{number}@{}", target.uri_host());
        // Whoever is called for a call that is answered is to have it transferred (RFC 3892).
        let referred = found.is_answered().then(|| ("Referred-By".to_owned(), own.clone().into_bytes()));
        let invite = OutInvite {
            from: own.clone(),
            to: format!("<{uri}>"),
            uri,
            contact: contact(dn, listener),
            headers: [
                ("P-Asserted-Identity".to_owned(), own.into_bytes()),
                ("Allow-Events".to_owned(), b"talk, hold".to_vec()),
            ]
            .into_iter()
            .chain(referred)
            .chain(identity::headers(&found.parties.told))
            .collect(),
            sdp: Some(media.sdp.clone()),
            ..self.trunks.terms(trunk)
        };
        let path = hop.path;
        let session = self.endpoint.invite(invite, hop, now);
        self.peers.count(trunk, |counters| counters.outbound += 1);
        self.trunks.attempted(call, at, leg);
        self.order(media.worker, open);
        self.calls.add_callee(call, Leg::trunk(leg, session, path, media), now);
    }

    /// The target before this one was silent.
    pub(super) fn try_target(&mut self, call: CallId, target: usize, now: Instant) {
        if self.calls.get(call).is_some_and(|call| call.calls_locally()) {
            return self.ring_peer(call, now);
        }
        let Some(found) = self.calls.get(call) else { return };
        let Some(worker) = found.legs.first().map(|leg| leg.media.worker) else { return };
        let dn = found.dialling_dn().to_owned();
        let attempt = self.trunks.attempt(call, target).cloned();
        let can_be_sent = attempt.as_ref().is_some_and(|attempt| self.reach.hop(attempt.target, now).is_some());
        match self.attempt_media(worker, attempt.as_ref().filter(|_| can_be_sent)) {
            Ok(made) => self.dial(call, &dn, target, made, now),
            Err(_) => self.signal(call, Signal::NoTarget, now),
        }
    }
}

/// Who sent an INVITE.
enum Caller {
    /// A trunk, by its place in the configuration.
    Trunk(usize),
    /// A browser, authenticated as this DN.
    Agent(String),
}
