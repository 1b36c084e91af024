//! The load generator against the gateway as a process of its own.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crosspoint::load::engine::drive;
use crosspoint::load::outcome::{CallDirection, CallOutcome, Outcome, Way};
use crosspoint::load::plan::{BrowserProfile, Direction, LoadPlan, Transport};
use crosspoint::load::report::LoadReport;
use tokio::sync::mpsc;

use crate::rig::{DOMAIN, PASSWORD, eventually, text};

/// A gateway that ends with the test.
struct Gateway {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_tcp() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

fn free_udp() -> u16 {
    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

/// Starts a gateway, and makes a plan of six calls for it.
async fn scene(transport: Transport) -> (Gateway, LoadPlan) {
    let (sip, https, http, trunk) = match transport {
        Transport::Udp => (free_udp(), free_tcp(), free_tcp(), free_udp()),
        Transport::Tcp => (free_tcp(), free_tcp(), free_tcp(), free_tcp()),
    };
    let by = if transport == Transport::Tcp { ";transport=tcp" } else { "" };
    let config = text("")
        .replacen("bind = \"127.0.0.1:0\"", &format!("bind = \"127.0.0.1:{https}\""), 1)
        .replacen("bind = \"127.0.0.1:0\"", &format!("bind = \"127.0.0.1:{http}\""), 1)
        .replacen("bind = \"127.0.0.1:0\"", &format!("bind = \"127.0.0.1:{sip}\""), 1)
        .replace("127.0.0.1:5999", &format!("127.0.0.1:{trunk}{by}"))
        .replace("reserve = 2", "reserve = 8")
        // The trunk is not there before the first call: no ping may take it for dead.
        .replace("name = \"genesys\"", "name = \"genesys\"\n        ping_seconds = 0");
    let config = match transport {
        Transport::Udp => config,
        Transport::Tcp => config.replacen("[[sip]]", "[[sip]]\n        transport = \"tcp\"", 1),
    };
    let folder = tempfile::tempdir().expect("folder");
    fs::write(folder.path().join("a.toml"), config).expect("written");
    let log = fs::File::create(folder.path().join("log")).expect("created");
    let child = Command::new(env!("CARGO_BIN_EXE_crosspoint"))
        .current_dir(folder.path())
        .env("CROSSPOINT_STATE", folder.path().join("state"))
        .args(["serve", "--config", "a.toml"])
        .stderr(Stdio::from(log))
        .spawn()
        .expect("started");
    let said = || fs::read_to_string(folder.path().join("log")).expect("log");
    eventually(|| said().matches("pages and SIP over WebSocket").count() == 2).await;
    let mut plan = LoadPlan::default();
    plan.browsers.urls = vec![format!("wss://127.0.0.1:{https}/ws")];
    plan.browsers.insecure = true;
    plan.browsers.domain = Some(DOMAIN.to_owned());
    plan.browsers.secret = PASSWORD.to_owned();
    plan.trunk.bind = ([127, 0, 0, 1], trunk).into();
    plan.trunk.target = ([127, 0, 0, 1], sip).into();
    plan.trunk.transport = transport;
    plan.direction = Direction::Both;
    plan.calls.concurrent = 6;
    plan.calls.ramp_per_s = 20.0;
    plan.calls.hold = Duration::from_secs(4);
    (Gateway { child, _folder: folder }, plan)
}

async fn made(plan: &LoadPlan) -> (Outcome, Vec<crosspoint::load::Second>) {
    let (seconds, mut told) = mpsc::channel(100);
    let run = tokio::time::timeout(Duration::from_secs(60), drive(plan, seconds));
    let outcome = run.await.expect("it ends").expect("it runs");
    let mut all = Vec::new();
    while let Ok(second) = told.try_recv() {
        all.push(second);
    }
    (outcome, all)
}

fn is_heard(call: &CallOutcome, way: &Option<Way>) {
    let way = way.as_ref().expect("a way");
    assert!(way.audio.is_some_and(|audio| audio.is_good), "{call:?}");
    assert_eq!(way.lost, 0, "{call:?}");
    assert!(way.received >= 150 && way.delay.count() >= way.received - 2, "{call:?}");
    assert!(way.sound_us.is_some_and(|us| us.abs() < 1_000), "{call:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_calls_each_way_through_a_gateway_are_heard_at_both_ends_and_lose_nothing() {
    let (_gateway, plan) = scene(Transport::Udp).await;
    let (outcome, seconds) = made(&plan).await;
    assert_eq!(outcome.calls.len(), 6);
    for call in &outcome.calls {
        assert_eq!(call.failure, None, "{call:?}");
        assert!(call.setup_200_us.is_some() && call.first_audio_us.is_some(), "{call:?}");
        is_heard(call, &call.to_trunk);
        is_heard(call, &call.to_browser);
    }
    let out = outcome.calls.iter().filter(|call| call.direction == CallDirection::Out).count();
    assert_eq!(out, 3);
    assert!(outcome.hold_us >= 4_000_000 && !outcome.lateness.is_empty());
    assert!(seconds.iter().any(|second| second.hold && second.up == 6 && second.received > 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_by_tcp_are_made_anew_and_silent_ones_have_no_figures() {
    let (_gateway, mut plan) = scene(Transport::Tcp).await;
    plan.calls.concurrent = 4;
    plan.calls.speaking = Some(2);
    plan.calls.renew_after = Some(Duration::from_millis(1_200));
    plan.browsers.frame_ms = 40;
    let (outcome, _) = made(&plan).await;
    assert!(outcome.calls.len() >= 8, "{}", outcome.calls.len());
    for call in &outcome.calls {
        assert_eq!(call.failure, None, "{call:?}");
        assert_eq!(call.to_trunk.is_some(), call.number < 2, "{call:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_as_the_gateway_tells_it() {
    let (_gateway, mut plan) = scene(Transport::Udp).await;
    plan.browsers.secret = "wrong".to_owned();
    let (seconds, _told) = mpsc::channel(1);
    let error = drive(&plan, seconds).await.expect_err("nobody signs in");
    assert!(error.to_string().contains("REGISTER"), "{error}");
}

/// Runs the command with a gateway of its own, without the floor, and reads its report.
fn commanded(words: &str) -> LoadReport {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("report.json");
    let output = Command::new(env!("CARGO_BIN_EXE_crosspoint"))
        .args(["load", "--self", "--no-floor", "--json"])
        .arg(&file)
        .args(words.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .expect("started");
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{wrong}");
    LoadReport::read(&file).expect("a report")
}

#[test]
fn the_command_makes_full_band_calls_anew_again_and_again_and_each_is_told() {
    let report = commanded("--calls 2 --ramp 10 --full-band --renew 3 --hold 8");
    let figures = &report.runs[0].figures;
    assert_eq!(report.plan.browsers.profile, BrowserProfile::FullBand);
    assert!(figures.begun >= 4, "{}", figures.begun);
    assert_eq!((figures.failed(), figures.audio_bad(), figures.lost()), (0, 0, 0));
    assert!(
        figures.to_trunk.audio_good > 0 && figures.to_browser.audio_good > 0,
        "calls of 3 s are long enough to tell their tones by"
    );
    assert_eq!(figures.to_200.count(), u64::from(figures.begun));
}

#[test]
fn independent_browsers_of_the_command_are_heard_both_ways_and_told_apart() {
    let report = commanded("--calls 3 --ramp 10 --witnesses 2 --hold 6");
    let figures = &report.runs[0].figures;
    let witnesses = &figures.witnesses;
    // One calls and one is called; both directions of each.
    assert_eq!((witnesses.audio_good, witnesses.calls(), witnesses.lost), (4, 4, 0), "{witnesses:?}");
    assert_eq!((figures.to_trunk.calls(), figures.to_browser.calls(), figures.failed()), (1, 1, 0));
    assert!(witnesses.delay.count() > 500 && figures.to_200.count() == 1);
}

#[test]
fn calls_that_come_all_at_once_are_taken_though_ports_are_bound_for_a_third_of_them() {
    let report = commanded("--calls 100 --speaking 0 --ramp 5000 --hold 1");
    let figures = &report.runs[0].figures;
    assert_eq!((figures.begun, figures.failed()), (100, 0), "{:?}", figures.failures);
    assert_eq!((figures.to_200.count(), figures.setup_lateness.count()), (100, 100));
}
