//! A trunk that is down, one of IPv6, and calls while the gateway drains; the trunk is a bare UDP socket.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crosspoint::config::{Config, MediaAddressConfig};
use tokio::net::{TcpStream, UdpSocket};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, Request, dial, open_plain};
use crate::rig::{DOMAIN, Rig, config};

/// A gateway with its ports bound, and a browser signed in as 5001.
pub async fn scene(config: Config, pairs: usize) -> (Rig, Client<TcpStream>) {
    let rig = Rig::with(config).await;
    let ready = tokio::time::timeout(Duration::from_secs(10), async {
        while rig
            .app
            .figures()
            .await
            .is_none_or(|f| f.snapshot.free_pairs.iter().map(|(_, n)| n).sum::<usize>() < pairs)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    ready.await.expect("bound ports");
    let mut browser = open_plain(rig.http(), Request::default()).await.unwrap_or_else(|_| panic!("a WebSocket"));
    let answer = browser.sign_in("5001").await;
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    (rig, browser)
}

/// Returns the browser's next final response.
pub async fn outcome(browser: &mut Client<TcpStream>) -> String {
    loop {
        let message = browser.sip().await;
        if !message.starts_with("SIP/2.0 1") {
            return message;
        }
    }
}

/// A SIP Server at the end of a socket.
struct Trunk {
    socket: UdpSocket,
    gateway: SocketAddr,
    invite: String,
}

impl Trunk {
    async fn receive(&mut self, begins: &str) -> String {
        let mut buffer = [0; 65_535];
        let wanted = async {
            loop {
                let (length, from) = self.socket.recv_from(&mut buffer).await.expect("received");
                self.gateway = from;
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if text.starts_with(begins) {
                    return text;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wanted).await.expect("a message within 10 s")
    }

    fn header<'a>(message: &'a str, name: &str) -> &'a str {
        message.lines().find(|line| line.starts_with(name)).expect("the header").split_once(": ").expect("a value").1
    }

    /// Answers the INVITE, media at `media`.
    async fn answer(&mut self, media: SocketAddr) {
        self.invite = self.receive("INVITE ").await;
        let family = if media.is_ipv6() { "IP6" } else { "IP4" };
        let (ip, port) = (media.ip(), media.port());
        let sdp = format!(
            "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
        );
        let of = |name| Trunk::header(&self.invite, name);
        let ok = format!(
            "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=t\r\nCall-ID: {}\r\nCSeq: {}\r\n\
             Contact: <sip:t@{}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            of("Via"),
            of("From"),
            of("To"),
            of("Call-ID"),
            of("CSeq"),
            self.socket.local_addr().expect("bound"),
            sdp.len(),
        );
        self.socket.send_to(ok.as_bytes(), self.gateway).await.expect("sent");
        self.receive("ACK ").await;
    }

    async fn hang_up(&mut self) {
        let of = |name| Trunk::header(&self.invite, name);
        let contact = of("Contact").trim_start_matches('<').split('>').next().expect("a URI").to_owned();
        let bye = format!(
            "BYE {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKbye\r\nMax-Forwards: 70\r\n\
             From: {};tag=t\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
            self.socket.local_addr().expect("bound"),
            of("To"),
            of("From"),
            of("Call-ID"),
        );
        self.socket.send_to(bye.as_bytes(), self.gateway).await.expect("sent");
        self.receive("SIP/2.0 200 ").await;
    }
}

async fn trunk(address: &str, config: &mut Config) -> Trunk {
    let socket = UdpSocket::bind(address).await.expect("bound");
    let own = socket.local_addr().expect("bound");
    config.trunks[0].addresses = vec![own.into()];
    Trunk { socket, gateway: own, invite: String::new() }
}

#[tokio::test]
async fn a_browser_hears_503_within_8_s_when_nothing_listens_where_the_trunk_should_be() {
    let mut config = config("");
    // Bound and dropped: nobody is there.
    drop(trunk("127.0.0.1:0", &mut config).await);
    let (rig, mut browser) = scene(config, 1).await;
    let begun = Instant::now();
    dial(&mut browser, "6001").await;
    let answer = outcome(&mut browser).await;
    assert!(answer.starts_with("SIP/2.0 503 ") && answer.contains("\r\nRetry-After: "), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let trunk = rig.app.figures().await.expect("alive").snapshot.trunks.remove(0);
    assert_eq!((trunk.name.as_str(), trunk.counters.silent), ("genesys", 1));
}

#[tokio::test]
async fn a_browser_on_ipv6_calls_an_ipv6_trunk_with_ipv6_media() {
    let mut config = config("");
    config.sip[0].bind = "[::1]:0".parse().expect("address");
    config.listeners[1].bind = "[::1]:0".parse().expect("address");
    config.media.addresses.push(MediaAddressConfig { bind: "::1".parse().expect("address"), advertise: None });
    let mut trunk = trunk("[::1]:0", &mut config).await;
    let media = UdpSocket::bind("[::1]:0").await.expect("bound");
    let (rig, mut browser) = scene(config, 4).await;
    dial(&mut browser, "6001").await;
    trunk.answer(media.local_addr().expect("bound")).await;
    assert!(trunk.invite.contains("Via: SIP/2.0/UDP [::1]:"), "{}", trunk.invite);
    assert!(trunk.invite.contains("\r\nc=IN IP6 ::1\r\n"), "{}", trunk.invite);
    let answer = outcome(&mut browser).await;
    assert!(answer.starts_with("SIP/2.0 200 ") && answer.contains(" ::1 "), "{answer}");

    let line = trunk.invite.lines().find(|line| line.starts_with("m=audio ")).expect("audio");
    let port: u16 = line.split(' ').nth(1).and_then(|port| port.parse().ok()).expect("a port");
    let mut rtp = vec![0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4];
    rtp.extend([0xFF; 160]);
    let arrived = tokio::time::timeout(Duration::from_secs(10), async {
        while rig.app.figures().await.expect("alive").workers[0].1.engine.datagrams == 0 {
            media.send_to(&rtp, (std::net::Ipv6Addr::LOCALHOST, port)).await.expect("sent");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    arrived.await.expect("the worker hears the trunk");
}

#[tokio::test]
async fn while_the_gateway_drains_a_call_goes_on_and_a_new_one_gets_503() {
    let mut config = config("");
    config.server.drain_seconds = 20;
    let mut trunk = trunk("127.0.0.1:0", &mut config).await;
    let (rig, mut browser) = scene(config, 1).await;
    dial(&mut browser, "6001").await;
    trunk.answer(SocketAddr::from(([127, 0, 0, 1], 9))).await;
    let ok = outcome(&mut browser).await;
    assert!(ok.starts_with("SIP/2.0 200 "), "{ok}");
    let ack = format!(
        "ACK sip:6001@{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/WS k4tn5q.invalid;branch=z9hG4bKack\r\nMax-Forwards: 69\r\n\
         To: {}\r\nFrom: {}\r\nCall-ID: {}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
        Trunk::header(&ok, "To"),
        Trunk::header(&ok, "From"),
        Trunk::header(&ok, "Call-ID"),
    );
    browser.send(Message::text(ack)).await;

    let Rig { app, folder: _folder } = rig;
    let begun = Instant::now();
    let shutdown = tokio::spawn(app.shutdown());
    tokio::time::sleep(Duration::from_millis(300)).await;
    dial(&mut browser, "6002").await;
    let refusal = outcome(&mut browser).await;
    assert!(refusal.starts_with("SIP/2.0 503 ") && refusal.contains("\r\nRetry-After: "), "{refusal}");
    assert!(!shutdown.is_finished());
    trunk.hang_up().await;
    let bye = outcome(&mut browser).await;
    assert!(bye.starts_with("BYE "), "{bye}");
    shutdown.await.expect("shut down");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}
