//! The INVITE usage of a dialog (RFC 3261 13 to 15): set-up, re-INVITE and glare, 2xx until its ACK, CANCEL and its
//! races, BYE, PRACK (RFC 3262), UPDATE (RFC 3311), session timers (RFC 4028), REFER (RFC 3515).
//!
//! ```text
//! Calling --2xx--> Talking --BYE--> gone        Ringing --answer--> Talking
//!    \--300..699, time-out--> gone                 \--reject, CANCEL--> gone
//! ```
//! What outlives a session hangs on its INVITE's transaction ([`Attempt`]): a late or forked 2xx gets ACK and BYE.

mod draft;
mod in_dialog;
mod refresh;
mod reinvite;
mod reliable;
mod subscription;
mod timer;
mod uac;
mod uas;

use std::time::{Duration, Instant};

use bytes::Bytes;

pub(crate) use draft::Draft;
pub(crate) use reliable::{Provisionals, RAck};
pub(crate) use subscription::{LIFETIME as REFER_LIFETIME, Refers};
pub(crate) use timer::{Expiry, is_too_short, min_se};

use crate::path::Path;
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::{Header, Hop, SessionId, Transmit};
use crate::sip::message::{Message, Name};

/// Most forks of one INVITE that are told apart; further ones are ignored.
const MAX_FORKS: usize = 16;

/// One session.
pub(crate) struct Session {
    pub(crate) phase: Phase,
    /// Our tag.
    pub(crate) tag: String,
    /// Transfers asked for, by either side, whose outcome is still to be told.
    pub(crate) refers: Refers,
    /// When its timers are due next, as entered in the endpoint's set.
    pub(crate) due: Option<Instant>,
}

/// How far a session has come.
pub(crate) enum Phase {
    /// Our INVITE is out.
    Calling(Box<Calling>),
    /// The peer's INVITE is not answered yet.
    Ringing(Box<Ringing>),
    /// A 2xx was sent or received.
    Talking(Box<Talk>),
}

/// Our INVITE before its 2xx.
pub(crate) struct Calling {
    /// Its transaction; `None`: it was challenged, and the user has not answered yet.
    pub(crate) tx: Option<u64>,
    /// One for each fork that rang.
    pub(crate) early: Vec<Early>,
    pub(crate) draft: Draft,
}

/// A callee that rings.
pub(crate) struct Early {
    pub(crate) dialog: Dialog,
    /// RSeq of its last reliable provisional.
    pub(crate) heard: Option<u32>,
    /// It has sent the offer that our INVITE did not have.
    pub(crate) is_offered: bool,
    /// The provisional with that offer, as long as the user has not answered it.
    pub(crate) unanswered: Option<RAck>,
}

/// The peer's INVITE before our final response.
pub(crate) struct Ringing {
    pub(crate) tx: u64,
    pub(crate) invite: Message,
    pub(crate) dialog: Dialog,
    pub(crate) clock: RingClock,
    pub(crate) provisionals: Provisionals,
}

/// The times of an INVITE that is not answered yet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RingClock {
    /// When the last provisional is sent again, lest a proxy gives up (RFC 3261 13.3.1.1).
    pub(crate) repeat: Option<Instant>,
    /// When the caller's patience ends, by its `Expires` (RFC 3261 13.3.1).
    pub(crate) expires: Option<Instant>,
}

/// A confirmed session.
pub(crate) struct Talk {
    pub(crate) dialog: Dialog,
    /// Our 2xx that waits for its ACK.
    pub(crate) unacked: Option<Unacked>,
    /// The INVITE of ours whose 2xx the user has still to acknowledge: its transaction and CSeq number.
    pub(crate) to_ack: Option<(u64, u32)>,
    /// Our provisional without SDP that was not acknowledged before the 2xx went out.
    pub(crate) owed: Option<RAck>,
    pub(crate) ours: Ours,
    /// The peer's re-INVITE that waits for our answer.
    pub(crate) theirs: Option<u64>,
    pub(crate) expiry: Option<Expiry>,
    /// What we said last in an offer or answer that holds: a refresh by re-INVITE says it again.
    pub(crate) sdp: Option<Vec<u8>>,
    /// The peer takes UPDATE, by its Allow.
    pub(crate) allows_update: bool,
    /// The user's re-INVITE that waits for one that only refreshes.
    pub(crate) queued: Option<Wish>,
    /// The user hung up before the ACK came: BYE goes out with these headers when it does (RFC 3261 15).
    pub(crate) leaving: Option<Vec<Header>>,
}

/// A 2xx of ours, repeated until its ACK (RFC 3261 13.3.1.4).
pub(crate) struct Unacked {
    pub(crate) response: Bytes,
    pub(crate) path: Path,
    pub(crate) cseq: u32,
    /// It made the dialog: no BYE before its ACK.
    pub(crate) is_first: bool,
    pub(crate) next: Instant,
    pub(crate) interval: Duration,
    pub(crate) repeat_until: Instant,
    pub(crate) give_up: Instant,
}

/// A re-INVITE of ours.
#[derive(Default)]
pub(crate) enum Ours {
    #[default]
    None,
    /// On its way.
    Open(u64),
    /// Refused with 491; sent again at `until` (RFC 3261 14.1).
    Backoff { until: Instant, wish: Wish },
}

/// What a re-INVITE is to say.
#[derive(Clone)]
pub(crate) struct Wish {
    pub(crate) sdp: Option<Vec<u8>>,
    pub(crate) headers: Vec<Header>,
    /// How many times it was refused with 491.
    pub(crate) refused: u8,
    /// It changes nothing, and nobody but us waits for it (RFC 4028 7.4).
    pub(crate) is_refresh: bool,
}

/// Whose a transaction is.
pub(crate) enum Owner {
    /// A client transaction of the user's.
    User,
    /// Nobody waits for its outcome.
    Nobody,
    /// A server transaction that the user answers; `tag` goes into To.
    Asked { tag: String },
    /// Our INVITE.
    Attempt(Box<Attempt>),
    /// Our re-INVITE.
    Reinvite(Box<Reinvite>),
    /// The peer's UPDATE with SDP, that the user answers.
    Updated(SessionId),
    /// The peer's PRACK with an offer, that the user answers.
    Offered(SessionId),
    /// Our UPDATE that refreshes.
    Refresh(SessionId),
    /// The peer's REFER, that the user answers.
    Referred(SessionId),
    /// Our REFER, the `id` of its subscription.
    Refer(SessionId, u32),
    /// Our NOTIFY of how a REFER goes, the `id` of the subscription.
    Notify(SessionId, u32),
    /// The peer's INVITE.
    Invited(SessionId),
    /// The peer's re-INVITE.
    Reinvited(SessionId),
    /// The peer's INVITE, refused while a provisional of ours was owed its PRACK.
    Crossed(Box<Crossed>),
    /// A request of ours that was challenged, until the user has said what it thinks of it.
    Unproved(Box<Unproved>),
    /// A request that went out again with credentials; `first` is its name as the user knows it.
    Again { first: u64, owner: Box<Owner> },
}

/// What a PRACK names that comes after the final response to its INVITE.
pub(crate) struct Crossed {
    pub(crate) dialog: Dialog,
    pub(crate) rack: RAck,
}

/// A challenged request.
pub(crate) struct Unproved {
    /// Its name as the user knows it.
    pub(crate) first: u64,
    pub(crate) owner: Owner,
    /// `None`: a refresh by re-INVITE, which is written anew.
    pub(crate) request: Option<Message>,
}

/// Our INVITE, for as long as responses may come.
pub(crate) struct Attempt {
    pub(crate) session: SessionId,
    /// The user is gone: whatever still answers is acknowledged and ended.
    pub(crate) is_abandoned: bool,
    pub(crate) invite: Message,
    pub(crate) hop: Hop,
    pub(crate) contact: String,
    /// Wanted, but no provisional yet (RFC 3261 9.1).
    pub(crate) cancel_wanted: Option<Vec<Header>>,
    pub(crate) forks: Vec<Fork>,
}

/// One 2xx to our INVITE.
pub(crate) struct Fork {
    pub(crate) tag: String,
    /// Sent again whenever the 2xx comes again.
    pub(crate) ack: Option<Transmit>,
}

/// Our re-INVITE, for as long as responses may come.
pub(crate) struct Reinvite {
    pub(crate) session: SessionId,
    pub(crate) cseq: u32,
    pub(crate) wish: Wish,
    pub(crate) is_answered: bool,
    pub(crate) ack: Option<Transmit>,
    /// For the ACK of a 2xx that comes when the session is gone.
    pub(crate) dialog: Dialog,
}

impl Session {
    pub(crate) fn new(tag: &str, phase: Phase) -> Session {
        Session { phase, tag: tag.to_owned(), refers: Refers::default(), due: None }
    }

    /// When the session has something to do next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let talk = match &self.phase {
            Phase::Talking(talk) => talk,
            Phase::Ringing(ringing) => {
                let clock = [ringing.clock.repeat, ringing.clock.expires, ringing.provisionals.deadline()];
                return clock.into_iter().flatten().chain(self.refers.deadline()).min();
            }
            Phase::Calling(_) => return None,
        };
        let unacked = talk.unacked.as_ref().map(|unacked| unacked.next.min(unacked.give_up));
        let retry = match &talk.ours {
            Ours::Backoff { until, .. } => Some(*until),
            Ours::None | Ours::Open(_) => None,
        };
        let expiry = talk.expiry.as_ref().map(Expiry::deadline);
        [unacked, retry, expiry].into_iter().flatten().chain(self.refers.deadline()).min()
    }

    /// The confirmed session, as long as the user is in it.
    pub(crate) fn talk(&mut self) -> Option<&mut Talk> {
        match &mut self.phase {
            Phase::Talking(talk) if talk.leaving.is_none() => Some(talk),
            _ => None,
        }
    }

    /// The dialog that a request of the peer belongs to.
    pub(crate) fn dialog_of(&mut self, request: &Message) -> Option<&mut Dialog> {
        match &mut self.phase {
            Phase::Calling(calling) => {
                calling.early.iter_mut().map(|early| &mut early.dialog).find(|dialog| dialog.is_of(request))
            }
            Phase::Ringing(ringing) => Some(&mut ringing.dialog).filter(|dialog| dialog.is_of(request)),
            Phase::Talking(talk) => Some(&mut talk.dialog).filter(|dialog| dialog.is_of(request)),
        }
    }

    /// The dialog that our requests go out in; of several early ones the latest.
    pub(crate) fn dialog(&mut self) -> Option<&mut Dialog> {
        match &mut self.phase {
            Phase::Calling(calling) => calling.early.last_mut().map(|early| &mut early.dialog),
            Phase::Ringing(ringing) => Some(&mut ringing.dialog),
            Phase::Talking(talk) => Some(&mut talk.dialog),
        }
    }

    /// The dialog with this fork of the peer's.
    pub(crate) fn dialog_to(&mut self, call_id: &str, remote_tag: &str) -> Option<&mut Dialog> {
        let is_it = |dialog: &&mut Dialog| dialog.call_id == call_id && dialog.remote_tag == remote_tag;
        match &mut self.phase {
            Phase::Calling(calling) => calling.early.iter_mut().map(|early| &mut early.dialog).find(is_it),
            Phase::Ringing(ringing) => Some(&mut ringing.dialog).filter(is_it),
            Phase::Talking(talk) => Some(&mut talk.dialog).filter(is_it),
        }
    }

    /// All its dialogs; several while forks ring.
    pub(crate) fn dialogs(&self) -> impl Iterator<Item = &Dialog> {
        let (early, one) = match &self.phase {
            Phase::Calling(calling) => (calling.early.as_slice(), None),
            Phase::Ringing(ringing) => (&[][..], Some(&ringing.dialog)),
            Phase::Talking(talk) => (&[][..], Some(&talk.dialog)),
        };
        early.iter().map(|early| &early.dialog).chain(one)
    }

    /// The peer's INVITE, as long as it is not answered.
    pub(crate) fn ringing(&mut self) -> Option<&mut Ringing> {
        match &mut self.phase {
            Phase::Ringing(ringing) => Some(ringing),
            Phase::Calling(_) | Phase::Talking(_) => None,
        }
    }
}

impl Talk {
    pub(crate) fn new(dialog: Dialog) -> Talk {
        Talk {
            dialog,
            unacked: None,
            to_ack: None,
            owed: None,
            ours: Ours::None,
            theirs: None,
            expiry: None,
            sdp: None,
            allows_update: false,
            queued: None,
            leaving: None,
        }
    }

    /// Learns from a message of the peer's what it takes.
    pub(crate) fn learn(&mut self, message: &Message) {
        if message.header(Name::Allow).is_some() {
            self.allows_update = message.has_option(Name::Allow, "UPDATE");
        }
    }

    /// Whether an INVITE transaction of either side is open (RFC 3261 14.1).
    pub(crate) fn is_busy(&self) -> bool {
        self.unacked.is_some()
            || self.to_ack.is_some()
            || self.theirs.is_some()
            || matches!(self.ours, Ours::Open(_) | Ours::Backoff { .. })
    }
}
