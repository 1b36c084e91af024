//! The task of the agents' side: it owns the [`Desk`](crate::desk::Desk) and the Bayeux server, feeds them, and tells them
//! the time.
//!
//! ```text
//!  signalling ──notices──► Desk ──Published──┬──► outbox of the sinks
//!  REST ──operations──────► │                └──► Bayeux server ──┬──► the one answer of each request
//!                           └──commands──► signalling     ▲       └──► a bounded queue per WebSocket
//!  CometD requests, frames ───────────────────────────────┘
//! ```
//!
//! A task of its own, so that no fan-out ever delays an INVITE. Who sends to it waits while its queue is full. Each request
//! holds a second place in that queue from the start, for the word that its client has gone: so that word is never lost.
//! Logins stand in a table beside the task ([`Login`]), which every request asks without a way through the queue.

mod passwords;
mod released;
mod rules;
mod task;
#[cfg(test)]
mod tests;
mod trying;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use smallvec::{SmallVec, smallvec};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::notice::Notice;
use super::signalling;
use super::sink::{Outbox, Told};
use crate::bayeux::channel::Channel;
use crate::bayeux::message::Batch;
use crate::bayeux::server::{self, Audience, Publication};
use crate::bayeux::{Caller, Owner, Peer, RequestId, join};
use crate::desk::login::attempts::Outcome;
use crate::desk::login::{self, Login, Secret, Session};
use crate::desk::{self, AgentConfig, AgentView, Answer, AttachedData, DeskConfig, Operation, UserName};
use crate::id::FlowId;

pub use passwords::Denied;
use passwords::Passwords;
use trying::Trying;

/// Commands that wait for signalling; more are dropped and counted.
const COMMANDS: usize = 4096;
/// Changes of agents that a reader may be behind.
const AGENTS: usize = 4096;
/// Frames of one WebSocket that wait for the task: one desktop must not keep all others waiting.
const FRAMES: usize = 8;
/// Bodies that wait for one WebSocket go as one, up to this many bytes and the last of them: a write costs more than they do.
const TOGETHER: usize = 16 << 10;

/// Times and bounds.
#[derive(Clone, Debug)]
pub struct Config {
    /// Of the Bayeux server.
    pub bayeux: server::Config,
    /// Of logins.
    pub login: login::Config,
    /// Requests and events that wait for the task, and one place for each request that is held.
    pub queue: usize,
    /// The agents, and how they work.
    pub desk: DeskConfig,
}

impl Config {
    /// Takes defaults for all but the agents.
    pub fn new(desk: DeskConfig) -> Config {
        Config { bayeux: server::Config::default(), login: login::Config::default(), queue: 65_536, desk }
    }
}

/// Whom the task knows.
#[derive(Default)]
pub struct Links {
    /// Who carries commands out, and what it tells; without it there are no calls.
    pub signalling: Option<(signalling::Handle, mpsc::Receiver<Notice>)>,
    /// The way to the sinks.
    pub outbox: Option<Outbox>,
    /// What subscribers of a GWS learn of calls.
    pub told: Option<mpsc::Receiver<Told>>,
    /// The ends of calls that were open when the run before ended, as sinks have them: an agent's desktops hear of them when
    /// one of them comes back.
    pub released: Vec<Bytes>,
}

/// The task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the desk has ended")]
pub struct Ended;

/// What the task counted, and its levels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Bayeux sessions at present.
    pub sessions: usize,
    /// Logins at present.
    pub logins: usize,
    /// WebSockets at present.
    pub sockets: usize,
    /// Requests that wait for their answer.
    pub held: usize,
    /// Messages that wait for the task.
    pub waiting: usize,
    /// Since the start.
    pub counts: Counts,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests and frames taken.
    pub requests: u64,
    /// Events published.
    pub published: u64,
    /// Bodies handed to connections.
    pub bodies: u64,
    /// Service messages of clients.
    pub services: u64,
    /// Sessions that clients ended.
    pub disconnected: u64,
    /// Sessions that did not come back.
    pub silent: u64,
    /// Sessions that did not read.
    pub queue_full: u64,
    /// Sessions that ended with their login.
    pub logged_out: u64,
    /// Operations of agents.
    pub operations: u64,
    /// Commands that signalling did not take in time.
    pub commands_dropped: u64,
}

enum ToTask {
    Request {
        id: RequestId,
        caller: Caller,
        batch: Batch,
        reply: oneshot::Sender<Bytes>,
    },
    Opened(FlowId, mpsc::Sender<Bytes>),
    /// `place` is given back with the frame, once it has been taken.
    Frame {
        flow: FlowId,
        caller: Caller,
        batch: Batch,
        place: OwnedSemaphorePermit,
    },
    Written(FlowId, usize),
    Gone(Peer),
    Publish(Publication),
    Operation(UserName, Operation, oneshot::Sender<Answer>),
    Desk(desk::Input),
    Agents(oneshot::Sender<Agents>),
    Figures(oneshot::Sender<Figures>),
}

/// All agents of a moment, and those that have changed since then.
#[derive(Debug)]
pub struct Agents {
    /// All of them, by name.
    pub now: Vec<AgentView>,
    /// Who has changed, in order.
    pub changes: broadcast::Receiver<AgentView>,
}

/// A way to the task; cheap to clone. The task ends with its last handle.
#[derive(Clone)]
pub struct Handle {
    to: mpsc::Sender<ToTask>,
    logins: Arc<Logins>,
    passwords: Arc<Passwords>,
    next: Arc<AtomicU64>,
    window: usize,
}

/// The logins, and the word that one has ended or begun.
#[derive(Debug)]
struct Logins {
    table: Mutex<Login>,
    changed: Notify,
}

impl Logins {
    /// Locks the table; what is done under the lock waits for nothing.
    fn table(&self) -> MutexGuard<'_, Login> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a request or a WebSocket has gone, when dropped.
struct Guard {
    place: Option<mpsc::OwnedPermit<ToTask>>,
    peer: Peer,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            place.send(ToTask::Gone(self.peer));
        }
    }
}

/// Returns who a session is to the Bayeux server.
pub fn caller(session: &Session) -> Caller {
    Caller { owner: Some(Owner(session.user.0.clone())), cookie: Some(session.secret.0.clone()) }
}

impl Handle {
    /// Hands a request over and waits for its answer. Dropped before that, the request counts as gone.
    ///
    /// # Errors
    /// [`Ended`]
    pub async fn cometd(&self, caller: Caller, batch: Batch) -> Result<Bytes, Ended> {
        let id = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
        let place = self.to.clone().reserve_owned().await.map_err(|_| Ended)?;
        let mut guard = Guard { place: Some(place), peer: Peer::Http(id) };
        let (reply, answer) = oneshot::channel();
        self.to.send(ToTask::Request { id, caller, batch, reply }).await.map_err(|_| Ended)?;
        let body = answer.await.map_err(|_| Ended)?;
        guard.place = None;
        Ok(body)
    }

    /// Opens a WebSocket's way to the task.
    ///
    /// # Errors
    /// [`Ended`]
    pub async fn socket(&self) -> Result<Socket, Ended> {
        let flow = FlowId(self.next.fetch_add(1, Ordering::Relaxed));
        let place = self.to.clone().reserve_owned().await.map_err(|_| Ended)?;
        // The server closes a WebSocket with more than four windows unwritten.
        let (writer, bodies) = mpsc::channel(self.window.max(16) * 5);
        self.to.send(ToTask::Opened(flow, writer)).await.map_err(|_| Ended)?;
        let guard = Guard { place: Some(place), peer: Peer::Socket(flow) };
        let places = Arc::new(Semaphore::new(FRAMES));
        let report = self.window.div_ceil(2);
        Ok(Socket { flow, places, to: self.to.clone(), bodies, taken: 0, report, _guard: guard })
    }

    /// Publishes an event to one agent, or to all subscribers; `data` is one JSON value.
    ///
    /// # Errors
    /// [`Ended`]
    pub async fn publish(&self, owner: Option<&UserName>, channel: Channel, data: Bytes) -> Result<(), Ended> {
        let audience = owner.map_or(Audience::All, |user| Audience::Owner(Owner(user.0.clone())));
        self.to.send(ToTask::Publish(Publication { channel, audience, data })).await.map_err(|_| Ended)
    }

    /// Checks a password, at the pace that failures leave, and opens a session.
    ///
    /// # Errors
    /// [`Denied`]
    pub async fn log_in(&self, user: &str, password: &str, peer: IpAddr) -> Result<Session, Denied> {
        self.verified(user, password, peer, |logins, user| logins.open(&user, Instant::now())).await.inspect(|_| {
            self.logins.changed.notify_one();
        })
    }

    /// Verifies a password, as fast as the attempts before allow, without opening a login.
    ///
    /// # Errors
    /// [`Denied`]
    pub async fn check(&self, user: &str, password: &str, peer: IpAddr) -> Result<UserName, Denied> {
        self.verified(user, password, peer, |_, user| user).await
    }

    /// Verifies a password and does `then` before anybody can change it.
    async fn verified<T>(
        &self,
        user: &str,
        password: &str,
        peer: IpAddr,
        then: impl FnOnce(&mut Login, UserName) -> T,
    ) -> Result<T, Denied> {
        let known = self.passwords.find(user);
        let _place = self.passwords.place()?;
        let mut trying = Trying::begin(&self.logins, user, known.as_ref(), peer);
        trying.turn().await?;
        let matched = match self.passwords.verify(user, password).await {
            Ok(matched) => matched,
            Err(denied) => {
                trying.end(&mut self.logins.table(), Outcome::Unheard);
                return Err(denied);
            }
        };
        let mut table = self.logins.table();
        // Whoever changes a password takes it out of the accounts first, and then ends the logins in this table.
        let user = known.filter(|user| matched.is_some_and(|hash| self.passwords.is_current(user, &hash)));
        trying.end(&mut table, if user.is_some() { Outcome::Right } else { Outcome::Wrong });
        Ok(then(&mut table, user.ok_or(Denied::Wrong)?))
    }

    /// Finds the login of a cookie; that it was used counts against its idle time.
    pub fn session(&self, secret: &str) -> Option<Session> {
        self.logins.table().find(secret, Instant::now())
    }

    /// Ends a login, and all that was opened by it.
    pub fn log_out(&self, secret: &Secret) {
        self.logins.table().close(secret);
        self.logins.changed.notify_one();
    }

    /// Asks something in the name of an agent who is logged in.
    ///
    /// # Errors
    /// [`Ended`]
    pub async fn operate(&self, agent: &UserName, what: Operation) -> Result<Answer, Ended> {
        let (reply, answer) = oneshot::channel();
        self.to.send(ToTask::Operation(agent.clone(), what, reply)).await.map_err(|_| Ended)?;
        answer.await.map_err(|_| Ended)
    }

    /// Tells an agent of something else than a call: chat, work item.
    ///
    /// # Errors
    /// [`Ended`]
    pub async fn interaction(&self, agent: UserName, data: Value) -> Result<(), Ended> {
        self.to.send(ToTask::Desk(desk::Input::Interaction { agent, data })).await.map_err(|_| Ended)
    }

    /// Says what somebody else knows of a call; `data` is all of its user data.
    ///
    /// # Errors
    /// [`Ended`]
    pub async fn told(&self, call_uuid: String, conn_id: Option<String>, data: AttachedData) -> Result<(), Ended> {
        let told = desk::Input::Told { call_uuid, conn_id, user_data: Some(data) };
        self.to.send(ToTask::Desk(told)).await.map_err(|_| Ended)
    }

    /// Takes other agents. Who is no longer there, or has another password, is logged out.
    ///
    /// # Errors
    /// [`Ended`]
    pub async fn set_agents(&self, agents: Vec<AgentConfig>) -> Result<(), Ended> {
        let changed = self.passwords.replace(&agents);
        self.logins.table().retain(|user| !changed.contains(user));
        self.logins.changed.notify_one();
        self.to.send(ToTask::Desk(desk::Input::Reconfigured(agents))).await.map_err(|_| Ended)
    }

    /// Returns the agents, and their changes from here on.
    ///
    /// # Errors
    /// [`Ended`]
    pub async fn agents(&self) -> Result<Agents, Ended> {
        let (reply, agents) = oneshot::channel();
        self.to.send(ToTask::Agents(reply)).await.map_err(|_| Ended)?;
        agents.await.map_err(|_| Ended)
    }

    /// Returns the figures of this moment.
    ///
    /// # Errors
    /// [`Ended`]
    pub async fn figures(&self) -> Result<Figures, Ended> {
        let (reply, figures) = oneshot::channel();
        self.to.send(ToTask::Figures(reply)).await.map_err(|_| Ended)?;
        figures.await.map_err(|_| Ended)
    }
}

/// A WebSocket's way to the task. When dropped, the WebSocket counts as gone.
pub struct Socket {
    flow: FlowId,
    /// For frames on their way.
    places: Arc<Semaphore>,
    to: mpsc::Sender<ToTask>,
    bodies: mpsc::Receiver<Bytes>,
    /// Bodies that came by [`Socket::next`] and were not reported as written.
    taken: usize,
    /// How many of them are reported at once.
    report: usize,
    _guard: Guard,
}

impl Socket {
    /// Returns its name, for logs.
    pub fn flow(&self) -> FlowId {
        self.flow
    }

    /// Hands a frame over; waits while eight of this WebSocket wait for the task, or its queue is full, so that its sender
    /// waits too.
    ///
    /// # Errors
    /// [`Ended`]
    pub async fn frame(&self, caller: Caller, batch: Batch) -> Result<(), Ended> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| Ended)?;
        self.to.send(ToTask::Frame { flow: self.flow, caller, batch, place }).await.map_err(|_| Ended)
    }

    /// Returns what to write next, as one body; `None`: the WebSocket is to be closed.
    pub async fn next(&mut self) -> Option<Bytes> {
        let mut waiting: SmallVec<[Bytes; 1]> = smallvec![self.bodies.recv().await?];
        let mut bytes = waiting[0].len();
        while bytes < TOGETHER
            && let Ok(body) = self.bodies.try_recv()
        {
            bytes += body.len();
            waiting.push(body);
        }
        self.taken += waiting.len();
        Some(if waiting.len() == 1 { waiting.swap_remove(0) } else { join(&waiting) })
    }

    /// Says that all of [`Socket::next`] has been written. The task hears of it by half windows: that keeps the other half
    /// open, and the task from a message for each body.
    ///
    /// # Errors
    /// [`Ended`]
    pub async fn written(&mut self) -> Result<(), Ended> {
        if self.taken < self.report {
            return Ok(());
        }
        let written = ToTask::Written(self.flow, std::mem::take(&mut self.taken));
        self.to.send(written).await.map_err(|_| Ended)
    }
}

/// Starts the task. To be called within the runtime.
pub fn spawn(config: Config, mut links: Links) -> (Handle, JoinHandle<()>) {
    let (to, from) = mpsc::channel(config.queue.max(2));
    let table = Mutex::new(Login::new(config.login.clone(), rand::make_rng()));
    let logins = Arc::new(Logins { table, changed: Notify::new() });
    let window = config.bayeux.window;
    let passwords = Arc::new(Passwords::new(&config.desk.agents));
    let handle = Handle { to, logins: logins.clone(), passwords, next: Arc::new(AtomicU64::new(1)), window };
    (handle, tokio::spawn(task::Task::new(config, logins, &mut links).run(from, links.signalling, links.told)))
}

/// How long a login may be kept waiting in all; whoever waits longer is told to come later.
const PATIENCE: Duration = Duration::from_secs(20);
