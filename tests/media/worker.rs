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
        capture: None,
        worker: WorkerId(0),
        media: vec![MediaAddress { bind, advertise: bind }],
        browser_port: 0,
        rtp_ports: 30_000..=30_000 + 2 * pairs - 1,
        reserve: 2,
        reorder_hold: std::time::Duration::ZERO,
        nice: 0,
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
        let rtp = RtpPlan {
            pair: pairs[k].0,
            ssrc: 9,
            latch: Latch::Off,
            dejitter: Default::default(),
            remote: Some(remote),
        };
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
    let plan =
        RtpPlan { pair: PortPairId(u64::MAX), ssrc: 1, latch: Latch::Off, dejitter: Default::default(), remote: None };
    worker.send(Order::OpenRtp(A, Box::new(plan))).expect("room");
    let reports = reports(&worker, &wakes, |r| r.iter().any(|r| matches!(r, Report::Closed(..))));
    assert!(reports.contains(&Report::Closed(A, LegStats::default())));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "three speakers that talk in step, on a thread of their own")]
fn three_on_sockets_of_their_own_hear_each_other_and_not_themselves() {
    let (worker, wakes) = start(3, 3);
    let pairs = ready(&reports(&worker, &wakes, |r| ready(r).len() >= 2));
    let more = |have: Vec<(PortPairId, std::net::SocketAddr)>| match have.len() {
        0..3 => [have.clone(), ready(&reports(&worker, &wakes, |r| ready(r).len() + have.len() >= 3))].concat(),
        _ => have,
    };
    let legs = [A, B, C];
    let peers = legs.map(|_| UdpSocket::bind("127.0.78.3:0").expect("a port"));
    let open = |k: usize, pair: PortPairId| {
        let rtp = peers[k].local_addr().expect("bound");
        let remote = Some(RtpRemote { rtp, rtcp: rtp, audio: plan(AudioCodec::Pcmu) });
        let plan = RtpPlan { pair, ssrc: 9, latch: Latch::Off, dejitter: Default::default(), remote };
        worker.send(Order::OpenRtp(legs[k], Box::new(plan))).expect("room");
    };
    // The reserve is of two; it is filled up when they are used.
    (0..2).for_each(|k| open(k, pairs[k].0));
    let pairs = more(pairs);
    open(2, pairs[2].0);
    worker.send(Order::Connect(Topology::Mix(legs.to_vec()))).expect("room");
    let hz = [400.0, 1000.0, 1600.0];
    let mut speakers = [0, 1, 2].map(|k| Speaker::new(legs[k], plan(AudioCodec::Pcmu), hz[k]));
    let mut heard = [(); 3].map(|()| Vec::new());
    peers.iter().for_each(|peer| peer.set_nonblocking(true).expect("a socket"));
    let until = Instant::now() + WAIT;
    let mut next = Instant::now();
    while heard.iter().any(|heard| heard.len() < 75) && Instant::now() < until {
        for (k, speaker) in speakers.iter_mut().enumerate() {
            let (header, payload) = speaker.next(20);
            let mut bytes = vec![0; HEADER_LEN];
            write_header(&mut bytes, &header);
            bytes.extend(payload);
            peers[k].send_to(&bytes, pairs[k].1).expect("sent");
            let mut buffer = [0; 2048];
            while let Ok((len, from)) = peers[k].recv_from(&mut buffer) {
                assert_eq!(from, pairs[k].1);
                let view = RtpView::parse(&buffer[..len]).expect("RTP");
                heard[k].push(Heard { header: view.header(), payload: view.payload().to_vec() });
            }
        }
        next += Duration::from_millis(20);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    for (own, heard) in heard.iter().enumerate() {
        let pcm = &decode(AudioCodec::Pcmu, heard)[1600..];
        for (k, hz) in hz.into_iter().enumerate() {
            let level = level(pcm, hz);
            // The machine that this runs on may be late; nobody ever hears himself.
            assert!(if k == own { level < PEAK / 10.0 } else { level > PEAK / 3.0 }, "{own} hears {hz} Hz: {level}");
        }
    }
}

#[test]
fn a_worker_tells_its_load_once_a_second_and_an_outbox_that_nobody_reads_keeps_the_last_word() {
    let (worker, wakes) = start(9, 2);
    let loads = |reports: &[Report]| {
        let load = |report: &Report| if let Report::Load { permille } = report { Some(*permille) } else { None };
        reports.iter().filter_map(load).collect::<Vec<u16>>()
    };
    let first = loads(&reports(&worker, &wakes, |all| !loads(all).is_empty()));
    assert!(first[0] < 500, "an idle worker: {first:?}");
    while wakes.try_recv().is_ok() {}
    // Two more come, and nobody takes them.
    for _ in 0..2 {
        wakes.recv_timeout(WAIT).expect("a report each second");
    }
    let mut waiting = Vec::new();
    worker.take_reports(&mut waiting);
    assert_eq!(loads(&waiting).len(), 1);
}
