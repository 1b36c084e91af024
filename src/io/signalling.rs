//! The task that owns the [`Gateway`]: feeds it, drains it, and tells it the time.
//!
//! One input at a time, each followed by a full drain. Fair between its sources, a few inputs of one source per turn.
//! Every way in is a bounded queue ([`Config`]): a datagram is dropped, a connection and whoever asks wait, and while the
//! workers leave orders waiting, or for a moment have no ports ready, no message is taken at all. What is due, and reports, are
//! always worked on: they bring no new leg, so that the orders they make end with the legs that are there.

mod patience;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

use self::patience::Patience;
use super::capture::{Capture, Ended as EndedCapture, Way};
use super::connect::{self, Dialling, Errand};
use super::flow::{Ended, Flow, FromFlow, Opening, Outgoing, Writer};
use super::notice::{Notice, Notices};
use super::resolve::Locator;
use super::tally::{Count, Tally};
use super::udp::{self, Datagram};
use super::worker::{WorkerCounters, WorkerHandle};
use crate::call::{CallEvent, CaptureEnd, Command};
use crate::gateway::{Gateway, Input, ListenerId, Output, Snapshot};
use crate::id::{FlowId, WorkerId};
use crate::path::{Path, Transport};
use crate::plan::{Order, Report};
use crate::sip::locate::ResolvedTarget;

/// Inputs of one source in a row.
const BATCH: usize = 32;
/// How soon an order that a worker had no room for is tried again.
const ORDER_RETRY: Duration = Duration::from_millis(2);
/// While so many orders wait, no new input is taken.
const MAX_WAITING_ORDERS: usize = 256;
/// How long connections have to send their last words.
const CLOSE_TIME: Duration = Duration::from_millis(500);

/// Lengths of the queues.
#[derive(Clone, Debug)]
pub struct Config {
    /// Datagrams that wait for signalling; more are dropped and counted.
    pub udp_queue: usize,
    /// Messages of all flows that wait for signalling; more make their flows wait.
    pub flow_queue: usize,
    /// Messages that wait for one flow's connection; more close the flow.
    pub writer_queue: usize,
    /// Call events kept for a subscriber that is behind; it loses older ones and learns how many.
    pub event_queue: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config { udp_queue: 4096, flow_queue: 1024, writer_queue: 128, event_queue: 4096 }
    }
}

/// What the task is made of.
pub struct Parts {
    /// The core.
    pub gateway: Gateway,
    /// The media threads; spawned with a `wake` that notifies `wake`.
    pub workers: Vec<WorkerHandle>,
    /// See `workers`.
    pub wake: Arc<Notify>,
    /// Bound SIP sockets.
    pub udp: Vec<(ListenerId, UdpSocket)>,
    /// Where drops are counted.
    pub tally: Arc<Tally>,
    /// How connections to trunks are made.
    pub dialling: Dialling,
    /// Who looks up the names of trunks; `None`: no trunk has one.
    pub locator: Option<Locator>,
    /// What captured calls are written by; `None`: none is.
    pub capture: Option<Capture>,
    /// The agents' side, where there is one.
    pub notices: Option<Notices>,
}

/// A picture of the running gateway.
#[derive(Debug)]
pub struct Figures {
    /// Calls, registrations, counts.
    pub snapshot: Snapshot,
    /// What each media thread counted.
    pub workers: Vec<(WorkerId, WorkerCounters)>,
}

enum Control {
    Command(Command),
    Figures(oneshot::Sender<Figures>),
    Resolved { query: u64, targets: Vec<ResolvedTarget>, ttl: Duration },
    Drain,
    Shutdown(Instant),
}

/// A way to the task; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    control: mpsc::Sender<Control>,
    flows: mpsc::Sender<FromFlow>,
    alive: mpsc::WeakSender<()>,
    events: broadcast::WeakSender<Arc<CallEvent>>,
    next_flow: Arc<AtomicU64>,
    tally: Arc<Tally>,
    writer_queue: usize,
}

impl Handle {
    /// Tells signalling of a new connection.
    pub async fn open_flow(
        &self,
        transport: Transport,
        listener: ListenerId,
        remote: SocketAddr,
    ) -> Result<(Flow, Outgoing), Ended> {
        let id = FlowId(self.next_flow.fetch_add(1, Ordering::Relaxed));
        let alive = self.alive.upgrade().ok_or(Ended)?;
        let opening = Opening { id, remote, transport, listener, queue: self.writer_queue };
        Flow::open(opening, self.flows.clone(), alive, self.tally.clone()).await
    }

    /// Hands a command over; it may come too late, and is dropped and counted while the workers do not keep up.
    pub async fn command(&self, command: Command) -> Result<(), Ended> {
        self.control.send(Control::Command(command)).await.map_err(|_| Ended)
    }

    /// Returns the figures of this moment.
    pub async fn figures(&self) -> Result<Figures, Ended> {
        let (reply, figures) = oneshot::channel();
        self.control.send(Control::Figures(reply)).await.map_err(|_| Ended)?;
        figures.await.map_err(|_| Ended)
    }

    /// Returns the call events from here on. `None` once signalling has ended.
    pub fn events(&self) -> Option<broadcast::Receiver<Arc<CallEvent>>> {
        self.events.upgrade().map(|events| events.subscribe())
    }

    /// Refuses new calls from here on; those under way go on.
    pub async fn drain(&self) -> Result<(), Ended> {
        self.control.send(Control::Drain).await.map_err(|_| Ended)
    }

    /// Ends all calls; the task ends when they are gone, at the latest at `deadline`.
    pub async fn shutdown(&self, deadline: Instant) -> Result<(), Ended> {
        self.control.send(Control::Shutdown(deadline)).await.map_err(|_| Ended)
    }

    /// Returns the counts of the shell.
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }
}

struct WorkerLink {
    id: WorkerId,
    handle: WorkerHandle,
    waiting: VecDeque<Order>,
}

struct Task {
    gateway: Gateway,
    workers: Vec<WorkerLink>,
    sockets: HashMap<SocketAddr, Arc<UdpSocket>>,
    writers: HashMap<FlowId, Writer>,
    events: broadcast::Sender<Arc<CallEvent>>,
    tally: Arc<Tally>,
    reports: Vec<Report>,
    patience: Patience,
    drained: bool,
    outward: Outward,
    capture: Option<Capture>,
    notices: Option<Notices>,
}

/// What the task needs to open connections and to ask for names.
struct Outward {
    dialling: Arc<Dialling>,
    locator: Option<Locator>,
    flows: mpsc::Sender<FromFlow>,
    control: mpsc::Sender<Control>,
    /// Held by every flow; `None` once all are to end.
    alive: Option<mpsc::Sender<()>>,
    writer_queue: usize,
}

struct Inputs {
    control: mpsc::Receiver<Control>,
    flows: mpsc::Receiver<FromFlow>,
    datagrams: mpsc::Receiver<Datagram>,
    wake: Arc<Notify>,
    gone: mpsc::Receiver<()>,
}

/// Starts the task. To be called within the runtime.
pub fn spawn(config: &Config, parts: Parts) -> std::io::Result<(Handle, JoinHandle<()>)> {
    let (handle, task, inputs) = assemble(config, parts)?;
    Ok((handle, tokio::spawn(task.run(inputs))))
}

fn assemble(config: &Config, parts: Parts) -> std::io::Result<(Handle, Task, Inputs)> {
    let Parts { gateway, workers, wake, udp, tally, dialling, locator, capture, notices } = parts;
    let (control, control_in) = mpsc::channel(256);
    let (flows, flows_in) = mpsc::channel(config.flow_queue.max(1));
    let (datagrams, datagrams_in) = mpsc::channel(config.udp_queue.max(1));
    let (alive, gone) = mpsc::channel(1);
    let (events, _) = broadcast::channel(config.event_queue.max(1));
    let mut sockets = HashMap::new();
    for (listener, socket) in udp {
        let (local, socket) = (socket.local_addr()?, Arc::new(socket));
        tokio::spawn(udp::receive(socket.clone(), local, listener, datagrams.clone(), tally.clone()));
        sockets.insert(local, socket);
    }
    let outward = Outward {
        dialling: Arc::new(dialling),
        locator,
        flows: flows.clone(),
        control: control.clone(),
        alive: Some(alive.clone()),
        writer_queue: config.writer_queue,
    };
    let handle = Handle {
        control,
        flows,
        alive: alive.downgrade(),
        events: events.downgrade(),
        next_flow: Arc::new(AtomicU64::new(1)),
        tally: tally.clone(),
        writer_queue: config.writer_queue,
    };
    let workers = workers
        .into_iter()
        .map(|handle| WorkerLink { id: handle.site().worker, handle, waiting: VecDeque::new() })
        .collect();
    let task = Task {
        gateway,
        workers,
        sockets,
        writers: HashMap::new(),
        events,
        tally,
        reports: Vec::new(),
        patience: Patience::default(),
        drained: false,
        outward,
        capture,
        notices,
    };
    let inputs = Inputs { control: control_in, flows: flows_in, datagrams: datagrams_in, wake, gone };
    drop(alive);
    Ok((handle, task, inputs))
}

/// Sleeps until `deadline`; without one, for ever.
pub(super) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Waits for a capture that ends of itself; without captures, for ever.
async fn ended_capture(capture: &mut Option<Capture>) -> Option<EndedCapture> {
    match capture {
        Some(capture) => capture.ended.recv().await,
        None => std::future::pending().await,
    }
}

impl Task {
    async fn run(mut self, mut inputs: Inputs) {
        let mut end: Option<Instant> = None;
        self.drain();
        self.take_reports();
        while !self.drained {
            self.retry_orders();
            self.tell_refused_captures();
            let waiting = self.workers.iter().map(|w| w.waiting.len()).sum::<usize>();
            let retry = (waiting > 0).then(|| Instant::now() + ORDER_RETRY);
            let open = waiting < MAX_WAITING_ORDERS;
            let patience = self.wait_for_ports();
            tokio::select! {
                Some(control) = inputs.control.recv() => match control {
                    Control::Command(command) if open => self.input(Input::Command(command)),
                    Control::Command(_) => self.tally.add(Count::CommandDropped),
                    Control::Figures(reply) => { let _ = reply.send(self.figures()); }
                    Control::Resolved { query, targets, ttl } => {
                        self.input(Input::Resolved { query, targets, ttl });
                    }
                    Control::Drain => self.input(Input::Drain),
                    Control::Shutdown(deadline) => {
                        end = Some(deadline);
                        self.input(Input::Shutdown);
                    }
                },
                Some(first) = inputs.flows.recv(), if open && patience.is_none() => {
                    self.flow_input(first);
                    for _ in 1..BATCH {
                        if self.wait_for_ports().is_some() { break }
                        let Ok(next) = inputs.flows.try_recv() else { break };
                        self.flow_input(next);
                    }
                }
                Some(first) = inputs.datagrams.recv(), if open && patience.is_none() => {
                    self.datagram(first);
                    for _ in 1..BATCH {
                        if self.wait_for_ports().is_some() { break }
                        let Ok(next) = inputs.datagrams.try_recv() else { break };
                        self.datagram(next);
                    }
                }
                Some(ended) = ended_capture(&mut self.capture) => {
                    let EndedCapture { call, name, why } = ended;
                    self.input(Input::CaptureEnded { call, name, why });
                }
                () = inputs.wake.notified() => self.take_reports(),
                () = until(self.gateway.poll_timeout()) => {
                    self.gateway.handle_timeout(Instant::now());
                    self.drain();
                }
                () = until(retry) => {}
                () = until(patience) => {}
                () = until(end) => {
                    tracing::warn!("calls did not end in time");
                    break;
                }
            }
        }
        self.close(inputs).await;
    }

    /// Closes the connections in good order, then stops the media threads.
    async fn close(mut self, mut inputs: Inputs) {
        self.writers.clear();
        self.outward.alive = None;
        let _ = tokio::time::timeout(CLOSE_TIME, async {
            loop {
                tokio::select! {
                    gone = inputs.gone.recv() => if gone.is_none() { return },
                    Some(_) = inputs.flows.recv() => {}
                }
            }
        })
        .await;
        let handles: Vec<_> = self.workers.drain(..).map(|link| link.handle).collect();
        let capture = self.capture.take();
        let stop = || {
            handles.into_iter().for_each(WorkerHandle::stop);
            capture.map(Capture::finish)
        };
        let _ = tokio::task::spawn_blocking(stop).await;
    }

    /// Returns until when no message is to be taken, for a worker is about to bind ports.
    fn wait_for_ports(&mut self) -> Option<Instant> {
        self.patience.until(self.gateway.workers_without_ports(), Instant::now())
    }

    fn input(&mut self, input: Input) {
        self.gateway.handle_input(input, Instant::now());
        self.drain();
    }

    fn flow_input(&mut self, from: FromFlow) {
        match from {
            FromFlow::Opened { flow, transport, listener, remote, writer } => {
                self.writers.insert(flow, writer);
                if let Some(capture) = &mut self.capture {
                    capture.messages.flow_opened(flow, listener);
                }
                self.input(Input::FlowOpened { flow, transport, listener, remote });
            }
            FromFlow::Connected { flow, transport, listener, remote } => {
                self.input(Input::FlowOpened { flow, transport, listener, remote });
            }
            FromFlow::Message { path, transport, listener, bytes } => {
                self.see(Way::In, &path, &bytes);
                self.input(Input::Sip { path, transport, listener, bytes });
            }
            FromFlow::Closed(flow) => {
                self.writers.remove(&flow);
                if let Some(capture) = &mut self.capture {
                    capture.messages.flow_closed(flow);
                }
                self.input(Input::FlowClosed(flow));
            }
        }
    }

    fn datagram(&mut self, datagram: Datagram) {
        let Datagram { path, listener, bytes } = datagram;
        self.see(Way::In, &path, &bytes);
        self.input(Input::Sip { path, transport: Transport::Udp, listener, bytes });
    }

    fn see(&mut self, way: Way, path: &Path, bytes: &Bytes) {
        if let Some(capture) = &mut self.capture {
            capture.messages.see(way, path, bytes);
        }
    }

    fn take_reports(&mut self) {
        for at in 0..self.workers.len() {
            let mut reports = std::mem::take(&mut self.reports);
            let id = self.workers[at].id;
            self.workers[at].handle.take_reports(&mut reports);
            for report in reports.drain(..) {
                self.input(Input::Media(id, report));
            }
            self.reports = reports;
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.gateway.poll_output() {
            match output {
                Output::Transmit { path, bytes } => {
                    self.see(Way::Out, &path, &bytes);
                    self.transmit(path, bytes);
                }
                Output::Capture(order) => {
                    if let Some(capture) = &mut self.capture {
                        capture.messages.carry_out(order);
                    }
                }
                Output::Connect { flow, transport, remote, server_name, listener, trunk } => {
                    let local = self.outward.dialling.locals.get(listener.0).copied();
                    let errand = Errand { transport, trunk, local, server_name };
                    let queue = self.outward.writer_queue;
                    self.connect(errand, Opening { id: flow, remote, transport, listener, queue });
                }
                Output::Resolve { query, host, port, transport } => self.resolve(query, host, port, transport),
                // Without its writer the connection sends what waits, closes, and is then reported as closed.
                Output::CloseFlow(flow) => drop(self.writers.remove(&flow)),
                Output::Media(worker, order) => self.order(worker, order),
                Output::Event(event) => {
                    let event = Arc::new(event);
                    self.notice(Notice::Call(event.clone()));
                    // Nobody listens: nothing to do.
                    drop(self.events.send(event));
                }
                Output::Presence { dn, is_here } => self.notice(Notice::Presence { dn, is_here }),
                Output::NotDialled { dial, dn, status } => {
                    tracing::info!(%dial, status, "no call comes of it");
                    self.notice(Notice::NotDialled { dial, dn, status });
                }
                Output::Drained => self.drained = true,
            }
        }
    }

    fn notice(&mut self, notice: Notice) {
        if let Some(notices) = &mut self.notices {
            notices.send(notice, &self.tally);
        }
    }

    fn connect(&mut self, errand: Errand, opening: Opening) {
        let Outward { dialling, flows, alive: Some(alive), .. } = &self.outward else { return };
        let (id, listener) = (opening.id, opening.listener);
        let (writer, flow, outgoing) = Flow::pair(opening, flows.clone(), alive.clone(), self.tally.clone());
        self.writers.insert(id, writer);
        if let Some(capture) = &mut self.capture {
            capture.messages.flow_opened(id, listener);
        }
        tokio::spawn(connect::run(dialling.clone(), errand, flow, outgoing));
    }

    fn resolve(&self, query: u64, host: String, port: Option<u16>, transport: Option<Transport>) {
        let (locator, control) = (self.outward.locator.clone(), self.outward.control.clone());
        tokio::spawn(async move {
            let (targets, ttl) = match locator {
                Some(locator) => locator.locate(&host, port, transport, rand::make_rng()).await,
                None => (Vec::new(), Duration::ZERO),
            };
            // Where signalling has ended nobody wants to know.
            let _ = control.send(Control::Resolved { query, targets, ttl }).await;
        });
    }

    fn transmit(&mut self, path: Path, bytes: Bytes) {
        match path {
            Path::Udp { local, remote } => {
                let sent = self.sockets.get(&local).map(|socket| socket.try_send_to(&bytes, remote));
                if !matches!(sent, Some(Ok(_))) {
                    self.tally.add(Count::UdpSendFailed);
                }
            }
            Path::Tcp { flow, .. } | Path::Relay { flow, .. } => {
                let Some(writer) = self.writers.get(&flow) else {
                    self.tally.add(Count::NoFlow);
                    return;
                };
                if let Err(why) = writer.send(bytes) {
                    self.tally.add(why);
                    tracing::debug!(%flow, why = why.name(), "flow dropped");
                    if let Some(writer) = self.writers.remove(&flow) {
                        writer.abort();
                    }
                }
            }
        }
    }

    fn order(&mut self, worker: WorkerId, order: Order) {
        let Some(link) = self.workers.iter_mut().find(|link| link.id == worker) else {
            tracing::error!(%worker, "an order for a worker that does not exist");
            return;
        };
        if !link.waiting.is_empty() {
            link.waiting.push_back(order);
        } else if let Err(order) = link.handle.send(order) {
            self.tally.add(Count::OrderDelayed);
            link.waiting.push_back(order);
        }
    }

    /// Captures that the writer had no room for are none.
    fn tell_refused_captures(&mut self) {
        let refused = self.capture.as_mut().map(|capture| capture.messages.take_refused());
        for (call, name) in refused.into_iter().flatten() {
            self.input(Input::CaptureEnded { call, name, why: CaptureEnd::Failed });
        }
    }

    fn retry_orders(&mut self) {
        for link in &mut self.workers {
            while let Some(order) = link.waiting.pop_front() {
                if let Err(order) = link.handle.send(order) {
                    link.waiting.push_front(order);
                    break;
                }
            }
        }
    }

    fn figures(&self) -> Figures {
        Figures {
            snapshot: self.gateway.snapshot(),
            workers: self.workers.iter().map(|link| (link.id, link.handle.counters())).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
