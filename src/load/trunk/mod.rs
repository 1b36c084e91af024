//! The trunk ends' side of signalling: one socket for all of them, by UDP or TCP, and a port pair for each call.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::id::FlowId;
use crate::load::LoadError;
use crate::load::plan::{self, Trunk};
use crate::path::{Path, Transport};
use crate::sip::framing::{Frame, Framer, PONG};

/// Longest SIP datagram.
const DATAGRAM: usize = 65_535;
/// Messages that wait for a slow connection; one that has more is given up.
const QUEUE: usize = 4_096;
/// Tries to find an even port whose neighbour is free.
const TRIES: usize = 200;
/// Connections of the trunk have numbers from here on; those of browsers are below.
const FIRST_FLOW: u64 = 1 << 32;

/// What comes from the trunk's side.
#[derive(Debug)]
pub enum FromTrunk {
    /// A connection is there; what is put into its queue is sent.
    Opened(FlowId, mpsc::Sender<Bytes>),
    /// One SIP message.
    Message(Path, Bytes),
    /// A connection is gone.
    Closed(FlowId),
}

/// How SIP goes to the target.
pub struct Lines {
    udp: Option<Arc<tokio::net::UdpSocket>>,
    flows: HashMap<FlowId, mpsc::Sender<Bytes>>,
    /// The way to the target.
    pub path: Path,
    /// Its transport.
    pub transport: Transport,
    /// Where we are.
    pub local: SocketAddr,
}

impl Lines {
    /// Binds the trunk's address, and connects to the target where that is by TCP and `calls` says that we call it.
    ///
    /// # Errors
    /// [`LoadError::Bind`], [`LoadError::Unreachable`].
    pub async fn open(trunk: &Trunk, calls: bool, inbound: mpsc::Sender<FromTrunk>) -> Result<Lines, LoadError> {
        let bind = |source| LoadError::Bind { address: trunk.bind, source };
        match trunk.transport {
            plan::Transport::Udp => {
                let socket = Arc::new(tokio::net::UdpSocket::bind(trunk.bind).await.map_err(bind)?);
                let local = socket.local_addr().map_err(bind)?;
                tokio::spawn(hear(socket.clone(), local, inbound));
                let path = Path::Udp { local, remote: trunk.target };
                Ok(Lines { udp: Some(socket), flows: HashMap::new(), path, transport: Transport::Udp, local })
            }
            plan::Transport::Tcp => {
                let listener = TcpListener::bind(trunk.bind).await.map_err(bind)?;
                let local = listener.local_addr().map_err(bind)?;
                let numbers = Arc::new(AtomicU64::new(FIRST_FLOW));
                let flow = FlowId(numbers.fetch_add(1, Ordering::Relaxed));
                let mut flows = HashMap::new();
                if calls {
                    let unreachable = |error: io::Error| LoadError::Unreachable {
                        target: trunk.target.to_string(),
                        reason: error.to_string(),
                    };
                    let stream = TcpStream::connect(trunk.target).await.map_err(unreachable)?;
                    flows.insert(flow, carry(stream, flow, trunk.target, inbound.clone()));
                }
                tokio::spawn(accept(listener, numbers, inbound));
                let path = Path::Tcp { flow, remote: trunk.target };
                Ok(Lines { udp: None, flows, path, transport: Transport::Tcp, local })
            }
        }
    }

    /// Takes note of a connection.
    pub fn opened(&mut self, flow: FlowId, queue: mpsc::Sender<Bytes>) {
        self.flows.insert(flow, queue);
    }

    /// Takes note that one is gone.
    pub fn closed(&mut self, flow: FlowId) {
        self.flows.remove(&flow);
    }

    /// Sends a message; a datagram that the kernel does not take is lost as on the network, a connection that takes no more
    /// is closed.
    pub fn send(&mut self, path: &Path, bytes: Bytes) {
        match path {
            Path::Udp { remote, .. } => {
                if let Some(socket) = &self.udp {
                    let _ = socket.try_send_to(&bytes, *remote);
                }
            }
            Path::Tcp { flow, .. } | Path::Relay { flow, .. } => {
                if self.flows.get(flow).is_some_and(|queue| queue.try_send(bytes).is_err()) {
                    self.flows.remove(flow);
                }
            }
        }
    }
}

async fn hear(socket: Arc<tokio::net::UdpSocket>, local: SocketAddr, inbound: mpsc::Sender<FromTrunk>) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        // An ICMP error of what was sent before ends nothing.
        let Ok((len, remote)) = socket.recv_from(&mut buffer).await else { continue };
        let path = Path::Udp { local, remote };
        if inbound.send(FromTrunk::Message(path, Bytes::copy_from_slice(&buffer[..len]))).await.is_err() {
            return;
        }
    }
}

async fn accept(listener: TcpListener, numbers: Arc<AtomicU64>, inbound: mpsc::Sender<FromTrunk>) {
    while let Ok((stream, remote)) = listener.accept().await {
        let flow = FlowId(numbers.fetch_add(1, Ordering::Relaxed));
        let queue = carry(stream, flow, remote, inbound.clone());
        if inbound.send(FromTrunk::Opened(flow, queue)).await.is_err() {
            return;
        }
    }
}

/// Carries messages of a connection both ways in a task of its own.
fn carry(stream: TcpStream, flow: FlowId, remote: SocketAddr, inbound: mpsc::Sender<FromTrunk>) -> mpsc::Sender<Bytes> {
    let (queue, mut outbound) = mpsc::channel::<Bytes>(QUEUE);
    tokio::spawn(async move {
        let (mut reader, mut writer) = stream.into_split();
        let mut framer = Framer::new();
        let mut buffer = vec![0; 16 * 1024];
        'open: loop {
            tokio::select! {
                read = reader.read(&mut buffer) => {
                    let Ok(len @ 1..) = read else { break };
                    framer.push(&buffer[..len]);
                    loop {
                        match framer.next_frame() {
                            Ok(Some(Frame::Message(bytes))) => {
                                let message = FromTrunk::Message(Path::Tcp { flow, remote }, bytes);
                                if inbound.send(message).await.is_err() {
                                    return;
                                }
                            }
                            Ok(Some(Frame::Ping)) if writer.write_all(PONG).await.is_err() => break 'open,
                            Ok(Some(Frame::Ping | Frame::Pong)) => {}
                            Ok(None) => break,
                            Err(_) => break 'open,
                        }
                    }
                }
                message = outbound.recv() => {
                    let Some(bytes) = message else { return };
                    if writer.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
            }
        }
        let _ = inbound.send(FromTrunk::Closed(flow)).await;
    });
    queue
}

/// Binds an even port for RTP and the next one for RTCP (RFC 3550 11).
///
/// # Errors
/// [`LoadError::Bind`] where no such pair is free.
pub fn port_pair(ip: std::net::IpAddr) -> Result<(UdpSocket, UdpSocket), LoadError> {
    let any = SocketAddr::new(ip, 0);
    let bind = |source| LoadError::Bind { address: any, source };
    for _ in 0..TRIES {
        let rtp = UdpSocket::bind(any).map_err(bind)?;
        let port = rtp.local_addr().map_err(bind)?.port();
        if port % 2 == 1 || port == u16::MAX {
            continue;
        }
        if let Ok(rtcp) = UdpSocket::bind(SocketAddr::new(ip, port + 1)) {
            return Ok((rtp, rtcp));
        }
    }
    Err(bind(io::ErrorKind::AddrInUse.into()))
}
