//! What the outside may ask of a call: page, REST, NOTIFY talk and INFO are adapters to this one type.

use crate::id::{CallId, DialId};
use crate::plan::Digit;

/// A wish; it may come too late, then it has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Has the agent's phone called, which answers as it does to any call that needs no click, and then the number: by the
    /// dial rules, and with the permissions of the DN. The call's events bear `dial`; where no call comes of it
    /// [`Output::NotDialled`](crate::gateway::Output::NotDialled) tells why.
    Dial {
        /// Names the wish.
        dial: DialId,
        /// The agent's DN.
        dn: String,
        /// The number.
        to: String,
        /// Header fields for the INVITE to the number, by name; only those go out that a browser, too, may send it.
        told: Vec<(String, String)>,
    },
    /// Ends the call, in whatever state it is.
    Release {
        /// Which call.
        call: CallId,
    },
    /// Makes the agent's phone answer, as NOTIFY talk does.
    Answer {
        /// Which call.
        call: CallId,
    },
    /// Puts the other party on hold, as NOTIFY hold does.
    Hold {
        /// Which call.
        call: CallId,
    },
    /// Takes the other party back from hold.
    Retrieve {
        /// Which call.
        call: CallId,
    },
    /// Hands the other party on to a number; the agent leaves.
    BlindTransfer {
        /// Which call.
        call: CallId,
        /// Whom the party is to talk to.
        to: String,
    },
    /// Joins the other party with that of the agent's other call; the agent leaves both.
    AttendedTransfer {
        /// Which call.
        call: CallId,
        /// The consultation.
        with: CallId,
    },
    /// Makes two calls of one agent one of three. The call whose phone is not on hold goes on, the other one ends.
    Conference {
        /// Which call.
        call: CallId,
        /// The agent's other call.
        with: CallId,
    },
    /// Calls a number into the call, whose parties talk on meanwhile and hear it when it answers. That it does not is told
    /// as [`EventKind::Declined`](super::EventKind::Declined).
    SingleStepConference {
        /// Which call.
        call: CallId,
        /// The third party.
        to: String,
    },
    /// Writes the call's SIP messages and its media, without encryption, to a file from here on, or ends that.
    Capture {
        /// Which call.
        call: CallId,
        /// Begin or end.
        on: bool,
    },
    /// Presses keys for the agent, in order.
    SendDigits {
        /// Which call.
        call: CallId,
        /// The keys.
        digits: Vec<Digit>,
    },
}

impl Command {
    /// Returns the call that something is wished of, where there is one already.
    pub fn call(&self) -> Option<CallId> {
        match self {
            Command::Dial { .. } => None,
            Command::Release { call }
            | Command::Answer { call }
            | Command::Hold { call }
            | Command::Retrieve { call }
            | Command::BlindTransfer { call, .. }
            | Command::AttendedTransfer { call, .. }
            | Command::Conference { call, .. }
            | Command::SingleStepConference { call, .. }
            | Command::Capture { call, .. }
            | Command::SendDigits { call, .. } => Some(*call),
        }
    }

    /// Returns the other call of the agent that is to be joined with it.
    pub fn with(&self) -> Option<CallId> {
        match self {
            Command::AttendedTransfer { with, .. } | Command::Conference { with, .. } => Some(*with),
            _ => None,
        }
    }
}
