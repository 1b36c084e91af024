//! The page as an agent's desktop: at a GWS through the gateway's own origin.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::agent::STEP;
use crate::phone::{Lab, click, element, signed_in, text_becomes};
use crate::webdriver::{Browser, Kind};

/// `gws.cjs`: a GWS in little with the CometD project's own server.
struct Gws {
    child: Child,
    port: u16,
}

impl Gws {
    fn start() -> Gws {
        Gws::start_at(0)
    }

    /// As [`Gws::start`], at a port that it had before.
    fn start_at(port: u16) -> Gws {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/page");
        let mut command = Command::new("node");
        command.args(["gws.cjs", &port.to_string()]).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("node starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let port = line.trim().parse().expect("a port; `make test-page` installs what it needs");
        Gws { child, port }
    }

    /// The lines of a configuration that name it.
    fn configured(&self) -> String {
        format!("[[gws]]\nname = \"main\"\nurl = \"http://127.0.0.1:{}\"", self.port)
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("connected");
        let body = body.to_string();
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: gws\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let from = answer.find('{').expect("an object");
        let to = answer.rfind('}').expect("an object");
        serde_json::from_str(&answer[from..=to]).expect("JSON")
    }

    async fn publishes(&self, channel: &str, data: Value) {
        self.ask("POST", "/test/event", &json!({ "channel": channel, "data": data })).await;
    }

    /// What was asked of it by REST, but for the beginning of the session.
    async fn asked(&self) -> Vec<Value> {
        let all = self.ask("GET", "/test/asked", &json!({})).await;
        all["asked"].as_array().expect("a list").iter().skip(1).cloned().collect()
    }

    /// Waits until it was asked for `count` things, and returns the last.
    async fn is_asked(&self, count: usize) -> Value {
        let begun = std::time::Instant::now();
        loop {
            let asked = self.asked().await;
            if asked.len() >= count {
                return asked.last().expect("one at least").clone();
            }
            assert!(begun.elapsed() < STEP, "asked for {asked:?} only");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Gws {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has the page remember whatever it shows of its agent's state: one may be over before a busy machine looks again.
const REMEMBER: &str = "if (window.states) return; window.states = [];
    const line = document.getElementById('gws-state').parentElement;
    new MutationObserver(() => states.push(line.textContent)).observe(line, { childList: true, characterData: true, subtree: true });";

/// Fills the form in and sends it.
pub async fn connects(browser: &Browser, user: &str, password: &str) {
    browser.run(REMEMBER, &[]).await.expect("a page");
    for (id, text) in [("gws-user", user), ("gws-password", password)] {
        let field = element(browser, id).await;
        field.clear().await.expect("empty");
        field.send_keys(text).await.expect("typed");
    }
    click(browser, "gws-connect-button").await;
}

fn call(state: &str, can: &[&str]) -> Value {
    json!({
        "messageType": "CallStateChangeMessage",
        "notificationType": "StatusChange",
        "call": {
            "id": "UIVB0001", "callUuid": "UIVB0001", "state": state, "dnis": "18005551234", "callType": "Inbound",
            "participants": [{ "phoneNumber": "5551234567", "formattedPhoneNumber": "" }],
            "capabilities": can,
            "userData": { "customer_id": "98765", "note": "<img src=x onerror=alert(1)>", "crm": "https://crm.example/98765" },
        },
    })
}

/// Presses the button for an operation, as soon as there is one: that of the first call that has it.
pub async fn presses(browser: &Browser, operation: &str) {
    let press = format!(
        "const all = [...document.querySelectorAll('#gws-calls [data-op={operation}]')];
         const button = all.find((each) => each.checkVisibility()); button?.click(); return Boolean(button);"
    );
    browser.until(&format!("{operation} is offered"), &press, STEP).await;
}

/// Waits until the page has shown that its agent finishes a call, for how long yet, and that it is ready again.
pub async fn has_finished_its_work(browser: &Browser) {
    let all = "const work = states.findIndex((each) => each.includes('After-call work') && each.includes('left'));
        const ready = states.findIndex((each, at) => at > work && each.startsWith('Ready'));
        if (work < 0 || ready < 0) return false;
        states.splice(0, ready + 1); return true;";
    browser.until("after-call work, then Ready", all, STEP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desktop_works_at_a_plain_gws_through_the_origin_of_the_gateway() {
    let gws = Gws::start();
    let lab = Lab::start_with(false, &gws.configured()).await;
    let browser = signed_in(&lab).await;
    // A cookie that is none of the GWS's business.
    browser.run("document.cookie = 'JSESSIONID=ours; path=/'", &[]).await.expect("set");
    connects(&browser, "agent5001", "wrong").await;
    text_becomes(&browser, "gws-error", "User or password is wrong").await;
    connects(&browser, "agent5001", "secret").await;
    text_becomes(&browser, "gws-status", "Connected").await;
    text_becomes(&browser, "gws-title", "Ann Agent").await;
    text_becomes(&browser, "gws-state", "Not ready").await;

    click(&browser, "gws-ready").await;
    let ready = json!(["/api/v2/me/channels/voice", { "operationName": "Ready" }]);
    assert_eq!(gws.is_asked(1).await, ready);
    gws.publishes("/v2/me/state", json!({ "state": "Ready" })).await;
    text_becomes(&browser, "gws-state", "Ready").await;

    gws.publishes("/v2/me/calls", call("Ringing", &["Answer"])).await;
    text_becomes(&browser, "gws-calls", "5551234567").await;
    text_becomes(&browser, "gws-calls", "98765").await;
    text_becomes(&browser, "gws-calls", "<img src=x onerror=alert(1)>").await;
    let markup = browser.run("return document.querySelectorAll('#gws-calls img').length", &[]).await;
    assert_eq!(markup, Ok(json!(0)), "what a stranger wrote is markup");
    presses(&browser, "Answer").await;
    assert_eq!(gws.is_asked(2).await, json!(["/api/v2/me/calls/UIVB0001", { "operationName": "Answer" }]));
    gws.publishes("/v2/me/calls", call("Established", &["Hangup", "Hold", "SingleStepTransfer"])).await;
    text_becomes(&browser, "gws-calls", "Connected").await;
    presses(&browser, "Hold").await;
    assert_eq!(gws.is_asked(3).await, json!(["/api/v2/me/calls/UIVB0001", { "operationName": "Hold" }]));
    gws.publishes("/v2/me/calls", call("Released", &[])).await;
    browser.until("the call is gone", "return document.querySelector('#gws-calls article') === null", STEP).await;

    let chat = |state: &str| json!({ "interaction": { "id": "7", "channel": "chat", "state": state, "text": "Where is it?" } });
    gws.publishes("/v2/me/interactions", chat("Invited")).await;
    text_becomes(&browser, "gws-interactions", "Where is it?").await;
    gws.publishes("/v2/me/interactions", chat("Completed")).await;
    browser.until("the chat is gone", "return document.getElementById('gws-interactions').hidden", STEP).await;

    let all = gws.ask("GET", "/test/asked", &json!({})).await;
    let known = ["BAYEUX_BROWSER", "JSESSIONID"];
    let cookies = all["cookies"].as_array().expect("a list");
    assert!(cookies.iter().all(|name| known.contains(&name.as_str().expect("a name"))), "{cookies:?}");
    let seen = browser.run("return document.cookie", &[]).await.expect("cookies");
    assert_eq!(seen, json!("JSESSIONID=ours"), "scripts see cookies of the GWS");
    let violations = browser.run("return violations", &[]).await.expect("a list");
    assert_eq!(violations, json!([]), "the page breaks its own Content-Security-Policy");

    // A reload finds the login that the browser still has.
    browser.client().refresh().await.expect("loaded again");
    text_becomes(&browser, "gws-status", "Connected").await;
    click(&browser, "gws-leave").await;
    browser.until("the form is there again", "return !document.getElementById('gws-connect').hidden", STEP).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_the_last_customer_stays_in_sight_until_after_call_work_is_done() {
    let gws = Gws::start();
    let lab = Lab::start_with(false, &gws.configured()).await;
    let browser = Browser::open(Kind::Chromium, &lab.page, None).await;
    browser.until("the form is there", "return !document.getElementById('gws').hidden", STEP).await;
    connects(&browser, "agent5001", "secret").await;
    text_becomes(&browser, "gws-status", "Connected").await;
    text_becomes(&browser, "gws-state", "Not ready").await;
    gws.publishes("/v2/me/calls", call("Established", &["Hangup"])).await;
    text_becomes(&browser, "gws-calls", "98765").await;
    gws.publishes("/v2/me/state", json!({ "state": "AfterCallWork" })).await;
    gws.publishes("/v2/me/calls", call("Released", &[])).await;
    text_becomes(&browser, "gws-calls", "Ended").await;
    // A timer of the page that is set after that of a call which is put away, and runs longer.
    let later = "const shown = () => document.getElementById('gws-calls').innerText; const before = shown();
        await new Promise((done) => setTimeout(done, 4500)); return [before, shown()];";
    let shown = browser.run(later, &[]).await.expect("two texts");
    assert!(shown[0].as_str().is_some_and(|text| text.contains("98765")), "{shown}");
    assert_eq!(shown[0], shown[1], "a call that is over has changed, its time perhaps");
    gws.publishes("/v2/me/state", json!({ "state": "Ready" })).await;
    browser.until("it is put away", "return document.querySelector('#gws-calls article') === null", STEP).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desktop_says_that_the_gws_is_away_and_comes_back_with_it() {
    let gws = Gws::start();
    let port = gws.port;
    let lab = Lab::start_with(false, &gws.configured()).await;
    let browser = Browser::open(Kind::Chromium, &lab.page, None).await;
    browser.until("the form is there", "return !document.getElementById('gws').hidden", STEP).await;
    connects(&browser, "agent5001", "secret").await;
    text_becomes(&browser, "gws-status", "Connected").await;
    drop(gws);
    text_becomes(&browser, "gws-status", "Connection lost").await;
    click(&browser, "gws-ready").await;
    text_becomes(&browser, "notice", "The GWS main cannot be reached").await;
    let gws = Gws::start_at(port);
    text_becomes(&browser, "gws-status", "Connected").await;
    gws.publishes("/v2/me/calls", call("Ringing", &["Answer"])).await;
    text_becomes(&browser, "gws-calls", "5551234567").await;
    browser.close().await;
}
