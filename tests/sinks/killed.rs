//! A process that hands events over, and is killed.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crosspoint::io::sink::{self, LinesConfig, SinkKind};

use crate::outbox::{config, delivered, event, id, published};

/// Tells the child where its folder is.
const FOLDER: &str = "CROSSPOINT_TEST_OUTBOX";

fn lines(folder: &std::path::Path) -> SinkKind {
    SinkKind::Lines(LinesConfig { file: folder.join("events.jsonl"), max_bytes: u64::MAX, keep: 1 })
}

/// What the parent runs: it hands over an event each millisecond, and says so.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child of the tests beside it"]
async fn child() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("a folder"));
    let (outbox, _sinks) = sink::spawn(&config(&folder, lines(&folder))).unwrap();
    assert!(outbox.append(&event(2, 0, "Established")));
    assert!(outbox.append(&event(3, 0, "Established")) && outbox.append(&event(3, 1, "Released")));
    for n in 0.. {
        assert!(outbox.append(&published(n)));
        println!("event {n}");
        std::io::stdout().flush().unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_process_that_is_killed_all_but_the_last_50_ms_arrive_and_open_calls_are_released() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::child", "--ignored", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut handed = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(n) = line.strip_prefix("event ") {
            handed.push((Instant::now(), n.parse::<u64>().unwrap()));
        }
        if handed.len() == 700 {
            break;
        }
    }
    let killed = Instant::now();
    child.kill().unwrap();
    child.wait().unwrap();

    let (outbox, sinks) = sink::spawn(&config(folder.path(), lines(folder.path()))).unwrap();
    assert!(outbox.append(&event(9, 0, "Released")));
    let tally = sinks.tally();
    delivered(&tally, 1).await;
    sinks.finish(Duration::from_secs(1)).await;
    let text = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let all: Vec<String> = events.iter().map(|event| event["eventId"].as_str().unwrap().to_owned()).collect();
    let (first, _) = crate::outbox::without_repetitions(&all);

    let kept = first.iter().filter(|id| id.contains("-call-1-")).count() as u64 - 1;
    let due = handed.iter().filter(|(at, _)| killed.duration_since(*at) >= Duration::from_millis(50)).count() as u64;
    assert!(kept >= due, "{kept} of {} arrived; {due} were older than 50 ms", handed.len());
    // In order and without gaps: the calls, then the releases of the two that were open, then the new run.
    let calls = [id(2, 0), id(3, 0), id(3, 1)].into_iter().chain((0..kept).map(|n| id(1, n)));
    let wanted: Vec<String> = calls.chain([id(1, kept), id(2, 1), id(9, 0)]).collect();
    assert_eq!(first, wanted);
    let reasons: Vec<_> = events.iter().filter(|event| event["data"]["reason"] == "gateway restart").collect();
    assert_eq!(reasons.len(), 2);
    assert!(reasons.iter().all(|event| event["data"]["call"]["state"] == "Released"));
}
