//! CometD over HTTP: long-polling (POST), callback-polling (GET with a callback), and WebSocket, on the paths of GWS.
//!
//! `/genesys/cometd` and `/api/v2/notifications`, each with `/handshake`, `/connect`, `/disconnect` and `/`, which the
//! official client posts to; what a message asks for stands in its channel, whatever the path. A transport that the
//! configuration leaves out is refused, not only not offered.

mod socket;

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Extension, FromRequestParts, Query, Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use serde::Deserialize;

use super::session::{self, Agent};
use super::{Link, Site, cors, credentials};
use crate::bayeux::message::Batch;
use crate::bayeux::{Caller, Transport};
use crate::desk::login::Session;
use crate::io::desk::{Denied, Handle, caller};
use crate::telemetry::Address;

/// Where CometD is spoken: the guide's path, and that of real clients.
const ROOTS: [&str; 2] = ["/genesys/cometd", "/api/v2/notifications"];
/// Time for the body of a request.
const BODY_TIME: Duration = Duration::from_secs(10);
/// What JSON is sent as.
const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=utf-8");
/// What scripts are sent as.
const SCRIPT: HeaderValue = HeaderValue::from_static("text/javascript;charset=utf-8");

/// The routes.
pub(super) fn routes() -> Router<Site> {
    let mut router = Router::new();
    for root in ROOTS {
        for tail in ["", "/", "/handshake", "/connect", "/disconnect"] {
            router = router.route(&format!("{root}{tail}"), any(answer));
        }
    }
    router
}

/// What a script asks.
#[derive(Deserialize)]
struct Asked {
    jsonp: Option<String>,
    callback: Option<String>,
    message: Option<String>,
}

async fn answer(State(site): State<Site>, Extension(link): Extension<Link>, request: Request) -> Response {
    let Some(desk) = &site.desk else { return StatusCode::NOT_FOUND.into_response() };
    let asks_socket = request.headers().contains_key(header::UPGRADE) && request.method() == Method::GET;
    if asks_socket {
        // Apart: a request that is held must not keep room for what it is not.
        return Box::pin(upgrade(site.clone(), link, desk.clone(), request)).await;
    }
    let found = request.extensions().get::<Agent>().map(|agent| agent.session.clone());
    let place = Place { site: &site, link: &link, desk };
    match *request.method() {
        Method::POST => {
            if !offers(&site, Transport::LongPolling) {
                return unknown_transport();
            }
            match read(request, site.config.desk.limits.bytes).await {
                Ok(body) => place.hand_over(found, body, None).await,
                Err(status) => status.into_response(),
            }
        }
        Method::GET => match Query::<Asked>::try_from_uri(request.uri()) {
            Ok(Query(Asked { jsonp, callback, message })) => match jsonp.or(callback) {
                None => not_allowed(),
                Some(_) if !offers(&site, Transport::CallbackPolling) => unknown_transport(),
                Some(_) if !cors::may_include(&site, &link, request.headers()) => foreign(),
                Some(name) if credentials::is_callback(&name) => {
                    place.hand_over(found, Bytes::from(message.unwrap_or_default()), Some(&name)).await
                }
                Some(_) => (StatusCode::BAD_REQUEST, "not the name of a callback\n").into_response(),
            },
            Err(_) => StatusCode::BAD_REQUEST.into_response(),
        },
        _ => not_allowed(),
    }
}

fn offers(site: &Site, transport: Transport) -> bool {
    site.config.desk.transports.contains(&transport)
}

fn not_allowed() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")]).into_response()
}

fn foreign() -> Response {
    let why = "a script of this page is not allowed: no Referer, or of no page of `origins` in the configuration\n";
    (StatusCode::FORBIDDEN, why).into_response()
}

fn unknown_transport() -> Response {
    (StatusCode::BAD_REQUEST, "Unknown Bayeux Transport\n").into_response()
}

/// Reads a body within its bounds of size and time.
async fn read(request: Request<Body>, limit: usize) -> Result<Bytes, StatusCode> {
    match tokio::time::timeout(BODY_TIME, to_bytes(request.into_body(), limit)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// Where a request came in.
struct Place<'a> {
    site: &'a Site,
    link: &'a Link,
    desk: &'a Handle,
}

impl Place<'_> {
    /// Hands a batch over and waits for the answer; a handshake may log in first.
    async fn hand_over(&self, found: Option<Session>, body: Bytes, callback: Option<&str>) -> Response {
        let Ok(batch) = Batch::read(&body, &self.site.config.desk.limits) else {
            return (StatusCode::BAD_REQUEST, "not a batch of Bayeux messages\n").into_response();
        };
        let (who, opened) = match enter(self.site, self.desk, self.link.peer.ip(), found, &batch).await {
            Ok(entered) => entered,
            Err(denied) => return session::denied(denied),
        };
        let Ok(answer) = self.desk.cometd(who, batch).await else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        let mut response = match callback {
            None => ([(header::CONTENT_TYPE, JSON)], answer).into_response(),
            Some(name) => {
                let script = credentials::script(name, std::str::from_utf8(&answer).unwrap_or("[]"));
                ([(header::CONTENT_TYPE, SCRIPT)], script).into_response()
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(cookie) = opened.and_then(|session| session::cookie(self.site, self.link, &session)) {
            headers.append(header::SET_COOKIE, cookie);
        }
        response
    }
}

/// Says who sends a batch, and opens a login where its handshake brings a password that is right.
///
/// # Errors
/// The password was not looked at.
async fn enter(
    site: &Site,
    desk: &Handle,
    peer: IpAddr,
    found: Option<Session>,
    batch: &Batch,
) -> Result<(Caller, Option<Session>), Denied> {
    let Some(login) = batch.login() else { return Ok((called(site, found.as_ref()), None)) };
    // Its own page may say again who it is: that is no other login.
    if let Some(session) = found.filter(|session| session.user.as_str() == login.username) {
        return Ok((caller(&session), None));
    }
    // Apart: few requests log in, and many are held.
    match Box::pin(desk.log_in(&login.username, &login.password, peer)).await {
        Ok(session) => Ok((caller(&session), Some(session))),
        Err(Denied::Wrong) => {
            tracing::info!(peer = %Address(peer), "login refused");
            Ok((stranger(), None))
        }
        Err(why) => Err(why),
    }
}

/// Whoever must log in and has not: the rules give it no session.
fn stranger() -> Caller {
    Caller { owner: None, cookie: Some("".into()) }
}

fn called(site: &Site, session: Option<&Session>) -> Caller {
    match session {
        Some(session) => caller(session),
        None if site.config.desk.anonymous => Caller::default(),
        None => stranger(),
    }
}

async fn upgrade(site: Site, link: Link, desk: Handle, request: Request) -> Response {
    if !offers(&site, Transport::WebSocket) {
        return unknown_transport();
    }
    let (mut parts, _) = request.into_parts();
    let seat = parts.extensions.get().cloned();
    let session = parts.extensions.get::<Agent>().map(|agent| agent.session.clone());
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &site).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    socket::serve(upgrade, socket::Visitor { site, link, desk, session, seat })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_nobody_whom_another_stranger_could_be_taken_for() {
        assert_ne!(stranger(), Caller::default());
        assert_eq!(stranger().owner, None);
    }

    #[test]
    fn a_get_is_answered_as_the_guide_expects() {
        let response = not_allowed();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers().get(header::ALLOW).map(HeaderValue::as_bytes), Some(&b"POST"[..]));
    }
}
