//! Our own accept loop: TCP, then TLS where the listener has it, each step bounded in time and number.
//!
//! A connection beyond [`Limits`] is closed at once and counted; without descriptors the kernel's queue holds them, and
//! refuses further ones itself.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::tally::{Count, Tally};
use crate::path::source_of;

/// Bounds on connections, all listeners together.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time of one source address (IPv6: a network of 64 bits). A call centre behind one NAT is one address.
    pub per_source: usize,
    /// Addresses that `per_source` is not for, beside loopback: proxies, load balancers.
    pub spared: Vec<IpAddr>,
    /// Longest TLS handshake.
    pub handshake: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { connections: 10_000, per_source: 1000, spared: Vec::new(), handshake: Duration::from_secs(10) }
    }
}

/// Who is in.
#[derive(Debug)]
pub struct Gate {
    limits: Limits,
    tally: Arc<Tally>,
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    total: usize,
    sources: HashMap<IpAddr, usize>,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub struct Seat {
    gate: Arc<Gate>,
    source: IpAddr,
}

impl Gate {
    /// Makes an empty gate.
    pub fn new(limits: Limits, tally: Arc<Tally>) -> Arc<Gate> {
        Arc::new(Gate { limits, tally, seats: Mutex::default() })
    }

    /// Lets `source` in, or counts why not.
    pub fn admit(self: &Arc<Self>, source: IpAddr) -> Option<Seat> {
        let spared = source.to_canonical().is_loopback() || self.limits.spared.contains(&source.to_canonical());
        let source = source_of(source);
        let mut seats = self.seats.lock().ok()?;
        if seats.total >= self.limits.connections {
            self.tally.add(Count::TooManyConnections);
            return None;
        }
        let taken = seats.sources.get(&source).copied().unwrap_or(0);
        if taken >= self.limits.per_source && !spared {
            self.tally.add(Count::TooManyOfSource);
            return None;
        }
        seats.total += 1;
        seats.sources.insert(source, taken + 1);
        Some(Seat { gate: self.clone(), source })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Ok(mut seats) = self.gate.seats.lock() else { return };
        seats.total = seats.total.saturating_sub(1);
        if let Some(taken) = seats.sources.get_mut(&self.source) {
            *taken -= 1;
            if *taken == 0 {
                seats.sources.remove(&self.source);
            }
        }
    }
}

/// A connection with or without TLS.
#[derive(Debug)]
pub enum Stream {
    /// TCP alone.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

macro_rules! each {
    ($self:ident, $stream:ident => $do:expr) => {
        match $self.get_mut() {
            Stream::Plain($stream) => $do,
            Stream::Tls(stream) => {
                let $stream = stream.as_mut();
                $do
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        each!(self, s => Pin::new(s).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        each!(self, s => Pin::new(s).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        each!(self, s => Pin::new(s).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        each!(self, s => Pin::new(s).poll_shutdown(cx))
    }
}

/// An accepted connection, its handshake done.
#[derive(Debug)]
pub struct Connection {
    /// The bytes.
    pub stream: Stream,
    /// The peer.
    pub peer: SocketAddr,
    /// True under TLS.
    pub secure: bool,
    /// Its place at the gate; to be kept as long as the connection.
    pub seat: Seat,
}

/// Accepts until `stop` turns true; `serve` gets each connection in a task of its own.
pub async fn run<F, Fut>(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    gate: Arc<Gate>,
    mut stop: watch::Receiver<bool>,
    serve: F,
) where
    F: Fn(Connection) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let acceptor = tls.map(TlsAcceptor::from);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors: the connection stays in the kernel's queue, and without a pause this loop would spin.
                gate.tally.add(Count::AcceptFailed);
                tracing::warn!(%error, "accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(seat) = gate.admit(peer.ip()) else { continue };
        let _ = tcp.set_nodelay(true);
        let (acceptor, serve) = (acceptor.clone(), serve.clone());
        tokio::spawn(async move {
            let secure = acceptor.is_some();
            let Some(stream) = handshake(tcp, acceptor, &seat.gate).await else { return };
            serve(Connection { stream, peer, secure, seat }).await;
        });
    }
}

async fn handshake(tcp: TcpStream, acceptor: Option<TlsAcceptor>, gate: &Gate) -> Option<Stream> {
    let Some(acceptor) = acceptor else { return Some(Stream::Plain(tcp)) };
    match tokio::time::timeout(gate.limits.handshake, acceptor.accept(tcp)).await {
        Ok(Ok(stream)) => Some(Stream::Tls(Box::new(stream))),
        Ok(Err(error)) => {
            gate.tally.add(Count::TlsFailed);
            tracing::debug!(%error, "TLS handshake");
            None
        }
        Err(_) => {
            gate.tally.add(Count::TlsTimedOut);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(connections: usize, per_source: usize) -> (Arc<Gate>, Arc<Tally>) {
        let tally = Arc::new(Tally::default());
        let spared = vec!["192.0.2.9".parse().expect("address")];
        let limits = Limits { connections, per_source, spared, ..Limits::default() };
        (Gate::new(limits, tally.clone()), tally)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("address")
    }

    #[test]
    fn one_source_cannot_take_every_seat() {
        let (gate, tally) = gate(100, 2);
        let _first = gate.admit(ip("192.0.2.1")).expect("first");
        let second = gate.admit(ip("::ffff:192.0.2.1")).expect("second");
        assert!(gate.admit(ip("192.0.2.1")).is_none());
        assert_eq!(tally.get(Count::TooManyOfSource), 1);
        assert!(gate.admit(ip("192.0.2.2")).is_some());
        let network: Vec<_> = (1..=3).map(|n| gate.admit(ip(&format!("2001:db8::{n}")))).collect();
        assert!(network[1].is_some() && network[2].is_none(), "an IPv6 network is one source");
        drop(second);
        assert!(gate.admit(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn loopback_and_spared_sources_have_no_limit_of_their_own() {
        let (gate, _) = gate(100, 1);
        for source in ["127.0.0.1", "::1", "192.0.2.9"] {
            let seats: Vec<_> = (0..5).map(|_| gate.admit(ip(source)).is_some()).collect();
            let kept: Vec<_> = (0..5).filter_map(|_| gate.admit(ip(source))).collect();
            assert!(seats.iter().all(|s| *s));
            assert_eq!(kept.len(), 5, "{source}");
        }
    }

    #[test]
    fn the_gate_closes_when_every_seat_is_taken() {
        let (gate, tally) = gate(1, 10);
        let seat = gate.admit(ip("127.0.0.1")).expect("a seat");
        assert!(gate.admit(ip("127.0.0.1")).is_none());
        assert_eq!(tally.get(Count::TooManyConnections), 1);
        drop(seat);
        assert!(gate.admit(ip("127.0.0.1")).is_some());
        assert!(gate.seats.lock().expect("lock").sources.is_empty());
    }
}
