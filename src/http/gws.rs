//! `/gws/NAME/…`: a page of ours reaches a configured GWS through our own origin, by HTTP and by WebSocket.
//!
//! A secure page may not call the plain HTTP of a GWS, and a cookie of another site does not travel; so we carry both.
//! This is no open proxy: only configured names, only their paths, only for requests of our own pages (RFC 6454; Fetch
//! Metadata where a GET has no Origin). What comes back is data for those pages and never a document of our origin.
//! We do not take part in the GWS's login, because the GWS itself knows who may do what.

mod cookie;
mod head;
mod room;

use std::sync::Arc;
use std::time::Duration;

use axum::RequestExt;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use super::{Link, Site, origin};
use crate::io::accept::Seat;
use crate::telemetry::Address;
use room::{Room, Taken};

/// Longest body of a request, bytes.
pub(super) const MAX_BODY_BYTES: usize = 1 << 20;
/// Longest time until a GWS takes a connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Longest time until it begins to answer: a long poll takes a minute, and its connection to us lives for two.
const ANSWER_TIME: Duration = Duration::from_secs(115);
/// A connection that was quiet for so long is not used again; the GWS may be closing it.
const IDLE_TIME: Duration = Duration::from_secs(8);
/// Quiet connections that are kept for the next request.
const IDLE_CONNECTIONS: usize = 64;
/// A WebSocket on which neither side says anything for so long is closed; Bayeux says something every minute.
const SILENCE: Duration = Duration::from_secs(300);
/// Bytes that are read from one side of a WebSocket at a time.
const CHUNK_BYTES: usize = 16 << 10;

/// One GWS, as the configuration has it.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name in paths: small letters, digits and `-`.
    pub name: String,
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host and port.
    pub authority: Authority,
    /// What stands before each path; empty, or `/…` without `/` at its end.
    pub base: String,
    /// What pages may reach there, as `/api/v2`.
    pub paths: Vec<String>,
    /// Whom to believe to be it, for `https`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Requests and WebSockets at a time; a quarter of them of one source address.
    pub connections: usize,
}

/// The way to all of them; none by default.
#[derive(Debug, Default)]
pub struct Proxy {
    places: Vec<Place>,
    stop: Option<watch::Receiver<bool>>,
}

#[derive(Debug)]
struct Place {
    upstream: Upstream,
    client: Client<HttpsConnector<HttpConnector>, Body>,
    room: Arc<Room>,
}

impl Proxy {
    /// Makes the way to `upstreams`; WebSockets end when `stop` turns true.
    pub fn new(upstreams: Vec<Upstream>, stop: watch::Receiver<bool>) -> Proxy {
        Proxy { places: upstreams.into_iter().map(Place::new).collect(), stop: Some(stop) }
    }

    fn place(&self, name: &str) -> Option<&Place> {
        self.places.iter().find(|place| place.upstream.name == name)
    }
}

impl Place {
    fn new(upstream: Upstream) -> Place {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT_TIME));
        http.set_nodelay(true);
        let tls = match &upstream.tls {
            Some(tls) => tls.as_ref().clone(),
            // Never used: the address is plain.
            None => {
                rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                    .with_protocol_versions(&[&rustls::version::TLS13])
                    .expect("the provider knows TLS 1.3")
                    .with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth()
            }
        };
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
        let builder = if upstream.scheme == Scheme::HTTPS { builder.https_only() } else { builder.https_or_http() };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(builder.enable_http1().wrap_connector(http));
        Place { client, room: Room::new(upstream.connections), upstream }
    }
}

/// Why nothing of a GWS is shown; each is a sentence for the page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("This path is for the pages of this gateway only.")]
    Foreign,
    #[error("No GWS of this name is configured; see [[gws]].")]
    Unknown,
    #[error("This path of the GWS is not open to pages; see gws.paths.")]
    Closed,
    #[error("This method is not passed on.")]
    Method,
    #[error("The request is too long to be passed on.")]
    Long,
    #[error("Too many requests to the GWS {0} are under way.")]
    Full(String),
    #[error("The GWS {0} cannot be reached: nobody answers at its address.")]
    Unreachable(String),
    #[error("The GWS {0} broke off before it had answered.")]
    Broken(String),
    #[error("The GWS {0} did not answer in time.")]
    Late(String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Refusal::Foreign => StatusCode::FORBIDDEN,
            Refusal::Unknown | Refusal::Closed => StatusCode::NOT_FOUND,
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::Long => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Unreachable(_) | Refusal::Broken(_) => StatusCode::BAD_GATEWAY,
            Refusal::Late(_) => StatusCode::GATEWAY_TIMEOUT,
        };
        (status, format!("{self}\n")).into_response()
    }
}

/// Any method of `/gws/{*rest}`.
pub(super) async fn pass(
    State(site): State<Site>,
    Extension(link): Extension<Link>,
    Extension(seat): Extension<Arc<Seat>>,
    request: Request,
) -> Response {
    match forward(&site, link, seat, request).await {
        Ok(response) => response,
        Err(refusal) => {
            tracing::info!(peer = %Address(link.peer.ip()), %refusal, "GWS proxy");
            refusal.into_response()
        }
    }
}

async fn forward(site: &Site, link: Link, seat: Arc<Seat>, request: Request) -> Result<Response, Refusal> {
    if !is_ours(&link, request.headers()) {
        return Err(Refusal::Foreign);
    }
    let (name, path) = split(request.uri().path()).ok_or(Refusal::Unknown)?;
    let place = site.gws.place(name).ok_or(Refusal::Unknown)?;
    let upstream = &place.upstream;
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Refusal::Method);
    }
    if !is_open(&upstream.paths, path) {
        return Err(Refusal::Closed);
    }
    if length(request.headers()).is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return Err(Refusal::Long);
    }
    let taken = place.room.take(link.peer.ip()).ok_or_else(|| Refusal::Full(upstream.name.clone()))?;
    let target = target(upstream, path, request.uri().query()).ok_or(Refusal::Closed)?;
    let mut request = request.with_limited_body();
    let upgrade = head::is_websocket(request.headers()).then(|| hyper::upgrade::on(&mut request));
    let (mut parts, body) = request.into_parts();
    parts.uri = target;
    parts.extensions.clear();
    parts.headers = head::request(&parts.headers, upstream, &link, upgrade.is_some());
    let answering = place.client.request(Request::from_parts(parts, body));
    let answer = match tokio::time::timeout(ANSWER_TIME, answering).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::debug!(gws = upstream.name, %error, "GWS proxy");
            let name = upstream.name.clone();
            return Err(if error.is_connect() { Refusal::Unreachable(name) } else { Refusal::Broken(name) });
        }
        Err(_) => return Err(Refusal::Late(upstream.name.clone())),
    };
    let framed = !site.config.frame_ancestors.is_empty();
    match upgrade {
        Some(ours) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
            Ok(switch(site, answer, ours, (taken, seat), upstream, cookie::Flags::of(&link, framed)))
        }
        _ => {
            let (mut parts, body) = answer.into_parts();
            parts.headers = head::response(&parts.headers, upstream, cookie::Flags::of(&link, framed), false);
            parts.extensions.clear();
            // The place is taken until the last byte is through.
            let body = body.map_frame(move |frame| {
                let _held = &taken;
                frame
            });
            Ok(Response::from_parts(parts, Body::new(body)))
        }
    }
}

/// Answers 101, and joins the two connections once both are free of HTTP.
fn switch(
    site: &Site,
    answer: Response<hyper::body::Incoming>,
    ours: hyper::upgrade::OnUpgrade,
    held: (Taken, Arc<Seat>),
    upstream: &Upstream,
    flags: cookie::Flags,
) -> Response {
    let headers = head::response(answer.headers(), upstream, flags, true);
    let theirs = hyper::upgrade::on(answer);
    let stop = site.gws.stop.clone();
    tokio::spawn(async move {
        let _held = held;
        let (Ok(ours), Ok(theirs)) = tokio::join!(ours, theirs) else { return };
        let joined = join(TokioIo::new(ours), TokioIo::new(theirs));
        match stop {
            Some(mut stop) => tokio::select! {
                () = joined => {}
                _ = stop.wait_for(|stop| *stop) => {}
            },
            None => joined.await,
        }
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    *response.headers_mut() = headers;
    response
}

/// Copies both ways until one side has ended, or neither has said anything for [`SILENCE`].
async fn join(a: impl AsyncRead + AsyncWrite, b: impl AsyncRead + AsyncWrite) {
    let stirred = std::sync::atomic::AtomicBool::new(false);
    let (from_a, to_a) = tokio::io::split(a);
    let (from_b, to_b) = tokio::io::split(b);
    let silence = async {
        loop {
            tokio::time::sleep(SILENCE).await;
            if !stirred.swap(false, std::sync::atomic::Ordering::Relaxed) {
                break;
            }
        }
    };
    tokio::select! {
        () = copy(from_a, to_b, &stirred) => {}
        () = copy(from_b, to_a, &stirred) => {}
        () = silence => {}
    }
}

async fn copy(from: impl AsyncRead, to: impl AsyncWrite, stirred: &std::sync::atomic::AtomicBool) {
    let (mut from, mut to) = (std::pin::pin!(from), std::pin::pin!(to));
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        stirred.store(true, std::sync::atomic::Ordering::Relaxed);
        if to.write_all(&chunk[..length]).await.is_err() || to.flush().await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

/// Tells whether a page of our own asks, and by a script: not a link, not a frame, not a foreign page's form.
fn is_ours(link: &Link, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("host");
    let by_script = matches!(text("sec-fetch-dest"), None | Some("empty" | "websocket"));
    let same_site = match text("origin") {
        Some(origin) => origin::is_own(link, origin, host),
        // Browsers send no Origin with a GET of the same origin, but say that it is one.
        None => text("sec-fetch-site") == Some("same-origin") && origin::is_own_host(link, host),
    };
    by_script && same_site
}

/// Splits `/gws/NAME/path`.
fn split(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/gws/")?;
    let at = rest.find('/')?;
    Some(rest.split_at(at))
}

/// Tells whether pages may reach `path`, which must be written in the one way that every server reads alike.
fn is_open(paths: &[String], path: &str) -> bool {
    let is_plain = |segment: &str| {
        // What stands behind `;` is no part of a segment's name for a servlet.
        let name = segment.split(';').next().unwrap_or_default();
        !matches!(name, "." | "..")
    };
    let lower = path.to_ascii_lowercase();
    let hidden = ["%2e", "%2f", "%5c", "%00", "\\", "//"].iter().any(|what| lower.contains(what));
    let inside = |open: &String| {
        let open = open.trim_end_matches('/');
        path.strip_prefix(open).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    !hidden && path.split('/').all(is_plain) && paths.iter().any(inside)
}

fn target(upstream: &Upstream, path: &str, query: Option<&str>) -> Option<Uri> {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let path = PathAndQuery::try_from(format!("{}{path}{query}", upstream.base)).ok()?;
    Uri::builder()
        .scheme(upstream.scheme.clone())
        .authority(upstream.authority.clone())
        .path_and_query(path)
        .build()
        .ok()
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
