//! Calls at their pace, beside the floor: CPU per call-second, added delay, packets lost, memory per call.
//!
//! ```text
//! cargo bench --bench paced -- --calls 100,175,225 --rounds 5 [--seconds 4] [--full-band] [--only floor|gateway] [--rss]
//! ```
//!
//! The server, the floor or a media worker of the gateway, is a process of its own on the first core; the driver is on the
//! second. Both directions speak, in packets of 20 ms, each call at a phase of its own. The browser ends shake hands, check
//! their paths every 2.5 s as Chromium does, and speak DTLS-SRTP; at the floor they speak plain RTP.

#[allow(dead_code)]
#[path = "../../tests/media/peer.rs"]
mod peer;
#[allow(dead_code)]
#[path = "../../tests/media/rig.rs"]
mod rig;

mod driver;
mod server;
mod voice;

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::driver::{Call, Heard, Kind};

/// What is asked for.
struct Asked {
    calls: Vec<usize>,
    rounds: usize,
    seconds: u64,
    full_band: bool,
    only: Option<Kind>,
    rss: bool,
}

/// A server in a process of its own.
struct Server {
    child: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

impl Server {
    fn start(kind: Kind, calls: usize) -> Server {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["--serve", kind.name(), &calls.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let (to, from) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Server { child, to, from: BufReader::new(from).lines() }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.to, "{line}").expect("a living child");
    }

    fn hear(&mut self) -> String {
        self.from.next().expect("a living child").expect("text")
    }

    /// Nanoseconds that all its threads were on the CPU.
    fn cpu_ns(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("Linux");
        let of = |task: std::fs::DirEntry| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0)
        };
        tasks.filter_map(Result::ok).map(of).sum()
    }

    fn rss_kib(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("Linux");
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends with its standard input.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One measurement.
struct Measured {
    ms_per_call_second: f64,
    heard: Heard,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|w| w == "--serve") {
        server::pin(0);
        let calls = words[2].parse().expect("a number");
        return if words[1] == Kind::Floor.name() { server::floor(calls) } else { server::gateway(calls) };
    }
    let asked = asked(&words);
    server::pin(1);
    if asked.rss {
        return memory(&asked);
    }
    for calls in &asked.calls {
        compare(*calls, &asked);
    }
}

fn asked(words: &[String]) -> Asked {
    let after = |name: &str| words.iter().position(|w| w == name).and_then(|at| words.get(at + 1));
    let number = |name: &str, default: u64| after(name).map_or(default, |n| n.parse().expect("a number"));
    let has = |name: &str| words.iter().any(|w| w == name);
    Asked {
        calls: after("--calls")
            .map_or(vec![100], |list| list.split(',').map(|n| n.parse().expect("a number")).collect()),
        rounds: number("--rounds", 3) as usize,
        seconds: number("--seconds", 4),
        full_band: has("--full-band"),
        only: after("--only").map(|name| if name == "floor" { Kind::Floor } else { Kind::Gateway }),
        rss: has("--rss"),
    }
}

/// Measures both in turn, and says the medians and their ratio.
fn compare(calls: usize, asked: &Asked) {
    let voice = voice::packets(asked.full_band);
    let kinds: Vec<Kind> =
        [Kind::Floor, Kind::Gateway].into_iter().filter(|k| asked.only.is_none_or(|o| o == *k)).collect();
    let mut servers: Vec<_> = kinds.iter().map(|kind| (*kind, serve(*kind, calls, &voice), Vec::new())).collect();
    for _ in 0..asked.rounds {
        for (kind, (server, ends), all) in &mut servers {
            driver::drive(ends, Duration::from_millis(700), &voice, calls);
            let begun = server.cpu_ns();
            let heard = driver::drive(ends, Duration::from_secs(asked.seconds), &voice, calls);
            let ms = (server.cpu_ns() - begun) as f64 / 1e6 / heard.seconds / calls as f64;
            println!("  {:8} {calls} calls  {ms:6.3} ms/call-s  {}", kind.name(), heard.line());
            all.push(Measured { ms_per_call_second: ms, heard });
        }
    }
    let medians: Vec<_> = servers.iter().map(|(kind, _, all)| (*kind, medians(all))).collect();
    for (kind, [ms, p50, p99, lost]) in &medians {
        println!(
            "{:8} {calls} calls: median {ms:.3} ms/call-s, delay p50 {p50:.3} p99 {p99:.3} ms, lost {lost}",
            kind.name()
        );
    }
    if let [(_, floor), (_, gateway)] = medians.as_slice() {
        println!("ratio {:.3}", gateway[0] / floor[0]);
    }
}

fn medians(all: &[Measured]) -> [f64; 4] {
    let median = |of: &dyn Fn(&Measured) -> f64| {
        let mut values: Vec<f64> = all.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    [
        median(&|m| m.ms_per_call_second),
        median(&|m| m.heard.percentile_ms(0.5)),
        median(&|m| m.heard.percentile_ms(0.99)),
        median(&|m| m.heard.lost as f64),
    ]
}

/// Starts a server and sets its calls up.
fn serve(kind: Kind, calls: usize, voice: &voice::Voice) -> (Server, Vec<Call>) {
    let mut server = Server::start(kind, calls);
    let trunks = driver::trunk_sockets(calls);
    if kind == Kind::Gateway {
        server.tell(&hex(&rig::certificate().fingerprint().0));
        let addresses: Vec<String> = trunks.iter().map(|t| t.local_addr().expect("bound").to_string()).collect();
        server.tell(&addresses.join(" "));
    }
    let browser: Vec<SocketAddr> = server.hear().split(' ').map(|a| a.parse().expect("an address")).collect();
    let trunk: Vec<SocketAddr> = server.hear().split(' ').map(|a| a.parse().expect("an address")).collect();
    let fingerprint = server.hear();
    let ends = driver::connect(kind, trunks, &browser, &trunk, &unhex(&fingerprint), voice);
    (server, ends)
}

/// What 500 calls, of which 20 speak, take.
fn memory(asked: &Asked) {
    let voice = voice::packets(asked.full_band);
    for kind in [Kind::Gateway, Kind::Floor].into_iter().filter(|k| asked.only.is_none_or(|o| o == *k)) {
        let (one, mut first) = serve(kind, 1, &voice);
        driver::drive(&mut first, Duration::from_secs(1), &voice, 1);
        let empty = one.rss_kib();
        let calls = asked.calls.first().copied().unwrap_or(100);
        let (server, mut ends) = serve(kind, calls, &voice);
        let quiet = server.rss_kib();
        driver::drive(&mut ends, Duration::from_secs(2), &voice, 20.min(calls));
        let speaking = server.rss_kib();
        let per = |kib: u64| (kib.saturating_sub(empty)) as f64 / (calls - 1).max(1) as f64;
        println!(
            "{:8} RSS {empty} KiB with 1 call; {calls} set up: {quiet} KiB, {:.1} KiB per call; 20 speaking: {speaking} KiB, {:.1} KiB per call",
            kind.name(),
            per(quiet),
            per(speaking)
        );
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).filter_map(|c| u8::from_str_radix(std::str::from_utf8(c).ok()?, 16).ok()).collect()
}
