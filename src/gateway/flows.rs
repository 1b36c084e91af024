//! Browsers' connections come and go, their calls stay: what a lost connection leaves behind, and who takes it up.
//!
//! ```text
//!  (reached) ──connection closed, or the phone signs in on another──> waiting ──signs in──> asked ──> (reached)
//!                                                                       │  ▲                  │
//!                                        grace over: call released <────┘  └─refused─ offered <┘ it knows no such dialog
//! ```
//!
//! A phone is known again by its Contact: its instance (RFC 5626 4.1), else its URI; else by its DN, where that has but one
//! binding, and of a phone that was not there beside the lost one. Then its dialog is asked for by an INFO without a body: whatever answers but 404, 410, 481 or 604
//! (RFC 5057 5.1) knows the dialog, and only its connection was lost; else its page was reloaded. Why so:
//!
//! * JsSIP 3.13.8 keeps Contact, instance and confirmed dialogs over a lost WebSocket and registers by itself. In a dialog it
//!   answers such an INFO with 415, in none with 481; with 404 where neither its DN nor its Contact is meant, and after a
//!   reload its Contact is another one. OPTIONS it answers with 200 in any case. What is not answered is lost with the
//!   connection: it gives up a call that it makes, and an incoming one rings on but can be answered no more.
//! * SIP.js 0.21.2 keeps Contact and dialogs too, rings on and can answer; it connects and registers again where its page
//!   makes it, with an instance only where its page names one. It answers the INFO with 200, while ringing with 469, in no
//!   dialog with 481, or with 404 as JsSIP does; UPDATE with 405 in any case.
//!
//! So a phone that rang is rung anew, and what was confirmed is asked for.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::Gateway;
use crate::call::{LegKind, Nailed, Procedure, ReleaseCause, Signal};
use crate::id::{CallId, FlowId, LegId};
use crate::path::Path;
use crate::registrar::{Binding, Contact, Registered};
use crate::sip::endpoint::{ClientTx, SessionId};
use crate::sip::message::{Message, Method};

/// How soon a phone that waits for its call is looked at again, where another change of the call was under way.
const AGAIN: Duration = Duration::from_millis(100);

/// Header field of a REGISTER that says that the phone knows what [`super::resume`] sends; of that INVITE too.
pub(super) const RESUME: &str = "X-Crosspoint-Resume";

/// A phone that has signed in and may be the one that a call has lost.
#[derive(Clone, Debug)]
pub(super) struct Suitor {
    pub(super) binding: Binding,
    /// It takes a call back by a new INVITE.
    pub(super) resumes: bool,
}

/// How far a lost leg is on its way back.
#[derive(Clone, Debug)]
enum Return {
    /// Nobody has come.
    Waiting,
    /// It was asked whether it knows the dialog.
    Asked(ClientTx, Suitor),
    /// It does not, and is to be sent an INVITE as soon as the call lets it.
    Wanted(Suitor),
    /// The INVITE was sent.
    Offered,
}

/// A leg whose browser is out of reach.
#[derive(Clone, Debug)]
struct Lost {
    dn: String,
    /// What the phone had registered.
    phone: Option<Contact>,
    /// Other phones of the DN at the time: those come for calls of their own.
    others: Vec<Contact>,
    state: Return,
    /// The end of its grace.
    until: Instant,
    /// When it wants to be looked at.
    due: Instant,
}

/// All legs whose browser is out of reach, and what each connection is registered as.
#[derive(Debug, Default)]
pub(super) struct Flows {
    lost: HashMap<LegId, Lost>,
    by_dn: HashMap<String, Vec<LegId>>,
    asked: HashMap<ClientTx, LegId>,
    deadlines: BTreeSet<(Instant, LegId)>,
    phones: HashMap<FlowId, Vec<(String, Contact)>>,
}

impl Flows {
    /// Entries of all maps that calls fill.
    pub(super) fn entries(&self) -> usize {
        self.lost.len() + self.by_dn.len() + self.asked.len() + self.deadlines.len()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    pub(super) fn is_lost(&self, leg: LegId) -> bool {
        self.lost.contains_key(&leg)
    }

    /// The connection is closed for good.
    fn close(&mut self, flow: FlowId) {
        self.phones.remove(&flow);
    }

    fn note(&mut self, flow: FlowId, dn: &str, contact: &Contact) {
        let known = self.phones.entry(flow).or_default();
        known.retain(|(other, _)| other != dn);
        known.push((dn.to_owned(), contact.clone()));
    }

    fn insert(&mut self, leg: LegId, lost: Lost) {
        self.forget(leg);
        self.by_dn.entry(lost.dn.clone()).or_default().push(leg);
        self.deadlines.insert((lost.due, leg));
        self.lost.insert(leg, lost);
    }

    /// The leg is gone, replaced or reached again.
    pub(super) fn forget(&mut self, leg: LegId) -> bool {
        let Some(lost) = self.lost.remove(&leg) else { return false };
        self.deadlines.remove(&(lost.due, leg));
        if let Return::Asked(tx, _) = lost.state {
            self.asked.remove(&tx);
        }
        if let Some(legs) = self.by_dn.get_mut(&lost.dn) {
            legs.retain(|other| *other != leg);
            if legs.is_empty() {
                self.by_dn.remove(&lost.dn);
            }
        }
        true
    }

    fn set(&mut self, leg: LegId, state: Return, due: Option<Instant>) {
        let Some(lost) = self.lost.get_mut(&leg) else { return };
        if let Return::Asked(tx, _) = &lost.state {
            self.asked.remove(tx);
        }
        if let Return::Asked(tx, _) = &state {
            self.asked.insert(*tx, leg);
        }
        lost.state = state;
        self.deadlines.remove(&(lost.due, leg));
        lost.due = due.map_or(lost.until, |at| at.min(lost.until));
        self.deadlines.insert((lost.due, leg));
    }

    /// The INVITE was sent; it is given this time.
    pub(super) fn offered(&mut self, leg: LegId, until: Instant) {
        if let Some(lost) = self.lost.get_mut(&leg) {
            lost.until = lost.until.max(until);
        }
        self.set(leg, Return::Offered, None);
    }

    /// The phone waits for another change of its call to be over.
    pub(super) fn want(&mut self, leg: LegId, suitor: Suitor, now: Instant) {
        self.set(leg, Return::Wanted(suitor), Some(now + AGAIN));
    }

    /// The phone would not have it: another one may.
    pub(super) fn wait_on(&mut self, leg: LegId) {
        self.set(leg, Return::Waiting, None);
    }

    /// Legs of this DN that nobody else is asked for and that this phone may have been.
    fn candidates(&self, dn: &str, phone: &Contact, is_only: bool) -> Vec<LegId> {
        let suits = |leg: &&LegId| {
            let Some(lost) = self.lost.get(leg) else { return false };
            let is_it = lost.phone.as_ref().is_some_and(|known| known.is_same_phone(phone));
            let is_other = lost.others.iter().any(|other| other.is_same_phone(phone));
            !matches!(lost.state, Return::Asked(..)) && (is_it || is_only && !is_other)
        };
        self.by_dn.get(dn).into_iter().flatten().filter(suits).copied().collect()
    }
}

impl Gateway {
    pub(super) fn flow_closed(&mut self, flow: FlowId, now: Instant) {
        for (dn, _) in self.registrar.drop_flow(flow) {
            self.note_presence(&dn, now);
        }
        let gone = self.peers.close(flow).filter(|(transport, _)| transport.is_stream());
        let theirs = gone.and_then(|(transport, remote)| {
            Some((self.reach.trunk_of(&Path::Tcp { flow, remote }, transport)?, transport))
        });
        if let Some((trunk, transport)) = self.reach.closed(flow, now).or(theirs) {
            let reach = &mut self.reach;
            self.endpoint.reroute(flow, &mut |addr| reach.way_back(trunk, transport, addr));
        }
        self.endpoint.handle_flow_closed(flow, now);
        self.settle(now);
        self.flows.close(flow);
    }

    /// The connection of a session is gone; its call goes on for the time of grace.
    pub(super) fn flow_lost(&mut self, session: SessionId, now: Instant) {
        let Some((call, leg)) = self.calls.of_session(session) else { return };
        let grace = self.policy.flow_grace;
        let is_browser = self.calls.get(call).and_then(|c| c.leg(leg)).is_some_and(|leg| leg.kind == LegKind::Browser);
        if is_browser && !grace.is_zero() {
            return self.lose(call, leg, now);
        }
        self.give_up(call, leg, now);
    }

    /// The browser of a leg is out of reach; it has its time of grace to come back.
    fn lose(&mut self, call: CallId, leg: LegId, now: Instant) {
        let Some(found) = self.calls.get(call) else { return };
        if matches!(&found.procedure, Some(Procedure::Resume(resume)) if resume.new_leg() == leg) {
            // The page was reloaded once more, before it answered: the leg that it was to replace waits on.
            return self.drop_callee(call, leg, now);
        }
        if found.nailed == Nailed::Alone && found.leg(leg).is_some_and(|leg| leg.media.is_waiting()) {
            // A phone that had not answered, for no call: it is called anew when it signs in.
            return self.give_up(call, leg, now);
        }
        let Some(path) = found.leg(leg).map(|leg| leg.path) else { return };
        let dn = found.dn_of(leg).to_owned();
        let signed_in = path.flow().and_then(|flow| self.flows.phones.get(&flow));
        let own = signed_in.and_then(|all| all.iter().find(|(other, _)| *other == dn));
        let phone = own.map(|(_, contact)| contact.clone());
        let others = self.registrar.lookup(&dn, now).into_iter().filter(|b| b.path != path);
        let others = others.map(|b| b.contact.clone()).collect();
        let until = now + self.policy.flow_grace;
        self.flows.insert(leg, Lost { dn, phone, others, state: Return::Waiting, until, due: until });
    }

    /// Nobody comes for a leg any more: one of several phones that ring falls silent, else the call ends.
    pub(super) fn give_up(&mut self, call: CallId, leg: LegId, now: Instant) {
        self.flows.forget(leg);
        let Some(found) = self.calls.get_mut(call) else { return };
        if found.outlives(leg) {
            return self.part(call, leg, ReleaseCause::FlowLost, now);
        }
        let is_caller = found.caller().is_some_and(|caller| caller.id == leg);
        if found.is_answered() || is_caller {
            return self.signal(call, Signal::Release(ReleaseCause::FlowLost), now);
        }
        self.drop_callee(call, leg, now);
    }

    /// A phone that was called will not answer.
    fn drop_callee(&mut self, call: CallId, leg: LegId, now: Instant) {
        if let Some(session) = self.calls.end_session(call, leg) {
            self.endpoint.hang_up(session, &[], now);
        }
        // Where two of our DNs talk, no trunk was silent.
        let heard = self.calls.get(call).is_some_and(|call| call.parties.local);
        self.signal(call, Signal::Refused { leg, status: 480, heard }, now);
    }

    /// Looks at the lost legs whose time has come.
    pub(super) fn look_at_lost(&mut self, now: Instant) {
        while let Some(&(at, leg)) = self.flows.deadlines.first() {
            let Some(call) = self.calls.of_leg(leg).filter(|_| at <= now) else {
                if at > now {
                    return;
                }
                self.flows.forget(leg);
                continue;
            };
            match self.flows.lost.get(&leg) {
                Some(lost) if lost.until <= now => self.give_up(call, leg, now),
                Some(Lost { state: Return::Wanted(suitor), .. }) => {
                    let suitor = suitor.clone();
                    self.flows.wait_on(leg);
                    self.resume(call, leg, suitor, now);
                }
                _ => self.flows.wait_on(leg),
            }
        }
    }

    /// A phone has registered: does it take up calls that lost theirs? `was_here`: it was registered on this connection.
    pub(super) fn signed_in(
        &mut self,
        dn: &str,
        path: Path,
        message: &Message,
        registered: &Registered,
        was_here: bool,
        now: Instant,
    ) {
        let mine = |b: &&Binding| b.path == path && b.refreshed_at == now;
        let (Some(binding), Some(flow)) = (registered.bindings.iter().find(mine), path.flow()) else { return };
        self.flows.note(flow, dn, &binding.contact);
        if message.extension(RESUME).is_some() {
            self.peers.note_page(flow);
        }
        // A change of network: the phone is here, and its old connection not yet known to be dead.
        let moved = registered.removed.iter().filter(|old| old.path != path);
        let moved: Vec<Path> =
            moved.filter(|old| old.contact.is_same_phone(&binding.contact)).map(|b| b.path).collect();
        if moved.is_empty() && was_here {
            return;
        }
        for (call, leg) in self.calls.legs_of(dn, &moved) {
            self.lose(call, leg, now);
        }
        let is_only = registered.bindings.len() == 1;
        let resumes = message.extension(RESUME).is_some() || self.admission.resumes(dn);
        let suitor = Suitor { binding: binding.clone(), resumes };
        for leg in self.flows.candidates(dn, &suitor.binding.contact, is_only) {
            self.take_up(leg, suitor.clone(), now);
        }
    }

    /// A phone may be the one that had this leg.
    fn take_up(&mut self, leg: LegId, suitor: Suitor, now: Instant) {
        let Some(call) = self.calls.of_leg(leg) else { return };
        let Some(found) = self.calls.get_mut(call) else { return };
        if matches!(&found.procedure, Some(Procedure::Resume(resume)) if resume.old_leg() == leg)
            || found.is_releasing()
        {
            return;
        }
        let is_caller = found.caller().is_some_and(|caller| caller.id == leg);
        let (answered, unheard) = (found.is_answered(), found.has_told_nothing());
        let Some(session) = found.leg_mut(leg).and_then(|leg| leg.session) else { return };
        if !answered && !is_caller {
            return self.ring_again(call, leg, &suitor.binding, now);
        }
        self.bind(call, leg, suitor.binding.path);
        if !answered && unheard {
            // The caller has heard nothing but 100, and so knows of no dialog that could be asked for.
            self.flows.forget(leg);
            return;
        }
        match self.endpoint.request_in_dialog(session, Method::Info, &[], None, now) {
            Some(tx) => self.flows.set(leg, Return::Asked(tx, suitor), None),
            None => {
                self.flows.forget(leg);
            }
        }
    }

    /// Requests to this leg go down another connection from here on.
    fn bind(&mut self, call: CallId, leg: LegId, path: Path) {
        let Some(found) = self.calls.get_mut(call).and_then(|call| call.leg_mut(leg)) else { return };
        found.path = path;
        if let Some(session) = found.session {
            self.endpoint.update_path(session, path);
        }
    }

    /// A phone that rang is back: what it knows of the INVITE is of no use, so it rings by a new one.
    fn ring_again(&mut self, call: CallId, leg: LegId, binding: &Binding, now: Instant) {
        self.flows.forget(leg);
        let Some(worker) = self.calls.get(call).and_then(|c| c.leg(leg)).map(|leg| leg.media.worker) else { return };
        self.bind(call, leg, binding.path);
        if let Some(session) = self.calls.end_session(call, leg) {
            let reason = b"SIP;cause=200;text=\"Rung anew\"".to_vec();
            self.endpoint.hang_up_ringing(session, &[("Reason".to_owned(), reason)], now);
        }
        self.ring(call, worker, binding, now);
        // Not before the new one rings: a set-up without callees is over.
        self.counters.rebound += 1;
        self.signal(call, Signal::Refused { leg, status: 480, heard: true }, now);
    }

    /// The answer to our question, or that there is none; false: it was no question of ours.
    pub(super) fn dialog_asked(&mut self, tx: ClientTx, status: Option<u16>, now: Instant) -> bool {
        let Some(&leg) = self.flows.asked.get(&tx) else { return false };
        let Some(Lost { state: Return::Asked(_, suitor), phone, .. }) = self.flows.lost.get(&leg).cloned() else {
            return true;
        };
        match status {
            Some(100..=199) => return true,
            Some(404 | 410 | 481 | 604) => {
                let is_it = phone.is_some_and(|phone| phone.is_same_phone(&suitor.binding.contact));
                tracing::info!(%leg, is_it, resumes = suitor.resumes, "the phone knows the dialog no more");
                match self.calls.of_leg(leg) {
                    Some(call) if suitor.resumes => self.resume(call, leg, suitor, now),
                    // Nobody talks: the phone is called anew, and not after the grace.
                    Some(call) if self.calls.get(call).is_some_and(|call| call.nailed == Nailed::Alone) => {
                        self.give_up(call, leg, now);
                    }
                    _ => self.flows.wait_on(leg),
                }
            }
            Some(_) => self.reached(leg),
            None => self.flows.wait_on(leg),
        }
        true
    }

    /// The phone is there and knows its dialog.
    fn reached(&mut self, leg: LegId) {
        if self.flows.forget(leg) {
            tracing::info!(%leg, "bound to another connection");
            self.counters.rebound += 1;
        }
    }

    /// A request within a dialog came by a connection that the leg is not bound to: it is, where the connection is signed in
    /// as the leg's own DN. A trunk's is followed at once: its connections all lead to one pool.
    pub(super) fn heard_by(&mut self, session: SessionId, path: &Path, now: Instant) {
        if let Some(flow) = self.peers.flow(path).filter(|flow| flow.transport.is_stream()) {
            return self.endpoint.follow(session, *path, flow.transport);
        }
        let Some((call, leg)) = self.calls.of_session(session) else { return };
        let Some(found) = self.calls.get(call) else { return };
        let is_elsewhere = found.leg(leg).is_some_and(|leg| leg.kind == LegKind::Browser && leg.path != *path);
        let dn = found.dn_of(leg).to_owned();
        if is_elsewhere && self.is_at_home(&dn, path, now) {
            self.bind(call, leg, *path);
            self.reached(leg);
        }
    }
}
