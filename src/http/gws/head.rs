//! Header fields on their way through: hop-by-hop ones stay here (RFC 9110 7.6.1), and what would speak for another
//! origin than ours.

use axum::http::uri::Uri;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::super::Link;
use super::Upstream;
use super::cookie::{self, Flags};

/// Fields of one connection.
const HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields of a request that are not the GWS's business, or that we say ourselves.
const FROM_PAGE: &[&str] =
    &["host", "origin", "referer", "cookie", "forwarded", "x-real-ip", "service-worker", "expect"];

/// Fields of an answer that would act on our whole origin.
const FROM_GWS: &[&str] = &[
    "set-cookie",
    "set-cookie2",
    "location",
    "www-authenticate",
    "strict-transport-security",
    "clear-site-data",
    "service-worker-allowed",
    "alt-svc",
    "refresh",
    "link",
    "report-to",
    "reporting-endpoints",
    "nel",
    "content-security-policy",
    "content-security-policy-report-only",
    "permissions-policy",
    "x-frame-options",
];

/// Tells whether a request asks for a WebSocket (RFC 6455 4.1).
pub(super) fn is_websocket(headers: &HeaderMap) -> bool {
    let is = |name, what: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(what))
    };
    is(header::UPGRADE, "websocket") && is(header::CONNECTION, "upgrade")
}

/// Tells which fields are of the connection alone.
fn is_hop(headers: &HeaderMap, name: &HeaderName) -> bool {
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    HOP.contains(&name.as_str())
        || named.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(name.as_str()))
}

fn kept(headers: &HeaderMap, drops: impl Fn(&str) -> bool) -> HeaderMap {
    let through = headers.iter().filter(|(name, _)| !is_hop(headers, name) && !drops(name.as_str()));
    through.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn add_upgrade(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// The fields of a request, for the GWS.
pub(super) fn request(headers: &HeaderMap, upstream: &Upstream, link: &Link, websocket: bool) -> HeaderMap {
    let drops = |name: &str| {
        FROM_PAGE.contains(&name)
            || ["sec-fetch-", "sec-ch-", "x-forwarded-"].iter().any(|family| name.starts_with(family))
    };
    let mut through = kept(headers, drops);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    if let Some(cookies) = cookie::request(upstream, cookies).and_then(|text| HeaderValue::try_from(text).ok()) {
        through.insert(header::COOKIE, cookies);
    }
    if let Ok(peer) = HeaderValue::try_from(link.peer.ip().to_canonical().to_string()) {
        through.insert(HeaderName::from_static("x-forwarded-for"), peer);
    }
    if websocket {
        add_upgrade(&mut through);
        // To the GWS this is its own page, which it is by our configuration's word.
        if let Ok(own) = HeaderValue::try_from(format!("{}://{}", upstream.scheme, upstream.authority)) {
            through.insert(header::ORIGIN, own);
        }
    }
    through
}

/// The fields of an answer, for the page.
pub(super) fn response(headers: &HeaderMap, upstream: &Upstream, flags: Flags, websocket: bool) -> HeaderMap {
    let drops = |name: &str| FROM_GWS.contains(&name) || name.starts_with("access-control-");
    let mut through = kept(headers, drops);
    let set = headers.get_all(header::SET_COOKIE).iter().take(cookie::MAX_COOKIES);
    for set in set.filter_map(|value| cookie::response(upstream, value.to_str().ok()?, flags)) {
        if let Ok(value) = HeaderValue::try_from(set) {
            through.append(header::SET_COOKIE, value);
        }
    }
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    if let Some(value) = location.and_then(|to| location_of(to, upstream)).and_then(|to| HeaderValue::try_from(to).ok())
    {
        through.insert(header::LOCATION, value);
    }
    through.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    if websocket {
        add_upgrade(&mut through);
    }
    through
}

/// A place at the GWS as the page reaches it; `None`: it leads elsewhere, where the page does not go.
fn location_of(to: &str, upstream: &Upstream) -> Option<String> {
    let uri: Uri = to.parse().ok()?;
    let is_theirs = match (uri.scheme(), uri.authority()) {
        (None, None) => to.starts_with('/'),
        (Some(scheme), Some(authority)) => *scheme == upstream.scheme && *authority == upstream.authority,
        _ => false,
    };
    let path = uri.path_and_query()?.as_str().strip_prefix(&*upstream.base)?;
    (is_theirs && path.starts_with('/')).then(|| format!("/gws/{}{path}", upstream.name))
}
