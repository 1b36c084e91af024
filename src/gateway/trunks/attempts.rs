//! The targets that a new call tries, one after the other (RFC 3263 4.3).
//!
//! The list is made when the call begins and stays: what changes meanwhile is the next call's. The list of a call that
//! goes on is of no more use, and what becomes of its target does not touch it.

use std::time::{Duration, Instant};

use super::super::Gateway;
use super::super::identity::user;
use super::super::reach::{Target, TargetId};
use super::liveness::Health;
use super::{Attempt, Trunks};
use crate::id::{CallId, LegId};
use crate::sip::endpoint::OutInvite;
use crate::sip::message::Message;

/// Most targets that one call tries.
const MAX_ATTEMPTS: usize = 16;

/// Most redirections that one call follows.
const MAX_REDIRECTS: usize = 5;

impl Trunks {
    /// Returns how long an INVITE waits for any response before the next target is tried.
    pub(in crate::gateway) fn failover(&self, trunk: usize) -> Duration {
        self.watches.get(trunk).map_or(Duration::ZERO, |watch| watch.policy.failover)
    }

    /// Returns what every INVITE to the trunk asks for; whom and what it says is left to be filled in.
    pub(in crate::gateway) fn terms(&self, trunk: usize) -> OutInvite {
        let Some(policy) = self.watches.get(trunk).map(|watch| &watch.policy) else { return OutInvite::default() };
        OutInvite {
            has_account: policy.account.is_some(),
            reliable: policy.provisionals,
            session_expires: policy.session,
            ..OutInvite::default()
        }
    }

    /// Returns what a call to this number tries, best first: targets that do not answer last, those of a trunk that is out not at all.
    /// No route: `None`.
    pub(in crate::gateway) fn attempts(&self, caller: &str, number: &str) -> Option<Vec<Attempt>> {
        let choices = self.routes.choose(caller, number);
        if choices.is_empty() {
            return None;
        }
        let mut all: Vec<(Health, Attempt)> = Vec::new();
        for choice in choices {
            let Some(watch) = self.watches.get(choice.trunk).filter(|watch| !watch.liveness.is_out()) else { continue };
            for target in watch.liveness.ranked() {
                let attempt = Attempt { trunk: choice.trunk, target, number: choice.number.clone(), leg: None };
                all.push((watch.liveness.of(target).max(Health::Degraded), attempt));
            }
        }
        all.sort_by_key(|(health, _)| *health);
        Some(all.into_iter().map(|(_, attempt)| attempt).take(MAX_ATTEMPTS).collect())
    }

    /// Returns what a call to this number tries at one trunk: `first`, unless it is down, then the others, best first.
    pub(in crate::gateway) fn attempts_at(&self, trunk: usize, number: &str, first: Option<TargetId>) -> Vec<Attempt> {
        let Some(watch) = self.watches.get(trunk) else { return Vec::new() };
        let mut targets = watch.liveness.ranked();
        targets.sort_by_key(|target| Some(*target) != first || watch.liveness.of(*target) == Health::Down);
        let attempt = |target| Attempt { trunk, target, number: number.to_owned(), leg: None };
        targets.into_iter().map(attempt).take(MAX_ATTEMPTS).collect()
    }

    /// Returns the number as a trunk is to see it; `None` where the dial rules would rather have another one.
    pub(in crate::gateway) fn written(&self, trunk: usize, caller: &str, number: &str) -> Option<String> {
        let best = self.routes.choose(caller, number).into_iter().next();
        best.filter(|choice| choice.trunk == trunk).map(|choice| choice.number)
    }

    /// Returns the target of a trunk to name to others: this one, unless it does not answer and another does.
    pub(in crate::gateway) fn serving(&self, trunk: usize, here: Option<TargetId>) -> Option<TargetId> {
        let watch = self.watches.get(trunk)?;
        here.filter(|target| watch.liveness.of(*target) < Health::Unknown)
            .or_else(|| watch.liveness.ranked().first().copied())
    }

    /// Returns true where no trunk that takes this number has a target that is known to answer.
    pub(in crate::gateway) fn is_down(&self, caller: &str, number: &str) -> bool {
        let choices = self.routes.choose(caller, number);
        let mut watches = choices.iter().filter_map(|choice| self.watches.get(choice.trunk));
        watches.all(|watch| watch.liveness.health() >= Health::Unknown)
    }

    /// Keeps the attempts of a call.
    pub(in crate::gateway) fn keep_attempts(&mut self, call: CallId, attempts: Vec<Attempt>) {
        self.attempts.insert(call, attempts);
    }

    /// Returns an attempt of a call.
    pub(in crate::gateway) fn attempt(&self, call: CallId, at: usize) -> Option<&Attempt> {
        self.attempts.get(&call)?.get(at)
    }

    /// An attempt became this leg.
    pub(in crate::gateway) fn attempted(&mut self, call: CallId, at: usize, leg: LegId) {
        if let Some(attempt) = self.attempts.get_mut(&call).and_then(|all| all.get_mut(at)) {
            attempt.leg = Some(leg);
        }
    }

    /// The target that this leg was sent to names another number (3xx): it is tried there, unless it was already. Returns
    /// the place of the attempt.
    pub(in crate::gateway) fn redirect(&mut self, call: CallId, leg: LegId, number: &str) -> Option<usize> {
        let all = self.attempts.get_mut(&call)?;
        let from = all.iter().find(|attempt| attempt.leg == Some(leg))?.clone();
        let known = all.iter().any(|attempt| attempt.target == from.target && attempt.number == number);
        if known || all.len() >= MAX_ATTEMPTS + MAX_REDIRECTS {
            return None;
        }
        all.push(Attempt { number: number.to_owned(), leg: None, ..from });
        Some(all.len() - 1)
    }

    fn attempt_of(&self, call: CallId, leg: LegId) -> Option<&Attempt> {
        self.attempts.get(&call)?.iter().find(|attempt| attempt.leg == Some(leg))
    }
}

impl Gateway {
    /// The target that this leg was sent to gave no sign of life.
    pub(in crate::gateway) fn note_silence(&mut self, call: CallId, leg: LegId, now: Instant) {
        let Some(Attempt { trunk, target, .. }) = self.trunks.attempt_of(call, leg).cloned() else { return };
        self.peers.count(trunk, |counters| counters.silent += 1);
        let Some(watch) = self.trunks.watches.get_mut(trunk) else { return };
        let addr = self.reach.target(target).map(Target::to_string);
        tracing::warn!(%call, %leg, trunk = watch.name, target = addr, "no answer from the trunk to an INVITE");
        watch.liveness.silent(target, now);
    }

    /// Returns true if the INVITE that is under way got any response: then it is the peer's turn.
    pub(in crate::gateway) fn target_alive(&self, call: CallId) -> bool {
        let last = self.calls.get(call).and_then(|call| call.legs.last());
        last.and_then(|leg| leg.session).is_some_and(|session| self.endpoint.is_proceeding(session))
    }

    /// A target answered 3xx: where the trunk's redirections are followed, the number of its Contact is called at the same
    /// target, whatever host it names, if the agent may dial it.
    pub(in crate::gateway) fn redirected(&mut self, call: CallId, leg: LegId, response: &Message) -> Option<usize> {
        let trunk = self.trunks.attempt_of(call, leg)?.trunk;
        let found = self.calls.get(call)?;
        if !self.peers.trunk(trunk)?.follow_redirects {
            return None;
        }
        let numbers: Vec<String> = response.contacts().flatten().filter_map(|to| user(to.uri)).collect();
        let number = numbers.into_iter().find(|number| self.admission.may_dial(&found.parties.dn, number))?;
        self.trunks.redirect(call, leg, &number)
    }
}
