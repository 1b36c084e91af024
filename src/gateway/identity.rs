//! Who a request says it is from (RFC 3261 8.1.1.3, RFC 3325): believed from the trunk, never from a browser.

use crate::sip::message::{Message, Name, NameAddr};
use crate::sip::uri::{Uri, escape};

/// Longest `X-Genesys-CallUUID` that is kept; real ones have 32 characters.
const MAX_UUID: usize = 64;

/// A party as shown to the other one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// The number, escapes undone; empty: withheld.
    pub(super) number: String,
    /// Display name without quotes and control characters; empty: none.
    pub(super) name: String,
}

/// Returns the caller as the trunk asserts it: P-Asserted-Identity, else From.
pub(super) fn from_trunk(invite: &Message) -> Identity {
    let from = identity(&invite.from());
    let asserted = invite
        .headers(Name::PAssertedIdentity)
        .filter_map(|value| NameAddr::parse(value).ok().map(|addr| identity(&addr)))
        .find(|id| !id.number.is_empty());
    match asserted {
        Some(id) if id.name.is_empty() => Identity { name: from.name, ..id },
        Some(id) => id,
        None => from,
    }
}

fn identity(addr: &NameAddr<'_>) -> Identity {
    let number = Uri::parse(addr.uri).map(|uri| uri.user_unescaped()).unwrap_or_default();
    let name = String::from_utf8_lossy(addr.display.unwrap_or_default());
    let name = name.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).take(128).collect();
    Identity { number, name }
}

/// Returns the user part of a request's address, escapes undone.
pub(super) fn user(uri: &str) -> Option<String> {
    let user = Uri::parse(uri).ok()?.user_unescaped();
    (!user.is_empty() && !user.chars().any(char::is_control)).then_some(user)
}

/// Writes `"name" <sip:number@host>`.
pub(super) fn address(id: &Identity, host: &str) -> String {
    let number = if id.number.is_empty() { "anonymous".to_owned() } else { escape(&id.number) };
    if id.name.is_empty() {
        return format!("<sip:{number}@{host}>");
    }
    format!("\"{}\" <sip:{number}@{host}>", id.name)
}

/// Returns the key that joins the call to the CTI call.
pub(super) fn call_uuid(message: &Message) -> Option<String> {
    let value = std::str::from_utf8(message.extension("X-Genesys-CallUUID")?).ok()?;
    let sound = (1..=MAX_UUID).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    sound.then(|| value.to_owned())
}
