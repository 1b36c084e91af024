//! What both ends of a call say to the target by SIP: INVITE and answer in either direction, and what a polite peer answers to
//! everything else.

use std::time::Instant;

use super::call::Stage;
use super::conductor::Conductor;
use super::order::{Order, Peer, Side};
use crate::load::LoadError;
use crate::load::browser::phones::{State, prove};
use crate::load::browser::sdp::{self, BrowserPeer};
use crate::load::outcome::CallDirection;
use crate::load::witness::Ask;
use crate::path::{Path, Transport};
use crate::plan::{AudioCodec, OpusParams, RtpRemote};
use crate::sdp::offer_answer::{accept_rtp_answer, answer_rtp, offer_rtp};
use crate::sip::endpoint::{EndReason, Event, Hop, OutInvite, ServerTx, SessionId};
use crate::sip::message::{Builder, Message, Method, Name};
use crate::sip::uri::Uri;

/// Numbers of the callers on the trunk's side: one for each call.
const CALLERS: u64 = 7_000_000;
const SDP: &str = "application/sdp";

impl Conductor<'_> {
    /// Works off what both endpoints have to say, and sends what follows.
    pub(super) fn work_events(&mut self, now: Instant) -> Result<(), LoadError> {
        loop {
            let Some(sip) = &mut self.sip else { return Ok(()) };
            sip.flush(now);
            let Some((side, event)) = sip.poll_event() else { return Ok(()) };
            if let Some(event) = sip.registered(event, now) {
                self.handle(side, event, now)?;
            }
        }
    }

    /// Sends a call's INVITE.
    pub(super) fn invite(&mut self, number: usize, now: Instant) -> Result<(), LoadError> {
        let Some(sip) = &mut self.sip else { return Ok(()) };
        let Some(phone) = sip.phones.get(number) else { return Ok(()) };
        if let State::Failed(why) = &phone.state {
            let why = why.clone();
            self.fail(number, None, &why, now);
            return Ok(());
        }
        let call = &mut self.calls[number];
        let (side, invite, hop) = match call.outcome.direction {
            CallDirection::Out => {
                let domain = self.plan.browsers.domain.clone().unwrap_or_else(|| {
                    phone.aor().split_once('@').map(|(_, domain)| domain.to_owned()).unwrap_or_default()
                });
                let to = format!("sip:{}@{domain}", self.plan.trunk.number);
                let witnessed = call.ends.described.clone();
                let offer =
                    call.ends.browser.as_ref().map(|browser| browser.offer()).or(witnessed).map(String::into_bytes);
                let invite = OutInvite {
                    uri: to.clone(),
                    from: format!("<{}>", phone.aor()),
                    to: format!("<{to}>"),
                    contact: phone.contact(),
                    sdp: offer,
                    has_account: true,
                    ..OutInvite::default()
                };
                (Side::Browser, invite, phone.hop())
            }
            CallDirection::In => {
                let caller = format!("sip:{}@{}", CALLERS + number as u64, sip.lines.local);
                let to = format!("sip:{}@{}", phone.dn, self.plan.trunk.target);
                let offer = call.ends.trunk.as_ref().map(|trunk| offer_rtp(trunk, None));
                let (offer, state) = offer.unzip();
                call.ends.offer = state;
                let (local, transport) = (sip.lines.local, sip.lines.transport);
                let invite = OutInvite {
                    uri: to.clone(),
                    from: format!("<{caller}>"),
                    to: format!("<{to}>"),
                    contact: trunk_contact(&(CALLERS + number as u64).to_string(), local, transport),
                    sdp: offer,
                    ..OutInvite::default()
                };
                (Side::Trunk, invite, Hop { path: sip.lines.path, transport, sent_by: local.to_string() })
            }
        };
        call.invited = now;
        let session = sip.endpoint(side).invite(invite, hop, now);
        *call.session(side) = Some(session);
        self.sessions.insert((side, session), number);
        sip.flush(now);
        Ok(())
    }

    /// Ends an end's session, where it has one.
    pub(super) fn hang_up(&mut self, number: usize, side: Side, now: Instant) {
        let Some(session) = self.calls[number].session(side).take() else { return };
        self.sessions.remove(&(side, session));
        if let Some(sip) = &mut self.sip {
            sip.endpoint(side).hang_up(session, &[], now);
            sip.flush(now);
        }
    }

    fn handle(&mut self, side: Side, event: Event, now: Instant) -> Result<(), LoadError> {
        let of = |sessions: &rustc_hash::FxHashMap<(Side, SessionId), usize>, session| {
            sessions.get(&(side, session)).copied()
        };
        match event {
            Event::Request { tx, message, .. } => self.reply(side, tx, &message, now),
            Event::InDialog { tx, message, .. } => self.reply(side, tx, &message, now),
            Event::Invited { session, message, path, .. } => self.invited(side, session, &message, &path, now)?,
            Event::Provisional { session, message, .. } => {
                if let Some(number) = of(&self.sessions, session) {
                    let call = &mut self.calls[number];
                    if matches!(message.status(), 180 | 183) && call.outcome.setup_180_us.is_none() {
                        call.outcome.setup_180_us = Some(micros(call.invited, now));
                    }
                    self.learn(number, side, message.body(), true, now)?;
                }
            }
            Event::Answered { session, message, .. } => {
                if let Some(sip) = &mut self.sip {
                    sip.endpoint(side).ack(session, None, now);
                }
                if let Some(number) = of(&self.sessions, session) {
                    self.answered(number, side, &message, now)?;
                }
            }
            Event::Challenged { session, message, request } => self.challenged(side, session, &message, &request, now),
            Event::Refused { session, status, message } => {
                if let Some(number) = self.forget(side, session) {
                    let reason = message.map(|m| String::from_utf8_lossy(m.reason()).into_owned()).unwrap_or_default();
                    self.fail(number, Some(status), format!("{status} {reason}").trim_end(), now);
                }
            }
            Event::Cancelled { session, .. } => {
                if let Some(number) = self.forget(side, session) {
                    self.fail(number, None, "cancelled before the answer", now);
                }
            }
            Event::Acked { session, sdp, .. } => {
                if let (Some(number), Some(sdp)) = (of(&self.sessions, session), sdp) {
                    self.learn(number, side, &sdp, true, now)?;
                }
            }
            Event::Reinvited { session, message, .. } => self.reinvited(side, session, &message, now)?,
            Event::FlowLost { session } => {
                if let Some(number) = of(&self.sessions, session) {
                    self.fail(number, None, "the connection of its dialog was closed", now);
                }
            }
            Event::Ended { session, why } => {
                if let Some(number) = self.forget(side, session) {
                    self.ended(number, side, &why, now);
                }
            }
            Event::Response { .. }
            | Event::RequestFailed { .. }
            | Event::ReinviteCancelled { .. }
            | Event::ReinviteAnswered { .. }
            | Event::ReinviteRefused { .. }
            | Event::Refreshed { .. }
            | Event::Updated { .. }
            | Event::Pracked { .. }
            | Event::Unproved(_) => {}
        }
        Ok(())
    }

    /// Answers what is no call: a registration of the target at our trunk, a ping, a notification.
    fn reply(&mut self, side: Side, tx: ServerTx, request: &Message, now: Instant) {
        let Some(sip) = &mut self.sip else { return };
        let has_offer = request.content_type().is_some_and(|kind| kind.eq_ignore_ascii_case(SDP));
        let response = match request.method_ref() {
            Method::Register if side == Side::Trunk => {
                let mut response = Builder::response_to(request, 200, None, None);
                for contact in request.headers(Name::Contact) {
                    response = response.header(Name::Contact, contact);
                }
                response.header(Name::Expires, request.header(Name::Expires).unwrap_or(b"3600"))
            }
            // What we have said stands: nobody of ours changes a session.
            Method::Update | Method::Prack if has_offer => Builder::response_to(request, 488, None, None),
            Method::Options | Method::Info | Method::Notify | Method::Message | Method::Update | Method::Prack => {
                Builder::response_to(request, 200, None, None)
            }
            _ => Builder::response_to(request, 501, None, None),
        };
        sip.endpoint(side).respond(tx, response, now);
    }

    /// Finds the call that a new INVITE is the other half of.
    fn awaited(&self, side: Side, message: &Message, path: &Path) -> Option<usize> {
        let waits = |number: &usize| {
            let call = &self.calls[*number];
            call.stage == Stage::Calling && call.caller() == side.other() && call.sessions[side as usize].is_none()
        };
        if side == Side::Browser {
            let number = usize::try_from(path.flow()?.0).ok()?;
            return Some(number).filter(|number| *number < self.calls.len()).filter(waits);
        }
        // A gateway tells who calls by From or P-Asserted-Identity; of one that tells neither, calls come in their order.
        let user = |uri: &str| Uri::parse(uri).ok().map(|uri| uri.user_unescaped());
        let asserted = message.fields(Name::PAssertedIdentity).filter_map(|field| std::str::from_utf8(field).ok());
        let asserted = asserted.filter_map(|field| user(field.split(['<', '>']).nth(1).unwrap_or(field)));
        let names: Vec<String> = user(message.from().uri).into_iter().chain(asserted).collect();
        let sip = self.sip.as_ref()?;
        let is_named = |number: &usize| sip.phones.get(*number).is_some_and(|phone| names.contains(&phone.dn));
        let waiting: Vec<usize> = (0..self.calls.len()).filter(waits).collect();
        waiting.iter().copied().find(is_named).or_else(|| waiting.first().copied())
    }

    /// The target calls one of our ends.
    fn invited(
        &mut self,
        side: Side,
        session: SessionId,
        message: &Message,
        path: &Path,
        now: Instant,
    ) -> Result<(), LoadError> {
        let number = self.awaited(side, message, path);
        let Some(sip) = &mut self.sip else { return Ok(()) };
        let Some(number) = number else {
            sip.endpoint(side).reject(session, 486, None, &[], now);
            return Ok(());
        };
        match side {
            Side::Browser => {
                let phone = &sip.phones[number];
                let (host, contact) = (phone.hop().sent_by, phone.contact());
                sip.endpoint(side).set_local(session, &host, &contact);
            }
            Side::Trunk => {
                let (local, transport) = (sip.lines.local, sip.lines.transport);
                let contact = trunk_contact(&self.plan.trunk.number, local, transport);
                sip.endpoint(side).set_local(session, &local.to_string(), &contact);
            }
        }
        *self.calls[number].session(side) = Some(session);
        self.sessions.insert((side, session), number);
        self.learn(number, side, message.body(), false, now)?;
        if self.calls[number].stage == Stage::Over {
            return Ok(());
        }
        if let Some(sip) = &mut self.sip {
            sip.endpoint(side).progress(session, 180, None, &[], now);
        }
        let patience = if side == Side::Trunk { self.plan.trunk.answer_after } else { std::time::Duration::ZERO };
        self.calls[number].answer_at = Some(now + patience);
        self.answer_due(now);
        Ok(())
    }

    /// Answers the calls whose ringing has lasted.
    pub(super) fn answer_due(&mut self, now: Instant) {
        for number in 0..self.calls.len() {
            if self.calls[number].answer_at.is_some_and(|at| at <= now) {
                self.calls[number].answer_at = None;
                self.answer(number, now);
            }
        }
    }

    /// Answers, where the callee has a description.
    pub(super) fn answer(&mut self, number: usize, now: Instant) {
        let call = &mut self.calls[number];
        let side = call.caller().other();
        let Some(session) = *call.session(side) else { return };
        let Some(description) = self.describe(number, side) else { return };
        if let Some(sip) = &mut self.sip {
            sip.endpoint(side).answer(session, &description, &[], now);
            sip.flush(now);
        }
    }

    /// Our description: the answer to what was read, or an offer where nothing was.
    fn describe(&mut self, number: usize, side: Side) -> Option<Vec<u8>> {
        let ends = &mut self.calls[number].ends;
        match side {
            Side::Browser if ends.witness.is_some() => ends.described.clone().map(String::into_bytes),
            Side::Browser => {
                let browser = ends.browser.as_ref()?;
                let text = ends.peer.as_ref().map_or_else(|| browser.offer(), |peer| browser.answer(peer));
                Some(text.into_bytes())
            }
            Side::Trunk => {
                let trunk = ends.trunk.as_ref()?;
                if let Some((sdp, _)) = &ends.answer {
                    return Some(sdp.clone());
                }
                let (sdp, state) = offer_rtp(trunk, ends.agreed.as_ref());
                ends.offer = Some(state);
                Some(sdp)
            }
        }
    }

    /// Reads the target's description for an end; `answer`: it answers an offer of ours. The first one of a kind counts.
    fn learn(
        &mut self,
        number: usize,
        side: Side,
        description: &[u8],
        answer: bool,
        now: Instant,
    ) -> Result<(), LoadError> {
        if description.is_empty() || self.calls[number].met[side as usize] {
            return Ok(());
        }
        match side {
            Side::Browser => match sdp::read(description, answer) {
                Ok(peer) if self.calls[number].ends.witness.is_some() => {
                    let text = String::from_utf8_lossy(description).into_owned();
                    self.ask_witness(number, if answer { Ask::Accept(text) } else { Ask::Answer(text) });
                    let opus = AudioCodec::Opus(OpusParams::default());
                    self.meet(number, side, Peer::Witnessed, peer.opus, opus)?;
                }
                Ok(peer) => self.meet_browser(number, peer, answer)?,
                Err(error) => self.fail(number, None, &format!("to the browser: {error}"), now),
            },
            Side::Trunk => match self.learn_trunk(number, description, answer) {
                Ok(Some(remote)) => self.meet_trunk(number, &remote)?,
                Ok(None) => {}
                Err(error) => self.fail(number, None, &format!("to the trunk: {error}"), now),
            },
        }
        Ok(())
    }

    fn learn_trunk(
        &mut self,
        number: usize,
        description: &[u8],
        answer: bool,
    ) -> Result<Option<RtpRemote>, crate::sdp::OfferError> {
        let ends = &mut self.calls[number].ends;
        let Some(trunk) = &ends.trunk else { return Ok(None) };
        if answer {
            let Some(state) = &ends.offer else { return Ok(None) };
            let (remote, agreed) = accept_rtp_answer(state, description)?;
            ends.agreed = Some(agreed);
            return Ok(Some(remote));
        }
        let made = answer_rtp(description, trunk, ends.agreed.as_ref())?;
        ends.agreed = Some(made.agreed);
        ends.answer = Some((made.sdp, made.remote));
        Ok(Some(made.remote))
    }

    pub(super) fn meet_browser(&mut self, number: usize, peer: BrowserPeer, offered: bool) -> Result<(), LoadError> {
        let (ice, fingerprint, role) = (peer.ice.clone(), peer.fingerprint, peer.role);
        let pt = peer.opus;
        self.calls[number].ends.peer = Some(peer);
        let peer = Peer::Secure { ice, fingerprint, role, offered };
        self.meet(number, Side::Browser, peer, pt, AudioCodec::Opus(OpusParams::default()))
    }

    pub(super) fn meet_trunk(&mut self, number: usize, remote: &RtpRemote) -> Result<(), LoadError> {
        let peer = Peer::Plain { rtp: remote.rtp, rtcp: Some(remote.rtcp) };
        self.meet(number, Side::Trunk, peer, remote.audio.send_pt, remote.audio.codec)
    }

    /// The callee has answered.
    fn answered(&mut self, number: usize, side: Side, message: &Message, now: Instant) -> Result<(), LoadError> {
        let call = &mut self.calls[number];
        call.outcome.setup_200_us = Some(micros(call.invited, now));
        self.learn(number, side, message.body(), true, now)?;
        let call = &mut self.calls[number];
        if call.stage == Stage::Calling {
            call.enter(Stage::Up, now);
            self.threads.media.give(Order::Talk(call.seat));
            call.settle(now);
        }
        Ok(())
    }

    fn challenged(&mut self, side: Side, session: SessionId, message: &Message, request: &Message, now: Instant) {
        let (Some(sip), Some(number)) = (&mut self.sip, self.sessions.get(&(side, session)).copied()) else { return };
        let Some(phone) = sip.phones.get(number) else { return };
        let again = [Name::Authorization, Name::ProxyAuthorization].iter().any(|n| request.header(*n).is_some());
        let cnonce = format!("{:08x}", number as u32 ^ request.cseq().number);
        let uri = request.request_uri();
        match prove(message, &phone.dn, &self.plan.browsers.secret, &Method::Invite, uri, &cnonce, again) {
            Ok(credentials) => {
                sip.endpoint(side).authorize(session, &[credentials], now);
            }
            Err(error) => self.fail(number, Some(message.status()), &format!("INVITE: {error}"), now),
        }
    }

    /// The target changes the session, or refreshes it: what we have said stands.
    fn reinvited(&mut self, side: Side, session: SessionId, message: &Message, now: Instant) -> Result<(), LoadError> {
        let Some(number) = self.sessions.get(&(side, session)).copied() else { return Ok(()) };
        if !message.body().is_empty() {
            match side {
                Side::Browser => {
                    if let Ok(peer) = sdp::read(message.body(), false) {
                        self.calls[number].ends.peer = Some(peer);
                    }
                }
                // Another address or codec is taken; a bad offer is answered by what we said before.
                Side::Trunk => {
                    if let Ok(Some(remote)) = self.learn_trunk(number, message.body(), false) {
                        self.meet_trunk(number, &remote)?;
                    }
                }
            }
        }
        let description = self.describe(number, side);
        let Some(sip) = &mut self.sip else { return Ok(()) };
        match description {
            Some(description) => sip.endpoint(side).answer_reinvite(session, &description, &[], now),
            None => sip.endpoint(side).reject_reinvite(session, 488, None, &[], now),
        }
        Ok(())
    }

    fn forget(&mut self, side: Side, session: SessionId) -> Option<usize> {
        let number = self.sessions.remove(&(side, session))?;
        *self.calls[number].session(side) = None;
        Some(number)
    }

    /// An end's session is over without its doing.
    fn ended(&mut self, number: usize, side: Side, why: &EndReason, now: Instant) {
        if self.calls[number].stage == Stage::Leaving {
            self.finish(number, now);
            return;
        }
        let whom = if side == Side::Browser { "the browser" } else { "the trunk" };
        let why = match why {
            EndReason::Bye(_) => format!("hung up on {whom}"),
            EndReason::AckTimeout => format!("no ACK to {whom}"),
            EndReason::Gone => format!("the dialog of {whom} is not known any more"),
            EndReason::Transport => format!("the transport of {whom} failed"),
            EndReason::SessionExpired => format!("the session of {whom} was not refreshed"),
            EndReason::Expired => format!("{whom} was called for too short a time"),
        };
        self.fail(number, None, &why, now);
    }
}

fn trunk_contact(user: &str, local: std::net::SocketAddr, transport: Transport) -> String {
    let parameter = if transport == Transport::Tcp { ";transport=tcp" } else { "" };
    format!("<sip:{user}@{local}{parameter}>")
}

fn micros(from: Instant, to: Instant) -> u64 {
    to.saturating_duration_since(from).as_micros() as u64
}
