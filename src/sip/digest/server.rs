//! The challenging side: nonces that sign themselves, and a replay window for each that was used.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use super::{Algorithm, Challenge, Credentials, DigestError, Secret, hex};
use crate::sip::message::Method;
use crate::sip::uri::Uri;

/// The most nonces whose use is remembered; beyond it the oldest become stale.
pub const MAX_NONCES: usize = 65_536;

const SIGNATURE_BYTES: usize = 16;

/// What credentials are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They prove this user name.
    Granted {
        /// Who it is.
        username: String,
    },
    /// The proof is right, but the nonce too old or its count used before: challenge again with `stale=true`.
    Stale,
    /// Unknown user, wrong password, foreign nonce, realm, algorithm or URI: challenge again; nothing tells which.
    Denied(Denial),
}

/// Why credentials were denied; for the log and the counters, never for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The header cannot be read.
    Unreadable(DigestError),
    /// Another realm than ours.
    Realm,
    /// An algorithm that was not offered.
    Algorithm,
    /// Not for this Request-URI.
    Uri,
    /// A nonce that we did not make.
    Nonce,
    /// No such user, or no secret for the algorithm.
    UnknownUser,
    /// Known user, wrong proof.
    WrongPassword,
}

/// Makes challenges and checks credentials for one realm.
pub struct Verifier {
    realm: String,
    key: hmac::Key,
    lifetime: Duration,
    epoch: Instant,
    next: u64,
    /// Nonces numbered below it are stale.
    floor: u64,
    used: BTreeMap<u64, Window>,
    decoy: Secret,
}

impl Verifier {
    /// `key` is secret and random; nonces live for `lifetime` (whole milliseconds), counted from `now` on.
    pub fn new(realm: impl Into<String>, key: [u8; 32], lifetime: Duration, now: Instant) -> Verifier {
        let decoy = Secret::Password(hex(&key));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        Verifier { realm: realm.into(), key, lifetime, epoch: now, next: 0, floor: 0, used: BTreeMap::new(), decoy }
    }

    /// The realm.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// A challenge with a new nonce. For several algorithms call once for each, the preferred one first (RFC 8760 2.4).
    pub fn challenge(&mut self, algorithm: Algorithm, stale: bool, now: Instant) -> Challenge {
        let number = self.next;
        self.next += 1;
        let nonce = self.nonce(self.age_ms(now), number);
        Challenge { realm: self.realm.clone(), nonce, opaque: None, algorithm, qop_auth: true, stale }
    }

    /// Checks the value of an Authorization header against the request it came in.
    ///
    /// `secret_of` is asked once, by user name. An unknown user costs the same work as a known one.
    pub fn verify<'s>(
        &mut self,
        authorization: &[u8],
        method: &Method,
        request_uri: &str,
        offered: &[Algorithm],
        secret_of: impl FnOnce(&str) -> Option<&'s Secret>,
        now: Instant,
    ) -> Verdict {
        let credentials = match Credentials::parse(authorization) {
            Ok(credentials) => credentials,
            Err(error) => return Verdict::Denied(Denial::Unreadable(error)),
        };
        if credentials.realm != self.realm {
            return Verdict::Denied(Denial::Realm);
        }
        if !offered.contains(&credentials.algorithm) {
            return Verdict::Denied(Denial::Algorithm);
        }
        if !same_uri(&credentials.uri, request_uri) {
            return Verdict::Denied(Denial::Uri);
        }
        let Some((made_ms, number)) = self.read_nonce(&credentials.nonce) else {
            return Verdict::Denied(Denial::Nonce);
        };
        let known = secret_of(&credentials.username).filter(|secret| secret.suits(credentials.algorithm));
        let expected = credentials.expected(known.unwrap_or(&self.decoy), method.as_str());
        let response = credentials.response.to_ascii_lowercase();
        let right = verify_slices_are_equal(expected.as_bytes(), response.as_bytes()).is_ok();
        match (known, right) {
            (None, _) => return Verdict::Denied(Denial::UnknownUser),
            (Some(_), false) => return Verdict::Denied(Denial::WrongPassword),
            (Some(_), true) => {}
        }
        let too_old = self.age_ms(now).saturating_sub(made_ms) > self.lifetime.as_millis() as u64;
        let nc = credentials.protection.as_ref().map(|p| p.nc);
        if too_old || number < self.floor || !self.first_use(number, nc) {
            return Verdict::Stale;
        }
        Verdict::Granted { username: credentials.username }
    }

    /// Notes the use of a nonce; false when this count was used. Without qop a nonce is good once.
    fn first_use(&mut self, number: u64, nc: Option<u32>) -> bool {
        let fresh = match (self.used.get_mut(&number), nc) {
            (Some(window), Some(nc)) => window.admit(nc),
            (Some(_), None) => false,
            (None, nc) => {
                let mut window = Window { highest: 0, seen: 0 };
                let fresh = match nc {
                    Some(nc) => window.admit(nc),
                    None => {
                        window = Window { highest: u32::MAX, seen: u64::MAX };
                        true
                    }
                };
                self.used.insert(number, window);
                fresh
            }
        };
        while self.used.len() > MAX_NONCES
            && let Some((oldest, _)) = self.used.pop_first()
        {
            self.floor = oldest + 1;
        }
        fresh
    }

    fn age_ms(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_millis() as u64
    }

    /// `time-number-signature`, 64 hex digits.
    fn nonce(&self, made_ms: u64, number: u64) -> String {
        let head = [made_ms.to_be_bytes(), number.to_be_bytes()].concat();
        let signature = hmac::sign(&self.key, &head);
        hex(&head) + &hex(&signature.as_ref()[..SIGNATURE_BYTES])
    }

    fn read_nonce(&self, nonce: &str) -> Option<(u64, u64)> {
        let made_ms = u64::from_str_radix(nonce.get(..16)?, 16).ok()?;
        let number = u64::from_str_radix(nonce.get(16..32)?, 16).ok()?;
        let ours = self.nonce(made_ms, number);
        verify_slices_are_equal(ours.as_bytes(), nonce.as_bytes()).ok()?;
        Some((made_ms, number))
    }
}

/// The use of one nonce: the highest count, and which of the 64 up to it were seen.
struct Window {
    highest: u32,
    seen: u64,
}

impl Window {
    fn admit(&mut self, nc: u32) -> bool {
        if nc == 0 {
            return false;
        }
        if nc > self.highest {
            self.seen = self.seen.checked_shl(nc - self.highest).unwrap_or(0) | 1;
            self.highest = nc;
            return true;
        }
        let Some(bit) = 1u64.checked_shl(self.highest - nc) else { return false };
        let fresh = self.seen & bit == 0;
        self.seen |= bit;
        fresh
    }
}

/// The digest's URI is the Request-URI, or equivalent to it (RFC 3261 22.4).
fn same_uri(a: &str, b: &str) -> bool {
    a == b || matches!((Uri::parse(a), Uri::parse(b)), (Ok(a), Ok(b)) if a.equivalent(&b))
}
