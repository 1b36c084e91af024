//! What the gateway shows by HTTP: SIP over WebSocket (RFC 7118, RFC 6455), the phone page, CometD for agents, health and
//! metrics.
//!
//! We do not do HTTP/2, because browsers open WebSockets over HTTP/1.1 and the page is a handful of files.

mod calls;
mod cometd;
mod cors;
pub mod credentials;
pub mod gws;
pub mod metrics;
pub mod origin;
pub mod pages;
pub mod server;
pub mod session;
pub mod websocket;
mod workspace;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde::Serialize;

use crate::gateway::ListenerId;
use crate::io::desk;
use crate::io::signalling::Handle;
use crate::io::sink::SinkTally;
use crate::telemetry::Address;

/// Rules of one listener.
#[derive(Clone, Debug)]
pub struct Config {
    /// Path of SIP over WebSocket.
    pub ws_path: String,
    /// Origins that may open a WebSocket beside a listener's own, as `https://desktop.example`.
    pub origins: Vec<String>,
    /// Refuse a WebSocket request without Origin. Browsers always send one; other clients need not, and an
    /// absent one is no sign of an attack by a foreign page.
    pub require_origin: bool,
    /// Show `/metrics` to every address, not to loopback alone.
    pub public_metrics: bool,
    /// Pages of these origins may show the phone in a frame, beside its own.
    pub frame_ancestors: Vec<String>,
    /// Further origins that the page may call: each GWS that it reaches by itself.
    pub connect: Vec<String>,
    /// What the phone page is told; `None`: no pages here.
    pub page: Option<PageConfig>,
    /// Bounds of a WebSocket.
    pub websocket: WebSocketLimits,
    /// Longest time between the first byte of a request and the end of its header.
    pub header_timeout: Duration,
    /// Longest life of a connection that is no WebSocket; what is being answered is finished within as much again.
    pub connection_time: Duration,
    /// What agents may do here.
    pub desk: session::DeskRules,
}

/// Bounds of a WebSocket.
#[derive(Clone, Debug)]
pub struct WebSocketLimits {
    /// Longest message, bytes.
    pub message_bytes: usize,
    /// Time between two pings.
    pub ping_interval: Duration,
    /// Time for the pong, or for any other frame.
    pub pong_timeout: Duration,
    /// Time that one message may take to be sent.
    pub write_timeout: Duration,
}

/// What the phone page is told by `GET /config.json`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PageConfig {
    /// Path of SIP over WebSocket on the page's own origin.
    pub ws_path: String,
    /// Host part of the addresses of record.
    pub domain: String,
    /// Only in a lab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lab: Option<LabHint>,
    /// There are agents, who log in here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub desk: bool,
    /// Each GWS that the page may connect to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gws: Vec<GwsPlace>,
}

/// Where the phone page finds a GWS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GwsPlace {
    /// Its name, for people.
    pub name: String,
    /// What stands before `/genesys/cometd` and `/api/v2`: `/gws/NAME` for one that is reached through us.
    pub url: String,
}

/// What the sign-in form of a lab shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabHint {
    /// DNs that can sign in, as `5001-5999`.
    pub dns: String,
    /// Their password.
    pub password: String,
    /// The agent of each DN, who can log in; in the lab's own file the password is the same.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub agents: BTreeMap<String, String>,
    /// Numbers to dial.
    pub numbers: Vec<LabNumber>,
}

/// One number of the lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabNumber {
    /// What to dial.
    pub number: String,
    /// What happens then.
    pub what: String,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            ws_path: "/ws".into(),
            origins: Vec::new(),
            require_origin: false,
            public_metrics: false,
            frame_ancestors: Vec::new(),
            connect: Vec::new(),
            page: None,
            websocket: WebSocketLimits::default(),
            header_timeout: Duration::from_secs(10),
            connection_time: Duration::from_secs(120),
            desk: session::DeskRules::default(),
        }
    }
}

impl Default for WebSocketLimits {
    fn default() -> Self {
        WebSocketLimits {
            message_bytes: 64 << 10,
            ping_interval: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
        }
    }
}

/// What the routes share.
pub struct Parts {
    /// The rules.
    pub config: Arc<Config>,
    /// The way to signalling.
    pub signalling: Handle,
    /// The way to each configured GWS.
    pub gws: Arc<gws::Proxy>,
    /// The way to the agents' side; `None`: there are no agents.
    pub desk: Option<desk::Handle>,
    /// How far the sinks are; `None`: there is none.
    pub sinks: Option<Arc<SinkTally>>,
}

/// The [`Parts`], for all routes: each request takes it several times.
#[derive(Clone)]
struct Site(Arc<Parts>);

impl Deref for Site {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The connection that a request came by.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The peer.
    pub peer: SocketAddr,
    /// Under TLS.
    pub secure: bool,
    /// Which listener.
    pub listener: ListenerId,
    /// The listener is plain and bound to loopback: only names of this machine are its own origin.
    pub local_only: bool,
}

/// Returns true for a path that SIP over WebSocket may have: plain characters, and not a path of something else.
pub fn is_ws_path(path: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/-_.".contains(&b);
    let taken = ["/health", "/metrics", "/config.json"];
    let rooms = ["/gws/", "/genesys/", "/api/", "/ui/"];
    let is_free = !taken.contains(&path) && !rooms.iter().any(|room| path.starts_with(room));
    path.starts_with('/') && path.len() > 1 && path.bytes().all(is_plain) && is_free
}

/// Makes the routes; the configuration's path must satisfy [`is_ws_path`]. Each request must carry a [`Link`] as extension.
pub fn router(parts: Parts) -> Router {
    router_with(parts, Router::new())
}

/// Makes the routes, and `more` beside them.
pub fn router_with(parts: Parts, more: Router) -> Router {
    let site = Site(Arc::new(parts));
    let by_name = axum::middleware::from_fn_with_state(site.clone(), origin::admit);
    let ws_path = site.config.ws_path.clone();
    Router::new()
        .route(&ws_path, get(websocket::upgrade))
        .route("/health", get(health))
        .route("/metrics", get(show_metrics))
        .route("/config.json", get(page_config))
        .route("/ui/ad/v1/config.json", get(page_config))
        .merge(calls::routes())
        .route("/gws/{*rest}", any(gws::pass).layer(DefaultBodyLimit::max(gws::MAX_BODY_BYTES)))
        .merge(agents(&site))
        .fallback(pages::serve)
        .layer(axum::middleware::from_fn_with_state(site.clone(), pages::add_policy))
        .with_state(site)
        .merge(more)
        .layer(by_name)
}

/// The routes of the agents' side. Without agents there are none.
fn agents(site: &Site) -> Router<Site> {
    if site.desk.is_none() {
        return Router::new();
    }
    Router::new()
        .route("/api/v2/logout", post(session::log_out).fallback(|| workspace::wrong_method("POST")))
        .merge(workspace::routes())
        .merge(cometd::routes())
        .layer(axum::middleware::from_fn_with_state(site.clone(), session::admit))
}

/// 200 while signalling answers.
async fn health(State(site): State<Site>) -> Response {
    let figures = tokio::time::timeout(Duration::from_secs(2), site.signalling.figures()).await;
    match figures {
        Ok(Ok(_)) => "ok\n".into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "signalling does not answer\n").into_response(),
    }
}

async fn page_config(State(site): State<Site>) -> Response {
    match &site.config.page {
        Some(page) => ([(header::CACHE_CONTROL, "no-store")], Json(page)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn show_metrics(State(site): State<Site>, Extension(link): Extension<Link>) -> Response {
    if !site.config.public_metrics && !link.peer.ip().to_canonical().is_loopback() {
        tracing::info!(peer = %Address(link.peer.ip()), "metrics refused");
        return (StatusCode::FORBIDDEN, "metrics are for this machine only\n").into_response();
    }
    let Ok(figures) = site.signalling.figures().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let agents = match &site.desk {
        Some(desk) => desk.figures().await.ok(),
        None => None,
    };
    let text = metrics::render(&figures, site.signalling.tally(), agents.as_ref(), site.sinks.as_deref());
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
    (headers, text).into_response()
}
