//! A recording of what went over the wire, in the format that tshark reads: pcap with bare IP packets (LINKTYPE_RAW).
//!
//! It is written from what the sockets saw, so it needs no right to listen on an interface. IP and UDP headers are made here.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Packets since it began.
#[derive(Debug)]
pub struct Recorder {
    file: Mutex<Vec<u8>>,
}

impl Default for Recorder {
    fn default() -> Self {
        let mut file = 0xA1B2_C3D4u32.to_le_bytes().to_vec();
        file.extend([2, 0, 4, 0]);
        file.extend([0; 8]);
        file.extend(65_535u32.to_le_bytes());
        // LINKTYPE_RAW
        file.extend(101u32.to_le_bytes());
        Recorder { file: Mutex::new(file) }
    }
}

impl Recorder {
    /// Keeps one datagram; those of IPv6 are left out.
    pub(super) fn packet(&self, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (from.ip(), to.ip()) else { return };
        let (Ok(udp_len), Ok(len)) = (u16::try_from(payload.len() + 8), u16::try_from(payload.len() + 28)) else {
            return;
        };
        let mut packet = vec![0x45, 0];
        packet.extend(len.to_be_bytes());
        // Identification, flags (do not fragment), TTL, UDP, checksum
        packet.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
        packet.extend(source.octets());
        packet.extend(destination.octets());
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(from.port().to_be_bytes());
        packet.extend(to.port().to_be_bytes());
        packet.extend(udp_len.to_be_bytes());
        // No checksum: allowed over IPv4 (RFC 768).
        packet.extend([0, 0]);
        packet.extend(payload);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let size = u32::from(len).to_le_bytes();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.extend((now.as_secs() as u32).to_le_bytes());
        file.extend(now.subsec_micros().to_le_bytes());
        file.extend(size);
        file.extend(size);
        file.extend(packet);
    }

    /// Returns the file so far.
    pub fn file(&self) -> Vec<u8> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The checksum of an IPv4 header (RFC 791 3.1), whose own field is zero.
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])));
    let sum = words.sum::<u32>();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    !((folded & 0xFFFF) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_has_a_header_whose_words_add_up() {
        let recorder = Recorder::default();
        recorder.packet("127.0.0.2:5060".parse().unwrap(), "127.0.0.1:5070".parse().unwrap(), b"hello");
        let file = recorder.file();
        let packet = &file[24 + 16..];
        assert_eq!(packet.len(), 33);
        assert_eq!(checksum(&packet[..20]), 0);
        assert_eq!(&packet[20..22], &5060u16.to_be_bytes());
        assert_eq!(&packet[28..], b"hello");
    }
}
