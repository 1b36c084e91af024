//! Events as lines of JSON in a file, for nobody but us, rotated by size.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::reader::Event;
use super::{Sink, Trouble};
use crate::desk::journal::MAX_EVENT;

/// Bytes at the end of a file that hold the end of a line, if it is ours.
const TAIL: u64 = MAX_EVENT as u64 + 1;

/// A file of JSON lines.
#[derive(Clone, Debug)]
pub struct LinesConfig {
    /// The file; older ones are FILE.1, FILE.2 …
    pub file: PathBuf,
    /// Size from which a new one is begun, bytes.
    pub max_bytes: u64,
    /// Older ones that are kept.
    pub keep: u32,
}

/// The sink.
pub(super) struct Lines {
    config: LinesConfig,
    open: Option<Open>,
}

struct Open {
    file: File,
    /// Bytes that are whole lines.
    len: u64,
    /// Device and number: whether the name still stands for this file.
    node: (u64, u64),
}

impl Lines {
    pub(super) fn new(config: &LinesConfig) -> Lines {
        Lines { config: config.clone(), open: None }
    }
}

impl Sink for Lines {
    async fn deliver(&mut self, events: &[Event]) -> Result<usize, Trouble> {
        let (config, mut open) = (self.config.clone(), self.open.take());
        let (count, events) = (events.len(), events.to_vec());
        let written = tokio::task::spawn_blocking(move || {
            let written = write(&config, &mut open, &events);
            (open, written)
        });
        let (open, written) = written.await.map_err(io::Error::other)?;
        self.open = open;
        written?;
        Ok(count)
    }
}

/// Appends all, and has the disk keep it; else nothing of it is there.
fn write(config: &LinesConfig, open: &mut Option<Open>, events: &[Event]) -> io::Result<()> {
    // Somebody else may have moved the file away, or removed it.
    if open.as_ref().is_some_and(|open| node(&config.file) != Some(open.node)) {
        *open = None;
    }
    if open.as_ref().is_some_and(|open| open.len >= config.max_bytes) {
        *open = None;
        rotate(config)?;
    }
    let open = match open {
        Some(open) => open,
        None => open.insert(append_to(&config.file)?),
    };
    let mut lines = Vec::new();
    for event in events {
        lines.extend_from_slice(&event.envelope);
        lines.push(b'\n');
    }
    let written = open.file.write_all(&lines).and_then(|()| open.file.sync_data());
    match written {
        Ok(()) => open.len += lines.len() as u64,
        Err(error) => {
            open.file.set_len(open.len)?;
            return Err(error);
        }
    }
    Ok(())
}

fn node(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// Opens the file; what a crash left of a last line goes, because the event will come again.
fn append_to(path: &Path) -> io::Result<Open> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let found = file.metadata()?;
    let mut len = found.len();
    if found.is_file() {
        let from = len.saturating_sub(TAIL);
        file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        (&file).take(TAIL).read_to_end(&mut tail)?;
        let whole = match memchr::memrchr(b'\n', &tail) {
            Some(last) => last + 1,
            None if tail.starts_with(b"{\"eventId\":") => 0,
            // No file of ours; it is left as it is.
            None => tail.len(),
        };
        if whole < tail.len() {
            len = from + whole as u64;
            file.set_len(len)?;
        }
    }
    Ok(Open { file, len, node: (found.dev(), found.ino()) })
}

/// Moves each file to the next number; the last one goes.
fn rotate(config: &LinesConfig) -> io::Result<()> {
    let numbered = |number: u32| {
        let mut name = config.file.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    if config.keep == 0 {
        return std::fs::remove_file(&config.file);
    }
    for number in (1..config.keep).rev() {
        match std::fs::rename(numbered(number), numbered(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::rename(&config.file, numbered(1))
}
