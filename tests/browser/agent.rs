//! An agent's phone in a browser: one of the two libraries, driven by the test.

use std::time::Duration;

use serde_json::{Value, json};

use crate::page_server::PageServer;
use crate::webdriver::{Browser, Kind};

/// How long a step of signalling may take on a busy machine.
pub const STEP: Duration = Duration::from_secs(30);

/// The library under test, by its name in the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// JsSIP.
    JsSip,
    /// SIP.js.
    SipJs,
}

/// What an agent signs in with.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// WebSocket address of the gateway.
    pub url: String,
    /// DN.
    pub dn: String,
    /// Domain of the address of record.
    pub domain: String,
    /// Password.
    pub password: String,
    /// Frequency that the agent sends, Hz.
    pub hz: u32,
}

/// Amplitude of the tone that an agent sends, of full scale: -15 dBFS RMS.
pub const AMPLITUDE: f64 = 0.25;

/// A signed-in or failing agent.
pub struct Agent {
    browser: Browser,
    start: String,
    account: Value,
    _page: Option<PageServer>,
}

/// What was heard in the browser.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// Strongest frequency, Hz.
    pub hz: f64,
    /// RMS level of that frequency alone, dBFS.
    pub tone_dbfs: f64,
    /// RMS level of everything, dBFS.
    pub total_dbfs: f64,
    /// Longest run of 10 ms windows 10 dB under the whole.
    pub longest_gap_ms: u64,
}

impl Agent {
    /// Opens a browser on the test page at `origin`, which must be one that the gateway allows.
    pub async fn open(kind: Kind, library: Library, page: Option<PageServer>, origin: &str, sign_in: &SignIn) -> Agent {
        let browser = Browser::open(kind, origin, None).await;
        Agent::within(browser, library, page, sign_in).await
    }

    /// As [`Agent::open`], where the browser (or the frame that is looked at) has the test page already.
    pub async fn within(browser: Browser, library: Library, page: Option<PageServer>, sign_in: &SignIn) -> Agent {
        browser.until("the test page loads", "return document.documentElement.dataset.ready", STEP).await;
        let class = match library {
            Library::JsSip => "JsSIP",
            Library::SipJs => "SIPjs",
        };
        let account = json!({
            "url": sign_in.url, "dn": sign_in.dn, "domain": sign_in.domain, "password": sign_in.password,
            "hz": sign_in.hz, "amplitude": AMPLITUDE,
        });
        let start = format!("window.agent = new page.{class}(); await agent.start(args[0]);");
        let agent = Agent { browser, start, account, _page: page };
        agent.start().await;
        agent
    }

    async fn start(&self) {
        // SIP.js rejects the promise of start() where the WebSocket is refused; the tests look at the state.
        let _ = self.browser.run(&self.start, std::slice::from_ref(&self.account)).await;
    }

    /// The browser, for what is beside the phone in it.
    pub fn browser(&self) -> &Browser {
        &self.browser
    }

    /// Loads the page anew, and signs in as before.
    pub async fn reload(&self) {
        self.browser.client().refresh().await.expect("the page is loaded again");
        self.browser.until("the test page loads", "return document.documentElement.dataset.ready", STEP).await;
        self.start().await;
    }

    /// Runs a call on the agent, `dial('600')`, say.
    pub async fn act(&self, call: &str) -> Value {
        self.browser.run(&format!("return await agent.{call};"), &[]).await.unwrap_or_else(|e| panic!("{call}: {e}"))
    }

    /// What the library believes.
    pub async fn see(&self) -> Value {
        self.act("see()").await
    }

    /// Waits until `key` of [`Agent::see`] is `value`.
    pub async fn wait(&self, key: &str, value: &str) {
        let body = format!("return agent.{key} === {};", json!(value));
        let what = format!("{key} becomes {value:?}");
        let start = std::time::Instant::now();
        while self.browser.run(&body, &[]).await != Ok(Value::Bool(true)) {
            assert!(start.elapsed() < STEP, "{what}: not within {STEP:?}; the page says {}", self.see().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for the registration.
    pub async fn registered(&self) {
        self.wait("registration", "registered").await;
    }

    /// Measures what the agent hears, as soon as its browser has anything to play: early media may come before it does.
    pub async fn hear(&self, length: Duration) -> Heard {
        let measure = format!("measure({})", length.as_millis());
        let begun = std::time::Instant::now();
        let mut figures = self.act(&measure).await;
        while figures["error"] == "no remote stream" && begun.elapsed() < STEP {
            tokio::time::sleep(Duration::from_millis(50)).await;
            figures = self.act(&measure).await;
        }
        let number = |key: &str| figures[key].as_f64().unwrap_or_else(|| panic!("no {key} in {figures}"));
        Heard {
            hz: number("hz"),
            tone_dbfs: number("tone_dbfs"),
            total_dbfs: number("total_dbfs"),
            longest_gap_ms: figures["longest_gap_ms"].as_u64().expect("a count"),
        }
    }

    /// Asserts that the agent hears the tone of `hz` within 3 dB of `dbfs`, alone and without a gap, for two seconds. A busy
    /// machine makes the browser stretch what it plays, so it has four tries.
    pub async fn hears_tone(&self, hz: f64, dbfs: f64) {
        for left in (0..4).rev() {
            let heard = self.hear(Duration::from_secs(2)).await;
            match heard.differs_from_tone(hz, dbfs) {
                None => return,
                Some(_) if left > 0 => {}
                Some(how) => {
                    let page = self.see().await;
                    panic!("{how} is heard, not {hz} Hz at {dbfs:.1} dBFS: {heard:?}; the page: {page}");
                }
            }
        }
    }

    /// Figures of `getStats`.
    pub async fn stats(&self) -> Value {
        self.act("stats()").await
    }

    /// Ends the browser.
    pub async fn close(self) {
        self.browser.close().await;
    }
}

impl Heard {
    /// Why this is not the tone of `hz`, within 3 dB of `dbfs`, alone and without a gap.
    fn differs_from_tone(&self, hz: f64, dbfs: f64) -> Option<&'static str> {
        [
            ((self.hz - hz).abs() > 5.0, "another frequency"),
            ((self.tone_dbfs - dbfs).abs() > 3.0, "another level"),
            (self.total_dbfs - self.tone_dbfs >= 1.0, "something else than the tone"),
            (self.longest_gap_ms > 60, "a gap"),
        ]
        .into_iter()
        .find_map(|(differs, how)| differs.then_some(how))
    }
}
