//! The whole program against a stranger who has read its OpenAPI document: Schemathesis finds no answer that contradicts it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crosspoint::lab::scenario;

use crate::desk;
use crate::desktop::Desktop;
use crate::exchange::Exchange;
use crate::lines::Lines;
use crate::rest::{PASSWORD, agents};
use crate::rig::text;

/// Ends the program with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the program with one plain listener at a port that was free; returns it when it answers.
async fn started(folder: &Path) -> (Running, SocketAddr) {
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = free.local_addr().expect("bound");
    drop(free);
    // The second listener of the site is the plain one.
    let mut keys = agents();
    keys.push(("listener.1.bind".to_owned(), format!("\"{address}\"")));
    let site = scenario::configure(&text(""), &keys).expect("a configuration");
    fs::write(folder.join("a.toml"), site).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_crosspoint"));
    command.args(["serve", "--config", "a.toml"]).current_dir(folder).env("CROSSPOINT_STATE", folder.join("state"));
    let log = fs::File::create(folder.join("log")).expect("created");
    let running = Running(command.stderr(Stdio::from(log)).spawn().expect("started"));
    let up = tokio::time::timeout(Duration::from_secs(10), async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
    up.await.unwrap_or_else(|_| panic!("it does not answer:\n{}", log()));
    (running, address)
}

/// Asks what there is to ask; `more` are further words of the command line. Returns what it said.
async fn asked(address: SocketAddr, folder: &Path, config: &Path, more: &[&str]) -> String {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/rest/venv/bin/schemathesis");
    assert!(program.exists(), "Schemathesis is not installed: scripts/setup.sh test");
    let desktop = Desktop::enter(address, "anna", PASSWORD).await;
    let mut command = Command::new(program);
    command.current_dir(folder).arg("--config-file").arg(config);
    command.args(["run", &format!("http://{address}/api/v2/openapi.json"), "--no-color", "--seed", "1"]).args(more);
    // It would end the login that the others need; tests/wire/cometd.rs has it.
    command.args(["--exclude-path", "/api/v2/logout"]);
    for field in [&desktop.cookie, &desktop.token] {
        command.args(["-H", field.trim()]);
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("joined").expect("ran");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn settings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/schemathesis.toml")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_contradicts_the_openapi_document() {
    let folder = tempfile::tempdir().expect("folder");
    let (_running, address) = started(folder.path()).await;
    let phases = ["--phases", "examples,coverage,fuzzing", "--max-examples", "15"];
    let said = asked(address, folder.path(), &settings(), &phases).await;
    // What it has tried stands in its last lines; a run that asked for nothing would be none.
    let count = |word: &str| {
        let digits = said.rsplit_once(word).map_or("", |(_, rest)| rest.split(['\n', '/']).next().unwrap_or_default());
        digits.trim().parse::<usize>().unwrap_or_else(|_| panic!("{word} {digits:?} in {said}"))
    };
    let (selected, tested) = (count("Selected:"), count("Tested:"));
    assert_eq!(count(&format!("Selected: {selected}/")), selected + 1, "all but the logout");
    assert!(tested == selected && tested > 20, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_about_a_call_under_way_contradicts_the_openapi_document() {
    let server = desk::server();
    let rig = desk::rig(server, &agents()).await;
    let exchange = Exchange::start(server, rig.sip()).await;
    let phone = Lines::sign_in(rig.http(), "5001").await;
    let uuid = exchange.call("5001", "5550100").await;
    phone.ring(1).await;
    let operations = "\n[[operations]]\ninclude-path-regex = '/me/calls/'\n";
    let settings = fs::read_to_string(settings()).expect("the settings") + operations;
    let settings = format!("{settings}parameters = {{ \"path.id\" = \"{uuid}\" }}\n");
    let folder = tempfile::tempdir().expect("folder");
    let config = folder.path().join("schemathesis.toml");
    fs::write(&config, settings).expect("written");
    let only = ["--include-path-regex", "/me/calls", "--phases", "examples,fuzzing", "--max-examples", "10"];
    // Where the last call has ended the customer calls once more.
    let customer = async {
        for time in 1.. {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if rig.app.figures().await.expect("the gateway lives").snapshot.calls.is_empty() {
                exchange.call_again("5001", "5550100", time).await;
            }
        }
    };
    let said = tokio::select! {
        said = asked(rig.http(), folder.path(), &config, &only) => said,
        () = customer => unreachable!("the customer never gives up"),
    };
    assert!(said.contains("Tested: 12"), "{said}");
}
