//! The gateway as a part of another program.

use std::time::{Duration, Instant};

use tokio::net::{TcpStream, UdpSocket};

use crate::rig::Rig;

#[tokio::test]
async fn a_shutdown_without_calls_is_quick_and_leaves_no_socket() {
    let rig = Rig::start().await;
    let (sip, https) = (rig.sip(), rig.https());
    let mut events = rig.app.events();
    let begun = Instant::now();
    rig.app.shutdown().await;
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert_eq!(events.next().await, None);
    assert!(TcpStream::connect(https).await.is_err());
    let free = tokio::time::timeout(Duration::from_secs(5), async {
        while UdpSocket::bind(sip).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    free.await.expect("the SIP port is free again");
}

#[tokio::test]
async fn two_gateways_live_in_one_process() {
    let (one, two) = (Rig::start().await, Rig::start().await);
    assert_ne!(one.sip(), two.sip());
    assert!(one.app.figures().await.is_some() && two.app.figures().await.is_some());
    one.app.shutdown().await;
    assert!(two.app.figures().await.is_some());
}
