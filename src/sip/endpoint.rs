//! The SIP endpoint: everything below the B2BUA, behind one door (RFC 3261, 6026, 3581, 4028).
//!
//! We do not offer PRACK (RFC 3262), because the trunk never needs it and no browser stack asks for it: `Require: 100rel` gets 420.
//! We do not start session timers (RFC 4028), because a lost leg is found by its media; a peer's timer is honoured.

mod types;

pub use types::*;

use std::time::Instant;

use bytes::Bytes;
use rand::rngs::StdRng;

use super::message::{Builder, Method};
use crate::id::FlowId;
use crate::path::{Path, Transport};

/// The SIP endpoint. Pure: messages and time in, messages and events out.
pub struct Endpoint {
    config: EndpointConfig,
    rng: StdRng,
}

impl Endpoint {
    /// Makes an endpoint without transactions; `rng` feeds tags, branches and Call-IDs.
    pub fn new(config: EndpointConfig, rng: StdRng) -> Endpoint {
        Endpoint { config, rng }
    }

    /// Says which sources are spared the limit per source: configured trunks, authenticated flows.
    pub fn set_trusted(&mut self, _trusted: impl Fn(&Path) -> bool + Send + 'static) {
        todo!()
    }

    /// Takes one whole message.
    pub fn handle_message(&mut self, _path: Path, _transport: Transport, _raw: Bytes, _now: Instant) {
        todo!()
    }

    /// Takes note that a connection is gone: its client transactions fail, its sessions report [`Event::FlowLost`].
    pub fn handle_flow_closed(&mut self, _flow: FlowId, _now: Instant) {
        todo!()
    }

    /// Runs all timers that are due.
    pub fn handle_timeout(&mut self, _now: Instant) {
        todo!()
    }

    /// Returns the next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        todo!()
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// Returns when [`Endpoint::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Returns what was dropped so far.
    pub fn stats(&self) -> Stats {
        todo!()
    }

    /// Returns how many transactions and sessions are alive.
    pub fn load(&self) -> (usize, usize) {
        todo!()
    }

    /// Answers a request of [`Event::Request`] or [`Event::InDialog`]; the To tag is added where it is missing.
    pub fn respond(&mut self, _tx: ServerTx, _response: Builder, _now: Instant) {
        todo!()
    }

    /// Sends a request outside a dialog.
    pub fn send_request(&mut self, _request: OutRequest, _hop: Hop, _now: Instant) -> ClientTx {
        todo!()
    }

    /// Sends an INVITE.
    pub fn invite(&mut self, _invite: OutInvite, _hop: Hop, _now: Instant) -> SessionId {
        todo!()
    }

    /// Sets what our side of an incoming session is called: Via `sent_by` and Contact, for example
    /// `192.0.2.54:5060` and `<sip:5001@192.0.2.54:5060>`. Without it both come from the INVITE's Request-URI.
    pub fn set_local(&mut self, _s: SessionId, _sent_by: &str, _contact: &str) {
        todo!()
    }

    /// Sends a provisional, 180 or 183.
    pub fn progress(&mut self, _s: SessionId, _status: u16, _sdp: Option<&[u8]>, _headers: &[Header], _now: Instant) {
        todo!()
    }

    /// Sends the 200 to the INVITE and repeats it until the ACK.
    pub fn answer(&mut self, _s: SessionId, _sdp: &[u8], _headers: &[Header], _now: Instant) {
        todo!()
    }

    /// Refuses the INVITE with a final response of 300 to 699. The session is over.
    pub fn reject(&mut self, _s: SessionId, _status: u16, _reason: Option<&str>, _headers: &[Header], _now: Instant) {
        todo!()
    }

    /// Ends a session as its state asks: CANCEL (after a provisional), 487, BYE (after the ACK), ACK and BYE of a late 2xx.
    pub fn hang_up(&mut self, _s: SessionId, _headers: &[Header], _now: Instant) {
        todo!()
    }

    /// Acknowledges the 2xx of [`Event::Answered`] or [`Event::ReinviteAnswered`]; once per event.
    pub fn ack(&mut self, _s: SessionId, _sdp: Option<&[u8]>, _now: Instant) {
        todo!()
    }

    /// Sends a re-INVITE. 491 is retried after the back-off of RFC 3261 14.1.
    pub fn reinvite(
        &mut self,
        _s: SessionId,
        _sdp: Option<&[u8]>,
        _headers: &[Header],
        _now: Instant,
    ) -> Result<(), Pending> {
        todo!()
    }

    /// Answers [`Event::Reinvited`] with 200.
    pub fn answer_reinvite(&mut self, _s: SessionId, _sdp: &[u8], _headers: &[Header], _now: Instant) {
        todo!()
    }

    /// Refuses [`Event::Reinvited`]; the session goes on.
    pub fn reject_reinvite(
        &mut self,
        _s: SessionId,
        _status: u16,
        _reason: Option<&str>,
        _headers: &[Header],
        _now: Instant,
    ) {
        todo!()
    }

    /// Sends an INFO; its fate comes as [`Event::Response`] or [`Event::RequestFailed`]. `None`: no such dialog.
    pub fn info(&mut self, s: SessionId, content_type: &str, body: &[u8], now: Instant) -> Option<ClientTx> {
        self.request_in_dialog(s, Method::Info, &[], Some((content_type, body)), now)
    }

    /// Sends any other request in the session's dialog. `None`: no such dialog.
    pub fn request_in_dialog(
        &mut self,
        _s: SessionId,
        _method: Method,
        _headers: &[Header],
        _body: Option<(&str, &[u8])>,
        _now: Instant,
    ) -> Option<ClientTx> {
        todo!()
    }

    /// Sends the session's further requests down another path: the browser's flow was replaced.
    pub fn update_path(&mut self, _s: SessionId, _path: Path) {
        todo!()
    }
}
