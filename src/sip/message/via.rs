//! Via: where a request came from and where its response goes (RFC 3261 20.42, RFC 3581).

use super::chars::{find_outside, is_blank, number, token, trim};
use super::nameaddr::Params;
use crate::sip::uri::check_host;

/// One element of a Via header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, `TLS`, `WS`, `WSS` or any other token, as spelt.
    pub transport: &'a str,
    /// The sent-by host; an IPv6 address keeps its brackets.
    pub host: &'a str,
    /// The sent-by port, when there is one.
    pub port: Option<u16>,
    /// All parameters.
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads one element, `SIP/2.0/UDP host:port;params`; blanks around the separators are legal.
    pub fn parse(text: &'a [u8]) -> Option<Via<'a>> {
        let (name, rest) = split(text, b'/')?;
        let (version, rest) = split(rest, b'/')?;
        if !name.eq_ignore_ascii_case(b"SIP") || version != b"2.0" {
            return None;
        }
        let rest = trim(rest);
        let end = rest.iter().position(|&b| is_blank(b))?;
        let transport = token(&rest[..end])?;
        let rest = &rest[end..];
        let semicolon = find_outside(rest, b';');
        let sent_by = trim(&rest[..semicolon]);
        let params = Params::parse(&rest[semicolon..])?;
        let host_end = match sent_by.first()? {
            b'[' => sent_by.iter().position(|&b| b == b']')? + 1,
            _ => sent_by.iter().position(|&b| b == b':').unwrap_or(sent_by.len()),
        };
        let host = std::str::from_utf8(trim(&sent_by[..host_end])).ok()?;
        check_host(host).then_some(())?;
        let port = match trim(&sent_by[host_end..]) {
            [] => None,
            [b':', digits @ ..] => Some(number(trim(digits), 65_535).filter(|&port| port > 0)? as u16),
            _ => return None,
        };
        Some(Via { transport, host, port, params })
    }

    /// The transaction's branch.
    pub fn branch(&self) -> Option<&'a str> {
        self.params.get("branch").filter(|branch| !branch.is_empty())
    }

    /// Whether the client asks for a response to its source port (RFC 3581), with or without a value.
    pub fn has_rport(&self) -> bool {
        self.params.has("rport")
    }

    /// The source port that a server wrote into `rport`.
    pub fn rport(&self) -> Option<u16> {
        self.params.get("rport").and_then(|text| text.parse().ok())
    }

    /// The source address that a server wrote, without brackets.
    pub fn received(&self) -> Option<&'a str> {
        let text = self.params.get("received")?;
        Some(text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text))
    }
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let i = text.iter().position(|&b| b == at)?;
    Some((trim(&text[..i]), &text[i + 1..]))
}
