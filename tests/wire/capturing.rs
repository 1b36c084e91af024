//! A captured call from outside: the file, as tshark reads it, and the way to it by HTTP.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crosspoint::call::{CaptureEnd, EventKind};
use crosspoint::codec::{g711, opus};
use crosspoint::io::tally::Count;
use crosspoint::lab::scenario::AgentAct;
use crosspoint::lab::{self, Behaviour, LabConfig, LabHandle, Sound};
use tokio::net::TcpStream;

use crate::client::{Request, dial_as, get, http, open_plain};
use crate::desk::{Desk, no_call_is_left, rig, server};
use crate::rig::{Rig, eventually};
use crate::tshark;
use crate::voice::Voice;

const HZ: f64 = 700.0;

/// A gateway that writes captures to `folder`, its lab, and the phone of 5001.
async fn scene(folder: &Path, keys: &[(&str, &str)]) -> (Rig, LabHandle, Desk) {
    let sip = server();
    let folder = ("capture.folder".to_owned(), format!("{:?}", folder.to_str().expect("utf-8")));
    let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let rig = rig(sip, &keys.chain([folder]).collect::<Vec<_>>()).await;
    let numbers = ["6001", "6002"].map(|number| (number.to_owned(), Behaviour::Answer(Sound::Echo))).to_vec();
    let lab = lab::start(LabConfig {
        sip,
        gateway: rig.sip(),
        numbers,
        schedule: None,
        password: None,
        ..LabConfig::default()
    })
    .expect("started");
    let desk = Desk::sign_in(&rig).await;
    (rig, lab, desk)
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("a file").path()).collect()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("there").permissions().mode() & 0o777
}

async fn ask(rig: &Rig, method: &str, path: &str, more: &str) -> (u16, String) {
    let address = rig.http();
    let port = address.port();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{more}Connection: close\r\n\r\n");
    let (head, body) = http(TcpStream::connect(address).await.expect("connected"), &request).await;
    (head[9..12].parse().expect("a status"), body)
}

/// What tshark reads without any hint: the descriptions are in the file.
fn fields(file: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
    tshark::fields(file, filter, &["-o", "udp.try_heuristic_first:TRUE"], fields)
}

/// Power of the tone relative to that of the whole.
fn purity(pcm: &[i16], hz: f64) -> f64 {
    let at = |n: usize| n as f64 * std::f64::consts::TAU * hz / 8000.0;
    let sum = |wave: fn(f64) -> f64| pcm.iter().enumerate().map(|(n, s)| f64::from(*s) * wave(at(n))).sum::<f64>();
    let whole: f64 = pcm.iter().map(|s| f64::from(*s).powi(2)).sum();
    2.0 * (sum(f64::sin).powi(2) + sum(f64::cos).powi(2)) / pcm.len() as f64 / whole.max(1.0)
}

fn payloads(file: &Path, filter: &str) -> Vec<Vec<u8>> {
    let bytes = |hex: &String| {
        let pairs = hex.as_bytes().chunks_exact(2);
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    };
    fields(file, filter, &["rtp.payload"]).iter().map(bytes).collect()
}

fn assert_tone(pcm: &[i16], what: &str) {
    // Beginnings and ends left out.
    let second = &pcm[pcm.len() / 2 - 4000..][..8000];
    let purity = purity(second, HZ);
    assert!(purity > 0.8, "{what}: {purity}");
}

fn assert_sound(file: &Path, gateway: &str, browser: u16, trunk: &str) {
    let g711 = |filter: &str| {
        let mut pcm = Vec::new();
        for payload in payloads(file, filter) {
            let mut out = [0; 960];
            let len = g711::decode_ulaw(&payload, &mut out);
            pcm.extend_from_slice(&out[..len]);
        }
        pcm
    };
    let opus = |filter: &str| {
        let mut decoder = opus::Decoder::new().expect("libopus");
        let mut pcm = Vec::new();
        for payload in payloads(file, filter) {
            let mut out = [0; 960];
            let len = decoder.decode(&payload, &mut out).expect("a packet of Opus");
            pcm.extend_from_slice(&out[..len]);
        }
        pcm
    };
    let to_trunk = format!("rtp.p_type == 0 && ip.src == {gateway} && ip.dst == {trunk}");
    let of_trunk = format!("rtp.p_type == 0 && ip.src == {trunk} && ip.dst == {gateway}");
    assert_tone(&g711(&to_trunk), "to the trunk");
    assert_tone(&g711(&of_trunk), "from the trunk");
    assert_tone(&opus(&format!("rtp.p_type == 111 && udp.srcport == {browser}")), "from the browser");
    assert_tone(&opus(&format!("rtp.p_type == 111 && udp.dstport == {browser}")), "to the browser");
}

#[tokio::test(flavor = "multi_thread")]
async fn wireshark_reads_signalling_and_sound_of_a_captured_call() {
    let state = tempfile::tempdir().expect("a folder");
    let folder = state.path().join("captures");
    let (rig, lab, desk) = scene(&folder, &[("capture.always", "true")]).await;
    let mut events = rig.app.events();
    let voice = Voice::new();
    let browser = voice.address().port();
    desk.phone().sdp = voice.offer();
    desk.act(AgentAct::Dials("6001".into())).await.expect("dialled");
    desk.act(AgentAct::IsTalking).await.expect("answered");
    let answer = desk.phone().log.iter().rfind(|m| m.starts_with("SIP/2.0 200 ") && m.contains("m=audio")).cloned();
    let answer = answer.expect("an answer").split_once("\r\n\r\n").expect("a body").1.to_owned();
    let heard = tokio::task::spawn_blocking(move || voice.speak(&answer, HZ, 200)).await.expect("spoken");
    assert!(heard > 100, "{heard}");
    desk.act(AgentAct::HangsUp).await.expect("hung up");
    no_call_is_left(&rig).await;
    let mut kinds = Vec::new();
    while !matches!(kinds.last(), Some(EventKind::Released { .. })) {
        kinds.push(events.next().await.expect("an event").kind.clone());
    }
    let trunk = lab.address().ip().to_string();
    let files = captures(&folder);
    let [file] = &files[..] else { panic!("{files:?}") };
    // What answers the last requests is written too, though the call is over.
    eventually(|| fields(file, "sip.CSeq.method == BYE && sip.Status-Code == 200", &["frame.number"]).len() == 2).await;
    rig.app.shutdown().await;
    let name = file.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
    assert!(kinds.contains(&EventKind::CaptureStarted { name: name.clone() }), "{kinds:?}");
    assert!(kinds.contains(&EventKind::CaptureStopped { name, why: CaptureEnd::CallEnded }), "{kinds:?}");
    assert_eq!((mode(&folder), mode(file)), (0o700, 0o600));

    // Both dialogs, from INVITE to the answer of BYE; and nothing else.
    let mut dialogs = fields(file, "sip", &["sip.Call-ID"]);
    dialogs.sort();
    dialogs.dedup();
    assert_eq!(dialogs.len(), 2, "{dialogs:?}");
    for dialog in &dialogs {
        let said = fields(file, &format!("sip.Call-ID == {dialog:?}"), &["sip.Method", "sip.Status-Code"]);
        for wanted in ["INVITE\t", "\t180", "\t200", "ACK\t", "BYE\t"] {
            let is_there = said.iter().any(|line| line == wanted || wanted == "\t180" && line == "\t183");
            assert!(is_there, "{wanted:?} of {dialog}: {said:?}");
        }
        assert_eq!(said.last().map(String::as_str), Some("\t200"), "the answer to the BYE: {said:?}");
    }
    assert_eq!(fields(file, "sip && udp.port == 5060 && ip.addr == 0.0.0.0", &["frame.number"]), [""; 0]);
    // Four streams, by the descriptions alone.
    let codecs = fields(file, "rtp && !rtcp", &["rtp.ssrc", "rtp.p_type"]);
    let mut streams = codecs.clone();
    streams.sort();
    streams.dedup();
    assert_eq!(streams.len(), 4, "{streams:?}");
    for stream in &streams {
        let packets = codecs.iter().filter(|line| *line == stream).count();
        assert!(packets > 100, "{stream}: {packets}");
    }
    assert_eq!(fields(file, "rtp && !rtp.payload", &["frame.number"]), [""; 0], "taken for SRTP");
    assert!(!fields(file, "rtcp", &["frame.number"]).is_empty() || heard < 200, "reports");
    let complaints = fields(file, "_ws.malformed || _ws.expert.severity >= 0x600000", &["_ws.expert.message"]);
    assert_eq!(complaints, [""; 0]);
    let times: Vec<f64> = fields(file, "frame", &["frame.time_epoch"]).iter().map(|t| t.parse().unwrap()).collect();
    assert!(times.is_sorted());
    assert_sound(file, "127.0.0.1", browser, &trunk);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_of_two_is_captured_by_http_and_nothing_of_the_other() {
    let state = tempfile::tempdir().expect("a folder");
    let (rig, _lab, desk) = scene(state.path(), &[]).await;
    desk.act(AgentAct::Dials("6001".into())).await.expect("dialled");
    desk.act(AgentAct::IsTalking).await.expect("answered");
    let (status, body) = ask(&rig, "GET", "/api/calls", "").await;
    let shown: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, shown.as_array().map(Vec::len)), (200, Some(1)));
    let call = &shown[0];
    assert_eq!((&call["dn"], &call["peer"], &call["state"]), (&"5001".into(), &"6001".into(), &"established".into()));
    assert!(call.get("capture").is_none(), "{call}");
    let id = call["id"].as_str().expect("an id");
    let path = format!("/api/calls/{id}/capture");

    for (method, path, more, wanted) in [
        ("POST", path.as_str(), "Origin: http://localhost\r\n", 403),
        ("DELETE", path.as_str(), "Origin: https://evil.example\r\n", 403),
        ("POST", "/api/calls/call-999/capture", "", 404),
        ("POST", "/api/calls/x/capture", "", 404),
        ("PUT", path.as_str(), "", 405),
    ] {
        assert_eq!(ask(&rig, method, path, more).await.0, wanted, "{method} {path} {more}");
    }
    assert!(captures(state.path()).is_empty());

    let (status, body) = ask(&rig, "POST", &path, "").await;
    let shown: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let file = state.path().join(shown["capture"].as_str().expect("a file"));
    assert_eq!(status, 200);
    // Another call meanwhile, and a sign-in: nothing of them is in the file.
    let mut other = open_plain(rig.http(), Request::default()).await.unwrap_or_else(|_| panic!("a WebSocket"));
    assert!(other.sign_in("5002").await.starts_with("SIP/2.0 200 "));
    dial_as(&mut other, "5002", "6002").await;
    while !other.sip().await.starts_with("SIP/2.0 200 ") {}
    desk.act(AgentAct::Holds).await.expect("held");
    let (status, body) = ask(&rig, "DELETE", &path, "").await;
    assert_eq!((status, body.contains("capture\":")), (200, false), "{body}");
    let written = file.clone();
    eventually(move || {
        // Closed at once: it is whole.
        !fields(&written, "sip", &["frame.number"]).is_empty()
    })
    .await;
    desk.act(AgentAct::Retrieves).await.expect("retrieved");
    let methods = fields(&file, "sip", &["sip.Method", "sdp.media_attr"]);
    let holds = methods.iter().filter(|line| line.starts_with("INVITE\t") && line.contains("sendonly")).count();
    assert_eq!(holds, 2, "the hold on both legs, and no retrieval: {methods:?}");
    let mut dialogs = fields(&file, "sip", &["sip.Call-ID"]);
    dialogs.sort();
    dialogs.dedup();
    assert_eq!(dialogs.len(), 2, "{dialogs:?}");
    assert!(dialogs.iter().all(|id| id != "c6002" && !id.starts_with("REGISTER")), "{dialogs:?}");
    assert_eq!(captures(state.path()), [file]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_nothing_is_counted_and_told_and_the_call_goes_on() {
    let state = tempfile::tempdir().expect("a folder");
    let folder = state.path().join("captures");
    let (rig, _lab, desk) = scene(&folder, &[("capture.always", "true")]).await;
    let mut events = rig.app.events();
    // It was there when the gateway started.
    std::fs::remove_dir(&folder).expect("an empty folder");
    desk.act(AgentAct::Dials("6001".into())).await.expect("dialled");
    desk.act(AgentAct::IsTalking).await.expect("answered");
    loop {
        let kind = events.next().await.expect("an event").kind.clone();
        if let EventKind::CaptureStopped { why, .. } = kind {
            assert_eq!(why, CaptureEnd::Failed);
            break;
        }
    }
    assert_eq!(rig.app.tally().get(Count::CaptureFailed), 1);
    let (_, metrics) = get(rig.http(), "/metrics").await;
    assert!(metrics.contains("crosspoint_shell_total{what=\"capture_failed\"} 1\n"), "{metrics}");
    desk.act(AgentAct::HangsUp).await.expect("the call is unharmed");
    no_call_is_left(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_ends_at_its_limit_and_so_do_all_together() {
    let state = tempfile::tempdir().expect("a folder");
    // A megabyte of somebody's is there already.
    std::fs::write(state.path().join("old.pcap"), vec![0; 1_000_000]).expect("written");
    let keys = [("capture.dns", "[\"5001-5002\"]"), ("capture.max_mb", "1"), ("capture.total_mb", "1")];
    let (rig, _lab, desk) = scene(state.path(), &keys).await;
    desk.act(AgentAct::Dials("6001".into())).await.expect("dialled");
    desk.act(AgentAct::IsTalking).await.expect("answered");
    eventually(|| rig.app.tally().get(Count::CaptureFull) == 1).await;
    assert_eq!(captures(state.path()).len(), 1, "no further file");
    tokio::time::timeout(Duration::from_secs(10), desk.act(AgentAct::HangsUp))
        .await
        .expect("in time")
        .expect("hung up");
    no_call_is_left(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_folder_nothing_is_captured() {
    let sip = server();
    let rig = rig(sip, &[]).await;
    let numbers = vec![("6001".to_owned(), Behaviour::Answer(Sound::Echo))];
    let lab = LabConfig { sip, gateway: rig.sip(), numbers, schedule: None, password: None, ..LabConfig::default() };
    let _lab = lab::start(lab).expect("started");
    let desk = Desk::sign_in(&rig).await;
    desk.act(AgentAct::Dials("6001".into())).await.expect("dialled");
    desk.act(AgentAct::IsTalking).await.expect("answered");
    assert_eq!(ask(&rig, "POST", "/api/calls/call-1/capture", "").await.0, 409);
}
