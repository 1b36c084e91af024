//! The trunks as they are reached at this moment: the list of targets of each, and the way to each target
//! (RFC 3261 18.1, RFC 3263, RFC 5923).
//!
//! A trunk's destinations are addresses, or names whose answers change ([`names`]); together they are its targets. A
//! target by UDP is always reached; one by TCP or TLS by one connection, opened by the first message and used by all
//! ([`pool`]). Whoever has the host of a target, or an address of `sources`, is the trunk, by whichever port or
//! transport it comes: the requests of a dialog may come from any host of a pool.

mod names;
mod pool;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use self::names::Names;
use self::pool::{Key, Pool};
use super::Output;
use super::config::{Destination, Listener, ListenerId, Trunk};
use crate::id::FlowId;
use crate::path::{Net, Path, Transport};
use crate::sip::endpoint::Hop;
use crate::sip::locate::ResolvedTarget;

/// Where TCP was refused it is not tried again for so long, unless a target is one by TCP.
const NO_TCP: Duration = Duration::from_secs(60);

/// Names a target for as long as its trunk has it; an address that comes back has a new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId(pub u64);

/// One server of a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) id: TargetId,
    pub(super) trunk: usize,
    pub(super) transport: Transport,
    pub(super) addr: SocketAddr,
    /// The name that it was found by.
    pub(super) name: Option<String>,
    /// The socket of ours whose address stands in Via and Contact.
    pub(super) listener: ListenerId,
}

impl Target {
    /// Returns the host part of a Request-URI for it: the configured name, not what it happens to be (RFC 3263 4).
    pub(super) fn uri_host(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.addr.to_string())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.via_token().to_ascii_lowercase(), self.addr)
    }
}

/// What the judgements of the endpoint share with us.
#[derive(Debug, Default)]
struct Shared {
    /// Hosts of all targets.
    hosts: HashSet<IpAddr>,
    /// Further networks of trunks.
    nets: Vec<Net>,
    /// Connections that speak SIP on a bare stream.
    streams: HashSet<FlowId>,
    /// The way by TCP to targets by UDP.
    large: HashMap<SocketAddr, Hop>,
}

impl Shared {
    fn is_trunk(&self, host: IpAddr) -> bool {
        let host = host.to_canonical();
        self.hosts.contains(&host) || self.nets.iter().any(|net| net.contains(host))
    }
}

/// Knows which paths lead to or come from trunks; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts(Arc<RwLock<Shared>>);

impl Hosts {
    /// Returns true if the peer is a trunk's host, by a datagram or a bare stream. A WebSocket from there is a browser's.
    pub(super) fn is_trunk(&self, path: &Path) -> bool {
        if path.flow().is_some_and(pool::is_ours) {
            return true;
        }
        self.0.read().is_ok_and(|shared| {
            let is_sip = path.flow().is_none_or(|flow| shared.streams.contains(&flow));
            is_sip && shared.is_trunk(path.remote().ip())
        })
    }

    /// Returns true if the connection is a bare stream: TCP or TLS.
    pub(super) fn is_stream(&self, flow: FlowId) -> bool {
        pool::is_ours(flow) || self.0.read().is_ok_and(|shared| shared.streams.contains(&flow))
    }

    /// Returns the way for requests that are too large for a datagram.
    pub(super) fn stream(&self, path: &Path) -> Option<Hop> {
        let Path::Udp { remote, .. } = path else { return None };
        self.0.read().ok()?.large.get(remote).cloned()
    }

    fn write(&self, change: impl FnOnce(&mut Shared)) {
        if let Ok(mut shared) = self.0.write() {
            change(&mut shared);
        }
    }
}

/// One trunk's part of the configuration.
#[derive(Debug)]
struct Routes {
    name: String,
    destinations: Vec<Destination>,
    sources: Vec<Net>,
    tls_name: Option<String>,
    large_over_tcp: bool,
    targets: Vec<Target>,
}

/// All trunks, and the connections to them.
#[derive(Debug)]
pub(super) struct Reach {
    listeners: Vec<Listener>,
    trunks: Vec<Routes>,
    names: Names,
    pool: Pool,
    hosts: Hosts,
    outputs: VecDeque<Output>,
    last_target: u64,
    /// Where TCP was refused, and until when it is not tried again for what is too large for UDP.
    refused: HashMap<SocketAddr, Instant>,
}

impl Reach {
    pub(super) fn new(listeners: &[Listener], trunks: &[Trunk], now: Instant) -> Reach {
        let routes = |trunk: &Trunk| Routes {
            name: trunk.name.clone(),
            destinations: trunk.destinations.clone(),
            sources: trunk.sources.clone(),
            tls_name: trunk.tls_name.clone(),
            large_over_tcp: trunk.large_over_tcp,
            targets: Vec::new(),
        };
        let trunks: Vec<Routes> = trunks.iter().map(routes).collect();
        let mut reach = Reach {
            listeners: listeners.to_vec(),
            names: Names::new(trunks.iter().map(|trunk| trunk.destinations.as_slice()), now),
            trunks,
            pool: Pool::default(),
            hosts: Hosts::default(),
            outputs: VecDeque::new(),
            last_target: 0,
            refused: HashMap::new(),
        };
        reach.rebuild();
        reach.handle_timeout(now);
        reach
    }

    /// Returns the judgement that tells trunks from all others.
    pub(super) fn hosts(&self) -> Hosts {
        self.hosts.clone()
    }

    /// Returns the targets of a trunk, most preferred first; those of a name that was not found yet are missing.
    pub(super) fn targets(&self, trunk: usize) -> &[Target] {
        self.trunks.get(trunk).map_or(&[], |routes| &routes.targets)
    }

    /// Returns a target by its name.
    pub(super) fn target(&self, id: TargetId) -> Option<&Target> {
        self.trunks.iter().flat_map(|trunk| &trunk.targets).find(|target| target.id == id)
    }

    /// Returns the way to a target. A connection is opened only when the first message is sent on it; `None`: the target
    /// is gone, or it is too early to try it again.
    pub(super) fn hop(&mut self, id: TargetId, now: Instant) -> Option<Hop> {
        let target = self.target(id)?;
        let (transport, key) =
            (target.transport, Key { trunk: target.trunk, transport: target.transport, addr: target.addr });
        let listener = self.listeners.get(target.listener.0)?;
        let path = match transport {
            Transport::Udp => Path::Udp { local: listener.bind, remote: key.addr },
            _ => Path::Tcp { flow: self.pool.flow(key, now)?, remote: key.addr },
        };
        Some(Hop { path, transport, sent_by: listener.advertise.clone() })
    }

    /// Returns the trunk that a path leads to: by the target itself, else by any that has this host. A browser's flow
    /// leads to none.
    pub(super) fn trunk_of(&self, path: &Path, transport: Transport) -> Option<usize> {
        if !(transport == Transport::Udp || transport.is_stream()) {
            return None;
        }
        if let Some(key) = path.flow().and_then(|flow| self.pool.key(flow)) {
            return Some(key.trunk);
        }
        let (remote, host) = (path.remote(), path.remote().ip().to_canonical());
        let exact = |routes: &Routes| routes.targets.iter().any(|target| target.addr == remote);
        let alike = |routes: &Routes| {
            routes.targets.iter().any(|target| target.addr.ip() == host)
                || routes.sources.iter().any(|net| net.contains(host))
        };
        self.trunks.iter().position(exact).or_else(|| self.trunks.iter().position(alike))
    }

    /// Returns the order to connect where a message goes down a connection that is not there yet.
    pub(super) fn on_transmit(&mut self, flow: FlowId) -> Option<Output> {
        let key = self.pool.start(flow)?;
        self.connect(flow, key)
    }

    fn connect(&self, flow: FlowId, key: Key) -> Option<Output> {
        let routes = self.trunks.get(key.trunk)?;
        let name =
            || routes.targets.iter().find(|target| target.addr == key.addr).and_then(|target| target.name.clone());
        Some(Output::Connect {
            flow,
            transport: key.transport,
            remote: key.addr,
            server_name: routes.tls_name.clone().or_else(name),
            listener: self.listener_for(key.transport, key.addr.is_ipv4())?,
            trunk: key.trunk,
        })
    }

    /// A connection is there: accepted, or opened by us.
    pub(super) fn opened(&mut self, flow: FlowId, transport: Transport, now: Instant) {
        if transport.is_stream() {
            self.hosts.write(|shared| {
                shared.streams.insert(flow);
            });
        }
        self.pool.opened(flow, now);
    }

    /// A connection is gone; returns the trunk that it led to and its transport, if it was ours.
    pub(super) fn closed(&mut self, flow: FlowId, now: Instant) -> Option<(usize, Transport)> {
        self.hosts.write(|shared| {
            shared.streams.remove(&flow);
        });
        let (key, was_open) = self.pool.closed(flow, now)?;
        let trunk = self.trunks.get(key.trunk).map(|trunk| trunk.name.as_str()).unwrap_or_default();
        tracing::info!(trunk, addr = %key.addr, transport = key.transport.via_token(), "connection to the trunk is gone");
        if !was_open && key.transport == Transport::Tcp {
            self.refused.insert(key.addr, now + NO_TCP);
        }
        self.refresh_streams();
        Some((key.trunk, key.transport))
    }

    /// Returns where the peer at the other end of a lost connection of a trunk is reached from here on; opened when there
    /// is something to say. An address that is none of the trunk's is replaced by its first target's.
    pub(super) fn way_back(&mut self, trunk: usize, transport: Transport, addr: SocketAddr) -> Option<Path> {
        let is_its_own = self.hosts.0.read().is_ok_and(|shared| shared.is_trunk(addr.ip()));
        let first =
            || self.targets(trunk).iter().find(|target| target.transport == transport).map(|target| target.addr);
        let addr = if is_its_own { addr } else { first()? };
        self.listener_for(transport, addr.is_ipv4())?;
        Some(Path::Tcp { flow: self.pool.name(Key { trunk, transport, addr }), remote: addr })
    }

    /// An answer to [`Output::Resolve`]; without targets it failed, and the last good one stands.
    pub(super) fn resolved(&mut self, query: u64, targets: Vec<ResolvedTarget>, ttl: Duration, now: Instant) {
        if self.names.resolved(query, targets, ttl, now) {
            self.rebuild();
        }
    }

    /// Asks for names that run out, and opens lost connections anew.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(question) = self.names.poll(now) {
            self.outputs.push_back(question);
        }
        let waiting = self.refused.len();
        self.refused.retain(|_, until| *until > now);
        if self.refused.len() != waiting {
            self.refresh_streams();
        }
        for key in self.pool.due(now) {
            let wanted = self.targets(key.trunk).iter().any(|t| (t.transport, t.addr) == (key.transport, key.addr));
            // What is too large for UDP waits for nothing; the next such request opens its connection.
            if !wanted {
                self.pool.forget(&key);
            } else if let Some(flow) = self.pool.flow(key, now)
                && let Some(connect) = self.on_transmit(flow)
            {
                self.outputs.push_back(connect);
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let refused = self.refused.values().min().copied();
        [self.names.poll_timeout(), self.pool.poll_timeout(), refused].into_iter().flatten().min()
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn listener_for(&self, transport: Transport, is_ipv4: bool) -> Option<ListenerId> {
        let fits = |l: &Listener| l.transport == transport && l.bind.is_ipv4() == is_ipv4;
        self.listeners.iter().position(fits).map(ListenerId)
    }

    /// Makes the lists of targets anew; a target that was there keeps its name.
    fn rebuild(&mut self) {
        for trunk in 0..self.trunks.len() {
            let found = self.found(trunk);
            let Some(routes) = self.trunks.get_mut(trunk) else { continue };
            let old = std::mem::take(&mut routes.targets);
            for (name, ResolvedTarget { transport, addr }, listener) in found {
                if routes.targets.iter().any(|t| (t.transport, t.addr) == (transport, addr)) {
                    continue;
                }
                let known = old.iter().find(|t| (t.transport, t.addr) == (transport, addr)).map(|t| t.id);
                let id = known.unwrap_or_else(|| {
                    self.last_target += 1;
                    TargetId(self.last_target)
                });
                routes.targets.push(Target { id, trunk, transport, addr, name, listener });
            }
        }
        let targets = || self.trunks.iter().flat_map(|trunk| &trunk.targets);
        self.hosts.write(|shared| {
            shared.hosts = targets().map(|target| target.addr.ip().to_canonical()).collect();
            shared.nets = self.trunks.iter().flat_map(|trunk| trunk.sources.iter().copied()).collect();
        });
        self.refresh_streams();
    }

    /// Finds the ways by TCP to targets by UDP, for what is too large.
    fn refresh_streams(&mut self) {
        let mut large = HashMap::new();
        for routes in self.trunks.iter().filter(|routes| routes.large_over_tcp) {
            for target in routes.targets.iter().filter(|target| target.transport == Transport::Udp) {
                let (transport, addr) = (Transport::Tcp, target.addr);
                let listener = self.listener_for(transport, addr.is_ipv4()).and_then(|id| self.listeners.get(id.0));
                let Some(listener) = listener.filter(|_| !self.refused.contains_key(&addr)) else { continue };
                let flow = self.pool.name(Key { trunk: target.trunk, transport, addr });
                let path = Path::Tcp { flow, remote: addr };
                large.insert(addr, Hop { path, transport, sent_by: listener.advertise.clone() });
            }
        }
        self.hosts.write(|shared| shared.large = large);
    }

    /// What the destinations of a trunk are at this moment, as far as we have sockets for it.
    fn found(&self, trunk: usize) -> Vec<(Option<String>, ResolvedTarget, ListenerId)> {
        let Some(routes) = self.trunks.get(trunk) else { return Vec::new() };
        let mut all = Vec::new();
        for (at, destination) in routes.destinations.iter().enumerate() {
            match destination {
                Destination::Address { transport, addr } => {
                    all.push((None, ResolvedTarget { transport: *transport, addr: *addr }));
                }
                Destination::Name { host, port, .. } => {
                    let name = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
                    all.extend(self.names.targets(trunk, at).iter().map(|target| (Some(name.clone()), *target)));
                }
            }
        }
        let with_socket = |(name, target): (Option<String>, ResolvedTarget)| {
            let listener = self.listener_for(target.transport, target.addr.is_ipv4());
            if listener.is_none() && name.is_none() {
                let transport = target.transport.via_token();
                tracing::warn!(trunk = routes.name, addr = %target.addr, transport, "no [[sip]] socket reaches this target");
            }
            Some((name, target, listener?))
        };
        all.into_iter().filter_map(with_socket).collect()
    }
}
