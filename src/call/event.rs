//! What the outside learns of a call: one ordered log of facts.

use std::time::Instant;

use super::UserData;
use super::cause::ReleaseCause;
use super::wish::Declined;
use crate::id::{CallId, DialId};
use crate::plan::{Digit, LegStats};

/// Who began a call, as the agent sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The trunk called the DN.
    Inbound,
    /// The DN called out by the trunk.
    Outbound,
}

/// One fact of one call. Within a call `sequence` counts from 0 without gaps; the last event is `Released`.
#[derive(Clone, Debug, PartialEq)]
pub struct CallEvent {
    /// The call.
    pub call: CallId,
    /// Place in the call's own log, from 0.
    pub sequence: u64,
    /// When it happened.
    pub at: Instant,
    /// What happened.
    pub kind: EventKind,
    /// The agent's DN.
    pub dn: String,
    /// The other party's number, as believed from the trunk or as dialled.
    pub peer: String,
    /// Who called.
    pub direction: Direction,
    /// The last `X-Genesys-CallUUID` seen: the key that joins this call to the CTI call.
    pub call_uuid: Option<String>,
    /// What else the trunk said of the call.
    pub data: UserData,
    /// The number that the caller had dialled before the call came to the DN, where the trunk told one.
    pub dnis: Option<String>,
    /// The [`Command::Dial`](super::Command::Dial) that the call came of.
    pub dial: Option<DialId>,
    /// DNs of ours that take part beside `dn`, reached without a trunk: the call is as much theirs. With `peer` among them it
    /// is one between two of ours; the others are guests of a conference.
    pub others: Box<[String]>,
}

/// Why a capture has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CaptureEnd {
    /// Somebody asked for it.
    Asked,
    /// The call is over.
    CallEnded,
    /// The file, or all files together, have come to their limit.
    Full,
    /// The disk did not take it.
    Failed,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// The call exists; the callee is being called. Always the first.
    Dialing,
    /// The callee rings (180) or is heard (183 with early media).
    Ringing,
    /// The callee answered and the caller was told.
    Established,
    /// The trunk changed `call_uuid` or `data`: a transfer, a conference, data attached by the CTI.
    AttachedDataChanged,
    /// The party behind this call pressed a key; `from_agent` tells which.
    Digit {
        /// The key and how long it was held.
        digit: Digit,
        /// The agent pressed it, not the customer.
        from_agent: bool,
    },
    /// A side has the one opposite on hold.
    Held {
        /// The agent of `dn` has; else the other party: the trunk, or the agent of the other DN.
        by_agent: bool,
    },
    /// That side's hold is over.
    Retrieved {
        /// As in [`EventKind::Held`].
        by_agent: bool,
    },
    /// What was wished of the call did not come about; the call is as it was.
    Declined {
        /// Why.
        why: Declined,
        /// The agent of `dn` wished it; else that of another DN in the call.
        by_agent: bool,
    },
    /// The identifier that joins the call to the CTI call is another one; the event carries it.
    CallUuidChanged,
    /// Somebody handed the party opposite on to this number, and leaves.
    Transferred {
        /// The number.
        to: String,
        /// The agent of `dn` did; else that of the other DN.
        by_agent: bool,
    },
    /// Who takes part has changed; a call of two parties beside the agent's is a conference.
    ParticipantsUpdated {
        /// Numbers of all parties but the agent.
        parties: Vec<String>,
    },
    /// The call is being written to a file: its SIP messages, and what is said.
    CaptureStarted {
        /// Name of the file, without its ending.
        name: String,
    },
    /// Nothing more of the call is written.
    CaptureStopped {
        /// Name of the file, without its ending.
        name: String,
        /// Why.
        why: CaptureEnd,
    },
    /// The call is over, its ports are closed. Always the last, and once.
    Released {
        /// Why.
        cause: ReleaseCause,
        /// What the agent's leg saw, where its worker still told.
        browser: Option<LegStats>,
        /// What the trunk leg saw, where its worker still told.
        trunk: Option<LegStats>,
    },
}
