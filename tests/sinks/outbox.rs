//! Events, sinks, and the CometD server in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crosspoint::desk::{Published, StatusName, UserName};
use crosspoint::io::client::{Trust, address};
use crosspoint::io::sink::{self, CometdConfig, Login, SinkConfig, SinkKind, SinkTally};
use serde_json::Value;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Returns event `sequence` of a call that nobody releases.
pub fn published(sequence: u64) -> Published {
    event(1, sequence, "Held")
}

/// Returns an event of a call.
pub fn event(call: u64, sequence: u64, state: &str) -> Published {
    let event_id = id(call, sequence);
    Published {
        data: format!(r#"{{"eventId":"{event_id}","call":{{"id":"{call}","state":"{state}"}}}}"#).into(),
        event_id: event_id.into(),
        channel: "/v2/me/calls",
        owner: Some(UserName::from("anna")),
        dn: "5001".to_owned(),
        at_unix_ms: 1000,
    }
}

/// Returns the eventId of an event of [`event`].
pub fn id(call: u64, sequence: u64) -> String {
    format!("00000000000000aa-call-{call}-{sequence}")
}

/// Returns the settings of an outbox with one sink.
pub fn config(folder: &Path, kind: SinkKind) -> sink::Config {
    let sinks = vec![SinkConfig { name: "desktop".to_owned(), kind }];
    sink::Config { folder: folder.join("outbox"), max_bytes: 1 << 30, sinks, status: StatusName::StatusChange }
}

/// Returns a sink that publishes to a CometD server at this address.
pub fn cometd(at: SocketAddr, channel: &str) -> SinkKind {
    cometd_at(&format!("http://{at}"), channel, Login::None, Trust::default())
}

/// Returns a sink that publishes to a CometD server that is to be believed, and believes us.
pub fn cometd_at(base: &str, channel: &str, login: Login, trust: Trust) -> SinkKind {
    let url = address(&format!("{base}/cometd")).unwrap();
    SinkKind::Cometd(CometdConfig { url, channel: channel.to_owned(), login, trust })
}

/// Waits until every sink has all.
pub async fn delivered(tally: &SinkTally, events: u64) {
    let end = Instant::now() + PATIENCE;
    loop {
        let figures = tally.figures();
        if figures.iter().all(|f| f.waiting == 0 && f.delivered + f.refused >= events) {
            return;
        }
        assert!(Instant::now() < end, "{figures:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until the first sink has failed so often.
pub async fn failed(tally: &SinkTally, times: u64) {
    let end = Instant::now() + PATIENCE;
    while tally.figures()[0].failures < times {
        assert!(Instant::now() < end, "{:?}", tally.figures());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Takes out repetitions, and tells how many there were; what is left must be in order as it first came.
pub fn without_repetitions(ids: &[String]) -> (Vec<String>, usize) {
    let mut seen = std::collections::HashSet::new();
    let first: Vec<String> = ids.iter().filter(|id| seen.insert((*id).clone())).cloned().collect();
    let repetitions = ids.len() - first.len();
    (first, repetitions)
}

/// What a server was told: channel and event.
pub type Heard = Arc<Mutex<Vec<(String, Value)>>>;

/// Returns the ids of what was heard.
pub fn ids(heard: &Heard) -> Vec<String> {
    let heard = heard.lock().unwrap();
    heard.iter().map(|(_, event)| event["eventId"].as_str().unwrap().to_owned()).collect()
}

/// The official CometD server in a process of its own; killed when dropped.
pub struct Server {
    child: Child,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Starts it at a port, answering each publication after `delay`; what it hears is added to `heard`.
    pub fn start(port: u16, delay: Duration, heard: &Heard) -> Server {
        Server::start_with(port, delay, "none", heard)
    }

    /// Starts one that wants a login, `basic` or `session`, of the user `crosspoint` with the password `secret`.
    pub fn start_with(port: u16, delay: Duration, login: &str, heard: &Heard) -> Server {
        let mut server = Server::script("server.js", &[&port.to_string(), &delay.as_millis().to_string(), login]);
        let lines = BufReader::new(server.child.stdout.take().unwrap()).lines();
        let heard = heard.clone();
        server.reader = Some(std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The last line of a killed process may be torn.
                let Ok(mut told) = serde_json::from_str::<Value>(&line) else { continue };
                let channel = told["channel"].as_str().unwrap().to_owned();
                heard.lock().unwrap().push((channel, told["data"].take()));
            }
        }));
        server
    }

    /// Starts one of the scripts, and waits until it listens.
    pub fn script(name: &str, arguments: &[&str]) -> Server {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sinks/node");
        assert!(folder.join("node_modules").is_dir(), "`make test-sinks` fetches the CometD server");
        let mut child = Command::new("node")
            .arg(folder.join(name))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut first).unwrap();
        assert_eq!(first, "listening\n");
        Server { child, reader: None }
    }

    /// Ends it as `kill -9` does, and takes what it had still said.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns a port that nobody uses at this moment.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
