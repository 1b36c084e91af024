//! A worker thread on real sockets.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crosspoint::id::{PortPairId, WorkerId};
use crosspoint::io::worker::{MediaAddress, WorkerConfig, WorkerHandle, spawn};
use crosspoint::plan::*;
use crosspoint::rtp::{HEADER_LEN, RtpView, write_header};

use crate::rig::*;

const WAIT: Duration = Duration::from_secs(5);

fn start(last: u8, pairs: u16) -> (WorkerHandle, Receiver<()>) {
    let bind = IpAddr::V4(Ipv4Addr::new(127, 0, 78, last));
    let config = WorkerConfig {
        worker: WorkerId(0),
        media: vec![MediaAddress { bind, advertise: bind }],
        browser_port: 0,
        rtp_ports: 30_000..=30_000 + 2 * pairs - 1,
        reserve: 2,
        drain: Duration::from_millis(50),
        queue: 64,
        sounds: [].into(),
        seed: 1,
    };
    let (woken, wakes) = channel();
    let worker = spawn(config, certificate(), move || {
        let _ = woken.send(());
    })
    .expect("a worker");
    (worker, wakes)
}

/// Waits for reports until `enough` of them are there.
fn reports(worker: &WorkerHandle, wakes: &Receiver<()>, enough: impl Fn(&[Report]) -> bool) -> Vec<Report> {
    let mut reports = Vec::new();
    let until = Instant::now() + WAIT;
    loop {
        worker.take_reports(&mut reports);
        if enough(&reports) {
            return reports;
        }
        let left = until.checked_duration_since(Instant::now()).unwrap_or_else(|| panic!("only {reports:?}"));
        let _ = wakes.recv_timeout(left);
    }
}

fn ready(reports: &[Report]) -> Vec<(PortPairId, std::net::SocketAddr)> {
    let pairs =
        reports.iter().filter_map(|r| if let Report::PairsReady(pairs) = r { Some(pairs.clone()) } else { None });
    pairs.flatten().collect()
}

#[test]
fn media_crosses_between_sockets_and_the_pairs_come_back() {
    let (worker, wakes) = start(1, 2);
    assert_eq!(worker.site().candidates.len(), 1);
    assert_ne!(worker.site().candidates[0].port(), 0);
    let pairs = ready(&reports(&worker, &wakes, |r| ready(r).len() == 2));
    let peers = [A, B].map(|_| UdpSocket::bind("127.0.78.1:0").expect("a port"));
    let codecs = [AudioCodec::Pcmu, AudioCodec::Pcma];
    for (k, leg) in [A, B].into_iter().enumerate() {
        let rtp = peers[k].local_addr().expect("bound");
        let remote = RtpRemote { rtp, rtcp: rtp, audio: plan(codecs[k]) };
        let rtp = RtpPlan { pair: pairs[k].0, ssrc: 9, latch: Latch::Off, remote: Some(remote) };
        worker.send(Order::OpenRtp(leg, Box::new(rtp))).expect("room");
    }
    worker.send(Order::Connect(Topology::Pair(A, B))).expect("room");
    peers[1].set_read_timeout(Some(Duration::from_millis(20))).expect("a socket");
    let mut speaker = Speaker::new(A, plan(codecs[0]), 1000.0);
    let mut heard = Vec::new();
    let until = Instant::now() + WAIT;
    while heard.len() < 50 && Instant::now() < until {
        let (header, payload) = speaker.next(20);
        let mut bytes = vec![0; HEADER_LEN];
        write_header(&mut bytes, &header);
        bytes.extend(payload);
        peers[0].send_to(&bytes, pairs[0].1).expect("sent");
        let mut buffer = [0; 2048];
        if let Ok((len, from)) = peers[1].recv_from(&mut buffer) {
            assert_eq!(from, pairs[1].1);
            let view = RtpView::parse(&buffer[..len]).expect("RTP");
            heard.push(Heard { header: view.header(), payload: view.payload().to_vec() });
        }
    }
    assert_sine(&decode(codecs[1], &heard), 1000.0);
    for leg in [A, B] {
        worker.send(Order::Close(leg)).expect("room");
    }
    let last = reports(&worker, &wakes, |r| {
        ready(r).len() == 2 && r.iter().filter(|r| matches!(r, Report::Closed(..))).count() == 2
    });
    let again = ready(&last);
    assert!(again.iter().all(|(id, address)| {
        pairs.iter().any(|(_, a)| a == address) && pairs.iter().all(|(before, _)| before != id)
    }));
    worker.stop();
}

#[test]
fn a_leg_without_a_pair_of_the_reserve_is_closed_at_once() {
    let (worker, wakes) = start(2, 2);
    let plan = RtpPlan { pair: PortPairId(u64::MAX), ssrc: 1, latch: Latch::Off, remote: None };
    worker.send(Order::OpenRtp(A, Box::new(plan))).expect("room");
    let reports = reports(&worker, &wakes, |r| r.iter().any(|r| matches!(r, Report::Closed(..))));
    assert!(reports.contains(&Report::Closed(A, LegStats::default())));
}
