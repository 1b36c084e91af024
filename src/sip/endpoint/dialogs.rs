//! The door's side for dialogs: which there are, transfers in them, challenges and provisionals before them.

use std::time::Instant;

use super::{ClientTx, DialogId, Endpoint, Header, OutRefer, Reliable, SessionId};
use crate::sip::session::{Phase, Session};

impl Endpoint {
    /// Returns what names the session's dialog; of several early ones the latest. `None`: there is none yet, or no more.
    pub fn dialog_ids(&self, s: SessionId) -> Option<DialogId> {
        let dialog = self.sessions.get(&s)?.dialogs().last()?;
        Some(DialogId {
            call_id: dialog.call_id.clone(),
            local_tag: dialog.local_tag.clone(),
            remote_tag: dialog.remote_tag.clone(),
        })
    }

    /// Returns the Call-ID of the session's messages, also before there is a dialog.
    pub fn call_id(&self, s: SessionId) -> Option<&str> {
        let session = self.sessions.get(&s)?;
        match &session.phase {
            Phase::Calling(calling) => Some(&calling.draft.call_id),
            Phase::Ringing(_) | Phase::Talking(_) => session.dialogs().last().map(|dialog| dialog.call_id.as_str()),
        }
    }

    /// Finds the session of a dialog that a peer names in Replaces (RFC 3891 3): `to_tag` is ours, `from_tag` the peer's.
    /// An early dialog is found as well as a confirmed one; [`Endpoint::is_confirmed`] tells them apart.
    pub fn find_dialog(&self, call_id: &str, to_tag: &str, from_tag: &str) -> Option<SessionId> {
        let id = *self.by_tag.get(to_tag)?;
        let session = self.sessions.get(&id).filter(|session| !session.has_left())?;
        let is_it = session.dialogs().any(|dialog| dialog.call_id == call_id && dialog.remote_tag == from_tag);
        is_it.then_some(id)
    }

    /// Returns the Request-URI of the next request in the session's dialog, as a digest needs it.
    pub fn request_uri(&self, s: SessionId) -> Option<String> {
        self.sessions.get(&s)?.dialogs().last().map(|dialog| dialog.request_uri().to_owned())
    }

    /// Returns true once a 2xx was sent or received, until the session's end.
    pub fn is_confirmed(&self, s: SessionId) -> bool {
        matches!(self.sessions.get(&s).map(|session| &session.phase), Some(Phase::Talking(_)))
    }

    /// Answers [`Event::Challenged`](super::Event::Challenged): the INVITE goes out again in the same session, with these
    /// headers (Authorization, Proxy-Authorization), the same Call-ID and the next CSeq number. False: nothing waits for it.
    pub fn authorize(&mut self, s: SessionId, credentials: &[Header], now: Instant) -> bool {
        self.send_authorized(s, credentials, now)
    }

    /// Acknowledges the provisional of [`Event::Provisional`](super::Event::Provisional) that wants an answer, with it: our
    /// INVITE had no offer (RFC 3262 5). False: nothing waits for it.
    pub fn prack(&mut self, s: SessionId, fork: &str, sdp: &[u8], now: Instant) -> bool {
        self.answer_early(s, fork, sdp, now)
    }

    /// Returns true where the peer's INVITE has no offer and requires that provisionals are acknowledged: the first of them
    /// then has to carry ours, and its PRACK the answer (RFC 3262 5).
    pub fn owes_offer(&self, s: SessionId) -> bool {
        match self.sessions.get(&s).map(|session| &session.phase) {
            Some(Phase::Ringing(ringing)) => {
                ringing.provisionals.wish == Reliable::Required && ringing.invite.body().is_empty()
            }
            _ => false,
        }
    }

    /// Returns true for a peer's INVITE that rings here, if offer and answer were exchanged in acknowledged provisionals:
    /// then another offer may come before the 2xx (RFC 3311 5.1). `None`: it is not the peer's, or does not ring any more.
    pub fn is_settled_early(&self, s: SessionId) -> Option<bool> {
        match &self.sessions.get(&s)?.phase {
            Phase::Ringing(ringing) => Some(ringing.provisionals.is_settled),
            Phase::Calling(_) | Phase::Talking(_) => None,
        }
    }

    /// Asks the peer to call somebody (RFC 3515). Returns the transaction, whose outcome comes as
    /// [`Event::Response`](super::Event::Response), and the number that names the REFER: its NOTIFYs come as
    /// [`Event::InDialog`](super::Event::InDialog), to be read by [`Progress::of`](crate::sip::refer::Progress::of).
    /// `None`: no such dialog.
    pub fn refer(&mut self, s: SessionId, refer: &OutRefer, now: Instant) -> Option<(ClientTx, u32)> {
        if self.is_full() {
            return None;
        }
        self.send_refer(s, refer, now)
    }

    /// Tells the peer how the REFER that it sent goes: the status of the new call, and whether that was the last word. The
    /// number is the REFER's CSeq; its first NOTIFY, of 100, went out by itself behind our 2xx. `None`: nobody wants to know.
    pub fn notify_refer(
        &mut self,
        s: SessionId,
        refer: u32,
        status: u16,
        is_over: bool,
        now: Instant,
    ) -> Option<ClientTx> {
        self.notify(s, refer, status, is_over, now)
    }
}

impl Session {
    /// The user hung up, and a BYE only waits for an ACK.
    pub(in crate::sip) fn has_left(&self) -> bool {
        matches!(&self.phase, Phase::Talking(talk) if talk.leaving.is_some())
    }
}
