//! Ends: of a held connect whose time is up, of a session that is silent, full or logged out, of a connection.

use std::time::Instant;

use super::super::session::Slot;
use super::super::write::{Advice, Body, Reply};
use super::super::{Caller, Peer};
use super::meta::UNKNOWN;
use super::{Output, Policy, Server, Why};

impl<P: Policy> Server<P> {
    /// Does what is due: answers connects that were held long enough, and ends sessions that did not come back.
    pub(super) fn sweep(&mut self, now: Instant) {
        while let Some((at, slot)) = self.deadlines.first().copied()
            && at <= now
        {
            match self.sessions.get(&slot) {
                Some(session) if session.held.is_some() => {
                    self.release(slot, now);
                    // With times of zero it would be due again and again.
                    if self.poll_timeout().is_some_and(|next| next <= now && self.is_first(slot)) {
                        self.end(slot, Why::Silent);
                    }
                }
                Some(_) => self.end(slot, Why::Silent),
                None => {
                    self.deadlines.remove(&(at, slot));
                }
            }
        }
    }

    fn is_first(&self, slot: Slot) -> bool {
        self.deadlines.first().is_some_and(|(_, first)| *first == slot)
    }

    /// Ends a session: its connect is answered, its subscriptions go, its clientId names nothing.
    pub(super) fn end(&mut self, slot: Slot, why: Why) {
        let held = self.take_held(slot);
        let patterns: Vec<_> =
            self.sessions.get(&slot).map(|s| s.patterns.iter().cloned().collect()).unwrap_or_default();
        patterns.iter().for_each(|pattern| self.remove(slot, pattern));
        let Some(session) = self.sessions.remove(&slot) else { return };
        self.clients.remove(&session.id);
        if let Some(count) = self.peers.owners.get_mut(&session.caller.owner) {
            *count -= 1;
            if *count == 0 {
                self.peers.owners.remove(&session.caller.owner);
            }
        }
        self.deadlines.remove(&(session.deadline, slot));
        if let Some(held) = held {
            let mut body = Body::new();
            let id = held.id.as_ref();
            match why {
                Why::Disconnected => {
                    body.reply(&Reply { advice: Some(Advice::NONE), ..Reply::ok("/meta/connect", id) });
                }
                Why::LoggedOut => {
                    let refused = Reply::refused(Some("/meta/connect"), id, UNKNOWN);
                    body.reply(&Reply { advice: Some(Advice::NONE), ..refused });
                }
                Why::QueueFull | Why::Silent => {
                    let refused = Reply::refused(Some("/meta/connect"), id, UNKNOWN);
                    body.reply(&Reply { advice: Some(Advice::HANDSHAKE), ..refused });
                }
            }
            self.send(held.peer, body.finish());
        }
        if let Some(flow) = session.socket {
            if let Some(socket) = self.peers.sockets.get_mut(&flow) {
                socket.sessions.remove(&slot);
            }
            if why == Why::QueueFull {
                // It does not read: what is on its way would never end.
                self.output.push_back(Output::Close(flow));
            }
        }
        self.output.push_back(Output::Ended(session.id, why));
    }

    /// Forgets connects that nobody waits for any more; their sessions have the time of an interval to come back.
    pub(super) fn gone(&mut self, peer: Peer, now: Instant) {
        let mut slots = self.peers.held.get(&peer).cloned().unwrap_or_default();
        if let Peer::Socket(flow) = peer
            && let Some(socket) = self.peers.sockets.remove(&flow)
        {
            slots.extend(socket.sessions);
        }
        for slot in slots {
            self.take_held(slot);
            if let Some(session) = self.sessions.get_mut(&slot)
                && let Peer::Socket(_) = peer
            {
                session.socket = None;
            }
            self.set_deadline(slot, now + self.config.interval + self.config.max_interval);
        }
    }

    /// Ends all sessions of a login.
    pub(super) fn logged_out(&mut self, caller: &Caller) {
        let mut theirs: Vec<Slot> =
            self.sessions.iter().filter(|(_, s)| s.caller == *caller).map(|(s, _)| *s).collect();
        theirs.sort_unstable();
        theirs.into_iter().for_each(|slot| self.end(slot, Why::LoggedOut));
    }
}
