//! The thread that writes captures: the only one that waits for the disk.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::file::{CaptureFile, Stop};
use super::{Batch, Config, Ended, Note, Waiting};
use crate::call::CaptureEnd;
use crate::capture::message;
use crate::id::CallId;
use crate::io::tally::{Count, Tally};
use crate::media::tap::{Direction, tapped};

/// How often files are written to.
const TICK: Duration = Duration::from_millis(100);
/// How long a capture goes on after its call's end: the answers to its BYEs, and their repetitions.
pub(super) const LINGER: Duration = Duration::from_secs(5);
/// How often the folder is looked through, at the most.
const LOOK: Duration = Duration::from_secs(10);

/// One capture.
struct Open {
    name: String,
    file: CaptureFile,
    /// When it ends.
    until: Option<Instant>,
}

/// What the thread has.
pub(super) struct Writer {
    folder: PathBuf,
    file_bytes: u64,
    total_bytes: u64,
    /// Bytes of all captures in the folder, and when they were counted.
    used: (u64, Option<Instant>),
    open: HashMap<CallId, Open>,
    tally: Arc<Tally>,
    waiting: Arc<Waiting>,
    ended: mpsc::Sender<Ended>,
    /// The disk's refusal has been logged, and nothing was written since.
    refused: bool,
}

impl Writer {
    pub(super) fn new(config: &Config, tally: Arc<Tally>, waiting: Arc<Waiting>, ended: mpsc::Sender<Ended>) -> Writer {
        Writer {
            folder: config.folder.clone(),
            file_bytes: config.file_bytes,
            total_bytes: config.total_bytes,
            used: (0, None),
            open: HashMap::new(),
            tally,
            waiting,
            ended,
            refused: false,
        }
    }

    /// Writes until there is nobody left who could have something to write.
    pub(super) fn run(mut self, inbox: &Receiver<Note>) {
        let mut tick = Instant::now() + TICK;
        loop {
            match inbox.recv_timeout(tick.saturating_duration_since(Instant::now())) {
                Ok(note) => {
                    self.waiting.left(note.len());
                    self.take(note);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = Instant::now();
            if now >= tick {
                tick = now + TICK;
                self.write(now);
            }
        }
        let calls: Vec<CallId> = self.open.keys().copied().collect();
        calls.into_iter().for_each(|call| self.close(call));
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Open { call, name } => self.begin(call, name),
            Note::Message { call, at, from, to, bytes } => {
                self.keep(call, at, from, to, &message::plain(&bytes));
            }
            Note::Media(batch) => self.media(&batch),
            Note::Close { call, at_once: true } => self.close(call),
            Note::Close { call, at_once: false } => {
                if let Some(open) = self.open.get_mut(&call) {
                    open.until = Some(Instant::now() + LINGER);
                }
            }
        }
    }

    fn begin(&mut self, call: CallId, name: String) {
        // What this capture was before, if there was one, lingers no longer.
        self.close(call);
        let now = Instant::now();
        if self.open.is_empty() || self.used.1.is_none_or(|at| now.duration_since(at) >= LOOK) {
            self.used = (used(&self.folder), Some(now));
        }
        if self.room() == 0 {
            return self.end(call, name, &Stop::Full);
        }
        match CaptureFile::create(&self.folder.join(format!("{name}.pcap")), self.file_bytes) {
            Ok(file) => {
                self.open.insert(call, Open { name, file, until: None });
            }
            Err(why) => self.end(call, name, &why),
        }
    }

    fn room(&self) -> u64 {
        self.total_bytes.saturating_sub(self.used.0)
    }

    fn keep(&mut self, call: CallId, at: Instant, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        if let Some(open) = self.open.get_mut(&call)
            && !open.file.datagram(at, from, to, payload)
        {
            self.tally.add(Count::CaptureMissed);
        }
    }

    fn media(&mut self, batch: &Batch) {
        for packet in tapped(&batch.packets) {
            let Some(&local) = batch.locals.get(packet.local) else { continue };
            let (from, to) = match packet.direction {
                Direction::Received => (packet.remote, local),
                Direction::Sent => (local, packet.remote),
            };
            self.keep(batch.call, batch.opened + packet.at, from, to, packet.packet);
        }
    }

    /// Writes what is due, and ends what has lingered.
    fn write(&mut self, now: Instant) {
        let mut over = Vec::new();
        let mut refused = Vec::new();
        for (call, open) in &mut self.open {
            match open.file.write(now, self.total_bytes.saturating_sub(self.used.0)) {
                Ok(written) => {
                    self.used.0 += written;
                    self.refused &= written == 0;
                }
                Err(why) => refused.push((*call, why)),
            }
            if open.until.is_some_and(|until| until <= now) {
                over.push(*call);
            }
        }
        for (call, why) in refused {
            if let Some(open) = self.open.remove(&call) {
                self.end(call, open.name, &why);
            }
        }
        over.into_iter().for_each(|call| self.close(call));
    }

    /// Writes what is left of a capture.
    fn close(&mut self, call: CallId) {
        let Some(mut open) = self.open.remove(&call) else { return };
        match open.file.finish(self.room()) {
            Ok(written) => self.used.0 += written,
            Err(why) => self.end(call, open.name, &why),
        }
    }

    /// A capture that cannot go on: counted, logged once, told.
    fn end(&mut self, call: CallId, name: String, why: &Stop) {
        let why = match why {
            Stop::Full => {
                self.tally.add(Count::CaptureFull);
                tracing::info!(%call, "a capture has come to its limit");
                CaptureEnd::Full
            }
            Stop::Disk(error) => {
                self.tally.add(Count::CaptureFailed);
                if !std::mem::replace(&mut self.refused, true) {
                    tracing::error!(%error, folder = %self.folder.display(), "captures cannot be written");
                }
                CaptureEnd::Failed
            }
        };
        // Where signalling has ended, nobody wants to know.
        let _ = self.ended.blocking_send(Ended { call, name, why });
    }
}

/// Returns the bytes of all captures in the folder.
fn used(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let captures = entries.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "pcap"));
    captures.filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum()
}
