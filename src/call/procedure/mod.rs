//! The changes a call can be in: each a state machine in its own file that is told signals and returns actions.
//!
//! ```text
//!  (summons ──phone──>) setup ──answered──> answer ──ACK──> (none: the parties talk) <──> hold
//!    │                   │                      │                      │
//!    └───────────────────┴──────────────────────┴──────────────────────┴──> release ──> gone
//! ```

pub mod addition;
pub mod alert;
pub mod answer;
pub mod conference;
pub mod hold;
pub mod referral;
pub mod release;
pub mod resume;
mod retrieval;
pub mod setup;
pub mod summons;
#[cfg(test)]
mod tests;
pub mod transfer;

use std::time::{Duration, Instant};

use super::cause::ReleaseCause;
use super::command::Command;
use super::event::EventKind;
use super::topology::ParkSource;
use super::wish::{Declined, Wish};
use crate::id::{CallId, LegId};
use crate::plan::LegStats;
use crate::sdp::description;

pub use addition::Addition;
pub use alert::AnswerMode;
pub use answer::Answer;
pub use conference::{Conference, Guest, Members};
pub use hold::Hold;
pub use referral::Referral;
pub use release::Release;
pub use resume::Resume;
pub use setup::{Setup, SetupLimits};
pub use summons::Summons;
pub use transfer::{Parts, Reporter, Transfer};

/// What happened to a call, in its own words.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// A callee sent a provisional response.
    Ringing {
        /// Which callee.
        leg: LegId,
        /// Its status, 180 to 199.
        status: u16,
        /// It can be heard already: its answer is known and applied.
        early_media: bool,
    },
    /// A callee's 2xx came, was acknowledged, and its answer is applied.
    Answered {
        /// Which callee.
        leg: LegId,
    },
    /// A callee's session is over without an answer.
    Refused {
        /// Which callee.
        leg: LegId,
        /// The final status; 408 or 503 where none came.
        status: u16,
        /// The callee said so itself.
        heard: bool,
    },
    /// A callee named another number, which is to be tried instead of it.
    Redirected {
        /// Which callee.
        leg: LegId,
        /// For [`Action::TryTarget`].
        target: usize,
    },
    /// [`Action::TryTarget`] came to nothing.
    NoTarget,
    /// The caller acknowledged our 2xx.
    Acked,
    /// A session is over, by its peer or its transport.
    Ended {
        /// Which leg.
        leg: LegId,
        /// Why.
        cause: ReleaseCause,
        /// The peer's own Reason header, to be passed on.
        reason: Option<Vec<u8>>,
    },
    /// The phone is brought to answer otherwise than by its page, and we ring for it.
    Alerting(AnswerMode),
    /// Somebody wishes something of the call.
    Wish {
        /// What.
        what: Wish,
        /// The leg of the agent who does; `None`: of the agent whose call it is.
        by: Option<LegId>,
    },
    /// A peer changed its description in mid-call, by an offer of its own or by its answer to an offer that it asked for.
    Reoffered {
        /// Which leg.
        leg: LegId,
        /// What the peer sent and received so far, as it writes it; an address that takes nothing counts as not receiving.
        before: description::Direction,
        /// What it sends and receives from now on.
        after: description::Direction,
    },
    /// [`Action::Reinvite`] came to its end.
    ReinviteDone {
        /// Which leg.
        leg: LegId,
        /// 200 where the peer's answer holds; 491 where it may be tried again; else the refusal, after which all is as before.
        status: u16,
    },
    /// The gateway wants the call to end.
    Release(ReleaseCause),
    /// The trunk's final response to a REFER of ours.
    Referred {
        /// Its status; 408 or 503 where none came.
        status: u16,
        /// NOTIFYs will tell how it goes on.
        is_followed: bool,
    },
    /// A NOTIFY told how a REFER of ours goes.
    Followed {
        /// Status of the new call.
        status: u16,
        /// Nothing more is to come of it.
        last: bool,
    },
    /// A port is closed.
    MediaClosed {
        /// Whose.
        leg: LegId,
        /// Its last words.
        stats: LegStats,
    },
    /// The time of [`Call::deadline`](super::Call::deadline) has come.
    Deadline {
        /// The trunk target under way has been heard of since the INVITE was sent to it.
        target_alive: bool,
    },
}

/// What is to be done for a call, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send the caller a provisional response.
    Progress {
        /// Its status.
        status: u16,
        /// With our SDP.
        early_media: bool,
    },
    /// Send the caller the 200.
    Accept,
    /// Send the caller a final refusal.
    Reject {
        /// Its status.
        status: u16,
    },
    /// End a leg's session as its state asks, if it has one.
    HangUp {
        /// Which leg.
        leg: LegId,
        /// Value of the Reason header.
        reason: Vec<u8>,
    },
    /// Close a leg's port, if it is open.
    CloseMedia(LegId),
    /// The leg is of no more interest.
    Forget(LegId),
    /// The trunk target of this leg gave no sign of life: let it be known.
    NoteSilence(LegId),
    /// Try this target of the trunk; a new leg is to be added with [`Call::add_callee`](super::Call::add_callee).
    TryTarget(usize),
    /// Let two legs hear each other.
    Connect(LegId, LegId),
    /// Let all these legs hear each other.
    Mix(Vec<LegId>),
    /// Let a leg hear a source alone.
    Park {
        /// Which leg.
        leg: LegId,
        /// What it is to hear.
        source: ParkSource,
    },
    /// Send a re-INVITE with an offer of ours; [`Signal::ReinviteDone`] follows, at once where it cannot be sent.
    Reinvite {
        /// Which leg.
        leg: LegId,
        /// What we send and receive from then on.
        direction: description::Direction,
    },
    /// A leg has taken the place of one whose phone had lost its dialog.
    Resumed {
        /// Whose place.
        old: LegId,
        /// Who has it.
        new: LegId,
    },
    /// Make a ringing phone answer.
    AskToAnswer(LegId),
    /// Tell who asked for a transfer how far it is.
    Report {
        /// Whose wish it was.
        leg: LegId,
        /// How it is told.
        by: Reporter,
        /// Status of the new call.
        status: u16,
        /// Nothing more is to come of it.
        last: bool,
    },
    /// End the agent's other call, whose party was handed on with this one's.
    ReleaseOther(CallId),
    /// Let a phone that holds the call by itself take it back.
    AskToRetrieve(LegId),
    /// Call the phones of the DN, which are to answer by themselves; each is to be added with
    /// [`Call::add_callee`](super::Call::add_callee).
    CallPhones,
    /// The call is over for a nailed leg, which goes on standing in a call of its own.
    Stand(LegId),
    /// Who is left may be another agent, or with another party: a DN of ours was handed on, or to. Numbers of legs.
    Settle(Vec<(LegId, String)>),
    /// Do what was wished of the call, or with it, while another change was under way.
    Obey(Command),
    /// Say of this call, which may be another one, that what was wished of it does not come about.
    Decline {
        /// Which call.
        call: CallId,
        /// The DN whose agent wished it; `None`: the agent whose call it is.
        by: Option<String>,
        /// Why.
        why: Declined,
    },
    /// Tell the world.
    Emit(EventKind),
    /// The call is over, forget it.
    Finish,
}

/// The one procedure that a call is in.
#[derive(Debug)]
pub enum Procedure {
    /// The agent's phone is being called, that is to make the call.
    Summons(Summons),
    /// The callee is being called.
    Setup(Setup),
    /// The callee answered, the caller has not acknowledged.
    Answer(Answer),
    /// The other party is put on hold or taken back.
    Hold(Hold),
    /// The gateway hands a party on.
    Transfer(Transfer),
    /// The trunk hands a party on.
    Referral(Referral),
    /// A third party is being called.
    Addition(Addition),
    /// Three hear each other.
    Conference(Conference),
    /// A phone that lost its dialog is given the call back.
    Resume(Resume),
    /// The call is being taken down.
    Release(Release),
}

/// Where a procedure goes after a signal.
#[derive(Debug)]
pub enum Next {
    /// It goes on.
    Stay,
    /// The agent's phone has answered, and calls.
    Summoned {
        /// The phone.
        phone: LegId,
        /// How patient it is.
        limits: SetupLimits,
        /// How long it hears that it was refused.
        tone: Duration,
    },
    /// A callee answered.
    Answered(LegId),
    /// The caller acknowledged: these two talk.
    Talking(LegId, LegId),
    /// The procedure is done, the parties talk.
    Done,
    /// The agent's hold is in force, or over.
    Held {
        /// The agent's leg.
        near: LegId,
        /// The other one.
        far: LegId,
        /// In force.
        hold: bool,
    },
    /// What was tried with the parties came to nothing: they hear what they heard before.
    GivenBack {
        /// Who had asked for it.
        near: LegId,
        /// The other one.
        far: LegId,
    },
    /// The parties are two again, or two others.
    Joined {
        /// With whom the agent talks from then on, where it is somebody else.
        peer: Option<String>,
        /// The call's identifier from then on, where it is another one.
        uuid: Option<String>,
        /// Numbers of parties that may be left.
        known: Vec<(LegId, String)>,
    },
    /// A third party has answered, and is to hear both others.
    Conferring(Members),
    /// One leg is to take the place of another.
    Resumed {
        /// Whose place.
        old: LegId,
        /// Who takes it.
        new: LegId,
    },
    /// The call is to be taken down.
    Release {
        /// Why.
        cause: ReleaseCause,
        /// Reason header of the side that ended it.
        reason: Option<Vec<u8>>,
    },
    /// Nothing is left.
    Gone,
}

/// The outcome of one signal.
#[derive(Debug)]
pub struct Step {
    /// What is to be done.
    pub actions: Vec<Action>,
    /// Where the procedure goes.
    pub next: Next,
}

impl Step {
    fn stay(actions: Vec<Action>) -> Step {
        Step { actions, next: Next::Stay }
    }

    fn release(actions: Vec<Action>, cause: ReleaseCause, reason: Option<Vec<u8>>) -> Step {
        Step { actions, next: Next::Release { cause, reason } }
    }
}

impl Procedure {
    /// Takes a signal.
    pub fn on(&mut self, signal: Signal, now: Instant) -> Step {
        match self {
            Procedure::Summons(summons) => summons.on(signal, now),
            Procedure::Setup(setup) => setup.on(signal, now),
            Procedure::Answer(answer) => answer.on(signal, now),
            Procedure::Hold(hold) => hold.on(signal, now),
            Procedure::Transfer(transfer) => transfer.on(signal, now),
            Procedure::Referral(referral) => referral.on(signal, now),
            Procedure::Addition(addition) => addition.on(signal, now),
            Procedure::Conference(conference) => conference.on(signal, now),
            Procedure::Resume(resume) => resume.on(signal),
            Procedure::Release(release) => release.on(signal, now),
        }
    }

    /// Returns when [`Signal::Deadline`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Procedure::Summons(summons) => Some(summons.deadline()),
            Procedure::Setup(setup) => Some(setup.deadline()),
            Procedure::Answer(answer) => answer.deadline(),
            Procedure::Resume(_) => None,
            Procedure::Hold(hold) => hold.deadline(),
            Procedure::Transfer(transfer) => transfer.deadline(),
            Procedure::Referral(referral) => Some(referral.deadline()),
            Procedure::Addition(addition) => Some(addition.deadline()),
            Procedure::Conference(conference) => conference.deadline(),
            Procedure::Release(release) => Some(release.deadline()),
        }
    }
}
