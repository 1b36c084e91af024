//! Actor 1: SIP and calls. Bytes, reports and commands in; bytes, orders and events out; told the time.
//!
//! A back-to-back user agent (RFC 7092) between browsers (RFC 7118) and a trunk (RFC 3261), with a registrar (RFC 3261 10).
//!
//! *Invariant*: after every input that is followed by a full drain, each live SIP session belongs to exactly one leg of one
//! call, each open media port to exactly one leg, and each taken port pair to exactly one open port; a call that
//! loses its last leg ends with exactly one `Released`.
//! *Panic policy*: a panic is a bug of ours; no input may cause one.
//!
//! We do not run several gateways on one state, because an agent's calls must be seen together.

mod admission;
mod answering;
pub mod audio;
mod calls;
pub mod capture;
mod conference;
pub mod config;
mod dialling;
mod flows;
mod identity;
mod keys;
mod local;
pub mod page;
mod peers;
mod perform;
pub mod placement;
mod ports;
mod presence;
mod reach;
mod refer;
mod refusal;
mod registration;
mod replaces;
mod requests;
mod resume;
mod routing;
mod sessions;
pub mod snapshot;
mod standing;
mod summons;
mod transfers;
mod trunks;
mod updating;
mod wishes;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub use audio::{BrowserCodec, OpusTerms};
pub use capture::{CaptureOrder, CapturePolicy};
pub use config::{
    CallPolicy, Carry, Destination, DnRule, DnSet, GatewayConfig, Listener, ListenerId, LocalCalls, MediaPolicy,
    RegistrationPolicy, Secret, Trunk,
};
pub use placement::{Overload, OverloadPolicy};
pub use reach::TargetId;
pub use snapshot::{CallState, CallView, Counters, RegistrationView, Snapshot, TrunkCounters, TrunkView, WorkerView};
pub use trunks::liveness::Health;
pub use trunks::policy::{DnRegistration, Route, TrunkAccount, TrunkPolicy};
pub use trunks::registration::{RegistrationCounts, Standing};
pub use trunks::{TargetState, TrunkState};

use crate::call::{Call, CallEvent, CaptureEnd, Command, Nailed, Procedure, ReleaseCause, Signal};
use crate::id::{CallId, DialId, FlowId, WorkerId};
use crate::path::{Path, Transport};
use crate::plan::{Fingerprint, Order, Report, WorkerSite};
use crate::registrar::{Binding, Registrar, RegistrarConfig};
use crate::sip::endpoint::{Endpoint, EndpointConfig, Timers};
use crate::sip::locate::ResolvedTarget;

use admission::Admission;
use calls::CallTable;
use capture::Captures;
use flows::Flows;
use peers::Peers;
use ports::{Ports, Sounds};
use presence::Presence;
use reach::Reach;
use standing::StandingLegs;
use trunks::Trunks;

/// What the gateway is told.
#[derive(Debug)]
pub enum Input {
    /// One whole SIP message (datagram, WebSocket frame, or a message cut from a stream) or a keep-alive.
    Sip {
        /// How it came.
        path: Path,
        /// What it came by.
        transport: Transport,
        /// The listener that it came by.
        listener: ListenerId,
        /// The message.
        bytes: Bytes,
    },
    /// A connection was accepted, or one of [`Output::Connect`] is there; comes before its first message.
    FlowOpened {
        /// Its name; of an accepted one never used before.
        flow: FlowId,
        /// What it speaks.
        transport: Transport,
        /// The listener that accepted it.
        listener: ListenerId,
        /// The peer.
        remote: SocketAddr,
    },
    /// A connection is gone; nothing more can be sent on it.
    FlowClosed(FlowId),
    /// The answer to [`Output::Resolve`].
    Resolved {
        /// Which question.
        query: u64,
        /// Servers in the order in which they are to be tried; empty: there was no answer.
        targets: Vec<ResolvedTarget>,
        /// How long that may be believed.
        ttl: Duration,
    },
    /// A media thread reports.
    Media(WorkerId, Report),
    /// Page, REST or an embedding program wants something.
    Command(Command),
    /// The shell has ended a capture of itself: the disk is full, or the file at its limit.
    CaptureEnded {
        /// Of this call.
        call: CallId,
        /// As in [`CaptureOrder::Open`].
        name: String,
        /// Why.
        why: CaptureEnd,
    },
    /// No new calls: 503 with Retry-After; the present ones go on.
    Drain,
    /// No new calls; the present ones are ended, then comes [`Output::Drained`].
    Shutdown,
}

/// What the gateway wants done, in this order.
#[derive(Debug)]
pub enum Output {
    /// Send one whole SIP message.
    Transmit {
        /// Which way.
        path: Path,
        /// The message.
        bytes: Bytes,
    },
    /// Open a connection. Messages for it may come at once, and wait until it is there; then comes
    /// [`Input::FlowOpened`]. Where it cannot be opened [`Input::FlowClosed`] is to follow.
    Connect {
        /// Its name, chosen by the gateway: the highest bit is set.
        flow: FlowId,
        /// TCP or TLS.
        transport: Transport,
        /// Where to.
        remote: SocketAddr,
        /// What the peer's certificate must name; without it the address.
        server_name: Option<String>,
        /// The listener whose address we come by.
        listener: ListenerId,
        /// Which trunk it is: its place in [`GatewayConfig::trunks`].
        trunk: usize,
    },
    /// Look up a name as RFC 3263 has it; [`Input::Resolved`] is to follow, within a minute.
    Resolve {
        /// Names the question.
        query: u64,
        /// The name.
        host: String,
        /// See [`Destination::Name`].
        port: Option<u16>,
        /// See [`Destination::Name`].
        transport: Option<Transport>,
    },
    /// Close a connection; [`Input::FlowClosed`] is to follow.
    CloseFlow(FlowId),
    /// An order for a worker.
    Media(WorkerId, Order),
    /// What is to be written to files.
    Capture(CaptureOrder),
    /// A fact of a call.
    Event(CallEvent),
    /// A DN has its first browser, or the last one has been gone for [`CallPolicy::flow_grace`].
    Presence {
        /// The DN.
        dn: String,
        /// It has one.
        is_here: bool,
    },
    /// No call comes of a [`Command::Dial`].
    NotDialled {
        /// As in the command.
        dial: DialId,
        /// As in the command.
        dn: String,
        /// Why, as the final status of an INVITE would say it: 403 not allowed, 404 no such DN or no trunk for the number,
        /// 480 nobody is signed in, 484 no number, 486 too many calls of the DN, 503 no new calls or no trunk in reach.
        status: u16,
    },
    /// After [`Input::Shutdown`], once: every call has ended, and its last requests were answered or given 2 s.
    Drained,
}

/// The gateway. Every mutation is to be followed by a drain of [`Gateway::poll_output`], then a look at
/// [`Gateway::poll_timeout`].
pub struct Gateway {
    realm: String,
    policy: CallPolicy,
    media: MediaPolicy,
    endpoint: Endpoint,
    registrar: Registrar,
    admission: Admission,
    calls: CallTable,
    ports: Ports,
    peers: Peers,
    reach: Reach,
    trunks: Trunks,
    flows: Flows,
    standing: StandingLegs,
    presence: Presence,
    captures: Captures,
    outputs: VecDeque<Output>,
    counters: Counters,
    closing: Closing,
}

/// How long a shutdown waits for its last BYEs and CANCELs to be answered.
const FAREWELL: Duration = Duration::from_secs(2);

/// How far a shutdown is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    No,
    /// Calls under way go on, new ones are refused.
    Draining,
    /// Until then at the longest, BYEs and CANCELs are given time to be answered.
    Waiting(Instant),
    Drained,
}

impl Gateway {
    /// Makes a gateway without calls. `fingerprint` is that of the one DTLS certificate of the process.
    pub fn new(
        config: GatewayConfig,
        sites: Vec<WorkerSite>,
        fingerprint: Fingerprint,
        mut rng: StdRng,
        now: Instant,
    ) -> Gateway {
        let endpoint = EndpointConfig {
            user_agent: config.user_agent,
            allow: requests::ALLOWED.to_vec(),
            // At once: a browser's page shows that its call is under way.
            timers: Timers { trying: Duration::ZERO, ..Timers::default() },
            max_sessions: config.calls.max_calls.saturating_mul(4).saturating_add(64),
            source_limit: config.source_limit,
            supported: requests::SUPPORTED.map(str::to_owned).to_vec(),
            answers_challenges: true,
            ..EndpointConfig::default()
        };
        let mut endpoint = Endpoint::new(endpoint, fork(&mut rng));
        let reach = Reach::new(&config.listeners, &config.trunks, now);
        let trunks = Trunks::new(&config.trunks, config.routes, fork(&mut rng));
        let peers = Peers::new(config.listeners, config.trunks, reach.hosts());
        endpoint.set_trusted(peers.trusted());
        endpoint.set_known(peers.known());
        endpoint.set_reliable(peers.may_prack());
        let hosts = reach.hosts();
        endpoint.set_streams(move |path| hosts.stream(path));
        let sounds = Sounds { tones: config.tones, hold: config.hold };
        let captures = Captures::new(config.capture, fork(&mut rng));
        let policy = &config.registration;
        let registrar = Registrar::new(RegistrarConfig {
            default_expires: policy.default_expires,
            min_expires: policy.min_expires,
            max_expires: policy.max_expires,
            max_bindings: policy.max_bindings,
        });
        let mut gateway = Gateway {
            admission: Admission::new(config.realm.clone(), config.dns, config.registration, fork(&mut rng)),
            ports: Ports::new(sites, fingerprint, config.calls.overload, sounds, rng),
            realm: config.realm,
            policy: config.calls,
            media: config.media,
            endpoint,
            registrar,
            calls: CallTable::default(),
            peers,
            flows: Flows::default(),
            standing: StandingLegs::default(),
            presence: Presence::default(),
            captures,
            reach,
            trunks,
            outputs: VecDeque::new(),
            counters: Counters::default(),
            closing: Closing::No,
        };
        gateway.settle(now);
        gateway
    }

    /// Takes one input.
    pub fn handle_input(&mut self, input: Input, now: Instant) {
        match input {
            Input::Sip { path, transport, bytes, .. } => self.sip(path, transport, bytes, now),
            Input::FlowOpened { flow, transport, listener, remote } => {
                self.peers.open(flow, transport, listener, remote);
                self.reach.opened(flow, transport, now);
            }
            Input::Resolved { query, targets, ttl } => self.reach.resolved(query, targets, ttl, now),
            Input::FlowClosed(flow) => self.flow_closed(flow, now),
            Input::Media(worker, report) => self.report(worker, report, now),
            Input::Command(command) => self.command(command, now),
            Input::CaptureEnded { call, name, why } => self.capture_ended(call, &name, why, now),
            Input::Drain if self.closing == Closing::No => self.closing = Closing::Draining,
            Input::Drain => {}
            Input::Shutdown => self.shut_down(now),
        }
        self.settle(now);
        if self.endpoint.poll_timeout().is_some_and(|at| at <= now) {
            self.endpoint.handle_timeout(now);
            self.settle(now);
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        for (dn, _) in self.registrar.handle_timeout(now) {
            self.note_presence(&dn, now);
            if self.registrar.lookup(&dn, now).is_empty() {
                self.unnail(&dn, now);
            }
        }
        self.tell_left(now);
        self.reach.handle_timeout(now);
        self.settle(now);
        self.look_at_lost(now);
        self.nail_due(now);
        for call in self.calls.due(now) {
            let target_alive = self.target_alive(call);
            self.signal(call, Signal::Deadline { target_alive }, now);
        }
        self.settle(now);
    }

    /// Returns the next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns when [`Gateway::handle_timeout`] is to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let closing = match self.closing {
            Closing::Waiting(until) if self.calls.is_empty() => Some(until),
            _ => None,
        };
        let others = [self.endpoint.poll_timeout(), self.registrar.poll_timeout(), self.calls.poll_timeout()];
        let is_open = matches!(self.closing, Closing::No | Closing::Draining);
        let trunks = if is_open { self.trunks.poll_timeout() } else { None };
        others
            .into_iter()
            .chain([
                closing,
                self.reach.poll_timeout(),
                trunks,
                self.flows.poll_timeout(),
                self.standing.poll_timeout(),
                self.presence.poll_timeout(),
            ])
            .flatten()
            .min()
    }

    /// Returns the workers that have given all pairs of ports that were ready to calls; whoever begins a call there is refused.
    pub fn workers_without_ports(&self) -> impl Iterator<Item = WorkerId> {
        self.ports.without()
    }

    /// Copies out what metrics and pages show.
    pub fn snapshot(&self) -> Snapshot {
        let (transactions, sessions) = self.endpoint.load();
        let registrations = self.registrar.iter().flat_map(|(dn, bindings)| {
            let view = |b: &Binding| RegistrationView { dn: dn.to_owned(), flow: b.path.flow(), expires: b.expires_at };
            bindings.iter().map(view).collect::<Vec<_>>()
        });
        let sip = self.endpoint.stats();
        let strangers = self.counters.strangers + sip.strangers;
        Snapshot {
            registrations: registrations.collect(),
            calls: self
                .calls
                .iter()
                .filter(|call| call.nailed != Nailed::Alone)
                .map(|call| view(call, self.captures.name(call.id).map(str::to_owned)))
                .collect(),
            flows: self.peers.flows(),
            trunks: self.trunk_views(),
            free_pairs: self.ports.free(),
            workers: self.ports.loads(),
            transactions,
            sessions,
            entries: self.endpoint.entries()
                + self.calls.entries()
                + self.ports.placed()
                + self.trunks.entries()
                + self.flows.entries()
                + self.captures.entries(),
            counters: Counters { strangers, ..self.counters },
            sip,
        }
    }

    fn sip(&mut self, path: Path, transport: Transport, bytes: Bytes, now: Instant) {
        if bytes.iter().all(|b| matches!(b, b'\r' | b'\n')) {
            // RFC 5626 4.4.1: a double CRLF is a ping, a single one its answer.
            if bytes.len() >= 4 && path.flow().is_some() {
                self.outputs.push_back(Output::Transmit { path, bytes: Bytes::from_static(b"\r\n") });
            }
            return;
        }
        self.trunk_heard(&path, &bytes, now);
        self.endpoint.handle_message(path, transport, bytes, now);
        if let Some(flow) =
            path.flow().filter(|_| transport.is_stream() && self.reach.trunk_of(&path, transport).is_none())
        {
            // Its answer goes out first.
            self.settle(now);
            self.outputs.push_back(Output::CloseFlow(flow));
        }
    }

    fn shut_down(&mut self, now: Instant) {
        if matches!(self.closing, Closing::No | Closing::Draining) {
            self.closing = Closing::Waiting(now + FAREWELL);
        }
        for call in self.calls.names() {
            self.signal(call, Signal::Release(ReleaseCause::Shutdown), now);
        }
    }

    /// Takes all that the endpoint has to say, and what follows from it, until it is silent.
    fn settle(&mut self, now: Instant) {
        loop {
            while let Some(out) = self.reach.poll_output() {
                self.outputs.push_back(out);
            }
            while let Some(out) = self.endpoint.poll_transmit() {
                let connect = out.path.flow().and_then(|flow| self.reach.on_transmit(flow));
                self.outputs.extend(connect);
                self.outputs.push_back(Output::Transmit { path: out.path, bytes: out.bytes });
            }
            if let Some(event) = self.endpoint.poll_event() {
                self.event(event, now);
            } else if !self.tend_trunks(now) {
                break;
            }
        }
        self.tend_captures();
        let Closing::Waiting(until) = self.closing else { return };
        if self.calls.is_empty() && (now >= until || self.endpoint.load() == (0, 0)) {
            self.closing = Closing::Drained;
            self.outputs.push_back(Output::Drained);
        }
    }
}

/// Makes an independent random source out of another.
fn fork(rng: &mut StdRng) -> StdRng {
    StdRng::from_seed(rng.random())
}

fn view(call: &Call, capture: Option<String>) -> CallView {
    let state = match &call.procedure {
        Some(Procedure::Summons(_) | Procedure::Setup(_)) => CallState::Setup,
        Some(Procedure::Release(_)) => CallState::Releasing,
        Some(_) | None => CallState::Established,
    };
    CallView {
        call: call.id,
        dn: call.parties.dn.clone(),
        peer: call.parties.peer.clone(),
        direction: call.parties.direction,
        state,
        call_uuid: call.parties.call_uuid.clone(),
        since: call.since,
        capture,
    }
}
