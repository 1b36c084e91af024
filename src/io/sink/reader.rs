//! How a sink reads the journal: from where it is, no further than what the disk keeps.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::tally::SinkTally;
use super::writer::segments;
use crate::desk::journal::{self, MAX_EVENT, Record};

/// Bytes that are read at a time: more than the longest line.
const CHUNK: usize = 2 * MAX_EVENT;

/// One event on its way.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) number: u64,
    /// JSON, on one line.
    pub(super) envelope: Bytes,
}

/// A sink's place in the journal.
pub(super) struct Reader {
    disk: Disk,
    tally: Arc<SinkTally>,
    at: usize,
    committed: watch::Receiver<u64>,
}

struct Disk {
    folder: PathBuf,
    /// Number of the next event.
    position: u64,
    /// First number of the segment that is being read, and the offset within.
    place: Option<(u64, u64)>,
}

/// What a look at the disk brought.
struct Found {
    events: Vec<Event>,
    /// Events that are not there any more.
    lost: u64,
}

impl Reader {
    pub(super) fn new(folder: PathBuf, tally: Arc<SinkTally>, at: usize, committed: watch::Receiver<u64>) -> Reader {
        let position = tally.cursor(at);
        Reader { disk: Disk { folder, position, place: None }, tally, at, committed }
    }

    /// Waits for events, at most so many. `None`: there will be none any more. Nothing is lost where it is dropped.
    pub(super) async fn next(&mut self, most: usize) -> Option<Vec<Event>> {
        loop {
            let until = *self.committed.borrow_and_update();
            if self.disk.position >= until {
                self.committed.changed().await.ok()?;
                continue;
            }
            let mut disk = Disk { folder: self.disk.folder.clone(), ..self.disk };
            let (disk, found) = tokio::task::spawn_blocking(move || {
                let found = disk.read(until, most);
                (disk, found)
            })
            .await
            .ok()?;
            match found {
                Ok(Found { events, lost }) => {
                    self.disk = disk;
                    if lost > 0 {
                        tracing::error!(lost, "events were given up before a sink had them");
                        let cursor = events.first().map_or(self.disk.position, |event| event.number);
                        self.tally.lost(self.at, cursor, lost);
                    }
                    if !events.is_empty() {
                        return Some(events);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the journal of events cannot be read");
                    tokio::time::sleep(super::BACKOFF).await;
                }
            }
        }
    }
}

impl Disk {
    /// Reads events from the position on, of one segment. None: the next look is at the next segment.
    fn read(&mut self, until: u64, most: usize) -> io::Result<Found> {
        let (first, offset) = match self.place {
            Some(place) => place,
            None => (self.find()?, 0),
        };
        let bytes = match self.chunk(first, offset) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // It was given up under our hands.
                self.place = None;
                return Ok(Found { events: Vec::new(), lost: 0 });
            }
            bytes => bytes?,
        };
        let (mut found, mut read) = (Found { events: Vec::new(), lost: 0 }, 0);
        for (line, end) in journal::lines(&bytes) {
            if let Ok(Record::Event { number, envelope }) = Record::read(line)
                && number >= self.position
            {
                if number >= until || found.events.len() >= most {
                    break;
                }
                // Between two events of a chunk the numbers have no gap, but where a line is damaged.
                found.lost += number - self.position;
                self.position = number + 1;
                found.events.push(Event { number, envelope: bytes.slice_ref(envelope) });
            }
            read = end;
        }
        if read == 0 && bytes.len() == CHUNK {
            // No line that we wrote is so long.
            read = bytes.len();
        }
        self.place = Some((first, offset + read as u64));
        if found.events.is_empty() && read == 0 {
            self.leave(first, until, &mut found)?;
        }
        Ok(found)
    }

    /// Goes on to the segment behind this one. Without one, what should be here is lost.
    fn leave(&mut self, first: u64, until: u64, found: &mut Found) -> io::Result<()> {
        match segments(&self.folder)?.iter().find(|(next, ..)| *next > first) {
            Some((next, ..)) => self.place = Some((*next, 0)),
            None => {
                found.lost += until - self.position;
                self.position = until;
            }
        }
        Ok(())
    }

    /// Returns the segment with the position in it, or the first one behind it.
    fn find(&self) -> io::Result<u64> {
        let segments = segments(&self.folder)?;
        let before = segments.iter().rev().find(|(first, ..)| *first <= self.position);
        let found = before.or(segments.first()).map(|(first, ..)| *first);
        found.ok_or_else(|| io::Error::other("no segment"))
    }

    fn chunk(&self, first: u64, offset: u64) -> io::Result<Bytes> {
        let mut file = File::open(self.folder.join(format!("{first:020}.journal")))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(CHUNK as u64).read_to_end(&mut bytes)?;
        Ok(Bytes::from(bytes))
    }
}
