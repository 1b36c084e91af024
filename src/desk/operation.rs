//! What an agent's desktop may ask, in whichever dialect it was said, and what it is told.
//!
//! An operation that changes a call is answered at once, when it is known to be allowed; its effect, or that it had none,
//! comes as an event.

use bytes::Bytes;
use serde_json::{Map, Value};

/// User data of a call: what the desktop shows of the customer.
pub type AttachedData = Map<String, Value>;

/// A call as a path of the API names it: our own identifier, the trunk's CallUUID, or a ConnID that somebody told us.
pub type CallName = String;

/// Most characters of a number that is called.
pub const MAX_NUMBER: usize = 64;
/// Most keys that one operation presses: as many as wait at a leg before some are lost.
pub const MAX_DIGITS: usize = 32;
/// Most characters of a reason for being not ready.
pub const MAX_REASON: usize = 64;
/// Most pairs of user data of one call, and so of one request.
pub const MAX_PAIRS: usize = 256;

/// What `/me` is to show beside the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subresources {
    /// The agent's devices.
    pub devices: bool,
    /// The agent's channels.
    pub channels: bool,
    /// The agent's calls.
    pub calls: bool,
}

/// What a desktop asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// GET `/me`.
    Me(Subresources),
    /// GET `/me/devices`.
    Devices,
    /// GET `/me/devices/ID`, `/devices/ID`: by identifier or number.
    Device(String),
    /// GET `/me/channels`.
    Channels,
    /// GET `/me/channels/voice`.
    Voice,
    /// GET `/me/calls`.
    Calls,
    /// GET `/me/calls/ID`.
    Call(CallName),
    /// GET `/me/state`, the guide's.
    State,
    /// Begins to work on these channels; of them only `voice` is ours.
    StartSession {
        /// Channels by name; none: all that there are.
        channels: Vec<String>,
        /// The number to work at; without it the agent's first one.
        dn: Option<String>,
    },
    /// Ends the day's work.
    EndSession,
    /// Takes calls from here on.
    Ready,
    /// Takes none.
    NotReady {
        /// Why, as the desktop calls it.
        reason: Option<String>,
    },
    /// Has a call to finish, until the agent says otherwise.
    AfterCallWork,
    /// Is gone.
    LoggedOut,
    /// Calls somebody.
    Dial {
        /// The number.
        to: String,
        /// Data to be attached to the call.
        user_data: AttachedData,
        /// The device, by identifier or number; without it the one that the agent works at.
        from: Option<String>,
    },
    /// Asks something of a call.
    OnCall(CallName, CallOperation),
}

/// What a desktop asks of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum CallOperation {
    /// Makes the phone answer.
    Answer,
    /// Ends the call; one that rings is refused.
    Hangup,
    /// Puts the other party on hold.
    Hold,
    /// Takes the other party back.
    Retrieve,
    /// Presses keys.
    SendDtmf {
        /// 0 to 9, `*`, `#`, A to D.
        digits: String,
    },
    /// Hands the other party on without a word.
    SingleStepTransfer {
        /// The number.
        to: String,
    },
    /// Puts the other party on hold and calls somebody whom it is to be handed on to.
    InitiateTransfer {
        /// The number.
        to: String,
        /// Data to be attached to the consultation.
        user_data: AttachedData,
    },
    /// Joins the other party with that of the consultation.
    CompleteTransfer {
        /// The consultation, where it must be said.
        with: Option<CallName>,
    },
    /// Puts the other party on hold and calls somebody who is to join.
    InitiateConference {
        /// The number.
        to: String,
        /// Data to be attached to the consultation.
        user_data: AttachedData,
    },
    /// Lets all three talk.
    CompleteConference {
        /// The consultation, where it must be said.
        with: Option<CallName>,
    },
    /// Calls somebody into the call.
    SingleStepConference {
        /// The number.
        to: String,
    },
    /// Puts the one party on hold and takes the other one back.
    SwapCalls {
        /// The other call, where it must be said.
        with: Option<CallName>,
    },
    /// Adds user data.
    AttachUserData(AttachedData),
    /// Adds user data and replaces what has the same key; real desktops use both names for one thing.
    UpdateUserData(AttachedData),
    /// Takes all user data away.
    DeleteUserData,
    /// Takes one pair away.
    DeleteUserDataPair {
        /// Its key.
        key: String,
    },
    /// Ends the call for all parties.
    ClearCall,
}

impl CallOperation {
    /// Returns the name of the operation.
    pub fn name(&self) -> &'static str {
        match self {
            CallOperation::Answer => "Answer",
            CallOperation::Hangup => "Hangup",
            CallOperation::Hold => "Hold",
            CallOperation::Retrieve => "Retrieve",
            CallOperation::SendDtmf { .. } => "SendDtmf",
            CallOperation::SingleStepTransfer { .. } => "SingleStepTransfer",
            CallOperation::InitiateTransfer { .. } => "InitiateTransfer",
            CallOperation::CompleteTransfer { .. } => "CompleteTransfer",
            CallOperation::InitiateConference { .. } => "InitiateConference",
            CallOperation::CompleteConference { .. } => "CompleteConference",
            CallOperation::SingleStepConference { .. } => "SingleStepConference",
            CallOperation::SwapCalls { .. } => "SwapCalls",
            CallOperation::AttachUserData(_) => "AttachUserData",
            CallOperation::UpdateUserData(_) => "UpdateUserData",
            CallOperation::DeleteUserData => "DeleteUserData",
            CallOperation::DeleteUserDataPair { .. } => "DeleteUserDataPair",
            CallOperation::ClearCall => "ClearCall",
        }
    }
}

/// What a desktop is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// `200 {"statusCode":0}`.
    Done,
    /// 200 with this JSON object, which has its `statusCode` already.
    Body(Bytes),
    /// It is not done.
    Refused(Refusal),
}

/// Why an operation is refused. The text is the `statusMessage`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing is at this path.
    #[error("Resource is not found.")]
    NoResource,
    /// Something is, but not for this method; these are allowed, as the `Allow` field has them.
    #[error("Method is not allowed, but {0}.")]
    Method(&'static str),
    /// The body is too long.
    #[error("Request is too large.")]
    TooLarge,
    /// The body is something else than `application/json`.
    #[error("Content-Type is not application/json.")]
    MediaType,
    /// The body is no JSON object.
    #[error("Request is not a JSON object.")]
    Malformed,
    /// No such agent is configured, or the agent is not logged in.
    #[error("Access denied")]
    Denied,
    /// Something needed is not in the request.
    #[error("Required parameter '{0}' is missing.")]
    Missing(&'static str),
    /// Something in the request cannot be.
    #[error("Parameter '{name}' is not valid: {why}.")]
    Invalid {
        /// Which.
        name: &'static str,
        /// What is allowed.
        why: &'static str,
    },
    /// The agent has no such call; those of others are not told apart from those that are not.
    #[error("Call '{0}' is not found.")]
    NoCall(CallName),
    /// The agent has no such device.
    #[error("Device '{0}' is not found.")]
    NoDevice(String),
    /// No browser has registered as the device.
    #[error("Device '{0}' is not registered.")]
    NotRegistered(String),
    /// What is asked does not suit the state of the call, or of the agent.
    #[error("Operation '{operation}' is not possible: {why}.")]
    WrongState {
        /// Name of the operation.
        operation: &'static str,
        /// What stands against it.
        why: &'static str,
    },
    /// The agent is not allowed to.
    #[error("Operation '{operation}' is forbidden: {why}.")]
    Forbidden {
        /// Name of the operation.
        operation: &'static str,
        /// Why.
        why: &'static str,
    },
}

impl Refusal {
    /// Returns the HTTP status.
    pub fn http_status(&self) -> u16 {
        match self {
            Refusal::Denied | Refusal::Forbidden { .. } => 403,
            Refusal::Missing(_) | Refusal::Invalid { .. } | Refusal::Malformed => 400,
            Refusal::NoCall(_) | Refusal::NoDevice(_) | Refusal::NoResource => 404,
            Refusal::Method(_) => 405,
            Refusal::TooLarge => 413,
            Refusal::MediaType => 415,
            Refusal::WrongState { .. } => 409,
            Refusal::NotRegistered(_) => 500,
        }
    }

    /// Returns the `statusCode` of the body (GWS, Return Values): 1 to 20.
    pub fn status_code(&self) -> u8 {
        match self {
            Refusal::Missing(_) => 1,
            Refusal::Invalid { .. } | Refusal::WrongState { .. } => 2,
            Refusal::TooLarge | Refusal::MediaType | Refusal::Malformed => 2,
            Refusal::Forbidden { .. } | Refusal::Method(_) => 3,
            Refusal::NotRegistered(_) => 4,
            Refusal::NoCall(_) | Refusal::NoDevice(_) | Refusal::NoResource => 6,
            Refusal::Denied => 20,
        }
    }
}
