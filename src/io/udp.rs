//! SIP over UDP (RFC 3261 18): one task per socket reads, signalling itself writes.
//!
//! What signalling is too busy for is dropped and counted: the peer repeats it (timers A, E). What the kernel does not take
//! is counted, and repeated by our own timers.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::tally::{Count, Tally};
use crate::gateway::ListenerId;
use crate::path::Path;

/// Kernel buffer that is asked for, each way: a burst of a thousand messages of 2 KiB.
const SOCKET_BUFFER_BYTES: usize = 2 << 20;
/// Longest UDP payload.
const MAX_DATAGRAM_BYTES: usize = 65_535;

/// One SIP datagram.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) path: Path,
    pub(super) listener: ListenerId,
    pub(super) bytes: Bytes,
}

/// Binds a SIP socket; port 0 takes a free one. To be called within the runtime.
pub fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The kernel caps these at its own limits; a smaller buffer is no reason not to start.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    UdpSocket::from_std(socket.into())
}

/// Reads `socket` until `queue` is closed. `local` stands in the paths.
pub(super) async fn receive(
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    listener: ListenerId,
    queue: mpsc::Sender<Datagram>,
    tally: Arc<Tally>,
) {
    let mut buffer = vec![0_u8; MAX_DATAGRAM_BYTES];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = queue.closed() => return,
        };
        let (length, remote) = match received {
            Ok(received) => received,
            // An ICMP error of an earlier datagram, mostly: transactions time out on their own.
            Err(error) => {
                tracing::debug!(%error, %local, "UDP receive");
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                continue;
            }
        };
        let Some(datagram) = buffer.get(..length) else { continue };
        if is_keep_alive(datagram) {
            tally.add(Count::UdpKeepAlive);
            continue;
        }
        tally.add(Count::UdpReceived);
        let path = Path::Udp { local, remote };
        let datagram = Datagram { path, listener, bytes: Bytes::copy_from_slice(datagram) };
        match queue.try_send(datagram) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => tally.add(Count::UdpQueueFull),
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        }
    }
}

/// Empty, CRLFs or NULs: what peers send to keep a NAT binding open.
fn is_keep_alive(datagram: &[u8]) -> bool {
    datagram.len() <= 4 && datagram.iter().all(|b| matches!(b, b'\r' | b'\n' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crlfs_and_nuls_are_keep_alives_and_a_short_request_is_not() {
        assert!(is_keep_alive(b""));
        assert!(is_keep_alive(b"\r\n\r\n"));
        assert!(is_keep_alive(&[0, 0, 0, 0]));
        assert!(!is_keep_alive(b"ACK "));
        assert!(!is_keep_alive(b"\r\n\r\nOPTIONS sip:a SIP/2.0\r\n"));
    }
}
