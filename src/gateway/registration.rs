//! REGISTER: who may bind what (RFC 3261 10.3, RFC 5626 6).

use std::time::Instant;

use super::Gateway;
use super::admission::Verdict;
use super::identity::user;
use crate::path::Path;
use crate::registrar::{Contact, Contacts, Register, RegisterError, Registered};
use crate::sip::endpoint::{Header, ServerTx};
use crate::sip::message::{Message, Name, NameAddr};

/// Parameters that a binding keeps in fields of their own.
const OWN_PARAMS: [&str; 4] = ["expires", "q", "+sip.instance", "reg-id"];

impl Gateway {
    pub(super) fn register(&mut self, tx: ServerTx, message: &Message, path: Path, now: Instant) {
        // The AOR is the To (RFC 3261 10.2); we know no third-party registration.
        let aor = user(message.to().uri);
        let from = user(message.from().uri);
        let verdict = match (aor, from) {
            (Some(aor), Some(from)) if aor == from => self.authenticate_always(message, &path, &aor, now),
            (Some(_), Some(_)) => Verdict::Refused(403),
            _ => Verdict::Refused(400),
        };
        let dn = match verdict {
            Verdict::Admitted(dn) => dn,
            Verdict::Challenge(headers) => return self.reply(tx, message, 401, &headers, now),
            Verdict::Refused(status) => return self.reply(tx, message, status, &[], now),
        };
        let Some(contacts) = contacts(message) else { return self.reply(tx, message, 400, &[], now) };
        let keeps_flow = message.has_option(Name::Supported, "outbound")
            && matches!(&contacts, Contacts::List(list) if list.iter().any(|contact| contact.reg_id.is_some()));
        let was_here = self.is_at_home(&dn, &path, now);
        let request = Register {
            aor: dn.clone(),
            contacts,
            expires: message.number(Name::Expires),
            call_id: message.call_id().to_owned(),
            cseq: message.cseq().number,
            path,
        };
        let outcome = self.registrar.register(request, now);
        self.note_presence(&dn, now);
        match outcome {
            Ok(registered) => {
                let headers = self.bindings(&path, &registered, keeps_flow, now);
                self.welcome(tx, message, &path, &dn, headers, now);
                self.signed_in(&dn, path, message, &registered, was_here, now);
                self.nail_registered(&dn, was_here, now);
            }
            Err(error) => {
                let headers = match error {
                    RegisterError::TooBrief { min_expires_s } => {
                        vec![("Min-Expires".to_owned(), min_expires_s.to_string().into_bytes())]
                    }
                    _ => Vec::new(),
                };
                self.reply(tx, message, error.status(), &headers, now);
            }
        }
    }

    /// Trusts the connection that carries one, and writes what the 200 says.
    fn bindings(&self, path: &Path, registered: &Registered, keeps_flow: bool, now: Instant) -> Vec<Header> {
        if let Some(flow) = path.flow()
            && registered.bindings.iter().any(|binding| binding.path.flow() == Some(flow))
        {
            self.peers.trust(flow);
        }
        let mut headers: Vec<Header> = registered
            .bindings
            .iter()
            .map(|binding| ("Contact".to_owned(), binding.contact_value(now).into_bytes()))
            .collect();
        if keeps_flow {
            // RFC 5626 6: requests will come down this very flow.
            headers.push(("Require".to_owned(), b"outbound".to_vec()));
        }
        headers
    }
}

/// Reads the Contact headers; `None` where one is malformed.
fn contacts(message: &Message) -> Option<Contacts> {
    let mut list = Vec::new();
    let mut all = false;
    for contact in message.contacts() {
        let contact = contact.ok()?;
        if contact.is_star() {
            all = true;
        } else {
            list.push(typed(&contact)?);
        }
    }
    match (all, list.is_empty()) {
        (true, true) => Some(Contacts::All),
        (true, false) => None,
        (false, _) => Some(Contacts::List(list)),
    }
}

fn typed(contact: &NameAddr<'_>) -> Option<Contact> {
    let number = |name: &str| contact.param(name).map(|value| value.parse::<u64>().ok());
    let expires = match number("expires") {
        Some(seconds) => Some(u32::try_from(seconds?).unwrap_or(u32::MAX)),
        None => None,
    };
    let params: Vec<String> = contact
        .params
        .iter()
        .filter(|(name, _)| !OWN_PARAMS.iter().any(|own| own.eq_ignore_ascii_case(name)))
        .map(|(name, value)| match value {
            Some(value) => format!("{name}={}", String::from_utf8_lossy(value)),
            None => name.to_owned(),
        })
        .collect();
    Some(Contact {
        uri: contact.uri.to_owned(),
        expires,
        q: contact.param("q").and_then(thousandths),
        instance: contact.param("+sip.instance").map(str::to_owned),
        reg_id: number("reg-id").flatten().and_then(|id| u32::try_from(id).ok()),
        params: params.join(";"),
    })
}

/// Reads a qvalue: 0 to 1 with at most three decimals (RFC 3261 25.1).
fn thousandths(text: &str) -> Option<u16> {
    let value: f32 = text.parse().ok()?;
    (0.0..=1.0).contains(&value).then_some((value * 1000.0).round() as u16)
}
