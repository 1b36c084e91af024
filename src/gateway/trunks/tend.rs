//! What the trunks are due: OPTIONS and REGISTERs out, what is answered to them in.

use std::net::SocketAddr;
use std::time::Instant;

use super::super::reach::{Reach, Target, TargetId};
use super::super::routing::contact_uri;
use super::super::{Closing, Gateway};
use super::liveness::Health;
use super::proof::account;
use super::registration::{Ask, Registration};
use super::{Job, Trunks, Watch};
use crate::path::Path;
use crate::sip::endpoint::{ClientTx, OutRequest};
use crate::sip::message::{Message, Method};
use crate::sip::uri::escape;

impl Watch {
    /// Returns where REGISTERs go, and whether each place can be reached.
    fn registrars(&mut self) -> Vec<(TargetId, bool)> {
        // Where no OPTIONS tell, a REGISTER finds out by itself.
        let blind = self.policy.ping.is_zero();
        let is_up = |health| health != Health::Down || blind;
        if self.policy.register.is_some_and(|policy| policy.all_targets) {
            return self.liveness.iter().map(|(target, health)| (target, is_up(health))).collect();
        }
        let first = self.liveness.iter().map(|(target, _)| target).next();
        let serves = |target: &TargetId| self.liveness.of(*target) < Health::Unknown;
        let known = self.home.filter(|home| self.liveness.iter().any(|(target, _)| target == *home));
        let best = self.liveness.iter().map(|(target, _)| target).find(serves);
        self.home = known.filter(serves).or(best).or(known).or(first);
        self.home.map(|home| (home, is_up(self.liveness.of(home)))).into_iter().collect()
    }

    /// Takes up what changed about the targets.
    fn follow(&mut self, reach: &Reach, now: Instant) {
        let mut changed = false;
        while let Some(change) = self.liveness.poll_change() {
            changed = true;
            let target = reach.target(change.target).map(Target::to_string);
            let (trunk, state) = (self.name.as_str(), self.liveness.health().as_str());
            match change.health {
                Health::Up => tracing::info!(trunk, target, trunk_state = state, "the target is up"),
                Health::Degraded => tracing::warn!(trunk, target, trunk_state = state, "the target is degraded"),
                Health::Unknown => {
                    tracing::warn!(
                        trunk,
                        target,
                        trunk_state = state,
                        "the target has never answered OPTIONS; calls try it"
                    );
                }
                Health::Down => tracing::error!(trunk, target, trunk_state = state, "the target is down"),
            }
        }
        if changed {
            self.set_registrars(now);
        }
    }

    fn set_registrars(&mut self, now: Instant) {
        let list = self.registrars();
        if let Some(registration) = &mut self.registration {
            registration.set_peers(&list, now);
        }
    }

    /// Takes the targets that the trunk has at this moment.
    fn retarget(&mut self, targets: &[Target], now: Instant) {
        if self.liveness.iter().map(|(target, _)| target).eq(targets.iter().map(|target| target.id)) {
            return;
        }
        self.liveness.retarget(targets.iter().map(|target| target.id), now);
        self.set_registrars(now);
    }
}

impl Trunks {
    fn registration(&mut self, trunk: usize) -> Option<&mut Registration<TargetId>> {
        self.watches.get_mut(trunk)?.registration.as_mut()
    }

    /// Browsers of this DN are signed in, or none is any more.
    pub(in crate::gateway) fn set_presence(&mut self, dn: &str, is_here: bool, now: Instant) {
        for registration in self.watches.iter_mut().filter_map(|watch| watch.registration.as_mut()) {
            if is_here {
                registration.present(dn, now);
            } else {
                registration.absent(dn, now);
            }
        }
    }
}

impl Gateway {
    /// Does what the trunks are due; true where something was sent.
    pub(in crate::gateway) fn tend_trunks(&mut self, now: Instant) -> bool {
        if !matches!(self.closing, Closing::No | Closing::Draining) {
            return false;
        }
        let mut sent = false;
        for trunk in 0..self.trunks.watches.len() {
            let Some(watch) = self.trunks.watches.get_mut(trunk) else { break };
            watch.retarget(self.reach.targets(trunk), now);
            for target in watch.liveness.due(now) {
                sent |= self.ping(trunk, target, now);
            }
            if let Some(watch) = self.trunks.watches.get_mut(trunk) {
                watch.follow(&self.reach, now);
            }
            while let Some(ask) = self.trunks.registration(trunk).and_then(|registration| registration.next(now)) {
                sent |= self.ask(trunk, ask, now);
            }
            while let Some(dn) = self.trunks.registration(trunk).and_then(Registration::poll_news) {
                sent |= self.tell_of(&dn, now);
            }
        }
        let answered = self.tell_the_patient(now);
        self.tell_changes(now) || answered || sent
    }

    fn ping(&mut self, trunk: usize, target: TargetId, now: Instant) -> bool {
        let found = self.reach.target(target).cloned();
        let (Some(found), Some(hop)) = (found, self.reach.hop(target, now)) else {
            if let Some(watch) = self.trunks.watches.get_mut(trunk) {
                watch.liveness.failed(target, now);
            }
            return false;
        };
        let own = format!("<sip:{}>", hop.sent_by);
        let uri = format!("sip:{}", found.uri_host());
        let request = OutRequest {
            method: Method::Options,
            to: format!("<{uri}>"),
            uri,
            from: own.clone(),
            call_id: None,
            cseq: None,
            headers: vec![("Contact".to_owned(), own.into_bytes()), ("Accept".to_owned(), b"application/sdp".to_vec())],
            body: None,
        };
        let tx = self.endpoint.send_request(request, hop, now);
        self.trunks.jobs.insert(tx, Job::Ping { trunk, target });
        true
    }

    fn ask(&mut self, trunk: usize, ask: Ask<TargetId>, now: Instant) -> bool {
        let found = self.reach.target(ask.peer).cloned();
        let listener = found.as_ref().and_then(|found| self.peers.listener(found.listener)).cloned();
        let (Some(found), Some(listener), Some(hop)) = (found, listener, self.reach.hop(ask.peer, now)) else {
            if let Some(registration) = self.trunks.registration(trunk) {
                registration.failed(&ask.dn, ask.peer, now);
            }
            return false;
        };
        let host = found.uri_host();
        let (uri, address) = (format!("sip:{host}"), format!("<sip:{}@{host}>", escape(&ask.dn)));
        let contact = contact_uri(&ask.dn, &listener);
        let expires = ask.expires.as_secs().to_string();
        let mut headers = vec![
            ("Contact".to_owned(), format!("<{contact}>;expires={expires}").into_bytes()),
            ("Expires".to_owned(), expires.into_bytes()),
        ];
        let registration = self.trunks.registration(trunk);
        headers.extend(registration.and_then(|known| known.credentials(&ask.dn, ask.peer, &uri)));
        let request = OutRequest {
            method: Method::Register,
            uri,
            from: address.clone(),
            to: address,
            call_id: Some(ask.call_id),
            cseq: Some(ask.cseq),
            headers,
            body: None,
        };
        let tx = self.endpoint.send_request(request, hop, now);
        self.trunks.jobs.insert(tx, Job::Register { trunk, target: ask.peer, dn: ask.dn, contact });
        true
    }

    /// A response to an OPTIONS or REGISTER of ours.
    pub(in crate::gateway) fn trunk_answered(&mut self, tx: ClientTx, message: &Message, now: Instant) {
        if message.status() < 200 {
            return;
        }
        match self.trunks.jobs.remove(&tx) {
            Some(Job::Ping { trunk, target }) => {
                if let Some(watch) = self.trunks.watches.get_mut(trunk) {
                    watch.liveness.answered(target, message.status() != 503, now);
                }
            }
            Some(Job::Register { trunk, target, dn, contact }) => {
                let Some(watch) = self.trunks.watches.get_mut(trunk) else { return };
                let own = self.admission.trunk_secret(&dn);
                let account = watch.policy.account.as_ref().and_then(|trunk| account(trunk, &dn, own));
                if !matches!(message.status(), 200..=299 | 401 | 407 | 423) {
                    let status = message.status();
                    tracing::warn!(trunk = watch.name, %dn, status, "the SIP Server refused a REGISTER");
                }
                if let Some(registration) = &mut watch.registration {
                    registration.answered(&dn, target, message, &contact, account, now);
                }
            }
            None => {}
        }
    }

    /// No response will come to an OPTIONS or REGISTER of ours. Of an OPTIONS that is known by then, but for a connection
    /// that broke.
    pub(in crate::gateway) fn trunk_failed(&mut self, tx: ClientTx, broken: bool, now: Instant) {
        let Some(job) = self.trunks.jobs.remove(&tx) else { return };
        let (Job::Ping { trunk, target } | Job::Register { trunk, target, .. }) = job;
        let Some(watch) = self.trunks.watches.get_mut(trunk) else { return };
        match job {
            Job::Ping { .. } if broken => watch.liveness.failed(target, now),
            Job::Ping { .. } => {}
            Job::Register { dn, .. } => {
                watch.liveness.silent(target, now);
                if let Some(registration) = &mut watch.registration {
                    registration.failed(&dn, target, now);
                }
            }
        }
    }

    /// A message came from this path. A refusal to serve is no sign of life.
    pub(in crate::gateway) fn trunk_heard(&mut self, path: &Path, bytes: &[u8], now: Instant) {
        if bytes.starts_with(b"SIP/2.0 503") {
            return;
        }
        for trunk in 0..self.trunks.watches.len() {
            let Some(target) = target_of(self.reach.targets(trunk), path) else { continue };
            if let Some(watch) = self.trunks.watches.get_mut(trunk) {
                watch.liveness.heard(target, now);
            }
        }
    }

    /// Takes note of whether a DN has a browser.
    pub(in crate::gateway) fn note_presence(&mut self, dn: &str, now: Instant) {
        let bindings = self.registrar.lookup(dn, now);
        self.trunks.verdicts.retain(dn, |flow| bindings.iter().any(|binding| binding.path.flow() == Some(flow)));
        let is_here = !bindings.is_empty();
        self.trunks.set_presence(dn, is_here, now);
        self.tell_presence(dn, is_here, now);
    }
}

/// Returns the target that a message came from: its very address, or its host by a connection of its own.
fn target_of(targets: &[Target], path: &Path) -> Option<TargetId> {
    let remote: SocketAddr = path.remote();
    let exact = targets.iter().find(|target| target.addr == remote);
    let by_host = || targets.iter().find(|target| path.flow().is_some() && target.addr.ip() == remote.ip());
    exact.or_else(by_host).map(|target| target.id)
}
