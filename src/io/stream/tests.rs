//! A stream between two ends of a pipe, with short limits.

use std::sync::Arc;

use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use bytes::Bytes;

use super::super::flow::{FromFlow, Opening, Writer};
use super::super::tally::Tally;
use super::*;
use crate::id::FlowId;

const OPTIONS: &str = "OPTIONS sip:a SIP/2.0\r\nContent-Length: 2\r\n\r\nhi";

fn limits() -> StreamLimits {
    let ms = Duration::from_millis;
    StreamLimits { first: ms(60), message: ms(60), write: ms(60), keep_alive: ms(20), pong: ms(60) }
}

struct Scene {
    peer: DuplexStream,
    writer: Writer,
    inbound: mpsc::Receiver<FromFlow>,
    tally: Arc<Tally>,
    _alive: mpsc::Receiver<()>,
    task: JoinHandle<()>,
}

/// A connection whose pipe holds so many bytes; `is_ours`: we opened it.
fn scene(bytes: usize, is_ours: bool) -> Scene {
    let (ours, peer) = duplex(bytes);
    let (to_signalling, inbound) = mpsc::channel(16);
    let (alive, _alive) = mpsc::channel(1);
    let tally = Arc::new(Tally::default());
    let remote = "192.0.2.81:5060".parse().expect("address");
    let opening = Opening { id: FlowId(1), remote, transport: Transport::Tcp, listener: ListenerId(0), queue: 64 };
    let (writer, flow, outgoing) = Flow::pair(opening, to_signalling, alive, tally.clone());
    let task = tokio::spawn(async move {
        if is_ours {
            return serve_ours(ours, flow, outgoing, limits()).await;
        }
        let whole_by = Some(Instant::now() + limits().first);
        let stream = Stream { stream: ours, flow, limits: limits(), framer: Framer::new(), whole_by, ping: None };
        stream.run(outgoing).await;
    });
    Scene { peer, writer, inbound, tally, _alive, task }
}

impl Scene {
    async fn delivered(&mut self) -> Bytes {
        match self.inbound.recv().await {
            Some(FromFlow::Message { bytes, .. }) => bytes,
            other => panic!("no message: {other:?}"),
        }
    }

    async fn ended(self) -> Arc<Tally> {
        tokio::time::timeout(Duration::from_secs(10), self.task).await.expect("closed").expect("no panic");
        self.tally
    }

    async fn ping(&mut self) {
        let mut ping = [0; 4];
        self.peer.read_exact(&mut ping).await.expect("a keep-alive");
        assert_eq!(&ping, PING);
    }
}

#[tokio::test]
async fn messages_go_both_ways_and_a_ping_is_answered() {
    let mut scene = scene(4096, false);
    scene.peer.write_all(format!("\r\n\r\n{OPTIONS}{OPTIONS}").as_bytes()).await.expect("written");
    assert_eq!(scene.delivered().await, OPTIONS);
    assert_eq!(scene.delivered().await, OPTIONS);
    scene.writer.send(Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n")).expect("queued");
    let mut answer = [0; 20];
    scene.peer.read_exact(&mut answer).await.expect("read");
    assert_eq!(&answer, b"\r\nSIP/2.0 200 OK\r\n\r\n");
    // Said once, it may be silent as long as it likes.
    tokio::time::sleep(limits().first * 2).await;
    assert!(!scene.task.is_finished());
}

#[tokio::test]
async fn a_peer_that_answers_keep_alives_and_then_stops_loses_its_connection() {
    let mut scene = scene(4096, true);
    scene.ping().await;
    scene.peer.write_all(PONG).await.expect("written");
    let Scene { peer, writer, inbound, tally, _alive, task } = scene;
    let kept = Scene { peer, writer, inbound, tally, _alive, task };
    assert_eq!(kept.ended().await.get(Count::NoPong), 1);
}

#[tokio::test]
async fn a_peer_that_knows_no_keep_alives_keeps_its_connection() {
    let mut scene = scene(4096, true);
    for _ in 0..6 {
        scene.ping().await;
    }
    scene.peer.write_all(OPTIONS.as_bytes()).await.expect("written");
    assert_eq!(scene.delivered().await, OPTIONS);
    assert_eq!(scene.tally.get(Count::NoPong), 0);
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_half_a_message_is_not_waited_for() {
    for said in ["", "OPT", "\r\n\r\nOPTIONS sip:a SIP/2.0\r\n", &OPTIONS[..OPTIONS.len() - 1]] {
        let mut scene = scene(4096, false);
        scene.peer.write_all(said.as_bytes()).await.expect("written");
        // A byte now and then buys no time.
        assert_eq!(scene.ended().await.get(Count::SlowWriter), 1, "{said:?}");
    }
}

#[tokio::test]
async fn a_message_behind_a_whole_one_has_its_own_time() {
    let mut scene = scene(4096, false);
    scene.peer.write_all(format!("{OPTIONS}OPTIONS").as_bytes()).await.expect("written");
    assert_eq!(scene.delivered().await, OPTIONS);
    assert_eq!(scene.ended().await.get(Count::SlowWriter), 1);
}

#[tokio::test]
async fn a_peer_that_reads_nothing_loses_its_connection() {
    let scene = scene(16, true);
    scene.writer.send(Bytes::from(vec![b'x'; 4096])).expect("queued");
    assert_eq!(scene.ended().await.get(Count::SlowReader), 1);
}

#[tokio::test]
async fn what_waits_is_sent_before_a_connection_is_closed() {
    let Scene { mut peer, writer, task, inbound: _inbound, .. } = scene(4096, false);
    writer.send(Bytes::from_static(b"SIP/2.0 403 Forbidden\r\n\r\n")).expect("queued");
    drop(writer);
    let mut all = Vec::new();
    peer.read_to_end(&mut all).await.expect("read");
    assert_eq!(all, b"SIP/2.0 403 Forbidden\r\n\r\n");
    drop(peer);
    task.await.expect("no panic");
}
