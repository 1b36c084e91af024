//! The subscription that a REFER makes without a SUBSCRIBE (RFC 3515 2.4.4, RFC 6665), on both sides; a dialog may have
//! several, told apart by the CSeq number of their REFER.
//!
//! ```text
//! notifier:    REFER --2xx--> active (NOTIFY 100 at once) --notify_refer, time-out--> gone
//! subscriber:  REFER sent --NOTIFY terminated, refusal--> gone
//! ```
//! We do not keep it beyond the BYE of its session, because whoever asked for the transfer has then seen enough.

use std::time::{Duration, Instant};

use super::Owner;
use crate::path::Path;
use crate::sip::endpoint::{ClientTx, Endpoint, Header, OutRefer, SessionId};
use crate::sip::message::{Builder, Message, Method, Name};
use crate::sip::refer::{Fragment, Progress, SIPFRAG};

/// How long we tell a peer how its REFER goes; longer than anybody lets a phone ring.
pub(crate) const LIFETIME: Duration = Duration::from_secs(300);

/// Most REFERs of one session whose outcome is open, for each side; a further one is answered without a subscription.
const MOST: usize = 8;

/// The REFERs of a session whose outcome is open.
#[derive(Default)]
pub(crate) struct Refers {
    /// Ours to tell.
    theirs: Vec<Given>,
    /// Ours to hear of.
    ours: Vec<u32>,
    /// The peer has sent a REFER before: the NOTIFYs of further ones say which one they mean (RFC 3515 2.4.6).
    had_first: bool,
}

/// A peer's REFER.
struct Given {
    id: u32,
    names_id: bool,
    /// What was told last.
    status: u16,
    until: Instant,
}

impl Given {
    fn headers(&self, state: &str) -> Vec<Header> {
        let event = if self.names_id { format!("refer;id={}", self.id) } else { "refer".to_owned() };
        vec![
            (Name::Event.as_str().to_owned(), event.into_bytes()),
            (Name::SubscriptionState.as_str().to_owned(), state.as_bytes().to_vec()),
        ]
    }
}

impl Refers {
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.theirs.iter().map(|given| given.until).min()
    }

    fn open(&mut self, id: u32, until: Instant) {
        let names_id = std::mem::replace(&mut self.had_first, true);
        if self.theirs.len() < MOST {
            self.theirs.push(Given { id, names_id, status: 100, until });
        }
    }

    /// Which of our REFERs a NOTIFY is about; one that does not say is about the oldest.
    fn meant(&self, id: Option<u32>) -> Option<u32> {
        match id {
            Some(id) => self.ours.iter().copied().find(|known| *known == id),
            None => self.ours.first().copied(),
        }
    }
}

impl Endpoint {
    /// The user answers a REFER: a 2xx opens the subscription, unless the peer asked for none (RFC 4488).
    pub(in crate::sip) fn answer_refer(&mut self, id: SessionId, tx: u64, response: Builder, now: Instant) {
        let mut response = response;
        self.owners.insert(tx, Owner::Nobody);
        let is_accepted = (200..300).contains(&response.status());
        let refer = self.table.request(tx).filter(|_| is_accepted).cloned();
        let Some((refer, session)) = refer.zip(self.sessions.get_mut(&id)) else {
            self.answer_tx(tx, response, "", now);
            return;
        };
        if let Some(dialog) = session.dialog_of(&refer) {
            response = response.header(Name::Contact, &dialog.contact);
        }
        let is_silent = refer.header(Name::ReferSub).is_some_and(|value| value.eq_ignore_ascii_case(b"false"));
        let number = refer.cseq().number;
        if is_silent {
            response = response.header(Name::ReferSub, "false");
        } else {
            session.refers.open(number, now + LIFETIME);
        }
        self.answer_tx(tx, response, "", now);
        if !is_silent {
            self.notify(id, number, 100, false, now);
        }
    }

    /// Tells the peer how its REFER goes.
    pub(in crate::sip) fn notify(
        &mut self,
        id: SessionId,
        refer: u32,
        status: u16,
        is_over: bool,
        now: Instant,
    ) -> Option<ClientTx> {
        let given = self.sessions.get_mut(&id)?.refers.theirs.iter_mut().find(|given| given.id == refer)?;
        given.status = status;
        let left = given.until.saturating_duration_since(now).as_secs();
        let state = match is_over {
            true if now >= given.until => "terminated;reason=timeout".to_owned(),
            true => "terminated;reason=noresource".to_owned(),
            false => format!("active;expires={left}"),
        };
        let headers = given.headers(&state);
        let body = Fragment::write(status.clamp(100, 699));
        let tx = self.send_in_dialog(id, Method::Notify, &headers, Some((SIPFRAG, &body)), now);
        if let Some(ClientTx(tx)) = tx {
            self.owners.insert(tx, Owner::Notify(id, refer));
        }
        if is_over {
            self.close_subscription(id, refer);
        }
        self.rearm(id);
        tx
    }

    /// The peer has answered a NOTIFY: 481 and its like say that it knows of no subscription any more (RFC 6665 4.2.2).
    pub(in crate::sip) fn on_notify_response(&mut self, id: SessionId, refer: u32, status: u16) {
        if matches!(status, 404 | 405 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 604) {
            self.close_subscription(id, refer);
            self.rearm(id);
        }
    }

    fn close_subscription(&mut self, id: SessionId, refer: u32) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.refers.theirs.retain(|given| given.id != refer);
        }
    }

    /// Ends the subscriptions whose time is over.
    pub(super) fn run_refers(&mut self, id: SessionId, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let over: Vec<(u32, u16)> = session
            .refers
            .theirs
            .iter()
            .filter(|given| given.until <= now)
            .map(|given| (given.id, given.status))
            .collect();
        for (refer, status) in over {
            self.notify(id, refer, status, true, now);
        }
    }

    /// Asks the peer to call somebody. Returns the transaction, and the `id` of the subscription.
    pub(in crate::sip) fn send_refer(
        &mut self,
        id: SessionId,
        refer: &OutRefer,
        now: Instant,
    ) -> Option<(ClientTx, u32)> {
        let mut headers = vec![(Name::ReferTo.as_str().to_owned(), refer.refer_to.clone().into_bytes())];
        if let Some(by) = &refer.referred_by {
            headers.push((Name::ReferredBy.as_str().to_owned(), by.clone().into_bytes()));
        }
        if refer.is_silent {
            headers.push((Name::ReferSub.as_str().to_owned(), b"false".to_vec()));
        }
        headers.extend(refer.headers.iter().cloned());
        let ClientTx(tx) = self.send_in_dialog(id, Method::Refer, &headers, None, now)?;
        let session = self.sessions.get_mut(&id)?;
        let number = session.dialog()?.local_seq;
        if session.refers.ours.len() < MOST {
            session.refers.ours.push(number);
        }
        self.owners.insert(tx, Owner::Refer(id, number));
        Some((ClientTx(tx), number))
    }

    /// A response to our REFER, beside what the user hears of it.
    pub(in crate::sip) fn on_refer_response(&mut self, id: SessionId, refer: u32, response: &Message) {
        let is_silent = response.header(Name::ReferSub).is_some_and(|value| value.eq_ignore_ascii_case(b"false"));
        match response.status() {
            200..=299 if is_silent => self.refer_failed(id, refer),
            100..=299 => {}
            _ => self.refer_failed(id, refer),
        }
    }

    /// Our REFER went out again under another number.
    pub(in crate::sip) fn refer_renamed(&mut self, id: SessionId, refer: u32, number: u32) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.refers.ours.iter_mut().filter(|known| **known == refer).for_each(|known| *known = number);
        }
    }

    /// Nothing will be heard of our REFER.
    pub(in crate::sip) fn refer_failed(&mut self, id: SessionId, refer: u32) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.refers.ours.retain(|known| *known != refer);
        }
    }

    /// A NOTIFY in a dialog. One that tells of a REFER must be about one of ours (RFC 6665 4.1.3); any other event is the
    /// user's to judge: Genesys sends `talk` and `hold` without a subscription.
    pub(super) fn on_notify(&mut self, id: SessionId, tx: u64, path: Path, message: Message, now: Instant) {
        let asked = Owner::Asked { tag: String::new() };
        let Some(progress) = Progress::of(&message) else { return self.hand_over(id, tx, asked, path, message, now) };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(refer) = session.refers.meant(progress.id) else {
            return self.refuse_tx(tx, &message, 481, &[], now);
        };
        if progress.is_over {
            session.refers.ours.retain(|known| *known != refer);
        }
        self.hand_over(id, tx, asked, path, message, now);
    }
}
