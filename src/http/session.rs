//! Who sends a request to the agents' side: the login that its cookie stands for, and how one comes to have it.
//!
//! ```text
//!  cookie JSESSIONID ── known ──► Agent
//!  GET /api/v2/… with Basic ── password right ──► Agent, and the cookie with the answer
//!  else ──► 403
//! ```
//! Basic goes before the cookie, which another tab, or another port of this host, may have left: another user is another
//! login, with a cookie of its own, and a password is verified even where the cookie stands for the same user.
//!
//! A request that changes something must show the login's token beside the cookie (X-CSRF-TOKEN), unless the configuration
//! says otherwise: a foreign page can make a browser send the cookie, but cannot read the token.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, FromRequestParts, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{Link, Site, cors, credentials};
use crate::desk::UserName;
use crate::desk::login::Session;
use crate::io::desk::{Denied, Handle};
use crate::telemetry::Address;

/// The cookie that carries a login.
pub const COOKIE: &str = "JSESSIONID";
/// Names the header field that the token is sent in.
pub(super) const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-header");
/// Carries the token.
pub(super) const CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
/// Cookies of our name that are tried: another program on this host may use the same.
const MAX_TRIED: usize = 8;

/// Where browsers send the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CookieMode {
    /// From our own site's pages only.
    #[default]
    Lax,
    /// From pages that are framed in other sites too, each site for itself (CHIPS).
    Embedded,
}

/// The agent that sends a request, as an extractor: whoever is not logged in gets 403.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Who.
    pub user: UserName,
    /// The login.
    pub session: Session,
}

impl FromRequestParts<Site> for Agent {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Agent, Response> {
        let Some(agent) = parts.extensions.get::<Agent>().cloned() else { return Err(not_authenticated()) };
        let changes = !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let shown = parts.headers.get(CSRF_TOKEN).map(HeaderValue::as_bytes);
        if changes && site.config.desk.csrf && shown != Some(agent.session.csrf.0.as_bytes()) {
            return Err(refused(StatusCode::FORBIDDEN, "No valid CSRF token"));
        }
        Ok(agent)
    }
}

/// What whoever is not logged in is told: the words of both dialects.
pub(super) fn not_authenticated() -> Response {
    refused(StatusCode::FORBIDDEN, "Not authenticated")
}

fn refused(status: StatusCode, why: &str) -> Response {
    let body = json!({"statusCode": 20, "statusMessage": "Access denied", "error": why});
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// Finds the login of a request by its cookies.
pub(super) fn find(desk: &Handle, headers: &HeaderMap) -> Option<Session> {
    let fields = headers.get_all(header::COOKIE).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| credentials::cookies(field, COOKIE)).take(MAX_TRIED).find_map(|secret| desk.session(secret))
}

/// Writes the cookie of a login.
pub(super) fn cookie(site: &Site, link: &Link, session: &Session) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{COOKIE}={}{}", session.secret.0, flags(site.config.desk.cookie, link.secure))).ok()
}

fn flags(mode: CookieMode, secure: bool) -> &'static str {
    match (mode, secure) {
        (CookieMode::Lax, false) => "; Path=/; HttpOnly; SameSite=Lax",
        (CookieMode::Lax, true) => "; Path=/; HttpOnly; SameSite=Lax; Secure",
        // Without Secure no browser takes the other two; on plain loopback browsers take Secure.
        (CookieMode::Embedded, _) => "; Path=/; HttpOnly; SameSite=None; Secure; Partitioned",
    }
}

/// Answers a denied login; slowly tried passwords are told when to come again.
pub(super) fn denied(denied: Denied) -> Response {
    let (status, seconds) = match denied {
        Denied::Wrong => return not_authenticated(),
        Denied::TooSoon(wait) => (StatusCode::FORBIDDEN, wait.as_secs() + 1),
        Denied::Busy => (StatusCode::SERVICE_UNAVAILABLE, 2),
    };
    let mut response = refused(status, "Not authenticated");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Before each request to the agents' side: CORS, then the login by cookie or, where the request may, by Basic credentials.
pub(super) async fn admit(
    State(site): State<Site>,
    Extension(link): Extension<Link>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(desk) = &site.desk else { return StatusCode::NOT_FOUND.into_response() };
    let origin = match cors::judge(&site, &link, &request) {
        Ok(origin) => origin,
        Err(response) => return response,
    };
    let (session, is_new) = match enter(desk, &link, request.method(), request.headers()).await {
        Ok(entered) => entered,
        Err(why) => {
            tracing::info!(peer = %Address(link.peer.ip()), %why, "login refused");
            return cors::allow(origin.as_deref(), denied(why));
        }
    };
    if let Some(session) = &session {
        request.extensions_mut().insert(Agent { user: session.user.clone(), session: session.clone() });
    }
    let mut response = next.run(request).await;
    if let Some(session) = &session {
        name(&site, &link, session, is_new, response.headers_mut());
    }
    cors::allow(origin.as_deref(), response)
}

/// Returns the login that a request is asked by, and whether it is new.
///
/// # Errors
/// It may log in, and its password was wrong or not looked at. The login of its cookie stays.
async fn enter(
    desk: &Handle,
    link: &Link,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(Option<Session>, bool), Denied> {
    let found = find(desk, headers);
    let basic = headers.get(header::AUTHORIZATION).and_then(|field| credentials::basic(field.to_str().ok()?));
    let Some((user, password)) = basic else { return Ok((found, false)) };
    let own = found.filter(|session| session.user.as_str() == user);
    if !matches!(*method, Method::GET | Method::HEAD) {
        // What changes something is asked by the cookie alone, but never in the name of somebody else.
        return Ok((own, false));
    }
    // Apart: few requests show a password, and many are held.
    match own {
        Some(session) => Box::pin(desk.check(&user, &password, link.peer.ip())).await.map(|_| (Some(session), false)),
        None => Box::pin(desk.log_in(&user, &password, link.peer.ip())).await.map(|opened| (Some(opened), true)),
    }
}

/// Adds the token, and the cookie of a login that is new.
fn name(site: &Site, link: &Link, session: &Session, is_new: bool, headers: &mut HeaderMap) {
    if site.config.desk.csrf
        && let Ok(token) = HeaderValue::from_str(&session.csrf.0)
    {
        headers.insert(CSRF_HEADER, HeaderValue::from_static("X-CSRF-TOKEN"));
        headers.insert(CSRF_TOKEN, token);
    }
    if is_new && let Some(cookie) = cookie(site, link, session) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// `POST /api/v2/logout`: ends the login, all its tabs included.
pub(super) async fn log_out(State(site): State<Site>, agent: Agent) -> Response {
    if let Some(desk) = &site.desk {
        desk.log_out(&agent.session.secret);
    }
    let gone = format!("{COOKIE}=; Max-Age=0{}", flags(site.config.desk.cookie, true));
    let mut response = Json(json!({"statusCode": 0})).into_response();
    if let Ok(gone) = HeaderValue::from_str(&gone) {
        response.headers_mut().append(header::SET_COOKIE, gone);
    }
    response
}

/// The rules of a listener towards agents.
#[derive(Clone, Debug)]
pub struct DeskRules {
    /// Origins that may use CometD and REST beside the listener's own.
    pub origins: Arc<[String]>,
    /// Whoever is not logged in may shake hands with CometD; nothing of agents is shown to it.
    pub anonymous: bool,
    /// Requests that change something must show the login's token.
    pub csrf: bool,
    /// Flags of the cookie.
    pub cookie: CookieMode,
    /// How CometD may be spoken; the preferred first.
    pub transports: Arc<[crate::bayeux::Transport]>,
    /// How long a WebSocket of CometD may be nobody's; with `anonymous` for ever.
    pub login_time: Duration,
    /// Bounds of one CometD request.
    pub limits: crate::bayeux::message::Limits,
}

impl Default for DeskRules {
    fn default() -> DeskRules {
        use crate::bayeux::Transport::{CallbackPolling, LongPolling, WebSocket};
        DeskRules {
            origins: Arc::from([]),
            anonymous: false,
            csrf: true,
            cookie: CookieMode::Lax,
            transports: Arc::from([WebSocket, LongPolling, CallbackPolling]),
            login_time: Duration::from_secs(30),
            limits: crate::bayeux::message::Limits::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_not_for_scripts_and_travels_no_further_than_it_must() {
        assert_eq!(flags(CookieMode::Lax, false), "; Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(flags(CookieMode::Lax, true), "; Path=/; HttpOnly; SameSite=Lax; Secure");
        let embedded = "; Path=/; HttpOnly; SameSite=None; Secure; Partitioned";
        assert_eq!(flags(CookieMode::Embedded, true), embedded);
    }
}
