use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crosspoint::io::sink;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::outbox::{Heard, Server, cometd, config, delivered, free_port, id, ids, published, without_repetitions};

const GRACE: Duration = Duration::from_secs(1);

fn wanted(count: u64) -> Vec<String> {
    (0..count).map(|n| id(1, n)).collect()
}

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_order_on_the_channel_of_their_kind_and_dn() {
    let (folder, heard, port) = (tempfile::tempdir().unwrap(), Heard::default(), free_port());
    let server = Server::start(port, Duration::ZERO, &heard);
    let kind = cometd(local(port), "/crosspoint/{kind}/{dn}/{owner}");
    let (outbox, sinks) = sink::spawn(&config(folder.path(), kind)).unwrap();
    (0..500).for_each(|n| assert!(outbox.append(&published(n))));
    delivered(&sinks.tally(), 500).await;
    sinks.finish(GRACE).await;
    server.kill();
    assert_eq!(ids(&heard), wanted(500));
    let heard = heard.lock().unwrap();
    assert!(heard.iter().all(|(channel, _)| channel == "/crosspoint/calls/5001/anna"));
    let (_, first) = &heard[0];
    assert_eq!((&first["owner"], &first["at"]), (&"anna".into(), &1000.into()));
    assert_eq!(first["data"]["call"]["state"], "Held");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_mid_stream_has_every_event_in_order_when_it_is_back() {
    let (folder, heard, port) = (tempfile::tempdir().unwrap(), Heard::default(), free_port());
    let mut server = Server::start(port, Duration::from_millis(2), &heard);
    let (outbox, sinks) = sink::spawn(&config(folder.path(), cometd(local(port), "/crosspoint/{kind}"))).unwrap();
    let mut next = 0;
    for round in 0..3 {
        for _ in 0..400 {
            assert!(outbox.append(&published(next)));
            next += 1;
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        if round < 2 {
            (0..25).for_each(|n| assert!(outbox.append(&published(next + n))));
            next += 25;
            server.kill();
            let heard_so_far: std::collections::HashSet<String> = ids(&heard).into_iter().collect();
            assert!(heard_so_far.len() < next as usize, "it was killed with events on their way");
            // It is not there for a while, and what happens meanwhile waits.
            (0..25).for_each(|n| assert!(outbox.append(&published(next + n))));
            next += 25;
            tokio::time::sleep(Duration::from_millis(300)).await;
            server = Server::start(port, Duration::from_millis(2), &heard);
        }
    }
    delivered(&sinks.tally(), next).await;
    let figures = sinks.tally().figures().remove(0);
    assert!(figures.failures > 0 && figures.lost == 0 && figures.refused == 0, "{figures:?}");
    sinks.finish(GRACE).await;
    server.kill();
    let (first, repetitions) = without_repetitions(&ids(&heard));
    assert_eq!(first, wanted(next));
    // No more than what was on its way at each of the two kills.
    assert!(repetitions <= 2 * 50, "{repetitions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_server_gets_all_in_order_and_keeps_nobody() {
    let (folder, heard, port) = (tempfile::tempdir().unwrap(), Heard::default(), free_port());
    let server = Server::start(port, Duration::from_millis(20), &heard);
    let (outbox, sinks) = sink::spawn(&config(folder.path(), cometd(local(port), "/crosspoint/{kind}"))).unwrap();
    let begun = std::time::Instant::now();
    (0..200).for_each(|n| assert!(outbox.append(&published(n))));
    assert!(begun.elapsed() < Duration::from_secs(2), "handing over waits for nobody");
    delivered(&sinks.tally(), 200).await;
    sinks.finish(GRACE).await;
    server.kill();
    assert_eq!(ids(&heard), wanted(200));
}

/// A network between the sink and the server, which can be cut.
struct Network {
    at: SocketAddr,
    cut: watch::Sender<bool>,
    refuses: Arc<AtomicBool>,
}

impl Network {
    async fn to(port: u16) -> Network {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (cut, watching) = watch::channel(false);
        let refuses = Arc::new(AtomicBool::new(false));
        let refusing = refuses.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if refusing.load(Ordering::SeqCst) {
                    continue;
                }
                let mut watching = watching.clone();
                watching.mark_unchanged();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(local(port)).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = watching.changed() => {}
                    }
                });
            }
        });
        Network { at, cut, refuses }
    }

    fn cut(&self) {
        self.refuses.store(true, Ordering::SeqCst);
        self.cut.send_replace(true);
    }

    fn mend(&self) {
        self.refuses.store(false, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_cut_again_and_again_costs_no_event() {
    let (folder, heard, port) = (tempfile::tempdir().unwrap(), Heard::default(), free_port());
    let server = Server::start(port, Duration::from_millis(1), &heard);
    let network = Network::to(port).await;
    let (outbox, sinks) = sink::spawn(&config(folder.path(), cometd(network.at, "/crosspoint/{kind}"))).unwrap();
    for n in 0..1000 {
        assert!(outbox.append(&published(n)));
        tokio::time::sleep(Duration::from_micros(500)).await;
        if n % 200 == 150 {
            network.cut();
        }
        if n % 200 == 199 {
            network.mend();
        }
    }
    delivered(&sinks.tally(), 1000).await;
    assert!(sinks.tally().figures()[0].failures > 0);
    sinks.finish(GRACE).await;
    server.kill();
    assert_eq!(without_repetitions(&ids(&heard)).0, wanted(1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_server_refuses_is_counted_and_the_others_go_on() {
    let (folder, heard, port) = (tempfile::tempdir().unwrap(), Heard::default(), free_port());
    let server = Server::start(port, Duration::ZERO, &heard);
    let (outbox, sinks) = sink::spawn(&config(folder.path(), cometd(local(port), "/{owner}/{kind}"))).unwrap();
    for n in 0..10 {
        let owner = if n == 4 { "refused" } else { "anna" };
        let event = crosspoint::desk::Published { owner: Some(owner.into()), ..published(n) };
        assert!(outbox.append(&event));
    }
    delivered(&sinks.tally(), 10).await;
    let figures = sinks.tally().figures().remove(0);
    assert_eq!((figures.delivered, figures.refused), (9, 1));
    sinks.finish(GRACE).await;
    server.kill();
    assert!(!ids(&heard).contains(&id(1, 4)) && ids(&heard).len() == 9);
}
