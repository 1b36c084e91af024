//! What comes out of an [`Endpoint`](super::Endpoint): events, and why things ended.

use bytes::Bytes;

use super::{ClientTx, ServerTx, SessionId};
use crate::path::{Path, Transport};
use crate::sip::message::{Message, Method};

/// Why a request got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailReason {
    /// Timer B or F: stands for 408.
    TimedOut,
    /// The flow is gone, or there were too many transactions to open another: stands for 503.
    Transport,
}

/// Why a session ended without our doing.
#[derive(Clone, Debug)]
pub enum EndReason {
    /// The peer's BYE, already answered.
    Bye(Message),
    /// Our 2xx was never acknowledged, and a BYE was sent; or our reliable provisional was not, and 504 was sent.
    AckTimeout,
    /// The peer does not know the dialog any more (481 or 408 to a re-INVITE or a refresh, RFC 3261 12.2.1.2); a BYE was sent.
    Gone,
    /// The transport failed for good.
    Transport,
    /// Nobody refreshed the session in time (RFC 4028 10); a BYE was sent.
    SessionExpired,
    /// The peer's INVITE was not answered within its `Expires` and got 487 (RFC 3261 13.3.1).
    Expired,
}

/// What happened. A session ends by exactly one terminal event ([`Event::Refused`], [`Event::Cancelled`],
/// [`Event::Ended`]), or by `hang_up` or `reject`, after which no more events come for it.
#[derive(Clone, Debug)]
pub enum Event {
    /// A request outside a dialog (REGISTER, OPTIONS, MESSAGE, …); answer with `respond`.
    Request {
        /// For the answer.
        tx: ServerTx,
        /// The request.
        message: Message,
        /// Where it came from.
        path: Path,
        /// By which transport.
        transport: Transport,
    },
    /// A response to `send_request` or `request_in_dialog`; provisional or final.
    Response {
        /// Which request.
        tx: ClientTx,
        /// The response.
        message: Message,
    },
    /// No response will come.
    RequestFailed {
        /// Which request.
        tx: ClientTx,
        /// Why.
        why: FailReason,
    },
    /// A new call. Require (420), merging (482) and Max-Forwards (483) are checked, 100 is sent by itself.
    Invited {
        /// The new session: to be answered by `progress`, `answer`, `reject`.
        session: SessionId,
        /// The INVITE.
        message: Message,
        /// Where it came from.
        path: Path,
        /// By which transport.
        transport: Transport,
    },
    /// A provisional above 100 to our INVITE. A reliable one is acknowledged by itself (RFC 3262), unless `wants_answer`.
    Provisional {
        /// Which session.
        session: SessionId,
        /// Which of the phones that ring: its To tag; empty where it gave none.
        fork: String,
        /// Our INVITE had no offer and this has one: call `prack` with the answer (RFC 3262 5).
        wants_answer: bool,
        /// The response.
        message: Message,
    },
    /// The first 2xx to our INVITE: call `ack`.
    Answered {
        /// Which session.
        session: SessionId,
        /// Which of the phones that rang: its To tag.
        fork: String,
        /// The response.
        message: Message,
    },
    /// Our INVITE got 401 or 407, and says that we have an account: call `authorize`, or `hang_up` to leave it at that.
    Challenged {
        /// Which session.
        session: SessionId,
        /// The challenge.
        message: Message,
        /// The INVITE that was challenged, for its method, its URI, and the credentials that it carried already.
        request: Message,
    },
    /// A request of ours in a dialog, other than an INVITE of the user's, got 401 or 407 and had no credentials yet: BYE,
    /// INFO, NOTIFY, PRACK, REFER, UPDATE, or what refreshes. Call `prove`, once; also where the session is gone. Only with
    /// [`EndpointConfig::answers_challenges`](super::EndpointConfig::answers_challenges).
    Unproved(Unproved),
    /// Our INVITE failed. Terminal.
    Refused {
        /// Which session.
        session: SessionId,
        /// The status; 408 for a time-out, 503 for a lost transport.
        status: u16,
        /// The response, where there was one.
        message: Option<Message>,
    },
    /// The peer cancelled its INVITE; CANCEL and INVITE are answered. Terminal.
    Cancelled {
        /// Which session.
        session: SessionId,
        /// The CANCEL, for its Reason.
        message: Message,
    },
    /// The ACK to our 2xx (INVITE or re-INVITE).
    Acked {
        /// Which session.
        session: SessionId,
        /// SDP of the ACK: the answer, when our 2xx had the offer.
        sdp: Option<Bytes>,
        /// The ACK, for its headers.
        message: Message,
    },
    /// A re-INVITE; answer with `answer_reinvite` or `reject_reinvite`.
    Reinvited {
        /// Which session.
        session: SessionId,
        /// The re-INVITE.
        message: Message,
        /// Where it came from.
        path: Path,
    },
    /// The peer cancelled its re-INVITE, which got 487; the session goes on.
    ReinviteCancelled {
        /// Which session.
        session: SessionId,
    },
    /// The first 2xx to our re-INVITE: call `ack`.
    ReinviteAnswered {
        /// Which session.
        session: SessionId,
        /// The response.
        message: Message,
    },
    /// Our re-INVITE failed, the session goes on as before. 491 has been retried already.
    ReinviteRefused {
        /// Which session.
        session: SessionId,
        /// The status.
        status: u16,
        /// The response, where there was one: a 401 or 407 may be answered by a further `reinvite` with credentials.
        message: Option<Message>,
    },
    /// A re-INVITE that changed nothing has refreshed the session (RFC 4028), and its 2xx is acknowledged; the peer's answer
    /// should be what it was.
    Refreshed {
        /// Which session.
        session: SessionId,
        /// The response.
        message: Message,
    },
    /// The peer's UPDATE without SDP, which is answered: it may tell who the peer is by now (RFC 4916).
    Updated {
        /// Which session.
        session: SessionId,
        /// The request.
        message: Message,
    },
    /// Our reliable provisional was acknowledged, and its PRACK answered (RFC 3262).
    Pracked {
        /// Which session.
        session: SessionId,
        /// SDP of the PRACK: the answer, when our provisional had the offer.
        sdp: Option<Bytes>,
        /// The PRACK, for its headers.
        message: Message,
    },
    /// INFO, UPDATE with SDP, NOTIFY, REFER, MESSAGE, OPTIONS, … in a dialog, early ones too; answer with `respond`. A PRACK
    /// is among them where it carries an offer, which the 200 has to answer (RFC 3262 5).
    InDialog {
        /// Which session.
        session: SessionId,
        /// For the answer.
        tx: ServerTx,
        /// The request.
        message: Message,
        /// Where it came from.
        path: Path,
    },
    /// The flow that the session's requests go down is closed; the session waits for `update_path` or `hang_up`.
    FlowLost {
        /// Which session.
        session: SessionId,
    },
    /// The session is over. Terminal.
    Ended {
        /// Which session.
        session: SessionId,
        /// Why.
        why: EndReason,
    },
}

/// A challenge.
#[derive(Clone, Debug)]
pub struct Unproved {
    /// For the answer.
    pub(crate) tx: u64,
    /// Where the request went.
    pub path: Path,
    /// Its method.
    pub method: Method,
    /// Its Request-URI.
    pub uri: String,
    /// The challenge; its From is ours.
    pub message: Message,
}

/// What was dropped or turned away, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages that could not be read.
    pub malformed: u64,
    /// Responses that match no transaction.
    pub stray_responses: u64,
    /// ACKs that match nothing.
    pub stray_acks: u64,
    /// Requests turned away by the limit per source.
    pub limited: u64,
    /// Requests turned away because nobody knows where they come from.
    pub strangers: u64,
    /// Requests turned away because a table was full.
    pub overloaded: u64,
}
