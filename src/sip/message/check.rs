//! What a message must be before anyone else sees it: complete, unambiguous, its numbers in range.

use super::chars::{Elements, find_outside, is_blank, number, token, trim};
use super::malformed::{Flaw, bad};
use super::parse::{cseq, value};
use super::{Method, Name, NameAddr, Parsed, Start, Via};
use crate::sip::uri::{Scheme, Uri, UriError};

/// Judges the whole message; the first flaw counts.
pub(super) fn message(parsed: &Parsed) -> Result<(), Flaw> {
    let text = parsed.text();
    let mut seen = 0u128;
    for field in &parsed.fields {
        let bit = 1u128 << field.name as u8;
        if field.name.is_single() && seen & bit != 0 {
            return Err(bad("Duplicate Header"));
        }
        seen |= bit;
        field_value(field.name, field.value.of(text), parsed)?;
    }
    for (name, flaw) in [
        (Name::Via, "Missing Via"),
        (Name::From, "Missing From"),
        (Name::To, "Missing To"),
        (Name::CallId, "Missing Call-ID"),
        (Name::CSeq, "Missing CSeq"),
    ] {
        if seen & (1 << name as u8) == 0 {
            return Err(bad(flaw));
        }
    }
    if let Start::Request { method, uri } = &parsed.start {
        if *method != parsed.cseq.method {
            return Err(bad("CSeq Method Mismatch"));
        }
        request_uri(std::str::from_utf8(uri.of(text)).map_err(|_| bad("Bad Request-URI"))?)?;
        if *method == Method::Register {
            address_of_record(value(parsed, Name::To).unwrap_or_default())?;
        }
    }
    Ok(())
}

fn field_value(name: Name, text: &[u8], parsed: &Parsed) -> Result<(), Flaw> {
    let is_request = matches!(parsed.start, Start::Request { .. });
    match name {
        Name::Via => via(text, is_request),
        Name::From => party(text).ok_or(bad("Bad From")),
        Name::To => party(text).ok_or(bad("Bad To")),
        Name::Contact => Elements::new(text).try_for_each(contact),
        Name::Route | Name::RecordRoute | Name::Path | Name::ServiceRoute => Elements::new(text).try_for_each(route),
        Name::CallId if text.is_empty() || text.iter().any(|&b| is_blank(b) || !b.is_ascii()) => {
            Err(bad("Bad Call-ID"))
        }
        Name::CSeq => cseq(text).map(drop).ok_or(bad("Bad CSeq")),
        Name::MaxForwards => number(text, 255).map(drop).ok_or(bad("Bad Max-Forwards")),
        Name::Expires | Name::MinExpires | Name::RSeq => seconds(text, name),
        Name::SessionExpires | Name::MinSe | Name::RetryAfter => {
            let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
            let rest = trim(&text[end..]);
            if !matches!(rest.first(), None | Some(b';' | b'(')) {
                return Err(bad("Bad Number"));
            }
            seconds(&text[..end], name)
        }
        Name::ContentLength => content_length(text, parsed),
        Name::ContentType if !text.contains(&b'/') => Err(bad("Bad Content-Type")),
        Name::Date if !text.ends_with(b" GMT") => Err(bad("Bad Date")),
        Name::Warning if is_request => {
            Elements::new(text).try_for_each(|element| match element.iter().position(|&b| is_blank(b)) {
                Some(3) if number(&element[..3], 999).is_some() => Ok(()),
                _ => Err(bad("Bad Warning")),
            })
        }
        _ => Ok(()),
    }
}

/// From or To: one address, one tag at most, and that a token: else a response would get a second one.
fn party(text: &[u8]) -> Option<()> {
    let address = NameAddr::parse(text).ok()?;
    let sound_tag = address.params.get_bytes("tag").is_none_or(|tag| token(tag).is_some());
    (sound_tag && !address.is_star() && !address.params.is_repeated("tag")).then_some(())
}

/// Whole seconds below 2^32. RFC 3261 20.19 lets a bad Expires pass as an hour; out of range is refused (RFC 4475 3.1.2.4).
fn seconds(text: &[u8], name: Name) -> Result<(), Flaw> {
    let reason = if name == Name::Expires { "Bad Expires" } else { "Bad Number" };
    number(text, u64::from(u32::MAX)).map(drop).ok_or(bad(reason))
}

fn via(text: &[u8], is_request: bool) -> Result<(), Flaw> {
    for element in Elements::new(text) {
        let via = Via::parse(element).ok_or(bad("Bad Via"))?;
        if via.params.is_repeated("branch") {
            return Err(bad("Bad Via"));
        }
        if is_request && via.params.get("branch").is_some_and(|branch| branch.eq_ignore_ascii_case("z9hG4bK")) {
            return Err(bad("Empty Branch"));
        }
    }
    Ok(())
}

fn contact(element: &[u8]) -> Result<(), Flaw> {
    let contact = NameAddr::parse(element).map_err(|_| bad("Bad Contact"))?;
    let overflows = contact.param("expires").is_some_and(|text| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u32>().is_err()
    });
    if overflows { Err(bad("Bad Contact Expires")) } else { Ok(()) }
}

/// A route is always in angle brackets (RFC 3261 20.30, 20.34).
fn route(element: &[u8]) -> Result<(), Flaw> {
    if find_outside(element, b';') == 0 || !element.contains(&b'<') || NameAddr::parse(element).is_err() {
        return Err(bad("Bad Route"));
    }
    Ok(())
}

fn content_length(text: &[u8], parsed: &Parsed) -> Result<(), Flaw> {
    let length = number(text, u64::from(u32::MAX)).ok_or(bad("Bad Content-Length"))?;
    if length > u64::from(parsed.body.end - parsed.body.start) {
        return Err(bad("Body Shorter Than Content-Length"));
    }
    Ok(())
}

/// SIP, SIPS or tel (RFC 3966); a SIP URI there carries no headers (RFC 3261 19.1.1, table 1).
fn request_uri(text: &str) -> Result<(), Flaw> {
    match Uri::parse(text) {
        Ok(uri) if uri.scheme == Scheme::Other => Err(Flaw { status: 416, reason: "Unsupported URI Scheme" }),
        Ok(uri) if !uri.headers.is_empty() => Err(bad("Headers In Request-URI")),
        Ok(_) => Ok(()),
        Err(UriError::BadHost) => Err(bad("Bad Host In Request-URI")),
        Err(_) => Err(bad("Bad Request-URI")),
    }
}

/// The To of a REGISTER is a SIP or SIPS URI (RFC 3261 10.3, RFC 4475 3.3.4).
fn address_of_record(to: &[u8]) -> Result<(), Flaw> {
    let uri = NameAddr::parse(to).ok().and_then(|to| Uri::parse(to.uri).ok());
    if uri.is_some_and(|uri| uri.is_sip()) { Ok(()) } else { Err(bad("To Is No Address-Of-Record")) }
}
