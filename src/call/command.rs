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
    /// Asks something of a call that there is.
    OnCall {
        /// Which call.
        call: CallId,
        /// The DN whose agent asks; of a DN that is not in the call nothing is taken. `None`: the agent whose call it is, the
        /// `dn` of its events.
        by: Option<String>,
        /// What is asked.
        what: CallCommand,
    },
}

/// What may be asked of a call. "The agent" is who asks, "the other party" whom that one talks to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallCommand {
    /// Ends the call for all parties, in whatever state it is.
    Release,
    /// Lets the agent leave as by its phone: a conference or a transfer that can do without it goes on, any other call ends.
    HangUp,
    /// Makes the phone that is called answer, as NOTIFY talk does.
    Answer,
    /// Puts the other party on hold, as NOTIFY hold does.
    Hold,
    /// Takes the other party back from hold.
    Retrieve,
    /// Hands the other party on to a number; the agent leaves.
    BlindTransfer {
        /// Whom the party is to talk to.
        to: String,
    },
    /// Joins the other party with that of the agent's other call; the agent leaves both.
    AttendedTransfer {
        /// The consultation.
        with: CallId,
    },
    /// Makes two calls of one agent one of three. The call whose phone is not on hold goes on, the other one ends.
    Conference {
        /// The agent's other call.
        with: CallId,
    },
    /// Calls a number into the call, whose parties talk on meanwhile and hear it when it answers. That it does not is told
    /// as [`EventKind::Declined`](super::EventKind::Declined).
    SingleStepConference {
        /// The third party.
        to: String,
    },
    /// Writes the call's SIP messages and its media, without encryption, to a file from here on, or ends that.
    Capture {
        /// Begin or end.
        on: bool,
    },
    /// Presses keys for the agent, in order.
    SendDigits {
        /// The keys.
        digits: Vec<Digit>,
    },
}

impl Command {
    /// Makes what the agent asks whose call it is.
    pub fn of(call: CallId, what: CallCommand) -> Command {
        Command::OnCall { call, by: None, what }
    }

    /// Returns the call that something is wished of, where there is one already.
    pub fn call(&self) -> Option<CallId> {
        match self {
            Command::Dial { .. } => None,
            Command::OnCall { call, .. } => Some(*call),
        }
    }

    /// Returns the DN whose agent asks, where it is said.
    pub fn by(&self) -> Option<&str> {
        match self {
            Command::Dial { dn, .. } => Some(dn),
            Command::OnCall { by, .. } => by.as_deref(),
        }
    }

    /// Returns the other call of the agent that is to be joined with it.
    pub fn with(&self) -> Option<CallId> {
        match self {
            Command::OnCall {
                what: CallCommand::AttendedTransfer { with } | CallCommand::Conference { with }, ..
            } => Some(*with),
            _ => None,
        }
    }
}
