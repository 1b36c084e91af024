//! The program itself, killed in a call and ended in good order: what its sinks have of the call.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::net::UdpSocket;

use crate::client::{Request, dial, open_plain};
use crate::rig::{eventually, text};

const SINK: &str = "[[sink]]\nname = \"log\"\nkind = \"lines\"\nfile = \"events.jsonl\"\n";

/// A place for a gateway to run in: its web port, and a trunk that says nothing.
struct Place {
    folder: tempfile::TempDir,
    web: SocketAddr,
    trunk: UdpSocket,
}

impl Place {
    async fn new() -> Place {
        Place::with(SINK).await
    }

    /// `more` is what its configuration says beside the ordinary.
    async fn with(more: &str) -> Place {
        let folder = tempfile::tempdir().expect("folder");
        let trunk = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let web = free.local_addr().expect("its address");
        let config = text(more).replace("127.0.0.1:5999", &trunk.local_addr().expect("its address").to_string());
        // The second listener is the plain one.
        let at = config.rfind("bind = \"127.0.0.1:0\"\n        tls = false").expect("the plain listener");
        let config = format!("{}{}", &config[..at], config[at..].replacen("127.0.0.1:0", &web.to_string(), 1));
        fs::write(folder.path().join("a.toml"), config).expect("written");
        Place { folder, web, trunk }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    async fn start(&self, log: &str) -> Child {
        let file = fs::File::create(self.path().join(log)).expect("created");
        let child = Command::new(env!("CARGO_BIN_EXE_crosspoint"))
            .current_dir(self.path())
            .env("CROSSPOINT_STATE", self.path().join("state"))
            .args(["serve", "--config", "a.toml"])
            .stderr(Stdio::from(file))
            .spawn()
            .expect("started");
        let said = || fs::read_to_string(self.path().join(log)).expect("log");
        eventually(|| said().matches("pages and SIP over WebSocket").count() == 2).await;
        child
    }

    /// What the sink has: of each event its id, the state of its call, and a reason.
    fn events(&self) -> Vec<(String, String, Option<String>)> {
        let text = fs::read_to_string(self.path().join("events.jsonl")).unwrap_or_default();
        let calls = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let calls = calls.filter(|event| event["channel"] == "/v2/me/calls");
        let word = |value: &Value| value.as_str().map(str::to_owned);
        calls
            .map(|event| {
                let data = &event["data"];
                let id = word(&event["eventId"]).expect("an id");
                assert_eq!(data["eventId"], id.as_str(), "inside as outside");
                (id, word(&data["call"]["state"]).expect("a state"), word(&data["reason"]))
            })
            .collect()
    }

    /// 5001 dials; returns once the sink has heard of it.
    async fn call(&self) -> impl Sized {
        let browser = self.dial().await;
        eventually(|| !self.events().is_empty()).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        browser
    }

    /// 5001 dials, and hears that it rings.
    async fn dial(&self) -> impl Sized {
        let mut browser = open_plain(self.web, Request::default()).await.unwrap_or_else(|_| panic!("a WebSocket"));
        assert!(browser.sign_in("5001").await.starts_with("SIP/2.0 200 "));
        for attempt in 0.. {
            dial(&mut browser, &format!("1555{attempt:07}")).await;
            if !browser.sip().await.starts_with("SIP/2.0 503 ") {
                break;
            }
            // Its first media ports are not bound yet.
            assert!(attempt < 100, "no room for a call");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut buffer = [0; 65_535];
        loop {
            let (length, gateway) = self.trunk.recv_from(&mut buffer).await.expect("received");
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if !text.starts_with("INVITE ") {
                continue;
            }
            let of = |name: &str| text.lines().find(|line| line.starts_with(name)).expect("the header").to_owned();
            let lines = [of("Via"), of("From"), format!("{};tag=t", of("To")), of("Call-ID"), of("CSeq")];
            let contact = format!("Contact: <sip:{}>", self.trunk.local_addr().expect("its address"));
            let ringing =
                format!("SIP/2.0 180 Ringing\r\n{}\r\n{contact}\r\nContent-Length: 0\r\n\r\n", lines.join("\r\n"));
            self.trunk.send_to(ringing.as_bytes(), gateway).await.expect("sent");
            break;
        }
        browser
    }
}

/// The events are those of one call, numbered without a gap.
fn assert_gapless(events: &[(String, String, Option<String>)]) {
    let (call, _) = events[0].0.rsplit_once('-').expect("a sequence");
    for (at, (id, ..)) in events.iter().enumerate() {
        assert_eq!(*id, format!("{call}-{at}"), "{events:?}");
    }
}

#[tokio::test]
async fn a_gateway_that_is_killed_in_a_call_releases_it_for_the_sinks_when_it_is_back() {
    let place = Place::new().await;
    let mut child = place.start("log").await;
    let _browser = place.call().await;
    child.kill().expect("killed");
    child.wait().expect("ended");
    let before = place.events();
    assert!(before.iter().all(|(_, state, _)| state == "Dialing" || state == "Ringing"), "{before:?}");
    let mut child = place.start("log2").await;
    eventually(|| place.events().len() > before.len()).await;
    // Until the journal says that the sink has it: else it would be told again, by the same name.
    tokio::time::sleep(Duration::from_millis(300)).await;
    child.kill().expect("killed");
    child.wait().expect("ended");
    let after = place.events();
    assert_gapless(&after);
    assert_eq!((after.len(), &after[..before.len()]), (before.len() + 1, &before[..]));
    let (_, state, reason) = &after[before.len()];
    assert_eq!((state.as_str(), reason.as_deref()), ("Released", Some("gateway restart")));
    // The next one has nothing more to say of it.
    let mut child = place.start("log3").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(place.events(), after);
}

#[tokio::test]
async fn a_gateway_that_is_ended_in_good_order_tells_its_sinks_of_the_end_of_each_call() {
    let place = Place::new().await;
    let mut child = place.start("log").await;
    let _browser = place.call().await;
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .expect("sent");
    let ended = tokio::task::spawn_blocking(move || child.wait()).await.expect("joined").expect("ended");
    assert_eq!(ended.code(), Some(0));
    let events = place.events();
    assert_gapless(&events);
    let (_, state, reason) = events.last().expect("events");
    assert!(state == "Released" && reason.as_deref() != Some("gateway restart"), "{events:?}");
}

#[cfg(feature = "lab")]
#[tokio::test(flavor = "multi_thread")]
async fn each_desktop_that_logs_in_again_hears_once_that_the_restart_released_its_call() {
    use crate::desktop::Desktop;

    // Without any sink: the journal is there for the desktops.
    let place = Place::with(&crate::agents::agent("anna", "one")).await;
    let mut child = place.start("log").await;
    let desktop = Desktop::log_in(place.web, "anna", "one").await;
    let _browser = place.dial().await;
    let call = desktop.call_is("Dialing").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let last = desktop.heard().into_iter().rfind(|data| data["call"]["id"] == call["id"]).expect("an event");
    child.kill().expect("killed");
    child.wait().expect("ended");

    let mut child = place.start("log2").await;
    let tabs = [
        Desktop::log_in(place.web, "anna", "one").await,
        // A second tab, which had the call on its screen as well.
        Desktop::log_in(place.web, "anna", "one").await,
    ];
    let (run_and_call, number) =
        last["eventId"].as_str().and_then(|id| id.rsplit_once('-')).expect("an id with a sequence");
    let next = number.parse::<u64>().expect("a number") + 1;
    for tab in &tabs {
        let released = tab.told("the end of the call", |data| data["call"]["state"] == "Released").await;
        assert_eq!(released["eventId"], format!("{run_and_call}-{next}"), "one more than the last of the run before");
        assert_eq!((&released["reason"], &released["event"]), (&"gateway restart".into(), &"CallReleased".into()));
        assert_eq!((&released["call"]["id"], &released["phoneNumber"]), (&call["id"], &"5001".into()));
        assert_eq!(released["call"]["capabilities"], serde_json::json!([]));
    }
    // The next connect of each session brings no repetition.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ends = |tab: &Desktop| tab.heard().iter().filter(|data| data["call"]["state"] == "Released").count();
    assert_eq!([ends(&tabs[0]), ends(&tabs[1])], [1, 1]);
    child.kill().expect("killed");
    child.wait().expect("ended");

    // The run after that has nothing to say of it.
    let mut child = place.start("log3").await;
    let desktop = Desktop::log_in(place.web, "anna", "one").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(ends(&desktop), 0, "{:?}", desktop.heard());
    child.kill().expect("killed");
    child.wait().expect("ended");
}
