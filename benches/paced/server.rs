//! The servers, each in a process of its own.

use std::io::stdin;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;

use crosspoint::id::{LegId, PortPairId, WorkerId};
use crosspoint::io::worker::{MediaAddress, WorkerConfig, WorkerHandle, spawn};
use crosspoint::load::floor::{Floor, FloorConfig};
use crosspoint::plan::*;

use crate::peer::PWD;
use crate::rig::{certificate, plan};

pub const OPUS: AudioCodec = AudioCodec::Opus(OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false });

/// Pins this thread, and those that it starts, to a core.
pub fn pin(core: usize) {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    if rustix::thread::sched_setaffinity(None, &cores).is_err() {
        eprintln!("not pinned: there is no core {core}");
    }
}

fn say(addresses: impl Iterator<Item = SocketAddr>) {
    println!("{}", addresses.map(|a| a.to_string()).collect::<Vec<_>>().join(" "));
}

pub fn floor(calls: usize) {
    let AudioCodec::Opus(opus) = OPUS else { return };
    let first = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut floor = Floor::bind(&FloorConfig { first, calls: calls as u16, opus }).expect("ports");
    let addresses = floor.addresses().expect("bound");
    say(addresses.iter().map(|(browser, _)| *browser));
    say(addresses.iter().map(|(_, trunk)| *trunk));
    println!();
    floor.run(&AtomicBool::new(false)).expect("epoll");
}

pub fn gateway(calls: usize) {
    let mut lines = stdin().lines();
    let mut line = || lines.next().expect("a driver").expect("text");
    let fingerprint: [u8; 32] = crate::unhex(&line()).try_into().expect("SHA-256");
    let trunks: Vec<SocketAddr> = line().split(' ').map(|a| a.parse().expect("an address")).collect();
    let bind = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let config = WorkerConfig {
        capture: None,
        worker: WorkerId(0),
        media: vec![MediaAddress { bind, advertise: bind }],
        browser_port: 0,
        rtp_ports: 20_000..=20_000 + 4 * calls as u16 + 64,
        reserve: 32,
        reorder_hold: std::time::Duration::ZERO,
        nice: 0,
        drain: std::time::Duration::from_secs(1),
        queue: 1024,
        sounds: [].into(),
        seed: 1,
    };
    let (woken, wakes) = channel();
    let worker = spawn(config, certificate(), move || {
        let _ = woken.send(());
    })
    .expect("a worker");
    let mut pairs = Vec::new();
    while pairs.len() < calls {
        let fresh = take_pairs(&worker);
        if fresh.is_empty() {
            let _ = wakes.recv();
        }
        for (pair, address) in fresh {
            if pairs.len() < calls {
                open(&worker, pairs.len(), pair, trunks[pairs.len()], fingerprint);
            }
            pairs.push((pair, address));
        }
    }
    let browser = worker.site().candidates[0];
    say((0..calls).map(|_| browser));
    say(pairs.iter().take(calls).map(|(_, address)| *address));
    println!("{}", crate::hex(&certificate().fingerprint().0));
    // Reports are taken as signalling would, until the driver has gone.
    while wakes.recv().is_ok() {
        worker.take_reports(&mut Vec::new());
    }
}

fn take_pairs(worker: &WorkerHandle) -> Vec<(PortPairId, SocketAddr)> {
    let mut reports = Vec::new();
    worker.take_reports(&mut reports);
    let pairs = reports.into_iter().filter_map(|r| if let Report::PairsReady(pairs) = r { Some(pairs) } else { None });
    pairs.flatten().collect()
}

fn open(worker: &WorkerHandle, k: usize, pair: PortPairId, trunk: SocketAddr, fingerprint: [u8; 32]) {
    let (a, b) = (LegId(2 * k as u64 + 1), LegId(2 * k as u64 + 2));
    let credentials = |ufrag: String| IceCredentials { ufrag, pwd: PWD.into() };
    let remote = BrowserRemote {
        ice: credentials(format!("page{k}")),
        fingerprint: Fingerprint(fingerprint),
        role: DtlsRole::Server,
        audio: plan(OPUS),
    };
    let browser = BrowserPlan {
        ice: credentials(format!("gate{k}")),
        ssrc: a.0 as u32,
        cname: "4f3c2b1a00c0ffee".into(),
        remote: Some(remote),
    };
    let rtcp = SocketAddr::new(trunk.ip(), 9);
    let rtp = RtpRemote { rtp: trunk, rtcp, audio: plan(AudioCodec::Pcmu) };
    let rtp = RtpPlan { pair, ssrc: b.0 as u32, latch: Latch::Off, dejitter: Default::default(), remote: Some(rtp) };
    for order in [
        Order::OpenBrowser(a, Box::new(browser)),
        Order::OpenRtp(b, Box::new(rtp)),
        Order::Connect(Topology::Pair(a, b)),
    ] {
        let mut order = Some(order);
        while let Some(refused) = order.take().and_then(|o| worker.send(o).err()) {
            order = Some(refused);
            std::thread::yield_now();
        }
    }
}
