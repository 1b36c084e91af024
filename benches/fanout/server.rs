//! Our server in a process of its own, and what it publishes when it is told to.

use std::io::{BufRead, stdin};
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use crosspoint::bayeux::channel::Channel;
use crosspoint::desk::{AgentConfig, DeskConfig, PasswordHash, StatusName, UserName};
use crosspoint::http::{self, WebSocketLimits};
use crosspoint::id::RunId;
use crosspoint::io::accept::Limits;
use crosspoint::io::desk::{self, Config, Handle, Links};

use crate::rig::{self, Web};

/// Of every agent.
pub const PASSWORD: &str = "secret";
/// What an event has beside its time: as much as one of a call.
const FILLING: usize = 500;

/// Pins this thread, and those that it starts, to a core.
pub fn pin(core: usize) {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    if rustix::thread::sched_setaffinity(None, &cores).is_err() {
        eprintln!("not pinned: there is no core {core}");
    }
}

/// Nanoseconds by the clock that all processes share.
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Writes an event of this moment.
fn event(filling: usize) -> bytes::Bytes {
    format!(r#"{{"sent_ns":{},"filling":"{}"}}"#, now_ns(), "x".repeat(filling)).into()
}

/// At the least cost: a thousand logins shall not take the time of the measurement.
fn password() -> PasswordHash {
    let params = Params::new(Params::MIN_M_COST, 1, 1, None).expect("good parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = SaltString::encode_b64(&[7; 16]).expect("a salt");
    let hash = argon2.hash_password(PASSWORD.as_bytes(), &salt).expect("a hash");
    PasswordHash::parse(&hash.to_string()).expect("a good hash")
}

fn agents(count: usize) -> Vec<AgentConfig> {
    let password = password();
    let agent = |k: usize| AgentConfig {
        user: format!("agent{k}").as_str().into(),
        password: password.clone(),
        name: format!("Agent {k}"),
        dns: vec![(10_000 + k).to_string()],
        skills: Vec::new(),
    };
    (0..count).map(agent).collect()
}

/// Serves until its standard input ends.
pub fn serve(count: usize) {
    crosspoint::io::raise_descriptor_limit();
    // As the program's own: a thread per core that it may use.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (web, handle) = runtime.block_on(async {
        let desk = DeskConfig {
            run: RunId(7),
            agents: agents(count),
            after_call_work: Duration::ZERO,
            base_uri: "http://localhost".to_owned(),
            user_data_fields: Vec::new(),
            user_data_out: None,
            status: StatusName::default(),
        };
        let (handle, _) = desk::spawn(Config::new(desk), Links::default());
        let limits = Limits { connections: 20_000, ..Limits::default() };
        // Clients that only hold their sessions answer no ping.
        let websocket = WebSocketLimits { ping_interval: Duration::from_secs(600), ..WebSocketLimits::default() };
        let rules = http::Config { websocket, ..rig::rules() };
        (Web::with_desk(rules, limits, Some(handle.clone())).await, handle)
    });
    println!("{}", web.address.port());
    for line in stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<usize>().expect("a number");
        runtime.block_on(async {
            match words[0] {
                "agents" => to_each(&handle, number(1), number(2)).await,
                "channel" => to_all(&handle, number(1), Duration::from_millis(number(2) as u64)).await,
                "fill" => fill(&handle, number(1), number(2), number(3)).await,
                other => panic!("{other}"),
            }
            let figures = handle.figures().await.expect("alive");
            println!(
                "{} sockets, {} sessions, {} not read",
                figures.sockets, figures.sessions, figures.counts.queue_full
            );
        });
    }
}

fn calls() -> Channel {
    Channel::parse("/v2/me/calls").expect("a channel")
}

fn user(k: usize) -> UserName {
    format!("agent{k}").as_str().into()
}

/// One event a second to each agent, evenly.
async fn to_each(handle: &Handle, count: usize, seconds: usize) {
    let users: Vec<UserName> = (0..count).map(user).collect();
    let (channel, begun) = (calls(), tokio::time::Instant::now());
    for k in 0..count * seconds {
        let due = begun + Duration::from_secs_f64(k as f64 / count as f64);
        if due > tokio::time::Instant::now() {
            tokio::time::sleep_until(due).await;
        }
        handle.publish(Some(&users[k % count]), channel.clone(), event(FILLING)).await.expect("alive");
    }
}

async fn to_all(handle: &Handle, count: usize, interval: Duration) {
    let channel = Channel::parse("/fan/out").expect("a channel");
    let mut ticks = tokio::time::interval(interval);
    for _ in 0..count {
        ticks.tick().await;
        handle.publish(None, channel.clone(), event(FILLING)).await.expect("alive");
    }
}

/// Sends so many bytes to each of some agents.
async fn fill(handle: &Handle, first: usize, count: usize, bytes: usize) {
    const PIECE: usize = 16 << 10;
    for _ in 0..bytes / PIECE {
        for k in first..first + count {
            handle.publish(Some(&user(k)), calls(), event(PIECE)).await.expect("alive");
        }
        // As much as those can take that would read.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
