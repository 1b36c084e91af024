//! The table of transactions: finds them, runs their timers, queues what they send; bounded by its user.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::Step;
use super::client::Client;
use super::invite_client::InviteClient;
use super::invite_server::InviteServer;
use super::large::{Streams, by_stream};
use super::server::Server;
use crate::id::FlowId;
use crate::path::Path;
use crate::sip::endpoint::{Hop, Timers, Transmit};
use crate::sip::message::{Builder, Message, Method, Name};

/// RFC 3261 8.1.1.7.
const COOKIE: &str = "z9hG4bK";

/// All transactions of an endpoint, and the queue of what is to be sent.
pub(crate) struct Table {
    timers: Timers,
    next: u64,
    entries: HashMap<u64, Entry>,
    clients: HashMap<ClientKey, u64>,
    servers: HashMap<ServerKey, u64>,
    merges: HashMap<MergeKey, u64>,
    deadlines: BTreeSet<(Instant, u64)>,
    gone: Vec<u64>,
    out: VecDeque<Transmit>,
    /// For requests that are too large for a datagram.
    streams: Option<Streams>,
}

struct Entry {
    machine: Machine,
    request: Message,
    path: Path,
    due: Option<Instant>,
    /// The datagram that it would have been, had it not been too large.
    small: Option<Box<(Message, Path)>>,
}

enum Machine {
    InviteClient(InviteClient),
    Client(Client),
    InviteServer(InviteServer),
    Server(Server),
}

#[derive(PartialEq, Eq, Hash)]
struct ClientKey {
    branch: String,
    method: Method,
}

#[derive(PartialEq, Eq, Hash)]
enum ServerKey {
    Branch { branch: String, host: String, port: u16, method: Method },
    Rfc2543 { uri: String, from_tag: String, call_id: String, cseq: u32, via: Vec<u8>, method: Method },
}

/// RFC 3261 8.2.2.2.
#[derive(PartialEq, Eq, Hash)]
struct MergeKey {
    from_tag: String,
    call_id: String,
    cseq: u32,
    method: Method,
}

/// A transaction whose time ran out.
pub(crate) struct Due {
    /// Which one.
    pub(crate) id: u64,
    /// It failed for want of an answer (client) or of an ACK (INVITE server).
    pub(crate) timed_out: bool,
}

impl ServerKey {
    /// `method`: the one of the transaction sought, INVITE for an ACK or a CANCEL's target.
    fn new(request: &Message, method: Method) -> ServerKey {
        let via = request.via();
        match via.branch() {
            Some(branch) if branch.len() > COOKIE.len() && branch.starts_with(COOKIE) => ServerKey::Branch {
                branch: branch.to_owned(),
                host: via.host.to_ascii_lowercase(),
                port: via.port.unwrap_or(5060),
                method,
            },
            _ => ServerKey::Rfc2543 {
                uri: request.request_uri().to_owned(),
                from_tag: request.from().tag().unwrap_or_default().to_owned(),
                call_id: request.call_id().to_owned(),
                cseq: request.cseq().number,
                via: request.headers(Name::Via).next().unwrap_or_default().to_vec(),
                method,
            },
        }
    }
}

impl MergeKey {
    fn new(request: &Message) -> Option<MergeKey> {
        if request.to().tag().is_some() {
            return None;
        }
        Some(MergeKey {
            from_tag: request.from().tag()?.to_owned(),
            call_id: request.call_id().to_owned(),
            cseq: request.cseq().number,
            method: request.method(),
        })
    }
}

impl Table {
    pub(crate) fn new(timers: Timers) -> Table {
        Table {
            timers,
            next: 1,
            entries: HashMap::new(),
            clients: HashMap::new(),
            servers: HashMap::new(),
            merges: HashMap::new(),
            deadlines: BTreeSet::new(),
            gone: Vec::new(),
            out: VecDeque::new(),
            streams: None,
        }
    }

    /// Says which stream leads to where a datagram path leads.
    pub(crate) fn set_streams(&mut self, streams: Streams) {
        self.streams = Some(streams);
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entries of all maps and queues.
    pub(crate) fn entries(&self) -> usize {
        let maps = [self.entries.len(), self.clients.len(), self.servers.len(), self.merges.len()];
        maps.into_iter().sum::<usize>() + self.deadlines.len() + self.gone.len() + self.out.len()
    }

    /// Sends bytes outside any transaction: an ACK of a 2xx, a stateless response, a repeated 2xx.
    pub(crate) fn send(&mut self, path: Path, bytes: Bytes) {
        self.out.push_back(Transmit { path, bytes });
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    /// Transactions that ended since the last call.
    pub(crate) fn take_gone(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.gone)
    }

    /// Sends a request with a fresh branch and opens its transaction.
    pub(crate) fn open_client(&mut self, request: Message, path: Path, now: Instant) -> u64 {
        let streamed = by_stream(&request, &path, self.streams.as_ref());
        let (request, path, small) = match streamed {
            Some((larger, stream)) => (larger, stream, Some(Box::new((request, path)))),
            None => (request, path, None),
        };
        let bytes = request.raw().clone();
        let machine = self.client_machine(&request, path, now);
        let key = client_key(&request);
        let id = self.insert(machine, request, path);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.small = small;
        }
        self.clients.insert(key, id);
        self.send(path, bytes);
        self.settle(id);
        id
    }

    /// Returns a number that no transaction has or will have.
    pub(crate) fn skip(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Opens the transaction of a new request; `trying` is the 100 of an INVITE, `path` where responses go.
    pub(crate) fn open_server(&mut self, request: Message, path: Path, trying: Option<Bytes>, now: Instant) -> u64 {
        let reliable = path.flow().is_some();
        let machine = match trying {
            Some(trying) => Machine::InviteServer(InviteServer::new(trying, reliable, self.timers, now)),
            None => Machine::Server(Server::new(reliable, self.timers, now)),
        };
        let key = ServerKey::new(&request, request.method());
        let merge = MergeKey::new(&request);
        let id = self.insert(machine, request, path);
        self.servers.insert(key, id);
        if let Some(merge) = merge {
            self.merges.insert(merge, id);
        }
        self.settle(id);
        id
    }

    /// The transaction that a response belongs to.
    pub(crate) fn find_client(&self, response: &Message) -> Option<u64> {
        self.clients.get(&client_key(response)).copied()
    }

    /// The transaction that a request belongs to: itself, or the INVITE of an ACK.
    pub(crate) fn find_server(&self, request: &Message) -> Option<u64> {
        let method = match request.method() {
            Method::Ack => Method::Invite,
            method => method,
        };
        self.servers.get(&ServerKey::new(request, method)).copied()
    }

    /// The INVITE that a CANCEL is meant for.
    pub(crate) fn find_cancelled(&self, cancel: &Message) -> Option<u64> {
        self.servers.get(&ServerKey::new(cancel, Method::Invite)).copied()
    }

    /// Whether this new request came before on another way (RFC 3261 8.2.2.2).
    pub(crate) fn is_merged(&self, request: &Message) -> bool {
        MergeKey::new(request).is_some_and(|key| self.merges.contains_key(&key))
    }

    /// The request that opened the transaction.
    pub(crate) fn request(&self, id: u64) -> Option<&Message> {
        self.entries.get(&id).map(|entry| &entry.request)
    }

    /// Where the transaction sends to.
    pub(crate) fn path(&self, id: u64) -> Option<Path> {
        self.entries.get(&id).map(|entry| entry.path)
    }

    /// The stream that a request went by that was too large for a datagram.
    pub(crate) fn stream_of(&self, id: u64) -> Option<Hop> {
        let (_, datagram) = &**self.entries.get(&id)?.small.as_ref()?;
        self.streams.as_ref()?(datagram)
    }

    /// Sends what the transaction still has to say elsewhere.
    pub(crate) fn set_path(&mut self, id: u64, path: Path) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.path = path;
        }
    }

    /// No final response was sent or received yet.
    pub(crate) fn is_pending(&self, id: u64) -> bool {
        self.entries.get(&id).is_some_and(|entry| match &entry.machine {
            Machine::InviteClient(machine) => machine.is_pending(),
            Machine::Client(machine) => machine.is_pending(),
            Machine::InviteServer(machine) => machine.is_pending(),
            Machine::Server(machine) => machine.is_pending(),
        })
    }

    /// An INVITE of ours has had a provisional and no final response.
    pub(crate) fn is_proceeding(&self, id: u64) -> bool {
        self.entries.get(&id).is_some_and(|entry| match &entry.machine {
            Machine::InviteClient(machine) => machine.is_proceeding(),
            _ => false,
        })
    }

    /// Takes a response; true: it is the user's.
    pub(crate) fn on_response(&mut self, id: u64, response: &Message, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        let status = response.status();
        let step = match &mut entry.machine {
            Machine::InviteClient(machine) => {
                let request = &entry.request;
                machine.on_response(status, now, || ack_of_refusal(request, response))
            }
            Machine::Client(machine) => machine.on_response(status, now),
            Machine::InviteServer(_) | Machine::Server(_) => Step::default(),
        };
        self.apply(id, step).deliver
    }

    /// A request came again.
    pub(crate) fn on_retransmission(&mut self, id: u64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let step = match &mut entry.machine {
            Machine::InviteServer(machine) => machine.on_retransmission(),
            Machine::Server(machine) => machine.on_retransmission(),
            Machine::InviteClient(_) | Machine::Client(_) => Step::default(),
        };
        self.apply(id, step);
    }

    /// Takes an ACK that matched by branch; true: it belongs to a 2xx.
    pub(crate) fn on_ack(&mut self, id: u64, now: Instant) -> bool {
        let Some(Entry { machine: Machine::InviteServer(machine), .. }) = self.entries.get_mut(&id) else {
            return false;
        };
        let step = machine.on_ack(now);
        self.apply(id, step).deliver
    }

    /// Sends a response; after a final one nothing more is sent.
    pub(crate) fn respond(&mut self, id: u64, status: u16, response: Bytes, now: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let step = match &mut entry.machine {
            Machine::InviteServer(machine) => machine.respond(status, response, now),
            Machine::Server(machine) => machine.respond(status, response, now),
            Machine::InviteClient(_) | Machine::Client(_) => Step::default(),
        };
        self.apply(id, step);
    }

    /// A CANCEL for this INVITE is out.
    pub(crate) fn cancelled(&mut self, id: u64, now: Instant) {
        if let Some(Entry { machine: Machine::InviteClient(machine), .. }) = self.entries.get_mut(&id) {
            machine.cancelled(now);
        }
        self.settle(id);
    }

    /// Runs the timers of one transaction that is due; `None`: none is.
    pub(crate) fn run(&mut self, now: Instant) -> Option<Due> {
        let &(at, id) = self.deadlines.first()?;
        if at > now {
            return None;
        }
        let Some(entry) = self.entries.get_mut(&id) else {
            self.deadlines.remove(&(at, id));
            return Some(Due { id, timed_out: false });
        };
        let step = match &mut entry.machine {
            Machine::InviteClient(machine) => machine.on_timeout(now),
            Machine::Client(machine) => machine.on_timeout(now),
            Machine::InviteServer(machine) => machine.on_timeout(now),
            Machine::Server(machine) => machine.on_timeout(now),
        };
        let timed_out = self.apply(id, step).timed_out;
        Some(Due { id, timed_out })
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    fn client_machine(&self, request: &Message, path: Path, now: Instant) -> Machine {
        let (bytes, reliable) = (request.raw().clone(), path.flow().is_some());
        match request.method() {
            Method::Invite => Machine::InviteClient(InviteClient::new(bytes, reliable, self.timers, now)),
            _ => Machine::Client(Client::new(bytes, reliable, self.timers, now)),
        }
    }

    /// Sends again by datagram what was too large for one and found no stream: nobody has answered it yet.
    fn shrink(&mut self, id: u64, now: Instant) -> bool {
        let is_unheard = self.is_pending(id) && !self.is_proceeding(id);
        let Some(entry) = self.entries.get_mut(&id).filter(|_| is_unheard) else { return false };
        let Some((request, path)) = entry.small.take().map(|small| *small) else { return false };
        (entry.request, entry.path) = (request.clone(), path);
        let machine = self.client_machine(&request, path, now);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.machine = machine;
        }
        self.send(path, request.raw().clone());
        self.settle(id);
        true
    }

    /// Finds new ways for the responses that are still owed on a flow that is gone: to the address it came from, at the
    /// port of the Via (RFC 3261 18.2.2).
    pub(crate) fn reroute(&mut self, flow: FlowId, to: &mut dyn FnMut(SocketAddr) -> Option<Path>) {
        for entry in self.entries.values_mut().filter(|entry| entry.path.flow() == Some(flow)) {
            if matches!(entry.machine, Machine::InviteServer(_) | Machine::Server(_)) {
                let via = entry.request.via();
                let is_tls = via.transport.eq_ignore_ascii_case("TLS");
                let port = via.port.unwrap_or(if is_tls { 5061 } else { 5060 });
                let back = SocketAddr::new(entry.path.remote().ip(), port);
                if let Some(path) = to(back) {
                    entry.path = path;
                }
            }
        }
    }

    /// Ends the client transactions of a flow, but for those that are to wait on; returns the ones that had no final response,
    /// in the order they were opened.
    pub(crate) fn drop_flow(&mut self, flow: FlowId, but: &[u64], now: Instant) -> Vec<u64> {
        let on_flow = |entry: &Entry| entry.path.flow() == Some(flow);
        let is_client = |entry: &Entry| matches!(entry.machine, Machine::InviteClient(_) | Machine::Client(_));
        let mut lost: Vec<u64> =
            self.entries.iter().filter(|(_, e)| on_flow(e) && is_client(e)).map(|(id, _)| *id).collect();
        lost.retain(|id| !but.contains(id));
        lost.sort_unstable();
        lost.retain(|id| !self.shrink(*id, now));
        let waiting = lost.iter().copied().filter(|id| self.is_pending(*id)).collect();
        for id in lost {
            self.remove(id);
        }
        waiting
    }

    fn insert(&mut self, machine: Machine, request: Message, path: Path) -> u64 {
        let id = self.next;
        self.next += 1;
        self.entries.insert(id, Entry { machine, request, path, due: None, small: None });
        id
    }

    fn apply(&mut self, id: u64, mut step: Step) -> Step {
        if let (Some(bytes), Some(entry)) = (step.send.take(), self.entries.get(&id)) {
            self.out.push_back(Transmit { path: entry.path, bytes });
        }
        self.settle(id);
        step
    }

    /// Keeps the deadline set in step with a machine, and removes one that has ended.
    fn settle(&mut self, id: u64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let (due, ended) = match &entry.machine {
            Machine::InviteClient(machine) => (machine.deadline(), machine.is_terminated()),
            Machine::Client(machine) => (machine.deadline(), machine.is_terminated()),
            Machine::InviteServer(machine) => (machine.deadline(), machine.is_terminated()),
            Machine::Server(machine) => (machine.deadline(), machine.is_terminated()),
        };
        if ended {
            self.remove(id);
        } else if due != entry.due {
            if let Some(old) = std::mem::replace(&mut entry.due, due) {
                self.deadlines.remove(&(old, id));
            }
            if let Some(due) = due {
                self.deadlines.insert((due, id));
            }
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(entry) = self.entries.remove(&id) else { return };
        if let Some(due) = entry.due {
            self.deadlines.remove(&(due, id));
        }
        match entry.machine {
            Machine::InviteClient(_) | Machine::Client(_) => {
                self.clients.remove(&client_key(&entry.request));
            }
            Machine::InviteServer(_) | Machine::Server(_) => {
                self.servers.remove(&ServerKey::new(&entry.request, entry.request.method()));
                if let Some(merge) = MergeKey::new(&entry.request)
                    && self.merges.get(&merge) == Some(&id)
                {
                    self.merges.remove(&merge);
                }
            }
        }
        self.gone.push(id);
    }
}

fn client_key(message: &Message) -> ClientKey {
    ClientKey { branch: message.via().branch().unwrap_or_default().to_owned(), method: message.cseq().method }
}

/// The ACK of a 300..699, which belongs to the INVITE's transaction (RFC 3261 17.1.1.3).
fn ack_of_refusal(invite: &Message, response: &Message) -> Bytes {
    let mut ack = Builder::request(&Method::Ack, invite.request_uri());
    if let Some(via) = invite.headers(Name::Via).next() {
        ack = ack.header(Name::Via, via);
    }
    for route in invite.headers(Name::Route) {
        ack = ack.header(Name::Route, route);
    }
    ack = ack
        .header(Name::From, invite.header(Name::From).unwrap_or_default())
        .header(Name::To, response.header(Name::To).unwrap_or_default())
        .header(Name::CallId, invite.call_id())
        .header(Name::CSeq, format!("{} ACK", invite.cseq().number))
        .header(Name::MaxForwards, "70");
    ack.build()
}
