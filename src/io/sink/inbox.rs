//! The queue into the journal: events in their order, and beside it the ends of calls for which it had no room.
//!
//! An event of a call that is lost leaves the journal's picture of that call old; an end that is lost would leave it open
//! for ever. So an end waits here, without its user data, and comes where it belongs: after all that the queue had taken.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::Note;
use crate::desk::{Published, journal};

/// What waits beside the queue.
#[derive(Debug, Default)]
struct Ends {
    /// Events that the queue has taken.
    given: u64,
    /// Each with the number of events before it.
    waiting: VecDeque<(u64, Bytes)>,
}

/// The way in; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    notes: SyncSender<Note>,
    ends: Arc<Mutex<Ends>>,
    bound: usize,
}

/// The way out.
#[derive(Debug)]
pub(super) struct Inbox {
    notes: Receiver<Note>,
    ends: Arc<Mutex<Ends>>,
    taken: u64,
}

/// Makes a queue of so many notes, and of so many ends beside it.
pub(super) fn queue(bound: usize) -> (Entry, Inbox) {
    let (sender, notes) = sync_channel(bound);
    let ends = Arc::<Mutex<Ends>>::default();
    (Entry { notes: sender, ends: ends.clone(), bound }, Inbox { notes, ends, taken: 0 })
}

impl Entry {
    /// Hands an event over without waiting; false: it is lost.
    pub(super) fn append(&self, published: &Published, envelope: Bytes) -> bool {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if self.notes.try_send(Note::Event(envelope)).is_ok() {
            ends.given += 1;
            return true;
        }
        if ends.waiting.len() >= self.bound {
            return false;
        }
        let Some(end) = journal::brief_end(published) else { return false };
        let before = ends.given;
        ends.waiting.push_back((before, end));
        true
    }

    /// Returns the queue itself, for notes that are no events.
    pub(super) fn notes(&self) -> SyncSender<Note> {
        self.notes.clone()
    }
}

impl Inbox {
    /// Waits for the next note.
    ///
    /// # Errors
    /// As the queue's: none within this time, or never again.
    pub(super) fn wait(&mut self, time: Duration) -> Result<Note, RecvTimeoutError> {
        match self.end() {
            Some(end) => Ok(end),
            None => self.notes.recv_timeout(time).map(|note| self.count(note)),
        }
    }

    /// Takes the next note, if one is there.
    pub(super) fn next(&mut self) -> Option<Note> {
        self.end().or_else(|| self.notes.try_recv().ok().map(|note| self.count(note)))
    }

    fn count(&mut self, note: Note) -> Note {
        self.taken += u64::from(matches!(note, Note::Event(_)));
        note
    }

    /// The end whose turn it is.
    fn end(&self) -> Option<Note> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = ends.waiting.front().is_some_and(|(before, _)| *before <= self.taken);
        if is_due { ends.waiting.pop_front().map(|(_, end)| Note::Event(end)) } else { None }
    }
}
