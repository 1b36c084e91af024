//! Events: from the gateway or from a client, to subscribers. Each is written once and shared by all who get it.

use std::time::Instant;

use bytes::Bytes;

use super::super::channel::Channel;
use super::super::message::{Message, check_json};
use super::super::session::Slot;
use super::super::write::{Body, Reply, event};
use super::super::{ClientId, Peer};
use super::meta::{Origin, unknown};
use super::{Audience, Output, Policy, Publication, Reach, Server, Why};
use crate::id::FlowId;

impl<P: Policy> Server<P> {
    /// Publishes an event; data that is not JSON would break the array of every subscriber, and is dropped.
    pub(super) fn publish(&mut self, publication: &Publication, now: Instant) {
        if check_json(&publication.data).is_err() {
            return;
        }
        let slots = self.subscribers_of(&publication.channel, &publication.audience);
        if slots.is_empty() {
            return;
        }
        let event = event(&publication.channel, &publication.data);
        for slot in slots {
            self.offer(slot, event.clone(), now);
        }
    }

    /// Sends an event to one session of the audience.
    pub(super) fn deliver(&mut self, client: ClientId, publication: &Publication, now: Instant) {
        let Some(slot) = self.clients.get(&client).copied() else { return };
        let is_meant = match (&publication.audience, self.sessions.get(&slot)) {
            (Audience::All, Some(_)) => true,
            (Audience::Owner(owner), Some(session)) => session.caller.owner.as_ref() == Some(owner),
            (_, None) => false,
        };
        if is_meant && check_json(&publication.data).is_ok() {
            self.offer(slot, event(&publication.channel, &publication.data), now);
        }
    }

    /// Finds the sessions that subscribe, each once, in the order of their handshakes.
    pub(super) fn subscribers_of(&self, channel: &Channel, audience: &Audience) -> Vec<Slot> {
        let mut found = Vec::new();
        channel.each_pattern(|pattern| {
            let Some(owners) = self.subscribers.get(pattern) else { return };
            match audience {
                Audience::All => found.extend(owners.values().flatten()),
                Audience::Owner(owner) => found.extend(owners.get(&Some(owner.clone())).into_iter().flatten()),
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Queues an event for a session and sends what can go at once. Without room the session ends.
    fn offer(&mut self, slot: Slot, event: Bytes, now: Instant) {
        let Some(session) = self.sessions.get_mut(&slot) else { return };
        if !session.queue.push(event) {
            self.end(slot, Why::QueueFull);
        } else if session.socket.is_some() && !session.queue.has_acks() {
            self.flush(slot);
        } else {
            self.release(slot, now);
        }
    }

    /// Sends what waits for a session of a WebSocket, if that takes more.
    fn flush(&mut self, slot: Slot) {
        let Some(session) = self.sessions.get_mut(&slot) else { return };
        let Some(flow) = session.socket else { return };
        let is_open = self.peers.sockets.get(&flow).is_some_and(|s| s.unwritten < self.config.window);
        if !is_open || session.queue.has_acks() || !session.queue.has_unsent() {
            return;
        }
        let body = session.queue.take_single().unwrap_or_else(|| {
            let mut body = Body::new();
            session.queue.take(|event| body.event(event));
            body.finish()
        });
        self.send(Peer::Socket(flow), body);
    }

    /// Notes that a WebSocket took bodies, and sends it what waits.
    pub(super) fn written(&mut self, flow: FlowId, bodies: usize) {
        let Some(socket) = self.peers.sockets.get_mut(&flow) else { return };
        socket.unwritten = socket.unwritten.saturating_sub(bodies);
        let waiting: Vec<Slot> = socket.sessions.iter().copied().collect();
        waiting.into_iter().for_each(|slot| self.flush(slot));
    }

    /// Takes a client's publication or service message.
    pub(super) fn publication_of(
        &mut self,
        from: &Origin<'_>,
        name: &str,
        message: &Message,
        body: &mut Body,
        now: Instant,
    ) {
        let Some(slot) = self.session_of(from, message) else { return unknown(message, body) };
        let id = message.id.as_ref();
        let Ok(channel) = Channel::parse(name) else {
            return body.reply(&Reply::refused(Some(name), id, "400::channel_invalid"));
        };
        if channel.is_meta() {
            return body.reply(&Reply::refused(Some(name), id, "403:denied_by_security_policy:create_denied"));
        }
        let reach = self.policy.may_publish(from.caller, &channel);
        let audience = match (reach, &from.caller.owner) {
            (Reach::All, _) => Audience::All,
            (Reach::Own, Some(owner)) => Audience::Owner(owner.clone()),
            (Reach::Own | Reach::Nobody, _) => {
                return body.reply(&Reply::refused(Some(name), id, "403:denied_by_security_policy:publish_denied"));
            }
        };
        let Some(data) = message.data.clone() else {
            return body.reply(&Reply::refused(Some(name), id, "400::data_missing"));
        };
        body.reply(&Reply::ok(name, id));
        if channel.is_service() {
            let Some(client) = self.sessions.get(&slot).map(|session| session.id) else { return };
            self.output.push_back(Output::Service { client, owner: from.caller.owner.clone(), channel, data });
        } else {
            self.publish(&Publication { channel, audience, data }, now);
        }
    }
}
