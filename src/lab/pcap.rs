//! A recording of what went over the wire, in the format that tshark reads.
//!
//! It is written from what the sockets saw, so it needs no right to listen on an interface.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::capture::pcap;

/// Packets since it began.
#[derive(Debug)]
pub struct Recorder {
    file: Mutex<Vec<u8>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder { file: Mutex::new(pcap::file_header().to_vec()) }
    }
}

impl Recorder {
    /// Keeps one datagram.
    pub(super) fn packet(&self, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        pcap::datagram(&mut file, now, from, to, payload);
    }

    /// Returns the file so far.
    pub fn file(&self) -> Vec<u8> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
