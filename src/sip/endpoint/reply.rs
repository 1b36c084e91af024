//! The way back of a response (RFC 3261 18.2, RFC 3581).

use std::net::SocketAddr;

use bytes::Bytes;

use crate::path::Path;
use crate::sip::message::{Message, Name, Via};
use crate::sip::uri::host_ip;

/// Where responses to a request go: a flow is used again; over UDP the source address, and the source port only when
/// the client asked for it by `rport`, else that of the Via.
pub(super) fn reply_path(via: &Via<'_>, source: Path) -> Path {
    match source {
        Path::Udp { local, remote } if !via.has_rport() => {
            Path::Udp { local, remote: SocketAddr::new(remote.ip(), via.port.unwrap_or(5060)) }
        }
        path => path,
    }
}

/// Finishes a response: `received` and `rport` in its top Via, and a To tag where it has none.
pub(super) fn finish(response: &Message, source: SocketAddr, tag: &str) -> Bytes {
    let raw = response.raw();
    let mut edits: Vec<(usize, usize, Vec<u8>)> = Vec::with_capacity(2);
    if let Some(value) = response.headers(Name::Via).next()
        && let Some(text) = stamped(&response.via(), source)
    {
        edits.extend(place(raw, value).map(|at| (at, value.len(), text.into_bytes())));
    }
    if response.status() > 100
        && response.to().tag().is_none()
        && let Some(value) = response.header(Name::To)
    {
        edits.extend(place(raw, value).map(|at| (at + value.len(), 0, format!(";tag={tag}").into_bytes())));
    }
    if edits.is_empty() {
        return raw.clone();
    }
    edits.sort_unstable_by_key(|(at, ..)| *at);
    let mut out = Vec::with_capacity(raw.len() + 96);
    let mut from = 0;
    for (at, len, text) in edits {
        out.extend_from_slice(raw.get(from..at).unwrap_or_default());
        out.extend_from_slice(&text);
        from = at + len;
    }
    out.extend_from_slice(raw.get(from..).unwrap_or_default());
    Bytes::from(out)
}

/// Offset of `part` in `whole`, of which it is a view; `None` when it is not.
fn place(whole: &[u8], part: &[u8]) -> Option<usize> {
    let at = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    (whole.get(at..at.checked_add(part.len())?)? == part).then_some(at)
}

/// The top Via with `received` (RFC 3261 18.2.1) and `rport` (RFC 3581 4); `None` when neither is called for.
fn stamped(via: &Via<'_>, source: SocketAddr) -> Option<String> {
    let is_literal = host_ip(via.host) == Some(source.ip());
    if is_literal && !via.has_rport() {
        return None;
    }
    let mut text = format!("SIP/2.0/{} {}", via.transport, via.host);
    if let Some(port) = via.port {
        text.push_str(&format!(":{port}"));
    }
    for (name, value) in via.params.iter() {
        if name.eq_ignore_ascii_case("received") || name.eq_ignore_ascii_case("rport") {
            continue;
        }
        match value {
            Some(value) => text.push_str(&format!(";{name}={}", String::from_utf8_lossy(value))),
            None => text.push_str(&format!(";{name}")),
        }
    }
    text.push_str(&format!(";received={}", source.ip()));
    if via.has_rport() {
        text.push_str(&format!(";rport={}", source.port()));
    }
    Some(text)
}
