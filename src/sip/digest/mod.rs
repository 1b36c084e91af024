//! Digest authentication: challenges and credentials, read, written, checked and answered.
//!
//! RFC 7616, RFC 8760 (SHA-256 in SIP), RFC 2617 (MD5, and the form without qop). [`server::Verifier`] makes nonces that
//! sign themselves and remembers only those that a right password has used; [`client::Account`] answers a trunk's
//! challenge, for one realm alone.
//! We do not do `auth-int`, because no browser stack sends it and a B2BUA changes bodies; nor `userhash` and `-sess`, because nobody asks.

pub mod client;
mod fields;
pub mod server;
#[cfg(test)]
mod tests;

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use md5::{Digest as _, Md5};

use fields::{Fields, quote};

/// Why a digest header is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Another scheme than Digest.
    #[error("not the Digest scheme")]
    OtherScheme,
    /// Not a list of parameters, a parameter twice, or longer than 4 KiB.
    #[error("malformed digest header")]
    Malformed,
    /// A parameter that must be there is not.
    #[error("missing {0}")]
    Missing(&'static str),
    /// An algorithm that we do not do.
    #[error("unknown algorithm")]
    UnknownAlgorithm,
    /// A quality of protection that we do not do.
    #[error("unknown qop")]
    UnknownQop,
    /// No challenge of the realm that the account belongs to.
    #[error("challenge of a foreign realm")]
    ForeignRealm,
    /// The account was refused: a challenge came again and is not stale.
    #[error("credentials refused")]
    Refused,
}

/// A hash of RFC 7616.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `MD5`, all that JsSIP and SIP.js know.
    Md5,
    /// `SHA-256`, RFC 8760.
    Sha256,
}

impl Algorithm {
    /// The token on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    fn parse(text: &str) -> Result<Algorithm, DigestError> {
        [Algorithm::Md5, Algorithm::Sha256]
            .into_iter()
            .find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(text))
            .ok_or(DigestError::UnknownAlgorithm)
    }

    /// The hash of the parts joined by colons, in lower-case hex.
    fn hash(self, parts: &[&str]) -> String {
        let text = parts.join(":");
        match self {
            Algorithm::Md5 => hex(&Md5::digest(text.as_bytes())),
            Algorithm::Sha256 => hex(digest(&SHA256, text.as_bytes()).as_ref()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[(b >> 4) as usize], DIGITS[(b & 15) as usize]]).map(char::from).collect()
}

/// What an account proves itself by. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The password itself: good for every algorithm.
    Password(String),
    /// `H(username:realm:password)` in lower-case hex: 32 digits are MD5, 64 are SHA-256.
    Ha1(String),
}

impl Secret {
    /// Whether `algorithm` can be computed from it.
    pub fn suits(&self, algorithm: Algorithm) -> bool {
        match (self, algorithm) {
            (Secret::Password(_), _) => true,
            (Secret::Ha1(hash), Algorithm::Md5) => hash.len() == 32,
            (Secret::Ha1(hash), Algorithm::Sha256) => hash.len() == 64,
        }
    }

    fn ha1(&self, algorithm: Algorithm, username: &str, realm: &str) -> String {
        match self {
            Secret::Password(password) => algorithm.hash(&[username, realm, password]),
            Secret::Ha1(hash) => {
                // As much work as for a password, so that timing does not tell how a secret is kept.
                let _ = std::hint::black_box(algorithm.hash(&[username, realm, hash]));
                hash.to_ascii_lowercase()
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The value of WWW-Authenticate or Proxy-Authenticate; `Display` writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Whose passwords are asked for.
    pub realm: String,
    /// To be hashed in, and sent back.
    pub nonce: String,
    /// To be sent back as it is.
    pub opaque: Option<String>,
    /// MD5 when the header does not say.
    pub algorithm: Algorithm,
    /// Whether `qop="auth"` is offered; without it the form of RFC 2069 is used.
    pub qop_auth: bool,
    /// The credentials were right, their nonce too old: try again with this one.
    pub stale: bool,
}

impl Challenge {
    /// Reads a header value.
    pub fn parse(text: &[u8]) -> Result<Challenge, DigestError> {
        let fields = Fields::parse(text)?;
        let qop_auth = match fields.get("qop") {
            None => false,
            Some(list) if list.split(',').any(|qop| qop.trim().eq_ignore_ascii_case("auth")) => true,
            Some(_) => return Err(DigestError::UnknownQop),
        };
        Ok(Challenge {
            realm: fields.need("realm")?,
            nonce: fields.need("nonce")?,
            opaque: fields.get("opaque").map(str::to_owned),
            algorithm: fields.get("algorithm").map_or(Ok(Algorithm::Md5), Algorithm::parse)?,
            qop_auth,
            stale: fields.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest realm={}, nonce={}", quote(&self.realm), quote(&self.nonce))?;
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", quote(opaque))?;
        }
        write!(f, ", algorithm={}", self.algorithm.as_str())?;
        f.write_str(if self.qop_auth { ", qop=\"auth\"" } else { "" })?;
        f.write_str(if self.stale { ", stale=true" } else { "" })
    }
}

/// The part of credentials that `qop=auth` brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// The client's own nonce.
    pub cnonce: String,
    /// How often the nonce was used, this time included; hexadecimal on the wire.
    pub nc: u32,
    /// `nc` as spelt, for that is what was hashed.
    nc_text: String,
}

/// The value of Authorization or Proxy-Authorization; `Display` writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Who.
    pub username: String,
    /// Where.
    pub realm: String,
    /// Of the challenge.
    pub nonce: String,
    /// The Request-URI as the client saw it.
    pub uri: String,
    /// The proof, in hex.
    pub response: String,
    /// MD5 when the header does not say.
    pub algorithm: Algorithm,
    /// Of the challenge.
    pub opaque: Option<String>,
    /// `Some` for `qop=auth`.
    pub protection: Option<Protection>,
}

impl Credentials {
    /// Reads a header value.
    pub fn parse(text: &[u8]) -> Result<Credentials, DigestError> {
        let fields = Fields::parse(text)?;
        let protection = match fields.get("qop") {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let nc_text = fields.need("nc")?;
                let sound = (1..=8).contains(&nc_text.len()) && nc_text.bytes().all(|b| b.is_ascii_hexdigit());
                let nc = u32::from_str_radix(&nc_text, 16).ok().filter(|_| sound).ok_or(DigestError::Malformed)?;
                Some(Protection { cnonce: fields.need("cnonce")?, nc, nc_text })
            }
            Some(_) => return Err(DigestError::UnknownQop),
        };
        Ok(Credentials {
            username: fields.need("username")?,
            realm: fields.need("realm")?,
            nonce: fields.need("nonce")?,
            uri: fields.need("uri")?,
            response: fields.need("response")?,
            algorithm: fields.get("algorithm").map_or(Ok(Algorithm::Md5), Algorithm::parse)?,
            opaque: fields.get("opaque").map(str::to_owned),
            protection,
        })
    }

    /// The proof that fits these credentials, in lower-case hex (RFC 7616 3.4.1).
    fn expected(&self, secret: &Secret, method: &str) -> String {
        let ha1 = secret.ha1(self.algorithm, &self.username, &self.realm);
        let ha2 = self.algorithm.hash(&[method, &self.uri]);
        match &self.protection {
            Some(p) => self.algorithm.hash(&[&ha1, &self.nonce, &p.nc_text, &p.cnonce, "auth", &ha2]),
            None => self.algorithm.hash(&[&ha1, &self.nonce, &ha2]),
        }
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest username={}, realm={}", quote(&self.username), quote(&self.realm))?;
        write!(f, ", nonce={}, uri={}", quote(&self.nonce), quote(&self.uri))?;
        write!(f, ", response={}, algorithm={}", quote(&self.response), self.algorithm.as_str())?;
        if let Some(p) = &self.protection {
            write!(f, ", cnonce={}, qop=auth, nc={}", quote(&p.cnonce), p.nc_text)?;
        }
        match &self.opaque {
            Some(opaque) => write!(f, ", opaque={}", quote(opaque)),
            None => Ok(()),
        }
    }
}
