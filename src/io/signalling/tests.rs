//! Signalling with a media thread that does not keep up.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{Receiver, channel};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::worker::{self, MediaAddress, WorkerConfig};
use super::*;
use crate::call::{CallCommand, Tones};
use crate::gateway::{CallPolicy, CapturePolicy, GatewayConfig, MediaPolicy, RegistrationPolicy};
use crate::id::{CallId, LegId};
use crate::plan::{Fingerprint, Source};
use crate::sip::endpoint::SourceLimit;
use crate::webrtc::dtls::{Certificate, DtlsVersions};

fn gateway() -> Gateway {
    let config = GatewayConfig {
        realm: "crosspoint.test".into(),
        user_agent: "crosspoint".into(),
        listeners: Vec::new(),
        trunks: Vec::new(),
        routes: Vec::new(),
        dns: Vec::new(),
        registration: RegistrationPolicy::default(),
        calls: CallPolicy::default(),
        media: MediaPolicy::default(),
        source_limit: SourceLimit::default(),
        tones: Tones::default(),
        hold: Source::Nothing,
        capture: CapturePolicy::default(),
    };
    Gateway::new(config, Vec::new(), Fingerprint([7; 32]), StdRng::seed_from_u64(1), Instant::now())
}

/// A worker with a queue of 8 that comes to a halt with its first report, and goes on when the other end of `gate` is dropped.
fn halting(gate: Receiver<()>) -> WorkerHandle {
    let bind = IpAddr::V4(Ipv4Addr::new(127, 0, 79, 1));
    let config = WorkerConfig {
        worker: WorkerId(0),
        media: vec![MediaAddress { bind, advertise: bind }],
        browser_port: 0,
        rtp_ports: 30_000..=30_003,
        reserve: 1,
        nice: 0,
        reorder_hold: Duration::ZERO,
        drain: Duration::from_millis(50),
        queue: 8,
        sounds: [].into(),
        capture: None,
        seed: 1,
    };
    let certificate = Arc::new(Certificate::generate(DtlsVersions::V12).expect("a certificate"));
    let (halted, has_halted) = channel();
    let wake = move || {
        let _ = halted.send(());
        let _ = gate.recv();
    };
    let worker = worker::spawn(config, certificate, wake).expect("a worker");
    has_halted.recv_timeout(Duration::from_secs(10)).expect("it has a pair of ports to tell of");
    worker
}

async fn eventually(what: &str, met: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !met().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within 10 s: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_worker_does_not_keep_up_commands_are_dropped_and_messages_wait() {
    let (shut, gate) = channel();
    let worker = halting(gate);
    while worker.send(Order::Close(LegId(1))).is_ok() {}
    let tally = Arc::new(Tally::default());
    let parts = Parts {
        gateway: gateway(),
        workers: vec![worker],
        wake: Arc::new(Notify::new()),
        udp: Vec::new(),
        tally: tally.clone(),
        dialling: Dialling::default(),
        locator: None,
        capture: None,
        notices: None,
    };
    let (handle, mut task, inputs) = assemble(&Config::default(), parts).expect("assembled");
    (0..MAX_WAITING_ORDERS).for_each(|_| task.order(WorkerId(0), Order::Close(LegId(1))));
    assert_eq!(tally.get(Count::OrderDelayed), 1, "the others wait behind the first");
    let running = tokio::spawn(task.run(inputs));

    let dropped = || tally.get(Count::CommandDropped);
    for _ in 0..3 {
        handle.command(Command::of(CallId(1), CallCommand::Release)).await.expect("it runs");
    }
    eventually("three commands are dropped", async || dropped() == 3).await;
    let remote = "192.0.2.81:5060".parse().expect("address");
    let opening = handle.open_flow(Transport::Ws, ListenerId(0), remote).await.expect("it runs");
    let figures = handle.figures().await.expect("questions are answered");
    assert_eq!(figures.snapshot.flows, 0, "what a connection says waits");

    drop(shut);
    eventually("the connection is seen", async || handle.figures().await.expect("it runs").snapshot.flows == 1).await;
    handle.command(Command::of(CallId(1), CallCommand::Release)).await.expect("it runs");
    // Questions are answered in turn: the command was taken before this one.
    handle.figures().await.expect("it runs");
    assert_eq!(dropped(), 3);
    drop(opening);
    handle.shutdown(Instant::now() + Duration::from_secs(5)).await.expect("it runs");
    running.await.expect("it ends");
}
