//! Connections that we open to trunks: TCP, then TLS with the trunk's rules, each within its time.
//!
//! The flow is there for signalling from the first moment; what is sent meanwhile waits in its queue; if that fills up
//! before the connection is there, the flow is lost as one with a slow reader is.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::flow::{Flow, Outgoing};
use super::stream::{self, StreamLimits, USER_TIMEOUT};
use super::tally::Count;
use crate::path::Transport;

/// What connections to trunks are made with.
#[derive(Clone, Debug, Default)]
pub struct Dialling {
    /// Our side's address by listener; an unspecified one leaves the choice to the kernel.
    pub locals: Vec<SocketAddr>,
    /// TLS settings by trunk; `None`: that trunk is not reached by TLS.
    pub tls: Vec<Option<Arc<rustls::ClientConfig>>>,
    /// Longest time until a connection is there, the TLS handshake included.
    pub time: Duration,
    /// The bounds of the connection after that.
    pub limits: StreamLimits,
}

/// Where a connection leads to.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) transport: Transport,
    pub(super) trunk: usize,
    pub(super) local: Option<SocketAddr>,
    pub(super) server_name: Option<String>,
}

/// Why a connection was not made.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("no TLS settings for this trunk")]
    NoTls,
    #[error("{0}: not a name that a certificate can have")]
    Name(String),
    #[error("no connection within {0:?}")]
    Late(Duration),
}

/// Opens the connection and serves it until it ends.
pub(super) async fn run(dialling: Arc<Dialling>, errand: Errand, flow: Flow, mut outgoing: Outgoing) {
    let aborted = outgoing.take_abort();
    let connected = tokio::select! {
        connected = timeout(dialling.time, open(&dialling, &errand, flow.remote())) => {
            connected.unwrap_or(Err(ConnectError::Late(dialling.time)))
        }
        () = aborted => return,
    };
    let opened = match connected {
        Ok(opened) => opened,
        Err(error) => {
            flow.count(Count::ConnectFailed);
            tracing::warn!(peer = %flow.remote(), transport = errand.transport.via_token(), %error, "trunk not connected");
            return;
        }
    };
    if flow.announce().await.is_err() {
        return;
    }
    match opened {
        Opened::Tcp(stream) => stream::serve_ours(stream, flow, outgoing, dialling.limits.clone()).await,
        Opened::Tls(stream) => stream::serve_ours(*stream, flow, outgoing, dialling.limits.clone()).await,
    }
}

enum Opened {
    Tcp(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

async fn open(dialling: &Dialling, errand: &Errand, remote: SocketAddr) -> Result<Opened, ConnectError> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = errand.local.filter(|local| !local.ip().is_unspecified()) {
        socket.bind(SocketAddr::new(local.ip(), 0))?;
    }
    let tcp = socket.connect(remote).await?;
    let _ = tcp.set_nodelay(true);
    // Where the kernel does not know this the keep-alives of SIP are left.
    let _ = SockRef::from(&tcp).set_tcp_user_timeout(Some(USER_TIMEOUT));
    if errand.transport != Transport::Tls {
        return Ok(Opened::Tcp(tcp));
    }
    let config = dialling.tls.get(errand.trunk).cloned().flatten().ok_or(ConnectError::NoTls)?;
    let name = server_name(errand.server_name.as_deref(), remote.ip())?;
    Ok(Opened::Tls(Box::new(TlsConnector::from(config).connect(name, tcp).await?)))
}

/// What the peer's certificate must name (RFC 5922 7.1): what was configured or looked up, not what DNS said.
fn server_name(name: Option<&str>, ip: IpAddr) -> Result<ServerName<'static>, ConnectError> {
    match name {
        None => Ok(ServerName::IpAddress(ip.into())),
        Some(name) => {
            let host = name.rsplit_once(':').filter(|(host, _)| !host.contains(':')).map_or(name, |(host, _)| host);
            ServerName::try_from(host.to_owned()).map_err(|_| ConnectError::Name(name.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_for_the_name_without_its_port_or_for_the_address() {
        let ip: IpAddr = "192.0.2.1".parse().expect("address");
        let of = |name: Option<&str>| server_name(name, ip).map(|name| name.to_str().into_owned()).ok();
        assert_eq!(of(None).as_deref(), Some("192.0.2.1"));
        assert_eq!(of(Some("sip.example:5061")).as_deref(), Some("sip.example"));
        assert_eq!(of(Some("sip.example")).as_deref(), Some("sip.example"));
        assert_eq!(of(Some("2001:db8::1")).as_deref(), Some("2001:db8::1"));
        assert_eq!(of(Some("not a name")), None);
    }
}
