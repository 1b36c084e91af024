//! The pcap format with bare IP packets (LINKTYPE_RAW), times in µs.
//!
//! Whatever a datagram came by, it is written as UDP between its two addresses: IPv4 (RFC 791) where both are, else IPv6
//! (RFC 8200), with IPv4 addresses mapped.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Longest payload that UDP over IPv4 carries.
pub const MAX_PAYLOAD: usize = 65_507;

/// Magic number of a file in the byte order of its reader, times in µs.
const MAGIC: u32 = 0xA1B2_C3D4;
const LINKTYPE_RAW: u32 = 101;
const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const HOPS: u8 = 64;

/// Returns what a file begins with.
pub fn file_header() -> [u8; 24] {
    let mut header = [0; 24];
    header[..4].copy_from_slice(&MAGIC.to_le_bytes());
    header[4] = 2;
    header[6] = 4;
    header[16..20].copy_from_slice(&65_535u32.to_le_bytes());
    header[20..].copy_from_slice(&LINKTYPE_RAW.to_le_bytes());
    header
}

/// Writes one datagram to the end of `file`; `at` is the time since 1970. False, and nothing written: it is longer than
/// [`MAX_PAYLOAD`].
pub fn datagram(file: &mut Vec<u8>, at: Duration, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> bool {
    if payload.len() > MAX_PAYLOAD {
        return false;
    }
    let udp_len = payload.len() + UDP_HEADER;
    let (source, destination) = (from.ip().to_canonical(), to.ip().to_canonical());
    let header = match (source, destination) {
        (IpAddr::V4(_), IpAddr::V4(_)) => IPV4_HEADER,
        _ => IPV6_HEADER,
    };
    let size = ((header + udp_len) as u32).to_le_bytes();
    file.extend((at.as_secs() as u32).to_le_bytes());
    file.extend(at.subsec_micros().to_le_bytes());
    file.extend(size);
    file.extend(size);
    let packet = file.len();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            // Identification 0, do not fragment, checksum to follow.
            let [high, low] = ((IPV4_HEADER + udp_len) as u16).to_be_bytes();
            file.extend([0x45, 0, high, low, 0, 0, 0x40, 0, HOPS, UDP, 0, 0]);
            file.extend(source.octets());
            file.extend(destination.octets());
            let sum = checksum(0, &file[packet..]);
            file[packet + 10..packet + 12].copy_from_slice(&sum.to_be_bytes());
        }
        (source, destination) => {
            let [high, low] = (udp_len as u16).to_be_bytes();
            file.extend([0x60, 0, 0, 0, high, low, UDP, HOPS]);
            file.extend(octets(source));
            file.extend(octets(destination));
        }
    }
    let udp = file.len();
    file.extend(from.port().to_be_bytes());
    file.extend(to.port().to_be_bytes());
    file.extend((udp_len as u16).to_be_bytes());
    // Over IPv4 there need not be a checksum (RFC 768), over IPv6 there must (RFC 8200 8.1).
    file.extend([0, 0]);
    file.extend_from_slice(payload);
    if header == IPV6_HEADER {
        let pseudo = udp_len as u32 + u32::from(UDP);
        let sum = match checksum(pseudo, &file[packet + 8..]) {
            0 => 0xFFFF,
            sum => sum,
        };
        file[udp + 6..udp + 8].copy_from_slice(&sum.to_be_bytes());
    }
    true
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The Internet checksum (RFC 1071) of `begun` and bytes whose own field is zero.
fn checksum(begun: u32, bytes: &[u8]) -> u16 {
    let word = |w: &[u8]| u32::from(u16::from_be_bytes([w[0], w.get(1).copied().unwrap_or(0)]));
    // A datagram has at most 32 Ki words: the sum does not overflow.
    let mut sum = bytes.chunks(2).map(word).fold(begun, u32::wrapping_add);
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let at = Duration::from_micros(1_700_000_000_123_456);
        assert!(datagram(&mut file, at, from.parse().unwrap(), to.parse().unwrap(), payload));
        file
    }

    #[test]
    fn a_file_begins_as_tcpdump_writes_it() {
        let header = file_header();
        assert_eq!(header[..8], [0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0]);
        assert_eq!(header[8..16], [0; 8]);
        assert_eq!(header[16..], [0xFF, 0xFF, 0, 0, 101, 0, 0, 0]);
    }

    #[test]
    fn a_datagram_over_ipv4_has_its_time_its_lengths_and_a_header_that_adds_up() {
        let file = written("127.0.0.2:5060", "127.0.0.1:5070", b"hello");
        assert_eq!(file[..8], [1_700_000_000u32.to_le_bytes(), 123_456u32.to_le_bytes()].concat());
        assert_eq!(file[8..16], [33, 0, 0, 0, 33, 0, 0, 0]);
        let packet = &file[16..];
        assert_eq!(packet.len(), 33);
        assert_eq!(packet[2..4], 33u16.to_be_bytes());
        assert_eq!(checksum(0, &packet[..20]), 0);
        assert_eq!(packet[20..24], [5060u16.to_be_bytes(), 5070u16.to_be_bytes()].concat());
        assert_eq!(packet[24..26], 13u16.to_be_bytes());
        assert_eq!(&packet[28..], b"hello");
    }

    #[test]
    fn a_datagram_over_ipv6_has_the_checksum_that_it_must_have() {
        for payload in [&b"hello"[..], b"even", b""] {
            let packet = &written("[2001:db8::1]:5060", "[2001:db8::2]:5070", payload)[16..];
            assert_eq!(packet.len(), 48 + payload.len());
            assert_eq!(packet[0] >> 4, 6);
            let len = payload.len() as u32 + 8;
            assert_eq!(u32::from(u16::from_be_bytes([packet[4], packet[5]])), len);
            assert_ne!(packet[46..48], [0, 0]);
            assert_eq!(checksum(len + 17, &packet[8..]), 0, "with the pseudo-header of RFC 8200 8.1");
        }
    }

    #[test]
    fn a_mixed_pair_is_written_over_ipv6() {
        let packet = &written("192.0.2.1:5060", "[2001:db8::2]:5070", b"x")[16..];
        assert_eq!(packet[8..24], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 1]);
        let packet = &written("192.0.2.1:5060", "[::ffff:192.0.2.2]:5070", b"x")[16..];
        assert_eq!(packet[0], 0x45, "a mapped address is the IPv4 address");
    }

    #[test]
    fn a_payload_that_no_datagram_carries_is_left_out() {
        let address = "127.0.0.1:5060".parse().unwrap();
        let mut file = Vec::new();
        assert!(!datagram(&mut file, Duration::ZERO, address, address, &vec![0; MAX_PAYLOAD + 1]));
        assert!(file.is_empty());
        assert!(datagram(&mut file, Duration::ZERO, address, address, &vec![0; MAX_PAYLOAD]));
        assert_eq!(file[18..20], [0xFF, 0xFF], "the longest IPv4 packet");
    }
}
