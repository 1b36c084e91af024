//! The HTTPS listeners: versions, certificates, their reload, and peers that do not finish a handshake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{self, Request, request};
use crate::rig::{Rig, config};

pub fn trusting(pem: &[u8], version: &'static SupportedProtocolVersion) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem).expect("a certificate")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

pub async fn connect(
    connector: &TlsConnector,
    address: SocketAddr,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    connector.connect(name, TcpStream::connect(address).await?).await
}

fn certificate(rig: &Rig) -> Vec<u8> {
    std::fs::read(rig.folder.path().join("tls/cert.pem")).expect("the self-signed certificate")
}

#[tokio::test]
async fn sip_goes_over_tls_1_2_and_1_3() {
    let rig = Rig::start().await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let stream = connect(&trusting(&certificate(&rig), version), rig.https(), "localhost").await.expect("TLS");
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        let host = format!("localhost:{}", rig.https().port());
        let origin = format!("https://{host}");
        let asked = Request { host: &host, origin: Some(&origin), ..Request::default() };
        let mut client = client::open(stream, asked).await.expect("open");
        client.send(Message::text(request("OPTIONS", "sip:crosspoint.test", "5001", 1, ""))).await;
        assert!(client.sip().await.starts_with("SIP/2.0 200 "));
    }
}

#[tokio::test]
async fn the_self_signed_certificate_is_for_every_local_name() {
    let rig = Rig::start().await;
    let connector = trusting(&certificate(&rig), &rustls::version::TLS13);
    for name in ["localhost", "127.0.0.1", "::1", "crosspoint.test"] {
        assert!(connect(&connector, rig.https(), name).await.is_ok(), "{name}");
    }
    assert!(connect(&connector, rig.https(), "other.example").await.is_err());
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_and_present_connections_go_on() {
    let rig = Rig::start().await;
    let other = Rig::start().await;
    let connector = trusting(&certificate(&rig), &rustls::version::TLS13);
    let stream = connect(&connector, rig.https(), "localhost").await.expect("TLS");
    let mut client = client::open(stream, Request::default()).await.expect("open");
    for file in ["key.pem", "cert.pem"] {
        std::fs::copy(other.folder.path().join("tls").join(file), rig.folder.path().join("tls").join(file))
            .expect(file);
    }
    let renewed = trusting(&certificate(&other), &rustls::version::TLS13);
    let taken = tokio::time::timeout(Duration::from_secs(10), async {
        while connect(&renewed, rig.https(), "localhost").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    taken.await.expect("the new certificate within 10 s");
    assert!(connect(&connector, rig.https(), "localhost").await.is_err(), "the old one is gone");
    client.send(Message::text(request("OPTIONS", "sip:crosspoint.test", "5001", 1, ""))).await;
    assert!(client.sip().await.starts_with("SIP/2.0 200 "));
}

#[tokio::test]
async fn plain_text_on_a_tls_port_is_refused() {
    let rig = Rig::start().await;
    let mut stream = TcpStream::connect(rig.https()).await.expect("connected");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("written");
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.expect("closed");
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(rig.app.tally().get(crosspoint::io::tally::Count::TlsFailed), 1);
}

#[tokio::test]
async fn plain_http_beyond_loopback_needs_leave() {
    let folder = tempfile::tempdir().expect("folder");
    let mut refused = config("");
    refused.listeners[1].bind = "0.0.0.0:0".parse().expect("address");
    let error = Rig::try_with(refused.clone(), folder.path()).await.err().expect("refused").to_string();
    assert!(error.contains("allow_plain"), "{error}");
    refused.listeners[1].allow_plain = true;
    let started = Rig::try_with(refused, folder.path()).await;
    assert!(started.is_ok(), "{:?}", started.err());
}

#[tokio::test]
async fn a_missing_certificate_file_is_one_line() {
    let folder = tempfile::tempdir().expect("folder");
    let mut config = config("");
    config.listeners[0].certificate = Some("/no/such.pem".into());
    config.listeners[0].key = Some("/no/such.key".into());
    let error = Rig::try_with(config, folder.path()).await.err().expect("refused").to_string();
    assert!(error.contains("/no/such.pem") && !error.contains('\n'), "{error}");
}
