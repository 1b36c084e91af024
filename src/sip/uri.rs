//! SIP, SIPS and tel URIs (RFC 3261 19.1, RFC 3966) as views of a string.
//!
//! Comparison is RFC 3261 19.1.4. We do not resolve hosts here (RFC 3263), because that is the shell's work.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::message::chars::{is_uri, number};

/// The parameters that a URI may have.
pub const MAX_PARAMS: usize = 32;

/// What is wrong with a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// No `scheme:` at the start.
    #[error("no scheme")]
    NoScheme,
    /// A character that no URI has, blanks and brackets among them, or a bad `%` escape.
    #[error("bad character")]
    BadCharacter,
    /// Host missing, malformed, or an IPv6 address without brackets.
    #[error("bad host")]
    BadHost,
    /// Port not a number from 1 to 65535.
    #[error("bad port")]
    BadPort,
    /// A `user@` without a user, or two `@`.
    #[error("bad user part")]
    BadUser,
    /// A parameter without a name, a name twice, or more parameters than [`MAX_PARAMS`].
    #[error("bad parameter")]
    BadParameter,
}

/// The scheme of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`, RFC 3966.
    Tel,
    /// Any other one; only its characters are checked.
    Other,
}

/// A parsed URI. Parts are as spelt, escapes included; see [`unescape`].
#[derive(Clone, Copy, Debug)]
pub struct Uri<'a> {
    text: &'a str,
    /// The scheme.
    pub scheme: Scheme,
    /// The user part, or the number of a `tel:` URI.
    pub user: Option<&'a str>,
    /// The password, which nobody should send.
    pub password: Option<&'a str>,
    /// The host; an IPv6 address keeps its brackets. `""` unless SIP or SIPS.
    pub host: &'a str,
    /// The port, when there is one.
    pub port: Option<u16>,
    /// The parameters without the first `;`.
    pub params: &'a str,
    /// The headers without the `?`.
    pub headers: &'a str,
}

impl<'a> Uri<'a> {
    /// Reads a URI; the whole string must be one.
    pub fn parse(text: &'a str) -> Result<Uri<'a>, UriError> {
        let (scheme, rest) = text.split_once(':').ok_or(UriError::NoScheme)?;
        let mut uri = Uri {
            text,
            scheme: scheme_of(scheme)?,
            user: None,
            password: None,
            host: "",
            port: None,
            params: "",
            headers: "",
        };
        check_characters(rest)?;
        match uri.scheme {
            Scheme::Other => Ok(uri),
            Scheme::Tel => {
                let (number, params) = rest.split_once(';').unwrap_or((rest, ""));
                if number.is_empty() {
                    return Err(UriError::BadUser);
                }
                (uri.user, uri.params) = (Some(number), params);
                check_params(params, rest.len() > number.len())?;
                Ok(uri)
            }
            Scheme::Sip | Scheme::Sips => uri.sip(rest),
        }
    }

    fn sip(mut self, rest: &'a str) -> Result<Uri<'a>, UriError> {
        let rest = match rest.split_once('@') {
            None => rest,
            Some((user, rest)) => {
                let (user, password) = match user.split_once(':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (user, None),
                };
                if user.is_empty() || user.contains(['[', ']', '#']) || rest.contains('@') {
                    return Err(UriError::BadUser);
                }
                (self.user, self.password) = (Some(user), password);
                rest
            }
        };
        let host_end = match rest.strip_prefix('[') {
            Some(inner) => inner.find(']').ok_or(UriError::BadHost)? + 2,
            None => rest.find([':', ';', '?']).unwrap_or(rest.len()),
        };
        let (host, rest) = rest.split_at(host_end);
        if !check_host(host) {
            return Err(UriError::BadHost);
        }
        self.host = host;
        let (head, headers) = rest.split_once('?').unwrap_or((rest, ""));
        if rest.len() > head.len() && headers.is_empty() {
            return Err(UriError::BadParameter);
        }
        self.headers = headers;
        let (port, params) = head.split_once(';').unwrap_or((head, ""));
        check_params(params, head.len() > port.len())?;
        self.params = params;
        self.port = match port.as_bytes() {
            [] => None,
            [b':', digits @ ..] => {
                Some(number(digits, 65_535).filter(|&port| port > 0).ok_or(UriError::BadPort)? as u16)
            }
            _ => return Err(UriError::BadHost),
        };
        Ok(self)
    }

    /// Whether the scheme is SIP or SIPS.
    pub fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// The value of a parameter; `""` for a flag, `None` when absent.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        pairs(self.params, ';').find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Name and value of each `?name=value` header, as spelt (escaped).
    pub fn header_pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        pairs(self.headers, '&')
    }

    /// The user part with its escapes undone; `""` without one.
    pub fn user_unescaped(&self) -> String {
        unescape(self.user.unwrap_or_default())
    }

    /// The host as an address, when it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        host_ip(self.host)
    }

    /// The URI as it was read.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// Whether both name the same resource by RFC 3261 19.1.4. Not transitive, hence no `PartialEq`.
    pub fn equivalent(&self, other: &Uri<'_>) -> bool {
        if self.scheme != other.scheme {
            return false;
        }
        match self.scheme {
            Scheme::Other => return self.text == other.text,
            Scheme::Tel => {
                let digits = |uri: &Uri<'_>| -> String {
                    uri.user.unwrap_or_default().chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect()
                };
                return digits(self).eq_ignore_ascii_case(&digits(other)) && same_params(self, other);
            }
            Scheme::Sip | Scheme::Sips => {}
        }
        let same_host = match (self.ip(), other.ip()) {
            (Some(a), Some(b)) => a == b,
            _ => self.host.eq_ignore_ascii_case(other.host),
        };
        same_host
            && self.port == other.port
            && self.user.map(unescape) == other.user.map(unescape)
            && self.password.map(unescape) == other.password.map(unescape)
            && same_params(self, other)
            && same_headers(self, other)
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

fn scheme_of(text: &str) -> Result<Scheme, UriError> {
    let sound = text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !sound {
        return Err(UriError::NoScheme);
    }
    Ok(match text {
        _ if text.eq_ignore_ascii_case("sip") => Scheme::Sip,
        _ if text.eq_ignore_ascii_case("sips") => Scheme::Sips,
        _ if text.eq_ignore_ascii_case("tel") => Scheme::Tel,
        _ => Scheme::Other,
    })
}

fn check_characters(text: &str) -> Result<(), UriError> {
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        let hex = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_hexdigit());
        if !is_uri(b) || (b == b'%' && !(hex(bytes.next()) && hex(bytes.next()))) {
            return Err(UriError::BadCharacter);
        }
    }
    Ok(())
}

/// A name must not come twice (RFC 3261 19.1.1, RFC 3966 3): which value would hold?
fn check_params(params: &str, present: bool) -> Result<(), UriError> {
    let names = || params.split(';').map(|param| param.split('=').next().unwrap_or_default());
    let sound = |(n, name): (usize, &str)| {
        n < MAX_PARAMS && !name.is_empty() && !names().take(n).any(|earlier| earlier.eq_ignore_ascii_case(name))
    };
    if present && !names().enumerate().all(sound) {
        return Err(UriError::BadParameter);
    }
    Ok(())
}

/// Whether `host` is a name, an IPv4 address or an IPv6 address in brackets.
pub(crate) fn check_host(host: &str) -> bool {
    if host.starts_with('[') {
        return host_ip(host).is_some();
    }
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

/// The address that a host part spells, if any. `:::` before an IPv4 tail is read as `::`, as RFC 5118 4.10 asks.
pub fn host_ip(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(inner) => {
            let inner = inner.strip_suffix(']')?;
            let direct: Result<Ipv6Addr, _> = inner.parse();
            direct.or_else(|_| inner.replacen(":::", "::", 1).parse()).ok().map(IpAddr::V6)
        }
        None => host.parse().ok(),
    }
}

fn pairs(text: &str, separator: char) -> impl Iterator<Item = (&str, &str)> {
    text.split(separator).filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Parameters in both must agree; these five must be in both or in neither.
const TELLING: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

fn same_params(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    let agrees = |a: &Uri<'_>, b: &Uri<'_>| {
        pairs(a.params, ';').all(|(name, value)| match b.param(name) {
            Some(other) => unescape(value).eq_ignore_ascii_case(&unescape(other)),
            None => !TELLING.iter().any(|telling| telling.eq_ignore_ascii_case(name)),
        })
    };
    agrees(a, b) && agrees(b, a)
}

fn same_headers(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    let sorted = |uri: &Uri<'_>| {
        let mut all: Vec<_> = uri.header_pairs().map(|(k, v)| (k.to_ascii_lowercase(), unescape(v))).collect();
        all.sort();
        all
    };
    sorted(a) == sorted(b)
}

/// Undoes `%HH`; bytes that make no UTF-8 become U+FFFD.
pub fn unescape(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digit = |b: &u8| char::from(*b).to_digit(16);
        match (first, tail) {
            (b'%', [a, b, after @ ..]) if let (Some(high), Some(low)) = (digit(a), digit(b)) => {
                out.push((high * 16 + low) as u8);
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Escapes what may not stand in a `user` part or a header value of a URI.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        let plain = b.is_ascii_alphanumeric()
            || matches!(b, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' | b'+');
        if plain {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests;
