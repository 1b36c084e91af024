//! Agents of the configuration: they log in, and changes of the file are taken up while the gateway runs.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crosspoint::app::{App, RunningApp};
use crosspoint::config::Config;
use crosspoint::desk::PasswordHash;
use tokio::net::TcpStream;

use crate::client;
use crate::rig::text;

pub fn agent(user: &str, password: &str) -> String {
    let hash = PasswordHash::make(password, [7; 16]);
    format!("[[agent]]\nuser = \"{user}\"\npassword = \"{}\"\ndns = [\"5001\"]\n", hash.as_str())
}

async fn start(file: &Path, look: Duration) -> RunningApp {
    let config = Config::load(file).expect("a good configuration");
    let app = App::new(config).state_folder(file.parent().expect("a folder")).watch_file(file);
    app.certificate_look(look).run().await.expect("started")
}

/// Logs in by the first GET, and returns whether a cookie came.
async fn log_in(address: SocketAddr, basic: &str) -> bool {
    let request = format!(
        "GET /api/v2/notifications HTTP/1.1\r\nHost: localhost:{}\r\nAuthorization: Basic {basic}\r\nConnection: close\r\n\r\n",
        address.port()
    );
    let (head, _) = client::http(TcpStream::connect(address).await.expect("connected"), &request).await;
    head.lines().any(|line| line.to_ascii_lowercase().starts_with("set-cookie: jsessionid="))
}

/// `ann:one`, `ann:two`, `ben:one`
const ANN_ONE: &str = "YW5uOm9uZQ==";
const ANN_TWO: &str = "YW5uOnR3bw==";
const BEN_ONE: &str = "YmVuOm9uZQ==";

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_taken_up_from_the_file_while_the_gateway_runs() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("a.toml");
    fs::write(&file, text(&agent("ann", "one"))).expect("written");
    let app = start(&file, Duration::from_millis(20)).await;
    let address = app.addresses().http[1];
    assert!(log_in(address, ANN_ONE).await);
    assert!(!log_in(address, BEN_ONE).await);

    // A mistake changes nothing.
    fs::write(&file, text(&agent("ben", "one").replace("5001", "no number"))).expect("written");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(log_in(address, ANN_ONE).await);

    fs::write(&file, text(&format!("{}{}", agent("ann", "two"), agent("ben", "one")))).expect("written");
    let taken_up = async {
        while !log_in(address, BEN_ONE).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), taken_up).await.expect("taken up");
    assert!(!log_in(address, ANN_ONE).await);
    assert!(log_in(address, ANN_TWO).await);
    app.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_taken_up_at_once_when_it_is_asked_for_and_a_mistake_changes_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("a.toml");
    fs::write(&file, text(&agent("ann", "one"))).expect("written");
    // It would look by itself tomorrow.
    let app = start(&file, Duration::from_secs(86_400)).await;
    let (address, remote) = (app.addresses().http[1], app.remote());
    for wrong in [agent("ben", "one").replace("5001", "no number"), "[[agent]".to_owned()] {
        fs::write(&file, text(&wrong)).expect("written");
        assert!(remote.reload());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(log_in(address, ANN_ONE).await, "{wrong}");
    }
    fs::remove_file(&file).expect("removed");
    assert!(remote.reload(), "a file that is not there is a mistake as well");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(log_in(address, ANN_ONE).await);
    fs::write(&file, text(&format!("{}{}", agent("ann", "two"), agent("ben", "one")))).expect("written");
    assert!(remote.reload());
    let taken_up = async {
        while remote.agents().await.is_some_and(|agents| agents.now.len() != 2) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), taken_up).await.expect("taken up");
    assert!(log_in(address, ANN_TWO).await && !log_in(address, ANN_ONE).await);
    app.shutdown().await;
    assert!(!crate::rig::Rig::start().await.app.remote().reload(), "nothing is watched");
}

/// Asks for a path by a name, and returns the status.
async fn ask(address: SocketAddr, path: &str, host: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let stream = TcpStream::connect(("127.0.0.1", address.port())).await.expect("connected");
    let (head, _) = client::http(stream, &request).await;
    head.split(' ').nth(1).expect("a status").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_that_are_added_are_for_names_of_this_machine_and_its_own_listeners() {
    let folder = tempfile::tempdir().expect("folder");
    let wide = "[[listener]]\nbind = \"0.0.0.0:0\"\ntls = false\nallow_plain = true\n";
    let config = Config::parse(&text(wide), "a.toml", []).expect("a good configuration");
    let more = axum::Router::new().route("/more", axum::routing::get(|| async { "more" }));
    let app = App::new(config).state_folder(folder.path()).routes(more).run().await.expect("started");
    let (plain, wide) = (app.addresses().http[1], app.addresses().http[2]);
    assert_eq!(ask(plain, "/more", "localhost").await, "200");
    assert_eq!(ask(plain, "/more", "evil.example").await, "403");
    assert_eq!(ask(plain, "/config.json", "desk.example").await, "200", "an allowed origin, by a proxy");
    assert_eq!(ask(wide, "/more", "localhost").await, "404");
    app.shutdown().await;
}
