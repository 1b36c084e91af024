//! Addresses with parameters: From, To, Contact, Route, Refer-To (RFC 3261 20.10, 25.1).

use super::chars::{find_outside, is_token, quoted_end, trim};
use crate::sip::uri::Uri;

/// The parameters behind a value, `;name=value;flag`; checked when the value was parsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a>(pub(crate) &'a [u8]);

impl<'a> Params<'a> {
    /// Takes `text`, which is empty or opens with `;`, when each parameter is a token with or without a value.
    pub fn parse(text: &'a [u8]) -> Option<Params<'a>> {
        let text = trim(text);
        let params = Params(text);
        if !text.is_empty() && text[0] != b';' {
            return None;
        }
        let sound = params
            .raw()
            .all(|(name, value)| !name.is_empty() && name.iter().all(|&b| is_token(b)) && value.is_none_or(is_value));
        sound.then_some(params)
    }

    fn raw(self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        let mut rest = self.0.get(1..);
        std::iter::from_fn(move || {
            let text = rest?;
            let end = find_outside(text, b';');
            rest = text.get(end + 1..);
            let param = &text[..end];
            Some(match param.iter().position(|&b| b == b'=') {
                Some(at) => (trim(&param[..at]), Some(trim(&param[at + 1..]))),
                None => (trim(param), None),
            })
        })
    }

    /// Name and value of each parameter, in order; a value keeps its quotes.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> {
        self.raw().filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value)))
    }

    /// The value of a parameter, quotes taken off; `""` for a flag, `None` when absent or not UTF-8.
    pub fn get(self, name: &str) -> Option<&'a str> {
        let value = self.get_bytes(name)?;
        std::str::from_utf8(value).ok()
    }

    /// As [`Params::get`], for a value in any character set.
    pub fn get_bytes(self, name: &str) -> Option<&'a [u8]> {
        let (_, value) = self.raw().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))?;
        let value = value.unwrap_or_default();
        Some(match value {
            [b'"', inner @ .., b'"'] => inner,
            bare => bare,
        })
    }

    /// Whether the parameter is there, with or without a value.
    pub fn has(self, name: &str) -> bool {
        self.raw().any(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Whether the parameter is there twice, which RFC 3261 7.3.1 forbids.
    pub fn is_repeated(self, name: &str) -> bool {
        self.raw().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).nth(1).is_some()
    }

    /// The text as it stands, from the first `;`; empty when there are none.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// A parameter value: a quoted string, or one word without blanks, control characters, quotes and brackets.
fn is_value(value: &[u8]) -> bool {
    match value {
        [] => false,
        [b'"', ..] => quoted_end(value) == Some(value.len()),
        word => word.iter().all(|&b| b > b' ' && b != 0x7f && !matches!(b, b'"' | b'<' | b'>' | b',')),
    }
}

/// An address is no `name-addr` and no `addr-spec` of RFC 3261 25.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad address: {0}")]
pub struct NameAddrError(pub &'static str);

/// `"Display" <uri>;params` or `uri;params`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The display name without its quotes; backslash escapes are left as they are.
    pub display: Option<&'a [u8]>,
    /// The URI, of any scheme; `*` for the Contact of that value.
    pub uri: &'a str,
    /// The parameters of the header (not of the URI).
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one element. Without angle brackets all parameters belong to the header, and the URI has no `?`.
    pub fn parse(text: &'a [u8]) -> Result<NameAddr<'a>, NameAddrError> {
        let text = trim(text);
        let (display, rest) = match text.first() {
            Some(b'"') => {
                let end = quoted_end(text).ok_or(NameAddrError("quoted string does not end"))?;
                let rest = trim(&text[end..]);
                if rest.first() != Some(&b'<') {
                    return Err(NameAddrError("no address behind the display name"));
                }
                (Some(&text[1..end - 1]), rest)
            }
            _ => match text.iter().position(|&b| b == b'<') {
                Some(at) if !text[..at].contains(&b';') => {
                    let words = trim(&text[..at]);
                    if words.iter().any(|b| matches!(b, b',' | b'"' | b'>' | b'\\')) {
                        return Err(NameAddrError("display name is neither tokens nor quoted"));
                    }
                    ((!words.is_empty()).then_some(words), &text[at..])
                }
                _ => return NameAddr::bare(text),
            },
        };
        let close = rest.iter().position(|&b| b == b'>').ok_or(NameAddrError("no closing bracket"))?;
        let uri = check_uri(&rest[1..close])?;
        let params = Params::parse(&rest[close + 1..]).ok_or(NameAddrError("bad parameter"))?;
        Ok(NameAddr { display, uri, params })
    }

    fn bare(text: &'a [u8]) -> Result<NameAddr<'a>, NameAddrError> {
        let end = text.iter().position(|&b| b == b';').unwrap_or(text.len());
        let uri = trim(&text[..end]);
        if uri.iter().any(|b| matches!(b, b'?' | b',')) {
            return Err(NameAddrError("such a URI needs angle brackets"));
        }
        let uri = if uri == b"*" { "*" } else { check_uri(uri)? };
        let params = Params::parse(&text[end..]).ok_or(NameAddrError("bad parameter"))?;
        Ok(NameAddr { display: None, uri, params })
    }

    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&'a str> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }

    /// A header parameter by name; `""` for a flag.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        self.params.get(name)
    }

    /// Whether this is the `*` of `Contact: *` (RFC 3261 10.2.2).
    pub fn is_star(&self) -> bool {
        self.uri == "*"
    }
}

/// Any absolute URI is carried along; a SIP URI must be a sound one.
fn check_uri(text: &[u8]) -> Result<&str, NameAddrError> {
    let uri = std::str::from_utf8(text).map_err(|_| NameAddrError("URI is not UTF-8"))?;
    Uri::parse(uri).map_err(|_| NameAddrError("bad URI"))?;
    Ok(uri)
}
