//! What agents do: sessions, states, the time after a call, and the numbers that they work at.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use super::agent::{Agent, AgentConfig, AgentState, AgentView, Rest, UserName};
use super::happened::Happened;
use super::message::{self, DEVICES, Device, DeviceStateChange, INTERACTIONS, STATE, StateChange, UserState};
use super::operation::{Answer, MAX_REASON, Operation, Refusal};
use super::{Desk, Output, Published};
use crate::id::CallId;

impl Desk {
    /// Returns an agent that is configured, and so may ask.
    pub(super) fn agent(&self, user: &UserName) -> Result<&Agent, Refusal> {
        self.agents.get(user).ok_or(Refusal::Denied)
    }

    /// Returns whose calls a number has: who works there, else who would work there first.
    pub(super) fn owner(&self, dn: &str) -> Option<&UserName> {
        let users = self.candidates.get(dn)?;
        let of = |user: &&UserName, at_work: bool| {
            self.agents.get(*user).is_some_and(|agent| agent.dn == dn && agent.is_at_work() == at_work)
        };
        users.iter().find(|user| of(user, true)).or_else(|| users.iter().find(|user| of(user, false)))
    }

    pub(super) fn view(&self, agent: &Agent) -> AgentView {
        AgentView {
            user: agent.config.user.clone(),
            name: agent.config.name.clone(),
            dn: agent.dn.clone(),
            state: agent.state(),
            reason: agent.reason().map(str::to_owned),
            since: agent.since,
            skills: agent.config.skills.clone(),
            is_here: self.here.contains(&agent.dn),
            calls: agent.calls.len(),
        }
    }

    /// Takes the agents of a configuration; those that stay go on as they are.
    pub(super) fn reconfigure(&mut self, configs: Vec<AgentConfig>, now: Instant) {
        let mut before = std::mem::take(&mut self.agents);
        self.candidates.clear();
        let mut changed = Vec::new();
        for config in configs {
            for dn in &config.dns {
                let users = self.candidates.entry(dn.clone()).or_default();
                if !users.contains(&config.user) {
                    users.push(config.user.clone());
                }
            }
            let user = config.user.clone();
            let agent = match before.remove(&user) {
                Some(mut agent) => {
                    if agent.config != config {
                        agent.reconfigure(config);
                        changed.push(user.clone());
                    }
                    agent
                }
                None => {
                    self.next_agent += 1;
                    changed.push(user.clone());
                    Agent::new(config, self.next_agent, now)
                }
            };
            self.agents.insert(user, agent);
        }
        for (user, mut agent) in before {
            self.due.retain(|(_, due)| *due != user);
            if agent.leave(now) {
                self.tell_of(&mut agent, true, now);
            }
        }
        self.rehome(|_| true, now);
        for user in changed {
            self.tell_others(&user);
        }
    }

    /// Finds anew whose the calls at some numbers are: an agent who works there takes them over; who has gone home keeps
    /// what it had, as long as nobody does.
    fn rehome(&mut self, at: impl Fn(&str) -> bool, now: Instant) {
        let concerned: Vec<CallId> =
            self.calls.values().filter(|c| c.sides.iter().any(|s| at(&s.dn))).map(|c| c.id).collect();
        for id in concerned {
            let Some(mut call) = self.calls.remove(&id) else { continue };
            for index in 0..call.sides.len() {
                let side = &call.sides[index];
                let before = side.owner.clone().filter(|user| self.agents.contains_key(user));
                let after = self.owner(&side.dn).cloned();
                let at_work = after.as_ref().and_then(|user| self.agents.get(user)).is_some_and(Agent::is_at_work);
                if !at(&side.dn) || before == after || (before.is_some() && !at_work) {
                    continue;
                }
                if let Some(agent) = before.and_then(|user| self.agents.get_mut(&user)) {
                    agent.calls.retain(|other| *other != id);
                }
                if let Some(agent) = after.as_ref().and_then(|user| self.agents.get_mut(user)) {
                    agent.calls.push(id);
                    agent.has_talked |= call.sides[index].was_answered;
                }
                call.sides[index].owner = after;
                self.tell_side(&mut call, index, &Happened::status(None), now);
            }
            self.calls.insert(id, call);
        }
    }

    /// A browser has registered as a number, or none is there any more.
    pub(super) fn presence(&mut self, dn: String, is_here: bool, now: Instant) {
        let owner = self.owner(&dn).cloned();
        let changed = if is_here { self.here.insert(dn) } else { self.here.remove(&dn) };
        if changed && let Some(user) = owner {
            self.tell(&user, false, now);
        }
    }

    /// No browser of an agent is logged in.
    pub(super) fn gone(&mut self, user: &UserName, now: Instant) {
        self.change(user, now, |agent| agent.leave(now));
    }

    /// Something else than a call for an agent.
    pub(super) fn interaction(&mut self, user: &UserName, data: Value, now: Instant) {
        let Value::Object(mut data) = data else { return };
        let Some(mut agent) = self.agents.remove(user) else { return };
        let event_id = self.agent_event(&mut agent);
        data.insert("eventId".to_owned(), event_id.as_ref().into());
        data.entry("messageType").or_insert_with(|| "InteractionStateChangeMessage".into());
        self.publish_of(&agent, INTERACTIONS, event_id, &data, now);
        self.agents.insert(user.clone(), agent);
    }

    /// What is due of agents.
    pub(super) fn tick(&mut self, now: Instant) {
        while let Some((at, user)) = self.due.first().cloned().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, user.clone()));
            self.change(&user, now, |agent| agent.tick(now));
        }
    }

    /// Changes an agent, and tells whoever is to know.
    pub(super) fn change(&mut self, user: &UserName, now: Instant, change: impl FnOnce(&mut Agent) -> bool) {
        let Some(agent) = self.agents.get_mut(user) else { return };
        let before = agent.until();
        let changed = change(agent);
        let after = agent.until();
        if before != after {
            self.due.extend(after.map(|at| (at, user.clone())));
            if let Some(at) = before {
                self.due.remove(&(at, user.clone()));
            }
        }
        if changed {
            self.tell(user, true, now);
        }
    }

    /// Tells an agent's desktops, and the others, what it does.
    fn tell(&mut self, user: &UserName, state_changed: bool, now: Instant) {
        let Some(mut agent) = self.agents.remove(user) else { return };
        self.tell_of(&mut agent, state_changed, now);
        self.agents.insert(user.clone(), agent);
    }

    fn tell_of(&mut self, agent: &mut Agent, state_changed: bool, now: Instant) {
        if state_changed {
            let event_id = self.agent_event(agent);
            let change = StateChange {
                message_type: "AgentStateChangeMessage",
                event_id: &event_id,
                event: agent.state().name(),
                state: agent.state().name(),
                reason: agent.reason(),
                user_name: agent.config.user.as_str(),
                dn: &agent.dn,
                timestamp: self.clock.unix_ms(now),
                until: agent.until().map(|at| self.clock.unix_ms(at)),
            };
            self.publish_of(agent, STATE, event_id.clone(), &change, now);
        }
        let event_id = self.agent_event(agent);
        let devices = vec![self.device(agent, &agent.dn)];
        let change = DeviceStateChange { message_type: "DeviceStateChangeMessage", event_id: &event_id, devices };
        self.publish_of(agent, DEVICES, event_id.clone(), &change, now);
        self.outputs.push_back(Output::Agent(self.view(agent)));
    }

    /// Tells those who route calls of an agent, where its desktop need not know.
    pub(super) fn tell_others(&mut self, user: &UserName) {
        if let Some(agent) = self.agents.get(user) {
            let view = self.view(agent);
            self.outputs.push_back(Output::Agent(view));
        }
    }

    pub(super) fn agent_event(&self, agent: &mut Agent) -> Arc<str> {
        let sequence = agent.next_event();
        format!("{}-a{}-{sequence}", self.config.run, agent.number).into()
    }

    pub(super) fn publish_of(
        &mut self,
        agent: &Agent,
        channel: &'static str,
        event_id: Arc<str>,
        data: &impl Serialize,
        now: Instant,
    ) {
        self.publish(Published {
            event_id,
            channel,
            owner: Some(agent.config.user.clone()),
            dn: agent.dn.clone(),
            at_unix_ms: self.clock.unix_ms(now),
            data: message::json(data),
        });
    }
}

impl Desk {
    /// Describes one of an agent's numbers.
    pub(super) fn device<'a>(&self, agent: &'a Agent, dn: &'a str) -> Device<'a> {
        let works_here = agent.dn == dn;
        let state = if works_here { agent.state() } else { AgentState::LoggedOut };
        let path = format!("/devices/{dn}");
        Device {
            id: dn,
            device_state: if self.here.contains(dn) { "Active" } else { "Inactive" },
            user_state: UserState::new(state, agent.reason().filter(|_| works_here)),
            phone_number: dn,
            telephony_network: "Private",
            do_not_disturb: "Off",
            capabilities: [],
            uri: self.uri(&path),
            path,
        }
    }

    /// Returns the address of a resource of the API.
    pub(super) fn uri(&self, path: &str) -> String {
        format!("{}/api/v2{path}", self.config.base_uri)
    }

    /// Begins an agent's work.
    pub(super) fn start_session(
        &mut self,
        user: &UserName,
        channels: &[String],
        dn: Option<String>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let agent = self.agent(user)?;
        if channels.iter().any(|channel| channel != "voice") {
            return Err(Refusal::Invalid { name: "channels", why: "the only channel is voice" });
        }
        let dn = dn.unwrap_or_else(|| agent.dn.clone());
        if !agent.config.dns.contains(&dn) {
            return Err(Refusal::NoDevice(dn));
        }
        self.work_at(user, dn, now)?;
        self.change(user, now, |agent| !agent.is_at_work() && agent.rest(Rest::NotReady(None), now));
        self.take_over(user, now);
        Ok(())
    }

    /// Lets an agent work at a number.
    fn work_at(&mut self, user: &UserName, dn: String, now: Instant) -> Result<(), Refusal> {
        let others = self.candidates.get(&dn).into_iter().flatten().filter(|other| *other != user);
        let taken = |other: &UserName| self.agents.get(other).is_some_and(|agent| agent.dn == dn && agent.is_at_work());
        if others.into_iter().any(taken) {
            let why = "another agent works at this number";
            return Err(Refusal::WrongState { operation: "StartContactCenterSession", why });
        }
        self.change(user, now, |agent| {
            let moved = agent.dn != dn;
            agent.dn = dn;
            moved
        });
        Ok(())
    }

    /// An agent has begun to work: calls at its number are its own.
    fn take_over(&mut self, user: &UserName, now: Instant) {
        if let Some(dn) = self.agents.get(user).map(|agent| agent.dn.clone()) {
            self.rehome(|other| other == dn, now);
        }
    }

    /// Takes an agent's word about what it does.
    pub(super) fn set_state(&mut self, user: &UserName, what: Operation, now: Instant) -> Result<Answer, Refusal> {
        self.agent(user)?;
        if let Operation::NotReady { reason: Some(reason) } = &what
            && (reason.chars().count() > MAX_REASON || reason.chars().any(char::is_control))
        {
            return Err(Refusal::Invalid { name: "reason", why: "up to 64 printable characters" });
        }
        if matches!(what, Operation::EndSession | Operation::LoggedOut) {
            self.change(user, now, |agent| agent.leave(now));
            return Ok(Answer::Done);
        }
        let begins = !self.agent(user)?.is_at_work();
        if begins {
            let dn = self.agent(user)?.dn.clone();
            self.work_at(user, dn, now)?;
        }
        self.change(user, now, |agent| match what {
            Operation::Ready => agent.rest(Rest::Ready, now),
            Operation::NotReady { reason } => agent.rest(Rest::NotReady(reason), now),
            _ => agent.finish_work(now),
        });
        if begins {
            self.take_over(user, now);
        }
        Ok(Answer::Done)
    }
}
