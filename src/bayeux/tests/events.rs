use std::sync::Arc;

use super::{Bench, agent, connect, http, publication, sent, socket};
use crate::bayeux::server::{Audience, Config, Input, Output, Why};
use crate::bayeux::{Caller, ClientId, Owner};
use crate::id::FlowId;

fn owner(name: &str) -> Audience {
    Audience::Owner(Owner(Arc::from(name)))
}

#[test]
fn an_agent_sees_only_its_own_events() {
    let mut bench = Bench::new(Config::default());
    for (flow, name) in [(1, "anna"), (2, "ben")] {
        let client = bench.open(socket(flow), &agent(name), "");
        bench.subscribe(socket(flow), &agent(name), &client, r#""/v2/me/*""#);
    }
    let outputs = bench.publish("/v2/me/calls", owner("anna"), "1");
    assert_eq!(sent(&outputs, socket(1)).len(), 1);
    assert!(sent(&outputs, socket(2)).is_empty());
}

#[test]
fn an_event_is_written_once_and_shared_by_all_subscribers() {
    let mut bench = Bench::new(Config::default());
    for flow in 1..4 {
        let client = bench.open(socket(flow), &agent("anna"), "");
        bench.subscribe(socket(flow), &agent("anna"), &client, r#""/a""#);
    }
    let bodies: Vec<_> = bench
        .publish("/a", Audience::All, "1")
        .into_iter()
        .filter_map(|output| if let Output::Send(_, body) = output { Some(body) } else { None })
        .collect();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| body.as_ptr() == bodies[0].as_ptr()));
}

#[test]
fn a_session_with_two_matching_subscriptions_gets_an_event_once() {
    let mut bench = Bench::new(Config::default());
    let client = bench.open(socket(1), &agent("anna"), "");
    let reply = bench.subscribe(socket(1), &agent("anna"), &client, r#"["/a/b","/a/*","/**"]"#);
    assert_eq!((&reply["successful"], &reply["subscription"][2]), (&true.into(), &"/**".into()));
    assert_eq!(sent(&bench.publish("/a/b", Audience::All, "1"), socket(1)).len(), 1);
}

#[test]
fn what_was_unsubscribed_is_not_delivered() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.open(socket(1), &anna, "");
    bench.subscribe(socket(1), &anna, &client, r#""/a""#);
    let text = format!(r#"{{"channel":"/meta/unsubscribe","clientId":"{client}","subscription":"/a"}}"#);
    assert_eq!(bench.ask(socket(1), &anna, &text)[0]["successful"], true);
    assert!(bench.publish("/a", Audience::All, "1").is_empty());
}

#[test]
fn anonymous_subscriptions_are_refused_with_the_words_of_cometd() {
    let mut bench = Bench::new(Config::default());
    let nobody = Caller::default();
    let client = bench.open(http(1), &nobody, "");
    let reply = bench.subscribe(http(2), &nobody, &client, r#"["/chat","/v2/me/calls"]"#);
    assert_eq!(reply["successful"], false);
    assert_eq!(reply["error"], "403:denied_by_security_policy:subscribe_denied");
    assert!(bench.publish("/chat", Audience::All, "1").is_empty(), "of a refused array nothing holds");
}

#[test]
fn subscriptions_that_are_missing_invalid_meta_or_too_many_are_refused() {
    let mut bench = Bench::new(Config { subscriptions: 2, ..Config::default() });
    let anna = agent("anna");
    let client = bench.open(http(1), &anna, "");
    let error = |bench: &mut Bench, what: &str| bench.subscribe(http(2), &anna, &client, what)["error"].clone();
    assert_eq!(error(&mut bench, "null"), "403::subscription_missing");
    for invalid in ["7", "[]", "[7]", r#""calls""#, r#""/*/a""#] {
        assert_eq!(error(&mut bench, invalid), "403::subscription_invalid", "{invalid}");
    }
    assert_eq!(error(&mut bench, r#""/meta/connect""#), "403:denied_by_security_policy:subscribe_denied");
    assert!(error(&mut bench, r#"["/a","/a"]"#).is_null());
    assert!(error(&mut bench, r#""/b""#).is_null());
    assert_eq!(error(&mut bench, r#""/c""#), "403::subscribe_failed");
}

#[test]
fn a_client_publishes_as_far_as_the_policy_lets_it() {
    let mut bench = Bench::new(Config::default());
    for (flow, name) in [(1, "anna"), (2, "anna"), (3, "ben")] {
        let client = bench.open(socket(flow), &agent(name), "");
        bench.subscribe(socket(flow), &agent(name), &client, r#"["/own","/chat"]"#);
    }
    let sender = bench.open(http(1), &agent("anna"), "");
    let mut reached = |channel: &str| {
        let text = format!(r#"{{"channel":"{channel}","clientId":"{sender}","data":{{}}}}"#);
        let batch = super::Batch::read(&text.into(), &super::Limits::default()).expect("a batch");
        let outputs = bench.input(Input::Request { peer: http(2), caller: agent("anna"), batch });
        (1..4).map(|flow| sent(&outputs, socket(flow)).len()).collect::<Vec<_>>()
    };
    assert_eq!(reached("/own"), [1, 1, 0]);
    assert_eq!(reached("/chat"), [1, 1, 1]);
    assert_eq!(reached("/v2/me/calls"), [0, 0, 0]);
}

#[test]
fn a_publication_without_data_or_to_a_strange_channel_is_refused() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.open(http(1), &anna, "");
    for (channel, error) in [
        ("/chat", "400::data_missing"),
        ("/v2/me/calls", "403:denied_by_security_policy:publish_denied"),
        ("/meta/strange", "403:denied_by_security_policy:create_denied"),
        ("/chat/*", "400::channel_invalid"),
    ] {
        let text = format!(r#"{{"channel":"{channel}","clientId":"{client}","id":3}}"#);
        let reply = bench.ask(http(2), &anna, &text).remove(0);
        assert_eq!((&reply["error"], &reply["id"]), (&error.into(), &3.into()), "{channel}");
    }
    assert_eq!(bench.ask(http(3), &anna, "{}")[0]["error"], "400::channel_missing");
}

#[test]
fn a_service_message_goes_to_the_gateway_and_its_answer_to_one_session() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.open(socket(1), &anna, "");
    let other = bench.open(socket(2), &anna, "");
    bench.subscribe(socket(2), &anna, &other, r#""/service/**""#);
    let text = format!(r#"{{"channel":"/service/echo","clientId":"{client}","data":[1, 2]}}"#);
    let batch = super::Batch::read(&text.into(), &super::Limits::default()).expect("a batch");
    let outputs = bench.input(Input::Request { peer: socket(1), caller: anna, batch });
    assert!(sent(&outputs, socket(2)).is_empty(), "a service message is not broadcast");
    let asked = outputs.iter().find_map(|o| if let Output::Service { data, .. } = o { Some(data) } else { None });
    assert_eq!(asked.expect("a service message"), "[1, 2]");
    let id = ClientId::parse(&client).expect("a clientId");
    let answer = bench.input(Input::Deliver(id, publication("/service/echo", Audience::All, "3")));
    assert_eq!(sent(&answer, socket(1))[0]["data"], 3);
    assert!(sent(&answer, socket(2)).is_empty());
}

#[test]
fn a_websocket_gets_events_while_its_connect_stays_held() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.open(socket(1), &anna, "");
    bench.subscribe(socket(1), &anna, &client, r#""/a""#);
    bench.connect(socket(1), &anna, &client);
    let first = sent(&bench.publish("/a", Audience::All, "1"), socket(1));
    assert_eq!((first.len(), &first[0]["channel"]), (1, &"/a".into()));
    assert_eq!(sent(&bench.after(60), socket(1))[0]["channel"], "/meta/connect");
}

#[test]
fn with_the_ack_extension_a_websocket_gets_events_only_with_the_connect() {
    let mut bench = Bench::new(Config::default());
    let anna = agent("anna");
    let client = bench.open(socket(1), &anna, r#""ack":true"#);
    bench.subscribe(socket(1), &anna, &client, r#""/a""#);
    assert!(bench.publish("/a", Audience::All, "1").is_empty());
    let answer = bench.ask(socket(1), &anna, &connect(&client, r#","ext":{"ack":1}"#));
    assert_eq!((answer.len(), &answer[1]["channel"]), (2, &"/meta/connect".into()));
}

#[test]
fn a_slow_websocket_gets_what_waited_in_one_body() {
    let mut bench = Bench::new(Config { window: 4, ..Config::default() });
    let anna = agent("anna");
    let client = bench.open(socket(1), &anna, "");
    bench.subscribe(socket(1), &anna, &client, r#""/a""#);
    bench.input(Input::Written(FlowId(1), 3));
    let at_once = (0..10).filter(|n| !bench.publish("/a", Audience::All, &n.to_string()).is_empty()).count();
    assert_eq!(at_once, 4);
    let outputs = bench.input(Input::Written(FlowId(1), 1));
    assert_eq!(outputs.len(), 1);
    let rest: Vec<_> = sent(&outputs, socket(1)).iter().map(|m| m["data"].as_u64()).collect();
    assert_eq!(rest, (4..10).map(Some).collect::<Vec<_>>());
}

#[test]
fn a_full_queue_ends_that_session_and_no_other() {
    let mut bench = Bench::new(Config { queue: 3, window: 8, ..Config::default() });
    let (anna, ben) = (agent("anna"), agent("ben"));
    let slow = bench.open(socket(1), &anna, "");
    bench.subscribe(socket(1), &anna, &slow, r#""/a""#);
    bench.connect(socket(1), &anna, &slow);
    let fast = bench.open(socket(2), &ben, "");
    bench.subscribe(socket(2), &ben, &fast, r#""/a""#);
    let mut all = Vec::new();
    for n in 0..20 {
        all.extend(bench.publish("/a", Audience::All, &n.to_string()));
        bench.input(Input::Written(FlowId(2), 9));
    }
    let last = sent(&all, socket(1)).pop().expect("the connect is answered");
    assert_eq!((&last["error"], &last["advice"]["reconnect"]), (&"402::Unknown client".into(), &"handshake".into()));
    assert!(all.contains(&Output::Close(FlowId(1))));
    assert!(all.contains(&Output::Ended(ClientId::parse(&slow).expect("a clientId"), Why::QueueFull)));
    assert_eq!(sent(&all, socket(2)).len(), 20);
    assert_eq!(bench.connect(http(3), &anna, &slow)[0]["advice"]["reconnect"], "handshake");
}

#[test]
fn a_queue_is_full_by_its_bytes_too_and_what_was_taken_or_acknowledged_gives_room() {
    let mut bench = Bench::new(Config { queue_bytes: 1000, window: 1, ..Config::default() });
    let (anna, ben) = (agent("anna"), agent("ben"));
    let reader = bench.open(http(1), &anna, r#""ack":true"#);
    bench.subscribe(http(2), &anna, &reader, r#""/a""#);
    let slow = bench.open(socket(1), &ben, "");
    bench.subscribe(socket(1), &ben, &slow, r#""/a""#);
    bench.input(Input::Written(FlowId(1), 9));
    let event = format!("\"{}\"", "x".repeat(400));
    let mut ended = Vec::new();
    for batch in 1..7 {
        ended.extend(bench.publish("/a", Audience::All, &event));
        let acknowledged = connect(&reader, &format!(r#","ext":{{"ack":{batch}}}"#));
        assert_eq!(bench.ask(http(3), &anna, &acknowledged).len(), 2, "it reads, and has room for ever");
    }
    let of = |client: &str| Output::Ended(ClientId::parse(client).expect("a clientId"), Why::QueueFull);
    assert!(ended.contains(&of(&slow)), "one body is on its way and two events wait: the fourth has no room");
    assert!(!ended.contains(&of(&reader)));
    let polling = bench.open(http(4), &ben, "");
    bench.subscribe(http(5), &ben, &polling, r#""/a""#);
    for _ in 0..4 {
        (0..2).for_each(|_| drop(bench.publish("/a", Audience::All, &event)));
        assert_eq!(bench.connect(http(6), &ben, &polling).len(), 3, "taken as a whole");
    }
}

#[test]
fn names_beyond_the_bound_are_refused_without_being_read() {
    let mut bench = Bench::new(Config { subscriptions: 2, ..Config::default() });
    let anna = agent("anna");
    let client = bench.open(http(1), &anna, "");
    for many in [r#"["/a","/b","/c"]"#, r#"["/a","/a","/a"]"#, r#"["/a","/b",7,{}]"#] {
        assert_eq!(bench.subscribe(http(2), &anna, &client, many)["error"], "403::subscribe_failed", "{many}");
    }
    let text = format!(r#"{{"channel":"/meta/unsubscribe","clientId":"{client}","subscription":["/a","/b","/c"]}}"#);
    assert_eq!(bench.ask(http(3), &anna, &text)[0]["successful"], false);
}

#[test]
fn data_that_is_not_json_is_not_published() {
    let mut bench = Bench::new(Config::default());
    let client = bench.open(socket(1), &agent("anna"), "");
    bench.subscribe(socket(1), &agent("anna"), &client, r#""/a""#);
    assert!(bench.publish("/a", Audience::All, "1},{").is_empty());
}
