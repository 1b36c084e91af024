//! SIP by TCP and TLS on loopback: connections from a trunk and to one, strangers, certificates, restarts.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crosspoint::config::Config;
use crosspoint::io::tally::Count;
use crosspoint::sip::framing::{Frame, Framer};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::client::dial;
use crate::rig::{Rig, eventually, text};
use crate::trunk::{outcome, scene};

/// One end of a SIP stream.
struct Peer<S> {
    stream: S,
    framer: Framer,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    fn new(stream: S) -> Peer<S> {
        Peer { stream, framer: Framer::new() }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("written");
        self.stream.flush().await.expect("flushed");
    }

    /// The next frame; `None` once the other side has closed.
    async fn next(&mut self) -> Option<Frame> {
        let mut buffer = [0; 8192];
        let next = async {
            loop {
                if let Some(frame) = self.framer.next_frame().expect("a sound stream") {
                    return Some(frame);
                }
                match self.stream.read(&mut buffer).await {
                    Ok(length) if length > 0 => self.framer.push(&buffer[..length]),
                    _ => return None,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(15), next).await.expect("something within 15 s")
    }

    /// The next message that begins so.
    async fn message(&mut self, begins: &str) -> String {
        loop {
            match self.next().await {
                Some(Frame::Message(bytes)) if bytes.starts_with(begins.as_bytes()) => {
                    return String::from_utf8_lossy(&bytes).into_owned();
                }
                Some(_) => {}
                None => panic!("closed before {begins}"),
            }
        }
    }

    /// Answers a request.
    async fn respond(&mut self, request: &str, status: &str) {
        let wanted = ["Via", "From", "To", "Call-ID", "CSeq"];
        let headers: String = request
            .lines()
            .filter(|line| wanted.iter().any(|name| line.starts_with(&format!("{name}: "))))
            .map(|line| if line.starts_with("To: ") { format!("{line};tag=t\r\n") } else { format!("{line}\r\n") })
            .collect();
        self.send(&format!("SIP/2.0 {status}\r\n{headers}Content-Length: 0\r\n\r\n")).await;
    }
}

fn request(method: &str, from: SocketAddr, transport: &str, branch: &str) -> String {
    format!(
        "{method} sip:5001@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{transport} {from};branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\nTo: <sip:5001@127.0.0.1>\r\nFrom: <sip:1003@127.0.0.1>;tag=1\r\nCall-ID: c{branch}\r\n\
         CSeq: 1 {method}\r\nContact: <sip:1003@{from};transport=tcp>\r\nContent-Length: 0\r\n\r\n"
    )
}

/// A gateway with SIP sockets of these transports beside UDP, and a trunk at `addresses`.
fn config(transports: &[&str], addresses: &str, more: &str) -> Config {
    let sockets: String =
        transports.iter().map(|t| format!("[[sip]]\nbind = \"127.0.0.1:0\"\ntransport = \"{t}\"\n")).collect();
    let text =
        text(&sockets).replace("addresses = [\"127.0.0.1:5999\"]", &format!("addresses = [{addresses}]\n{more}"));
    Config::parse(&text, "test.toml", []).expect("a good configuration")
}

async fn from(host: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("{host}:0").parse().expect("address")).expect("bound");
    socket.connect(to).await.expect("connected")
}

#[tokio::test]
async fn a_trunk_is_answered_on_its_connection_and_its_keep_alive_too() {
    let rig = Rig::with(config(&["tcp"], "\"127.0.0.1:5999\"", "")).await;
    let mut peer = Peer::new(from("127.0.0.1", rig.app.addresses().sip[1]).await);
    let own = peer.stream.local_addr().expect("bound");
    let options = request("OPTIONS", own, "TCP", "a");
    // In two pieces, behind a ping.
    peer.send("\r\n\r\n").await;
    assert_eq!(peer.next().await, Some(Frame::Pong));
    peer.send(&options[..40]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    peer.send(&options[40..]).await;
    let answer = peer.message("SIP/2.0 ").await;
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    peer.send(&request("OPTIONS", own, "TCP", "b")).await;
    assert!(peer.message("SIP/2.0 200 ").await.contains("z9hG4bKb"));
}

#[tokio::test]
async fn a_stranger_by_tcp_gets_403_and_is_disconnected() {
    let rig = Rig::with(config(&["tcp"], "\"127.0.0.9:5060\"", "")).await;
    for method in ["INVITE", "REGISTER", "OPTIONS"] {
        let mut peer = Peer::new(from("127.0.0.1", rig.app.addresses().sip[1]).await);
        let own = peer.stream.local_addr().expect("bound");
        peer.send(&request(method, own, "TCP", method)).await;
        let answer = peer.message("SIP/2.0 ").await;
        assert!(answer.starts_with("SIP/2.0 403 "), "{method}: {answer}");
        assert_eq!(peer.next().await, None, "{method}");
    }
    let mut trunk = Peer::new(from("127.0.0.9", rig.app.addresses().sip[1]).await);
    trunk.send(&request("OPTIONS", "127.0.0.9:5060".parse().expect("address"), "TCP", "t")).await;
    trunk.message("SIP/2.0 200 ").await;
}

#[tokio::test]
async fn a_stream_that_is_none_is_closed() {
    let rig = Rig::with(config(&["tcp"], "\"127.0.0.1:5999\"", "")).await;
    let mut peer = Peer::new(from("127.0.0.1", rig.app.addresses().sip[1]).await);
    peer.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(peer.next().await, None);
    eventually(|| rig.app.tally().get(Count::BadFrame) == 1).await;
}

#[tokio::test]
async fn one_address_that_is_no_trunk_cannot_take_every_connection() {
    let rig = Rig::with(config(&["tcp"], "\"127.0.0.9:5060\"", "")).await;
    // Loopback is spared the share of one source; what is too many is the sum of all.
    let to = rig.app.addresses().sip[1];
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(from("127.0.0.1", to).await);
    }
    let mut trunk = Peer::new(from("127.0.0.9", to).await);
    trunk.send(&request("OPTIONS", "127.0.0.9:5060".parse().expect("address"), "TCP", "t")).await;
    trunk.message("SIP/2.0 200 ").await;
}

/// Answers the gateway's INVITE with 486, and returns it.
async fn busy<S: AsyncRead + AsyncWrite + Unpin>(peer: &mut Peer<S>) -> String {
    let invite = peer.message("INVITE ").await;
    peer.respond(&invite, "486 Busy Here").await;
    peer.message("ACK ").await;
    invite
}

#[tokio::test]
async fn calls_go_out_by_one_connection_and_by_a_new_one_when_the_server_was_restarted() {
    let server = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let at = server.local_addr().expect("bound");
    let (rig, mut browser) = scene(config(&["tcp"], &format!("\"{at};transport=tcp\""), ""), 1).await;
    dial(&mut browser, "6001").await;
    let mut first = Peer::new(server.accept().await.expect("accepted").0);
    let invite = busy(&mut first).await;
    let own = rig.app.addresses().sip[1];
    assert!(invite.contains(&format!("Via: SIP/2.0/TCP {own};branch=")), "{invite}");
    assert!(invite.contains(&format!("Contact: <sip:5001@{own};transport=tcp>")), "{invite}");
    assert!(outcome(&mut browser).await.starts_with("SIP/2.0 486 "));
    dial(&mut browser, "6002").await;
    busy(&mut first).await;
    assert!(outcome(&mut browser).await.starts_with("SIP/2.0 486 "));
    drop((first, server));
    eventually(|| rig.app.tally().get(Count::ConnectFailed) > 0).await;

    let server = TcpListener::bind(at).await.expect("bound again");
    // The gateway comes back by itself.
    let accepted = tokio::time::timeout(Duration::from_secs(15), server.accept()).await;
    let mut second = Peer::new(accepted.expect("a connection within 15 s").expect("accepted").0);
    dial(&mut browser, "6003").await;
    busy(&mut second).await;
    assert!(outcome(&mut browser).await.starts_with("SIP/2.0 486 "));
}

#[tokio::test]
async fn nobody_there_by_tcp_is_503_at_once() {
    let server = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let at = server.local_addr().expect("bound");
    drop(server);
    let (rig, mut browser) = scene(config(&["tcp"], &format!("\"{at};transport=tcp\""), ""), 1).await;
    dial(&mut browser, "6001").await;
    let answer = outcome(&mut browser).await;
    assert!(answer.starts_with("SIP/2.0 503 "), "{answer}");
    assert_eq!(rig.app.tally().get(Count::ConnectFailed), 1);
}

/// An authority of the house.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// Writes a certificate of the authority for `name`: `name.pem`, `name.key`.
fn certify(authority: &CertifiedIssuer<'static, KeyPair>, folder: &Path, name: &str) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    let made = params.signed_by(&key, authority).expect("signed");
    std::fs::write(folder.join(format!("{name}.pem")), made.pem()).expect("written");
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("written");
}

/// A TLS server that wants a certificate of the authority from its clients.
fn acceptor(authority: &CertifiedIssuer<'static, KeyPair>, folder: &Path, name: &str) -> TlsAcceptor {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let chain = CertificateDer::from_pem_file(folder.join(format!("{name}.pem"))).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.allow_unauthenticated().build().expect("a verifier"))
        .with_single_cert(vec![chain], key)
        .expect("a server");
    TlsAcceptor::from(Arc::new(config))
}

struct House {
    folder: tempfile::TempDir,
    acceptor: TlsAcceptor,
    server: TcpListener,
}

/// A TLS SIP Server called `sip.house.test`, and files for the gateway.
async fn house() -> House {
    let folder = tempfile::tempdir().expect("folder");
    let authority = authority();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("written");
    std::fs::write(folder.path().join("foreign.pem"), self::authority().pem()).expect("written");
    certify(&authority, folder.path(), "sip.house.test");
    certify(&authority, folder.path(), "gateway.house.test");
    let acceptor = acceptor(&authority, folder.path(), "sip.house.test");
    let server = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    House { folder, acceptor, server }
}

impl House {
    /// The gateway's configuration, `ca.pem` and the like being files of the house.
    fn config(&self, tls: &str) -> Config {
        let at = self.server.local_addr().expect("bound");
        let folder = self.folder.path().display();
        let tls = tls.replace("@", &format!("{folder}/"));
        config(&["tls"], &format!("\"{at};transport=tls\""), &format!("tls = {{ {tls} }}"))
    }
}

#[tokio::test]
async fn a_trunk_by_tls_is_believed_by_its_certificate_and_shown_ours() {
    let house = house().await;
    let tls = "ca = \"@ca.pem\", name = \"sip.house.test\", certificate = \"@gateway.house.test.pem\", \
               key = \"@gateway.house.test.key\"";
    let (_rig, mut browser) = scene(house.config(tls), 1).await;
    dial(&mut browser, "6001").await;
    let (tcp, _) = house.server.accept().await.expect("accepted");
    let stream = house.acceptor.accept(tcp).await.expect("TLS");
    let shown = stream.get_ref().1.peer_certificates().expect("a certificate of the gateway").to_vec();
    let ours = CertificateDer::from_pem_file(house.folder.path().join("gateway.house.test.pem")).expect("a file");
    assert_eq!(shown, [ours]);
    let invite = busy(&mut Peer::new(stream)).await;
    assert!(invite.contains("Via: SIP/2.0/TLS 127.0.0.1:"), "{invite}");
    assert!(outcome(&mut browser).await.starts_with("SIP/2.0 486 "));
}

#[tokio::test]
async fn a_trunk_of_a_foreign_authority_or_another_name_is_not_called() {
    for tls in [
        "ca = \"@foreign.pem\", name = \"sip.house.test\"",
        "ca = \"@ca.pem\", name = \"other.test\"",
        "ca = \"@ca.pem\"",
    ] {
        let house = house().await;
        let (rig, mut browser) = scene(house.config(tls), 1).await;
        dial(&mut browser, "6001").await;
        let (tcp, _) = house.server.accept().await.expect("accepted");
        assert!(house.acceptor.accept(tcp).await.is_err(), "{tls}");
        assert!(outcome(&mut browser).await.starts_with("SIP/2.0 503 "), "{tls}");
        assert_eq!(rig.app.tally().get(Count::ConnectFailed), 1);
    }
}

#[tokio::test]
async fn without_verification_anybody_is_called() {
    let house = house().await;
    let (_rig, mut browser) = scene(house.config("verify = false"), 1).await;
    dial(&mut browser, "6001").await;
    let (tcp, _) = house.server.accept().await.expect("accepted");
    busy(&mut Peer::new(house.acceptor.accept(tcp).await.expect("TLS"))).await;
    assert!(outcome(&mut browser).await.starts_with("SIP/2.0 486 "));
}

#[tokio::test]
async fn a_trunk_calls_by_tls() {
    let rig = Rig::with(config(&["tls"], "\"127.0.0.1:5999\"", "")).await;
    let pem = std::fs::read(rig.folder.path().join("tls/cert.pem")).expect("the self-signed certificate");
    let connector = crate::tls::trusting(&pem, &rustls::version::TLS13);
    let to = rig.app.addresses().sip[1];
    let mut peer = Peer::new(crate::tls::connect(&connector, to, "localhost").await.expect("TLS"));
    peer.send(&request("OPTIONS", to, "TLS", "a")).await;
    assert!(peer.message("SIP/2.0 ").await.starts_with("SIP/2.0 200 "));
}
