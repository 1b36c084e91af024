//! The SIP sockets of the configuration: bound, listened to, and what connections to trunks are made with.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Bound, StartError, Tls, compose};
use crate::config::{Config, PeerAddress, PeerHost, SipConfig, SipTransport, TrunkConfig};
use crate::gateway::ListenerId;
use crate::io::accept::{self, Gate, Limits};
use crate::io::connect::Dialling;
use crate::io::resolve::Locator;
use crate::io::signalling::Handle;
use crate::io::stream::{self, StreamLimits};
use crate::io::tally::Tally;
use crate::io::tls::{CertificateSource, Certificates, TlsError};
use crate::io::tls_peer::PeerTls;
use crate::io::udp;
use crate::path::Transport;

/// Connections at a time to all SIP sockets by TCP and TLS together: a SIP Server needs a handful.
const CONNECTIONS: usize = 2000;
/// Of one address that is no trunk's.
const PER_SOURCE: usize = 64;
/// Longest time until a connection to a trunk is there.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// One bound `[[sip]]` socket.
pub(super) enum Socket {
    Udp(UdpSocket),
    Stream(Bound),
}

impl Socket {
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Socket::Udp(socket) => socket.local_addr().ok(),
            Socket::Stream(bound) => Some(bound.address),
        }
    }
}

/// Binds one; `state` is the folder of self-signed certificates.
pub(super) async fn bind(config: &Config, sip: &SipConfig, state: &Path) -> Result<Socket, StartError> {
    let address = sip.bind;
    let failed = |what| move |error| StartError::Bind { what, address, error };
    let tls = match sip.transport {
        SipTransport::Udp => return Ok(Socket::Udp(udp::bind(address).map_err(failed("SIP UDP"))?)),
        SipTransport::Tcp => None,
        SipTransport::Tls => {
            Some(certificates(config, sip, state).map_err(|error| StartError::Tls { address, error })?)
        }
    };
    let what = if tls.is_some() { "SIP TLS" } else { "SIP TCP" };
    let listener = TcpListener::bind(address).await.map_err(failed(what))?;
    let address = listener.local_addr().map_err(failed(what))?;
    Ok(Socket::Stream(Bound { listener, address, tls }))
}

fn certificates(config: &Config, sip: &SipConfig, state: &Path) -> Result<Tls, TlsError> {
    let source = match (&sip.certificate, &sip.key) {
        (Some(cert), Some(key)) => CertificateSource::Files { cert: cert.clone(), key: key.clone() },
        _ => CertificateSource::SelfSigned { folder: state.join("tls"), names: compose::certificate_names(config) },
    };
    let certificates = Certificates::load(&source)?;
    Ok(Tls { config: certificates.server_config(&[])?, certificates })
}

/// Takes the connections of one socket, in tasks of `tasks`, until `stop` turns true.
pub(super) fn listen(
    tasks: &mut JoinSet<()>,
    (listener, bound): (ListenerId, Bound),
    gate: Arc<Gate>,
    stop: watch::Receiver<bool>,
    signalling: Handle,
    certificate_look: Duration,
) {
    let tls = bound.tls.map(|tls| {
        tasks.spawn(tls.certificates.watch(certificate_look));
        tls.config
    });
    tasks.spawn(accept::run(bound.listener, tls, gate, stop, move |connection| {
        stream::serve(connection, signalling.clone(), listener, StreamLimits::default())
    }));
}

/// Who may connect to them; trunks with an address are not counted.
pub(super) fn gate(config: &Config, tally: Arc<Tally>) -> Arc<Gate> {
    let spared = config.trunks.iter().flat_map(|trunk| &trunk.addresses).filter_map(PeerAddress::ip);
    let spared = spared.map(|ip| ip.to_canonical()).collect();
    Gate::new(Limits { connections: CONNECTIONS, per_source: PER_SOURCE, spared, ..Limits::default() }, tally)
}

/// Makes what connections to trunks need; `locals` are the bound SIP sockets.
pub(super) fn dialling(config: &Config, locals: &[SocketAddr]) -> Result<Dialling, StartError> {
    let tls = config.trunks.iter().map(|trunk| {
        let Some(tls) = &trunk.tls else { return Ok(None) };
        let certificates = match (&tls.certificate, &tls.key) {
            (Some(cert), Some(key)) => {
                let source = CertificateSource::Files { cert: cert.clone(), key: key.clone() };
                Some(Certificates::load(&source)?)
            }
            _ => None,
        };
        let peer = PeerTls { ca: tls.ca.clone(), unverified: !tls.verify, certificates };
        peer.client_config().map(Some)
    });
    let named = tls
        .zip(&config.trunks)
        .map(|(made, trunk)| made.map_err(|error| StartError::TrunkTls { trunk: trunk.name.clone(), error }));
    Ok(Dialling {
        locals: locals.to_vec(),
        tls: named.collect::<Result<_, _>>()?,
        time: CONNECT_TIME,
        limits: StreamLimits::default(),
    })
}

/// Makes the resolver, if a trunk has a name.
pub(super) fn locator(config: &Config) -> Result<Option<Locator>, StartError> {
    let is_name = |address: &PeerAddress| address.ip().is_none();
    match config.trunks.iter().any(|trunk| trunk.addresses.iter().any(is_name)) {
        true => Ok(Some(Locator::new(&config.resolver.servers)?)),
        false => Ok(None),
    }
}

/// Returns the first name of a trunk that DNS knows no address of.
pub(super) async fn unknown_name(config: &Config) -> Result<(), StartError> {
    let Some(locator) = locator(config)? else { return Ok(()) };
    let names = |trunk: &TrunkConfig| {
        let named = trunk.addresses.iter().filter_map(|address| match &address.host {
            PeerHost::Name(host) => Some((host.clone(), address.port, address.transport(trunk))),
            PeerHost::Ip(_) => None,
        });
        named.collect::<Vec<_>>()
    };
    for trunk in &config.trunks {
        for (host, port, transport) in names(trunk) {
            let transport = transport.map(Transport::from);
            let (targets, _) = locator.locate(&host, port, transport, rand::make_rng()).await;
            if targets.is_empty() {
                return Err(StartError::UnknownName { trunk: trunk.name.clone(), name: host });
            }
        }
    }
    Ok(())
}
