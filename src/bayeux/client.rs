//! The client: handshake, connect loop, subscriptions, and publications in order, each at least once.
//!
//! Two requests are under way at most: one of the session (handshake, subscribe, connect), one with publications. What was
//! published stays until the server has said yes or no to it; after a lost answer or a new handshake it goes again.
//!
//! ```text
//!  Handshake ──ok──► Subscribe ──ok──► Connect ◄──ok, interval──┐
//!     ▲  └─no, lost─► wait, longer each time      └─────────────┘
//!     └──────────── 402, advice `handshake` ◄────────┘
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::channel::{Channel, Pattern};
use super::message::{Login, check_json};
use super::{BayeuxError, RequestId};

/// Times and bounds of a client.
#[derive(Clone, Debug)]
pub struct Config {
    /// What each handshake gives as `ext.authentication`.
    pub login: Option<Login>,
    /// What to subscribe to after each handshake.
    pub subscriptions: Vec<Pattern>,
    /// The first wait after a failure; it doubles.
    pub backoff: Duration,
    /// The longest wait after a failure.
    pub max_backoff: Duration,
    /// How long to wait for an answer; for a connect in addition to the server's timeout.
    pub patience: Duration,
    /// Most publications that wait.
    pub outbox: usize,
    /// Most publications of one request.
    pub batch: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            login: None,
            subscriptions: Vec::new(),
            backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(30),
            patience: Duration::from_secs(10),
            outbox: 10_000,
            batch: 50,
        }
    }
}

/// What the client is told.
#[derive(Debug)]
pub enum Input {
    /// The body that answers a request (status 200).
    Answer(RequestId, Bytes),
    /// No answer came, or another status.
    Failed(RequestId),
    /// Nothing but that time has passed.
    Tick,
}

/// What the client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// POST this, and give up after `patience`; cookies and login are the shell's.
    Post {
        /// Names the request.
        request: RequestId,
        /// A JSON array.
        body: Bytes,
        /// How long to wait.
        patience: Duration,
    },
    /// The server has this publication.
    Published(u64),
    /// The server refused this publication; it does not go again.
    Refused(u64, String),
    /// An event of a subscription: channel and JSON.
    Event(String, Bytes),
    /// The server refused a handshake or a subscription, in its words.
    Denied(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Handshake,
    Subscribe,
    Connect,
}

#[derive(Clone, Copy, Debug)]
enum Lane {
    Waiting(Instant),
    Flying(RequestId),
}

#[derive(Debug)]
struct Waiting {
    token: u64,
    channel: Channel,
    data: Bytes,
}

/// A Bayeux client that polls.
#[derive(Debug)]
pub struct Client {
    config: Config,
    rng: StdRng,
    step: Step,
    session: Lane,
    publisher: Lane,
    client: String,
    failures: u32,
    held: Duration,
    next_request: u64,
    outbox: VecDeque<Waiting>,
    output: VecDeque<Output>,
}

#[derive(Deserialize)]
struct Told<'a> {
    channel: Option<String>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    successful: Option<bool>,
    #[serde(rename = "clientId")]
    client: Option<String>,
    error: Option<String>,
    advice: Option<ToldAdvice>,
}

#[derive(Deserialize)]
struct ToldAdvice {
    reconnect: Option<String>,
    interval: Option<f64>,
    timeout: Option<f64>,
}

impl Told<'_> {
    fn is_ok(&self) -> bool {
        self.successful == Some(true)
    }

    fn wants_handshake(&self) -> bool {
        let advised = self.advice.as_ref().and_then(|a| a.reconnect.as_deref()) == Some("handshake");
        advised || self.error.as_deref().is_some_and(|error| error.starts_with("402"))
    }
}

/// Reads milliseconds of advice, at most ten minutes.
fn millis(ms: Option<f64>) -> Option<Duration> {
    ms.filter(|ms| *ms >= 0.0).map(|ms| Duration::from_millis((ms as u64).min(600_000)))
}

impl Client {
    /// Makes a client that shakes hands at `now`.
    pub fn new(config: Config, now: Instant, rng: StdRng) -> Client {
        Client {
            config,
            rng,
            step: Step::Handshake,
            session: Lane::Waiting(now),
            publisher: Lane::Waiting(now),
            client: String::new(),
            failures: 0,
            held: Duration::from_secs(60),
            next_request: 0,
            outbox: VecDeque::new(),
            output: VecDeque::new(),
        }
    }

    /// Puts a publication in the outbox; `token` names it in [`Output::Published`]. It goes at the next [`Input::Tick`].
    ///
    /// # Errors
    /// [`BayeuxError::Malformed`]: `data` is not JSON. [`BayeuxError::Full`]: the outbox is full.
    pub fn publish(&mut self, token: u64, channel: Channel, data: Bytes) -> Result<(), BayeuxError> {
        check_json(&data)?;
        if self.outbox.len() >= self.config.outbox {
            return Err(BayeuxError::Full);
        }
        self.outbox.push_back(Waiting { token, channel, data });
        Ok(())
    }

    /// Returns how many publications the server has not said yes or no to.
    pub fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// Takes one input. Answers to requests that are not under way are ignored.
    pub fn handle_input(&mut self, input: Input, now: Instant) {
        match input {
            Input::Answer(request, body) => {
                let told = serde_json::from_slice::<Vec<Told<'_>>>(&body).ok();
                self.answered(request, told.as_deref().map(|told| (told, &body)), now);
            }
            Input::Failed(request) => self.answered(request, None, now),
            Input::Tick => {}
        }
        self.go(now);
    }

    /// Returns what is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// Returns when [`Input::Tick`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = |lane: Lane, wanted: bool| match lane {
            Lane::Waiting(at) if wanted => Some(at),
            _ => None,
        };
        let publishes = self.step == Step::Connect && !self.outbox.is_empty();
        [due(self.session, true), due(self.publisher, publishes)].into_iter().flatten().min()
    }

    fn answered(&mut self, request: RequestId, told: Option<(&[Told<'_>], &Bytes)>, now: Instant) {
        if let Some((told, body)) = told {
            for event in told.iter().filter(|t| t.successful.is_none()) {
                if let (Some(channel), Some(data)) = (&event.channel, event.data) {
                    self.output.push_back(Output::Event(channel.clone(), body.slice_ref(data.get().as_bytes())));
                }
            }
        }
        let told = told.map(|(told, _)| told);
        match (self.session, self.publisher) {
            (Lane::Flying(flying), _) if flying == request => self.session_answered(told, now),
            (_, Lane::Flying(flying)) if flying == request => self.publisher_answered(told, now),
            _ => {}
        }
    }

    /// Waits, about twice as long after each failure, so that many clients do not come back as one.
    fn delay(&mut self) -> Duration {
        let longest = self.config.backoff.saturating_mul(1 << self.failures.min(16)).min(self.config.max_backoff);
        self.failures += 1;
        longest.mul_f64(self.rng.random_range(0.5..1.0))
    }

    fn shake_hands_again(&mut self, at: Instant) {
        self.step = Step::Handshake;
        self.session = Lane::Waiting(at);
    }

    fn session_answered(&mut self, told: Option<&[Told<'_>]>, now: Instant) {
        let wanted = match self.step {
            Step::Handshake => "/meta/handshake",
            Step::Subscribe => "/meta/subscribe",
            Step::Connect => "/meta/connect",
        };
        let reply = told.and_then(|all| all.iter().find(|t| t.channel.as_deref() == Some(wanted)));
        let Some(reply) = reply else {
            self.session = Lane::Waiting(now + self.delay());
            return;
        };
        let interval = millis(reply.advice.as_ref().and_then(|a| a.interval)).unwrap_or_default();
        self.held = millis(reply.advice.as_ref().and_then(|a| a.timeout)).unwrap_or(self.held);
        if !reply.is_ok() {
            // A connect that was refused once is worth a handshake at once; a second refusal in a row is not.
            let wait =
                if self.failures == 0 && reply.wants_handshake() { interval } else { self.delay().max(interval) };
            self.failures = self.failures.max(1);
            if !reply.wants_handshake() {
                self.output.push_back(Output::Denied(reply.error.clone().unwrap_or_default()));
            }
            return self.shake_hands_again(now + wait);
        }
        match self.step {
            Step::Handshake => {
                self.client = reply.client.clone().unwrap_or_default();
                self.step = if self.config.subscriptions.is_empty() { Step::Connect } else { Step::Subscribe };
                self.session = Lane::Waiting(now);
            }
            Step::Subscribe => {
                self.step = Step::Connect;
                self.session = Lane::Waiting(now);
            }
            Step::Connect => {
                self.failures = 0;
                self.session = Lane::Waiting(now + interval);
            }
        }
    }

    fn publisher_answered(&mut self, told: Option<&[Told<'_>]>, now: Instant) {
        // An answer that settles nothing is as good as none.
        let mut is_lost = true;
        for reply in told.unwrap_or_default().iter().filter(|t| t.successful.is_some()) {
            let Some(token) = reply.id.and_then(|id| id.get().trim_matches('"').parse::<u64>().ok()) else { continue };
            if reply.wants_handshake() && !reply.is_ok() {
                is_lost = true;
                if self.step == Step::Connect {
                    self.shake_hands_again(now);
                }
                break;
            }
            let Some(at) = self.outbox.iter().position(|waiting| waiting.token == token) else { continue };
            self.outbox.remove(at);
            is_lost = false;
            self.output.push_back(match &reply.error {
                Some(error) if !reply.is_ok() => Output::Refused(token, error.clone()),
                _ => Output::Published(token),
            });
        }
        let wait = if is_lost { self.delay() } else { Duration::ZERO };
        self.publisher = Lane::Waiting(now + wait);
    }

    /// Sends what is due.
    fn go(&mut self, now: Instant) {
        if matches!(self.session, Lane::Waiting(at) if at <= now) {
            let (body, patience) = self.session_body();
            self.session = Lane::Flying(self.post(body, patience));
        }
        let may_publish = self.step == Step::Connect && !self.outbox.is_empty();
        if may_publish && matches!(self.publisher, Lane::Waiting(at) if at <= now) {
            let client = &self.client;
            let messages = self.outbox.iter().take(self.config.batch.max(1)).map(|w| {
                let data = String::from_utf8_lossy(&w.data);
                let (channel, token) = (&*w.channel, w.token);
                format!(r#"{{"channel":{},"clientId":{},"id":"{token}","data":{data}}}"#, text(channel), text(client))
            });
            let body = format!("[{}]", messages.collect::<Vec<_>>().join(","));
            self.publisher = Lane::Flying(self.post(body, self.config.patience));
        }
    }

    fn session_body(&self) -> (String, Duration) {
        let client = text(&self.client);
        let patience = self.config.patience;
        match self.step {
            Step::Handshake => {
                let types = r#""supportedConnectionTypes":["long-polling"]"#;
                let ext = self.config.login.as_ref().map_or_else(String::new, |login| {
                    let (user, password) = (text(&login.username), text(&login.password));
                    format!(r#","ext":{{"authentication":{{"user":{user},"credentials":{password}}}}}"#)
                });
                let version = r#""version":"1.0","minimumVersion":"1.0""#;
                (format!(r#"[{{"channel":"/meta/handshake",{version},{types}{ext}}}]"#), patience)
            }
            Step::Subscribe => {
                let all: Vec<String> = self.config.subscriptions.iter().map(|pattern| text(pattern)).collect();
                let all = all.join(",");
                (format!(r#"[{{"channel":"/meta/subscribe","clientId":{client},"subscription":[{all}]}}]"#), patience)
            }
            Step::Connect => {
                let kind = r#""connectionType":"long-polling""#;
                (format!(r#"[{{"channel":"/meta/connect","clientId":{client},{kind}}}]"#), patience + self.held)
            }
        }
    }

    fn post(&mut self, body: String, patience: Duration) -> RequestId {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.output.push_back(Output::Post { request, body: Bytes::from(body), patience });
        request
    }
}

/// Writes a JSON string.
fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}
