//! Transfers: whether they are allowed, who does them, and how who asked for them is told (RFC 3515, RFC 5589).
//!
//! Adapters come from three sides: REFER ([`super::refer`]), the page's INFO and [`Command`](crate::call::Command)s. Each
//! plans first, answers its own request, and then sets out: what can be known beforehand is refused as a response, what
//! shows later is told as progress.
//!
//! A trunk with `refer` does the transfer itself, by our REFER; without it the gateway calls the target and joins the two
//! trunk legs on the agent's worker.

use std::time::{Duration, Instant};

use super::Gateway;
use super::page::{self, PAGE_TYPE};
use super::reach::Target;
use super::routing::contact;
use crate::call::procedure::{Guest, Members, Parts, Referral, Reporter};
use crate::call::{Declined, Direction, Leg, LegKind, Procedure, ReleaseCause, SetupLimits, Signal};
use crate::id::{CallId, LegId};
use crate::path::Transport;
use crate::sip::endpoint::{ClientTx, Header, OutInvite, OutRefer};
use crate::sip::message::{Message, Name};
use crate::sip::refer::{Progress, ReferTo, Replaces};
use crate::sip::uri::escape;

/// Where a party is to be handed on to.
#[derive(Clone, Debug)]
pub(super) enum Aim {
    /// A number, and what the INVITE to it carries besides.
    Number { to: String, headers: Vec<Header> },
    /// The other party of the agent's other call.
    Call(CallId),
}

/// A transfer that may be set out on.
#[derive(Debug)]
pub(super) struct Plan {
    call: CallId,
    /// Who asks.
    referrer: LegId,
    by_agent: bool,
    stays: LegId,
    aim: Aim,
}

impl Gateway {
    /// Judges a wish to hand the party of a call on. `by`: the leg that asks; `None`: the agent, by a command. The error is
    /// the status of the refusal.
    pub(super) fn plan_transfer(&self, call: CallId, by: Option<LegId>, aim: Aim) -> Result<Plan, u16> {
        let found = self.calls.get(call).ok_or(404u16)?;
        found.may_begin().map_err(status_of)?;
        let agent = found.agent_leg().ok_or(403u16)?;
        let far = found.far_leg().ok_or(403u16)?;
        let referrer = by.unwrap_or(agent.id);
        // Of two DNs that talk either is an agent.
        let by_agent = found.leg(referrer).is_some_and(|leg| leg.kind == LegKind::Browser);
        let stays = if by_agent { found.other_leg(referrer).unwrap_or(far).id } else { agent.id };
        let dn = found.dn_of(referrer);
        match &aim {
            Aim::Number { to, .. } if by_agent && !self.admission.may_dial(dn, to) => return Err(403),
            Aim::Number { to, .. } if by_agent && self.trunks.attempts(dn, to).is_none() => return Err(404),
            Aim::Number { .. } => {}
            Aim::Call(with) => self.may_complete(call, referrer, *with)?,
        }
        Ok(Plan { call, referrer, by_agent, stays, aim })
    }

    /// A consultation is completed between two calls of one agent, whose other parties are on one worker.
    fn may_complete(&self, call: CallId, referrer: LegId, with: CallId) -> Result<(), u16> {
        let (found, other) = (self.calls.get(call).ok_or(404u16)?, self.calls.get(with).ok_or(404u16)?);
        let near = other.leg_of_dn(found.dn_of(referrer)).filter(|_| call != with).ok_or(403u16)?;
        let is_ringing = other.parties.direction == Direction::Outbound
            && matches!(other.procedure, Some(Procedure::Setup(_)))
            && !self.hands_over(call);
        if !is_ringing {
            other.may_begin().map_err(status_of)?;
        }
        let far = [found.other_leg(referrer).ok_or(403u16)?, other.other_leg(near.id).ok_or(403u16)?];
        let is_near = far[0].media.worker == far[1].media.worker;
        // A DN that rings is somebody's to answer still; and nobody is joined with himself.
        let is_early = is_ringing && far[1].kind == LegKind::Browser;
        let is_same = far[0].dn.is_some() && far[0].dn == far[1].dn;
        if is_early || is_same || !is_near { Err(403) } else { Ok(()) }
    }

    /// Returns true where the trunk of this call does transfers itself.
    fn hands_over(&self, call: CallId) -> bool {
        self.trunk_of_call(call).and_then(|trunk| self.peers.trunk(trunk)).is_some_and(|trunk| trunk.refer)
    }

    /// Returns the trunk that a leg leads to.
    pub(super) fn trunk_of_leg(&self, leg: &Leg) -> Option<usize> {
        let transport = self.peers.flow(&leg.path).map_or(Transport::Udp, |flow| flow.transport);
        self.reach.trunk_of(&leg.path, transport).filter(|_| leg.kind == LegKind::Trunk)
    }

    /// Returns the trunk that a call leads to.
    pub(super) fn trunk_of_call(&self, call: CallId) -> Option<usize> {
        self.trunk_of_leg(self.calls.get(call)?.trunk_leg()?)
    }

    /// Returns the server of the trunk that has the call, else its first one.
    fn target_beside(&self, call: CallId, trunk: usize) -> Option<Target> {
        let remote = self.calls.get(call)?.trunk_leg()?.path.remote();
        let targets = self.reach.targets(trunk);
        targets.iter().find(|target| target.addr == remote).or(targets.first()).cloned()
    }

    /// Calls a number into a call.
    pub(super) fn add(&mut self, plan: &Plan, to: String, now: Instant) -> Result<(), u16> {
        if !page::is_number(&to) {
            return Err(484);
        }
        let (leg, limits) = self.dial_target(plan, &to, self.policy.transfer_timeout, now)?;
        let stays = self.policy.conference_stays;
        let found = self.calls.get_mut(plan.call).ok_or(404u16)?;
        let number = found.leg(plan.stays).and_then(|leg| leg.dn.clone()).unwrap_or_else(|| found.parties.peer.clone());
        let guests = [Guest { leg: plan.stays, number }, Guest { leg, number: to }];
        let members = Members { agent: plan.referrer, guests, held: found.held_legs(), stays };
        found.begin_addition(members, limits, now);
        self.calls.schedule(plan.call);
        Ok(())
    }

    /// Carries a plan out; what goes wrong from here on is told as progress.
    pub(super) fn set_out(&mut self, plan: Plan, by: Reporter, now: Instant) {
        let outcome = if plan.by_agent && self.hands_over(plan.call) && self.is_handed_over(&plan) {
            let (call, referrer) = (plan.call, plan.referrer);
            self.hand_over(plan, by, now).map_err(|status| (call, referrer, status))
        } else {
            self.join(plan, by, now)
        };
        self.set_out_upon(outcome, by, now);
    }

    fn set_out_upon(&mut self, outcome: Result<(), (CallId, LegId, u16)>, by: Reporter, now: Instant) {
        if let Err((call, referrer, status)) = outcome {
            self.report_transfer(call, referrer, by, (status, true), now);
            let dn = self.calls.get(call).map(|call| call.dn_of(referrer).to_owned());
            self.decline(call, dn.as_deref(), Declined::Refused(status), now);
        }
    }

    /// The gateway does it itself.
    fn join(&mut self, plan: Plan, by: Reporter, now: Instant) -> Result<(), (CallId, LegId, u16)> {
        let (call, referrer) = (plan.call, plan.referrer);
        let done = match plan.aim.clone() {
            Aim::Number { to, headers } => self.hand_on(plan, to, &headers, by, now),
            Aim::Call(with) => self.complete(plan, with, by, now),
        };
        done.map_err(|status| (call, referrer, status))
    }

    /// Returns true where the trunk that has the call is the one that can do this transfer: the dial rules lead the number
    /// to it, or the target is at it already.
    fn is_handed_over(&self, plan: &Plan) -> bool {
        let trunk = self.trunk_of_call(plan.call);
        match (&plan.aim, self.calls.get(plan.call), trunk) {
            (Aim::Number { to, .. }, Some(found), Some(trunk)) => {
                self.trunks.written(trunk, found.dn_of(plan.referrer), to).is_some()
            }
            (Aim::Call(with), Some(_), Some(trunk)) => self.trunk_of_call(*with) == Some(trunk),
            _ => false,
        }
    }

    /// A REFER of ours found nobody, or nobody who knows REFER: the gateway does the transfer, by the dial rules and their
    /// further servers. False: it was no such REFER.
    fn join_after_all(&mut self, call: CallId, status: u16, now: Instant) -> bool {
        if !matches!(status, 405 | 408 | 501 | 503) {
            return false;
        }
        let Some(found) = self.calls.get_mut(call) else { return false };
        let Some(Procedure::Referral(referral)) = &found.procedure else { return false };
        let Some(wanted) = referral.unanswered() else { return false };
        let aim = match wanted.with {
            Some(with) => Aim::Call(with),
            None => Aim::Number { to: wanted.to, headers: Vec::new() },
        };
        let Some(stays) = found.other_leg(wanted.agent).map(|leg| leg.id) else { return false };
        found.procedure = None;
        let plan = Plan { call, referrer: wanted.agent, by_agent: true, stays, aim };
        tracing::warn!(%call, status, "the trunk did not take our REFER: the gateway transfers");
        let outcome = self.join(plan, wanted.report, now);
        self.set_out_upon(outcome, wanted.report, now);
        true
    }

    /// The gateway calls the target: as the dial rules say where the agent hands on; where the trunk refers the agent, there.
    fn hand_on(&mut self, plan: Plan, to: String, headers: &[Header], by: Reporter, now: Instant) -> Result<(), u16> {
        let held = self.calls.get(plan.call).map(|call| call.held_legs()).unwrap_or_default();
        let answer = self.policy.transfer_timeout;
        let (target, limits) = match plan.by_agent {
            true => self.dial_target(&plan, &to, answer, now)?,
            false => {
                let target = self.call_target(&plan, &to, headers, now)?;
                (target, SetupLimits { answer, target: None, targets: 1 })
            }
        };
        let found = self.calls.get_mut(plan.call).ok_or(404u16)?;
        let Plan { referrer, by_agent, stays, .. } = plan;
        let is_second = found.dn_of(referrer) != found.parties.dn;
        let parts = Parts { referrer, by_agent, is_second, stays, target, to, held, report: by };
        let actions = found.begin_transfer(parts, false, limits, now);
        self.carry_out(plan.call, actions, now);
        Ok(())
    }

    /// Calls a number for the agent, by the first server that can be reached; the others may follow.
    fn dial_target(
        &mut self,
        plan: &Plan,
        to: &str,
        answer: Duration,
        now: Instant,
    ) -> Result<(LegId, SetupLimits), u16> {
        let Plan { call, stays, .. } = *plan;
        let found = self.calls.get(call).ok_or(404u16)?;
        let worker = found.leg(stays).ok_or(404u16)?.media.worker;
        let dn = found.dn_of(plan.referrer).to_owned();
        let mut attempts = self.trunks.attempts(&dn, to).ok_or(404u16)?;
        let first = attempts.iter().position(|attempt| self.reach.hop(attempt.target, now).is_some()).ok_or(503u16)?;
        attempts.drain(..first);
        let target = attempts.first().map(|attempt| self.trunks.failover(attempt.trunk));
        let limits = SetupLimits { answer, target, targets: attempts.len() };
        let made = self.attempt_media(worker, attempts.first()).map_err(|refusal| refusal.status())?;
        let leg = made.0;
        self.trunks.keep_attempts(call, attempts);
        self.dial(call, &dn, 0, made, now);
        Ok((leg, limits))
    }

    /// The gateway joins the parties of two calls.
    fn complete(&mut self, plan: Plan, with: CallId, by: Reporter, now: Instant) -> Result<(), u16> {
        let dn = self.calls.get(plan.call).ok_or(404u16)?.dn_of(plan.referrer).to_owned();
        let other = self.calls.get(with).ok_or(404u16)?;
        let near = other.leg_of_dn(&dn).ok_or(403u16)?.id;
        let target = other.other_leg(near).ok_or(403u16)?;
        let (is_known, target, of) = (target.media.is_known(), target.id, target.dn.clone());
        let to = of.clone().unwrap_or_else(|| other.parties.peer.clone());
        let is_ringing = matches!(other.procedure, Some(Procedure::Setup(_)));
        let mut held = other.held_legs();
        if !self.calls.adopt(target, with, plan.call) {
            return Err(404);
        }
        self.place_with(plan.call, of);
        let limits = SetupLimits { answer: self.policy.transfer_timeout, target: None, targets: 1 };
        let found = self.calls.get_mut(plan.call).ok_or(404u16)?;
        held.extend(found.held_legs().into_iter().filter(|leg| *leg != target));
        let Plan { referrer, by_agent, stays, .. } = plan;
        let is_second = found.dn_of(referrer) != found.parties.dn;
        let parts = Parts { referrer, by_agent, is_second, stays, target, to, held, report: by };
        let actions = match is_ringing {
            true => found.begin_transfer(parts, true, limits, now),
            false => found.complete_transfer(parts, now),
        };
        self.carry_out(plan.call, actions, now);
        if is_ringing && is_known {
            // What it is heard to say already goes to who waits for it.
            self.signal(plan.call, Signal::Ringing { leg: target, status: 183, early_media: true }, now);
        }
        self.signal(with, Signal::Release(ReleaseCause::Transferred), now);
        Ok(())
    }

    /// A DN's leg has come into a call: the DN stays on its worker as long as that lasts.
    pub(super) fn place_with(&mut self, call: CallId, dn: Option<String>) {
        if let (Some(dn), Some(found)) = (dn, self.calls.get_mut(call))
            && self.ports.place_standing(&dn).is_some()
        {
            found.placed.push((dn, false));
        }
    }

    /// The trunk calls the target, or joins the two: our REFER.
    fn hand_over(&mut self, plan: Plan, by: Reporter, now: Instant) -> Result<(), u16> {
        let found = self.calls.get(plan.call).ok_or(404u16)?;
        let far = found.leg(plan.stays).ok_or(403u16)?;
        let session = far.session.ok_or(481u16)?;
        let trunk = self.trunk_of_call(plan.call).ok_or(503u16)?;
        // Not a server that does not answer: whoever is to call there would wait in vain.
        let beside = self.target_beside(plan.call, trunk).map(|target| target.id);
        let server = self.trunks.serving(trunk, beside).and_then(|id| self.reach.target(id)).ok_or(503u16)?;
        let listener = self.peers.listener(server.listener).ok_or(503u16)?;
        let dn = found.dn_of(plan.referrer).to_owned();
        let referred_by = Some(format!("<sip:{}@{}>", escape(&dn), listener.advertise));
        let (to, replaces, with) = match plan.aim {
            Aim::Number { to, .. } => (to, None, None),
            Aim::Call(with) => {
                let other = self.calls.get(with).ok_or(404u16)?;
                let target = other.far_leg().and_then(|leg| leg.session).ok_or(404u16)?;
                let dialog = self.endpoint.dialog_ids(target).ok_or(404u16)?;
                let (to_tag, from_tag) = (dialog.remote_tag, dialog.local_tag);
                let replaces = Replaces { call_id: dialog.call_id, to_tag, from_tag, early_only: false };
                (other.parties.peer.clone(), Some(replaces), Some(with))
            }
        };
        let written = self.trunks.written(trunk, &dn, &to).unwrap_or_else(|| to.clone());
        let refer_to = ReferTo {
            target: format!("sip:{}@{}", escape(&written), server.uri_host()),
            replaces,
            headers: Vec::new(),
        };
        let refer = OutRefer { refer_to: refer_to.to_string(), referred_by, is_silent: false, headers: Vec::new() };
        let (tx, _) = self.endpoint.refer(session, &refer, now).ok_or(503u16)?;
        let referral = Referral::begin(plan.referrer, to, with, by, self.policy.transfer_timeout, now);
        if let Some(found) = self.calls.get_mut(plan.call) {
            found.begin_referral(referral);
        }
        self.calls.await_response(tx, plan.call);
        self.calls.schedule(plan.call);
        Ok(())
    }

    /// Sends the INVITE to whom the trunk refers the agent, at the server that has the call; its leg is then of the call.
    fn call_target(&mut self, plan: &Plan, to: &str, headers: &[Header], now: Instant) -> Result<LegId, u16> {
        let Plan { call, stays, .. } = *plan;
        let found =
            self.calls.get(call).and_then(|call| Some((call.parties.dn.clone(), call.leg(stays)?.media.worker)));
        let (dn, worker) = found.ok_or(404u16)?;
        let trunk = self.trunk_of_call(call).ok_or(503u16)?;
        let target = self.target_beside(call, trunk).ok_or(503u16)?;
        let hop = self.reach.hop(target.id, now).ok_or(503u16)?;
        let listener = self.peers.listener(target.listener).cloned().ok_or(503u16)?;
        let media = self.trunk_media(worker, trunk, target.addr.ip(), None);
        let (leg, media, open) = media.map_err(|refusal| refusal.status())?;
        let own = format!("<sip:{}@{}>", escape(&dn), listener.advertise);
        let uri = format!("sip:{}@{}", escape(to), target.uri_host());
        let mut all = vec![
            ("P-Asserted-Identity".to_owned(), own.clone().into_bytes()),
            ("Allow-Events".to_owned(), b"talk, hold".to_vec()),
        ];
        all.extend_from_slice(headers);
        let invite = OutInvite {
            to: format!("<{uri}>"),
            uri,
            from: own,
            contact: contact(&dn, &listener),
            headers: all,
            sdp: Some(media.sdp.clone()),
            ..self.trunks.terms(trunk)
        };
        let path = hop.path;
        let session = self.endpoint.invite(invite, hop, now);
        self.peers.count(trunk, |counters| counters.outbound += 1);
        self.order(worker, open);
        self.calls.add_leg(call, Leg::trunk(leg, session, path, media));
        Ok(leg)
    }

    /// Tells who asked for a transfer how it goes: `told` is the status of the new call, and whether nothing more follows.
    pub(super) fn report_transfer(&mut self, call: CallId, leg: LegId, by: Reporter, told: (u16, bool), now: Instant) {
        let Some(session) = self.calls.get(call).and_then(|call| call.leg(leg)).and_then(|leg| leg.session) else {
            return;
        };
        let (status, last) = told;
        match by {
            Reporter::Refer(id) => drop(self.endpoint.notify_refer(session, id, status, last, now)),
            Reporter::Page => {
                let body = page::progress(status, last);
                self.endpoint.info(session, PAGE_TYPE, body.as_bytes(), now);
            }
            Reporter::Nobody => {}
        }
    }

    /// The outcome of a request of ours: only of a REFER does a call want to know.
    pub(super) fn responded(&mut self, tx: ClientTx, response: Option<&Message>, now: Instant) {
        let status = response.map_or(408, Message::status);
        if status < 200 {
            return;
        }
        let Some(call) = self.calls.take_awaited(tx) else { return };
        let is_silent = response
            .and_then(|response| response.header(Name::ReferSub))
            .is_some_and(|value| value.eq_ignore_ascii_case(b"false"));
        if self.join_after_all(call, status, now) {
            return;
        }
        self.signal(call, Signal::Referred { status, is_followed: !is_silent }, now);
    }

    /// A NOTIFY of the trunk's tells how a REFER of ours goes.
    pub(super) fn followed(&mut self, call: CallId, leg: LegId, progress: Progress, now: Instant) {
        let is_trunk = self.calls.get(call).and_then(|c| c.leg(leg)).is_some_and(|leg| leg.kind == LegKind::Trunk);
        if is_trunk && (progress.status.is_some() || progress.is_over) {
            let status = progress.status.unwrap_or(100);
            self.signal(call, Signal::Followed { status, last: progress.is_over || status >= 200 }, now);
        }
    }
}

/// What a wish in a wrong state is refused with.
pub(super) fn status_of(declined: Declined) -> u16 {
    match declined {
        Declined::Busy => 491,
        Declined::WrongState | Declined::NoCapture => 403,
        Declined::Refused(status) => status,
    }
}
