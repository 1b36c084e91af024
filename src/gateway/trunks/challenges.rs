//! The trunk wants to know who we are: INVITEs, re-INVITEs and all other requests of a dialog that it challenges
//! (RFC 3261 22.2).
//!
//! Only a leg to a trunk is answered for, only for the realm that is configured for that trunk, and once per request. What
//! REGISTERs do about it is the registration's own.

use std::time::Instant;

use rand::RngExt;

use super::super::Gateway;
use super::super::identity::user;
use super::super::perform::answer_headers;
use super::Trunks;
use super::proof::{Proof, account};
use crate::call::{LegKind, Signal};
use crate::id::{CallId, LegId};
use crate::path::Transport;
use crate::sip::endpoint::{Header, SessionId, Unproved};
use crate::sip::message::{Message, Method, Name};

/// The request that was challenged.
struct Challenged<'a> {
    method: &'a Method,
    dn: &'a str,
    uri: &'a str,
    /// It carried credentials that were made for it.
    again: bool,
}

impl Trunks {
    /// The leg's re-INVITE is over.
    pub(in crate::gateway) fn proved(&mut self, call: CallId, leg: LegId) {
        self.proving.remove(&(call, leg));
    }
}

impl Gateway {
    /// Our INVITE was challenged.
    pub(in crate::gateway) fn challenged(
        &mut self,
        session: SessionId,
        challenge: &Message,
        request: &Message,
        now: Instant,
    ) {
        let Some((call, leg)) = self.calls.of_session(session) else { return };
        let carries = |name| request.header(name).is_some();
        let again = carries(Name::Authorization) || carries(Name::ProxyAuthorization);
        let dn = user(request.from().uri).unwrap_or_default();
        let asked = Challenged { method: &Method::Invite, dn: &dn, uri: request.request_uri(), again };
        if let Some(header) = self.credentials(call, leg, challenge, &asked)
            && self.endpoint.authorize(session, &[header], now)
        {
            return;
        }
        self.calls.end_session(call, leg);
        self.endpoint.hang_up(session, &[], now);
        self.signal(call, Signal::Refused { leg, status: challenge.status(), heard: true }, now);
    }

    /// Our re-INVITE was refused; true where that was a challenge, and it goes out again.
    pub(in crate::gateway) fn reinvite_challenged(
        &mut self,
        session: SessionId,
        refusal: Option<&Message>,
        now: Instant,
    ) -> bool {
        let Some((call, leg)) = self.calls.of_session(session) else { return false };
        let is_sent = self.prove_again(call, leg, session, refusal, now).is_some();
        if !is_sent {
            self.trunks.proved(call, leg);
        }
        is_sent
    }

    fn prove_again(
        &mut self,
        call: CallId,
        leg: LegId,
        session: SessionId,
        refusal: Option<&Message>,
        now: Instant,
    ) -> Option<()> {
        let challenge = refusal.filter(|refusal| matches!(refusal.status(), 401 | 407))?;
        let found = self.calls.get(call)?;
        let media = &found.leg(leg)?.media;
        // One that changes nothing is the endpoint's own, and has no offer of ours to repeat.
        let sdp = media.is_waiting().then(|| media.sdp.clone())?;
        let (dn, uri) = (found.parties.dn.clone(), self.endpoint.request_uri(session)?);
        let again = !self.trunks.proving.insert((call, leg));
        let header =
            self.credentials(call, leg, challenge, &Challenged { method: &Method::Invite, dn: &dn, uri: &uri, again })?;
        let headers = [answer_headers(), vec![header]].concat();
        self.endpoint.reinvite(session, Some(&sdp), &headers, now).ok()
    }

    fn credentials(&mut self, call: CallId, leg: LegId, challenge: &Message, asked: &Challenged<'_>) -> Option<Header> {
        let found = self.calls.get(call)?.leg(leg).filter(|leg| leg.kind == LegKind::Trunk)?;
        let transport = if found.path.flow().is_some() { Transport::Tcp } else { Transport::Udp };
        let trunk = self.reach.trunk_of(&found.path, transport)?;
        self.proof(trunk, challenge, asked)
    }

    /// A request of ours in a dialog was challenged, perhaps its BYE: the call may be gone.
    pub(in crate::gateway) fn unproved(&mut self, asked: Unproved, now: Instant) {
        // A browser's flow leads to no trunk, wherever it comes from.
        let transport = self.peers.flow(&asked.path).map_or(Transport::Udp, |flow| flow.transport);
        let dn = user(asked.message.from().uri).unwrap_or_default();
        let (method, uri) = (&asked.method, asked.uri.as_str());
        let trunk = self.reach.trunk_of(&asked.path, transport);
        let header = trunk
            .and_then(|trunk| self.proof(trunk, &asked.message, &Challenged { method, dn: &dn, uri, again: false }));
        self.endpoint.prove(asked, header, now);
    }

    fn proof(&mut self, trunk: usize, challenge: &Message, asked: &Challenged<'_>) -> Option<Header> {
        let cnonce = format!("{:016x}", self.trunks.rng.random::<u64>());
        let watch = self.trunks.watches.get(trunk)?;
        let account = account(watch.policy.account.as_ref()?, asked.dn, self.admission.trunk_secret(asked.dn))?;
        let proof = Proof::new(account, challenge).header(asked.method, asked.uri, &cnonce, asked.again);
        proof
            .inspect_err(|error| tracing::warn!(trunk = watch.name, dn = asked.dn, %error, "challenge not answered"))
            .ok()
    }
}
