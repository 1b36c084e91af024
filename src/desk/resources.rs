//! What GET shows: the agent, its devices, channels and calls, as GWS shapes them.

use std::time::Instant;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Desk;
use super::agent::Agent;
use super::call::Call;
use super::operation::{Refusal, Subresources};

impl Desk {
    /// `/me`
    pub(super) fn me(&self, agent: &Agent, with: Subresources, now: Instant) -> Bytes {
        let user = agent.config.user.as_str();
        let (first, last) = agent.config.name.split_once(' ').unwrap_or((&agent.config.name, ""));
        let mut me = json!({
            "userName": user,
            "id": user,
            "firstName": first,
            "lastName": last,
            "employeeId": user,
            "enabled": true,
            "roles": ["ROLE_AGENT"],
            "uri": self.uri("/me"),
            "path": "/me",
            "skills": skills(agent),
        });
        let mut show = |name: &str, value: Value| me.as_object_mut().map(|me| me.insert(name.to_owned(), value));
        if with.devices {
            show("devices", self.devices(agent));
        }
        if with.channels {
            show("channels", json!([self.voice(agent)]));
        }
        if with.calls {
            show("calls", self.calls_of(agent, now));
        }
        body("user", me)
    }

    pub(super) fn devices(&self, agent: &Agent) -> Value {
        let devices = agent.config.dns.iter().map(|dn| self.device(agent, dn));
        devices.map(|device| json!(device)).collect()
    }

    /// One device, by identifier, which is its number.
    pub(super) fn one_device(&self, agent: &Agent, id: &str) -> Result<Bytes, Refusal> {
        let dn = agent.config.dns.iter().find(|dn| *dn == id).ok_or_else(|| Refusal::NoDevice(id.to_owned()))?;
        Ok(body("device", json!(self.device(agent, dn))))
    }

    /// The one channel that there is.
    pub(super) fn voice(&self, agent: &Agent) -> Value {
        let mut voice = json!({
            "name": "voice",
            "state": agent.state().name(),
            "activity": if agent.calls.is_empty() { "Idle" } else { "HandlingInteractions" },
            "reasons": agent.reason().into_iter().collect::<Vec<_>>(),
            "userState": self.device(agent, &agent.dn).user_state,
            "uri": self.uri("/me/channels/voice"),
            "path": "/me/channels/voice",
        });
        if let (Some(voice), Some(at)) = (voice.as_object_mut(), agent.until()) {
            voice.insert("until".to_owned(), self.clock.unix_ms(at).into());
        }
        voice
    }

    pub(super) fn calls_of(&self, agent: &Agent, now: Instant) -> Value {
        let calls = agent.calls.iter().filter_map(|id| self.calls.get(id));
        let own = calls.filter_map(|call| Some((call, call.side_of(&agent.config.user)?)));
        own.filter(|(_, side)| side.state.is_some()).map(|(call, side)| self.call_body(call, side, now)).collect()
    }

    /// One call of the agent, by any of its names.
    pub(super) fn one_call(&self, agent: &Agent, name: &str, now: Instant) -> Result<Bytes, Refusal> {
        let unknown = || Refusal::NoCall(name.to_owned());
        let call = self.find(agent, name).ok_or_else(unknown)?;
        let side = call.side_of(&agent.config.user).filter(|side| side.state.is_some()).ok_or_else(unknown)?;
        Ok(body("call", self.call_body(call, side, now)))
    }

    /// Returns a call of the agent by any of its names: ours, its CallUUID, its ConnID.
    pub(super) fn find(&self, agent: &Agent, name: &str) -> Option<&Call> {
        let calls = agent.calls.iter().filter_map(|id| self.calls.get(id));
        calls.into_iter().find(|call| self.call_name(call.id).eq_ignore_ascii_case(name) || call.facts.is_named(name))
    }

    /// `/me/state`, the guide's.
    pub(super) fn state(&self, agent: &Agent) -> Bytes {
        let mut shown = json!({ "statusCode": 0, "state": agent.state().name(), "dn": agent.dn });
        if let (Some(shown), Some(reason)) = (shown.as_object_mut(), agent.reason()) {
            shown.insert("reason".to_owned(), reason.into());
        }
        super::message::json(&shown)
    }
}

fn skills(agent: &Agent) -> Value {
    agent.config.skills.iter().map(|(name, level)| json!({ "name": name, "level": level })).collect()
}

/// Writes what is shown behind its `statusCode`.
pub(super) fn body(name: &str, value: Value) -> Bytes {
    super::message::json(&json!({ "statusCode": 0, name: value }))
}
