//! The gateway with a network and media workers made of maps, in simulated time.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crosspoint::call::{AnswerMode, CallEvent, EventKind, Tones};
use crosspoint::gateway::{
    CallPolicy, CaptureOrder, CapturePolicy, Carry, Destination, DnRule, DnSet, Gateway, GatewayConfig, Input,
    Listener, ListenerId, MediaPolicy, OpusTerms, Output, RegistrationPolicy, Secret, Snapshot, Trunk, TrunkPolicy,
};
use crosspoint::id::{DialId, FlowId, LegId, PortPairId, WorkerId};
use crosspoint::path::{Path, Transport};
use crosspoint::plan::{AudioCodec, Fingerprint, Latch, LegStats, Order, Report, Source, Topology, WorkerSite};
use crosspoint::sip::endpoint::SourceLimit;
use crosspoint::sip::message::Message;
use rand::SeedableRng;
use rand::rngs::StdRng;

pub const REALM: &str = "gw.test";
pub const PASSWORD: &str = "secret";
pub const UDP: ListenerId = ListenerId(0);
pub const WSS: ListenerId = ListenerId(1);

pub fn gateway_addr() -> SocketAddr {
    "192.0.2.54:5060".parse().unwrap()
}

pub fn trunk_addr() -> SocketAddr {
    "192.0.2.81:5060".parse().unwrap()
}

/// A second target, for those who configure it.
pub fn spare_addr() -> SocketAddr {
    "192.0.2.82:5060".parse().unwrap()
}

pub fn by_udp(addr: SocketAddr) -> Destination {
    Destination::Address { transport: Transport::Udp, addr }
}

pub fn udp(remote: SocketAddr) -> Path {
    Path::Udp { local: gateway_addr(), remote }
}

pub fn config() -> GatewayConfig {
    let listener = |transport, bind: &str, advertise: &str| Listener {
        transport,
        bind: bind.parse().unwrap(),
        advertise: advertise.to_owned(),
        sha256: false,
    };
    GatewayConfig {
        realm: REALM.to_owned(),
        user_agent: "crosspoint-test".to_owned(),
        listeners: vec![
            listener(Transport::Udp, "192.0.2.54:5060", "192.0.2.54:5060"),
            listener(Transport::Wss, "192.0.2.54:8443", "gw.test:8443"),
        ],
        trunks: vec![Trunk {
            name: "genesys".to_owned(),
            destinations: vec![by_udp(trunk_addr())],
            sources: Vec::new(),
            tls_name: None,
            large_over_tcp: false,
            codecs: vec![AudioCodec::Pcmu, AudioCodec::Pcma],
            ptime_ms: 20,
            comfort_noise: false,
            dejitter: Default::default(),
            latch: Latch::Port,
            media: None,
            carry: Carry::default(),
            refer: false,
            hold: None,
            // Tests that are not about it need no OPTIONS between their messages.
            policy: TrunkPolicy { ping: Duration::ZERO, ..TrunkPolicy::default() },
            follow_redirects: true,
            opus: OpusTerms::default(),
        }],
        routes: Vec::new(),
        dns: vec![DnRule {
            dns: DnSet::Range { first: 5001, last: 5999, digits: 4 },
            secret: Secret::Plain(PASSWORD.to_owned()),
            sha256: false,
            dial: Vec::new(),
            trunk_secret: None,
            ring: None,
            answer: AnswerMode::Page,
            resume: false,
            opus: OpusTerms::default(),
            codecs: Vec::new(),
            calls: 10,
        }],
        registration: RegistrationPolicy::default(),
        calls: CallPolicy::default(),
        media: MediaPolicy::default(),
        source_limit: SourceLimit::default(),
        tones: Tones::default(),
        hold: Source::Nothing,
        capture: CapturePolicy::default(),
    }
}

/// One port of a simulated worker.
#[derive(Debug)]
pub struct Port {
    pub worker: WorkerId,
    pub pair: Option<PortPairId>,
}

pub struct Rig {
    pub gateway: Gateway,
    pub now: Instant,
    /// What was sent to each path and not yet looked at.
    pub sent: BTreeMap<Path, VecDeque<Message>>,
    pub events: Vec<CallEvent>,
    /// Who came and who has left.
    pub presence: Vec<(String, bool)>,
    /// Dialling that came to nothing.
    pub not_dialled: Vec<(DialId, String, u16)>,
    pub captures: Vec<CaptureOrder>,
    pub orders: Vec<(WorkerId, Order)>,
    pub ports: HashMap<LegId, Port>,
    pub free: HashSet<PortPairId>,
    pub taken: HashSet<PortPairId>,
    pub closed_flows: Vec<FlowId>,
    /// Connections that the gateway asked for.
    pub connects: Vec<Output>,
    /// Names that the gateway asked for.
    pub questions: Vec<Output>,
    pub drained: usize,
    /// The workers keep silent about closed ports.
    pub mute_workers: bool,
    /// Requests that reached the gateway, and the final responses that left it.
    pub ledger: BTreeMap<(Path, String), Vec<(u16, String)>>,
    pairs: HashMap<PortPairId, (WorkerId, SocketAddr)>,
    reports: VecDeque<(WorkerId, Report)>,
    flows: u64,
}

impl Rig {
    pub fn new() -> Rig {
        Rig::with(config(), 1, 8)
    }

    /// `workers` workers with `pairs` port pairs each.
    pub fn with(config: GatewayConfig, workers: u64, pairs: u64) -> Rig {
        Rig::seeded(config, workers, pairs, 7)
    }

    pub fn seeded(config: GatewayConfig, workers: u64, pairs: u64, seed: u64) -> Rig {
        let now = Instant::now();
        let sites = (0..workers)
            .map(|w| WorkerSite {
                worker: WorkerId(w),
                candidates: vec![SocketAddr::from(([192, 0, 2, 54], 10_000 + w as u16))],
            })
            .collect();
        let gateway = Gateway::new(config, sites, Fingerprint([7; 32]), StdRng::seed_from_u64(seed), now);
        let mut rig = Rig {
            gateway,
            now,
            sent: BTreeMap::new(),
            events: Vec::new(),
            presence: Vec::new(),
            not_dialled: Vec::new(),
            captures: Vec::new(),
            orders: Vec::new(),
            ports: HashMap::new(),
            free: HashSet::new(),
            taken: HashSet::new(),
            closed_flows: Vec::new(),
            connects: Vec::new(),
            questions: Vec::new(),
            drained: 0,
            mute_workers: false,
            ledger: BTreeMap::new(),
            pairs: HashMap::new(),
            reports: VecDeque::new(),
            flows: 0,
        };
        for worker in 0..workers {
            let ready: Vec<(PortPairId, SocketAddr)> = (0..pairs)
                .map(|n| {
                    let port = 11_000 + (worker * pairs + n) as u16 * 2;
                    (PortPairId(worker * 1000 + n), SocketAddr::from(([192, 0, 2, 54], port)))
                })
                .collect();
            for (pair, addr) in &ready {
                rig.pairs.insert(*pair, (WorkerId(worker), *addr));
                rig.free.insert(*pair);
            }
            rig.input(Input::Media(WorkerId(worker), Report::PairsReady(ready)));
        }
        rig
    }

    /// The worker has bound these pairs.
    pub fn announce(&mut self, pairs: impl Iterator<Item = (PortPairId, SocketAddr)>) {
        let ready: Vec<_> = pairs.collect();
        for (pair, addr) in &ready {
            self.pairs.insert(*pair, (WorkerId(0), *addr));
            self.free.insert(*pair);
        }
        self.input(Input::Media(WorkerId(0), Report::PairsReady(ready)));
    }

    pub fn input(&mut self, input: Input) {
        self.gateway.handle_input(input, self.now);
        self.drain();
        while let Some((worker, report)) = self.reports.pop_front() {
            self.gateway.handle_input(Input::Media(worker, report), self.now);
            self.drain();
        }
    }

    pub fn open_flow(&mut self) -> Path {
        self.flows += 1;
        let remote = SocketAddr::from(([198, 51, 100, 7], 40_000 + (self.flows % 20_000) as u16));
        let flow = FlowId(self.flows);
        self.input(Input::FlowOpened { flow, transport: Transport::Wss, listener: WSS, remote });
        Path::Tcp { flow, remote }
    }

    /// A message arrives at the gateway.
    pub fn deliver(&mut self, path: Path, bytes: Bytes) {
        let (transport, listener) = match path {
            Path::Udp { .. } => (Transport::Udp, UDP),
            _ => (Transport::Wss, WSS),
        };
        if let Ok(message) = Message::parse(bytes.clone())
            && message.is_request()
            && message.method().as_str() != "ACK"
        {
            self.ledger.entry(transaction(path, &message)).or_default();
        }
        self.input(Input::Sip { path, transport, listener, bytes });
    }

    /// Lets time pass, timer by timer.
    pub fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        let mut rounds = 0;
        while let Some(at) = self.gateway.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.gateway.handle_timeout(self.now);
            self.drain();
            while let Some((worker, report)) = self.reports.pop_front() {
                self.input(Input::Media(worker, report));
            }
            rounds += 1;
            assert!(rounds < 200_000, "a timer is due for ever");
        }
        self.now = until;
    }

    /// Takes what was sent down a path.
    pub fn take(&mut self, path: Path) -> Vec<Message> {
        self.sent.remove(&path).unwrap_or_default().into()
    }

    /// Takes what was sent down a path, which must be one message.
    pub fn take_one(&mut self, path: Path) -> Message {
        let mut all = self.take(path);
        assert_eq!(all.len(), 1, "one message: {:?}", all.iter().map(first_line).collect::<Vec<_>>());
        all.remove(0)
    }

    pub fn kinds(&self) -> Vec<&EventKind> {
        self.events.iter().map(|event| &event.kind).collect()
    }

    pub fn snapshot(&self) -> Snapshot {
        self.gateway.snapshot()
    }

    /// Everything is as if no call had ever been.
    pub fn assert_clean(&self) {
        let snapshot = self.snapshot();
        assert!(snapshot.calls.is_empty(), "calls left: {:?}", snapshot.calls);
        assert!(self.ports.is_empty(), "ports left open: {:?}", self.ports);
        assert!(self.taken.is_empty(), "pairs never given back: {:?}", self.taken);
        let free: usize = snapshot.free_pairs.iter().map(|(_, free)| free).sum();
        assert_eq!(free, self.pairs.len(), "the gateway's reserve is not the workers'");
    }

    fn drain(&mut self) {
        while let Some(output) = self.gateway.poll_output() {
            match output {
                Output::Transmit { path, bytes } => {
                    if bytes.as_ref() == b"\r\n" {
                        continue;
                    }
                    let message = match Message::parse(bytes.clone()) {
                        Ok(message) => message,
                        // The refusal of a malformed request repeats what was malformed in it (RFC 3261 8.2.6.2).
                        Err(_) if bytes.starts_with(b"SIP/2.0 4") => continue,
                        Err(error) => panic!("what we send can be read: {error:?}"),
                    };
                    if !message.is_request() && message.status() >= 200 {
                        let end = (message.status(), message.to().tag().unwrap_or_default().to_owned());
                        let ends = self.ledger.entry(transaction(path, &message)).or_default();
                        if !ends.contains(&end) {
                            ends.push(end);
                        }
                    }
                    self.sent.entry(path).or_default().push_back(message);
                }
                Output::CloseFlow(flow) => self.closed_flows.push(flow),
                Output::Media(worker, order) => self.carry_out(worker, order),
                Output::Event(event) => self.events.push(event),
                Output::Presence { dn, is_here } => self.presence.push((dn, is_here)),
                Output::NotDialled { dial, dn, status } => self.not_dialled.push((dial, dn, status)),
                Output::Capture(order) => self.captures.push(order),
                connect @ Output::Connect { .. } => self.connects.push(connect),
                question @ Output::Resolve { .. } => self.questions.push(question),
                Output::Drained => self.drained += 1,
            }
        }
    }

    fn carry_out(&mut self, worker: WorkerId, order: Order) {
        match &order {
            Order::OpenBrowser(leg, _) => {
                let port = Port { worker, pair: None };
                assert!(self.ports.insert(*leg, port).is_none(), "{leg} opened twice");
            }
            Order::OpenRtp(leg, plan) => {
                self.take_pair(worker, plan.pair);
                let port = Port { worker, pair: Some(plan.pair) };
                assert!(self.ports.insert(*leg, port).is_none(), "{leg} opened twice");
            }
            Order::Close(leg) => {
                let port = self.ports.remove(leg).expect("only an open port is closed");
                assert_eq!(port.worker, worker, "{leg} is on another worker");
                if !self.mute_workers {
                    let stats = LegStats { received: leg.0, ..LegStats::default() };
                    self.reports.push_back((worker, Report::Closed(*leg, stats)));
                }
                if let Some(pair) = port.pair {
                    self.give_back(pair);
                }
            }
            Order::ReleasePair(pair) => {
                self.take_pair(worker, *pair);
                self.give_back(*pair);
            }
            Order::Connect(topology) => {
                let legs = match topology {
                    Topology::Parked(leg, _) => vec![*leg],
                    Topology::Pair(one, other) => vec![*one, *other],
                    Topology::Mix(legs) => legs.clone(),
                };
                for leg in &legs {
                    assert_eq!(self.ports.get(leg).map(|port| port.worker), Some(worker), "{leg} is open, and here");
                }
            }
            Order::UpdateBrowser(leg, _)
            | Order::RestartIce(leg, _)
            | Order::UpdateRtp(leg, _)
            | Order::Tap(leg, _)
            | Order::SendDigit(leg, _) => {
                assert!(self.ports.contains_key(leg), "{leg} is open");
            }
        }
        self.orders.push((worker, order));
    }

    fn take_pair(&mut self, worker: WorkerId, pair: PortPairId) {
        assert!(self.free.remove(&pair), "{pair} is free");
        assert_eq!(self.pairs.get(&pair).map(|(w, _)| *w), Some(worker), "{pair} is of this worker");
        self.taken.insert(pair);
    }

    fn give_back(&mut self, pair: PortPairId) {
        self.taken.remove(&pair);
        self.free.insert(pair);
        let (worker, addr) = self.pairs[&pair];
        self.reports.push_back((worker, Report::PairsReady(vec![(pair, addr)])));
    }
}

/// What makes a transaction ours to tell apart (RFC 3261 17.2.3).
pub fn transaction(path: Path, message: &Message) -> (Path, String) {
    let via = message.via();
    let branch = via.branch().unwrap_or_default();
    (path, format!("{branch} {}:{:?} {}", via.host, via.port, message.cseq().method.as_str()))
}

pub fn first_line(message: &Message) -> String {
    let raw = message.raw();
    let end = raw.iter().position(|b| *b == b'\r').unwrap_or(raw.len());
    String::from_utf8_lossy(&raw[..end]).into_owned()
}
