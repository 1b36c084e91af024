//! The thread that writes the journal: the only one that waits for the disk on its account.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::watch;

use super::inbox::Inbox;
use super::tally::SinkTally;
use super::{Config, Note};
use crate::desk::journal::{self, OpenCalls, Record, Replay};

/// How often the disk is made to keep what was written (group commit); what came after a pause is kept at once.
const COMMIT: Duration = Duration::from_millis(50);
/// How long a disk that takes nothing is left alone.
const RETRY: Duration = Duration::from_millis(500);
/// How often segments are looked through, beside each time that one is full.
const SWEEP: Duration = Duration::from_secs(1);
/// Notes of one turn.
const TURN: usize = 1024;
/// Into so many segments the bound is divided, as far as their sizes allow.
const SEGMENTS: u64 = 16;
/// Sizes of a segment.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 64 * 1024..=8 * 1024 * 1024;

/// Numbers of events are below this; a file that is named after another one is not ours.
const MOST_EVENTS: u64 = 1 << 63;

/// Returns the segments of a folder, oldest first: the number that each begins with, its file, its bytes.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<(u64, PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let first = name.to_str().and_then(|name| name.strip_suffix(".journal"));
        let first = first.filter(|number| number.len() == 20).and_then(|number| number.parse().ok());
        if let Some(first) = first.filter(|first: &u64| *first < MOST_EVENTS) {
            found.push((first, entry.path(), entry.metadata().map_or(0, |found| found.len())));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// What the thread has.
pub(super) struct Writer {
    folder: PathBuf,
    /// Keeps a second process out of the folder.
    _lock: File,
    file: File,
    /// Bytes of the segment that are whole lines.
    len: u64,
    segment_bytes: u64,
    max_bytes: u64,
    next: u64,
    open: OpenCalls,
    /// Lines that the file does not have yet.
    waiting: Vec<u8>,
    /// The cursors that the journal has.
    cursors: Vec<u64>,
    tally: Arc<SinkTally>,
    committed: watch::Sender<u64>,
    pace: Pace,
}

/// When what is to be done.
struct Pace {
    /// Something was written and is not synced.
    dirty: bool,
    last_commit: Option<Instant>,
    last_sweep: Option<Instant>,
    /// The disk took nothing; when it is tried again.
    refused_until: Option<Instant>,
}

impl Writer {
    /// Reads the folder, releases the calls that were open, and begins a segment. Returns what released them, too.
    pub(super) fn open(
        config: &Config,
        tally: Arc<SinkTally>,
        committed: watch::Sender<u64>,
    ) -> io::Result<(Writer, Vec<Bytes>)> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.folder)?;
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).open(config.folder.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => io::Error::other("another process uses it"),
            std::fs::TryLockError::Error(error) => error,
        })?;
        let mut replay = Replay::default();
        for (first, path, _) in segments(&config.folder)? {
            replay.take(&std::fs::read(path)?);
            replay.next = replay.next.max(first);
        }
        let Replay { next, cursors: kept, mut open, damaged } = replay;
        if damaged > 0 {
            tracing::warn!(damaged, "damaged lines in the journal of events are left out");
        }
        // A new sink begins here: what was before it was not meant for it.
        let names = config.sinks.iter().map(|sink| kept.get(&sink.name).copied());
        let cursors: Vec<u64> = names.map(|cursor| cursor.unwrap_or(next)).collect();
        tally.begin(next, &cursors);
        let segment_bytes = (config.max_bytes / SEGMENTS).clamp(*SEGMENT_BYTES.start(), *SEGMENT_BYTES.end());
        let (file, len) = begin(&config.folder, next, &open, &tally, File::sync_all)?;
        let mut writer = Writer {
            folder: config.folder.clone(),
            _lock: lock,
            len,
            file,
            segment_bytes,
            max_bytes: config.max_bytes,
            next,
            open: OpenCalls::default(),
            waiting: Vec::new(),
            cursors,
            tally,
            committed,
            pace: Pace { dirty: false, last_commit: None, last_sweep: None, refused_until: None },
        };
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let calls = open.len();
        let released = open.release(config.status, i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX));
        if calls > 0 {
            tracing::warn!(calls, "calls that were open when the last run ended are released for the sinks");
        }
        for event in &released {
            writer.tally.accepted();
            writer.append(event);
        }
        writer.write()?;
        writer.commit()?;
        Ok((writer, released))
    }

    /// Writes until it is told to stop.
    pub(super) fn run(mut self, mut inbox: Inbox) {
        loop {
            match inbox.wait(self.wait(Instant::now())) {
                Ok(note) => {
                    let mut notes = std::iter::once(note).chain(std::iter::from_fn(|| inbox.next())).take(TURN);
                    if notes.any(|note| self.take(note)) {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.turn(Instant::now());
        }
        self.note_cursors();
        if let Err(error) = self.write().and_then(|()| self.commit()) {
            tracing::error!(%error, folder = %self.folder.display(), "the last events were not written");
        }
    }

    /// How long there is nothing to do but to take notes.
    fn wait(&self, now: Instant) -> Duration {
        const LONG: Duration = Duration::from_secs(3600);
        match (self.pace.refused_until, self.pace.last_commit) {
            (Some(until), _) => until.saturating_duration_since(now),
            (None, Some(last)) if self.pace.dirty => (last + COMMIT).saturating_duration_since(now),
            (None, None) if self.pace.dirty => Duration::ZERO,
            _ => LONG,
        }
    }

    /// Takes a note; true: it was the last.
    fn take(&mut self, note: Note) -> bool {
        match note {
            Note::Event(envelope) => self.append(&envelope),
            Note::Look => {}
            Note::Stop => return true,
        }
        false
    }

    fn append(&mut self, envelope: &Bytes) {
        Record::Event { number: self.next, envelope }.write(&mut self.waiting);
        self.next = self.next.saturating_add(1);
        self.open.see(envelope);
    }

    fn turn(&mut self, now: Instant) {
        if self.pace.refused_until.is_some_and(|until| now < until) {
            return self.hold_on();
        }
        self.note_cursors();
        let due = self.pace.last_commit.is_none_or(|last| now >= last + COMMIT);
        let done = self.write().and_then(|()| match self.pace.dirty && due {
            true => self.commit(),
            false => Ok(()),
        });
        match done {
            Ok(()) => {
                if self.pace.refused_until.take().is_some() {
                    tracing::info!("the journal of events is written again");
                }
            }
            Err(error) => {
                if self.pace.refused_until.replace(now + RETRY).is_none() {
                    tracing::error!(%error, folder = %self.folder.display(), "the journal of events cannot be written");
                }
                // What was written of a line is no line.
                let _ = self.file.set_len(self.len).and_then(|()| self.file.seek(SeekFrom::Start(self.len)));
                self.hold_on();
            }
        }
    }

    /// With much in hand that the disk does not take, the queue is left to fill: it is what counts and tells.
    fn hold_on(&self) {
        if self.waiting.len() as u64 > self.segment_bytes
            && let Some(until) = self.pace.refused_until
        {
            std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
        }
    }

    /// A cursor that is behind costs a repetition, so it is written, and synced with the next event.
    fn note_cursors(&mut self) {
        for (known, (sink, number)) in self.cursors.iter_mut().zip(self.tally.cursors()) {
            if *known != number {
                *known = number;
                Record::Cursor { sink, number }.write(&mut self.waiting);
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.file.write_all(&self.waiting)?;
        self.len += self.waiting.len() as u64;
        self.waiting.clear();
        // Events are synced; so is what a segment that is full ends with.
        self.pace.dirty = self.next > *self.committed.borrow();
        Ok(())
    }

    fn commit(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.pace.dirty = false;
        let now = Instant::now();
        self.pace.last_commit = Some(now);
        self.committed.send_replace(self.next);
        let look = self.pace.last_sweep.is_none_or(|last| now >= last + SWEEP);
        if self.len >= self.segment_bytes {
            (self.file, self.len) = begin(&self.folder, self.next, &self.open, &self.tally, File::sync_all)?;
        } else if !look {
            return Ok(());
        }
        self.pace.last_sweep = Some(now);
        self.sweep()
    }

    /// Removes segments that every sink is past, and the oldest ones while all take too much.
    fn sweep(&self) -> io::Result<()> {
        let segments = segments(&self.folder)?;
        let mut bytes: u64 = segments.iter().map(|(.., len)| len).sum();
        let slowest = self.tally.cursors().map(|(_, number)| number).min().unwrap_or(self.next);
        for pair in segments.windows(2) {
            let [(_, path, len), (end, ..)] = pair else { break };
            let is_done = *end <= slowest;
            if !is_done && bytes <= self.max_bytes {
                break;
            }
            if !is_done {
                tracing::error!(before = end, "the journal of events is full: its oldest events are given up");
            }
            std::fs::remove_file(path)?;
            bytes -= len;
        }
        Ok(())
    }
}

/// Begins a segment, and returns it with its length. Its name comes with its beginning, so that it is whole or not there.
fn begin(
    folder: &Path,
    next: u64,
    open: &OpenCalls,
    tally: &SinkTally,
    sync: impl Fn(&File) -> io::Result<()>,
) -> io::Result<(File, u64)> {
    let mut text = Vec::new();
    journal::checkpoint(next, open, tally.cursors(), &mut text);
    let begun = folder.join("segment.begun");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&begun)?;
    file.write_all(&text)?;
    file.sync_data()?;
    let names = File::open(folder)?;
    std::fs::rename(&begun, folder.join(format!("{next:020}.journal")))?;
    // It has its name, and readers go on in it: what came into the one before would be found by nobody.
    if let Err(error) = sync(&names) {
        tracing::error!(%error, folder = %folder.display(), "the name of a new segment may not outlive a power cut");
    }
    Ok((file, text.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::StatusName;

    #[test]
    fn a_segment_that_has_its_name_is_gone_on_in_though_its_folder_is_not_synced() {
        let folder = tempfile::tempdir().unwrap();
        let tally = SinkTally::new(&["log"]);
        let refuse = |_: &File| Err(io::Error::other("no"));
        let (mut file, len) = begin(folder.path(), 7, &OpenCalls::default(), &tally, refuse).unwrap();
        file.write_all(b"more").unwrap();
        let found = segments(folder.path()).unwrap();
        let first: Vec<(u64, u64)> = found.iter().map(|(first, _, bytes)| (*first, *bytes)).collect();
        assert_eq!(first, [(7, len + 4)]);
    }

    #[test]
    fn a_foreign_file_with_a_huge_number_is_no_segment() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["18446744073709551615.journal", "09223372036854775808.journal", "5.journal"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let outbox = folder.path().to_owned();
        let config = Config { folder: outbox, max_bytes: 1 << 20, sinks: Vec::new(), status: StatusName::default() };
        let (mut writer, _) = Writer::open(&config, Arc::new(SinkTally::new(&[])), watch::channel(0).0).unwrap();
        writer.append(&Bytes::from_static(b"{}"));
        assert_eq!(writer.next, 1);
    }
}
