//! A CometD server that wants to know who publishes, and one that speaks HTTPS.

use std::net::SocketAddr;
use std::time::Duration;

use crosspoint::bayeux::message;
use crosspoint::io::client::{Trust, address};
use crosspoint::io::sink::{self, Login, SinkKind};

use crate::outbox::{
    Heard, Server, cometd_at, config, delivered, failed, free_port, id, ids, published, without_repetitions,
};
use crate::private_ca::Authority;

const GRACE: Duration = Duration::from_secs(1);

fn account(password: &str) -> message::Login {
    message::Login { username: "crosspoint".to_owned(), password: password.to_owned() }
}

fn basic(port: u16, password: &str) -> SinkKind {
    let base = format!("http://127.0.0.1:{port}");
    cometd_at(&base, "/crosspoint/{kind}", Login::Basic(account(password)), Trust::default())
}

fn session(port: u16, password: &str) -> SinkKind {
    let base = format!("http://127.0.0.1:{port}");
    let login = Login::Session { login: account(password), url: address(&format!("{base}/login")).unwrap() };
    cometd_at(&base, "/crosspoint/{kind}", login, Trust::default())
}

fn handshake(port: u16, password: &str) -> SinkKind {
    let base = format!("http://127.0.0.1:{port}");
    cometd_at(&base, "/crosspoint/{kind}", Login::Handshake(account(password)), Trust::default())
}

fn wanted(count: u64) -> Vec<String> {
    (0..count).map(|n| id(1, n)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_basic_in_each_request_gets_it_and_every_event_over_its_death() {
    survives("basic", basic).await;
}

/// The cookie of the process that was killed is worth nothing to the next one: it is logged in to again.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_gives_a_cookie_for_a_login_gets_it_and_every_event_over_its_death() {
    survives("session", session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_its_login_in_the_handshake_gets_it_and_every_event_over_its_death() {
    survives("handshake", handshake).await;
}

async fn survives(login: &str, kind: fn(u16, &str) -> SinkKind) {
    let (folder, heard, port) = (tempfile::tempdir().unwrap(), Heard::default(), free_port());
    let server = Server::start_with(port, Duration::from_millis(1), login, &heard);
    let (outbox, sinks) = sink::spawn(&config(folder.path(), kind(port, "secret"))).unwrap();
    (0..100).for_each(|n| assert!(outbox.append(&published(n))));
    delivered(&sinks.tally(), 100).await;
    (100..200).for_each(|n| assert!(outbox.append(&published(n))));
    server.kill();
    assert!(ids(&heard).len() < 200, "it was killed with events on their way");
    let server = Server::start_with(port, Duration::from_millis(1), login, &heard);
    delivered(&sinks.tally(), 200).await;
    sinks.finish(GRACE).await;
    server.kill();
    assert_eq!(without_repetitions(&ids(&heard)).0, wanted(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_delivers_nothing_and_loses_nothing() {
    for (login, kind) in [("basic", basic as fn(u16, &str) -> SinkKind), ("session", session), ("handshake", handshake)]
    {
        let (folder, heard, port) = (tempfile::tempdir().unwrap(), Heard::default(), free_port());
        let server = Server::start_with(port, Duration::ZERO, login, &heard);
        let (outbox, sinks) = sink::spawn(&config(folder.path(), kind(port, "wrong"))).unwrap();
        (0..10).for_each(|n| assert!(outbox.append(&published(n))));
        failed(&sinks.tally(), 2).await;
        let figures = sinks.tally().figures().remove(0);
        assert_eq!((figures.waiting, figures.refused, ids(&heard).len()), (10, 0, 0), "{login}");
        sinks.finish(Duration::ZERO).await;
        // The password is mended, the journal is still there.
        let (_outbox, sinks) = sink::spawn(&config(folder.path(), kind(port, "secret"))).unwrap();
        // One more: the call was open when the run ended.
        delivered(&sinks.tally(), 11).await;
        sinks.finish(GRACE).await;
        server.kill();
        assert_eq!(without_repetitions(&ids(&heard)).0, wanted(11), "{login}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn https_of_the_houses_authority_is_believed_with_its_login_and_of_another_one_is_not() {
    let (folder, heard, port) = (tempfile::tempdir().unwrap(), Heard::default(), free_port());
    let server = Server::start_with(port, Duration::ZERO, "session", &heard);
    let plain = SocketAddr::from(([127, 0, 0, 1], port));
    let (house, stranger) = (Authority::new(), Authority::new());
    let trust = Trust { ca: Some(house.file(folder.path())), unverified: false };
    let begin = async |from: &Authority, outbox: &str| {
        let base = format!("https://localhost:{}", from.front(plain).await.port());
        let login = Login::Session { login: account("secret"), url: address(&format!("{base}/login")).unwrap() };
        let kind = cometd_at(&base, "/crosspoint/{kind}", login, trust.clone());
        let (outbox, sinks) = sink::spawn(&config(&folder.path().join(outbox), kind)).unwrap();
        (0..50).for_each(|n| assert!(outbox.append(&published(n))));
        sinks
    };
    let refused = begin(&stranger, "stranger").await;
    failed(&refused.tally(), 2).await;
    assert_eq!((refused.tally().figures()[0].waiting, ids(&heard).len()), (50, 0));
    refused.finish(Duration::ZERO).await;
    let believed = begin(&house, "house").await;
    delivered(&believed.tally(), 50).await;
    believed.finish(GRACE).await;
    server.kill();
    assert_eq!(ids(&heard), wanted(50));
}
