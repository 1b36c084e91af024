//! The whole program against a stranger who has read its OpenAPI document: Schemathesis finds no answer that contradicts it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crosspoint::lab::scenario;

use crate::desktop::Desktop;
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

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_contradicts_the_openapi_document() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = home.join("target/rest/venv/bin/schemathesis");
    assert!(program.exists(), "Schemathesis is not installed: scripts/setup.sh test");
    let folder = tempfile::tempdir().expect("folder");
    let (_running, address) = started(folder.path()).await;
    let desktop = Desktop::enter(address, "anna", PASSWORD).await;
    let mut command = Command::new(program);
    command.current_dir(folder.path());
    command.arg("--config-file").arg(home.join("tests/wire/schemathesis.toml"));
    command.args(["run", &format!("http://{address}/api/v2/openapi.json"), "--no-color", "--seed", "1"]);
    command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "15"]);
    // It would end the login that the others need; tests/wire/cometd.rs has it.
    command.args(["--exclude-path", "/api/v2/logout"]);
    for field in [&desktop.cookie, &desktop.token] {
        command.args(["-H", field.trim()]);
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("joined").expect("ran");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    // What it has tried stands in its last lines; a run that asked for nothing would be none.
    assert!(said.contains("Selected: 23/24") && said.contains("Tested: 23"), "{said}");
}
