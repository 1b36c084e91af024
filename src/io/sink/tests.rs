use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::desk::UserName;
use crate::io::client::{Trust, address};

fn published(call: u64, sequence: u64, state: &str) -> Published {
    let data = format!(r#"{{"call":{{"state":"{state}"}}}}"#);
    Published {
        event_id: format!("00000000000000aa-call-{call}-{sequence}").into(),
        channel: "/v2/me/calls",
        owner: Some(UserName::from("anna")),
        dn: "5001".to_owned(),
        at_unix_ms: 1000,
        data: data.into(),
    }
}

fn lines(folder: &Path) -> SinkConfig {
    let config = LinesConfig { file: folder.join("events.jsonl"), max_bytes: u64::MAX, keep: 1 };
    SinkConfig { name: "log".to_owned(), kind: SinkKind::Lines(config) }
}

fn webhook(port: u16) -> SinkConfig {
    let config = WebhookConfig {
        url: address(&format!("http://127.0.0.1:{port}/events")).expect("an address"),
        secret: None,
        batch: 10,
        patience: Duration::from_millis(500),
        trust: Trust::default(),
    };
    SinkConfig { name: "hook".to_owned(), kind: SinkKind::Webhook(config) }
}

fn config(folder: &Path, sinks: Vec<SinkConfig>) -> Config {
    Config { folder: folder.join("outbox"), max_bytes: 1 << 30, sinks, status: StatusName::StatusChange }
}

fn ids(text: &str) -> Vec<String> {
    let each = text.lines().map(|line| journal::Heading::read(line.as_bytes()).expect("an envelope"));
    each.map(|heading| heading.event_id.into_owned()).collect()
}

/// What the JSON-lines sink wrote, once there are so many lines.
async fn written(folder: &Path, count: usize) -> Vec<String> {
    for _ in 0..500 {
        let text = std::fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
        if text.lines().count() >= count {
            return ids(&text);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not {count} events within 5 s");
}

const GRACE: Duration = Duration::from_secs(5);

/// What a process that is killed at this moment leaves.
fn image(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("outbox")).unwrap();
    for entry in std::fs::read_dir(from.join("outbox")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join("outbox").join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn events_come_out_in_order_and_a_second_run_repeats_none() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), vec![lines(folder.path())]);
    let (outbox, sinks) = spawn(&config).unwrap();
    let wanted: Vec<String> = (0..3000).map(|n| format!("00000000000000aa-call-1-{n}")).collect();
    (0..3000).for_each(|n| assert!(outbox.append(&published(1, n, "Held"))));
    assert!(outbox.append(&published(1, 3000, "Released")));
    assert_eq!(written(folder.path(), 3001).await[..3000], wanted);
    sinks.finish(GRACE).await;
    let (outbox, sinks) = spawn(&config).unwrap();
    assert!(outbox.append(&published(2, 0, "Released")));
    let all = written(folder.path(), 3002).await;
    assert_eq!((all.len(), all[3001].as_str()), (3002, "00000000000000aa-call-2-0"));
    sinks.finish(GRACE).await;
}

#[test]
fn the_end_of_a_call_comes_in_its_place_though_the_queue_is_full() {
    let (entry, mut inbox) = inbox::queue(2);
    let tally = Arc::new(SinkTally::new(&[]));
    let outbox = Outbox { entry, tally: tally.clone() };
    let taken =
        [(1, "Ringing"), (1, "Held"), (1, "Held"), (1, "Released"), (2, "Held"), (2, "Released"), (3, "Released")]
            .map(|(call, state)| outbox.append(&published(call, 0, state)));
    assert_eq!(taken, [true, true, false, true, false, true, false], "the bound holds for ends too");
    assert_eq!(tally.refused(), 3, "what is lost is counted");
    let mut next = || match inbox.next() {
        Some(Note::Event(event)) => {
            let text = String::from_utf8(event.to_vec()).unwrap();
            ["Ringing", "Held", "Released"].into_iter().find(|state| text.contains(state))
        }
        _ => None,
    };
    assert_eq!([next(), next()], [Some("Ringing"), Some("Held")]);
    assert!(outbox.append(&published(4, 0, "Ringing")), "there is room again");
    assert_eq!([next(), next(), next(), next()], [Some("Released"), Some("Released"), Some("Ringing"), None]);
}

#[tokio::test]
async fn after_a_kill_what_a_sink_missed_goes_first_and_open_calls_are_released() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens at the discard port of this machine.
    let (outbox, sinks) = spawn(&config(folder.path(), vec![lines(folder.path()), webhook(9)])).unwrap();
    outbox.append(&published(1, 0, "Ringing"));
    outbox.append(&published(2, 0, "Ringing"));
    outbox.append(&published(2, 1, "Released"));
    written(folder.path(), 3).await;
    let after = tempfile::tempdir().unwrap();
    image(folder.path(), after.path());
    sinks.finish(Duration::ZERO).await;

    // The same sink, by name, is a file in the new run.
    let hook = SinkConfig { name: "hook".to_owned(), ..lines(after.path()) };
    let (outbox, sinks) = spawn(&config(after.path(), vec![hook])).unwrap();
    outbox.append(&published(3, 0, "Released"));
    let all = written(after.path(), 5).await;
    let call = |n: &str| format!("00000000000000aa-call-{n}");
    assert_eq!(all, [call("1-0"), call("2-0"), call("2-1"), call("1-1"), call("3-0")]);
    let text = std::fs::read_to_string(after.path().join("events.jsonl")).unwrap();
    assert!(text.lines().nth(3).unwrap().contains(r#""reason":"gateway restart""#), "{text}");
    sinks.finish(GRACE).await;
}

#[tokio::test]
async fn a_journal_whose_tail_is_torn_is_read_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let (outbox, sinks) = spawn(&config(folder.path(), vec![webhook(9)])).unwrap();
    (0..10).for_each(|n| assert!(outbox.append(&published(1, n, "Held"))));
    sinks.finish(Duration::ZERO).await;
    let segment = writer::segments(&folder.path().join("outbox")).unwrap().pop().unwrap().1;
    let file = std::fs::OpenOptions::new().write(true).open(&segment).unwrap();
    file.set_len(file.metadata().unwrap().len() - 20).unwrap();
    let hook = SinkConfig { name: "hook".to_owned(), ..lines(folder.path()) };
    let (_outbox, sinks) = spawn(&config(folder.path(), vec![hook])).unwrap();
    let all = written(folder.path(), 10).await;
    // Of ten events nine are whole; the tenth's number is used again, by the release.
    assert_eq!(all, (0..10).map(|n| format!("00000000000000aa-call-1-{n}")).collect::<Vec<_>>());
    sinks.finish(GRACE).await;
}

#[tokio::test]
async fn a_sink_that_stays_away_costs_the_others_nothing_and_at_the_bound_loses_the_oldest() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), vec![lines(folder.path()), webhook(9)]);
    config.max_bytes = 300_000;
    let (outbox, sinks) = spawn(&config).unwrap();
    for n in 0..4000 {
        assert!(outbox.append(&published(1, n, "Held")));
        if n % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(written(folder.path(), 4000).await.len(), 4000);
    sinks.finish(Duration::ZERO).await;
    let used: u64 = writer::segments(&config.folder).unwrap().iter().map(|(.., len)| len).sum();
    assert!(used < 400_000, "{used} bytes");
    let other = SinkConfig { name: "hook".to_owned(), ..lines(&folder.path().join("outbox")) };
    let (_outbox, sinks) = spawn(&Config { sinks: vec![other], ..config.clone() }).unwrap();
    let tally = sinks.tally();
    tally.all_delivered().await;
    let figures = tally.figures().remove(0);
    assert!(figures.lost > 0 && figures.waiting == 0, "{figures:?}");
    // The call's release is one more.
    assert_eq!(figures.lost + figures.delivered, 4001);
    let text = std::fs::read_to_string(folder.path().join("outbox/events.jsonl")).unwrap();
    assert_eq!(ids(&text).last().unwrap(), "00000000000000aa-call-1-4000");
    sinks.finish(GRACE).await;
}

#[tokio::test]
async fn two_processes_do_not_share_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), Vec::new());
    let (_outbox, sinks) = spawn(&config).unwrap();
    assert!(matches!(spawn(&config), Err(SinkError::Folder { .. })));
    sinks.finish(GRACE).await;
}

#[tokio::test]
async fn an_event_that_is_no_json_is_counted_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (outbox, sinks) = spawn(&config(folder.path(), vec![lines(folder.path())])).unwrap();
    assert!(!outbox.append(&Published { data: Bytes::from_static(b"{"), ..published(1, 0, "Held") }));
    assert!(outbox.append(&published(1, 1, "Released")));
    assert_eq!(written(folder.path(), 1).await, ["00000000000000aa-call-1-1"]);
    assert_eq!(sinks.tally().refused(), 1);
    sinks.finish(GRACE).await;
}

#[tokio::test]
async fn a_file_of_lines_is_private_rotated_by_size_and_mended_where_it_was_torn() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    std::fs::write(&file, "{\"eventId\":\"whole\"}\n{\"eventId\":\"to").unwrap();
    let mut sink = lines::Lines::new(&LinesConfig { file: file.clone(), max_bytes: 100, keep: 2 });
    let event = |n: u64| Event { number: n, envelope: journal::envelope(&published(1, n, "Held")).unwrap() };
    assert_eq!(sink.deliver(&[event(0)]).await.unwrap(), 1);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("{\"eventId\":\"whole\"}\n{\"eventId\":\"00000000000000aa-call-1-0\""), "{text}");
    for n in 1..4 {
        sink.deliver(&[event(n)]).await.unwrap();
    }
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(ids(&text("events.jsonl")), ["00000000000000aa-call-1-3"]);
    assert_eq!(ids(&text("events.jsonl.1")), ["00000000000000aa-call-1-2"]);
    assert_eq!(ids(&text("events.jsonl.2")), ["00000000000000aa-call-1-1"]);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // Somebody else rotates.
    std::fs::rename(&file, folder.path().join("away")).unwrap();
    sink.deliver(&[event(4)]).await.unwrap();
    assert_eq!(ids(&text("events.jsonl")), ["00000000000000aa-call-1-4"]);
}

/// A web server of few words: each request gets the next answer, the last one from then on. Returns the bodies.
async fn server(answers: &'static [&'static str]) -> (u16, Arc<Mutex<Vec<(String, String)>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (bodies, count) = (seen.clone(), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (bodies, count) = (bodies.clone(), count.clone());
            tokio::spawn(async move {
                let mut request = Vec::new();
                loop {
                    let mut chunk = [0; 4096];
                    let Ok(read @ 1..) = stream.read(&mut chunk).await else { return };
                    request.extend_from_slice(&chunk[..read]);
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let len = head
                        .lines()
                        .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
                    if body.len() < len.unwrap_or(0) {
                        continue;
                    }
                    let answer = answers[count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
                    bodies.lock().unwrap().push((head.to_owned(), body.to_owned()));
                    request.clear();
                    if answer == "hang" {
                        return tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                    let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    (port, seen)
}

#[tokio::test]
async fn a_web_server_that_fails_hangs_and_forbids_gets_the_same_events_again_until_it_takes_them() {
    let (port, seen) = server(&["500 No", "hang", "401 No", "404 No", "204 Yes"]).await;
    let folder = tempfile::tempdir().unwrap();
    let (outbox, sinks) = spawn(&config(folder.path(), vec![webhook(port)])).unwrap();
    outbox.append(&published(1, 0, "Ringing"));
    let tally = sinks.tally();
    tokio::time::timeout(Duration::from_secs(10), tally.all_delivered()).await.unwrap();
    let figures = tally.figures().remove(0);
    assert_eq!((figures.delivered, figures.failures, figures.refused), (1, 4, 0));
    outbox.append(&published(1, 1, "Released"));
    tokio::time::timeout(Duration::from_secs(10), tally.all_delivered()).await.unwrap();
    let bodies: Vec<String> = seen.lock().unwrap().iter().map(|(_, body)| body.clone()).collect();
    assert!(bodies.len() == 6 && bodies[..5].iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert!(bodies[5].starts_with(r#"[{"eventId":"00000000000000aa-call-1-1""#));
    sinks.finish(GRACE).await;
}

#[tokio::test]
async fn events_that_a_web_server_refuses_together_go_singly_and_the_refused_one_is_counted() {
    // The first of the three is refused again when it comes alone.
    let (port, seen) = server(&["422 No", "422 No", "200 Yes"]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut sinks_of = config(folder.path(), vec![webhook(port)]);
    let hook = sinks_of.sinks.remove(0);
    let SinkKind::Webhook(hook) = hook.kind else { unreachable!() };
    let tally = Arc::new(SinkTally::new(&["hook"]));
    let mut sink = webhook::Webhook::new("hook", &hook, tally.clone(), 0).unwrap();
    let event = |n: u64| Event { number: n, envelope: journal::envelope(&published(1, n, "Held")).unwrap() };
    let mut events = vec![event(0), event(1), event(2)];
    let mut settled = Vec::new();
    while !events.is_empty() {
        match sink.deliver(&events).await {
            Ok(count) => settled.extend(events.drain(..count).map(|event| event.number)),
            Err(error) => assert_eq!(error.to_string(), "status 422"),
        }
    }
    assert_eq!(settled, [0, 1, 2]);
    let counts: Vec<usize> = seen.lock().unwrap().iter().map(|(_, body)| body.matches("eventId").count()).collect();
    assert_eq!(counts, [3, 1, 1, 1]);
    tally.settled(0, 3, 3);
    assert_eq!((tally.figures()[0].refused, tally.figures()[0].delivered), (1, 2));
}
