//! A browser under WebDriver: starts the driver and the browser, ends both by their own pid.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

/// Which browser to drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Debian's Chromium with its chromedriver.
    Chromium,
    /// Debian's Firefox ESR with geckodriver.
    Firefox,
}

/// A running browser with one page.
pub struct Browser {
    client: Client,
    _driver: Process,
    _sound: Option<Process>,
    _profile: tempfile::TempDir,
}

/// A process of ours and what it started, killed as a group of its own when dropped: a driver that is killed alone leaves
/// its browser behind.
struct Process(Child);

impl Process {
    fn spawn(command: &mut Command) -> Process {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        Process(quiet.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}; `make test` installs it")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.0.wait();
    }
}

impl Browser {
    /// Starts a browser of its own for one test, and opens `url` in it. `wave` is what its microphone hears (Chromium only).
    pub async fn open(kind: Kind, url: &str, wave: Option<&Path>) -> Browser {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let (program, capabilities) = match kind {
            Kind::Chromium => ("chromedriver".into(), chromium(profile.path(), wave)),
            Kind::Firefox => (geckodriver(), firefox()),
        };
        let mut command = Command::new(&program);
        command.arg(format!("--port={port}"));
        let mut sound = None;
        if kind == Kind::Firefox {
            let socket = profile.path().join("sound.socket");
            sound = Some(null_sound_card(profile.path(), &socket).await);
            // Firefox wants a home that it may write to.
            command.env("HOME", profile.path()).env("PULSE_SERVER", format!("unix:{}", socket.display()));
            command.arg("--log=fatal").arg(format!("--websocket-port={}", free_port()));
        }
        let driver = Process::spawn(&mut command);
        let client = connect(port, capabilities).await;
        client.goto(url).await.expect("the page opens");
        Browser { client, _driver: driver, _sound: sound, _profile: profile }
    }

    /// Runs `body`, the body of an async function, in the page, and returns what it returns.
    pub async fn run(&self, body: &str, arguments: &[Value]) -> Result<Value, String> {
        let script = format!(
            "const done = arguments[arguments.length - 1]; const args = Array.from(arguments).slice(0, -1);
             (async (args) => {{ {body} }})(args).then((value) => done({{ value }}), (e) => done({{ error: String(e?.stack ?? e) }}));"
        );
        let reply = self.client.execute_async(&script, arguments.to_vec()).await.map_err(|e| e.to_string())?;
        match reply.get("error") {
            Some(error) => Err(error.as_str().unwrap_or("error").to_owned()),
            None => Ok(reply.get("value").cloned().unwrap_or(Value::Null)),
        }
    }

    /// Repeats `body` until it returns something truthy, at most for `limit`. An error is not the end: a page that is being
    /// loaded has nothing to look at yet.
    pub async fn until(&self, what: &str, body: &str, limit: Duration) -> Value {
        let start = std::time::Instant::now();
        loop {
            let found = self.run(body, &[]).await;
            match found {
                Ok(value) if is_truthy(&value) => return value,
                _ => assert!(start.elapsed() < limit, "{what}: not within {limit:?}, but {found:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Writes a picture of the page, for a person to look at.
    pub async fn screenshot(&self, file: &Path) -> io::Result<()> {
        let png = self.client.screenshot().await.map_err(io::Error::other)?;
        std::fs::write(file, png)
    }

    /// The WebDriver client, for keys and clicks.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Ends the browser in an orderly way.
    pub async fn close(self) {
        let _ = self.client.clone().close().await;
    }
}

fn is_truthy(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false)) && *value != json!("") && *value != json!(0)
}

/// A sound card that plays to nobody: Firefox's audio clock stands still without one.
async fn null_sound_card(home: &Path, socket: &Path) -> Process {
    let mut command = Command::new("pulseaudio");
    command.env("HOME", home).env("XDG_RUNTIME_DIR", home);
    command.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "-L", "module-null-sink"]);
    command.args(["-L", &format!("module-native-protocol-unix socket={} auth-anonymous=1", socket.display())]);
    let process = Process::spawn(&mut command);
    for _ in 0..100 {
        if socket.exists() {
            return process;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("pulseaudio does not start");
}

async fn connect(port: u16, capabilities: serde_json::Map<String, Value>) -> Client {
    let address = format!("http://127.0.0.1:{port}");
    let mut last = String::new();
    for _ in 0..100 {
        match ClientBuilder::new(HttpConnector::new()).capabilities(capabilities.clone()).connect(&address).await {
            Ok(client) => return client,
            Err(e) => last = e.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no WebDriver session: {last}");
}

fn chromium(profile: &Path, wave: Option<&Path>) -> serde_json::Map<String, Value> {
    let mut arguments: Vec<String> = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        "--window-size=1000,700",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    if let Some(wave) = wave {
        arguments.push(format!("--use-file-for-fake-audio-capture={}", wave.display()));
    }
    object(json!({
        "acceptInsecureCerts": true,
        "timeouts": { "script": 60_000 },
        "goog:chromeOptions": { "args": arguments },
    }))
}

fn firefox() -> serde_json::Map<String, Value> {
    object(json!({
        "acceptInsecureCerts": true,
        "timeouts": { "script": 60_000 },
        "moz:firefoxOptions": {
            "args": ["-headless"],
            "prefs": {
                "media.autoplay.default": 0,
                "media.navigator.streams.fake": true,
                "media.navigator.permission.disabled": true,
                // The fake devices and our gateway are both on loopback.
                "media.peerconnection.ice.loopback": true,
                "media.peerconnection.ice.obfuscate_host_addresses": false,
            },
        },
    }))
}

fn object(value: Value) -> serde_json::Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => unreachable!("written as an object"),
    }
}

/// geckodriver as `make test` installs it, else the one on the path.
fn geckodriver() -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin/geckodriver");
    if ours.exists() { ours } else { "geckodriver".into() }
}

/// A TCP port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound listener").port()
}
