//! Connections end and others take their place; the sessions of a browser stay (RFC 5626).

use std::net::SocketAddr;
use std::time::Instant;

use super::{Endpoint, Event, FailReason, Header, SessionId};
use crate::id::FlowId;
use crate::path::{Path, Transport};
use crate::sip::session::{Owner, Phase};

impl Endpoint {
    /// Takes note that a connection is gone: its client transactions fail, its sessions report [`Event::FlowLost`]. A
    /// browser that rings may still answer down another connection: its INVITE waits, and its session reports the loss.
    pub fn handle_flow_closed(&mut self, flow: FlowId, now: Instant) {
        let (ringing, waiting): (Vec<SessionId>, Vec<u64>) = self.ringing_on(flow).into_iter().unzip();
        for tx in self.table.drop_flow(flow, &waiting, now) {
            self.on_client_failed(tx, FailReason::Transport, now);
        }
        self.on_flow_lost(flow);
        self.events.extend(ringing.into_iter().map(|session| Event::FlowLost { session }));
        self.reap();
    }

    /// Sessions of browsers that ring, by this connection, and the transactions of their INVITEs.
    fn ringing_on(&self, flow: FlowId) -> Vec<(SessionId, u64)> {
        let rings = |(id, session): (&SessionId, &crate::sip::session::Session)| {
            let Phase::Calling(calling) = &session.phase else { return None };
            let tx = calling.tx?;
            let Some(Owner::Attempt(attempt)) = self.owners.get(&tx) else { return None };
            let is_browser = matches!(attempt.hop.transport, Transport::Ws | Transport::Wss);
            let is_here = calling.early.iter().any(|early| early.dialog.hop.path.flow() == Some(flow));
            (is_browser && is_here && !attempt.is_abandoned).then_some((*id, tx))
        };
        self.sessions.iter().filter_map(rings).collect()
    }

    /// Finds new ways for what was on a connection that is gone, before [`Endpoint::handle_flow_closed`]: for responses that
    /// are owed, by their Via (RFC 3261 18.2.2), and for sessions, by their route or target, so that they live on. `to` is
    /// told the peer's address by those.
    pub fn reroute(&mut self, flow: FlowId, to: &mut dyn FnMut(SocketAddr) -> Option<Path>) {
        self.table.reroute(flow, to);
        for session in self.sessions.values_mut() {
            if let Phase::Talking(talk) = &mut session.phase
                && let Some(unacked) = talk.unacked.as_mut().filter(|unacked| unacked.path.flow() == Some(flow))
                && let Some(path) = to(talk.dialog.next_address())
            {
                unacked.path = path;
            }
            if let Some(dialog) = session.dialog().filter(|dialog| dialog.hop.path.flow() == Some(flow))
                && let Some(path) = to(dialog.next_address())
            {
                dialog.hop.path = path;
            }
        }
    }

    /// Takes note that the peer of a session has sent a request of it down another connection: a pool has handed the
    /// session on, and what follows goes there. A session by UDP stays with its target.
    pub fn follow(&mut self, s: SessionId, path: Path, transport: Transport) {
        let dialog = self.sessions.get_mut(&s).and_then(|session| session.dialog());
        if let Some(dialog) = dialog.filter(|dialog| dialog.hop.path.flow().is_some() && path.flow().is_some()) {
            (dialog.hop.path, dialog.hop.transport) = (path, transport);
        }
    }

    /// Sends the session's further requests, and what its open INVITE is still owed, down another path: the browser's
    /// flow was replaced.
    pub fn update_path(&mut self, s: SessionId, path: Path) {
        let Some(session) = self.sessions.get_mut(&s) else { return };
        match &mut session.phase {
            Phase::Ringing(ringing) => self.table.set_path(ringing.tx, path),
            Phase::Talking(talk) => {
                if let Some(unacked) = &mut talk.unacked {
                    unacked.path = path;
                }
                if let Some(tx) = talk.theirs {
                    self.table.set_path(tx, path);
                }
            }
            Phase::Calling(calling) => {
                calling.early.iter_mut().for_each(|early| early.dialog.hop.path = path);
                if let Some(tx) = calling.tx {
                    self.table.set_path(tx, path);
                    if let Some(Owner::Attempt(attempt)) = self.owners.get_mut(&tx) {
                        attempt.hop.path = path;
                    }
                }
            }
        }
        if let Some(dialog) = session.dialog() {
            dialog.hop.path = path;
        }
    }

    /// Ends a call that rings at a phone whose connection was lost meanwhile: by CANCEL, as [`Endpoint::hang_up`] does, and
    /// by a BYE in each early dialog (RFC 3261 15): JsSIP forgets the INVITE's transaction with the connection, answers
    /// the CANCEL with 481, and would ring on.
    pub fn hang_up_ringing(&mut self, s: SessionId, headers: &[Header], now: Instant) {
        let early = match self.sessions.get(&s).map(|session| &session.phase) {
            Some(Phase::Calling(calling)) => calling.early.iter().map(|early| early.dialog.clone()).collect(),
            _ => Vec::new(),
        };
        self.leave(s, headers, now);
        for mut dialog in early {
            self.send_bye(&mut dialog, headers, now);
        }
        self.reap();
    }
}
