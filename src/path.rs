//! How a peer is reached; the key of every map of peers, never a bare `SocketAddr`.

use std::net::SocketAddr;

use crate::id::FlowId;

/// A way to a peer. Two datagrams of the same `Path` come from the same peer as far as the network can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Path {
    /// A UDP 5-tuple; `local` is the bound socket's address (never advertised as such).
    Udp {
        /// Address of our socket.
        local: SocketAddr,
        /// Address of the peer.
        remote: SocketAddr,
    },
    /// A connection (TCP, TLS, WS, WSS).
    Tcp {
        /// The connection.
        flow: FlowId,
        /// Address of the peer.
        remote: SocketAddr,
    },
    /// A peer behind a TURN allocation of ours.
    Relay {
        /// The connection or allocation that relays.
        flow: FlowId,
        /// Address of the peer behind the relay.
        peer: SocketAddr,
    },
}

impl Path {
    /// Returns the peer's address, for logs, limits and `received=`; never a key.
    pub fn remote(&self) -> SocketAddr {
        match self {
            Path::Udp { remote, .. } | Path::Tcp { remote, .. } => *remote,
            Path::Relay { peer, .. } => *peer,
        }
    }

    /// Returns the connection, where there is one.
    pub fn flow(&self) -> Option<FlowId> {
        match self {
            Path::Udp { .. } => None,
            Path::Tcp { flow, .. } | Path::Relay { flow, .. } => Some(*flow),
        }
    }
}

/// The SIP transport of a flow, as it stands in a Via (RFC 3261 18, RFC 7118 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams; unreliable.
    Udp,
    /// A stream framed by Content-Length.
    Tcp,
    /// TCP under TLS.
    Tls,
    /// WebSocket, one message per frame.
    Ws,
    /// WebSocket under TLS.
    Wss,
}

impl Transport {
    /// Returns true where the transport retransmits, so that SIP must not (RFC 3261 17).
    pub fn is_reliable(self) -> bool {
        self != Transport::Udp
    }

    /// Returns the token of `SIP/2.0/…` in a Via.
    pub fn via_token(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }
}
