//! How a peer is reached; the key of every map of peers, never a bare `SocketAddr`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::id::FlowId;

/// Returns what counts as one source where shares are measured out: an IPv4 address, or an IPv6 network of 64 bits,
/// because whoever has one address of it has all (RFC 6177). A mapped IPv4 address is that address.
pub fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

/// A network: all addresses that begin with the same `bits` bits as `address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Net {
    address: IpAddr,
    bits: u8,
}

impl Net {
    /// Returns true if `address` is in this network; a mapped IPv4 address is that address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let prefix = |address: IpAddr| match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()).checked_shr(32 - u32::from(self.bits)),
            IpAddr::V6(v6) => v6.to_bits().checked_shr(128 - u32::from(self.bits)),
        };
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && prefix(address) == prefix(self.address)
    }
}

impl From<IpAddr> for Net {
    fn from(address: IpAddr) -> Net {
        let address = address.to_canonical();
        Net { address, bits: if address.is_ipv4() { 32 } else { 128 } }
    }
}

/// Not `address` or `address/bits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a network")]
pub struct NotANet;

impl FromStr for Net {
    type Err = NotANet;

    fn from_str(text: &str) -> Result<Net, NotANet> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let whole = Net::from(address.parse::<IpAddr>().map_err(|_| NotANet)?);
        match bits.map(str::parse) {
            None => Ok(whole),
            Some(Ok(bits)) if bits <= whole.bits => Ok(Net { bits, ..whole }),
            Some(_) => Err(NotANet),
        }
    }
}

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

    /// Returns true for SIP on a bare stream: TCP, and TLS over it.
    pub fn is_stream(self) -> bool {
        matches!(self, Transport::Tcp | Transport::Tls)
    }

    /// Returns the port of a peer that names none (RFC 3261 19.1.2).
    pub fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
            Transport::Ws => 80,
            Transport::Wss => 443,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_source_and_an_ipv4_address_is_one() {
        let source = |text: &str| source_of(text.parse().expect("address"));
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    }

    #[test]
    fn a_network_holds_what_begins_with_its_bits() {
        let holds = |net: &str, address: &str| {
            net.parse::<Net>().expect("a network").contains(address.parse().expect("address"))
        };
        assert!(holds("192.0.2.0/24", "192.0.2.255") && !holds("192.0.2.0/24", "192.0.3.0"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.6"));
        assert!(holds("192.0.2.0/24", "::ffff:192.0.2.9"));
        assert!(holds("0.0.0.0/0", "203.0.113.1") && !holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("2001:db8::/32", "2001:db8:ffff::1") && !holds("2001:db8::/32", "2001:db9::1"));
        for wrong in ["", "192.0.2.0/33", "2001:db8::/129", "192.0.2.0/", "192.0.2.0/-1", "host/8"] {
            assert_eq!(wrong.parse::<Net>(), Err(NotANet), "{wrong}");
        }
    }
}
