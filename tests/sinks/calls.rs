//! A whole gateway with an agent's calls by SIP, ruled from a desktop, and all kinds of sinks behind it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::desk;
use crate::desktop::Desktop;
use crate::exchange::Exchange;
use crate::lines::Lines;
use crate::outbox::{Heard, PATIENCE, Server, free_port, ids, without_repetitions};
use crate::webhook::{Seen, serve};

const PASSWORD: &str = "one";
const SECRET: &str = "a secret of the two of us";

/// An agent at 5001, and the three kinds of sinks.
fn keys(cometd: u16, hook: u16, file: &Path) -> Vec<(String, String)> {
    let hash = crosspoint::desk::PasswordHash::make(PASSWORD, [7; 16]);
    let agent = format!("[{{ user = \"anna\", password = \"{}\", dns = [\"5001\"] }}]", hash.as_str());
    let sinks = [
        format!(
            "{{ name = \"desktop\", kind = \"cometd\", url = \"http://127.0.0.1:{cometd}/cometd\", login = \"session\", \
             login_url = \"http://127.0.0.1:{cometd}/login\", username = \"crosspoint\", password = \"secret\" }}"
        ),
        format!(
            "{{ name = \"hook\", kind = \"webhook\", url = \"http://127.0.0.1:{hook}/events\", secret = \"{SECRET}\" }}"
        ),
        format!("{{ name = \"log\", kind = \"lines\", file = \"{}\" }}", file.display()),
    ];
    let keys = [("agent", agent), ("desk.after_call_work_seconds", "0".to_owned())];
    let keys = keys.into_iter().chain([("sink", format!("[{}]", sinks.join(", ")))]);
    keys.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A customer calls; the agent answers, holds, retrieves and releases from its desktop. `midway` comes behind the answer.
async fn call(exchange: &Exchange, desktop: &Desktop, phone: &Lines, number: usize, midway: impl FnOnce()) {
    desktop.forget();
    exchange.call("5001", &format!("555010{number}")).await;
    let ringing = desktop.call_is("Ringing").await;
    let path = format!("POST /me/calls/{}", ringing["id"].as_str().unwrap());
    let mut midway = Some(midway);
    for (operation, state) in [("Answer", "Established"), ("Hold", "Held"), ("Retrieve", "Established")] {
        desktop.does(&path, json!({"operationName": operation})).await;
        if let Some(midway) = midway.take() {
            midway();
        }
        desktop.call_is(state).await;
        phone.talk(1).await;
        desktop.forget();
    }
    desktop.does(&path, json!({"operationName": "Hangup"})).await;
    desktop.call_is("Released").await;
    phone.talk(0).await;
}

fn text(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    // The last line may be on its way still.
    text.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
}

fn names(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["eventId"].as_str().unwrap().to_owned()).collect()
}

/// JavaScript writes 0.0 as 0.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(all) => all.iter().map(plain).collect(),
        Value::Object(all) => all.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        other => other.clone(),
    }
}

/// Of each call the numbers of its events in the order that they came in.
fn sequences(names: &[String], of: &str) -> BTreeMap<String, Vec<u64>> {
    let mut calls: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (call, number) in names.iter().filter_map(|name| name.rsplit_once('-')).filter(|(call, _)| call.contains(of)) {
        calls.entry(call.to_owned()).or_default().push(number.parse().unwrap());
    }
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_real_calls_come_to_every_sink_in_order_without_gaps_by_the_same_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let (heard, seen) = (Heard::default(), Arc::new(Mutex::new(Vec::<Seen>::new())));
    let (cometd, hook) = (free_port(), free_port());
    let delay = Duration::from_millis(5);
    let mut server = Some(Server::start_with(cometd, delay, "session", &heard));
    serve(hook, seen.clone(), |_| "204 No Content").await;

    let sip = desk::server();
    let rig = desk::rig(sip, &keys(cometd, hook, &file)).await;
    let exchange = Exchange::start(sip, rig.sip()).await;
    let desktop = Desktop::log_in(rig.http(), "anna", PASSWORD).await;
    let phone = Lines::sign_in(rig.http(), "5001").await;
    for number in 0..6 {
        let midway = || match number {
            // With what is on its way to it.
            2 => server.take().unwrap().kill(),
            4 => server = Some(Server::start_with(cometd, delay, "session", &heard)),
            _ => {}
        };
        call(&exchange, &desktop, &phone, number, midway).await;
    }
    let hooked = || seen.lock().unwrap().iter().flat_map(Seen::ids).collect::<Vec<_>>();
    let ends = |names: &[Value]| names.iter().filter(|event| event["data"]["call"]["state"] == "Released").count();
    let all = tokio::time::timeout(PATIENCE, async {
        loop {
            let log = text(&file);
            let has_all = |names: &[String]| without_repetitions(names).0.len() == log.len();
            if ends(&log) == 6 && has_all(&ids(&heard)) && has_all(&hooked()) {
                return log;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let log = all.await.unwrap_or_else(|_| panic!("{}\n{:?}", text(&file).len(), (ids(&heard).len(), hooked().len())));
    server.take().unwrap().kill();

    // Who was never away was told each event once.
    let names = names(&log);
    assert_eq!(hooked(), names);
    assert_eq!(without_repetitions(&names).1, 0);
    // Who was killed had some again, all in order.
    assert_eq!(without_repetitions(&ids(&heard)).0, names);
    let (heard, seen) = (heard.lock().unwrap(), seen.lock().unwrap());
    seen.iter().step_by(8).for_each(|seen| seen.assert_is_signed(SECRET));
    for (channel, event) in heard.iter() {
        let same = log.iter().find(|other| other["eventId"] == event["eventId"]);
        assert_eq!(same.map(plain), Some(plain(event)), "the same event, whatever the sink");
        let kind = event["channel"].as_str().and_then(|channel| channel.rsplit('/').next()).unwrap();
        assert_eq!(channel, &format!("/crosspoint/{kind}"));
    }
    let calls = sequences(&names, "-call-");
    assert_eq!(calls.len(), 6, "{calls:?}");
    for (call, numbers) in calls {
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "{call}");
        let of = |event: &&Value| event["eventId"].as_str().unwrap().rsplit_once('-').unwrap().0 == call;
        let states: Vec<&str> =
            log.iter().filter(of).filter_map(|event| event["data"]["call"]["state"].as_str()).collect();
        let mut steps = states.clone();
        steps.dedup();
        assert_eq!(steps, ["Ringing", "Established", "Held", "Established", "Released"], "{states:?}");
    }
}
