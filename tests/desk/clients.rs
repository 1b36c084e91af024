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
    whoever_poses_as_the_session_of_another_agent_is_unknown_and_its_victim_lives
    a_desktop_that_does_not_read_loses_its_own_session_and_keeps_nobody_waiting
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
    // A poll that the server gets behind the disconnect is of an unknown client, for which this one breaks off all it has asked.
    while transport == "long-polling" && site.desk.figures().await.expect("alive").held == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
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

/// Of two agents, each logged in with a cookie of its own, one says that the clientId of the other is its own.
async fn whoever_poses_as_the_session_of_another_agent_is_unknown_and_its_victim_lives(version: &str, transport: &str) {
    for [thief, victim] in [["anna", "bert"], ["bert", "anna"]] {
        let site = Site::start().await;
        let (node, other) = (Node::start(version).await, Node::start(version).await);
        for (user, node) in [(thief, &node), (victim, &other)] {
            site.open(node, "a", transport, user, &[]).await;
            enter(node, "a").await;
        }
        let name = other.ask(json!({"op": "name", "tab": "a"})).await;
        node.ask(json!({"op": "pose", "tab": "a", "as": name})).await;
        for channel in ["/v2/me/calls", "/news"] {
            let reply = node.ask(json!({"op": "subscribe", "tab": "a", "channel": channel})).await;
            assert_eq!((&reply["successful"], &reply["error"]), (&json!(false), &json!("402::Unknown client")));
        }
        let reply = node.ask(json!({"op": "publish", "tab": "a", "channel": "/service/x", "data": {}})).await;
        assert_eq!((&reply["successful"], &reply["error"]), (&json!(false), &json!("402::Unknown client")));
        // Nor does it get the events of the other by its own connect, in a tab that poses from the start.
        site.open(&node, "b", transport, thief, &[]).await;
        node.ask(json!({"op": "pose", "tab": "b", "as": name})).await;
        assert_eq!(node.ask(json!({"op": "handshake", "tab": "b"})).await["successful"], true);
        let refused = node.meta("connect", |reply| reply["error"] == "402::Unknown client").await;
        assert_eq!((&refused["successful"], &refused["advice"]["reconnect"]), (&json!(false), &json!("handshake")));
        site.publish(victim, json!({"n": 2})).await;
        assert_eq!(other.event().await["data"]["n"], 2, "{victim} is none the worse");
        assert_eq!(other.ask(json!({"op": "name", "tab": "a"})).await, name, "in the same session");
        let stolen = node.events_within(Duration::from_millis(100)).await;
        assert!(!numbers(&stolen).contains(&2), "{stolen:?}");
    }
}

async fn a_desktop_that_does_not_read_loses_its_own_session_and_keeps_nobody_waiting(version: &str, transport: &str) {
    let site = Site::bounded(|bayeux| bayeux.queue = 20).await;
    let (slow, quick) = (Node::start(version).await, Node::start(version).await);
    for node in [&slow, &quick] {
        site.open(node, "a", transport, "anna", &[]).await;
        enter(node, "a").await;
    }
    slow.meta("handshake", |reply| reply["successful"] == true).await;
    slow.stop();
    // More than the network between the two holds by itself.
    let text = "x".repeat(100_000);
    let mut count = 0;
    while site.desk.figures().await.expect("alive").sessions == 2 {
        site.publish("anna", json!({"n": count, "text": text})).await;
        assert_eq!(quick.event().await["data"]["n"], count, "the other one hears each at once");
        count += 1;
        assert!(count < 400, "40 MB wait for who does not read");
    }
    let figures = site.desk.figures().await.expect("alive");
    assert_eq!((figures.sessions, figures.counts.queue_full), (1, 1));
    slow.go_on();
    slow.meta("handshake", |reply| reply["successful"] == true).await;
    let mut is_back = false;
    for n in 1000..1100 {
        site.publish("anna", json!({"n": n})).await;
        assert_eq!(quick.event().await["data"]["n"], n);
        is_back = numbers(&slow.events_within(Duration::from_millis(100)).await).contains(&n);
        if is_back {
            break;
        }
    }
    assert!(is_back, "it has not subscribed again");
}
