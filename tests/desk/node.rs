//! A Node.js process with one version of the client, under remote control.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Node {
    input: Mutex<ChildStdin>,
    /// Answers, by their number.
    answers: Mutex<mpsc::UnboundedReceiver<Value>>,
    events: Mutex<mpsc::UnboundedReceiver<Value>>,
    metas: Mutex<mpsc::UnboundedReceiver<Value>>,
    next: AtomicU64,
    child: Child,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    /// Starts the client of this version.
    pub async fn start(version: &str) -> Node {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/desk/node");
        assert!(folder.join("node_modules").is_dir(), "the clients are not installed: run `make desk-clients`");
        let mut child = Command::new("node")
            .arg("client.mjs")
            .arg(version)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node");
        let input = Mutex::new(child.stdin.take().expect("a pipe"));
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (say, answers) = mpsc::unbounded_channel();
        let (tell, events) = mpsc::unbounded_channel();
        let (note, metas) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The client's own log goes the same way.
                let Ok(said) = serde_json::from_str::<Value>(&line) else { continue };
                let to = if said.get("id").is_some() {
                    &say
                } else if said.get("event").is_some() {
                    &tell
                } else {
                    &note
                };
                let _ = to.send(said);
            }
        });
        let (answers, events, metas) = (Mutex::new(answers), Mutex::new(events), Mutex::new(metas));
        Node { input, answers, events, metas, next: AtomicU64::new(1), child }
    }

    /// Stops the whole process: it reads nothing until it is let go on.
    pub fn stop(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).expect("sent");
    }

    /// Has the client do something, and returns what came of it.
    pub async fn ask(&self, mut what: Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        what["id"] = json!(id);
        let line = format!("{what}\n");
        self.input.lock().await.write_all(line.as_bytes()).expect("written");
        let mut answers = self.answers.lock().await;
        loop {
            let said = tokio::time::timeout(PATIENCE, answers.recv()).await;
            let said = said.unwrap_or_else(|_| panic!("no answer to {what}")).expect("node lives");
            if said["id"] == json!(id) {
                assert!(said.get("error").is_none(), "{what}: {said}");
                return said["answer"].clone();
            }
        }
    }

    /// Returns the next event of any tab.
    pub async fn event(&self) -> Value {
        tokio::time::timeout(PATIENCE, self.events.lock().await.recv()).await.expect("an event").expect("node lives")
    }

    /// Returns the events that come within a time.
    pub async fn events_within(&self, time: Duration) -> Vec<Value> {
        let mut all = Vec::new();
        let mut events = self.events.lock().await;
        let _ = tokio::time::timeout(time, async {
            while let Some(event) = events.recv().await {
                all.push(event);
            }
        })
        .await;
        all
    }

    /// Waits for a reply on a meta channel that fits.
    pub async fn meta(&self, channel: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut metas = self.metas.lock().await;
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let said = metas.recv().await.expect("node lives");
                if said["meta"] == channel && fits(&said["message"]) {
                    return said["message"].clone();
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("no such reply on /meta/{channel}"))
    }
}
