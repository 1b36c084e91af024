//! The calls under way, and their captures: for this machine alone, until there is a way to say who asks.
//!
//! A page that a browser of this machine shows is no part of this machine: a request that has an Origin, or names another
//! host than this one, is refused. We do not trust what a proxy says of its client: none may pass these paths on.

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;

use super::origin::names_this_machine;
use super::{Link, Site};
use crate::call::{CallCommand, Command, Direction};
use crate::gateway::{CallState, CallView};
use crate::id::CallId;
use crate::telemetry::Address;

/// One call, as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id: String,
    dn: String,
    peer: String,
    direction: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_uuid: Option<String>,
    seconds: u64,
    /// The file that it is written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    capture: Option<String>,
}

impl From<CallView> for Shown {
    fn from(call: CallView) -> Shown {
        Shown {
            id: call.call.to_string(),
            direction: match call.direction {
                Direction::Inbound => "inbound",
                Direction::Outbound => "outbound",
            },
            state: match call.state {
                CallState::Setup => "setup",
                CallState::Established => "established",
                CallState::Releasing => "releasing",
            },
            seconds: call.since.elapsed().as_secs(),
            capture: call.capture.map(|name| format!("{name}.pcap")),
            dn: call.dn,
            peer: call.peer,
            call_uuid: call.call_uuid,
        }
    }
}

/// The routes.
pub(super) fn routes() -> Router<Site> {
    Router::new().route("/api/calls", get(list)).route("/api/calls/{id}/capture", post(change).delete(change))
}

/// Why there is no answer.
type Refusal = (StatusCode, &'static str);

const UNKNOWN: Refusal = (StatusCode::NOT_FOUND, "no such call\n");
const ENDED: Refusal = (StatusCode::SERVICE_UNAVAILABLE, "signalling does not answer\n");
const FOREIGN: Refusal = (StatusCode::FORBIDDEN, "calls are for programs of this machine only\n");
const NOT_NOW: Refusal =
    (StatusCode::CONFLICT, "this call cannot be captured: it is ending, or [capture] has no folder\n");

/// Refuses whoever is not a program of this machine.
fn admit(link: &Link, headers: &HeaderMap) -> Result<(), Refusal> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_ours = link.peer.ip().to_canonical().is_loopback() && names_this_machine(host);
    if is_ours && !headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    tracing::info!(peer = %Address(link.peer.ip()), "calls refused");
    Err(FOREIGN)
}

async fn calls(site: &Site) -> Result<Vec<CallView>, Refusal> {
    let figures = site.signalling.figures().await.map_err(|_| ENDED)?;
    let mut calls = figures.snapshot.calls;
    calls.sort_by_key(|call| call.call);
    Ok(calls)
}

async fn list(
    State(site): State<Site>,
    Extension(link): Extension<Link>,
    headers: HeaderMap,
) -> Result<Json<Vec<Shown>>, Refusal> {
    admit(&link, &headers)?;
    Ok(Json(calls(&site).await?.into_iter().map(Shown::from).collect()))
}

/// `POST` begins a capture, `DELETE` ends it. Shows the call as it is then: commands and figures are served in order.
async fn change(
    State(site): State<Site>,
    Extension(link): Extension<Link>,
    method: Method,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Shown>, Refusal> {
    admit(&link, &headers)?;
    let on = method == Method::POST;
    let call = id.strip_prefix("call-").and_then(|number| number.parse().ok()).map(CallId).ok_or(UNKNOWN)?;
    if !calls(&site).await?.iter().any(|view| view.call == call) {
        return Err(UNKNOWN);
    }
    site.signalling.command(Command::of(call, CallCommand::Capture { on })).await.map_err(|_| ENDED)?;
    let view = calls(&site).await?.into_iter().find(|view| view.call == call).ok_or(UNKNOWN)?;
    if on && view.capture.is_none() {
        return Err(NOT_NOW);
    }
    Ok(Json(Shown::from(view)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_believed() {
        for host in ["localhost", "localhost:8080", "127.0.0.1", "127.0.0.2:80", "[::1]:8080", "[::1]"] {
            assert!(names_this_machine(host), "{host}");
        }
        for host in ["", "gw.example.com", "192.0.2.1:8080", "127.0.0.1.evil.example", "localhost.evil.example:80"] {
            assert!(!names_this_machine(host), "{host}");
        }
    }
}
