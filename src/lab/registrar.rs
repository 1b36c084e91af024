//! Registration of DNs at the stand-in: with or without a digest, until it expires.
//!
//! We keep one contact for each DN, as the SIP Server does; a DN whose REGISTER has `Expires: 0` is out of service.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::digest;
use super::message::{Received, uri_of};

/// The realm of all challenges.
const REALM: &str = "genesys";
/// What is granted where nothing is asked for, s.
const EXPIRES: u64 = 1800;
/// DNs that are kept.
const DNS: usize = 10_000;

/// The DNs that are in service.
#[derive(Debug)]
pub(super) struct Registrar {
    /// Password of every DN; without it none is asked for.
    password: Option<String>,
    nonce: String,
    dns: HashMap<String, (String, Instant)>,
}

/// What a REGISTER is answered.
pub(super) struct Answer {
    pub status: u16,
    pub reason: &'static str,
    pub headers: Vec<(&'static str, String)>,
}

impl Registrar {
    pub fn new(password: Option<String>, nonce: String) -> Self {
        Registrar { password, nonce, dns: HashMap::new() }
    }

    pub fn answer(&mut self, register: &Received, now: Instant) -> Answer {
        let dn = user(&register.header("To"));
        if let Some(password) = &self.password {
            let credentials = register.header("Authorization");
            let is_fresh = digest::field(&credentials, "nonce") == Some(&self.nonce);
            if !is_fresh || digest::check(&credentials, "REGISTER", &dn, password).is_err() {
                let challenge = format!("Digest realm=\"{REALM}\",nonce=\"{}\",algorithm=MD5", self.nonce);
                return Answer { status: 401, reason: "Unauthorized", headers: vec![("WWW-Authenticate", challenge)] };
            }
        }
        let contact = register.header("Contact");
        let seconds = register.header("Expires").parse().unwrap_or(EXPIRES);
        if seconds == 0 || contact.is_empty() {
            self.dns.remove(&dn);
        } else if self.dns.len() < DNS || self.dns.contains_key(&dn) {
            self.dns.insert(dn, (uri_of(&contact), now + Duration::from_secs(seconds)));
        }
        let headers = [("Contact", contact), ("Expires", seconds.to_string())];
        Answer { status: 200, reason: "OK", headers: headers.into_iter().filter(|(_, v)| !v.is_empty()).collect() }
    }

    /// Returns the contact of a DN that is in service.
    pub fn contact(&self, dn: &str, now: Instant) -> Option<&str> {
        self.dns.get(dn).filter(|(_, until)| *until > now).map(|(contact, _)| contact.as_str())
    }

    /// Returns where a DN in service is reached; `None` where its contact is a name.
    pub fn address(&self, dn: &str, now: Instant) -> Option<SocketAddr> {
        let contact = self.contact(dn, now)?;
        let after = contact.split_once('@').map_or(contact, |(_, host)| host);
        let host = after.split(';').next()?;
        host.parse().ok().or_else(|| format!("{host}:5060").parse().ok())
    }
}

/// Returns the user part of the address in a header field.
pub(super) fn user(value: &str) -> String {
    let uri = uri_of(value);
    let rest = uri.split_once(':').map_or(uri.as_str(), |(_, rest)| rest);
    rest.split_once('@').map_or("", |(user, _)| user).to_owned()
}
