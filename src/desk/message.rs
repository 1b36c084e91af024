//! The messages that desktops get: GWS's own, with the fields of the guide beside them.

use bytes::Bytes;
use serde::Serialize;

use super::agent::AgentState;

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
