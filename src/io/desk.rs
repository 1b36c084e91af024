//! The task of the agents' side: it owns the Bayeux server, feeds it requests and events, and tells it the time.
//!
//! ```text
//!  HTTP request ──┐                        ┌──► the one answer of each request
//!  WebSocket ─────┼─► one queue ─► Server ─┼──► a bounded queue per WebSocket
//!  events ────────┘                        └──► counts
//! ```
//!
//! A task of its own, so that no fan-out ever delays an INVITE. Who sends to it waits while its queue is full. Each request
//! holds a second place in that queue from the start, for the word that its client has gone: so that word is never lost.
//! Logins stand in a table beside the task ([`Login`]), which every request asks without a way through the queue.

mod passwords;
mod rules;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::bayeux::channel::Channel;
use crate::bayeux::message::Batch;
use crate::bayeux::server::{self, Audience, Clock, Input, Output, Publication, Server, Why};
use crate::bayeux::{Caller, Owner, Peer, RequestId};
use crate::desk::login::{self, Login, Secret, Session};
use crate::desk::{PasswordHash, UserName};
use crate::id::FlowId;

pub use passwords::Denied;
use passwords::Passwords;
use rules::Rules;

/// Inputs in a row before the time is looked at.
const BATCH: usize = 64;

/// Times and bounds.
#[derive(Clone, Debug)]
pub struct Config {
    /// Of the Bayeux server.
    pub bayeux: server::Config,
    /// Of logins.
    pub login: login::Config,
    /// Requests and events that wait for the task, and one place for each request that is held.
    pub queue: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { bayeux: server::Config::default(), login: login::Config::default(), queue: 65_536 }
    }
}

/// An agent who may log in.
#[derive(Clone, Debug)]
pub struct Account {
    /// The name.
    pub user: UserName,
    /// What the password is verified with.
    pub password: PasswordHash,
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
}

enum ToTask {
    Request { id: RequestId, caller: Caller, batch: Batch, reply: oneshot::Sender<Bytes> },
    Opened(FlowId, mpsc::Sender<Bytes>),
    Frame { flow: FlowId, caller: Caller, batch: Batch },
    Written(FlowId, usize),
    Gone(Peer),
    Publish(Publication),
    Figures(oneshot::Sender<Figures>),
}

/// A way to the task; cheap to clone. The task ends with its last handle.
#[derive(Clone)]
pub struct Handle {
    to: mpsc::Sender<ToTask>,
    logins: Arc<Logins>,
    passwords: Arc<Passwords>,
    next: Arc<AtomicU64>,
    frames: usize,
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
        let (writer, bodies) = mpsc::channel(self.frames);
        self.to.send(ToTask::Opened(flow, writer)).await.map_err(|_| Ended)?;
        let guard = Guard { place: Some(place), peer: Peer::Socket(flow) };
        Ok(Socket { flow, to: self.to.clone(), bodies, _guard: guard })
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
        let known = self.passwords.find(user);
        let turn = self.logins.table().may_try(known.as_ref(), peer, Instant::now());
        let is_right = self.passwords.verify(known.as_ref(), password, turn).await?;
        let now = Instant::now();
        let mut table = self.logins.table();
        table.tried(known.as_ref(), peer, is_right, now);
        let session = match known {
            Some(user) if is_right => table.open(&user, now),
            _ => return Err(Denied::Wrong),
        };
        drop(table);
        self.logins.changed.notify_one();
        Ok(session)
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

    /// Takes other accounts. Who is no longer there, or has another password, is logged out.
    pub fn set_accounts(&self, accounts: Vec<Account>) {
        let changed = self.passwords.replace(accounts);
        self.logins.table().retain(|user| !changed.contains(user));
        self.logins.changed.notify_one();
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
    to: mpsc::Sender<ToTask>,
    bodies: mpsc::Receiver<Bytes>,
    _guard: Guard,
}

impl Socket {
    /// Returns its name, for logs.
    pub fn flow(&self) -> FlowId {
        self.flow
    }

    /// Hands a frame over; waits while the task's queue is full, so that its sender waits too.
    ///
    /// # Errors
    /// [`Ended`]
    pub async fn frame(&self, caller: Caller, batch: Batch) -> Result<(), Ended> {
        self.to.send(ToTask::Frame { flow: self.flow, caller, batch }).await.map_err(|_| Ended)
    }

    /// Returns the next body to write; `None`: the WebSocket is to be closed.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.bodies.recv().await
    }

    /// Says that so many bodies have been written.
    ///
    /// # Errors
    /// [`Ended`]
    pub async fn written(&self, bodies: usize) -> Result<(), Ended> {
        self.to.send(ToTask::Written(self.flow, bodies)).await.map_err(|_| Ended)
    }
}

/// Starts the task. To be called within the runtime.
pub fn spawn(config: Config, accounts: Vec<Account>) -> (Handle, JoinHandle<()>) {
    let (to, from) = mpsc::channel(config.queue.max(2));
    let table = Mutex::new(Login::new(config.login.clone(), rand::make_rng()));
    let logins = Arc::new(Logins { table, changed: Notify::new() });
    // The server closes a WebSocket with more than four windows unwritten.
    let frames = config.bayeux.window.max(16) * 5;
    let passwords = Arc::new(Passwords::new(accounts));
    let handle = Handle { to, logins: logins.clone(), passwords, next: Arc::new(AtomicU64::new(1)), frames };
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let clock = Clock { at: Instant::now(), unix_ms: i64::try_from(unix.as_millis()).unwrap_or(i64::MAX) };
    let task = Task {
        server: Server::new(config.bayeux, Rules, clock, rand::make_rng()),
        logins,
        requests: FxHashMap::default(),
        sockets: HashMap::new(),
        counts: Counts::default(),
    };
    (handle, tokio::spawn(task.run(from)))
}

struct Task {
    server: Server<Rules>,
    logins: Arc<Logins>,
    requests: FxHashMap<RequestId, oneshot::Sender<Bytes>>,
    sockets: HashMap<FlowId, mpsc::Sender<Bytes>>,
    counts: Counts,
}

impl Task {
    async fn run(mut self, mut from: mpsc::Receiver<ToTask>) {
        loop {
            let due = [self.server.poll_timeout(), self.logins.table().poll_timeout()].into_iter().flatten().min();
            let logins = self.logins.clone();
            tokio::select! {
                first = from.recv() => {
                    let Some(first) = first else { return };
                    self.take(first, from.len());
                    for _ in 1..BATCH {
                        let Ok(next) = from.try_recv() else { break };
                        self.take(next, from.len());
                    }
                }
                () = logins.changed.notified() => self.end_logins(),
                () = until(due) => {
                    self.logins.table().sweep(Instant::now());
                    self.end_logins();
                    self.input(Input::Tick);
                }
            }
        }
    }

    fn take(&mut self, message: ToTask, waiting: usize) {
        match message {
            ToTask::Request { id, caller, batch, reply } => {
                self.counts.requests += 1;
                self.requests.insert(id, reply);
                self.input(Input::Request { peer: Peer::Http(id), caller, batch });
            }
            ToTask::Opened(flow, writer) => drop(self.sockets.insert(flow, writer)),
            ToTask::Frame { flow, caller, batch } => {
                self.counts.requests += 1;
                if self.sockets.contains_key(&flow) {
                    self.input(Input::Request { peer: Peer::Socket(flow), caller, batch });
                }
            }
            ToTask::Written(flow, bodies) => self.input(Input::Written(flow, bodies)),
            ToTask::Gone(peer) => {
                match peer {
                    Peer::Http(id) => drop(self.requests.remove(&id)),
                    Peer::Socket(flow) => drop(self.sockets.remove(&flow)),
                }
                self.input(Input::Gone(peer));
            }
            ToTask::Publish(publication) => {
                self.counts.published += 1;
                self.input(Input::Publish(publication));
            }
            ToTask::Figures(reply) => {
                let logins = self.logins.table().sessions();
                // Who asked may have gone.
                let _ = reply.send(Figures {
                    sessions: self.server.sessions(),
                    logins,
                    sockets: self.sockets.len(),
                    held: self.requests.len(),
                    waiting,
                    counts: self.counts,
                });
            }
        }
    }

    /// Ends what was opened by logins that have ended.
    fn end_logins(&mut self) {
        let ended = self.logins.table().take_ended();
        for session in ended {
            self.input(Input::LoggedOut(caller(&session)));
        }
    }

    fn input(&mut self, input: Input) {
        self.server.handle_input(input, Instant::now());
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Send(Peer::Http(id), body) => {
                    self.counts.bodies += 1;
                    // A client that went at this moment loses its answer, as it would on the wire.
                    if let Some(reply) = self.requests.remove(&id) {
                        let _ = reply.send(body);
                    }
                }
                Output::Send(Peer::Socket(flow), body) => {
                    self.counts.bodies += 1;
                    let is_full = self.sockets.get(&flow).is_some_and(|writer| writer.try_send(body).is_err());
                    if is_full {
                        self.sockets.remove(&flow);
                    }
                }
                // Without its writer the connection closes, and is then reported as gone.
                Output::Close(flow) => drop(self.sockets.remove(&flow)),
                Output::Service { .. } => self.counts.services += 1,
                Output::Ended(_, why) => match why {
                    Why::Disconnected => self.counts.disconnected += 1,
                    Why::Silent => self.counts.silent += 1,
                    Why::QueueFull => self.counts.queue_full += 1,
                    Why::LoggedOut => self.counts.logged_out += 1,
                },
            }
        }
    }
}

/// Sleeps until `deadline`; without one, for ever.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// How long a login may be kept waiting in all; whoever waits longer is told to come later.
const PATIENCE: Duration = Duration::from_secs(20);
