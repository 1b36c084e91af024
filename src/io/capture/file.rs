//! One file of a capture: its packets in the order of their times, its size, its mode.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::capture::pcap;

/// How long a packet waits for those before it: taps are emptied every tenth of a second.
const HOLD: Duration = Duration::from_millis(400);

/// Why nothing more can be written.
#[derive(Debug)]
pub(super) enum Stop {
    Full,
    Disk(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Disk(error)
    }
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct CaptureFile {
    file: BufWriter<File>,
    written: u64,
    limit: u64,
    /// What the clocks said when it was begun.
    begun: (Instant, Duration),
    /// Records that wait, with their times since 1970.
    held: Vec<(Duration, Vec<u8>)>,
}

impl CaptureFile {
    /// Begins a file that is not there yet, for its owner alone.
    pub(super) fn create(path: &Path, limit: u64) -> Result<CaptureFile, Stop> {
        let header = pcap::file_header();
        if limit < header.len() as u64 {
            return Err(Stop::Full);
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut file = CaptureFile {
            file: BufWriter::new(file),
            written: header.len() as u64,
            limit,
            begun: (Instant::now(), since_1970),
            held: Vec::new(),
        };
        // At once, and not when the buffer is full: a disk that takes nothing is to show here.
        file.file.write_all(&header)?;
        file.file.flush()?;
        Ok(file)
    }

    /// Keeps a datagram until those before it are there; false: it is too long to be one.
    pub(super) fn datagram(&mut self, at: Instant, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> bool {
        let (begun, since_1970) = self.begun;
        let at = match at.checked_duration_since(begun) {
            Some(after) => since_1970 + after,
            None => since_1970.saturating_sub(begun - at),
        };
        let mut record = Vec::with_capacity(payload.len() + 64);
        let fits = pcap::datagram(&mut record, at, from, to, payload);
        if fits {
            self.held.push((at, record));
        }
        fits
    }

    /// Writes what has waited long enough, and returns how many bytes these were; `room` is what all files have left.
    pub(super) fn write(&mut self, now: Instant, room: u64) -> Result<u64, Stop> {
        let (begun, since_1970) = self.begun;
        self.write_until(since_1970 + now.saturating_duration_since(begun).saturating_sub(HOLD), room)
    }

    /// Writes all that waits.
    pub(super) fn finish(&mut self, room: u64) -> Result<u64, Stop> {
        self.write_until(Duration::MAX, room)
    }

    fn write_until(&mut self, until: Duration, room: u64) -> Result<u64, Stop> {
        // A stable sort: what came at one time stays in order.
        self.held.sort_by_key(|(at, _)| *at);
        let due = self.held.partition_point(|(at, _)| *at <= until);
        let before = self.written;
        for (_, record) in self.held.drain(..due) {
            let len = record.len() as u64;
            if self.written + len > self.limit || self.written - before + len > room {
                self.file.flush()?;
                return Err(Stop::Full);
            }
            self.file.write_all(&record)?;
            self.written += len;
        }
        if self.written > before {
            self.file.flush()?;
        }
        Ok(self.written - before)
    }
}
