//! Pages, configuration for the page, health and metrics.

use crate::client::get;
use crate::rig::Rig;

#[tokio::test]
async fn the_page_comes_with_its_policy() {
    let rig = Rig::start().await;
    let (head, body) = get(rig.http(), "/").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let head = head.to_ascii_lowercase();
    let policy = head.lines().find(|l| l.starts_with("content-security-policy:")).expect("a policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains(&format!("ws://localhost:{}", rig.http().port())), "{policy}");
    for header in ["x-content-type-options: nosniff", "referrer-policy: no-referrer", "microphone=(self)"] {
        assert!(head.contains(header), "{header}\n{head}");
    }
    assert!(body.to_ascii_lowercase().contains("<!doctype html>"), "{body}");
}

#[tokio::test]
async fn nothing_outside_of_the_page_is_served() {
    let rig = Rig::start().await;
    for path in ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "//etc/passwd", "/src/main.ts", "/no-such"] {
        let (head, _) = get(rig.http(), path).await;
        assert!(head.starts_with("HTTP/1.1 404 "), "{path}: {head}");
    }
}

#[tokio::test]
async fn the_page_learns_path_and_domain() {
    let rig = Rig::start().await;
    let (head, body) = get(rig.http(), "/config.json").await;
    assert!(head.to_ascii_lowercase().contains("content-type: application/json"), "{head}");
    let told: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(told, serde_json::json!({ "wsPath": "/ws", "domain": "crosspoint.test" }));
}

#[tokio::test]
async fn health_and_metrics_answer() {
    let rig = Rig::start().await;
    let (head, body) = get(rig.http(), "/health").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body == "ok\n", "{head}\n{body}");
    let (head, body) = get(rig.http(), "/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(body.contains("crosspoint_flows 0\n"), "{body}");
    assert!(body.ends_with("# EOF\n"), "{body}");
}
