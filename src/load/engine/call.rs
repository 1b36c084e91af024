//! One call as signalling sees it, and how far it is.
//!
//! ```text
//!  calling ──200──► up ──heard both ways──► settled ──we hang up──► leaving ──the other end's BYE──► over
//!     └─ refused, not answered ─┴─ BYE, no audio, DTLS failed: a failure ──────────────────────────────┘
//! ```

use std::time::{Duration, Instant};

use super::order::{SeatId, Side};
use crate::load::browser::sdp::{BrowserPeer, BrowserSide};
use crate::load::outcome::{CallDirection, CallOutcome, Failure, Way};
use crate::load::witness::Ask;
use crate::plan::RtpRemote;
use crate::sdp::offer_answer::{Agreed, OfferState, RtpLocal};
use crate::sip::endpoint::SessionId;

/// From the 200 until both ends have heard each other.
const SETTLING: Duration = Duration::from_secs(15);
/// From our BYE until the other end has got one.
const LEAVING: Duration = Duration::from_secs(5);
/// From the INVITE until its final response: what RFC 3261 leaves open; longer than its timer B.
const CALLING: Duration = Duration::from_secs(60);

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The INVITE is out.
    Calling,
    /// Answered.
    Up,
    /// Both ends hear each other; of a silent call: hands are shaken.
    Settled,
    /// We have hung up.
    Leaving,
    /// Nothing of it is left but its figures.
    Over,
}

/// What signalling needs of each end.
#[derive(Debug)]
pub struct Ends {
    /// The browser's side of SDP; `None`: the floor.
    pub browser: Option<BrowserSide>,
    /// How to ask the witness that is the browser; `None`: we are it.
    pub witness: Option<tokio::sync::mpsc::Sender<Ask>>,
    /// How it has described itself.
    pub described: Option<String>,
    /// What the browser has read.
    pub peer: Option<BrowserPeer>,
    /// The trunk's.
    pub trunk: Option<RtpLocal>,
    /// The trunk's offer that waits for an answer.
    pub offer: Option<OfferState>,
    /// The trunk's answer to the offer that it got, and what that offer says.
    pub answer: Option<(Vec<u8>, RtpRemote)>,
    /// What the trunk has agreed on.
    pub agreed: Option<Agreed>,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    /// Its place at the media thread.
    pub seat: SeatId,
    /// How far it is.
    pub stage: Stage,
    /// Since when.
    pub since: Instant,
    /// When the INVITE went out.
    pub invited: Instant,
    /// Whether it has media.
    pub speaks: bool,
    /// Sessions of the browser and the trunk.
    pub sessions: [Option<SessionId>; 2],
    /// Which ends know their peer.
    pub met: [bool; 2],
    /// When the callee is to answer.
    pub answer_at: Option<Instant>,
    /// SDP of both ends.
    pub ends: Ends,
    /// ICE and DTLS are done.
    pub connected: bool,
    /// Both have heard each other.
    pub heard: bool,
    /// The media thread has told its figures.
    pub told: bool,
    /// What becomes of it.
    pub outcome: CallOutcome,
}

impl Call {
    /// Tells who it is that calls.
    pub fn caller(&self) -> Side {
        match self.outcome.direction {
            CallDirection::In => Side::Trunk,
            CallDirection::Out => Side::Browser,
        }
    }

    /// The session of an end.
    pub fn session(&mut self, side: Side) -> &mut Option<SessionId> {
        &mut self.sessions[side as usize]
    }

    /// Goes on to the next stage.
    pub fn enter(&mut self, stage: Stage, now: Instant) {
        self.stage = stage;
        self.since = now;
    }

    /// Becomes settled where all that is wanted of it is there; true when it is.
    pub fn settle(&mut self, now: Instant) -> bool {
        let is_whole = if self.speaks { self.heard } else { self.connected };
        if self.stage == Stage::Up && is_whole {
            self.enter(Stage::Settled, now);
        }
        self.stage == Stage::Settled
    }

    /// Notes why it came to nothing; the first reason counts.
    pub fn fail(&mut self, status: Option<u16>, reason: impl Into<String>) {
        if self.outcome.failure.is_none() {
            self.outcome.failure = Some(Failure { status, reason: reason.into() });
        }
    }

    /// When it has taken too long, and what for.
    pub fn limit(&self) -> Option<(Instant, &'static str)> {
        match self.stage {
            Stage::Calling => Some((self.since + CALLING, "no answer to INVITE")),
            Stage::Up if self.speaks && self.connected => Some((self.since + SETTLING, "no audio")),
            Stage::Up => Some((self.since + SETTLING, "no media path")),
            Stage::Leaving => Some((self.since + LEAVING, "no BYE at the other end")),
            Stage::Settled | Stage::Over => None,
        }
    }

    /// Takes the figures of its ways.
    pub fn take_figures(&mut self, to_trunk: Way, to_browser: Way) {
        self.told = true;
        if self.speaks {
            self.outcome.to_trunk = Some(to_trunk);
            self.outcome.to_browser = Some(to_browser);
        }
    }
}
