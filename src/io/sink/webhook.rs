//! Events posted to a web server, signed.
//!
//! The body is an array of events. `X-Crosspoint-Signature: t=SECONDS,v1=HEX` has the time of the attempt, and the HMAC-SHA256
//! of `SECONDS.BODY` under the shared secret: whoever gets it can tell that it is from us, and not of yesterday.
//!
//! 2xx: delivered. 400, 413, 422: the server has read it and wants none of it; where it was one event, that event is given
//! up, else each goes by itself. Anything else, and no answer: the same again after a while, also where a client is usually told
//! to give up (401, 404, 410 …), because a mistake in a configuration must not cost events.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, Uri};

use super::reader::Event;
use super::tally::SinkTally;
use super::{Sink, Trouble};
use crate::io::client::{ClientError, HttpClient, Trust};
use crate::io::tls::TlsError;

/// Longest that a server may ask us to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// A web server that takes events.
#[derive(Clone)]
pub struct WebhookConfig {
    /// Where they are posted to.
    pub url: Uri,
    /// What they are signed with; without it they are not.
    pub secret: Option<String>,
    /// Most events of one request.
    pub batch: usize,
    /// How long to wait for its answer.
    pub patience: Duration,
    /// Whom we believe to be it.
    pub trust: Trust,
}

impl std::fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookConfig").field("url", &self.url).field("batch", &self.batch).finish_non_exhaustive()
    }
}

/// The sink.
pub(super) struct Webhook {
    name: String,
    config: WebhookConfig,
    http: HttpClient,
    key: Option<hmac::Key>,
    /// Events that go one by one, because the server refused all of them together.
    singly: usize,
    tally: Arc<SinkTally>,
    at: usize,
}

/// What a status means for the events.
enum Verdict {
    Delivered,
    Refused,
    Again,
}

impl Webhook {
    pub(super) fn new(
        name: &str,
        config: &WebhookConfig,
        tally: Arc<SinkTally>,
        at: usize,
    ) -> Result<Webhook, TlsError> {
        let http = HttpClient::new(&config.trust)?;
        let key = config.secret.as_ref().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
        Ok(Webhook { name: name.to_owned(), config: config.clone(), http, key, singly: 0, tally, at })
    }

    async fn post(&self, body: Bytes) -> Result<Response<Bytes>, Trouble> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let request = Request::builder().method(Method::POST).uri(&self.config.url);
        let mut request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &self.key {
            request = request.header("X-Crosspoint-Signature", signature(key, seconds, &body));
        }
        let request = request.body(Full::new(body)).map_err(ClientError::Request)?;
        Ok(self.http.ask(request, self.config.patience).await?)
    }
}

/// Signs a body at a time.
fn signature(key: &hmac::Key, seconds: u64, body: &[u8]) -> String {
    let mut signing = hmac::Context::with_key(key);
    signing.update(format!("{seconds}.").as_bytes());
    signing.update(body);
    let tag = signing.sign();
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

fn verdict(status: u16) -> Verdict {
    match status {
        200..=299 => Verdict::Delivered,
        400 | 413 | 422 => Verdict::Refused,
        _ => Verdict::Again,
    }
}

fn array(events: &[Event]) -> Bytes {
    let mut body = vec![b'['];
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&event.envelope);
    }
    body.push(b']');
    Bytes::from(body)
}

/// Reads how long a server asks to wait (RFC 9110 10.2.3, in seconds alone).
fn asked_wait<T>(answer: &Response<T>) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

impl Sink for Webhook {
    async fn deliver(&mut self, events: &[Event]) -> Result<usize, Trouble> {
        let most = if self.singly > 0 { 1 } else { self.config.batch.max(1) };
        let events = &events[..events.len().min(most)];
        let answer = self.post(array(events)).await?;
        let status = answer.status().as_u16();
        match verdict(status) {
            Verdict::Delivered => {}
            Verdict::Refused if events.len() > 1 => {
                self.singly = events.len();
                return Err(Trouble::Status(status));
            }
            Verdict::Refused => {
                self.tally.refused_by_sink(self.at, events.len() as u64);
                let number = events.first().map(|event| event.number);
                tracing::error!(sink = %self.name, status, number, "an event was refused for good");
            }
            Verdict::Again => {
                return Err(match asked_wait(&answer) {
                    Some(wait) => Trouble::Later { status, wait },
                    None => Trouble::Status(status),
                });
            }
        }
        self.singly = self.singly.saturating_sub(events.len());
        Ok(events.len())
    }
}
