//! The sinks of published events: an outbox on disk, and tasks that empty it towards others, each at its own pace.
//!
//! ```text
//!  desk ──append──► queue ──► writer (a thread) ──► segments on disk ──► a task per sink ──► CometD, webhook, file
//!                              written at once,                              │
//!                              synced every 50 ms ◄────── how far it is ─────┘
//! ```
//!
//! An event goes out once it is on the disk, to each sink in order, at least once; a repetition has the same `eventId`. What is
//! there when the process is killed goes out first when it is back, and calls that were open get a `Released`.

mod cometd;
mod gws;
mod inbox;
mod lines;
mod polling;
mod reader;
mod tally;
mod webhook;
mod writer;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::client::HttpClient;
use super::tls::TlsError;
use crate::desk::{Published, StatusName, journal};

pub use cometd::{CometdConfig, is_channel};
pub use gws::{GwsAccount, GwsConfig, Told};
pub use lines::LinesConfig;
pub use polling::Login;
pub use tally::{SinkFigures, SinkTally};
pub use webhook::WebhookConfig;

use reader::{Event, Reader};
use writer::Writer;

/// Events that wait for the writer.
const QUEUE: usize = 65_536;
/// Events that a sink is given at a time.
const BATCH: usize = 500;
/// The first wait after a failure; it doubles.
const BACKOFF: Duration = Duration::from_millis(200);
/// The longest wait after a failure.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// What subscribers learnt and the desk has not taken yet.
const TOLD: usize = 1024;

/// Where events go, and how much of the disk they may take on their way.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of the journal; made where it is not there.
    pub folder: PathBuf,
    /// Most that the journal takes, bytes; beyond it the oldest events go, whoever has not had them.
    pub max_bytes: u64,
    /// The sinks; their names differ.
    pub sinks: Vec<SinkConfig>,
    /// How the events that release calls of the last run call it.
    pub status: StatusName,
}

/// One sink.
#[derive(Clone, Debug)]
pub struct SinkConfig {
    /// Names it in logs and metrics, and its place in the journal.
    pub name: String,
    /// What it is.
    pub kind: SinkKind,
}

/// What a sink is.
#[derive(Clone, Debug)]
pub enum SinkKind {
    /// An external CometD server, to which events are published.
    Cometd(CometdConfig),
    /// A web server that events are posted to.
    Webhook(WebhookConfig),
    /// A file of JSON lines.
    Lines(LinesConfig),
}

/// Why there is no outbox.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The folder, or what is in it, cannot be used.
    #[error("{}: {error}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The TLS settings of a sink or a GWS.
    #[error("{name}: {error}")]
    Tls {
        /// Which.
        name: String,
        /// Why.
        error: TlsError,
    },
    /// A channel or an address that cannot be one.
    #[error("{name}: {what}")]
    Bad {
        /// Which sink or GWS.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// What did not come about this time.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Client(#[from] super::client::ClientError),
    #[error("status {0}")]
    Status(u16),
    #[error("status {status}, to come again in {wait:?}")]
    Later { status: u16, wait: Duration },
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// Where events go to. It is given them in order, and again until it has them.
trait Sink: Send {
    /// Delivers from the first event on, and returns how many are settled, one at least.
    fn deliver(&mut self, events: &[Event]) -> impl Future<Output = Result<usize, Trouble>> + Send;

    /// Does what is to be done while there is nothing to deliver; may be dropped at any time.
    fn idle(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

#[derive(Debug)]
enum Note {
    Event(Bytes),
    /// A sink is further.
    Look,
    Stop,
}

/// The way into the journal; cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbox {
    entry: inbox::Entry,
    tally: Arc<SinkTally>,
}

impl Outbox {
    /// Hands an event over without waiting. False: it is lost to all sinks, because the queue is full or the event is too
    /// long; that is counted. The end of a call is lost by neither.
    pub fn append(&self, published: &Published) -> bool {
        let taken = match journal::envelope(published) {
            Ok(envelope) => self.entry.append(published, envelope),
            Err(error) => {
                tracing::error!(%error, event = %published.event_id, "an event cannot be kept for the sinks");
                false
            }
        };
        if taken {
            self.tally.accepted()
        } else {
            self.tally.refused_by_queue()
        };
        taken
    }
}

/// The tasks of all sinks, and the writer.
#[derive(Debug)]
pub struct Sinks {
    outbox: Outbox,
    tasks: JoinSet<()>,
    writer: std::thread::JoinHandle<()>,
    released: Vec<Bytes>,
}

/// Reads what the last run left, releases its open calls, and starts the writer and a task per sink. To be called within the
/// runtime; reads and writes the disk.
///
/// # Errors
/// [`SinkError`].
pub fn spawn(config: &Config) -> Result<(Outbox, Sinks), SinkError> {
    let names: Vec<&str> = config.sinks.iter().map(|sink| sink.name.as_str()).collect();
    let tally = Arc::new(SinkTally::new(&names));
    let (entry, inbox) = inbox::queue(QUEUE);
    let notes = entry.notes();
    let failed = |error| SinkError::Folder { folder: config.folder.clone(), error };
    let mut tasks = JoinSet::new();
    let mut delayed = Vec::new();
    let (committed, watch) = watch::channel(0);
    let (writer, released) = Writer::open(config, tally.clone(), committed).map_err(failed)?;
    for (at, sink) in config.sinks.iter().enumerate() {
        let reader = Reader::new(config.folder.clone(), tally.clone(), at, watch.clone());
        let course = Course { name: sink.name.clone(), reader, notes: notes.clone(), tally: tally.clone(), at };
        delayed.push(course.of(&sink.kind)?);
    }
    let thread = std::thread::Builder::new().name("outbox".into());
    let writer = thread.spawn(move || writer.run(inbox)).map_err(failed)?;
    delayed.into_iter().for_each(|task| drop(tasks.spawn(task)));
    let outbox = Outbox { entry, tally };
    Ok((outbox.clone(), Sinks { outbox, tasks, writer, released }))
}

/// Says why [`spawn`] or [`subscribe`] would refuse, as far as that is known without making or reading anything of the journal.
///
/// # Errors
/// [`SinkError`].
pub fn check(config: Option<&Config>, gws: &[GwsConfig]) -> Result<(), SinkError> {
    for sink in config.iter().flat_map(|config| &config.sinks) {
        let trust = match &sink.kind {
            SinkKind::Cometd(config) => &config.trust,
            SinkKind::Webhook(config) => &config.trust,
            SinkKind::Lines(_) => continue,
        };
        HttpClient::new(trust).map_err(|error| SinkError::Tls { name: sink.name.clone(), error })?;
    }
    for gws in gws {
        HttpClient::new(&gws.trust).map_err(|error| SinkError::Tls { name: gws.name.clone(), error })?;
    }
    Ok(())
}

impl Sinks {
    /// Returns the figures; they go on being true.
    pub fn tally(&self) -> Arc<SinkTally> {
        self.outbox.tally.clone()
    }

    /// Gives away the events that released calls of the last run, as sinks have them.
    pub fn take_released(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.released)
    }

    /// Gives the sinks so long to have all, then ends them and the writer. What is left waits on the disk.
    pub async fn finish(mut self, grace: Duration) {
        let _ = tokio::time::timeout(grace, self.outbox.tally.all_delivered()).await;
        self.tasks.shutdown().await;
        let stop = move || {
            // The thread ends with its inbox, so where nobody takes this it has ended.
            let _ = self.outbox.entry.notes().send(Note::Stop);
            let _ = self.writer.join();
        };
        let _ = tokio::task::spawn_blocking(stop).await;
    }
}

/// One sink's way through the journal.
struct Course {
    name: String,
    reader: Reader,
    notes: SyncSender<Note>,
    tally: Arc<SinkTally>,
    at: usize,
}

type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl Course {
    fn of(self, kind: &SinkKind) -> Result<Task, SinkError> {
        let tls = |error| SinkError::Tls { name: self.name.clone(), error };
        Ok(match kind {
            SinkKind::Cometd(config) => {
                let sink = cometd::Cometd::new(&self.name, config, self.tally.clone(), self.at)?;
                Box::pin(self.run(sink))
            }
            SinkKind::Webhook(config) => {
                let sink = webhook::Webhook::new(&self.name, config, self.tally.clone(), self.at).map_err(tls)?;
                Box::pin(self.run(sink))
            }
            SinkKind::Lines(config) => Box::pin(self.run(lines::Lines::new(config))),
        })
    }

    async fn run(mut self, mut sink: impl Sink) {
        let mut waits = 0;
        let mut events: Vec<Event> = Vec::new();
        loop {
            if events.is_empty() {
                tokio::select! {
                    more = self.reader.next(BATCH) => match more {
                        Some(more) => events = more,
                        // The writer has ended; so shall we.
                        None => return,
                    },
                    () = sink.idle() => {}
                }
                continue;
            }
            match sink.deliver(&events).await {
                Ok(settled) => {
                    let settled = settled.min(events.len());
                    if let Some(last) = events.drain(..settled).next_back() {
                        self.advance(last.number.saturating_add(1), settled);
                    }
                    if waits > 0 {
                        tracing::info!(sink = %self.name, "events go out again");
                    }
                    waits = 0;
                }
                Err(error) => {
                    self.tally.failed(self.at);
                    if waits == 0 {
                        tracing::warn!(sink = %self.name, %error, "events wait for a sink");
                    }
                    tracing::debug!(sink = %self.name, %error, waits, "not delivered");
                    let wait = BACKOFF.saturating_mul(1 << waits.min(16)).min(MAX_BACKOFF);
                    let wait = wait.mul_f64(rand::random_range(0.5..1.0));
                    waits += 1;
                    let asked = if let Trouble::Later { wait, .. } = error { wait } else { Duration::ZERO };
                    tokio::time::sleep(wait.max(asked)).await;
                }
            }
        }
    }

    /// Says how far the sink is. The writer writes that down within its next turn.
    fn advance(&self, cursor: u64, events: usize) {
        self.tally.settled(self.at, cursor, events as u64);
        match self.notes.try_send(Note::Look) {
            // With a full queue the writer looks soon enough.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

/// Starts the subscribers of every GWS; what they learn comes out in the order of each.
///
/// # Errors
/// [`SinkError`].
pub fn subscribe(gws: &[GwsConfig]) -> Result<(JoinSet<()>, mpsc::Receiver<Told>), SinkError> {
    let (told, heard) = mpsc::channel(TOLD);
    let mut tasks = JoinSet::new();
    for config in gws {
        for account in &config.accounts {
            tasks.spawn(gws::Subscriber::new(config, account)?.run(told.clone()));
        }
    }
    Ok((tasks, heard))
}

#[cfg(test)]
mod tests;
