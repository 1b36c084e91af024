use std::sync::Arc;

use super::{Bench, agent, http, sent, socket};
use crate::bayeux::Caller;
use crate::bayeux::server::{Config, Input, Output, Why};

#[test]
fn a_handshake_gives_a_client_id_the_version_and_the_transports() {
    let mut bench = Bench::new(Config::default());
    let reply = bench.ask(http(1), &agent("anna"), r#"{"channel":"/meta/handshake","id":"1"}"#).remove(0);
    assert_eq!((&reply["successful"], &reply["id"], &reply["version"]), (&true.into(), &"1".into(), &"1.0".into()));
    let types = serde_json::json!(["websocket", "long-polling", "callback-polling"]);
    assert_eq!(reply["supportedConnectionTypes"], types);
    assert_eq!(reply["clientId"].as_str().map(str::len), Some(40));
}

#[test]
fn a_handshake_stands_alone_in_its_request() {
    let mut bench = Bench::new(Config::default());
    let replies = bench.ask(
        http(1),
        &agent("anna"),
        r#"[{"channel":"/meta/handshake"},{"channel":"/meta/subscribe","subscription":"/a"}]"#,
    );
    assert!(replies.iter().all(|reply| reply["successful"] == false), "{replies:?}");
    assert_eq!(bench.server.sessions(), 0);
}

#[test]
fn a_refused_handshake_is_told_not_to_come_again() {
    let mut bench = Bench::new(Config::default());
    let banned = Caller { owner: None, cookie: Some(Arc::from("banned")) };
    let reply = bench.ask(http(1), &banned, r#"{"channel":"/meta/handshake"}"#).remove(0);
    assert_eq!((&reply["error"], &reply["advice"]["reconnect"]), (&"403::Handshake denied".into(), &"none".into()));
}

#[test]
fn an_unknown_client_is_told_to_shake_hands() {
    let mut bench = Bench::new(Config::default());
    for channel in ["/meta/connect", "/meta/subscribe", "/meta/unsubscribe", "/meta/disconnect", "/chat"] {
        let text = format!(r#"[{{"channel":"{channel}","clientId":"nobody","subscription":"/a","data":1}}]"#);
        let reply = bench.ask(http(1), &agent("anna"), &text).remove(0);
        assert_eq!(reply["error"], "402::Unknown client", "{channel}");
        assert_eq!(reply["advice"]["reconnect"], "handshake", "{channel}");
        assert_eq!(reply["channel"], channel);
    }
}

#[test]
fn a_stolen_client_id_is_unknown_without_its_cookie() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.open(http(1), &anna, "");
    let thieves = [
        agent("ben"),
        Caller::default(),
        Caller { owner: anna.owner.clone(), cookie: None },
        Caller { owner: None, cookie: anna.cookie.clone() },
    ];
    for thief in thieves {
        assert_eq!(bench.connect(http(2), &thief, &client)[0]["error"], "402::Unknown client");
        assert_eq!(bench.subscribe(http(3), &thief, &client, r#""/a""#)["error"], "402::Unknown client");
    }
    assert!(bench.connect(http(4), &anna, &client).is_empty(), "its owner is not disturbed");
}

#[test]
fn a_session_without_a_connect_is_swept() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.open(http(1), &anna, "");
    bench.subscribe(http(2), &anna, &client, r#""/a""#);
    assert!(bench.after(9).is_empty());
    assert!(matches!(bench.after(1)[..], [Output::Ended(_, Why::Silent)]));
    assert_eq!((bench.server.sessions(), bench.server.poll_timeout()), (0, None));
}

#[test]
fn a_session_whose_connect_is_held_is_not_swept() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.open(http(1), &anna, "");
    bench.connect(http(2), &anna, &client);
    bench.after(50);
    assert_eq!(bench.server.sessions(), 1);
}

#[test]
fn a_client_that_hung_up_has_the_time_of_an_interval_to_come_back() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.open(socket(1), &anna, "");
    bench.connect(socket(1), &anna, &client);
    assert!(bench.input(Input::Gone(socket(1))).is_empty());
    bench.after(9);
    assert!(bench.connect(http(2), &anna, &client).is_empty(), "it goes on by another transport");
    bench.input(Input::Gone(http(2)));
    bench.after(10);
    assert_eq!(bench.server.sessions(), 0);
}

#[test]
fn a_logout_ends_all_sessions_of_that_login_and_no_other() {
    let mut bench = Bench::new(Config::default());
    let (anna, ben) = (agent("anna"), agent("ben"));
    let client = bench.open(http(1), &anna, "");
    bench.open(socket(1), &anna, "");
    bench.open(http(2), &ben, "");
    bench.connect(http(3), &anna, &client);
    let outputs = bench.input(Input::LoggedOut(anna));
    assert_eq!(sent(&outputs, http(3))[0]["advice"]["reconnect"], "none");
    assert_eq!(bench.server.sessions(), 1);
}

#[test]
fn sessions_are_bounded_and_who_is_refused_may_try_later() {
    let mut bench = Bench::new(Config { sessions: 1, ..Config::default() });
    bench.open(http(1), &agent("anna"), "");
    let reply = bench.ask(http(2), &agent("ben"), r#"{"channel":"/meta/handshake"}"#).remove(0);
    assert_eq!((&reply["successful"], &reply["advice"]["reconnect"]), (&false.into(), &"handshake".into()));
    assert!(reply["advice"]["interval"].as_u64() > Some(0));
}

#[test]
fn one_owner_or_all_who_are_nobody_leave_places_to_others() {
    let mut bench = Bench::new(Config { sessions: 40, sessions_per_owner: 3, ..Config::default() });
    let (anna, nobody) = (agent("anna"), Caller::default());
    let mut opens = |caller: &Caller| {
        let replies = (0..5).map(|n| bench.ask(http(n), caller, r#"{"channel":"/meta/handshake"}"#).remove(0));
        replies.filter(|reply| reply["successful"] == true).count()
    };
    assert_eq!((opens(&anna), opens(&nobody), opens(&agent("ben"))), (3, 2, 3));
    bench.input(Input::LoggedOut(anna.clone()));
    assert_eq!(bench.handshake(http(9), &anna, "").len(), 40, "what has ended gives its place back");
}

#[test]
fn a_websocket_that_asks_and_never_reads_is_closed() {
    let mut bench = Bench::new(Config::default());
    let batch = || super::Batch::read(&"{}".into(), &super::Limits::default()).expect("a batch");
    let flood = (0..200).map(|_| Input::Request { peer: socket(1), caller: Caller::default(), batch: batch() });
    let closed = flood.map(|input| bench.input(input)).position(|outputs| matches!(outputs[..], [Output::Close(_)]));
    assert_eq!(closed, Some(65));
}

#[test]
fn the_same_seed_gives_the_same_client_ids_and_no_two_are_alike() {
    let mut ids: Vec<Vec<String>> = Vec::new();
    for _ in 0..2 {
        let mut bench = Bench::new(Config::default());
        ids.push((0..20).map(|n| bench.handshake(http(n), &agent("anna"), "")).collect());
    }
    assert_eq!(ids[0], ids[1]);
    ids[0].sort_unstable();
    ids[0].dedup();
    assert_eq!(ids[0].len(), 20);
}
