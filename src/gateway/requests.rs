//! Requests that are no INVITE: OPTIONS and what else comes outside a dialog, INFO and NOTIFY within one
//! (RFC 3261 11, RFC 6086, RFC 6665).

use std::time::Instant;

use super::admission::Verdict;
use super::page::PAGE_TYPE;
use super::perform::answer_headers;
use super::summons::Wanted;
use super::{Gateway, keys};
use crate::call::{Command, EventKind, LegKind, Signal, Wish};
use crate::id::{CallId, LegId};
use crate::path::{Path, Transport};
use crate::sip::endpoint::{Header, ServerTx, SessionId};
use crate::sip::message::{Builder, Message, Method, Name};
use crate::sip::refer::Progress;

/// What we take.
pub(super) const ALLOWED: [Method; 10] = [
    Method::Invite,
    Method::Ack,
    Method::Cancel,
    Method::Bye,
    Method::Options,
    Method::Info,
    Method::Update,
    Method::Notify,
    Method::Prack,
    Method::Refer,
];

/// Extensions that we understand beside session timers (RFC 3891, RFC 4488).
pub(super) const SUPPORTED: [&str; 2] = ["replaces", "norefersub"];

/// Content types that an INFO may have.
const INFO_TYPES: &str = "application/dtmf-relay, application/dtmf";

fn allow() -> String {
    ALLOWED.iter().map(Method::as_str).chain(["REGISTER"]).collect::<Vec<_>>().join(", ")
}

/// Returns true for an INFO of the phone page.
fn is_page(info: &Message) -> bool {
    let kind = info.content_type().unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(PAGE_TYPE)
}

impl Gateway {
    /// Answers a request with a status and further headers.
    pub(super) fn reply(&mut self, tx: ServerTx, request: &Message, status: u16, headers: &[Header], now: Instant) {
        let response = Builder::response_to(request, status, None, None);
        let response = headers.iter().fold(response, |response, (name, value)| response.header(name, value));
        self.endpoint.respond(tx, response, now);
    }

    pub(super) fn request(&mut self, tx: ServerTx, message: Message, path: Path, transport: Transport, now: Instant) {
        let is_trunk = self.reach.trunk_of(&path, transport).is_some();
        if !is_trunk && !self.peers.is_browser(&path) {
            self.counters.strangers += 1;
            return self.reply(tx, &message, 403, &[], now);
        }
        let with_allow = [("Allow".to_owned(), allow().into_bytes())];
        match message.method() {
            Method::Register if is_trunk => self.reply(tx, &message, 403, &[], now),
            Method::Refer if is_trunk => {
                let trunk = self.reach.trunk_of(&path, transport).unwrap_or_default();
                self.summon(tx, &message, (path, transport), trunk, now);
            }
            Method::Register => self.register(tx, &message, path, now),
            Method::Options => {
                let mut headers = with_allow.to_vec();
                headers.push(("Accept".to_owned(), b"application/sdp".to_vec()));
                headers.push(("Accept-Encoding".to_owned(), b"identity".to_vec()));
                headers.push(("Accept-Language".to_owned(), b"en".to_vec()));
                headers.push(("Supported".to_owned(), format!("timer, {}", SUPPORTED.join(", ")).into_bytes()));
                headers.extend(answer_headers());
                self.reply(tx, &message, 200, &headers, now);
            }
            method => {
                // Nobody learns more than this without a digest (CVE-2021-41157, CVE-2021-37624).
                if !is_trunk {
                    match self.authenticate(&message, &path, now) {
                        Verdict::Admitted(_) => {}
                        Verdict::Challenge(headers) => return self.reply(tx, &message, 401, &headers, now),
                        Verdict::Refused(status) => return self.reply(tx, &message, status, &[], now),
                    }
                }
                match method {
                    Method::Subscribe | Method::Publish => {
                        self.reply(tx, &message, 489, &answer_headers(), now);
                    }
                    Method::Notify => self.reply(tx, &message, 481, &[], now),
                    _ => self.reply(tx, &message, 405, &with_allow, now),
                }
            }
        }
    }

    pub(super) fn in_dialog(&mut self, session: SessionId, tx: ServerTx, message: &Message, path: Path, now: Instant) {
        let Some((call, leg)) = self.calls.of_session(session) else {
            return self.reply(tx, message, 481, &[], now);
        };
        match message.method() {
            Method::Info if is_page(message) => self.page_command(call, leg, tx, message, path, now),
            Method::Info => self.info(call, leg, tx, message, now),
            Method::Refer => self.refer(call, leg, tx, message, path, now),
            Method::Notify => self.notify(call, leg, tx, message, now),
            Method::Update | Method::Prack => {
                self.renamed_by(call, leg, message, now);
                self.update(call, leg, tx, message, now);
            }
            // A text is taken and nothing is done with it: a SIP Server must not end a call over a refusal.
            Method::Options | Method::Message => {
                self.reply(tx, message, 200, &[("Allow".to_owned(), allow().into_bytes())], now);
            }
            _ => self.reply(tx, message, 405, &[("Allow".to_owned(), allow().into_bytes())], now),
        }
    }

    fn info(&mut self, call: CallId, leg: LegId, tx: ServerTx, message: &Message, now: Instant) {
        let kind = message.content_type().unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "" if message.body().is_empty() => return self.reply(tx, message, 200, &[], now),
            // A wish for a key frame: there is no picture, and no harm (RFC 5168).
            "application/media_control+xml" => return self.reply(tx, message, 200, &[], now),
            keys::RELAY | "application/dtmf" => {}
            _ => {
                let accept = [("Accept".to_owned(), INFO_TYPES.as_bytes().to_vec())];
                return self.reply(tx, message, 415, &accept, now);
            }
        }
        let Some(digit) = keys::read(&kind, message.body()) else { return self.reply(tx, message, 400, &[], now) };
        self.reply(tx, message, 200, &[], now);
        let Some(found) = self.calls.get(call) else { return };
        let from_agent = found.leg(leg).is_some_and(|leg| leg.kind == LegKind::Browser);
        let to = found.hearers(leg);
        let answered = found.is_answered();
        self.counters.info_digits += u64::from(!to.is_empty());
        self.press(call, &to, digit, now);
        if answered {
            self.emit(call, EventKind::Digit { digit, from_agent }, now);
        }
    }

    /// NOTIFY talk and hold come without a subscription (genesys.md): 200 at once, then the effect, if any is left.
    fn notify(&mut self, call: CallId, leg: LegId, tx: ServerTx, message: &Message, now: Instant) {
        if let Some(progress) = Progress::of(message) {
            self.reply(tx, message, 200, &[], now);
            return self.followed(call, leg, progress, now);
        }
        let event = message.header_str(Name::Event).unwrap_or_default();
        let event = event.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if event != "talk" && event != "hold" {
            return self.reply(tx, message, 489, &answer_headers(), now);
        }
        self.counters.notifies += 1;
        self.note_uuid(call, leg, message, now);
        self.reply(tx, message, 200, &[], now);
        let Some(found) = self.calls.get(call) else { return };
        // A browser is not the agent's desktop.
        if found.leg(leg).is_some_and(|leg| leg.kind == LegKind::Browser) {
            return;
        }
        let wish = match (event.as_str(), found.is_answered()) {
            ("hold", _) => Wish::Hold,
            (_, true) => Wish::Retrieve,
            (_, false) => Wish::Answer,
        };
        self.signal(call, Signal::Wish { what: wish, by: None }, now);
    }

    /// Carries out what page, REST or an embedding program wants.
    pub(super) fn command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Dial { dial, dn, to, told } => {
                self.command_dial(dial, Wanted { dn, number: to, phones: Vec::new(), told }, now);
            }
            Command::OnCall { call, by, what } => self.command_on(call, by, what, now),
        }
    }
}
