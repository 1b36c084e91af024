//! Calls that agents have dialled here and that are not there yet.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::agent::UserName;
use super::call::Wanted;
use super::message::{CALLS, Failure, json};
use super::operation::AttachedData;
use super::{Desk, Output, Published};
use crate::call::Command;
use crate::id::{CallId, DialId};

/// Signalling answers a command at once, or has dropped it.
const TIME: Duration = Duration::from_secs(10);

/// A call that is to be.
#[derive(Debug)]
pub(super) struct Dialling {
    user: UserName,
    to: String,
    operation: &'static str,
    at: Instant,
    /// To be attached to the call.
    pub(super) data: AttachedData,
    /// The call that it is a consultation for.
    pub(super) parent: Option<CallId>,
}

/// Those that are on their way; an agent has one at most.
#[derive(Debug, Default)]
pub(super) struct Dials {
    next: u64,
    pending: BTreeMap<DialId, Dialling>,
}

impl Dials {
    pub(super) fn remove(&mut self, dial: &DialId) -> Option<Dialling> {
        self.pending.remove(dial)
    }

    /// Says whether an agent waits for a call.
    pub(super) fn is_waiting(&mut self, user: &UserName, now: Instant) -> bool {
        self.pending.retain(|_, dialling| now.saturating_duration_since(dialling.at) < TIME);
        self.pending.values().any(|dialling| dialling.user == *user)
    }
}

impl Desk {
    /// Has an agent's phone call somebody.
    pub(super) fn dial(&mut self, wanted: Wanted, parent: Option<CallId>, now: Instant) {
        let Wanted { user, to, data, operation, .. } = wanted;
        let Some(agent) = self.agents.get(&user) else { return };
        let dial = DialId(self.dials.next);
        self.dials.next += 1;
        let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let fields =
            self.config.user_data_out.as_ref().map(|prefix| {
                data.iter().map(|(key, value)| (format!("{prefix}{key}"), text(value))).collect::<Vec<_>>()
            });
        let command = Command::Dial { dial, dn: agent.dn.clone(), to: to.clone(), told: fields.unwrap_or_default() };
        self.dials.pending.insert(dial, Dialling { user, to, operation, at: now, data, parent });
        self.outputs.push_back(Output::Command(command));
    }

    /// The other party is on hold: the one that is to be asked is called.
    pub(super) fn consult(&mut self, parent: CallId, wanted: Wanted, now: Instant) {
        self.dial(wanted, Some(parent), now);
    }

    /// No call came of it.
    pub(super) fn not_dialled(&mut self, dial: DialId, status: u16, now: Instant) {
        let Some(dialling) = self.dials.remove(&dial) else { return };
        let why = match status {
            403 => "the number may not be dialled".to_owned(),
            404 => "no trunk leads to the number".to_owned(),
            480 => "the phone is not registered".to_owned(),
            484 => "it is no number".to_owned(),
            486 => "the phone has as many calls as it may have".to_owned(),
            503 => "no calls are taken at this time".to_owned(),
            status => format!("refused with {status}"),
        };
        let Some(mut agent) = self.agents.remove(&dialling.user) else { return };
        let event_id = self.agent_event(&mut agent);
        let failure = Failure {
            message_type: "ErrorMessage",
            event_id: &event_id,
            operation_name: Some(dialling.operation),
            error_message: &why,
            call_id: None,
            destination: Some(&dialling.to),
            phone_number: &agent.dn,
            timestamp: self.clock.unix_ms(now),
        };
        self.publish_of(&agent, CALLS, event_id.clone(), &failure, now);
        self.agents.insert(dialling.user, agent);
    }

    /// Tells that what was asked last of a call did not come about. `by_agent`: by the agent whose call it is; else by
    /// another one.
    pub(super) fn tell_declined(&mut self, call: &mut super::call::Call, why: &str, by_agent: bool, at: Instant) {
        let name = self.call_name(call.id);
        for index in 0..call.sides.len() {
            let side = &mut call.sides[index];
            if side.is_second == by_agent {
                continue;
            }
            side.wanted = None;
            let asked = side.asked.take();
            if side.state.is_none() {
                continue;
            }
            let event_id: std::sync::Arc<str> = format!("{}-{}", self.config.run, side.next_event(call.id)).into();
            let failure = Failure {
                message_type: "ErrorMessage",
                event_id: &event_id,
                operation_name: asked,
                error_message: why,
                call_id: Some(&name),
                destination: None,
                phone_number: &side.dn,
                timestamp: self.clock.unix_ms(at),
            };
            let published = Published {
                event_id: event_id.clone(),
                channel: CALLS,
                owner: side.owner.clone(),
                dn: side.dn.clone(),
                at_unix_ms: self.clock.unix_ms(at),
                data: json(&failure),
            };
            self.publish(published);
        }
    }
}
