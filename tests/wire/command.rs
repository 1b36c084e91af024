//! The command line: one line for what is wrong, and a good end on a signal.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::rig::text;

fn crosspoint(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crosspoint"));
    command.current_dir(folder).env("CROSSPOINT_STATE", folder.join("state"));
    command
}

fn check(config: &str) -> Output {
    let folder = tempfile::tempdir().expect("folder");
    fs::write(folder.path().join("a.toml"), config).expect("written");
    crosspoint(folder.path()).args(["check", "a.toml"]).output().expect("ran")
}

fn refusal(config: &str) -> String {
    let output = check(config);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let line = String::from_utf8(output.stderr).expect("text");
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

#[test]
fn a_good_configuration_is_told_how_many_calls_it_carries() {
    let output = check(&text(""));
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with("a.toml: good\ncarries 15 calls: "), "{said}");
}

#[test]
fn what_is_wrong_with_a_configuration_is_one_line_with_file_and_key() {
    let unknown = refusal(&text("").replace("reserve = 2", "reserv = 2"));
    assert!(unknown.contains("a.toml") && unknown.contains("reserv"), "{unknown}");
    let path = refusal(&text("").replace("tls = false", "tls = false\npath = \"/metrics\""));
    assert!(path.contains("a.toml") && path.contains("path = /metrics"), "{path}");
    let files = "certificate = \"no.pem\"\nkey = \"no.key\"";
    let missing = refusal(&text("").replacen("[[listener]]", &format!("[[listener]]\n{files}"), 1));
    assert!(missing.contains("no.pem"), "{missing}");
    let plain =
        refusal(&text("").replace("tls = false", "tls = false\n[[listener]]\nbind = \"0.0.0.0:0\"\ntls = false"));
    assert!(plain.contains("allow_plain"), "{plain}");
    let tls = |files: &str| format!("[[sip]]\nbind = \"127.0.0.1:0\"\ntransport = \"tls\"\n{files}");
    let missing = refusal(&text(&tls(files)));
    assert!(missing.contains("no.pem"), "{missing}");
    let trunk = |address: &str, more: &str| {
        text(&tls("")).replace("addresses = [\"127.0.0.1:5999\"]", &format!("addresses = [\"{address}\"]\n{more}"))
    };
    let authority = refusal(&trunk("127.0.0.1;transport=tls", "tls = { ca = \"no-ca.pem\" }"));
    assert!(authority.contains("trunk genesys") && authority.contains("no-ca.pem"), "{authority}");
    let kind = refusal(&trunk("127.0.0.1;transport=ws", ""));
    assert!(kind.contains("a.toml") && kind.contains("transport=udp"), "{kind}");
}

#[tokio::test]
async fn a_name_that_dns_does_not_know_is_told_by_check_and_one_that_it_knows_is_good() {
    let dns = crate::dns::Dns::start().await;
    dns.a("sip.house.test", std::net::Ipv4Addr::LOCALHOST);
    let config = |name: &str| {
        let text = text(&format!("[dns]\nservers = [\"{}\"]", dns.address));
        text.replace("127.0.0.1:5999", name)
    };
    let (known, unknown) = (config("sip.house.test"), config("sip.hose.test"));
    let known = tokio::task::spawn_blocking(move || check(&known)).await.expect("ran");
    assert!(known.status.success(), "{}", String::from_utf8_lossy(&known.stderr));
    let line = tokio::task::spawn_blocking(move || refusal(&unknown)).await.expect("ran");
    assert!(line.contains("a.toml: trunk genesys: addresses = sip.hose.test"), "{line}");
}

#[test]
fn a_missing_file_is_one_line() {
    let folder = tempfile::tempdir().expect("folder");
    for task in [&["check", "none.toml"][..], &["serve", "--config", "none.toml"]] {
        let output = crosspoint(folder.path()).args(task).output().expect("ran");
        assert_eq!(output.status.code(), Some(1));
        let line = String::from_utf8(output.stderr).expect("text");
        assert!(line.starts_with("crosspoint: none.toml: ") && line.lines().count() == 1, "{line}");
    }
}

#[tokio::test]
async fn a_signal_ends_the_gateway_in_good_order() {
    let folder = tempfile::tempdir().expect("folder");
    fs::write(folder.path().join("a.toml"), text("")).expect("written");
    let log = fs::File::create(folder.path().join("log")).expect("created");
    let mut child = crosspoint(folder.path())
        .args(["serve", "--config", "a.toml"])
        .stderr(Stdio::from(log))
        .spawn()
        .expect("started");
    let said = || fs::read_to_string(folder.path().join("log")).expect("log");
    crate::rig::eventually(|| said().matches("pages and SIP over WebSocket").count() == 2).await;
    let begun = Instant::now();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("sent");
    let ended = tokio::task::spawn_blocking(move || child.wait()).await.expect("joined").expect("ended");
    assert_eq!(ended.code(), Some(0), "{}", said());
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_sighup_takes_up_the_agents_at_once_and_tells_a_mistake_in_one_line() {
    use rustix::process::{Pid, Signal, kill_process};
    let folder = tempfile::tempdir().expect("folder");
    let agent = crate::agents::agent("ann", "one");
    // In one step: the file is looked at every two seconds as well.
    let write = |text: &str| {
        fs::write(folder.path().join("new.toml"), text).expect("written");
        fs::rename(folder.path().join("new.toml"), folder.path().join("a.toml")).expect("renamed");
    };
    write(&text(&agent));
    let log = fs::File::create(folder.path().join("log")).expect("created");
    let mut child = crosspoint(folder.path())
        .args(["serve", "--config", "a.toml"])
        .stderr(Stdio::from(log))
        .spawn()
        .expect("started");
    let pid = Pid::from_child(&child);
    let said = || fs::read_to_string(folder.path().join("log")).expect("log");
    crate::rig::eventually(|| said().matches("pages and SIP over WebSocket").count() == 2).await;
    kill_process(pid, Signal::HUP).expect("sent");
    crate::rig::eventually(|| said().contains("agents are as they were")).await;
    let before = said().lines().count();
    write(&text(&agent.replace("5001", "no number")));
    kill_process(pid, Signal::HUP).expect("sent");
    crate::rig::eventually(|| said().contains("agents not reloaded")).await;
    // The next look by itself finds the same file, and has nothing to add.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let lines: Vec<String> = said().lines().skip(before).map(str::to_owned).collect();
    assert!(lines.len() == 1 && lines[0].contains("a.toml") && lines[0].contains("dns"), "{lines:?}");
    write(&text(&format!("{agent}{}", crate::agents::agent("ben", "two"))));
    kill_process(pid, Signal::HUP).expect("sent");
    crate::rig::eventually(|| said().contains("agents reloaded") && said().contains("agents=2")).await;
    kill_process(pid, Signal::TERM).expect("sent");
    let ended = tokio::task::spawn_blocking(move || child.wait()).await.expect("joined").expect("ended");
    assert_eq!(ended.code(), Some(0), "{}", said());
}

/// The configuration that the lab has by itself, on ports of this test's own. Returns the port that is 8090 there, too.
#[cfg(feature = "lab")]
fn own_lab() -> (String, u16) {
    let text = include_str!("../../config/lab.toml").to_owned();
    let tcp = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let udp = |ip: &str| std::net::UdpSocket::bind((ip, 0)).expect("a port").local_addr().expect("bound");
    let (guide, (first, last)) = (tcp(), crate::rig::media_ports());
    let text = ["8443", "8089", "8080"].iter().fold(text, |text, port| text.replacen(&format!(":{port}\""), ":0\"", 1));
    let text = text.replacen(":8090\"", &format!(":{guide}\""), 1);
    let text = text.replace("127.0.0.1:5060", &udp("127.0.0.1").to_string());
    let text = text.replace("127.0.0.2:5060", &udp("127.0.0.2").to_string());
    (text.replacen("10000-20000", &format!("{first}-{last}"), 1), guide)
}

#[cfg(feature = "lab")]
#[tokio::test]
async fn the_lab_that_is_shipped_passes_the_checks_of_the_guide_at_its_own_port() {
    let folder = tempfile::tempdir().expect("folder");
    let (config, port) = own_lab();
    fs::write(folder.path().join("lab.toml"), config).expect("written");
    let log = fs::File::create(folder.path().join("log")).expect("created");
    let mut child = crosspoint(folder.path())
        .args(["lab", "--config", "lab.toml"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(Stdio::from(log))
        .spawn()
        .expect("started");
    let said = || fs::read_to_string(folder.path().join("log")).expect("log");
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(
            child.try_wait().expect("a child").is_none() && begun.elapsed() < Duration::from_secs(30),
            "{}",
            said()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // As curl asks.
    let ask = async |line: &str, body: &str| {
        let request = format!(
            "{line} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        let (head, body) = crate::client::http(stream, &request).await;
        (head.get(9..12).expect("a status").to_owned(), body)
    };
    assert_eq!(ask("HEAD /ui/ad/v1/index.html", "").await.0, "200");
    assert_eq!(ask("HEAD /genesys/cometd", "").await.0, "405");
    let handshake = r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]"#;
    let (status, body) = ask("POST /genesys/cometd/handshake", handshake).await;
    let reply: serde_json::Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}"));
    assert_eq!(
        (status.as_str(), &reply[0]["successful"], &reply[0]["advice"]["reconnect"]),
        ("200", &true.into(), &"retry".into())
    );
    let client = reply[0]["clientId"].as_str().expect("a clientId");
    for channel in ["/v2/me/calls", "/v2/me/*", "/v2/me/**"] {
        let subscribe =
            serde_json::json!([{"channel": "/meta/subscribe", "clientId": client, "subscription": channel}]);
        let (status, body) = ask("POST /genesys/cometd", &subscribe.to_string()).await;
        let reply: serde_json::Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}"));
        let error = reply[0]["error"].as_str().unwrap_or_default();
        assert!(status == "200" && reply[0]["successful"] == false && error.starts_with("403"), "{channel}: {body}");
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("sent");
    let ended = tokio::task::spawn_blocking(move || child.wait()).await.expect("joined").expect("ended");
    assert_eq!(ended.code(), Some(0), "{}", said());
}

#[cfg(feature = "load")]
mod load {
    use super::*;

    fn ran(words: &[&str]) -> Output {
        let folder = tempfile::tempdir().expect("folder");
        crosspoint(folder.path()).arg("load").args(words).output().expect("ran")
    }

    fn said(words: &[&str]) -> String {
        let output = ran(words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    #[test]
    fn a_run_against_nothing_is_refused_in_one_line_that_names_the_option() {
        let output = ran(&[]);
        let line = String::from_utf8(output.stderr).expect("text");
        assert_eq!((output.status.code(), line.lines().count()), (Some(1), 1), "{line}");
        assert!(line.starts_with("crosspoint: --browsers: "), "{line}");
    }

    #[test]
    fn a_gateway_that_is_not_there_and_a_process_that_is_none_are_one_line() {
        let none = ["--browsers", "ws://127.0.0.1:9/ws", "--calls", "1", "--trunk", "127.0.0.1:0"];
        let output = ran(&none);
        let line = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success() && line.contains("crosspoint: 127.0.0.1:9: "), "{line}");
        let output = ran(&[&none[..], &["--pid", "2147483646"]].concat());
        let line = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success() && line.contains("pid 2147483646: there is no such process"), "{line}");
    }

    #[test]
    fn profiles_are_listed_and_each_explains_its_peer() {
        let list = said(&["--list-profiles"]);
        for name in ["crosspoint", "asterisk", "freeswitch", "rtpengine", "janus", "rustpbx"] {
            assert!(list.lines().any(|line| line.starts_with(name)), "{list}");
            assert!(said(&["--profile", name, "--help"]).contains("Settings that"), "{name}");
        }
    }

    #[test]
    fn a_self_test_hears_every_call_beside_the_floor_and_its_report_is_shown_and_compared() {
        let folder = tempfile::tempdir().expect("folder");
        let words =
            ["load", "--self", "--calls", "4", "--ramp", "8", "--hold", "5", "--json", "a.json", "--html", "a.html"];
        let output = crosspoint(folder.path()).args(words).output().expect("ran");
        let table = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{table}\n{}", String::from_utf8_lossy(&output.stderr));
        let line =
            |word: &str| table.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("{word}: {table}"));
        assert!(line("directions with the right sound").split_whitespace().last() == Some("8"), "{table}");
        assert!(line("CPU per call-second, ms").split_whitespace().count() >= 6, "{table}");
        let page = fs::read_to_string(folder.path().join("a.html")).expect("the page");
        assert!(page.contains("<svg") && !page.contains("src="));
        let show = crosspoint(folder.path()).args(["load", "--show", "a.json"]).output().expect("ran");
        assert_eq!(String::from_utf8(show.stdout).expect("text"), table);
        let compare = crosspoint(folder.path()).args(["load", "--compare", "a.json", "a.json"]).output().expect("ran");
        let compare = String::from_utf8(compare.stdout).expect("text");
        assert!(compare.contains("INVITE to 200, p50") && !compare.contains("not the same in both"), "{compare}");
    }
}

#[test]
fn a_password_on_the_input_is_hashed_for_an_agent() {
    use std::io::Write;
    let folder = tempfile::tempdir().expect("folder");
    let mut command = crosspoint(folder.path());
    let mut child = command.arg("hash-password").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
    child.stdin.take().expect("its input").write_all(b"correct horse\n").expect("written");
    let output = child.wait_with_output().expect("ended");
    let hash = String::from_utf8(output.stdout).expect("text");
    let hash = crosspoint::desk::PasswordHash::parse(hash.trim_end()).expect("a hash");
    assert!(hash.verify("correct horse"));
    let empty = crosspoint(folder.path()).arg("hash-password").stdin(Stdio::null()).output().expect("ran");
    assert_eq!(String::from_utf8_lossy(&empty.stderr), "crosspoint: the password is empty\n");
}
