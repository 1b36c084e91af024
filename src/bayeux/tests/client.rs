use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{Bench, agent, http, sent};
use crate::bayeux::RequestId;
use crate::bayeux::channel::{Channel, Pattern};
use crate::bayeux::client::{Client, Config, Input, Output};
use crate::bayeux::server;

fn client(now: Instant) -> Client {
    let config = Config { subscriptions: vec![Pattern::parse("/a").expect("a pattern")], ..Config::default() };
    Client::new(config, now, StdRng::seed_from_u64(1))
}

/// Carries everything between the two until both wait; returns what the client reports.
fn talk(client: &mut Client, bench: &mut Bench) -> Vec<Output> {
    let mut told = Vec::new();
    client.handle_input(Input::Tick, bench.now);
    while let Some(output) = client.poll_output() {
        let Output::Post { request, body, .. } = output else {
            told.push(output);
            continue;
        };
        let text = String::from_utf8(body.to_vec()).expect("UTF-8");
        let answer = bench.ask(http(request.0), &agent("anna"), &text);
        if !answer.is_empty() {
            client.handle_input(
                Input::Answer(request, Bytes::from(serde_json::Value::from(answer).to_string())),
                bench.now,
            );
        }
    }
    told
}

fn publish(client: &mut Client, token: u64) {
    let channel = Channel::parse("/chat").expect("a channel");
    client.publish(token, channel, Bytes::from(token.to_string())).expect("there is room");
}

#[test]
fn a_client_shakes_hands_subscribes_connects_and_publishes_in_order() {
    let mut bench = Bench::new(server::Config::default());
    let mut client = client(bench.now);
    (0..120).for_each(|token| publish(&mut client, token));
    let told = talk(&mut client, &mut bench);
    assert_eq!(told, (0..120).map(Output::Published).collect::<Vec<_>>());
    let outputs = bench.publish("/a", server::Audience::All, "1");
    assert_eq!(outputs.iter().filter(|o| matches!(o, server::Output::Send(..))).count(), 1, "its connect is held");
}

#[test]
fn a_client_that_the_server_forgot_shakes_hands_again_and_loses_nothing() {
    let mut bench = Bench::new(server::Config::default());
    let mut client = client(bench.now);
    talk(&mut client, &mut bench);
    let now = bench.now;
    bench = Bench::new(server::Config::default());
    bench.now = now;
    publish(&mut client, 7);
    let mut told = talk(&mut client, &mut bench);
    bench.now += Duration::from_secs(2);
    told.extend(talk(&mut client, &mut bench));
    assert_eq!(told, [Output::Published(7)]);
}

#[test]
fn a_refused_publication_is_reported_and_does_not_go_again() {
    let mut bench = Bench::new(server::Config::default());
    let mut client = client(bench.now);
    client.publish(1, Channel::parse("/secret").expect("a channel"), Bytes::from("1")).expect("there is room");
    publish(&mut client, 2);
    let told = talk(&mut client, &mut bench);
    assert!(matches!(told[..], [Output::Refused(1, _), Output::Published(2)]), "{told:?}");
}

#[test]
fn a_server_that_is_away_is_asked_less_and_less() {
    let mut now = Instant::now();
    let mut client = client(now);
    let mut waits = Vec::new();
    client.handle_input(Input::Tick, now);
    for request in 0..12 {
        assert!(matches!(client.poll_output(), Some(Output::Post { .. })));
        client.handle_input(Input::Failed(RequestId(request)), now);
        let due = client.poll_timeout().expect("it tries again");
        waits.push(due - now);
        now = due;
        client.handle_input(Input::Tick, now);
    }
    assert!(waits[0] < Duration::from_millis(501) && waits[11] >= Duration::from_secs(15), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(30)));
}

#[test]
fn events_come_out_with_their_channel() {
    let mut bench = Bench::new(server::Config::default());
    let mut client = client(bench.now);
    talk(&mut client, &mut bench);
    let outputs = bench.publish("/a", server::Audience::All, "[1]");
    let held = (0..9).find(|n| !sent(&outputs, http(*n)).is_empty()).expect("its connect is answered");
    let body = serde_json::Value::from(sent(&outputs, http(held))).to_string();
    client.handle_input(Input::Answer(RequestId(held), Bytes::from(body)), bench.now);
    assert_eq!(client.poll_output(), Some(Output::Event("/a".to_owned(), Bytes::from("[1]"))));
}
