//! Who is at the other end of a path: an open connection, a trunk, or a stranger.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};

use super::config::{Listener, ListenerId, Trunk};
use super::reach::Hosts;
use super::snapshot::TrunkCounters;
use crate::id::FlowId;
use crate::path::{Path, Transport};

/// An open connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) transport: Transport,
    pub(super) listener: ListenerId,
    pub(super) remote: SocketAddr,
    /// Our own phone page is at its end.
    pub(super) is_page: bool,
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
    hosts: Hosts,
}

impl Peers {
    pub(super) fn new(listeners: Vec<Listener>, trunks: Vec<Trunk>, hosts: Hosts) -> Peers {
        let counters = vec![TrunkCounters::default(); trunks.len()];
        Peers { listeners, trunks, counters, flows: HashMap::new(), trusted: Trusted::default(), hosts }
    }

    /// Makes the judgement that spares trunks and registered browsers the limit per source.
    pub(super) fn trusted(&self) -> impl Fn(&Path) -> bool + Send + 'static {
        let (trusted, hosts) = (Arc::clone(&self.trusted), self.hosts.clone());
        move |path| {
            let is_registered = path.flow().is_some_and(|flow| trusted.read().is_ok_and(|set| set.contains(&flow)));
            is_registered || hosts.is_trunk(path)
        }
    }

    /// Makes the judgement that tells WebSockets and the hosts of trunks from the rest of the world.
    pub(super) fn known(&self) -> impl Fn(&Path) -> bool + Send + 'static {
        let hosts = self.hosts.clone();
        move |path| path.flow().is_some_and(|flow| !hosts.is_stream(flow)) || hosts.is_trunk(path)
    }

    /// Makes the judgement that lets trunks, and no browser, use provisionals that are acknowledged (RFC 3262).
    pub(super) fn may_prack(&self) -> impl Fn(&Path) -> bool + Send + 'static {
        let hosts = self.hosts.clone();
        move |path| hosts.is_trunk(path)
    }

    /// Returns true for the connection of a browser: a WebSocket.
    pub(super) fn is_browser(&self, path: &Path) -> bool {
        self.flow(path).is_some_and(|flow| !flow.transport.is_stream())
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

    pub(super) fn open(&mut self, flow: FlowId, transport: Transport, listener: ListenerId, remote: SocketAddr) {
        self.flows.insert(flow, Flow { transport, listener, remote, is_page: false });
    }

    /// The connection is that of our own phone page.
    pub(super) fn note_page(&mut self, flow: FlowId) {
        if let Some(flow) = self.flows.get_mut(&flow) {
            flow.is_page = true;
        }
    }

    /// Returns true for the connection of our own phone page, which knows all that we write to it.
    pub(super) fn is_page(&self, path: &Path) -> bool {
        self.flow(path).is_some_and(|flow| flow.is_page)
    }

    /// Forgets a connection; returns what it was.
    pub(super) fn close(&mut self, flow: FlowId) -> Option<(Transport, SocketAddr)> {
        let gone = self.flows.remove(&flow).map(|flow| (flow.transport, flow.remote));
        if let Ok(mut set) = self.trusted.write() {
            set.remove(&flow);
        }
        gone
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

    /// Returns the names and figures of all trunks, as they are configured.
    pub(super) fn trunk_counters(&self) -> impl Iterator<Item = (String, TrunkCounters)> {
        self.trunks.iter().map(|trunk| trunk.name.clone()).zip(self.counters.iter().copied())
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
}
