//! A gateway that is restarted: the clients shake hands again, log in again, and their pages subscribe again when they hear of it.

use std::time::Duration;

use crosspoint::http::session::DeskRules;
use serde_json::json;

use crate::node::Node;
use crate::site_of_agents::{Site, config, enter};

async fn comes_back(version: &str, transport: &str) {
    let site = Site::start().await;
    let node = Node::start(version).await;
    site.open(&node, "a", transport, "anna", &["ack"]).await;
    enter(&node, "a").await;
    node.meta("handshake", |reply| reply["successful"] == true).await;
    let address = site.kill();
    let site = Site::at(address, config(), DeskRules::default()).await;
    node.meta("handshake", |reply| reply["successful"] == true).await;
    for n in 0..100 {
        site.publish("anna", json!({"n": n})).await;
        let came = node.events_within(Duration::from_millis(100)).await;
        if came.iter().any(|event| event["data"]["n"] == n) {
            return;
        }
    }
    panic!("it has not subscribed again");
}

macro_rules! each {
    ($($name:ident $version:literal $transport:literal)*) => {
        $(#[tokio::test] async fn $name() { comes_back($version, $transport).await })*
    };
}

each! {
    version_3_comes_back_by_long_polling "3" "long-polling"
    version_3_comes_back_by_websocket "3" "websocket"
    version_7_comes_back_by_long_polling "7" "long-polling"
    version_7_comes_back_by_websocket "7" "websocket"
    version_8_comes_back_by_long_polling "8" "long-polling"
    version_8_comes_back_by_websocket "8" "websocket"
}
