//! The phone page, built by Vite into `web/dist` and embedded; and the headers that every answer carries.

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::{Config, Link, Site};

#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Assets;

/// Shown where the page was not built before the gateway.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>crosspoint</title>\
    <h1>crosspoint</h1><p>The gateway runs, but it was built without the phone page. \
    Build the page first: <code>npm ci &amp;&amp; npm run build</code> in <code>web/</code>, then the gateway; \
    <code>make lab</code> does both.</p>";

/// Serves a file of the page.
pub(super) async fn serve(State(site): State<Site>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if site.config.page.is_none() {
        return (StatusCode::NOT_FOUND, "not found\n").into_response();
    }
    // A client that is told the guide's wrong path shall not take a page, or a 405, for CometD.
    if uri.path() == "/cometd" || uri.path().starts_with("/cometd/") {
        return (StatusCode::NOT_FOUND, "not found; CometD is at /genesys/cometd\n").into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        // Where GWS has its desktop.
        path => {
            path.strip_prefix("ui/ad/v1/").map_or(path, |below| if below.is_empty() { "index.html" } else { below })
        }
    };
    let Some(file) = Assets::get(path) else {
        return if path == "index.html" {
            ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], NOT_BUILT).into_response()
        } else {
            (StatusCode::NOT_FOUND, "not found\n").into_response()
        };
    };
    let etag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..16]));
    // Vite puts a hash into the names under assets/.
    let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let common = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, cache.to_owned())];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|seen| seen.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let kind = match file.metadata.mimetype() {
        kind if kind.starts_with("text/") => format!("{kind}; charset=utf-8"),
        kind => kind.to_owned(),
    };
    (common, [(header::CONTENT_TYPE, kind)], file.data.into_owned()).into_response()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Adds the security headers.
pub(super) async fn add_policy(
    State(site): State<Site>,
    Extension(link): Extension<Link>,
    request: Request,
    next: Next,
) -> Response {
    let is_foreign = request.uri().path().starts_with("/gws/");
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok()).map(str::to_owned);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let policy = match is_foreign {
        true => FOREIGN_POLICY.to_owned(),
        false => content_policy(&site.config, host.as_deref(), link.secure),
    };
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("microphone=(self), camera=(), geolocation=()"),
    );
    response
}

/// For what comes from a GWS: shown as a document, it could do nothing.
const FOREIGN_POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";

/// Nothing but our own files, and no inline script or style. The WebSocket's own address stands beside `'self'`,
/// because not every browser takes `'self'` for `wss:`.
fn content_policy(config: &Config, host: Option<&str>, secure: bool) -> String {
    let is_plain = |h: &&str| h.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    let socket = host.filter(is_plain).map_or(String::new(), |host| {
        let scheme = if secure { "wss" } else { "ws" };
        format!(" {scheme}://{host}")
    });
    let list = |origins: &[String]| origins.iter().map(|origin| format!(" {origin}")).collect::<String>();
    let (ancestors, connect) = (list(&config.frame_ancestors), list(&config.connect));
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; \
         connect-src 'self'{socket}{connect}; \
         frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'{ancestors}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_socket_and_nothing_inline() {
        let config = Config { frame_ancestors: vec!["https://desk.example".into()], ..Config::default() };
        let policy = content_policy(&config, Some("gw.example:8443"), true);
        assert!(policy.contains("connect-src 'self' wss://gw.example:8443;"), "{policy}");
        assert!(policy.ends_with("frame-ancestors 'self' https://desk.example"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn the_policy_names_what_the_page_may_call_beside_us() {
        let connect = vec!["https://gws.example".into(), "wss://gws.example".into()];
        let policy = content_policy(&Config { connect, ..Config::default() }, Some("gw.example"), true);
        assert!(
            policy.contains("connect-src 'self' wss://gw.example https://gws.example wss://gws.example;"),
            "{policy}"
        );
    }

    #[test]
    fn a_host_header_cannot_write_into_the_policy() {
        let policy = content_policy(&Config::default(), Some("a; script-src *"), true);
        assert!(policy.contains("connect-src 'self';"), "{policy}");
    }
}
