//! The challenged side: our account at a trunk.

use super::{Algorithm, Challenge, Credentials, DigestError, Protection, Secret};
use crate::sip::message::Method;

/// An account at one realm. It answers no challenge of another one: a stranger who challenges a request of ours must
/// not get a hash of the password to guess at.
#[derive(Clone, Debug)]
pub struct Account {
    username: String,
    realm: String,
    secret: Secret,
    last: Option<(String, u32)>,
}

impl Account {
    /// `realm` is the trunk's, compared exactly.
    pub fn new(username: impl Into<String>, realm: impl Into<String>, secret: Secret) -> Account {
        Account { username: username.into(), realm: realm.into(), secret, last: None }
    }

    /// Answers a 401 or 407: the value of Authorization or Proxy-Authorization.
    ///
    /// `challenges` are the values of WWW- or Proxy-Authenticate; the strongest one that the secret suits is taken.
    /// `cnonce` is random text. `again` says that the challenged request carried credentials already: then only a
    /// `stale` challenge is answered ([`DigestError::Refused`]).
    pub fn answer<'a>(
        &mut self,
        challenges: impl IntoIterator<Item = &'a [u8]>,
        method: &Method,
        uri: &str,
        cnonce: &str,
        again: bool,
    ) -> Result<String, DigestError> {
        let mut best: Option<Challenge> = None;
        let mut error = DigestError::ForeignRealm;
        for text in challenges {
            match Challenge::parse(text) {
                Ok(found) if found.realm != self.realm => {}
                Ok(found) if !self.secret.suits(found.algorithm) => error = DigestError::UnknownAlgorithm,
                Ok(found) if best.as_ref().is_none_or(|best| best.algorithm < found.algorithm) => best = Some(found),
                Ok(_) => {}
                Err(flaw) => error = flaw,
            }
        }
        let challenge = best.ok_or(error)?;
        if again && !challenge.stale {
            return Err(DigestError::Refused);
        }
        Ok(self.respond(&challenge, method, uri, cnonce).to_string())
    }

    fn respond(&mut self, challenge: &Challenge, method: &Method, uri: &str, cnonce: &str) -> Credentials {
        let nc = match &self.last {
            Some((nonce, nc)) if *nonce == challenge.nonce => nc.saturating_add(1),
            _ => 1,
        };
        self.last = Some((challenge.nonce.clone(), nc));
        let protection =
            challenge.qop_auth.then(|| Protection { cnonce: cnonce.to_owned(), nc, nc_text: format!("{nc:08x}") });
        let mut credentials = Credentials {
            username: self.username.clone(),
            realm: challenge.realm.clone(),
            nonce: challenge.nonce.clone(),
            uri: uri.to_owned(),
            response: String::new(),
            algorithm: challenge.algorithm,
            opaque: challenge.opaque.clone(),
            protection,
        };
        credentials.response = credentials.expected(&self.secret, method.as_str());
        credentials
    }
}

/// The HA1 of a password, for configuration files that should not hold the password itself.
pub fn ha1(algorithm: Algorithm, username: &str, realm: &str, password: &str) -> String {
    algorithm.hash(&[username, realm, password])
}
