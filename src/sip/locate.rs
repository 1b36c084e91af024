//! Where a name's servers are (RFC 3263 4, RFC 2782, RFC 3403): which records to ask for, and in which order their
//! targets are tried. The asking is the shell's; this is told the answers.
//!
//! ```text
//!  address ───────────────────────────────────────────► itself
//!  name with a port ──────────────► A, AAAA ──────────► UDP, or the transport that is given
//!  name with a transport ──► SRV ──► A, AAAA of each ─► in the order of priority and weight
//!                             └ none ► A, AAAA ───────► the default port
//!  name alone ──► NAPTR ──► SRV of the most preferred transport that we speak
//!                   └ none ► SRV of UDP, TCP, TLS, the first that there is ── none ► A, AAAA, UDP
//! ```
//! We do not follow NAPTR rules with a regular expression, because SIP has none (RFC 3263 4.1).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::path::Transport;

/// Most servers of one name; a longer answer is cut.
const MAX_SERVERS: usize = 32;
/// How long an answer without a time to live of its own is believed.
const LONGEST: Duration = Duration::from_secs(86_400);
/// The order in which transports are preferred where the name's owner says nothing.
const ORDER: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

/// One server of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResolvedTarget {
    /// What it speaks.
    pub transport: Transport,
    /// Where.
    pub addr: SocketAddr,
}

/// What is to be asked next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// NAPTR records of this name.
    Naptr(String),
    /// SRV records of this name.
    Srv(String),
    /// A and AAAA records of this name.
    Addresses(String),
}

/// A NAPTR record (RFC 3403 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// Lowest first.
    pub order: u16,
    /// Lowest first among those of one order.
    pub preference: u16,
    /// `s` for those that lead to SRV records.
    pub flags: String,
    /// `SIP+D2U`, `SIP+D2T`, `SIPS+D2T`.
    pub service: String,
    /// Where the SRV records are.
    pub replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lowest first.
    pub priority: u16,
    /// Share among those of one priority.
    pub weight: u16,
    /// Port of the server.
    pub port: u16,
    /// Name of the server; `.`: there is none.
    pub target: String,
}

/// What DNS said; an empty list where there is no such record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Naptr`].
    Naptr(Vec<Naptr>),
    /// To [`Question::Srv`].
    Srv(Vec<Srv>),
    /// To [`Question::Addresses`].
    Addresses(Vec<IpAddr>),
}

/// A server whose addresses are to be asked for.
#[derive(Clone, Debug)]
struct Server {
    transport: Transport,
    host: String,
    port: u16,
}

#[derive(Debug)]
enum State {
    Naptr,
    /// SRV names to try, one after the other, until one has records.
    Srv(Vec<(Transport, String)>),
    /// Servers whose addresses are missing, the next one first.
    Addresses(Vec<Server>),
    Done,
}

/// One search for the servers of a name.
#[derive(Debug)]
pub struct Search {
    host: String,
    transport: Option<Transport>,
    state: State,
    found: Vec<ResolvedTarget>,
    ttl: Duration,
}

impl Search {
    /// Begins a search; `transport` is UDP, TCP or TLS.
    pub fn new(host: &str, port: Option<u16>, transport: Option<Transport>) -> Search {
        let mut search =
            Search { host: host.to_owned(), transport, state: State::Naptr, found: Vec::new(), ttl: LONGEST };
        let chosen = transport.unwrap_or(Transport::Udp);
        if let Ok(ip) = host.parse::<IpAddr>() {
            let addr = SocketAddr::new(ip, port.unwrap_or(chosen.default_port()));
            search.found.push(ResolvedTarget { transport: chosen, addr });
            search.state = State::Done;
        } else if let Some(port) = port {
            search.state = State::Addresses(vec![Server { transport: chosen, host: host.to_owned(), port }]);
        } else if let Some(transport) = transport {
            search.state = State::Srv(vec![(transport, srv_name(transport, host))]);
        }
        search
    }

    /// Returns what is to be asked next; `None`: the search has ended.
    pub fn next(&self) -> Option<Question> {
        match &self.state {
            State::Naptr => Some(Question::Naptr(self.host.clone())),
            State::Srv(names) => names.first().map(|(_, name)| Question::Srv(name.clone())),
            State::Addresses(servers) => servers.first().map(|server| Question::Addresses(server.host.clone())),
            State::Done => None,
        }
    }

    /// Takes the answer to [`Search::next`], which may be believed for `ttl`; `rng` spreads the load by weight. An
    /// answer to another question is passed over.
    pub fn answer(&mut self, answer: Answer, ttl: Duration, rng: &mut StdRng) {
        let is_empty = match &answer {
            Answer::Naptr(records) => records.is_empty(),
            Answer::Srv(records) => records.is_empty(),
            Answer::Addresses(records) => records.is_empty(),
        };
        if !is_empty {
            self.ttl = self.ttl.min(ttl);
        }
        self.state = match (std::mem::replace(&mut self.state, State::Done), answer) {
            (State::Naptr, Answer::Naptr(records)) => self.on_naptr(records),
            (State::Srv(names), Answer::Srv(records)) => self.on_srv(names, records, rng),
            (State::Addresses(servers), Answer::Addresses(addresses)) => self.on_addresses(servers, &addresses),
            (state, _) => state,
        };
    }

    /// Returns the servers in the order in which they are to be tried, and how long that may be believed.
    pub fn finish(self) -> (Vec<ResolvedTarget>, Duration) {
        (self.found, self.ttl)
    }

    fn on_naptr(&self, mut records: Vec<Naptr>) -> State {
        records.sort_by_key(|record| (record.order, record.preference));
        let mut names: Vec<(Transport, String)> = records
            .into_iter()
            .filter(|record| record.flags.eq_ignore_ascii_case("s"))
            .filter_map(|record| Some((transport_of(&record.service)?, record.replacement)))
            .collect();
        if names.is_empty() {
            names = ORDER.map(|transport| (transport, srv_name(transport, &self.host))).to_vec();
        }
        names.truncate(MAX_SERVERS);
        State::Srv(names)
    }

    fn on_srv(&self, mut names: Vec<(Transport, String)>, records: Vec<Srv>, rng: &mut StdRng) -> State {
        let (transport, _) = names.remove(0);
        let said_none = !records.is_empty() && records.iter().all(|record| is_root(&record.target));
        let servers: Vec<Server> = in_order(records, rng)
            .into_iter()
            .filter(|record| !is_root(&record.target))
            .take(MAX_SERVERS)
            .map(|record| Server { transport, host: record.target, port: record.port })
            .collect();
        match (servers.is_empty(), names.is_empty()) {
            (false, _) => State::Addresses(servers),
            (true, false) => State::Srv(names),
            // RFC 2782: a target of "." says that the service is decidedly not there.
            (true, true) if said_none => State::Done,
            (true, true) => {
                let transport = self.transport.unwrap_or(Transport::Udp);
                let port = transport.default_port();
                State::Addresses(vec![Server { transport, host: self.host.clone(), port }])
            }
        }
    }

    fn on_addresses(&mut self, mut servers: Vec<Server>, addresses: &[IpAddr]) -> State {
        let Server { transport, port, .. } = servers.remove(0);
        for ip in addresses {
            let target = ResolvedTarget { transport, addr: SocketAddr::new(*ip, port) };
            if self.found.len() < MAX_SERVERS && !self.found.contains(&target) {
                self.found.push(target);
            }
        }
        if servers.is_empty() { State::Done } else { State::Addresses(servers) }
    }
}

fn is_root(name: &str) -> bool {
    name.is_empty() || name == "."
}

/// The name of a service's SRV records (RFC 3263 4.1).
fn srv_name(transport: Transport, host: &str) -> String {
    let service = match transport {
        Transport::Tls => "_sips._tcp",
        Transport::Tcp => "_sip._tcp",
        _ => "_sip._udp",
    };
    format!("{service}.{host}")
}

/// The transport of a NAPTR service that we speak.
fn transport_of(service: &str) -> Option<Transport> {
    match service.to_ascii_uppercase().as_str() {
        "SIP+D2U" => Some(Transport::Udp),
        "SIP+D2T" => Some(Transport::Tcp),
        "SIPS+D2T" => Some(Transport::Tls),
        _ => None,
    }
}

/// Puts SRV records in order: by priority, and by a draw with their weights within one (RFC 2782).
fn in_order(mut records: Vec<Srv>, rng: &mut StdRng) -> Vec<Srv> {
    // Those of weight 0 come first, so that they have their small chance.
    records.sort_by_key(|record| (record.priority, record.weight != 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let alike = records.iter().take_while(|record| record.priority == first.priority).count();
        let sum: u32 = records.iter().take(alike).map(|record| u32::from(record.weight)).sum();
        let drawn = rng.random_range(0..=sum);
        let mut running = 0;
        let at = records.iter().take(alike).position(|record| {
            running += u32::from(record.weight);
            running >= drawn
        });
        ordered.push(records.remove(at.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests;
