//! Provisional responses that are acknowledged (RFC 3262), as callee and as caller.
//!
//! ```text
//! callee:  free --18x with RSeq--> owed --PRACK--> free          caller:  18x with RSeq --PRACK--> heard
//!                                    \--64 × T1--> 504                       \--again, or too early--> dropped
//! ```
//! One is owed at a time; what comes after it waits, and so does a 2xx while the one owed has a session description.
//! We put no offer into a PRACK, because nothing has changed since our INVITE.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Crossed, Early, Owner, Phase, Ringing, Session};
use crate::path::Path;
use crate::sip::endpoint::{EndReason, Endpoint, Event, Header, Reliable, SessionId};
use crate::sip::message::{Builder, Message, Method, Name};

/// Most provisionals that wait for a PRACK; beyond it the oldest is left out, for the latest tells most.
const MOST: usize = 8;

/// What names a reliable provisional: RSeq, and the CSeq number of its INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RAck {
    pub(crate) rseq: u32,
    pub(crate) cseq: u32,
}

impl RAck {
    /// Reads the header of a PRACK.
    fn of(prack: &Message) -> Option<RAck> {
        let mut parts = prack.header_str(Name::RAck)?.split_ascii_whitespace();
        let (rseq, cseq, method) = (parts.next()?, parts.next()?, parts.next()?);
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        (method == "INVITE" && parts.next().is_none())
            .then(|| Some(RAck { rseq: digits(rseq)?, cseq: digits(cseq)? }))
            .flatten()
    }
}

/// The callee's provisionals.
#[derive(Default)]
pub(crate) struct Provisionals {
    /// What the caller wants.
    pub(crate) wish: Reliable,
    /// RSeq of the last one; 0: none yet.
    last: u32,
    pub(crate) owed: Option<Unpracked>,
    waiting: VecDeque<Waiting>,
    /// The user has answered; the 2xx goes out after the PRACK.
    pub(crate) answer: Option<(Vec<u8>, Vec<Header>)>,
    /// A PRACK with an offer waits for the user's answer, and so does the 2xx.
    is_offered: bool,
    /// One with a session description was acknowledged: the 2xx has none (RFC 3261 13.2.1).
    pub(crate) is_settled: bool,
}

/// A provisional of ours, repeated until its PRACK.
pub(crate) struct Unpracked {
    pub(crate) id: RAck,
    bytes: Bytes,
    has_sdp: bool,
    interval: Duration,
    next: Instant,
    give_up: Instant,
}

struct Waiting {
    status: u16,
    sdp: Option<Vec<u8>>,
    headers: Vec<Header>,
}

impl Provisionals {
    /// For an INVITE from a peer that may use them.
    pub(crate) fn of(invite: &Message) -> Provisionals {
        let wish = if invite.has_option(Name::Require, "100rel") {
            Reliable::Required
        } else if invite.has_option(Name::Supported, "100rel") {
            Reliable::Supported
        } else {
            Reliable::No
        };
        Provisionals { wish, ..Provisionals::default() }
    }

    /// Whether a provisional is to be reliable: any where it must, one with a session description where it may.
    pub(crate) fn covers(&self, has_sdp: bool) -> bool {
        match self.wish {
            Reliable::No => false,
            Reliable::Supported => has_sdp,
            Reliable::Required => true,
        }
    }

    /// Whether a session description has gone out reliably, or is about to: it is not said twice (RFC 3261 13.2.1).
    pub(crate) fn has_said_sdp(&self) -> bool {
        self.is_settled || self.holds_answer()
    }

    /// Whether a 2xx has to wait (RFC 3262 3).
    pub(crate) fn holds_answer(&self) -> bool {
        self.is_offered
            || self.owed.as_ref().is_some_and(|owed| owed.has_sdp)
            || self.waiting.iter().any(|next| next.sdp.is_some())
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.owed.as_ref().map(|owed| owed.next.min(owed.give_up))
    }
}

impl Endpoint {
    /// Sends a reliable provisional, or keeps it until the one before was acknowledged.
    pub(super) fn send_reliable(
        &mut self,
        id: SessionId,
        status: u16,
        sdp: Option<&[u8]>,
        headers: &[Header],
        now: Instant,
    ) {
        // From 1 to 2^31 - 1 (RFC 3262 3); never near the end of its range.
        let first = self.rng_below(1 << 30);
        let Some(ringing) = self.sessions.get_mut(&id).and_then(Session::ringing) else { return };
        let provisionals = &mut ringing.provisionals;
        if provisionals.owed.is_some() {
            if provisionals.waiting.len() >= MOST {
                provisionals.waiting.pop_front();
            }
            let waiting = Waiting { status, sdp: sdp.map(<[u8]>::to_vec), headers: headers.to_vec() };
            return provisionals.waiting.push_back(waiting);
        }
        provisionals.last = if provisionals.last == 0 { first + 1 } else { provisionals.last + 1 };
        let (tx, rseq) = (ringing.tx, provisionals.last);
        let (invite, dialog) = (ringing.invite.clone(), ringing.dialog.clone());
        let response = self
            .session_response(&invite, &dialog, status, None, headers)
            .header(Name::Require, "100rel")
            .header(Name::RSeq, rseq.to_string());
        let response = super::uas::with_sdp(response, sdp);
        let Some(bytes) = self.answer_tx(tx, response, &dialog.local_tag, now) else { return };
        let timers = self.config.timers;
        let owed = Unpracked {
            id: RAck { rseq, cseq: invite.cseq().number },
            bytes,
            has_sdp: sdp.is_some(),
            interval: timers.t1,
            next: now + timers.t1,
            give_up: now + timers.patience(),
        };
        if let Some(ringing) = self.sessions.get_mut(&id).and_then(Session::ringing) {
            ringing.provisionals.owed = Some(owed);
        }
        self.rearm(id);
    }

    /// Repeats a provisional, or gives up on its PRACK (RFC 3262 3).
    pub(super) fn run_reliable(&mut self, id: SessionId, now: Instant) {
        let Some(ringing) = self.sessions.get_mut(&id).and_then(Session::ringing) else { return };
        let tx = ringing.tx;
        let Some(owed) = ringing.provisionals.owed.as_mut() else { return };
        if owed.give_up <= now {
            self.send_refusal(id, 504, None, &[], now);
            self.events.push_back(Event::Ended { session: id, why: EndReason::AckTimeout });
        } else if owed.next <= now {
            owed.interval *= 2;
            owed.next = now + owed.interval;
            let bytes = owed.bytes.clone();
            if let Some(path) = self.table.path(tx) {
                self.table.send(path, bytes);
            }
        }
    }

    /// A PRACK: 481 unless it is for the one that is owed (RFC 3262 3).
    pub(super) fn on_prack(&mut self, id: SessionId, tx: u64, path: Path, prack: Message, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let rack = RAck::of(&prack);
        let is_offer = match &mut session.phase {
            Phase::Ringing(ringing) => match take_owed(ringing, rack) {
                Some(had_offer) => !had_offer && !prack.body().is_empty(),
                None => return self.refuse_tx(tx, &prack, 481, &[], now),
            },
            // The 2xx went out before it: nothing else hangs on it.
            Phase::Talking(talk) if rack.is_some() && talk.owed == rack => {
                talk.owed = None;
                false
            }
            _ => return self.refuse_tx(tx, &prack, 481, &[], now),
        };
        if is_offer {
            if let Some(ringing) = session.ringing() {
                ringing.provisionals.is_offered = true;
            }
            self.rearm(id);
            return self.hand_over(id, tx, Owner::Offered(id), path, prack, now);
        }
        let response = self.introduce(Builder::response_to(&prack, 200, None, None), Name::Server);
        self.answer_tx(tx, response, "", now);
        self.owners.insert(tx, Owner::Nobody);
        self.events.push_back(Event::Pracked { session: id, sdp: Self::body_of(&prack), message: prack });
        self.rearm(id);
        self.go_on(id, now);
    }

    /// The INVITE is about to get its refusal: the PRACK of what is owed may be on its way.
    pub(super) fn keep_owed(&mut self, id: SessionId) {
        let Some(ringing) = self.sessions.get_mut(&id).and_then(Session::ringing) else { return };
        let Some(rack) = ringing.provisionals.owed.as_ref().map(|owed| owed.id) else { return };
        let crossed = Crossed { dialog: ringing.dialog.clone(), rack };
        let tx = ringing.tx;
        self.owners.insert(tx, Owner::Crossed(Box::new(crossed)));
    }

    /// A PRACK whose session is gone: 200 where it crossed our refusal, as long as that has its transaction; false: there
    /// is no such provisional.
    pub(super) fn on_late_prack(&mut self, path: Path, prack: &Message, now: Instant) -> bool {
        let rack = RAck::of(prack);
        let is_it = |owner: &Owner| matches!(owner, Owner::Crossed(crossed) if Some(crossed.rack) == rack && crossed.dialog.is_of(prack));
        let Some(invite) = self.owners.iter().find(|(_, owner)| is_it(owner)).map(|(tx, _)| *tx) else { return false };
        self.owners.insert(invite, Owner::Nobody);
        let tx = self.open_server(path, prack, now);
        self.owners.insert(tx, Owner::Nobody);
        let response = self.introduce(Builder::response_to(prack, 200, None, None), Name::Server);
        self.answer_tx(tx, response, "", now);
        true
    }

    /// The user answers the offer of a PRACK.
    pub(in crate::sip) fn answer_prack(&mut self, id: SessionId, tx: u64, response: Builder, now: Instant) {
        self.answer_tx(tx, response, "", now);
        self.owners.insert(tx, Owner::Nobody);
        if let Some(ringing) = self.sessions.get_mut(&id).and_then(Session::ringing) {
            ringing.provisionals.is_offered = false;
        }
        self.go_on(id, now);
    }

    /// Sends what has waited for a PRACK: the next provisional, or the 2xx.
    fn go_on(&mut self, id: SessionId, now: Instant) {
        let Some(ringing) = self.sessions.get_mut(&id).and_then(Session::ringing) else { return };
        if let Some(next) = ringing.provisionals.waiting.pop_front() {
            self.send_reliable(id, next.status, next.sdp.as_deref(), &next.headers, now);
        }
        let Some(ringing) = self.sessions.get_mut(&id).and_then(Session::ringing) else { return };
        if !ringing.provisionals.holds_answer()
            && let Some((sdp, headers)) = ringing.provisionals.answer.take()
        {
            self.send_answer(id, &sdp, &headers, now);
        }
    }

    /// A reliable provisional of the callee's: acknowledged in its order, each once (RFC 3262 4). False: it is no news.
    pub(super) fn on_reliable(&mut self, early: &mut Early, response: &Message, offerless: bool, now: Instant) -> bool {
        let Some(rseq) = reliable_number(response) else { return true };
        if early.heard.is_some_and(|last| last.checked_add(1) != Some(rseq)) {
            return false;
        }
        early.heard = Some(rseq);
        let rack = RAck { rseq, cseq: response.cseq().number };
        if offerless && !early.is_offered && !response.body().is_empty() {
            early.is_offered = true;
            early.unanswered = Some(rack);
            return true;
        }
        self.send_prack(early, rack, None, now);
        true
    }

    fn send_prack(&mut self, early: &mut Early, rack: RAck, sdp: Option<&[u8]>, now: Instant) {
        let branch = self.branch();
        let prack = self.introduce(early.dialog.request(&Method::Prack, &branch), Name::UserAgent);
        let prack = prack.header(Name::RAck, format!("{} {} INVITE", rack.rseq, rack.cseq));
        let prack = super::uas::with_sdp(prack, sdp);
        let tx = self.table.open_client(prack.build_message(), early.dialog.next_path(), now);
        self.owners.insert(tx, Owner::Nobody);
    }

    /// The user answers the offer of a reliable provisional.
    pub(in crate::sip) fn answer_early(&mut self, id: SessionId, fork: &str, sdp: &[u8], now: Instant) -> bool {
        let Some(mut session) = self.sessions.remove(&id) else { return false };
        let mut is_sent = false;
        if let Phase::Calling(calling) = &mut session.phase
            && let Some(early) = calling.early.iter_mut().find(|early| early.dialog.remote_tag == fork)
            && let Some(rack) = early.unanswered.take()
        {
            self.send_prack(early, rack, Some(sdp), now);
            is_sent = true;
        }
        self.sessions.insert(id, session);
        is_sent
    }
}

/// Takes what a PRACK acknowledges; true: it had the offer, so that the PRACK has the answer. `None`: it acknowledges
/// nothing that is owed.
fn take_owed(ringing: &mut Ringing, rack: Option<RAck>) -> Option<bool> {
    let provisionals = &mut ringing.provisionals;
    let owed = provisionals.owed.take_if(|owed| Some(owed.id) == rack)?;
    let was_settled = provisionals.is_settled;
    provisionals.is_settled |= owed.has_sdp;
    Some(owed.has_sdp && !was_settled && ringing.invite.body().is_empty())
}

/// RSeq of a provisional that is to be acknowledged.
fn reliable_number(response: &Message) -> Option<u32> {
    let is_reliable = response.has_option(Name::Require, "100rel") && response.to().tag().is_some();
    response.number(Name::RSeq).filter(|rseq| is_reliable && *rseq > 0)
}
