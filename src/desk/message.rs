//! The messages that desktops get: GWS's own, with the fields of the guide beside them.

use std::borrow::Cow;
use std::time::Instant;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Desk;
use super::agent::AgentState;
use super::call::{Call, CallState, Side, Sight};
use super::happened::Happened;
use super::operation::AttachedData;
use crate::call::Direction;
use crate::id::CallId;

/// Channel of calls.
pub const CALLS: &str = "/v2/me/calls";
/// Channel of devices, and of what their agents do.
pub const DEVICES: &str = "/v2/me/devices";
/// The guide's channel of what agents do.
pub const STATE: &str = "/v2/me/state";
/// Channel of chat and work items.
pub const INTERACTIONS: &str = "/v2/me/interactions";

/// What an agent does, as a device has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserState<'a> {
    pub(super) id: &'static str,
    pub(super) display_name: &'static str,
    pub(super) state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'a str>,
}

impl<'a> UserState<'a> {
    pub(super) fn new(state: AgentState, reason: Option<&'a str>) -> UserState<'a> {
        UserState { id: state.name(), display_name: state.display_name(), state: state.name(), reason }
    }
}

/// A number that an agent works at, or may.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Device<'a> {
    pub(super) id: &'a str,
    /// `Active`: a browser has registered as it; else `Inactive`.
    pub(super) device_state: &'static str,
    pub(super) user_state: UserState<'a>,
    pub(super) phone_number: &'a str,
    pub(super) telephony_network: &'static str,
    pub(super) do_not_disturb: &'static str,
    pub(super) capabilities: [&'static str; 0],
    pub(super) uri: String,
    pub(super) path: String,
}

/// `/v2/me/devices`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeviceStateChange<'a> {
    pub(super) message_type: &'static str,
    pub(super) event_id: &'a str,
    pub(super) devices: Vec<Device<'a>>,
}

/// `/v2/me/state`, after the guide.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateChange<'a> {
    pub(super) message_type: &'static str,
    pub(super) event_id: &'a str,
    /// The guide's name of the event: the state.
    pub(super) event: &'static str,
    pub(super) state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'a str>,
    pub(super) user_name: &'a str,
    pub(super) dn: &'a str,
    pub(super) timestamp: i64,
    /// When it ends by itself, on the same clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<i64>,
}

/// Writes a message. Ours are maps with keys of text, which serde_json always writes.
pub(super) fn json(message: &impl Serialize) -> Bytes {
    serde_json::to_vec(message).unwrap_or_else(|_| b"{}".to_vec()).into()
}

/// Somebody whom the agent talks with. Nobody told us a number after E.164, nor how to write it for people.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Participant<'a> {
    e164_number: &'static str,
    formatted_phone_number: &'a str,
    phone_number: &'a str,
    digits: &'a str,
}

/// A call, by GWS's names.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CallBody<'a> {
    id: &'a str,
    #[serde(flatten)]
    told: Told<'a>,
    state: &'static str,
    call_type: &'static str,
    participants: Vec<Participant<'a>>,
    capabilities: Vec<&'static str>,
    user_data: &'a AttachedData,
    /// Seconds since it was answered.
    duration: String,
    /// Whether the gateway lets nothing of the agent through: `Off`, for it mutes nobody. A microphone that is off at the
    /// agent's own phone is not known here.
    mute: &'static str,
    #[serde(flatten)]
    places: Places,
    #[serde(flatten)]
    guide: Guide<'a>,
}

/// What somebody told us of a call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    call_uuid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dnis: Option<&'a str>,
    /// The call is being captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    recording_state: Option<&'static str>,
}

/// Where a call, and what belongs to it, is found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Places {
    device_uri: String,
    uri: String,
    path: String,
    /// The call that this one is a consultation for.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_call_uri: Option<String>,
}

/// A call, by the guide's names.
#[derive(Clone, Copy, Debug, Serialize)]
struct Guide<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ani: Option<&'a str>,
    direction: &'static str,
}

/// `/v2/me/calls`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CallStateChange<'a> {
    message_type: &'static str,
    notification_type: &'static str,
    event_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    call: &'a CallBody<'a>,
    phone_number: &'a str,
    /// `heldByPeer`: the other party has the agent on hold, which is no state of the call; and what the event itself adds.
    extensions: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transferred_to: Option<&'a str>,
    timestamp: i64,
    #[serde(flatten)]
    flat: Flat<'a>,
}

/// The guide's payload, without a `call` around it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Flat<'a> {
    call_id: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ani: Option<&'a str>,
    user_data: &'a AttachedData,
    /// Seconds since it was answered.
    duration: u64,
}

/// What was asked of a call, or of a phone, and did not come about.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Failure<'a> {
    pub(super) message_type: &'static str,
    pub(super) event_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) operation_name: Option<&'a str>,
    pub(super) error_message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) call_id: Option<&'a str>,
    /// The number that was to be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) destination: Option<&'a str>,
    pub(super) phone_number: &'a str,
    pub(super) timestamp: i64,
}

impl Desk {
    /// Returns the name that a call has in the API: 32 characters, of no other call in any run.
    pub(super) fn call_name(&self, call: CallId) -> String {
        format!("{:016X}{:016X}", self.config.run.0, call.0)
    }

    /// Describes a call as one side has it.
    pub(super) fn call_body(&self, call: &Call, side: &Side, at: Instant) -> Value {
        let id = self.call_name(call.id);
        self.with_body(call, side, &id, at, |body| json!(body))
    }

    pub(super) fn call_message(
        &self,
        call: &Call,
        side: &Side,
        event_id: &str,
        happened: &Happened<'_>,
        at: Instant,
    ) -> Bytes {
        let id = self.call_name(call.id);
        let mut extensions = Cow::Borrowed(&happened.extensions);
        if side.is_held_by_peer && side.state != Some(CallState::Released) {
            extensions.to_mut().insert("heldByPeer".to_owned(), true.into());
        }
        self.with_body(call, side, &id, at, |body| {
            json(&CallStateChange {
                message_type: "CallStateChangeMessage",
                notification_type: happened.notification.unwrap_or(self.config.status.name()),
                event_id,
                event: happened.event,
                call: body,
                phone_number: &side.dn,
                extensions: &extensions,
                transferred_to: happened.to,
                timestamp: self.clock.unix_ms(at),
                flat: Flat {
                    call_id: &id,
                    state: body.state,
                    from: body.guide.from,
                    to: body.guide.to,
                    ani: body.guide.ani,
                    user_data: &call.facts.data,
                    duration: talked(call, at),
                },
            })
        })
    }

    fn with_body<T>(
        &self,
        call: &Call,
        side: &Side,
        id: &str,
        at: Instant,
        write: impl FnOnce(&CallBody<'_>) -> T,
    ) -> T {
        let participant = |number| Participant {
            e164_number: "",
            formatted_phone_number: number,
            phone_number: number,
            digits: number,
        };
        // Who withholds its number is there, but nobody.
        let participants = call.participants(side).into_iter().filter(|number| !number.is_empty()).map(participant);
        let sight = self.sight(call, side);
        let peer = Some(side.peer.as_str()).filter(|peer| !peer.is_empty());
        let is_inbound = side.direction == Direction::Inbound;
        let (from, to) = if is_inbound { (peer, Some(side.dn.as_str())) } else { (Some(side.dn.as_str()), peer) };
        let path = format!("/calls/{id}");
        let parent = call.consultation.filter(|_| !side.is_second).map(|c| self.call_name(c.parent));
        write(&CallBody {
            id,
            told: Told {
                call_uuid: call.facts.call_uuid.as_deref(),
                conn_id: call.facts.conn_id.as_deref(),
                dnis: call.facts.dnis.as_deref().filter(|_| is_inbound),
                recording_state: call.is_captured.then_some("Recording"),
            },
            state: sight.state.name(),
            call_type: self.call_type(call, side),
            participants: participants.collect(),
            capabilities: sight.capabilities(),
            user_data: &call.facts.data,
            duration: talked(call, at).to_string(),
            mute: "Off",
            places: Places {
                device_uri: self.uri(&format!("/devices/{}", side.dn)),
                uri: self.uri(&format!("/me/calls/{id}")),
                path,
                parent_call_uri: parent.map(|parent| self.uri(&format!("/me/calls/{parent}"))),
            },
            guide: Guide {
                from,
                to,
                ani: peer.filter(|_| is_inbound),
                direction: if is_inbound { "Inbound" } else { "Outbound" },
            },
        })
    }

    fn call_type(&self, call: &Call, side: &Side) -> &'static str {
        if call.consultation.is_some() && !side.is_second {
            return "Consult";
        }
        let is_ours = call.is_local(side) || self.candidates.contains_key(&side.peer);
        match side.direction {
            _ if is_ours => "Internal",
            Direction::Inbound => "Inbound",
            Direction::Outbound => "Outbound",
        }
    }

    /// Returns what decides what can be done with a call.
    pub(super) fn sight(&self, call: &Call, side: &Side) -> Sight {
        // A side that nobody was told of yet is about to be.
        let state = side.state.unwrap_or(CallState::Dialing);
        let is_conference = call.is_conference();
        let mut sight = Sight { state, is_conference, can_transfer: false, can_confer: false, can_swap: false };
        let agent = side.owner.as_ref().and_then(|user| self.agents.get(user));
        let others = agent.into_iter().flat_map(|agent| agent.calls.iter().map(move |id| (id, &agent.config.user)));
        let others = others.filter(|(id, _)| **id != call.id);
        let others =
            others.filter_map(|(id, user)| self.calls.get(id).and_then(|other| Some((other, other.side_of(user)?))));
        // A conference stays as it is until one of the three leaves.
        for (other, own) in others.filter(|(other, _)| !is_conference && !other.is_conference()) {
            let Some(beside) = own.state else { continue };
            // Nobody is joined with himself; and one of our numbers that rings is somebody's to answer still.
            let is_same = call.is_local(side) && other.is_local(own) && own.peer == side.peer;
            let can_ring = |call: &Call, side, state| state == CallState::Dialing && !call.is_local(side);
            let is_there = |call, side, state: CallState| state.is_talking() || can_ring(call, side, state);
            sight.can_transfer |= !is_same && is_there(call, side, state) && is_there(other, own, beside);
            sight.can_confer |= !is_same && beside.is_talking();
            sight.can_swap |= state.is_talking() && beside.is_talking() && state != beside;
        }
        sight
    }
}

/// Seconds since a call was answered.
fn talked(call: &Call, at: Instant) -> u64 {
    call.answered_at.map_or(0, |since| at.saturating_duration_since(since).as_secs())
}
