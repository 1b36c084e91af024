//! Who is at the other end of a path: an open connection, a trunk, or a stranger.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use super::config::{Listener, ListenerId, Trunk};
use super::snapshot::TrunkCounters;
use crate::id::FlowId;
use crate::path::{Path, Transport};

/// An open connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) transport: Transport,
    pub(super) listener: ListenerId,
}

/// Flows that carry a registration; shared with the endpoint's limit per source, which spares them.
type Trusted = Arc<RwLock<HashSet<FlowId>>>;

/// All peers.
#[derive(Debug)]
pub(super) struct Peers {
    listeners: Vec<Listener>,
    trunks: Vec<Trunk>,
    counters: Vec<TrunkCounters>,
    flows: HashMap<FlowId, Flow>,
    trusted: Trusted,
    /// When each target of a trunk was last heard of.
    heard: HashMap<SocketAddr, Instant>,
}

impl Peers {
    pub(super) fn new(listeners: Vec<Listener>, trunks: Vec<Trunk>) -> Peers {
        let counters = vec![TrunkCounters::default(); trunks.len()];
        let (flows, trusted, heard) = (HashMap::new(), Trusted::default(), HashMap::new());
        Peers { listeners, trunks, counters, flows, trusted, heard }
    }

    /// Makes the judgement that spares trunks and registered browsers the limit per source.
    pub(super) fn trusted(&self) -> impl Fn(&Path) -> bool + Send + 'static {
        let trusted = Arc::clone(&self.trusted);
        let trunks = self.hosts();
        move |path| match path.flow() {
            Some(flow) => trusted.read().is_ok_and(|set| set.contains(&flow)),
            None => trunks.contains(&path.remote().ip()),
        }
    }

    /// Makes the judgement that tells connections and the hosts of trunks from the rest of the world.
    pub(super) fn known(&self) -> impl Fn(&Path) -> bool + Send + 'static {
        let trunks = self.hosts();
        move |path| path.flow().is_some() || trunks.contains(&path.remote().ip())
    }

    fn hosts(&self) -> HashSet<IpAddr> {
        let hosts = |trunk: &Trunk| {
            trunk.targets.iter().map(SocketAddr::ip).chain(trunk.sources.iter().copied()).collect::<Vec<_>>()
        };
        self.trunks.iter().flat_map(hosts).collect()
    }

    /// Returns true for a connection that carries, or carried, a registration.
    pub(super) fn is_trusted(&self, flow: FlowId) -> bool {
        self.trusted.read().is_ok_and(|set| set.contains(&flow))
    }

    pub(super) fn trust(&self, flow: FlowId) {
        if let Ok(mut set) = self.trusted.write() {
            set.insert(flow);
        }
    }

    pub(super) fn open(&mut self, flow: FlowId, transport: Transport, listener: ListenerId) {
        self.flows.insert(flow, Flow { transport, listener });
    }

    pub(super) fn close(&mut self, flow: FlowId) {
        self.flows.remove(&flow);
        if let Ok(mut set) = self.trusted.write() {
            set.remove(&flow);
        }
    }

    pub(super) fn flow(&self, path: &Path) -> Option<Flow> {
        self.flows.get(&path.flow()?).copied()
    }

    pub(super) fn flows(&self) -> usize {
        self.flows.len()
    }

    pub(super) fn trunk(&self, index: usize) -> Option<&Trunk> {
        self.trunks.get(index)
    }

    /// Counts what became of a trunk.
    pub(super) fn count(&mut self, trunk: usize, add: impl FnOnce(&mut TrunkCounters)) {
        if let Some(counters) = self.counters.get_mut(trunk) {
            add(counters);
        }
    }

    /// Returns the figures of all trunks, by name.
    pub(super) fn trunk_counters(&self) -> Vec<(String, TrunkCounters)> {
        self.trunks.iter().map(|trunk| trunk.name.clone()).zip(self.counters.iter().copied()).collect()
    }

    pub(super) fn listener(&self, id: ListenerId) -> Option<&Listener> {
        self.listeners.get(id.0)
    }

    /// Returns the listener that a path belongs to.
    pub(super) fn listener_of(&self, path: &Path) -> Option<&Listener> {
        match path {
            Path::Udp { local, .. } => {
                self.listeners.iter().find(|l| l.transport == Transport::Udp && l.bind == *local)
            }
            Path::Tcp { .. } | Path::Relay { .. } => self.listener(self.flow(path)?.listener),
        }
    }

    /// Returns the trunk that a path leads to: the target itself, else any that has this host. A browser's flow leads to none.
    pub(super) fn trunk_of(&self, path: &Path, transport: Transport) -> Option<usize> {
        if transport != Transport::Udp {
            return None;
        }
        let remote = path.remote();
        let exact = self.trunks.iter().position(|trunk| trunk.targets.contains(&remote));
        exact.or_else(|| {
            self.trunks.iter().position(|trunk| {
                trunk.targets.iter().any(|t| t.ip() == remote.ip()) || trunk.sources.contains(&remote.ip())
            })
        })
    }

    /// A message came from this address.
    pub(super) fn note(&mut self, path: &Path, now: Instant) {
        let remote = path.remote();
        if path.flow().is_none() && self.trunks.iter().any(|trunk| trunk.targets.contains(&remote)) {
            self.heard.insert(remote, now);
        }
    }

    /// Returns true if the peer was heard of since.
    pub(super) fn heard_since(&self, path: &Path, since: Instant) -> bool {
        self.heard.get(&path.remote()).is_some_and(|at| *at >= since)
    }
}
