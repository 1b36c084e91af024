//! The task itself: what comes in, in which order, and where what the desk and the server give out goes.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::released::{Bounds, Released};
use super::rules::Rules;
use super::{AGENTS, Agents, COMMANDS, Config, Counts, Figures, Links, Logins, ToTask, caller};
use crate::bayeux::channel::Channel;
use crate::bayeux::message::Batch;
use crate::bayeux::server::{Audience, Clock, Input, Output, Publication, Server, Why};
use crate::bayeux::{Caller, Owner, Peer, RequestId};
use crate::call::Command;
use crate::desk::message::CALLS;
use crate::desk::{self, AgentView, Answer, Desk, OperationId, Published};
use crate::id::FlowId;
use crate::io::notice::Notice;
use crate::io::signalling::{self, Figures as Calls};
use crate::io::sink::{Outbox, Told};

/// Inputs of one source in a row.
const BATCH: usize = 64;

/// Where commands go, and what signalling tells.
type Signalling = (signalling::Handle, mpsc::Receiver<Notice>);

pub(super) struct Task {
    server: Server<Rules>,
    desk: Desk,
    logins: Arc<Logins>,
    requests: FxHashMap<RequestId, oneshot::Sender<Bytes>>,
    sockets: FxHashMap<FlowId, mpsc::Sender<Bytes>>,
    answers: FxHashMap<OperationId, oneshot::Sender<Answer>>,
    next_operation: u64,
    commands: Option<mpsc::Sender<Command>>,
    outbox: Option<Outbox>,
    agents: broadcast::Sender<AgentView>,
    released: Released,
    counts: Counts,
}

impl Task {
    pub(super) fn new(config: Config, logins: Arc<Logins>, links: &mut Links) -> Task {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let unix_ms = i64::try_from(unix.as_millis()).unwrap_or(i64::MAX);
        let at = Instant::now();
        Task {
            released: Released::new(&std::mem::take(&mut links.released), Bounds::of(&config.bayeux), at),
            server: Server::new(config.bayeux, Rules, Clock { at, unix_ms }, rand::make_rng()),
            desk: Desk::new(config.desk, at, unix_ms),
            logins,
            requests: FxHashMap::default(),
            sockets: FxHashMap::default(),
            answers: FxHashMap::default(),
            next_operation: 0,
            commands: None,
            outbox: links.outbox.take(),
            agents: broadcast::channel(AGENTS).0,
            counts: Counts::default(),
        }
    }

    pub(super) async fn run(
        mut self,
        mut from: mpsc::Receiver<ToTask>,
        signalling: Option<Signalling>,
        mut told: Option<mpsc::Receiver<Told>>,
    ) {
        let (handle, mut notices) = signalling.unzip();
        if let Some(handle) = handle.clone() {
            let (commands, waiting) = mpsc::channel(COMMANDS);
            tokio::spawn(carry(waiting, handle));
            self.commands = Some(commands);
        }
        // While signalling is asked what there is, its notices wait: what they say is newer.
        let mut asked: Option<oneshot::Receiver<Calls>> = None;
        let logins = self.logins.clone();
        loop {
            let due = [self.server.poll_timeout(), self.logins.table().poll_timeout(), self.desk.poll_timeout()];
            let due = due.into_iter().flatten().min();
            tokio::select! {
                first = from.recv() => {
                    let Some(first) = first else { return };
                    self.take(first, from.len());
                    for _ in 1..BATCH {
                        let Ok(next) = from.try_recv() else { break };
                        self.take(next, from.len());
                    }
                }
                Some(notice) = receive(&mut notices), if asked.is_none() => {
                    let mut next = Some(notice);
                    for _ in 0..BATCH {
                        let Some(notice) = next.take() else { break };
                        if self.notice(notice) {
                            asked = handle.clone().map(ask);
                            break;
                        }
                        next = notices.as_mut().and_then(|notices| notices.try_recv().ok());
                    }
                    // The last of a full batch.
                    if let Some(notice) = next && self.notice(notice) {
                        asked = handle.clone().map(ask);
                    }
                }
                calls = answered(&mut asked) => {
                    asked = None;
                    if let Some(calls) = calls {
                        self.look(&calls);
                    }
                }
                Some(told) = receive(&mut told) => {
                    let Told { call_uuid, conn_id, user_data, .. } = told;
                    self.desk(desk::Input::Told { call_uuid, conn_id, user_data });
                }
                () = logins.changed.notified() => self.end_logins(),
                () = until(due) => {
                    self.logins.table().sweep(Instant::now());
                    self.end_logins();
                    self.desk(desk::Input::Tick);
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
                self.request(Peer::Http(id), caller, batch);
            }
            ToTask::Opened(flow, writer) => drop(self.sockets.insert(flow, writer)),
            ToTask::Frame { flow, caller, batch, place: _place } => {
                self.counts.requests += 1;
                if self.sockets.contains_key(&flow) {
                    self.request(Peer::Socket(flow), caller, batch);
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
            ToTask::Operation(agent, what, reply) => {
                self.counts.operations += 1;
                let request = OperationId(self.next_operation);
                self.next_operation += 1;
                self.answers.insert(request, reply);
                self.desk(desk::Input::Operation { request, agent, what });
                // Each is answered in its own drain.
                self.answers.remove(&request);
            }
            ToTask::Desk(input) => self.desk(input),
            ToTask::Agents(reply) => {
                let mut now: Vec<AgentView> = self.desk.agents().collect();
                now.sort_by(|one, other| one.user.cmp(&other.user));
                // Who asked may have gone.
                let _ = reply.send(Agents { now, changes: self.agents.subscribe() });
            }
            ToTask::Figures(reply) => {
                let logins = self.logins.table().sessions();
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

    /// Takes what a client says. Who listens to its calls by it hears what became of those of the run before.
    fn request(&mut self, peer: Peer, caller: Caller, batch: Batch) {
        let owner = caller.owner.clone();
        self.input(Input::Request { peer, caller, batch });
        let Some(owner) = owner.filter(|owner| self.released.has(owner, Instant::now())) else { return };
        let Ok(channel) = Channel::parse(CALLS) else { return };
        let audience = Audience::Owner(owner.clone());
        let (sessions, events) = self.released.tell(&owner, self.server.subscribers(&channel, &audience));
        for session in sessions {
            for data in &events {
                self.counts.published += 1;
                let (channel, audience) = (channel.clone(), audience.clone());
                self.input(Input::Deliver(session, Publication { channel, audience, data: data.clone() }));
            }
        }
    }

    /// Takes a notice; true where some are missing and signalling must be asked.
    fn notice(&mut self, notice: Notice) -> bool {
        match notice {
            Notice::Call(event) => self.desk(desk::Input::Call(event)),
            Notice::Presence { dn, is_here } => self.desk(desk::Input::Presence { dn, is_here }),
            Notice::NotDialled { dial, status, .. } => self.desk(desk::Input::NotDialled { dial, status }),
            Notice::Missed(_) => return true,
        }
        false
    }

    /// Takes what there is, after notices were missed.
    fn look(&mut self, calls: &Calls) {
        let alive = calls.snapshot.calls.iter().map(|call| call.call).collect();
        self.desk(desk::Input::Missed { alive });
        let agents: Vec<String> = self.desk.agents().map(|agent| agent.dn).collect();
        for dn in agents {
            let is_here = calls.snapshot.registrations.iter().any(|registration| registration.dn == dn);
            self.desk(desk::Input::Presence { dn, is_here });
        }
    }

    /// Ends what was opened by logins that have ended.
    fn end_logins(&mut self) {
        let ended = self.logins.table().take_ended();
        for session in ended {
            self.input(Input::LoggedOut(caller(&session)));
            let is_gone = !self.logins.table().is_in(&session.user);
            if is_gone {
                self.desk(desk::Input::Gone { agent: session.user });
            }
        }
    }

    fn desk(&mut self, input: desk::Input) {
        self.desk.handle_input(input, Instant::now());
        while let Some(output) = self.desk.poll_output() {
            match output {
                desk::Output::Command(command) => {
                    let taken = self.commands.as_ref().is_some_and(|commands| commands.try_send(command).is_ok());
                    if !taken {
                        self.counts.commands_dropped += 1;
                        tracing::warn!("signalling does not take an agent's command");
                    }
                }
                desk::Output::Publish(published) => self.publish(&published),
                desk::Output::Answer(request, answer) => {
                    if let Some(reply) = self.answers.remove(&request) {
                        let _ = reply.send(answer);
                    }
                }
                // Nobody may be listening.
                desk::Output::Agent(view) => drop(self.agents.send(view)),
            }
        }
    }

    /// Hands an event to the sinks, and to its agent's sessions.
    fn publish(&mut self, published: &Published) {
        self.counts.published += 1;
        if let Some(outbox) = &self.outbox {
            // What it refuses it counts.
            outbox.append(published);
        }
        let (Some(owner), Ok(channel)) = (&published.owner, Channel::parse(published.channel)) else { return };
        let audience = Audience::Owner(Owner(owner.0.clone()));
        self.input(Input::Publish(Publication { channel, audience, data: published.data.clone() }));
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

/// Hands commands to signalling, which may let them wait.
async fn carry(mut commands: mpsc::Receiver<Command>, signalling: signalling::Handle) {
    while let Some(command) = commands.recv().await {
        if signalling.command(command).await.is_err() {
            return;
        }
    }
}

/// Asks signalling what there is.
fn ask(signalling: signalling::Handle) -> oneshot::Receiver<Calls> {
    let (reply, calls) = oneshot::channel();
    tokio::spawn(async move {
        if let Ok(figures) = signalling.figures().await {
            let _ = reply.send(figures);
        }
    });
    calls
}

/// Waits for the answer to [`ask`]; without a question, for ever.
async fn answered(asked: &mut Option<oneshot::Receiver<Calls>>) -> Option<Calls> {
    match asked {
        Some(calls) => calls.await.ok(),
        None => std::future::pending().await,
    }
}

/// Takes the next of a queue; without one, never.
async fn receive<T>(queue: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    match queue {
        Some(queue) => queue.recv().await,
        None => std::future::pending().await,
    }
}

/// Sleeps until `deadline`; without one, for ever.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
