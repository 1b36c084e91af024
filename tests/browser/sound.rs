//! Codecs and packet lengths other than the usual ones, in Chromium: each side hears the tone of the other all the same.

use std::time::Duration;

use serde_json::Value;

use crate::calls::{Desk, answered, over, registered_with};

/// The agent is called, and talks by `codec`; returns how many packets a second its browser receives and sends.
async fn is_called(desk: &Desk, codec: &str) -> [f64; 2] {
    let mut call = desk.customer_calls().await;
    desk.agent.wait("call", "incoming").await;
    desk.agent.act("answer()").await;
    answered(&mut call).await;
    desk.agent.wait("call", "established").await;
    let rates = talks(desk, codec).await;
    call.hang_up().await;
    desk.agent.wait("call", "ended").await;
    rates
}

/// As [`is_called`], by a call of the agent's own.
async fn calls_out(desk: &Desk, codec: &str) -> [f64; 2] {
    desk.agent.act("dial('6001')").await;
    desk.agent.wait("call", "established").await;
    let rates = talks(desk, codec).await;
    let mut call = desk.lab_call().await;
    desk.agent.act("hangUp()").await;
    over(&mut call).await;
    rates
}

async fn talks(desk: &Desk, codec: &str) -> [f64; 2] {
    // The first packets tell the browser of the far end and its codec.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = desk.agent.stats().await;
    desk.both_hear_the_other_by(codec, &desk.lab_call().await).await;
    let after = desk.agent.stats().await;
    let number = |stats: &Value, direction: &str, key: &str| {
        stats[direction][key].as_f64().unwrap_or_else(|| panic!("no {key} of {direction}: {stats}"))
    };
    ["in", "out"].map(|direction| {
        let risen = |key| number(&after, direction, key) - number(&before, direction, key);
        risen("packets") / (risen("at") / 1000.0)
    })
}

/// Asserts that both directions have packets of `ms` each.
fn packets_are_of(ms: f64, rates: [f64; 2]) {
    for (direction, rate) in ["in", "out"].into_iter().zip(rates) {
        let expected = 1000.0 / ms;
        assert!((rate - expected).abs() < expected * 0.2, "{direction}: {rate} packets a second, not {expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_packets_of_40_ms_is_called() {
    let desk = registered_with(&[("dn.0.opus", "{ frame_ms = 40 }")]).await;
    packets_are_of(40.0, is_called(&desk, "audio/opus").await);
    desk.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_packets_of_40_ms_calls_out() {
    let desk = registered_with(&[("dn.0.opus", "{ frame_ms = 40 }")]).await;
    packets_are_of(40.0, calls_out(&desk, "audio/opus").await);
    desk.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_g711_is_called() {
    let desk = registered_with(&[("dn.0.codecs", "[\"pcmu\", \"opus\"]")]).await;
    packets_are_of(20.0, is_called(&desk, "audio/PCMU").await);
    desk.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_g711_calls_out() {
    let desk = registered_with(&[("dn.0.codecs", "[\"pcmu\", \"opus\"]")]).await;
    packets_are_of(20.0, calls_out(&desk, "audio/PCMU").await);
    desk.ends().await;
}
