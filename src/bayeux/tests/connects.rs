use super::{Bench, agent, connect, http, sent, socket};
use crate::bayeux::server::{Audience, Config, Input};

#[test]
fn the_first_connect_is_answered_at_once_and_the_second_is_held_for_the_timeout() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.handshake(http(1), &anna, "");
    let first = bench.connect(http(2), &anna, &client);
    assert_eq!((&first[0]["successful"], &first[0]["id"]), (&true.into(), &"7".into()));
    assert!(bench.connect(http(3), &anna, &client).is_empty());
    assert!(bench.after(59).is_empty());
    let answer = sent(&bench.after(1), http(3));
    assert_eq!((answer.len(), &answer[0]["successful"]), (1, &true.into()));
}

#[test]
fn a_message_ends_a_held_poll_and_travels_before_the_reply() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.open(http(1), &anna, "");
    bench.subscribe(http(2), &anna, &client, r#""/v2/me/calls""#);
    bench.connect(http(3), &anna, &client);
    let outputs = bench.publish("/v2/me/calls", Audience::All, r#"{"n":1}"#);
    let answer = sent(&outputs, http(3));
    assert_eq!((&answer[0]["channel"], &answer[0]["data"]["n"]), (&"/v2/me/calls".into(), &1.into()));
    assert_eq!(answer[1]["channel"], "/meta/connect");
}

#[test]
fn a_message_between_connects_answers_the_next_one_at_once() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.open(http(1), &anna, "");
    bench.subscribe(http(2), &anna, &client, r#""/a""#);
    assert!(bench.publish("/a", Audience::All, "1").is_empty());
    let answer = bench.connect(http(3), &anna, &client);
    assert_eq!((answer.len(), &answer[0]["data"]), (2, &1.into()));
}

#[test]
fn a_newer_connect_ends_the_older_without_taking_its_events() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.open(http(1), &anna, "");
    bench.subscribe(http(2), &anna, &client, r#""/a""#);
    bench.connect(http(3), &anna, &client);
    let batch = super::Batch::read(&connect(&client, "").into(), &super::Limits::default()).expect("a batch");
    let outputs = bench.input(Input::Request { peer: http(4), caller: anna, batch });
    let older = sent(&outputs, http(3));
    assert_eq!((&older[0]["successful"], &older[0]["advice"]["reconnect"]), (&false.into(), &"none".into()));
    assert!(sent(&outputs, http(4)).is_empty());
    assert_eq!(sent(&bench.publish("/a", Audience::All, "1"), http(4)).len(), 2);
}

#[test]
fn a_disconnect_answers_the_held_connect_with_advice_not_to_come_again() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.open(http(1), &anna, "");
    bench.connect(http(2), &anna, &client);
    let text = format!(r#"{{"channel":"/meta/disconnect","clientId":"{client}"}}"#);
    let batch = super::Batch::read(&text.into(), &super::Limits::default()).expect("a batch");
    let outputs = bench.input(Input::Request { peer: http(3), caller: anna.clone(), batch });
    assert_eq!(sent(&outputs, http(2))[0]["advice"]["reconnect"], "none");
    assert_eq!(sent(&outputs, http(3))[0]["successful"], true);
    assert_eq!(bench.connect(http(4), &anna, &client)[0]["error"], "402::Unknown client");
}

#[test]
fn advice_is_sixty_seconds_no_interval_and_retry() {
    let mut bench = Bench::new(Config::default());
    let reply = bench.ask(http(1), &agent("anna"), r#"{"channel":"/meta/handshake"}"#).remove(0);
    let advice = serde_json::json!({"reconnect": "retry", "interval": 0, "timeout": 60000});
    assert_eq!(reply["advice"], advice);
    let client = reply["clientId"].as_str().expect("a clientId").to_owned();
    let asked = bench.ask(http(2), &agent("anna"), &connect(&client, r#","advice":{"timeout":0}"#));
    assert_eq!(asked[0]["advice"], advice);
    let again = bench.ask(http(3), &agent("anna"), &connect(&client, r#","advice":{"timeout":0}"#));
    assert_eq!(again.len(), 1, "a timeout of zero is not held");
}

#[test]
fn a_second_tab_of_a_browser_is_told_so_and_is_not_held() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let first = bench.open(http(1), &anna, "");
    let second = bench.open(http(2), &anna, "");
    assert!(bench.connect(http(3), &anna, &first).is_empty());
    let told = bench.connect(http(4), &anna, &second);
    assert_eq!(told[0]["advice"]["multiple-clients"], true);
    assert_eq!(told[0]["advice"]["interval"], 2000);
    let ben = agent("ben");
    let other = bench.open(http(5), &ben, "");
    assert!(bench.connect(http(6), &ben, &other).is_empty(), "another browser is held");
}

#[test]
fn a_tab_that_is_alone_again_is_held_and_its_interval_taken_back() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let first = bench.open(http(1), &anna, "");
    let second = bench.open(http(2), &anna, "");
    bench.connect(http(3), &anna, &first);
    bench.connect(http(4), &anna, &second);
    bench.input(Input::Gone(http(3)));
    assert!(bench.connect(http(5), &anna, &second).is_empty());
    let answer = sent(&bench.after(60), http(5));
    assert_eq!(answer[0]["advice"]["interval"], 0);
}

#[test]
fn tabs_with_websockets_are_all_held() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    for tab in 1..4 {
        let client = bench.open(socket(tab), &anna, "");
        assert!(bench.connect(socket(tab), &anna, &client).is_empty());
    }
}

#[test]
fn a_connect_that_shares_its_http_request_is_not_held() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.open(http(1), &anna, "");
    let text = format!(
        r#"[{{"channel":"/meta/connect","clientId":"{client}"}},{{"channel":"/chat","clientId":"{client}","data":1}}]"#
    );
    assert_eq!(bench.ask(http(2), &anna, &text).len(), 2);
    assert_eq!(bench.ask(socket(1), &anna, &text).len(), 1, "by websocket the other is answered meanwhile");
}

#[test]
fn unacknowledged_events_come_again_and_acknowledged_ones_do_not() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.handshake(http(1), &anna, r#""ack":true"#);
    let ack = |n: i64| connect(&client, &format!(r#","ext":{{"ack":{n}}}"#));
    let first = bench.ask(http(2), &anna, &ack(-1));
    assert_eq!(first[0]["ext"]["ack"], 1);
    bench.subscribe(http(3), &anna, &client, r#""/a""#);
    bench.publish("/a", Audience::All, "1");
    let sent = bench.ask(http(4), &anna, &ack(1));
    assert_eq!((&sent[0]["data"], &sent[1]["ext"]["ack"]), (&1.into(), &2.into()));
    let again = bench.ask(http(5), &anna, &ack(1));
    assert_eq!((&again[0]["data"], &again[1]["ext"]["ack"]), (&1.into(), &3.into()));
    assert!(bench.ask(http(6), &anna, &ack(3)).is_empty(), "nothing is left, so it is held");
}

#[test]
fn a_handshake_says_whether_the_server_acknowledges() {
    let mut bench = Bench::new(Config::default());
    let with = bench.ask(http(1), &agent("anna"), r#"{"channel":"/meta/handshake","ext":{"ack":true}}"#);
    assert_eq!(with[0]["ext"]["ack"], true);
    let without = bench.ask(http(2), &agent("anna"), r#"{"channel":"/meta/handshake"}"#);
    assert!(without[0].get("ext").is_none());
}

#[test]
fn timesync_tells_the_clock_and_how_long_the_connect_was_held() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.open(http(1), &anna, "");
    bench.ask(http(2), &anna, &connect(&client, r#","ext":{"timesync":{"tc":999000,"l":10,"o":5}}"#));
    let answer = sent(&bench.after(60), http(2));
    let wanted = serde_json::json!({"tc": 999_000, "ts": 1_000_000, "p": 60_000, "a": -985});
    assert_eq!(answer[0]["ext"]["timesync"], wanted);
}
