//! The meta channels: handshake, connect, subscribe, unsubscribe, disconnect. Error texts are those of CometD 3.1.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::super::channel::Pattern;
use super::super::message::{Ack, Message, NotNames, Timesync};
use super::super::session::{Held, Most, Queue, Session, Slot};
use super::super::write::{AckReply, Advice, Body, Clocks, Reconnect, Reply};
use super::super::{Caller, ClientId, Peer};
use super::{Policy, Server, Why};

/// What CometD says of a clientId that it does not know.
pub(super) const UNKNOWN: &str = "402::Unknown client";

/// Whence a message came.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) peer: Peer,
    pub(super) caller: &'a Caller,
    /// It is the only message of its request.
    pub(super) is_alone: bool,
}

/// Answers that the client is not known and shall shake hands again.
pub(super) fn unknown(message: &Message, body: &mut Body) {
    let refused = Reply::refused(message.channel.as_deref(), message.id.as_ref(), UNKNOWN);
    body.reply(&Reply { advice: Some(Advice::HANDSHAKE), ..refused });
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl<P: Policy> Server<P> {
    /// Finds the session of a message: its clientId, used by who got it.
    pub(super) fn session_of(&self, from: &Origin<'_>, message: &Message) -> Option<Slot> {
        let slot = *self.clients.get(&ClientId::parse(message.client.as_deref()?)?)?;
        let session = self.sessions.get(&slot)?;
        (session.caller == *from.caller).then_some(slot)
    }

    fn advice(&self) -> Advice {
        Advice {
            reconnect: Reconnect::Retry,
            interval_ms: ms(self.config.interval),
            timeout_ms: Some(ms(self.config.timeout)),
            multiple_clients: false,
        }
    }

    /// Answers a timesync: when its message came, and how long it was held.
    fn clocks(&self, asked: Option<Timesync>, came: Instant, now: Instant) -> Option<Clocks> {
        let since = i64::try_from(came.saturating_duration_since(self.clock.at).as_millis()).unwrap_or(i64::MAX);
        let held = i64::try_from(now.saturating_duration_since(came).as_millis()).unwrap_or(i64::MAX);
        Some(Clocks { asked: asked?, received_ms: self.clock.unix_ms.saturating_add(since), held_ms: held })
    }

    pub(super) fn handshake(&mut self, from: &Origin<'_>, message: &Message, body: &mut Body, now: Instant) {
        let channel = "/meta/handshake";
        let id = message.id.as_ref();
        if !from.is_alone {
            let refused = Reply::refused(Some(channel), id, "400::handshake_not_alone");
            return body.reply(&Reply { advice: Some(Advice::HANDSHAKE), ..refused });
        }
        if !self.policy.may_handshake(from.caller) {
            let refused = Reply::refused(Some(channel), id, "403::Handshake denied");
            return body.reply(&Reply { advice: Some(Advice::NONE), ..refused });
        }
        if !self.has_room(from.caller) {
            let later = Advice { interval_ms: 5_000, ..Advice::HANDSHAKE };
            let refused = Reply::refused(Some(channel), id, "503::too_many_sessions");
            return body.reply(&Reply { advice: Some(later), ..refused });
        }
        let with_acks = message.ext.ack == Some(Ack::Wanted(true));
        let client = self.open(from, with_acks, now);
        body.reply(&Reply {
            client: Some(client),
            transports: &self.config.transports,
            advice: Some(self.advice()),
            ack: with_acks.then_some(AckReply::Enabled),
            clocks: self.clocks(message.ext.timesync, now, now),
            ..Reply::ok(channel, id)
        });
    }

    /// Says whether one more session fits: one owner, or whoever is nobody, must not take the places of all others.
    fn has_room(&self, caller: &Caller) -> bool {
        let most = match caller.owner {
            Some(_) => self.config.sessions_per_owner,
            None => (self.config.sessions / 20).max(1),
        };
        let theirs = self.peers.owners.get(&caller.owner).copied().unwrap_or(0);
        theirs < most && self.sessions.len() < self.config.sessions
    }

    /// Opens a session.
    fn open(&mut self, from: &Origin<'_>, with_acks: bool, now: Instant) -> ClientId {
        let client = ClientId::new(self.rng.random());
        let slot = Slot(self.next_slot);
        self.next_slot += 1;
        let deadline = now + self.config.max_interval;
        let session = Session {
            id: client,
            caller: from.caller.clone(),
            socket: None,
            queue: Queue::new(Most { events: self.config.queue, bytes: self.config.queue_bytes }, with_acks),
            held: None,
            is_connected: false,
            is_crowded: false,
            deadline,
            patterns: BTreeSet::new(),
        };
        *self.peers.owners.entry(from.caller.owner.clone()).or_default() += 1;
        self.clients.insert(client, slot);
        self.sessions.insert(slot, session);
        self.deadlines.insert((deadline, slot));
        self.speaks_by(slot, from.peer);
        client
    }

    /// Answers a connect, or holds it.
    pub(super) fn connect(&mut self, from: &Origin<'_>, message: Message, body: &mut Body, now: Instant) {
        let Some(slot) = self.session_of(from, &message) else { return unknown(&message, body) };
        self.end_older_connect(slot, from.peer, now);
        self.speaks_by(slot, from.peer);
        let Some(session) = self.sessions.get_mut(&slot) else { return };
        session.queue.acknowledge(if let Some(Ack::Batch(batch)) = message.ext.ack { batch } else { 0 });
        let is_first = !std::mem::replace(&mut session.is_connected, true);
        let has_news = session.queue.has_unsent() && (session.socket.is_none() || session.queue.has_acks());
        let wanted = message.timeout_ms.map_or(self.config.timeout, Duration::from_millis).min(self.config.timeout);
        // On a WebSocket other replies do not wait for the connect; in an HTTP answer they would.
        let may_wait = from.is_alone || matches!(from.peer, Peer::Socket(_));
        let held = Held {
            peer: from.peer,
            id: message.id,
            timesync: message.ext.timesync,
            since: now,
            advised: message.asks_advice || session.is_crowded,
        };
        if is_first || has_news || wanted.is_zero() || !may_wait {
            return self.answer(slot, &held, None, body, now);
        }
        if let Some(cookie) = self.crowded(slot) {
            let held_by_others = self.peers.browsers.get(&cookie).copied().unwrap_or(0);
            if held_by_others >= self.config.held_per_browser {
                let advice =
                    Advice { interval_ms: ms(self.config.multi_interval), multiple_clients: true, ..self.advice() };
                return self.answer(slot, &held, Some(advice), body, now);
            }
            *self.peers.browsers.entry(cookie).or_default() += 1;
        }
        self.peers.held.entry(from.peer).or_default().insert(slot);
        if let Some(session) = self.sessions.get_mut(&slot) {
            session.held = Some(held);
        }
        self.set_deadline(slot, now + wanted);
    }

    /// The cookie of a session that polls: browsers have few connections for all their tabs.
    fn crowded(&self, slot: Slot) -> Option<std::sync::Arc<str>> {
        self.sessions.get(&slot).filter(|s| s.socket.is_none()).and_then(|s| s.caller.cookie.clone())
    }

    /// Writes the answer to a connect: what waits, then the reply. The session must come again in time.
    fn answer(&mut self, slot: Slot, held: &Held, advice: Option<Advice>, body: &mut Body, now: Instant) {
        let is_crowded = advice.is_some();
        let interval = if advice.is_some() { self.config.multi_interval } else { self.config.interval };
        let advice = advice.or(held.advised.then(|| self.advice()));
        let clocks = self.clocks(held.timesync, held.since, now);
        let Some(session) = self.sessions.get_mut(&slot) else { return };
        session.is_crowded = is_crowded;
        let takes = session.socket.is_none() || session.queue.has_acks();
        let batch = if takes { session.queue.take(|event| body.event(event)) } else { None };
        body.reply(&Reply {
            advice,
            ack: batch.map(AckReply::Batch),
            clocks,
            ..Reply::ok("/meta/connect", held.id.as_ref())
        });
        self.set_deadline(slot, now + interval + self.config.max_interval);
    }

    /// Takes the connect that a session holds.
    pub(super) fn take_held(&mut self, slot: Slot) -> Option<Held> {
        let cookie = self.crowded(slot);
        let held = self.sessions.get_mut(&slot)?.held.take()?;
        if let Some(slots) = self.peers.held.get_mut(&held.peer) {
            slots.remove(&slot);
            if slots.is_empty() {
                self.peers.held.remove(&held.peer);
            }
        }
        if let (Peer::Http(_), Some(cookie)) = (held.peer, cookie)
            && let Some(count) = self.peers.browsers.get_mut(&cookie)
        {
            *count -= 1;
            if *count == 0 {
                self.peers.browsers.remove(&cookie);
            }
        }
        Some(held)
    }

    /// Answers the connect that a session holds, if it holds one.
    pub(super) fn release(&mut self, slot: Slot, now: Instant) {
        let Some(held) = self.take_held(slot) else { return };
        let mut body = Body::new();
        self.answer(slot, &held, None, &mut body, now);
        self.send(held.peer, body.finish());
    }

    /// Ends a connect that a newer one replaces. It carries no events: they go with the newer.
    fn end_older_connect(&mut self, slot: Slot, newer: Peer, now: Instant) {
        let Some(held) = self.take_held(slot) else { return };
        let mut body = Body::new();
        if held.peer == newer {
            let clocks = self.clocks(held.timesync, held.since, now);
            body.reply(&Reply { clocks, ..Reply::ok("/meta/connect", held.id.as_ref()) });
        } else {
            // Whoever still waits for it is a copy of the client, and must not take its events in turns with it.
            let refused = Reply::refused(Some("/meta/connect"), held.id.as_ref(), "408::connect_replaced");
            body.reply(&Reply { advice: Some(Advice::NONE), ..refused });
        }
        self.send(held.peer, body.finish());
    }

    pub(super) fn subscribe(&mut self, from: &Origin<'_>, message: &Message, body: &mut Body, now: Instant) {
        let Some(slot) = self.session_of(from, message) else { return unknown(message, body) };
        let error = self.try_subscribe(slot, from.caller, message).err();
        self.answer_subscription("/meta/subscribe", message, error, body, now);
    }

    pub(super) fn unsubscribe(&mut self, from: &Origin<'_>, message: &Message, body: &mut Body, now: Instant) {
        let Some(slot) = self.session_of(from, message) else { return unknown(message, body) };
        let read = patterns(message, self.config.subscriptions);
        let error = read.map(|all| all.iter().for_each(|pattern| self.remove(slot, pattern))).err();
        self.answer_subscription("/meta/unsubscribe", message, error, body, now);
    }

    fn answer_subscription(
        &mut self,
        channel: &str,
        message: &Message,
        error: Option<&'static str>,
        body: &mut Body,
        now: Instant,
    ) {
        body.reply(&Reply {
            error,
            subscription: message.subscription.as_deref(),
            clocks: self.clocks(message.ext.timesync, now, now),
            ..Reply::ok(channel, message.id.as_ref())
        });
    }

    /// Subscribes to all that a message names, or to nothing.
    fn try_subscribe(&mut self, slot: Slot, caller: &Caller, message: &Message) -> Result<(), &'static str> {
        let wanted = patterns(message, self.config.subscriptions)?;
        for pattern in &wanted {
            if pattern.is_meta() || !self.policy.may_subscribe(caller, pattern) {
                return Err("403:denied_by_security_policy:subscribe_denied");
            }
        }
        let Some(session) = self.sessions.get_mut(&slot) else { return Err(UNKNOWN) };
        let new: BTreeSet<_> =
            wanted.iter().map(Pattern::text).filter(|text| !session.patterns.contains(text)).collect();
        if session.patterns.len() + new.len() > self.config.subscriptions {
            return Err("403::subscribe_failed");
        }
        for text in new {
            session.patterns.insert(text.clone());
            let owners = self.subscribers.entry(text).or_default();
            owners.entry(session.caller.owner.clone()).or_default().insert(slot);
        }
        Ok(())
    }

    /// Ends one subscription; one that is not there is over already.
    pub(super) fn remove(&mut self, slot: Slot, pattern: &str) {
        let Some(session) = self.sessions.get_mut(&slot) else { return };
        if !session.patterns.remove(pattern) {
            return;
        }
        let Some(owners) = self.subscribers.get_mut(pattern) else { return };
        if let Some(slots) = owners.get_mut(&session.caller.owner) {
            slots.remove(&slot);
            if slots.is_empty() {
                owners.remove(&session.caller.owner);
            }
        }
        if owners.is_empty() {
            self.subscribers.remove(pattern);
        }
    }

    pub(super) fn disconnect(&mut self, from: &Origin<'_>, message: &Message, body: &mut Body, now: Instant) {
        let Some(slot) = self.session_of(from, message) else { return unknown(message, body) };
        let clocks = self.clocks(message.ext.timesync, now, now);
        body.reply(&Reply { clocks, ..Reply::ok("/meta/disconnect", message.id.as_ref()) });
        self.end(slot, Why::Disconnected);
    }
}

/// Reads what a message subscribes to, at most so many names.
fn patterns(message: &Message, most: usize) -> Result<Vec<Pattern>, &'static str> {
    if message.subscription.is_none() {
        return Err("403::subscription_missing");
    }
    let names = message.subscriptions(most).map_err(|error| match error {
        NotNames::TooMany => "403::subscribe_failed",
        NotNames::Invalid => "403::subscription_invalid",
    })?;
    names.iter().map(|name| Pattern::parse(name).map_err(|_| "403::subscription_invalid")).collect()
}
