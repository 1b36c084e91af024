//! Whether a page may open a WebSocket here (RFC 6454, RFC 6455 10.2): a foreign page must not use a browser as its way in.
//! Nor may a stranger's name that leads to this machine (DNS rebinding): what a page asks of its own origin by GET carries
//! no Origin, so on a listener that only this machine reaches the Host is looked at.

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Config, Link, Site};

/// What the Origin header came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The listener's own page, an allowed one, or no browser.
    Allowed,
    /// Not allowed.
    Foreign,
    /// There is none, and there must be.
    Missing,
}

/// Judges `origin` of a request for `host`.
pub fn judge(config: &Config, link: &Link, origin: Option<&str>, host: Option<&str>) -> Verdict {
    if origin.is_none() && config.require_origin {
        return Verdict::Missing;
    }
    judge_any(config.origins.iter(), link, origin, host)
}

/// Judges `origin` of a request for `host` by an allow-list; whoever names none is no page.
pub(super) fn judge_any<'a>(
    mut allowed: impl Iterator<Item = &'a String>,
    link: &Link,
    origin: Option<&str>,
    host: Option<&str>,
) -> Verdict {
    let Some(origin) = origin else { return Verdict::Allowed };
    let Some(origin) = Origin::parse(origin) else { return Verdict::Foreign };
    if allowed.any(|allowed| Origin::parse(allowed).is_some_and(|allowed| allowed == origin)) {
        return Verdict::Allowed;
    }
    let is_own = own(link, host).is_some_and(|own| own == origin);
    if is_own { Verdict::Allowed } else { Verdict::Foreign }
}

/// Returns true where `origin` is the listener's own, and no other that may be allowed beside it.
pub fn is_own(link: &Link, origin: &str, host: Option<&str>) -> bool {
    own(link, host).is_some_and(|own| Origin::parse(origin) == Some(own))
}

/// Returns true where a page of another origin than the listener's own asks; who names none is no page.
pub fn is_foreign(link: &Link, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    text(header::ORIGIN).is_some_and(|origin| !is_own(link, origin, text(header::HOST)))
}

/// Returns true where `host` may be the name of a page of the listener's own.
pub fn is_own_host(link: &Link, host: Option<&str>) -> bool {
    own(link, host).is_some()
}

/// The listener's own origin under the name that a request used.
fn own(link: &Link, host: Option<&str>) -> Option<Origin> {
    let scheme = if link.secure { "https" } else { "http" };
    let own = Origin::parse(&format!("{scheme}://{}", host?))?;
    // A name that a stranger's DNS points at 127.0.0.1 must not become an own origin.
    (!link.local_only || is_this_machine(&own.host)).then_some(own)
}

/// Returns true for an origin as it may stand in the configuration: `https://host[:port]`, nothing behind it.
pub fn is_origin(text: &str) -> bool {
    Origin::parse(text).is_some()
}

#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    fn parse(text: &str) -> Option<Origin> {
        let text = text.trim().to_ascii_lowercase();
        let (scheme, rest) = text.split_once("://")?;
        let default = match scheme {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (rest, default),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let fits = match host.strip_prefix('[') {
            Some(v6) => v6.strip_suffix(']').is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok()),
            None => !host.is_empty() && host.chars().all(is_name),
        };
        fits.then(|| Origin { scheme: scheme.into(), host: host.into(), port })
    }
}

/// Tells whether a Host header names this machine as nobody can from outside: a name that is looked up may lead anywhere.
pub(super) fn names_this_machine(host: &str) -> bool {
    host_of(host).is_some_and(|name| is_this_machine(&name))
}

/// Tells whether a request by `link` may have this Host: on a plain listener of loopback a name of this machine, or of an
/// allowed origin, for which a proxy may stand before us.
fn may_be_named<'a>(mut allowed: impl Iterator<Item = &'a String>, link: &Link, host: Option<&str>) -> bool {
    if !link.local_only {
        return true;
    }
    let Some(name) = host.and_then(host_of) else { return false };
    is_this_machine(&name) || allowed.any(|origin| Origin::parse(origin).is_some_and(|origin| origin.host == name))
}

/// Before each request: refuses what a stranger's name has led here. SIP over WebSocket judges the Origin, which it always
/// has; whether we live is no secret.
pub(super) async fn admit(
    State(site): State<Site>,
    Extension(link): Extension<Link>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let allowed = site.config.origins.iter().chain(site.config.desk.origins.iter());
    if path == "/health" || path == site.config.ws_path || may_be_named(allowed, &link, host) {
        return next.run(request).await;
    }
    let why = "this Host is no name of this machine, nor of an allowed origin; see `origins` in the configuration\n";
    (StatusCode::FORBIDDEN, why).into_response()
}

fn host_of(host: &str) -> Option<String> {
    Origin::parse(&format!("http://{host}")).map(|origin| origin.host)
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::ListenerId;

    fn link(secure: bool, local_only: bool) -> Link {
        let peer = "127.0.0.1:1".parse().expect("address");
        Link { peer, secure, listener: ListenerId(0), local_only }
    }

    fn judged(origin: &str, host: &str) -> Verdict {
        let config = Config { origins: vec!["https://desk.example".into()], ..Config::default() };
        judge(&config, &link(true, false), Some(origin), Some(host))
    }

    #[test]
    fn the_own_origin_is_allowed_with_and_without_its_default_port() {
        assert_eq!(judged("https://gw.example:8443", "gw.example:8443"), Verdict::Allowed);
        assert_eq!(judged("https://GW.example", "gw.example:443"), Verdict::Allowed);
        assert_eq!(judged("https://[::1]:8443", "[::1]:8443"), Verdict::Allowed);
        assert_eq!(judged("https://[::1]", "[::1]"), Verdict::Allowed);
    }

    #[test]
    fn another_port_scheme_or_host_is_foreign() {
        assert_eq!(judged("https://gw.example:8444", "gw.example:8443"), Verdict::Foreign);
        assert_eq!(judged("http://gw.example:8443", "gw.example:8443"), Verdict::Foreign);
        assert_eq!(judged("https://gw.example.evil", "gw.example"), Verdict::Foreign);
        assert_eq!(judged("null", "gw.example"), Verdict::Foreign);
        assert_eq!(judged("https://gw.example@evil", "gw.example"), Verdict::Foreign);
        assert_eq!(judged("https://gw.example/x", "gw.example"), Verdict::Foreign);
    }

    #[test]
    fn a_configured_origin_is_allowed_exactly() {
        assert_eq!(judged("https://desk.example", "gw.example:8443"), Verdict::Allowed);
        assert_eq!(judged("https://desk.example:8443", "gw.example:8443"), Verdict::Foreign);
        assert_eq!(judged("https://sub.desk.example", "gw.example:8443"), Verdict::Foreign);
    }

    #[test]
    fn a_missing_origin_is_a_matter_of_configuration() {
        let mut config = Config::default();
        assert_eq!(judge(&config, &link(true, false), None, Some("gw")), Verdict::Allowed);
        config.require_origin = true;
        assert_eq!(judge(&config, &link(true, false), None, Some("gw")), Verdict::Missing);
    }

    #[test]
    fn a_name_rebound_to_loopback_is_foreign() {
        let config = Config::default();
        let judged = |host: &str| judge(&config, &link(false, true), Some(&format!("http://{host}")), Some(host));
        assert_eq!(judged("evil.example:8080"), Verdict::Foreign);
        assert_eq!(judged("localhost:8080"), Verdict::Allowed);
        assert_eq!(judged("127.0.0.1:8080"), Verdict::Allowed);
        assert_eq!(judged("[::1]:8080"), Verdict::Allowed);
    }
    #[test]
    fn a_stranger_cannot_name_a_listener_of_loopback() {
        let origins = ["https://desk.example".to_owned()];
        let may = |local_only, host: Option<&str>| may_be_named(origins.iter(), &link(false, local_only), host);
        for host in ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "desk.example", "Desk.example:443"]
        {
            assert!(may(true, Some(host)), "{host}");
        }
        for host in ["evil.example:8080", "127.0.0.1.evil.example", "192.0.2.1", "", "a desk.example", "localhost@evil"]
        {
            assert!(!may(true, Some(host)), "{host}");
        }
        assert!(!may(true, None));
        assert!(may(false, Some("gw.example")) && may(false, None));
    }
    #[test]
    fn a_page_of_another_origin_is_foreign_to_what_only_own_pages_ask_for() {
        let asked = |host: &'static str, origin: Option<&'static str>| {
            let mut headers = HeaderMap::from_iter([(header::HOST, host.parse().expect("a value"))]);
            headers.extend(origin.map(|origin| (header::ORIGIN, origin.parse().expect("a value"))));
            is_foreign(&link(false, true), &headers)
        };
        assert!(!asked("localhost:8080", None));
        assert!(!asked("localhost:8080", Some("http://localhost:8080")));
        assert!(asked("localhost:8080", Some("http://localhost:9090")));
        assert!(asked("localhost:8080", Some("null")));
        assert!(asked("evil.example", Some("http://evil.example")));
    }
}
