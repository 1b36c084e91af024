//! What a browser is told of its DN at the SIP Server: in the 200 to its REGISTER, once for the page and once for people.
//!
//! JsSIP shows that response in its event `registered`, SIP.js in the delegate of `register()`; both only for the first
//! one of a connection, so that one waits a little for the SIP Server's word ([`PATIENCE`]).

use std::time::{Duration, Instant};

use super::super::Gateway;
use super::registration::Standing;
use super::{Held, Trunks};
use crate::sip::endpoint::{Header, ServerTx};
use crate::sip::message::Message;

/// How long a browser's 200 waits for the SIP Server's answer.
pub(in crate::gateway) const PATIENCE: Duration = Duration::from_secs(1);

/// Most responses that wait; more are sent at once.
const MAX_HELD: usize = 10_000;

/// Writes the headers: a word for programs, and a sentence (RFC 3261 20.43: 399 is for people).
fn headers(standing: Standing, dn: &str, realm: &str) -> Vec<Header> {
    let (word, sentence) = match standing {
        Standing::Registered => ("registered".to_owned(), None),
        Standing::Pending => ("pending".to_owned(), None),
        Standing::Unknown => ("unknown-dn".to_owned(), Some(format!("The SIP Server does not know the number {dn}."))),
        Standing::Refused(status) => {
            let sentence = format!("The SIP Server refused to register the number {dn} ({status}).");
            (format!("refused;status={status}"), Some(sentence))
        }
        Standing::Unreachable => {
            let sentence = format!("The SIP Server does not answer. The number {dn} cannot be called until it does.");
            ("unreachable".to_owned(), Some(sentence))
        }
    };
    let mut headers = vec![("X-Crosspoint-Trunk".to_owned(), word.into_bytes())];
    if let Some(sentence) = sentence {
        let quoted: String = sentence.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect();
        headers.push(("Warning".to_owned(), format!("399 {realm} \"{quoted}\"").into_bytes()));
    }
    headers
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
        dn: &str,
        headers: Vec<Header>,
        now: Instant,
    ) {
        let held = Held { dn: dn.to_owned(), tx, request: request.clone(), headers, until: now + PATIENCE };
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
        }
        self.reply(held.tx, &held.request, 200, &all, now);
    }

    /// The SIP Server said something about this DN; true where somebody waited for it.
    pub(super) fn tell_of(&mut self, dn: &str, now: Instant) -> bool {
        let is_open = self.trunks.standing(dn) == Some(Standing::Pending);
        !is_open && self.tell_those(|held| held.dn == dn, now)
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
