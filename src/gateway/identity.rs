//! Who a request says it is from (RFC 3261 8.1.1.3, RFC 3325), and what else it says that the other side is to hear:
//! believed from the trunk, never from a browser.

use super::config::Carry;
use crate::call::{Parties, UserData};
use crate::sip::endpoint::Header;
use crate::sip::message::{HeaderName, Message, Name, NameAddr};
use crate::sip::uri::{Uri, escape};

/// Longest `X-Genesys-CallUUID` that is kept; real ones have 32 characters.
const MAX_UUID: usize = 64;

/// The key that joins a call to its CTI call.
pub(super) const UUID: &str = "X-Genesys-CallUUID";

/// Longest number that is kept as the one that was dialled.
const MAX_NUMBER: usize = 64;

/// Most header fields that a call carries along, and bytes of all their values: a trunk's UDP message has fewer.
const MAX_FIELDS: usize = 32;
const MAX_BYTES: usize = 8192;

/// What a browser may not say of itself, whatever the configuration allows (CVE-2024-35190).
const ASSERTED: [&str; 4] = ["P-Asserted-Identity", "P-Preferred-Identity", "Diversion", "X-Genesys-"];

/// A party as shown to the other one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// The number, escapes undone; empty: withheld.
    pub(super) number: String,
    /// Display name without quotes and control characters; empty: none.
    pub(super) name: String,
}

/// Returns the caller as the trunk asserts it: P-Asserted-Identity, else From; nobody where it asks for privacy, for a
/// browser is outside of the trust domain (RFC 3325 7).
pub(super) fn from_trunk(invite: &Message) -> Identity {
    if is_withheld(invite) {
        return Identity::default();
    }
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

/// Returns true where the caller's number is not to be shown (RFC 3323 4.2, RFC 3325 9.3).
fn is_withheld(message: &Message) -> bool {
    let fields = message.headers(Name::Privacy).filter_map(|value| std::str::from_utf8(value).ok());
    let mut asked = fields.flat_map(|value| value.split([';', ','])).map(str::trim);
    asked.any(|value| value.eq_ignore_ascii_case("id") || value.eq_ignore_ascii_case("user"))
}

fn identity(addr: &NameAddr<'_>) -> Identity {
    let anonymous = |uri: &Uri<'_>| uri.host.eq_ignore_ascii_case("anonymous.invalid");
    if Uri::parse(addr.uri).is_ok_and(|uri| anonymous(&uri)) {
        return Identity::default();
    }
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
    if id.number.is_empty() && id.name.is_empty() {
        return "\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned(); // RFC 3323 4.1
    }
    let number = if id.number.is_empty() { "anonymous".to_owned() } else { escape(&id.number) };
    if id.name.is_empty() {
        return format!("<sip:{number}@{host}>");
    }
    format!("\"{}\" <sip:{number}@{host}>", id.name)
}

/// Returns the number that the caller dialled, where the trunk tells one beside the DN that it routed the call to: the
/// first diversion (RFC 5806 5.1: the last of the list), else To.
pub(super) fn dnis(invite: &Message) -> Option<String> {
    let of = |value: &[u8]| NameAddr::parse(value).ok().and_then(|addr| user(addr.uri));
    let dn = user(invite.request_uri());
    let told = |number: &String| number.len() <= MAX_NUMBER && Some(number) != dn.as_ref();
    let diverted = invite.headers(Name::Diversion).filter_map(of).last().filter(told);
    diverted.or_else(|| user(invite.to().uri).filter(told))
}

/// Returns the key that joins the call to the CTI call.
pub(super) fn call_uuid(message: &Message) -> Option<String> {
    let value = std::str::from_utf8(message.extension(UUID)?).ok()?;
    let sound = (1..=MAX_UUID).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    sound.then(|| value.to_owned())
}

/// Returns the header fields of a trunk's message that go along with the call, but for the key to the CTI call, which is
/// kept by itself.
pub(super) fn carried_in(message: &Message, carry: &Carry) -> Vec<(String, String)> {
    let hidden = is_withheld(message);
    let shown = |name: &HeaderName<'_>| {
        !name.as_str().eq_ignore_ascii_case(UUID) && (!hidden || name.name != Name::PAssertedIdentity)
    };
    fields(message, &carry.inbound, shown)
}

/// Returns the header fields of a browser's message that the trunk hears.
pub(super) fn carried_out(message: &Message, carry: &Carry) -> Vec<(String, String)> {
    let own = |name: &HeaderName<'_>| !ASSERTED.iter().any(|prefix| starts_with(name.as_str(), prefix));
    fields(message, &carry.outbound, own)
}

/// Returns the header fields that the trunk hears out of those that a command names: as from a browser.
pub(super) fn carried_from(told: Vec<(String, String)>, carry: &Carry) -> Vec<(String, String)> {
    let is_token =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let may_go = |(name, value): &(String, String)| {
        is_token(name)
            && !value.chars().any(char::is_control)
            && may_be_carried(name)
            && !ASSERTED.iter().any(|prefix| starts_with(name, prefix))
            && carry.outbound.iter().any(|pattern| suits(pattern, name))
    };
    within_bounds(told.into_iter().filter(may_go))
}

/// Returns what is carried along, as it is written into a message.
pub(super) fn headers(data: &UserData) -> Vec<Header> {
    data.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect()
}

/// Returns what a browser is told of a call beside its parties: the key to the CTI call, and the user data.
pub(super) fn told_to_browser(parties: &Parties) -> Vec<Header> {
    let uuid = parties.call_uuid.as_ref().map(|uuid| (UUID.to_owned(), uuid.clone().into_bytes()));
    uuid.into_iter().chain(headers(&parties.data)).collect()
}

/// Puts newer fields over older ones of the same name; `None` where nothing changes.
pub(super) fn merged(old: &UserData, new: Vec<(String, String)>) -> Option<UserData> {
    let is_new = |name: &str| new.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    if new.iter().all(|field| old.contains(field)) {
        return None;
    }
    let kept = old.iter().filter(|(name, _)| !is_new(name)).cloned();
    Some(kept.chain(new.iter().cloned()).take(MAX_FIELDS).collect())
}

fn fields(message: &Message, wanted: &[String], allowed: impl Fn(&HeaderName<'_>) -> bool) -> Vec<(String, String)> {
    let found = message.all_headers().filter(|(name, _)| {
        may_be_carried(name.as_str()) && allowed(name) && wanted.iter().any(|pattern| suits(pattern, name.as_str()))
    });
    within_bounds(found.map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value).into_owned())))
}

fn within_bounds(fields: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut room = MAX_BYTES;
    let fits = fields.filter(|(name, value)| match room.checked_sub(name.len() + value.len()) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    });
    fits.take(MAX_FIELDS).collect()
}

/// Returns true for a header field that says nothing of the dialog, the transaction or the hop: only such ones may be
/// carried from one side to the other.
pub(super) fn may_be_carried(name: &str) -> bool {
    match Name::lookup(name.as_bytes()) {
        Name::Other => !starts_with(name, "X-Crosspoint-"),
        name => matches!(
            name,
            Name::AlertInfo
                | Name::CallInfo
                | Name::Diversion
                | Name::HistoryInfo
                | Name::Identity
                | Name::Organization
                | Name::PAssertedIdentity
                | Name::Priority
                | Name::Privacy
                | Name::Subject
                | Name::UserToUser
        ),
    }
}

/// Compares a name with a whole one, or with the beginning that a `*` stands behind.
fn suits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => starts_with(name, prefix),
        None => name.eq_ignore_ascii_case(pattern),
    }
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
