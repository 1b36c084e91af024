//! Events to agents' desktops: delay, memory per session, and CPU per message beside `cometd-nodejs-server`.
//!
//! ```text
//! cargo bench --bench fanout -- [agents] [channel] [stuck] [held] [node] [--clients 1000] [--held 2000] [--seconds 3]
//! ```
//!
//! Without a word all are done, one after the other, which takes a minute or two. The server is a process of its own on the first core, the clients are
//! one thread on the second. An event carries the time at which it was handed to the server, by a clock that all processes
//! share. `node` needs `make test-sinks`.

#[path = "../../tests/common/ports.rs"]
mod ports;
#[path = "../../tests/wire/rig.rs"]
#[allow(dead_code)]
mod rig;
#[path = "../../tests/common/site.rs"]
#[allow(dead_code)]
mod site;

mod bayeux;
mod clients;
mod server;

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::bayeux::{Kind, Opening};
use crate::clients::{Clients, Receipts};

/// How long events may take that are late.
const LATE: Duration = Duration::from_secs(10);
/// Subscribers that never read.
const STUCK: usize = 50;
/// What each of those was sent before the measurement, bytes: more than its kernel takes.
const STUCK_BYTES: usize = 6 << 20;

/// What is asked for.
struct Asked {
    what: Vec<String>,
    clients: usize,
    held: usize,
    seconds: u64,
}

/// A server in a process of its own.
struct Server {
    child: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl Server {
    /// Starts ours.
    fn ours(agents: usize) -> Server {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--serve", &agents.to_string()]);
        Server::start(command)
    }

    /// Starts the other; `None`: it is not there.
    fn node() -> Option<Server> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let modules = root.join("tests/sinks/node/node_modules");
        if !modules.is_dir() {
            println!("cometd-nodejs-server: `make test-sinks` fetches it");
            return None;
        }
        let mut command = Command::new("node");
        command.arg(root.join("benches/fanout/node.js")).arg(modules.join("cometd-nodejs-server"));
        Some(Server::start(command))
    }

    fn start(mut command: Command) -> Server {
        // A child runs where its parent does.
        server::pin(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a child");
        server::pin(1);
        let (to, from) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let mut from = BufReader::new(from).lines();
        let port = from.next().expect("a living child").expect("text");
        let address = SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a port")));
        Server { child, to, from, address }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.to, "{line}").expect("a living child");
    }

    fn hear(&mut self) -> String {
        self.from.next().expect("a living child").expect("text")
    }

    /// Nanoseconds that all its threads were on the CPU, and those that they waited for it.
    fn cpu_ns(&self) -> (u64, u64) {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("Linux");
        let of = |task: std::fs::DirEntry| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let mut fields = text.split(' ').map(|ns| ns.parse::<u64>().unwrap_or(0));
            (fields.next().unwrap_or(0), fields.next().unwrap_or(0))
        };
        tasks.filter_map(Result::ok).map(of).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    fn rss_kib(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("Linux");
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "--serve") {
        return server::serve(words[1].parse().expect("a number"));
    }
    let asked = asked(&words);
    crosspoint::io::raise_descriptor_limit();
    for what in &asked.what {
        match what.as_str() {
            "agents" => [Kind::Socket, Kind::Polling].into_iter().for_each(|kind| agents(&asked, kind, 0)),
            "stuck" => [0, STUCK, 0, STUCK].into_iter().for_each(|stuck| agents(&asked, Kind::Socket, stuck)),
            "channel" => [Kind::Socket, Kind::Polling].into_iter().for_each(|kind| channel(&asked, kind)),
            "held" => [Kind::Polling, Kind::Socket].into_iter().for_each(|kind| held(&asked, kind)),
            "node" => beside_node(&asked),
            other => println!("{other}: agents, channel, stuck, held or node"),
        }
    }
}

fn asked(words: &[String]) -> Asked {
    let after = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    let number = |name: &str, default: u64| after(name).map_or(default, |n| n.parse().expect("a number"));
    let mut what: Vec<String> = words.iter().filter(|word| word.starts_with(char::is_alphabetic)).cloned().collect();
    // `cargo test --all-targets` runs this too, and does not say `--bench`: then there is nothing to measure.
    if what.is_empty() && words.iter().any(|word| word == "--bench") {
        what = ["agents", "channel", "stuck", "held", "node"].map(String::from).to_vec();
    }
    Asked {
        what,
        clients: number("--clients", 1000) as usize,
        held: number("--held", 2000) as usize,
        seconds: number("--seconds", 3),
    }
}

/// Each agent has one session, and one event a second.
fn agents(asked: &Asked, kind: Kind, stuck: usize) {
    let mut server = Server::ours(asked.clients + stuck);
    let at = server.address;
    let open = |k| bayeux::open(at, &Opening { kind, agent: Some(k), channel: "/v2/me/calls" });
    let mut clients = Clients::new((0..asked.clients).map(open).collect());
    let _unread: Vec<_> = (0..stuck).map(|k| open(asked.clients + k)).collect();
    if stuck > 0 {
        server.tell(&format!("fill {} {stuck} {STUCK_BYTES}", asked.clients));
        server.hear();
    }
    server.tell(&format!("agents {} {}", asked.clients + stuck, asked.seconds));
    let begun = server.cpu_ns();
    let events = asked.clients as u64 * asked.seconds;
    let heard = clients.listen(events as usize, Duration::from_secs(asked.seconds) + LATE);
    let cpu = server.cpu_ns();
    let told = server.hear();
    println!(
        "{} agents by {}, one event a second each, {stuck} others never read: {} of {events} heard, {}; server {:.1} % of its core, waited for it {:.1} %; {told}",
        asked.clients,
        kind.name(),
        heard.len(),
        heard.delays(),
        (cpu.0 - begun.0) as f64 / 1e7 / asked.seconds as f64,
        (cpu.1 - begun.1) as f64 / 1e7 / asked.seconds as f64,
    );
}

/// All hear the same: the delay of each, and of the last.
fn channel(asked: &Asked, kind: Kind) {
    let mut server = Server::ours(asked.clients);
    let (heard, cpu) = fan_out(&mut server, asked, kind, 100);
    println!(
        "one channel, {} subscribers by {}: {} heard, {}; the last of each event {}; {:.2} µs of the server's CPU each",
        asked.clients,
        kind.name(),
        heard.len(),
        heard.delays(),
        heard.last_of(asked.clients),
        cpu as f64 / 1e3 / heard.len().max(1) as f64,
    );
}

/// Publishes an event to all clients every `interval_ms`; returns what they heard, and nanoseconds of the server's CPU.
fn fan_out(server: &mut Server, asked: &Asked, kind: Kind, interval_ms: u64) -> (Receipts, u64) {
    let at = server.address;
    let open = |k| bayeux::open(at, &Opening { kind, agent: Some(k), channel: "/fan/out" });
    let mut clients = Clients::new((0..asked.clients).map(open).collect());
    // What is new runs slower at first.
    server.tell("channel 2 500");
    clients.listen(2 * asked.clients, LATE);
    server.hear();
    let begun = server.cpu_ns().0;
    let events = asked.seconds * 1000 / interval_ms;
    server.tell(&format!("channel {events} {interval_ms}"));
    let heard = clients.listen(events as usize * asked.clients, Duration::from_secs(asked.seconds) + LATE);
    let cpu = server.cpu_ns().0 - begun;
    server.hear();
    (heard, cpu)
}

/// Sessions that hear nothing: what each takes of memory.
#[expect(clippy::disallowed_methods, reason = "there is no loop to hold up: the server settles")]
fn held(asked: &Asked, kind: Kind) {
    /// Those that are there before it is counted.
    const FIRST: usize = 100;
    let server = Server::ours(1000);
    let at = server.address;
    let open = |k: usize| bayeux::open(at, &Opening { kind, agent: Some(k % 1000), channel: "/v2/me/calls" });
    let mut clients: Vec<_> = (0..FIRST).map(open).collect();
    let before = server.rss_kib();
    clients.extend((FIRST..asked.held).map(open));
    std::thread::sleep(Duration::from_secs(1));
    let after = server.rss_kib();
    let alive = clients.iter().filter(|client| client.is_held()).count();
    let each = (after - before) as f64 / (asked.held - FIRST) as f64;
    println!("{} sessions by {}, {alive} alive: RSS {after} KiB, {each:.1} KiB each", asked.held, kind.name());
}

/// The same clients and events for both servers, in turn: events that come alone, then more than either can send one by one.
fn beside_node(asked: &Asked) {
    for interval_ms in [500, 10] {
        let mut each = Vec::new();
        for (name, kind) in [("ours", Kind::Polling), ("ours", Kind::Socket), ("node", Kind::Polling)] {
            let Some(mut server) = (if name == "node" { Server::node() } else { Some(Server::ours(asked.clients)) })
            else {
                return;
            };
            let (heard, cpu) = fan_out(&mut server, asked, kind, interval_ms);
            let per_second = heard.len() as f64 / (cpu as f64 / 1e9);
            println!(
                "an event each {interval_ms} ms, {name} by {}: {} of {} messages heard, {per_second:.0} per second of the server's CPU; {}",
                kind.name(),
                heard.len(),
                asked.clients as u64 * asked.seconds * 1000 / interval_ms,
                heard.delays()
            );
            each.push(per_second);
        }
        println!("ratio by long-polling {:.1}, by websocket {:.1}", each[0] / each[2], each[1] / each[2]);
    }
}
