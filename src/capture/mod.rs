//! What a capture is written as: the pcap format, with IP and UDP headers made here, and SIP messages that go with packets
//! that are not encrypted.
//!
//! Pure: bytes in, bytes out. Who is captured, says `gateway`; threads and files are `io::capture`'s. We do not write
//! pcapng, because every tool reads pcap.

pub mod message;
pub mod pcap;
