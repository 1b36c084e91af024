//! What signalling tells the agents' side: every fact in order, by a queue of its own. Who falls behind so far that it is full
//! is told how much is missing, and signalling waits for nobody.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::tally::{Count, Tally};
use crate::call::CallEvent;
use crate::id::DialId;

/// Notices that wait to be read, where nothing else is said.
pub const QUEUE: usize = 65_536;

/// One fact.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A fact of a call.
    Call(Arc<CallEvent>),
    /// See [`Output::Presence`](crate::gateway::Output::Presence).
    Presence {
        /// The DN.
        dn: String,
        /// It has a browser.
        is_here: bool,
    },
    /// See [`Output::NotDialled`](crate::gateway::Output::NotDialled).
    NotDialled {
        /// As in the command.
        dial: DialId,
        /// As in the command.
        dn: String,
        /// Why, as a final status of SIP.
        status: u16,
    },
    /// So many notices were dropped at this place: what there is now, [`Handle::figures`](super::signalling::Handle::figures)
    /// tells.
    Missed(u64),
}

/// The end of the queue that signalling writes to.
#[derive(Debug)]
pub struct Notices {
    queue: mpsc::Sender<Notice>,
    missed: u64,
}

/// Makes a queue of this length.
pub fn queue(length: usize) -> (Notices, mpsc::Receiver<Notice>) {
    // One place is kept for the word that something is missing.
    let (queue, reader) = mpsc::channel(length.max(2));
    (Notices { queue, missed: 0 }, reader)
}

impl Notices {
    /// Hands one over, or counts it as missed.
    pub(super) fn send(&mut self, notice: Notice, tally: &Tally) {
        if self.queue.is_closed() {
            return;
        }
        // The gap is told where it is, and is not told without something behind it.
        let fits = self.queue.capacity() > usize::from(self.missed > 0);
        if fits && self.missed > 0 && self.queue.try_send(Notice::Missed(self.missed)).is_ok() {
            self.missed = 0;
        }
        if !fits || self.queue.try_send(notice).is_err() {
            if self.missed == 0 {
                tracing::error!("the agents' side does not keep up: its notices are dropped");
            }
            self.missed += 1;
            tally.add(Count::NoticeMissed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(dn: &str) -> Notice {
        Notice::Presence { dn: dn.to_owned(), is_here: true }
    }

    fn names(reader: &mut mpsc::Receiver<Notice>) -> Vec<String> {
        let mut all = Vec::new();
        while let Ok(notice) = reader.try_recv() {
            all.push(match notice {
                Notice::Presence { dn, .. } => dn,
                Notice::Missed(count) => format!("missed {count}"),
                other => format!("{other:?}"),
            });
        }
        all
    }

    #[test]
    fn a_reader_that_falls_behind_learns_where_and_how_much_is_missing() {
        let tally = Tally::default();
        let (mut notices, mut reader) = queue(3);
        for dn in ["1", "2", "3", "4", "5"] {
            notices.send(notice(dn), &tally);
        }
        assert_eq!(names(&mut reader), ["1", "2", "3"]);
        notices.send(notice("6"), &tally);
        notices.send(notice("7"), &tally);
        assert_eq!(names(&mut reader), ["missed 2", "6", "7"]);
        assert_eq!(tally.get(Count::NoticeMissed), 2);
    }

    #[test]
    fn a_reader_that_is_gone_misses_nothing() {
        let tally = Tally::default();
        let (mut notices, reader) = queue(2);
        drop(reader);
        notices.send(notice("1"), &tally);
        assert_eq!(tally.get(Count::NoticeMissed), 0);
    }
}
