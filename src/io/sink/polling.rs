//! A Bayeux client by HTTP long-polling: the pure client's requests, with cookies and a login, in order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, COOKIE, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::Trouble;
use crate::bayeux::RequestId;
use crate::bayeux::client::{self, Client, Input, Output};
use crate::bayeux::message;
use crate::io::client::{Cookies, HttpClient, basic, is_denied};
use crate::io::signalling::until;

/// Longest time of a login.
const LOGIN_TIME: Duration = Duration::from_secs(10);

/// How a CometD server is told who we are. Cookies that it sets go back to it in any case.
#[derive(Clone, Debug, Default)]
pub enum Login {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Basic` in each request.
    Basic(message::Login),
    /// `ext.authentication` in the handshake.
    Handshake(message::Login),
    /// One GET of an address with `Authorization: Basic`, whose cookie counts from then on, as with GWS.
    Session {
        /// Who.
        login: message::Login,
        /// The address.
        url: Uri,
    },
}

/// What a server has said.
pub(super) enum Heard {
    /// The client's own words; never a request.
    Client(Output),
    /// A request failed.
    Failed(Trouble),
}

/// One client and its requests under way.
pub(super) struct Polling {
    client: Client,
    site: Arc<Site>,
    flying: JoinSet<(RequestId, Result<Bytes, Trouble>)>,
}

struct Site {
    http: HttpClient,
    url: Uri,
    login: Login,
    session: Mutex<Session>,
}

#[derive(Default)]
struct Session {
    cookies: Cookies,
    is_logged_in: bool,
    /// The header field that each POST of the session must have, against cross-site requests.
    csrf: Option<(HeaderName, HeaderValue)>,
}

impl Polling {
    pub(super) fn new(http: HttpClient, url: Uri, login: Login, config: client::Config) -> Polling {
        let told = if let Login::Handshake(login) = &login { Some(login.clone()) } else { None };
        let config = client::Config { login: told, ..config };
        let client = Client::new(config, Instant::now(), rand::make_rng());
        let site = Site { http, url, login, session: Mutex::default() };
        Polling { client, site: Arc::new(site), flying: JoinSet::new() }
    }

    /// The client, to publish.
    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Sends what is due, and waits for something to be told. Nothing is lost where it is dropped.
    pub(super) async fn next(&mut self) -> Heard {
        loop {
            self.client.handle_input(Input::Tick, Instant::now());
            while let Some(output) = self.client.poll_output() {
                match output {
                    Output::Post { request, body, patience } => {
                        let site = self.site.clone();
                        self.flying.spawn(async move { (request, site.post(body, patience).await) });
                    }
                    told => return Heard::Client(told),
                }
            }
            let due = self.client.poll_timeout();
            tokio::select! {
                Some(done) = self.flying.join_next(), if !self.flying.is_empty() => {
                    // A request that panicked is a bug of ours; the client gives it up in its own time.
                    let Ok((request, answer)) = done else { continue };
                    match answer {
                        Ok(body) => self.client.handle_input(Input::Answer(request, body), Instant::now()),
                        Err(error) => {
                            self.client.handle_input(Input::Failed(request), Instant::now());
                            return Heard::Failed(error);
                        }
                    }
                }
                () = until(due) => {}
            }
        }
    }
}

impl Site {
    async fn post(&self, body: Bytes, patience: Duration) -> Result<Bytes, Trouble> {
        let mut request = Request::builder().method(Method::POST).uri(&self.url);
        request = request.header(CONTENT_TYPE, "application/json;charset=UTF-8");
        if let Login::Basic(login) = &self.login
            && let Some((name, value)) = basic(&login.username, &login.password)
        {
            request = request.header(name, value);
        }
        let (cookies, csrf) = self.session().await?;
        for (name, value) in cookies.map(|value| (COOKIE, value)).into_iter().chain(csrf) {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).map_err(crate::io::client::ClientError::Request)?;
        let answer = self.http.ask(request, patience).await?;
        let mut session = self.session.lock().await;
        session.cookies.take(answer.headers());
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            status => {
                if is_denied(status) {
                    // Whatever the cookie stood for, it is over.
                    *session = Session::default();
                }
                Err(Trouble::Status(status.as_u16()))
            }
        }
    }

    /// Returns what goes with a request, after a login where one is due.
    async fn session(&self) -> Result<(Option<HeaderValue>, Option<(HeaderName, HeaderValue)>), Trouble> {
        let mut session = self.session.lock().await;
        if let Login::Session { login, url } = &self.login
            && !session.is_logged_in
        {
            let mut request = Request::builder().uri(url);
            if let Some((name, value)) = basic(&login.username, &login.password) {
                request = request.header(name, value);
            }
            let request = request.body(Full::default()).map_err(crate::io::client::ClientError::Request)?;
            let answer = self.http.ask(request, LOGIN_TIME).await?;
            if !answer.status().is_success() {
                return Err(Trouble::Status(answer.status().as_u16()));
            }
            session.cookies.take(answer.headers());
            let told = |name: &str| answer.headers().get(name);
            let name = told("x-csrf-header").and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok());
            session.csrf = name.zip(told("x-csrf-token").cloned());
            session.is_logged_in = true;
        }
        Ok((session.cookies.header(), session.csrf.clone()))
    }
}
