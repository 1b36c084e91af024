//! Captures of calls: what signalling and the media threads saw, written to files by a thread of its own.
//!
//! ```text
//!  signalling: messages ─┐
//!                        ├─ a bounded queue ─► the writer: pcap files of mode 0600
//!  workers: taps ────────┘                        └─► signalling: a capture that ended of itself
//! ```
//!
//! A full queue means packets and messages that are missed and counted, never a delay: its last quarter is kept for the
//! beginnings and ends of captures. We delete no file, because whoever wanted it written wants to read it.

mod file;
mod messages;
mod writer;

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;

pub(super) use messages::{Messages, Way};

use super::tally::{Count, Tally};
use crate::call::CaptureEnd;
use crate::id::CallId;
use crate::media::tap::tapped;

/// Things that may wait for the writer.
const QUEUE: usize = 4096;
/// Bytes that may wait for it.
const QUEUE_BYTES: usize = 16 << 20;
/// Captures that ended of themselves and that signalling has not heard of.
const ENDED: usize = 256;

/// Where captures go, and how large they grow.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder; it must be there.
    pub folder: PathBuf,
    /// Largest file, bytes.
    pub file_bytes: u64,
    /// Most bytes of all files `*.pcap` in the folder; beyond it nothing more is captured.
    pub total_bytes: u64,
    /// The listeners, in the gateway's order: bound address, and the one that stands in a capture for it.
    pub locals: Vec<(SocketAddr, SocketAddr)>,
    /// Calls are captured from their first message, unasked.
    pub automatic: bool,
}

/// What is written.
#[derive(Debug)]
enum Note {
    Open { call: CallId, name: String },
    Message { call: CallId, at: Instant, from: SocketAddr, to: SocketAddr, bytes: Bytes },
    Media(Batch),
    Close { call: CallId, at_once: bool },
}

/// What was tapped of one leg.
#[derive(Debug)]
pub(super) struct Batch {
    /// The capture.
    pub call: CallId,
    /// When the tap was opened: the packets' times count from there.
    pub opened: Instant,
    /// Our addresses, by [`crate::media::tap::Tapped::local`].
    pub locals: Arc<[SocketAddr]>,
    /// Packets as [`crate::media::tap::tapped`] reads them.
    pub packets: Vec<u8>,
}

/// A capture that has ended of itself.
#[derive(Debug)]
pub(super) struct Ended {
    pub call: CallId,
    pub name: String,
    pub why: CaptureEnd,
}

/// A way to the writer; cheap to clone.
#[derive(Clone, Debug)]
pub struct Sink {
    notes: SyncSender<Note>,
    waiting: Arc<Waiting>,
    tally: Arc<Tally>,
}

/// What is in the queue.
#[derive(Debug, Default)]
struct Waiting {
    notes: AtomicUsize,
    bytes: AtomicUsize,
}

impl Note {
    fn len(&self) -> usize {
        match self {
            Note::Message { bytes, .. } => bytes.len(),
            Note::Media(batch) => batch.packets.len(),
            Note::Open { .. } | Note::Close { .. } => 0,
        }
    }
}

impl Sink {
    /// Hands over what was tapped.
    pub(super) fn media(&self, batch: Batch) {
        if let Err(Note::Media(batch)) = self.offer(Note::Media(batch)) {
            self.missed(tapped(&batch.packets).count() as u64);
        }
    }

    /// Counts packets that found no room.
    pub(super) fn missed(&self, packets: u64) {
        self.tally.add_all(Count::CaptureMissed, packets);
    }

    /// Tells whether something could be handed over.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.notes.load(Ordering::Relaxed) < QUEUE - QUEUE / 4
            && self.waiting.bytes.load(Ordering::Relaxed) < QUEUE_BYTES
    }

    fn message(&self, note: Note) {
        if self.offer(note).is_err() {
            self.missed(1);
        }
    }

    /// Takes what the last quarter of the queue is not kept for.
    fn offer(&self, note: Note) -> Result<(), Note> {
        if self.has_room() { self.send(note) } else { Err(note) }
    }

    fn send(&self, note: Note) -> Result<(), Note> {
        let len = note.len();
        self.waiting.notes.fetch_add(1, Ordering::Relaxed);
        self.waiting.bytes.fetch_add(len, Ordering::Relaxed);
        self.notes.try_send(note).map_err(|error| {
            self.waiting.left(len);
            let (std::sync::mpsc::TrySendError::Full(note) | std::sync::mpsc::TrySendError::Disconnected(note)) = error;
            note
        })
    }
}

impl Waiting {
    fn left(&self, len: usize) {
        self.notes.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(len, Ordering::Relaxed);
    }
}

/// Signalling's part: which messages belong to captures, and which of these have ended.
#[derive(Debug)]
pub struct Capture {
    pub(super) messages: Messages,
    pub(super) ended: mpsc::Receiver<Ended>,
    writer: std::thread::JoinHandle<()>,
}

impl Capture {
    /// Waits until all is written. Every [`Sink`] must be gone.
    pub(super) fn finish(self) {
        let Capture { messages, ended, writer } = self;
        drop((messages, ended));
        // A panic of the thread has been reported by its own hook.
        let _ = writer.join();
    }
}

/// Starts the writer; the sink is for the media threads.
pub fn spawn(config: Config, tally: Arc<Tally>) -> io::Result<(Sink, Capture)> {
    let (notes, inbox) = sync_channel(QUEUE);
    let (told, ended) = mpsc::channel(ENDED);
    let waiting = Arc::new(Waiting::default());
    let sink = Sink { notes, waiting: waiting.clone(), tally: tally.clone() };
    let messages = Messages::new(sink.clone(), config.locals.clone(), config.automatic);
    let writer = writer::Writer::new(&config, tally, waiting, told);
    let writer = std::thread::Builder::new().name("capture".into()).spawn(move || writer.run(&inbox))?;
    Ok((sink, Capture { messages, ended, writer }))
}

/// Makes the folder, for nobody but us, or finds it made.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    writable(folder)
}

/// Says why the folder could not be made or written to, as far as that is known without making anything.
pub fn check_folder(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|part| part.exists());
    // A relative path begins in the folder that we are in.
    let there = there.filter(|part| !part.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match there.is_dir() {
        true => writable(there),
        false => Err(io::ErrorKind::NotADirectory.into()),
    }
}

/// By its mode alone: what a file system says beyond it shows at the first file.
fn writable(folder: &Path) -> io::Result<()> {
    let found = std::fs::metadata(folder)?;
    let user = rustix::process::geteuid().as_raw();
    let mode = found.mode();
    let may = match user {
        0 => true,
        user if user == found.uid() => mode & 0o300 == 0o300,
        // Which groups are ours is not asked.
        _ => mode & 0o030 == 0o030 || mode & 0o003 == 0o003,
    };
    if may { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

#[cfg(test)]
mod tests;
