//! The guide's phone within a desktop, its Option 1: the guide's own JavaScript in a frame of a page that has
//! `org.cometd.CometD` and `window.genesys.wwe`, with JsSIP as the phone.

use crosspoint::lab::CustomerStatus;
use serde_json::{Value, json};

use crate::agent::{Agent, Library, STEP};
use crate::calls::{LAB_DBFS, LAB_HZ};
use crate::floor::{CUSTOMER, Floor, is_heard, speaks, stands};
use crate::webdriver::{Browser, Kind};

const AGENT_HZ: u16 = 1000;

/// The desktop around the phone, which is in its only frame.
struct Desktop<'a> {
    phone: &'a Agent,
    gws: String,
}

impl Desktop<'_> {
    /// Runs `body` in the page around the frame; `gws` is where the server is.
    async fn run(&self, body: &str) -> Value {
        let browser = self.phone.browser();
        browser.client().clone().enter_parent_frame().await.expect("it is in a frame");
        let found = browser.run(&format!("const gws = '{}'; {body}", self.gws), &[]).await;
        browser.client().clone().enter_frame(0).await.expect("the phone's frame");
        found.unwrap_or_else(|e| panic!("{body}: {e}"))
    }

    /// Asks by the guide's REST.
    async fn asks(&self, method: &str, path: &str, body: Value) {
        let ask = format!("return await rest(gws, 'agent5001', 'secret', '{method}', '/api/v2/me{path}', {body})");
        assert_eq!(self.run(&ask).await, json!([200, { "statusCode": 0 }]), "{method} {path}");
    }

    /// Waits for a message of one of the two channels for which a condition on `data` holds, and returns it.
    async fn hears(&self, what: &str, condition: &str) -> Value {
        let find = format!("return heard.map(([, data]) => data).find((data) => data && {condition}) ?? null");
        let begun = std::time::Instant::now();
        loop {
            let found = self.run(&find).await;
            if !found.is_null() {
                return found;
            }
            assert!(begun.elapsed() < STEP, "{what} is not told, but {}", self.run("return heard").await);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_phone_within_a_desktop_answers_at_state_change_and_its_fields_tell_the_whole_call() {
    let floor = Floor::open_with("notification_type = \"StateChange\"\n").await;
    let gws = floor.page().trim_end_matches('/').to_owned();
    let browser = Browser::open(Kind::Chromium, &format!("{}/desktop.html", floor.rig.origin()), None).await;
    let connect = format!("connectGWS('{gws}', 'agent5001', 'secret')");
    browser.run(&connect, &[]).await.expect("called");
    let connected = "return heard.some(([what]) => what === 'CometD connected:')";
    browser.until("the desktop is connected", connected, STEP).await;
    let widget = "window.genesys.wwe.service.registerWidget({
        id: 'webrtc-phone', title: 'WebRTC Phone', url: 'index.html', width: 300, height: 500 });";
    browser.run(widget, &[]).await.expect("registered");
    browser.client().clone().enter_frame(0).await.expect("a frame");
    let account = floor.rig.account("5001", u32::from(AGENT_HZ));
    let phone = Agent::within(browser, Library::JsSip, None, &account).await;
    phone.registered().await;
    let guide = "window.webrtcSession = agent;
        const script = Object.assign(document.createElement('script'), { src: 'widget.js' });
        await new Promise((done, failed) => { [script.onload, script.onerror] = [done, failed]; document.head.append(script); });";
    phone.browser().run(guide, &[]).await.expect("the guide's code runs");
    let desktop = Desktop { phone: &phone, gws };

    desktop.asks("PUT", "/state", json!({ "state": "Ready" })).await;
    desktop.hears("Ready", "data.state === 'Ready'").await;
    let mut customer = floor.customer().await;
    phone.wait("call", "established").await;
    stands(&mut customer, CustomerStatus::Talking("5001".to_owned())).await;
    let line = floor.line("5001").await;
    speaks(&line).await;
    phone.hears_tone(f64::from(LAB_HZ), LAB_DBFS).await;
    is_heard("the customer", &line, AGENT_HZ).await;

    let ringing = desktop.hears("Ringing", "data.call?.state === 'Ringing'").await;
    let call = &ringing["call"];
    assert_eq!(ringing["notificationType"], "StateChange", "{ringing}");
    assert_eq!((&call["from"], &call["to"], &call["direction"]), (&json!(CUSTOMER), &json!("5001"), &json!("Inbound")));
    // The guide's payload has no `call` around it.
    assert_eq!((&ringing["state"], &ringing["ani"]), (&json!("Ringing"), &json!(CUSTOMER)), "{ringing}");
    let data = json!({ "customer_id": "98765", "account_type": "premium", "call_reason": "support" });
    assert_eq!((&ringing["callId"], &ringing["userData"]), (&call["id"], &data), "{ringing}");
    let established = desktop.hears("Established", "data.state === 'Established'").await;
    assert_eq!((&established["callId"], &established["duration"]), (&call["id"], &json!(0)), "{established}");

    let id = call["id"].as_str().expect("an id");
    desktop.asks("PUT", &format!("/calls/{id}"), json!({ "action": "release" })).await;
    phone.wait("call", "ended").await;
    stands(&mut customer, CustomerStatus::Ended).await;
    desktop.hears("the end", "data.call?.state === 'Released'").await;
    desktop.hears("after-call work", "data.state === 'AfterCallWork'").await;
    let again =
        "heard.slice(heard.findIndex(([, d]) => d?.state === 'AfterCallWork')).some(([, d]) => d?.state === 'Ready')";
    desktop.hears("Ready, by itself", again).await;
    let errors = phone.browser().run("return page.errors", &[]).await;
    assert_eq!(errors, Ok(json!([])), "what the page did not catch");
    floor.is_empty().await;
    phone.close().await;
    floor.closes().await;
}
