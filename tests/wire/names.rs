//! Trunks by name: a name server on loopback, and SIP Servers that its records point to (RFC 3263).

use std::net::Ipv4Addr;
use std::time::Duration;

use crosspoint::config::Config;
use crosspoint::io::resolve::Locator;
use crosspoint::path::Transport;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::UdpSocket;

use crate::client::dial;
use crate::dns::Dns;
use crate::rig::text;
use crate::trunk::scene;

async fn located(dns: &Dns, host: &str, port: Option<u16>, transport: Option<Transport>) -> Vec<String> {
    let locator = Locator::new(&[dns.address]).expect("a resolver");
    let (targets, _) = locator.locate(host, port, transport, StdRng::seed_from_u64(1)).await;
    targets.iter().map(|target| format!("{} {}", target.transport.via_token(), target.addr)).collect()
}

#[tokio::test]
async fn naptr_srv_and_address_records_lead_to_the_servers_of_a_name() {
    let dns = Dns::start().await;
    dns.naptr("house.test", 20, "SIP+D2U", "_sip._udp.house.test");
    dns.naptr("house.test", 10, "SIP+D2T", "_sip._tcp.house.test");
    dns.srv("_sip._tcp.house.test", 2, 5070, "b.house.test");
    dns.srv("_sip._tcp.house.test", 1, 5060, "a.house.test");
    dns.srv("_sip._udp.house.test", 1, 5062, "a.house.test");
    dns.a("a.house.test", Ipv4Addr::new(127, 0, 0, 3));
    dns.a("b.house.test", Ipv4Addr::new(127, 0, 0, 4));
    assert_eq!(located(&dns, "house.test", None, None).await, ["TCP 127.0.0.3:5060", "TCP 127.0.0.4:5070"]);
    assert_eq!(located(&dns, "house.test", None, Some(Transport::Udp)).await, ["UDP 127.0.0.3:5062"]);
    assert_eq!(located(&dns, "a.house.test", Some(5090), Some(Transport::Tls)).await, ["TLS 127.0.0.3:5090"]);
    assert_eq!(located(&dns, "b.house.test", None, None).await, ["UDP 127.0.0.4:5060"]);
    assert!(located(&dns, "gone.house.test", None, None).await.is_empty());
    let asked = dns.asked();
    assert!(asked.contains(&"NAPTR house.test.".to_owned()), "{asked:?}");
}

#[tokio::test]
async fn a_name_server_that_is_silent_yields_nothing() {
    let dns = Dns::start().await;
    let address = dns.address;
    drop(dns);
    // The port is held, and nobody answers.
    let _silent = UdpSocket::bind(address).await;
    let locator = Locator::new(&[address]).expect("a resolver");
    let (targets, ttl) = locator.locate("house.test", None, None, StdRng::seed_from_u64(1)).await;
    assert!(targets.is_empty() && ttl == Duration::ZERO);
}

/// A configuration whose trunk is a name of this name server.
fn config(dns: &Dns, name: &str) -> Config {
    let text = text(&format!("[dns]\nservers = [\"{}\"]", dns.address));
    let text = text.replace("\"127.0.0.1:5999\"", &format!("\"{name}\""));
    Config::parse(&text, "test.toml", []).expect("a good configuration")
}

#[tokio::test]
async fn a_call_goes_to_the_next_server_of_a_pool_when_the_first_is_silent() {
    let (silent, alive) = (UdpSocket::bind("127.0.0.5:0").await.expect("bound"), UdpSocket::bind("127.0.0.6:0").await);
    let alive = alive.expect("bound");
    let port = |socket: &UdpSocket| socket.local_addr().expect("bound").port();
    let dns = Dns::start().await;
    dns.srv("_sip._udp.pool.test", 1, port(&silent), "first.pool.test");
    dns.srv("_sip._udp.pool.test", 2, port(&alive), "second.pool.test");
    dns.a("first.pool.test", Ipv4Addr::new(127, 0, 0, 5));
    dns.a("second.pool.test", Ipv4Addr::new(127, 0, 0, 6));
    let (_rig, mut browser) = scene(config(&dns, "pool.test"), 2).await;
    let found = tokio::time::timeout(Duration::from_secs(10), async {
        while !dns.asked().contains(&"A second.pool.test.".to_owned()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The answer is under way to signalling.
        tokio::time::sleep(Duration::from_millis(200)).await;
    });
    found.await.expect("the name is looked up at the start");
    dial(&mut browser, "6001").await;
    let arrived = |socket: UdpSocket| async move {
        let mut buffer = [0; 65_535];
        let invite = tokio::time::timeout(Duration::from_secs(15), async {
            loop {
                let length = socket.recv(&mut buffer).await.expect("received");
                // Not the OPTIONS that watch the trunk.
                if buffer.starts_with(b"INVITE ") {
                    return String::from_utf8_lossy(&buffer[..length]).into_owned();
                }
            }
        });
        invite.await.expect("an INVITE within 15 s")
    };
    let first = arrived(silent).await;
    assert!(first.starts_with("INVITE sip:6001@pool.test SIP/2.0\r\n"), "{first}");
    let second = arrived(alive).await;
    assert!(second.starts_with("INVITE sip:6001@pool.test SIP/2.0\r\n"), "{second}");
    let branch = |text: &str| text.lines().find(|line| line.starts_with("Via: ")).expect("a Via").to_owned();
    assert_ne!(branch(&first), branch(&second));
}
