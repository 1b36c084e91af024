//! The REST API of agents' desktops, below `/api/v2`: who asks comes from [`Agent`], what is asked from
//! [`crate::desk::request`], and the desk answers it.
//!
//! Every answer is a JSON object with a `statusCode`: 0, or a refusal's with its `statusMessage`. We do not wait for what an
//! operation brings about: it comes to the desktop as an event, whoever brought it about.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Site;
use super::session::Agent;
use crate::desk::{Answer, Operation, Refusal};
use crate::desk::{openapi, request};

/// Longest time that a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);
const ROOT: &str = "/api/v2";
const JSON: (HeaderName, HeaderValue) = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
const NO_STORE: (HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

/// The routes; what is nearer to a path than these goes before them.
pub(super) fn routes() -> Router<Site> {
    let document = get(|| async { ([JSON], openapi::DOCUMENT) }).fallback(|| wrong_method("GET, HEAD"));
    Router::new().route("/api/v2/openapi.json", document).route("/api/v2/{*path}", any(serve))
}

/// Answers a method that a path has no use for.
pub(super) async fn wrong_method(allow: &'static str) -> Response {
    refused(&Refusal::Method(allow))
}

async fn serve(State(site): State<Site>, agent: Agent, request: Request) -> Response {
    let Some(desk) = &site.desk else { return unavailable() };
    match read(request).await {
        Ok(operation) => match desk.operate(&agent.user, operation).await {
            Ok(answer) => answered(answer),
            Err(_) => unavailable(),
        },
        Err(refusal) => refused(&refusal),
    }
}

/// Reads what is asked; of the body no more than is allowed.
async fn read(request: Request) -> Result<Operation, Refusal> {
    let (parts, body) = request.into_parts();
    let body = match parts.method {
        Method::GET | Method::HEAD => Bytes::new(),
        _ => match timeout(BODY_TIME, Limited::new(body, request::MAX_BODY).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(Refusal::TooLarge),
            Ok(Err(_)) | Err(_) => return Err(Refusal::Malformed),
        },
    };
    let path = parts.uri.path();
    request::read(&request::Request {
        method: parts.method.as_str(),
        path: path.strip_prefix(ROOT).unwrap_or(path),
        query: parts.uri.query().unwrap_or_default(),
        content_type: parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()),
        body: &body,
    })
}

fn answered(answer: Answer) -> Response {
    match answer {
        Answer::Done => shown(StatusCode::OK, json!({"statusCode": 0})),
        Answer::Body(body) => ([JSON, NO_STORE], body).into_response(),
        Answer::Refused(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.http_status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut body = json!({"statusCode": refusal.status_code(), "statusMessage": refusal.to_string()});
    if *refusal == Refusal::Denied {
        body["error"] = "Not authenticated".into();
    }
    let mut response = shown(status, body);
    if let Refusal::Method(allow) = refusal {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    response
}

fn unavailable() -> Response {
    let body = json!({"statusCode": 4, "statusMessage": "The service is not available."});
    shown(StatusCode::SERVICE_UNAVAILABLE, body)
}

fn shown(status: StatusCode, body: Value) -> Response {
    (status, [NO_STORE], Json(body)).into_response()
}
