//! Our digest towards a trunk: for our own requests, and for the one realm that is configured (CVE-2021-41158).

use super::super::config::Secret;
use super::policy::TrunkAccount;
use crate::sip::digest::client::Account;
use crate::sip::digest::{self, DigestError};
use crate::sip::endpoint::Header;
use crate::sip::message::{Message, Method, Name};

/// Makes the account of a DN at a trunk; `own` is the DN's own password there, which comes first.
pub(crate) fn account(trunk: &TrunkAccount, dn: &str, own: Option<&Secret>) -> Option<Account> {
    let secret = match own.or(trunk.secret.as_ref())? {
        Secret::Plain(password) => digest::Secret::Password(password.clone()),
        Secret::Ha1 { md5, sha256 } => digest::Secret::Ha1(md5.clone().or_else(|| sha256.clone())?),
    };
    Some(Account::new(trunk.username.as_deref().unwrap_or(dn), trunk.realm.as_str(), secret))
}

/// A challenge that was taken, and the account that answers it as long as its nonce is good.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    account: Account,
    challenges: Vec<Vec<u8>>,
    is_proxy: bool,
}

impl Proof {
    /// Takes the challenge of a 401 or 407.
    pub(crate) fn new(account: Account, response: &Message) -> Proof {
        let is_proxy = response.status() == 407;
        let name = if is_proxy { Name::ProxyAuthenticate } else { Name::WwwAuthenticate };
        let challenges = response.headers(name).map(<[u8]>::to_vec).collect();
        Proof { account, challenges, is_proxy }
    }

    /// Writes the credentials of one request. `again`: the challenged request carried some that were made for this.
    pub(crate) fn header(
        &mut self,
        method: &Method,
        uri: &str,
        cnonce: &str,
        again: bool,
    ) -> Result<Header, DigestError> {
        let challenges = self.challenges.iter().map(Vec::as_slice);
        let value = self.account.answer(challenges, method, uri, cnonce, again)?;
        let name = if self.is_proxy { "Proxy-Authorization" } else { "Authorization" };
        Ok((name.to_owned(), value.into_bytes()))
    }
}
