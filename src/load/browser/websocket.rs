//! A browser's connection: SIP over WebSocket (RFC 7118), plain or under TLS.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::{self, Message, http};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::phones::Connected;
use crate::load::LoadError;
use crate::trust::Anybody;

/// From the first SYN to the upgrade.
const PATIENCE: Duration = Duration::from_secs(10);
/// Messages that wait for a slow connection; one that has more is given up.
const QUEUE: usize = 64;
/// Read at a time; the library clears as much at every read.
const READ_BUFFER: usize = 4096;
/// Where Debian, Alpine and their kin keep the authorities that the machine believes; `SSL_CERT_FILE` goes before it.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where browsers connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Under TLS.
    pub is_secure: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path with its slash.
    pub path: String,
}

impl Url {
    /// Reads `wss://host[:port][/path]` or `ws://…`.
    pub fn parse(text: &str) -> Option<Url> {
        let (is_secure, rest) = match text.split_once("://")? {
            ("wss", rest) => (true, rest),
            ("ws", rest) => (false, rest),
            _ => return None,
        };
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let default = if is_secure { 443 } else { 80 };
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, port) = v6.split_once(']')?;
                (host, port.strip_prefix(':'))
            }
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Some(default), |port| port.parse().ok())?;
        (!host.is_empty()).then(|| Url { is_secure, host: host.to_owned(), port, path: path.to_owned() })
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// What a connection tells.
#[derive(Debug)]
pub enum FromBrowser {
    /// One SIP message.
    Message(usize, Bytes),
    /// The connection is gone.
    Closed(usize),
}

/// The rules of TLS: the machine's authorities, or anybody.
pub fn tls(insecure: bool) -> Result<TlsConnector, LoadError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let other = |error: rustls::Error| LoadError::Driver(std::io::Error::other(error));
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(other)?;
    let config = if insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(algorithms))).with_no_client_auth()
    } else {
        let file = std::env::var_os("SSL_CERT_FILE").unwrap_or_else(|| AUTHORITIES.into());
        let mut roots = RootCertStore::empty();
        let wrong = |reason: String| LoadError::File { file: file.clone().into(), reason };
        let pem = std::fs::read(&file).map_err(|error| wrong(error.to_string()))?;
        // One that cannot be read among a hundred is no reason not to believe the others.
        CertificateDer::pem_slice_iter(&pem).flatten().for_each(|one| drop(roots.add(one)));
        if roots.is_empty() {
            return Err(wrong("holds no certificate".to_owned()));
        }
        builder.with_root_certificates(roots).with_no_client_auth()
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Connects browser `number`; its messages go to `inbound`. What is put into its queue is sent; the connection
/// ends when the queue is dropped.
///
/// # Errors
/// [`LoadError::Unreachable`].
pub async fn connect(
    url: &Url,
    tls: Option<&TlsConnector>,
    number: usize,
    inbound: mpsc::Sender<FromBrowser>,
) -> Result<Connected, LoadError> {
    let unreachable = |reason: String| LoadError::Unreachable { target: url.authority(), reason };
    let opened = tokio::time::timeout(PATIENCE, async {
        let tcp = TcpStream::connect((url.host.as_str(), url.port)).await.map_err(|e| e.to_string())?;
        tcp.set_nodelay(true).map_err(|e| e.to_string())?;
        let (local, remote) =
            (tcp.local_addr().map_err(|e| e.to_string())?, tcp.peer_addr().map_err(|e| e.to_string())?);
        let (queue, outbound) = mpsc::channel(QUEUE);
        match tls {
            Some(tls) if url.is_secure => {
                let name = ServerName::try_from(url.host.clone()).map_err(|e| e.to_string())?;
                let stream = tls.connect(name, tcp).await.map_err(|e| e.to_string())?;
                let socket = upgrade(url, stream).await?;
                tokio::spawn(carry(socket, number, inbound, outbound));
            }
            _ => {
                let socket = upgrade(url, tcp).await?;
                tokio::spawn(carry(socket, number, inbound, outbound));
            }
        }
        Ok::<_, String>(Connected { queue, local, remote, is_secure: url.is_secure })
    });
    opened.await.map_err(|_| unreachable("no answer within 10 s".to_owned()))?.map_err(unreachable)
}

async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(url: &Url, stream: S) -> Result<WebSocketStream<S>, String> {
    let (web, plain) = if url.is_secure { ("https", "wss") } else { ("http", "ws") };
    let host = url.authority();
    let request = http::Request::builder()
        .uri(format!("{plain}://{host}{}", url.path))
        .header("Host", &host)
        .header("Origin", format!("{web}://{host}"))
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", tungstenite::handshake::client::generate_key())
        .header("Sec-WebSocket-Protocol", "sip")
        .body(())
        .map_err(|error| error.to_string())?;
    let config = tungstenite::protocol::WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
    client_async_with_config(request, stream, Some(config))
        .await
        .map(|(socket, _)| socket)
        .map_err(|error| error.to_string())
}

/// Carries messages both ways until one side ends; pings are answered by the library.
async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
    number: usize,
    inbound: mpsc::Sender<FromBrowser>,
    mut outbound: mpsc::Receiver<Bytes>,
) {
    loop {
        tokio::select! {
            message = socket.next() => {
                let bytes = match message {
                    Some(Ok(Message::Text(text))) => Bytes::from(text),
                    Some(Ok(Message::Binary(bytes))) => bytes,
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                };
                if inbound.send(FromBrowser::Message(number, bytes)).await.is_err() {
                    return;
                }
            }
            message = outbound.recv() => {
                // SIP that is not UTF-8 goes as it is (RFC 7118 4.2).
                let frame = match message {
                    Some(bytes) => match std::str::from_utf8(&bytes) {
                        Ok(text) => Message::text(text),
                        Err(_) => Message::Binary(bytes),
                    },
                    None => {
                        let _ = socket.close(None).await;
                        return;
                    }
                };
                if socket.send(frame).await.is_err() {
                    break;
                }
            }
        }
    }
    let _ = inbound.send(FromBrowser::Closed(number)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_with_its_defaults_and_ipv6() {
        let url = |text: &str| Url::parse(text).map(|u| (u.is_secure, u.host, u.port, u.path));
        assert_eq!(url("wss://a.test:8443/ws"), Some((true, "a.test".into(), 8443, "/ws".into())));
        assert_eq!(url("ws://a.test"), Some((false, "a.test".into(), 80, "/".into())));
        assert_eq!(url("wss://[2001:db8::1]/x?y"), Some((true, "2001:db8::1".into(), 443, "/x?y".into())));
        for wrong in ["https://a.test/", "a.test", "wss://", "wss://a:b/", "wss://[::1", "wss://:1/"] {
            assert_eq!(url(wrong), None, "{wrong}");
        }
    }
}
