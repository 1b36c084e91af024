//! SIP over UDP, as the SIP Server sees it.

use std::net::SocketAddr;
use std::time::Duration;

use crosspoint::io::tally::Count;
use tokio::net::UdpSocket;

use crate::rig::{Rig, config, eventually};

async fn peer(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    socket.connect(to).await.expect("connected");
    socket
}

async fn answer(socket: &UdpSocket) -> String {
    let mut buffer = [0; 65_535];
    let received = tokio::time::timeout(Duration::from_secs(5), socket.recv(&mut buffer)).await;
    let length = received.expect("an answer within 5 s").expect("received");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

fn options(port: u16, branch: &str) -> String {
    format!(
        "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\nTo: <sip:127.0.0.1>\r\nFrom: <sip:genesys@127.0.0.1>;tag=1\r\nCall-ID: o{branch}\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

#[tokio::test]
async fn the_trunk_is_answered_its_options() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    let own = socket.local_addr().expect("bound");
    let mut config = config("");
    config.trunks[0].addresses = vec![own.into()];
    let rig = Rig::with(config).await;
    socket.connect(rig.sip()).await.expect("connected");
    socket.send(options(own.port(), "a").as_bytes()).await.expect("sent");
    let answer = answer(&socket).await;
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    assert!(answer.contains("\r\nAllow: "), "{answer}");
}

#[tokio::test]
async fn keep_alives_and_noise_are_not_answered_and_do_no_harm() {
    let rig = Rig::start().await;
    let socket = peer(rig.sip()).await;
    for noise in [&b"\r\n\r\n"[..], b"\0\0\0\0", b"", b"\xff\xfe\xfd", &[b'A'; 60_000]] {
        socket.send(noise).await.expect("sent");
    }
    eventually(|| rig.app.tally().get(Count::UdpKeepAlive) == 3).await;
    let port = socket.local_addr().expect("bound").port();
    socket.send(options(port, "b").as_bytes()).await.expect("sent");
    let answer = answer(&socket).await;
    assert!(answer.contains("z9hG4bKb"), "{answer}");
}

#[tokio::test]
async fn a_port_in_use_is_one_line_at_the_start() {
    let taken = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    let mut config = config("");
    config.sip[0].bind = taken.local_addr().expect("bound");
    let folder = tempfile::tempdir().expect("folder");
    let error = Rig::try_with(config, folder.path()).await.err().expect("refused").to_string();
    assert!(error.starts_with("SIP UDP 127.0.0.1:") && !error.contains('\n'), "{error}");
}
