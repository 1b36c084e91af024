//! What each client sees: handshake, subscriptions, events, refusals, batches, tabs, floods, ends.

use std::time::Duration;

use serde_json::{Value, json};

use crate::node::Node;
use crate::site_of_agents::{Site, enter};

/// Runs a test for each version of the client and each transport that it has without a browser.
macro_rules! each {
    ($($name:ident)*) => {
        mod version_3_long_polling { $(#[tokio::test] async fn $name() { super::$name("3", "long-polling").await })* }
        mod version_3_websocket { $(#[tokio::test] async fn $name() { super::$name("3", "websocket").await })* }
        mod version_7_long_polling { $(#[tokio::test] async fn $name() { super::$name("7", "long-polling").await })* }
        mod version_7_websocket { $(#[tokio::test] async fn $name() { super::$name("7", "websocket").await })* }
        mod version_8_long_polling { $(#[tokio::test] async fn $name() { super::$name("8", "long-polling").await })* }
        mod version_8_websocket { $(#[tokio::test] async fn $name() { super::$name("8", "websocket").await })* }
    };
}

each! {
    an_agent_gets_its_own_events_in_order_and_nobody_elses
    a_wrong_password_is_refused_for_good
    events_and_clocks_come_with_the_extensions_too
    a_client_that_publishes_is_refused_and_lives_on
    a_batch_of_subscriptions_is_answered_one_by_one
    two_tabs_of_one_agent_both_get_the_events
    who_disconnects_is_gone
    a_session_that_a_flood_has_ended_shakes_hands_again
}

fn numbers(events: &[Value]) -> Vec<i64> {
    events.iter().filter_map(|event| event["data"]["n"].as_i64()).collect()
}

async fn an_agent_gets_its_own_events_in_order_and_nobody_elses(version: &str, transport: &str) {
    let (site, node) = (Site::start().await, Node::start(version).await);
    site.open(&node, "a", transport, "anna", &[]).await;
    enter(&node, "a").await;
    for n in 0..50 {
        site.publish("anna", json!({"n": n, "text": "Grüße, \u{2028} \"<>&'"})).await;
        site.publish("bert", json!({"n": 1000 + n})).await;
    }
    let mut all = Vec::new();
    while all.len() < 50 {
        all.push(node.event().await);
    }
    assert_eq!(numbers(&all), (0..50).collect::<Vec<_>>());
    assert_eq!(all[0]["event"], "/v2/me/calls");
    assert_eq!(all[7]["data"]["text"], "Grüße, \u{2028} \"<>&'");
    assert_eq!(node.events_within(Duration::from_millis(100)).await, [] as [Value; 0]);
}

async fn a_wrong_password_is_refused_for_good(version: &str, transport: &str) {
    let (site, node) = (Site::start().await, Node::start(version).await);
    let login = json!({"username": "anna", "password": "wrong"});
    node.ask(json!({"op": "open", "tab": "a", "url": site.url(), "transport": transport, "login": login})).await;
    let hands = node.ask(json!({"op": "handshake", "tab": "a"})).await;
    assert_eq!((&hands["successful"], &hands["error"]), (&json!(false), &json!("403::Handshake denied")));
    assert_eq!(hands["advice"]["reconnect"], "none");
    let state = node.ask(json!({"op": "state", "tab": "a"})).await;
    assert_eq!(state["status"], "disconnected");
}

async fn events_and_clocks_come_with_the_extensions_too(version: &str, transport: &str) {
    let (site, node) = (Site::start().await, Node::start(version).await);
    site.open(&node, "a", transport, "anna", &["ack", "timesync"]).await;
    enter(&node, "a").await;
    for n in 0..20 {
        site.publish("anna", json!({"n": n})).await;
        if n % 7 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let mut all = Vec::new();
    while all.len() < 20 {
        all.push(node.event().await);
    }
    assert_eq!(numbers(&all), (0..20).collect::<Vec<_>>());
    let acked = node.meta("connect", |reply| reply["ext"]["ack"].as_i64().is_some_and(|batch| batch > 1)).await;
    assert_eq!(acked["successful"], true);
    let state = node.ask(json!({"op": "state", "tab": "a"})).await;
    // Both run on this machine's clock.
    let offset = state["clock"].as_f64().expect("an offset");
    assert!(offset.abs() < 2000.0, "{offset}");
}

async fn a_client_that_publishes_is_refused_and_lives_on(version: &str, transport: &str) {
    let (site, node) = (Site::start().await, Node::start(version).await);
    site.open(&node, "a", transport, "anna", &[]).await;
    enter(&node, "a").await;
    let reply = node.ask(json!({"op": "publish", "tab": "a", "channel": "/v2/me/calls", "data": {"n": 1}})).await;
    assert_eq!(reply["successful"], false);
    assert_eq!(reply["error"], "403:denied_by_security_policy:publish_denied");
    let reply = node.ask(json!({"op": "publish", "tab": "a", "channel": "/service/x", "data": {}})).await;
    assert_eq!(reply["successful"], true);
    site.publish("anna", json!({"n": 2})).await;
    assert_eq!(node.event().await["data"]["n"], 2);
}

async fn a_batch_of_subscriptions_is_answered_one_by_one(version: &str, transport: &str) {
    let (site, node) = (Site::start().await, Node::start(version).await);
    site.open(&node, "a", transport, "anna", &[]).await;
    let hands = node.ask(json!({"op": "handshake", "tab": "a"})).await;
    assert_eq!(hands["successful"], true);
    let channels = json!(["/v2/me/calls", "/v2/me/state", "/v2/me/devices", "/v2/me/interactions"]);
    let replies = node.ask(json!({"op": "batch", "tab": "a", "channels": channels})).await;
    let told: Vec<_> = replies.as_array().expect("replies").iter().map(|r| r["subscription"].clone()).collect();
    assert_eq!(json!(told), channels);
    assert!(replies.as_array().expect("replies").iter().all(|r| r["successful"] == true), "{replies}");
}

async fn two_tabs_of_one_agent_both_get_the_events(version: &str, transport: &str) {
    let (site, node) = (Site::start().await, Node::start(version).await);
    for tab in ["a", "b"] {
        site.open(&node, tab, transport, "anna", &[]).await;
        enter(&node, tab).await;
    }
    for n in 0..3 {
        site.publish("anna", json!({"n": n})).await;
    }
    let mut seen = [Vec::new(), Vec::new()];
    while seen.iter().map(Vec::len).sum::<usize>() < 6 {
        let event = node.event().await;
        seen[usize::from(event["tab"] == "b")].push(event);
    }
    assert_eq!(seen.each_ref().map(|events| numbers(events)), [vec![0, 1, 2], vec![0, 1, 2]]);
}

async fn who_disconnects_is_gone(version: &str, transport: &str) {
    let (site, node) = (Site::start().await, Node::start(version).await);
    site.open(&node, "a", transport, "anna", &[]).await;
    enter(&node, "a").await;
    assert_eq!(site.desk.figures().await.expect("alive").sessions, 1);
    let reply = node.ask(json!({"op": "disconnect", "tab": "a"})).await;
    assert_eq!(reply["successful"], true, "{reply}");
    let figures = site.desk.figures().await.expect("alive");
    assert_eq!((figures.sessions, figures.counts.disconnected), (0, 1));
    site.publish("anna", json!({"n": 1})).await;
    assert_eq!(node.events_within(Duration::from_millis(100)).await, [] as [Value; 0]);
}

/// The client is told `402::Unknown client` and shakes hands by itself.
async fn a_session_that_a_flood_has_ended_shakes_hands_again(version: &str, transport: &str) {
    let site = Site::bounded(|bayeux| bayeux.queue = 5).await;
    let node = Node::start(version).await;
    site.open(&node, "a", transport, "anna", &["ack"]).await;
    enter(&node, "a").await;
    node.meta("handshake", |reply| reply["successful"] == true).await;
    // With the ack extension events wait for a connect; more than the queue holds end the session.
    for n in 0..30 {
        site.publish("anna", json!({"n": n})).await;
    }
    node.meta("handshake", |reply| reply["successful"] == true).await;
    assert!(site.desk.figures().await.expect("alive").counts.queue_full >= 1);
    let mut last = None;
    for n in 100..160 {
        site.publish("anna", json!({"n": n})).await;
        let came = node.events_within(Duration::from_millis(100)).await;
        if numbers(&came).contains(&n) {
            last = Some(n);
            break;
        }
    }
    assert!(last.is_some(), "it has not subscribed again");
}
