//! HTTP as a client: one pool of connections, TLS that verifies its peer, bounds of time and size for each request.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use super::tls::TlsError;
use super::tls_peer::PeerTls;

/// The system's list of authorities, where it is on most systems.
pub const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Longest time until a connection is there.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long a connection is kept for the next request.
const IDLE_TIME: Duration = Duration::from_secs(30);
/// Longest answer that is read, bytes.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection, or it was lost.
    #[error("{}", causes(.0))]
    Connection(#[from] hyper_util::client::legacy::Error),
    /// The answer broke off, or is too long.
    #[error("the answer: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// Nothing within the time.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// What should be asked cannot be.
    #[error("not a request: {0}")]
    Request(#[from] hyper::http::Error),
}

/// Writes an error with all that it came from: the outermost says nothing but that something failed.
fn causes(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Whom a client believes to be its server.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// PEM file with the authorities; the system's where it is not said.
    pub ca: Option<PathBuf>,
    /// Believes whoever answers.
    pub unverified: bool,
}

/// A client; cheap to clone, the clones share their connections.
#[derive(Clone, Debug)]
pub struct HttpClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl HttpClient {
    /// Makes a client for `http:` and `https:`. Without any authority on this system `https:` finds nobody to believe.
    ///
    /// # Errors
    /// The file of authorities that was asked for cannot be used.
    pub fn new(trust: &Trust) -> Result<HttpClient, TlsError> {
        let ca = trust.ca.clone().unwrap_or_else(|| SYSTEM_AUTHORITIES.into());
        let peer = PeerTls { ca: Some(ca), unverified: trust.unverified, certificates: None };
        let tls = match peer.client_config() {
            // A system without a list is no reason to speak to nobody: `http:` needs none.
            Err(_) if trust.ca.is_none() && !Path::new(SYSTEM_AUTHORITIES).exists() => believe_nobody()?,
            made => (*made?).clone(),
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIME));
        tcp.set_keepalive(Some(IDLE_TIME));
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .build(connector);
        Ok(HttpClient(client))
    }

    /// Sends a request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// [`ClientError`]; whether the server has seen the request is then not known.
    pub async fn ask(&self, request: Request<Full<Bytes>>, patience: Duration) -> Result<Response<Bytes>, ClientError> {
        let answer = async {
            let (head, body) = self.0.request(request).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(ClientError::Body)?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        tokio::time::timeout(patience, answer).await.unwrap_or(Err(ClientError::Late(patience)))
    }
}

fn believe_nobody() -> Result<ClientConfig, TlsError> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Settings)?;
    Ok(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// Reads an address that a client can ask: `http:` or `https:`, with a host.
pub fn address(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    (is_http && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

/// Writes a login as `Authorization: Basic` (RFC 7617), marked so that nothing logs it.
pub fn basic(user: &str, password: &str) -> Option<(hyper::header::HeaderName, HeaderValue)> {
    use base64::Engine;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::try_from(format!("Basic {pair}")).ok()?;
    value.set_sensitive(true);
    Some((AUTHORIZATION, value))
}

/// The cookies of one server, by name; attributes are not read, because they go back to that server alone.
#[derive(Debug, Default)]
pub struct Cookies(Vec<(String, String)>);

/// Most cookies that are kept.
const MAX_COOKIES: usize = 32;

impl Cookies {
    /// Takes what an answer sets.
    pub fn take(&mut self, headers: &HeaderMap) {
        for value in headers.get_all(hyper::header::SET_COOKIE) {
            let Some((name, value)) = value.to_str().ok().and_then(|text| text.split(';').next()?.split_once('='))
            else {
                continue;
            };
            self.0.retain(|(known, _)| known != name.trim());
            if self.0.len() < MAX_COOKIES && name.len() + value.len() <= 4096 {
                self.0.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
    }

    /// Returns the header field that goes back, if there is anything in it.
    pub fn header(&self) -> Option<HeaderValue> {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut value = HeaderValue::try_from(pairs.join("; ")).ok().filter(|value| !value.is_empty())?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Returns true for a status that says who asks is not logged in.
pub fn is_denied(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_scheme_that_we_speak_and_a_host() {
        assert!(address("https://events.example:8443/a?b=c").is_some());
        assert!(address("http://[::1]:8080").is_some());
        for bad in ["events.example/a", "ftp://events.example", "https://", "/a", ""] {
            assert!(address(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_login_is_written_as_rfc_7617_has_it() {
        let (_, value) = basic("Aladdin", "open sesame").expect("a header field");
        assert_eq!(value.to_str().ok(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        assert!(value.is_sensitive());
    }

    #[test]
    fn the_last_cookie_of_a_name_goes_back_without_its_attributes() {
        let mut headers = HeaderMap::new();
        for cookie in ["JSESSIONID=a; Path=/; HttpOnly", "BAYEUX_BROWSER=b", "JSESSIONID=c=d; Secure"] {
            headers.append(hyper::header::SET_COOKIE, HeaderValue::from_static(cookie));
        }
        let mut cookies = Cookies::default();
        assert_eq!(cookies.header(), None);
        cookies.take(&headers);
        assert_eq!(cookies.header().unwrap(), "BAYEUX_BROWSER=b; JSESSIONID=c=d");
    }
}
