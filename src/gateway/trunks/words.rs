//! What a browser is told of its DN at the SIP Server: in the 200 to its REGISTER, once for the page and once for people.
//!
//! JsSIP shows that response in its event `registered`, SIP.js in the delegate of `register()`; both only for the first
//! one of a connection, so that one waits a little for the SIP Server's word ([`PATIENCE`]). A word that comes later, or
//! another one, goes down the connection in a MESSAGE (RFC 3428): `newMessage` of JsSIP, `onMessage` of SIP.js. What
//! is answered changes nothing: without an ear for it JsSIP says 405, SIP.js 200.

use std::time::{Duration, Instant};

use super::super::Gateway;
use super::super::routing::hop;
use super::registration::Standing;
use super::{Held, Trunks};
use crate::id::FlowId;
use crate::path::Path;
use crate::sip::endpoint::{Header, OutRequest, ServerTx};
use crate::sip::message::{Message, Method, Name};
use crate::sip::uri::escape;

/// How long a browser's 200 waits for the SIP Server's answer.
pub(in crate::gateway) const PATIENCE: Duration = Duration::from_secs(1);

/// Most responses that wait; more are sent at once.
const MAX_HELD: usize = 10_000;

/// Header field that says it to programs.
const WORD: &str = "X-Crosspoint-Trunk";

/// Returns it for programs and for people.
fn words(standing: Standing, dn: &str) -> (String, String) {
    let (word, sentence) = match standing {
        Standing::Registered => ("registered", format!("The number {dn} is registered at the SIP Server.")),
        Standing::Pending => ("pending", format!("The SIP Server has not said yet what it thinks of the number {dn}.")),
        Standing::Unknown => ("unknown-dn", format!("The SIP Server does not know the number {dn}.")),
        Standing::Refused(status) => {
            let sentence = format!("The SIP Server refused to register the number {dn} ({status}).");
            return (format!("refused;status={status}"), plain(&sentence));
        }
        Standing::Unreachable => {
            let sentence = format!("The SIP Server does not answer. The number {dn} cannot be called until it does.");
            ("unreachable", sentence)
        }
    };
    (word.to_owned(), plain(&sentence))
}

/// Leaves out what ends a quoted string or a line.
fn plain(sentence: &str) -> String {
    sentence.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect()
}

/// Writes the headers of a 200; those for people only where the news is bad (RFC 3261 20.43: 399 is for people).
fn headers(standing: Standing, dn: &str, realm: &str) -> Vec<Header> {
    let (word, sentence) = words(standing, dn);
    let mut headers = vec![(WORD.to_owned(), word.into_bytes())];
    if !matches!(standing, Standing::Registered | Standing::Pending) {
        headers.push(("Warning".to_owned(), format!("399 {realm} \"{sentence}\"").into_bytes()));
    }
    headers
}

/// Returns true unless the phone says itself that it takes no MESSAGE.
fn takes_messages(register: &Message) -> bool {
    register.header(Name::Allow).is_none() || register.has_option(Name::Allow, "MESSAGE")
}

impl Trunks {
    fn take_held(&mut self, is_due: impl Fn(&Held) -> bool) -> Vec<Held> {
        self.held.extract_if(.., |held| is_due(held)).collect()
    }
}

impl Gateway {
    /// Answers a REGISTER with 200: at once, or when the SIP Server has said what it thinks of the DN.
    pub(in crate::gateway) fn welcome(
        &mut self,
        tx: ServerTx,
        request: &Message,
        path: &Path,
        dn: &str,
        headers: Vec<Header>,
        now: Instant,
    ) {
        let flow = path.flow().filter(|_| takes_messages(request));
        let held = Held { dn: dn.to_owned(), tx, request: request.clone(), headers, flow, until: now + PATIENCE };
        if self.trunks.standing(dn) == Some(Standing::Pending) && self.trunks.held.len() < MAX_HELD {
            self.trunks.held.push(held);
        } else {
            self.tell(held, now);
        }
    }

    fn tell(&mut self, held: Held, now: Instant) {
        let mut all = held.headers;
        if let Some(standing) = self.trunks.standing(&held.dn) {
            all.extend(headers(standing, &held.dn, &self.realm));
            let is_here = |flow| self.registrar.lookup(&held.dn, now).iter().any(|b| b.path.flow() == Some(flow));
            if let Some(flow) = held.flow.filter(|flow| is_here(*flow)) {
                self.trunks.verdicts.welcomed(&held.dn, flow, standing, now);
            }
        }
        self.reply(held.tx, &held.request, 200, &all, now);
    }

    /// The SIP Server said something about this DN; true where somebody waited for it.
    pub(super) fn tell_of(&mut self, dn: &str, now: Instant) -> bool {
        let standing = self.trunks.standing(dn);
        if standing == Some(Standing::Pending) {
            return false;
        }
        let answered = self.tell_those(|held| held.dn == dn, now);
        if let Some(standing) = standing {
            self.trunks.verdicts.changed(dn, standing, now);
        }
        answered
    }

    /// Tells browsers how their DN stands by now, where they know otherwise; true where a MESSAGE went out.
    pub(super) fn tell_changes(&mut self, now: Instant) -> bool {
        let mut sent = false;
        while let Some((dn, flow)) = self.trunks.verdicts.next(now) {
            let Some(standing) = self.trunks.standing(&dn) else { continue };
            if self.trunks.verdicts.tells(&dn, flow, standing, now) {
                sent |= self.send_verdict(&dn, flow, standing, now);
            }
        }
        sent
    }

    fn send_verdict(&mut self, dn: &str, flow: FlowId, standing: Standing, now: Instant) -> bool {
        let bindings = self.registrar.lookup(dn, now);
        let Some(binding) = bindings.into_iter().find(|binding| binding.path.flow() == Some(flow)) else {
            return false;
        };
        let Some(known) = self.peers.flow(&binding.path) else { return false };
        let Some(listener) = self.peers.listener(known.listener) else { return false };
        let (word, sentence) = words(standing, dn);
        let request = OutRequest {
            method: Method::Message,
            uri: binding.contact.uri.clone(),
            from: format!("<sip:{}>", self.realm),
            to: format!("<sip:{}@{}>", escape(dn), self.realm),
            call_id: None,
            cseq: None,
            headers: vec![(WORD.to_owned(), word.into_bytes())],
            body: Some(("text/plain;charset=utf-8".to_owned(), sentence.into_bytes())),
        };
        self.endpoint.send_request(request, hop(listener, binding.path, known.transport), now);
        true
    }

    /// Answers those that have waited long enough; true where there were any.
    pub(super) fn tell_the_patient(&mut self, now: Instant) -> bool {
        self.tell_those(|held| held.until <= now, now)
    }

    fn tell_those(&mut self, is_due: impl Fn(&Held) -> bool, now: Instant) -> bool {
        let due = self.trunks.take_held(is_due);
        let any = !due.is_empty();
        due.into_iter().for_each(|held| self.tell(held, now));
        any
    }
}
