//! The phone page as a person uses it, in front of `crosspoint lab` as `make lab` starts it: signs in, dials a number of
//! the lab and hears it, takes a customer's call, and Ctrl-C ends the call.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use crosspoint::sip::message::{Builder, Message, Method};
use fantoccini::Locator;
use fantoccini::elements::Element;
use fantoccini::key::Key;

use crate::agent::STEP;
use crate::proxy::Proxy;
use crate::rig::{free_udp_port, media_ports};
use crate::site::Site;
use crate::webdriver::{Browser, Kind, free_port};

/// A `crosspoint lab` of its own, on ports of its own.
pub struct Lab {
    child: Child,
    pub http: u16,
    pub page: String,
    _folder: tempfile::TempDir,
}

/// How often the program is started anew where another process took one of its ports in between.
const STARTS: usize = 3;

impl Lab {
    /// Starts the program; a customer calls DN 5001 every four seconds where `customers` is set.
    pub async fn start(customers: bool) -> Lab {
        Lab::start_with(customers, "").await
    }

    /// As [`Lab::start`]; `more` is added to its configuration.
    pub async fn start_with(customers: bool, more: &str) -> Lab {
        Lab::start_as(customers, "", more).await
    }

    /// As [`Lab::start_with`]; `listener` is added to what its listener is.
    pub async fn start_as(customers: bool, listener: &str, more: &str) -> Lab {
        let mut words = String::new();
        for _ in 0..STARTS {
            match Lab::try_start(customers, listener, more).await {
                Ok(lab) => return lab,
                Err(said) => words = said,
            }
        }
        panic!("the lab does not listen; it said: {words}");
    }

    async fn try_start(customers: bool, listener: &str, more: &str) -> Result<Lab, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let (http, sip, trunk) = (free_port(), free_udp_port(), free_udp_port());
        let every = if customers { 4 } else { 0 };
        let (own, server) = (SocketAddr::from(([127, 0, 0, 1], sip)), SocketAddr::from(([127, 0, 0, 3], trunk)));
        let site = Site {
            domain: "lab.crosspoint.invalid",
            password: "crosspoint",
            listeners: &format!("[[listener]]\nbind = \"127.0.0.1:{http}\"\ntls = false\n{listener}"),
            sip: own,
            media: Ipv4Addr::LOCALHOST,
            ports: media_ports(),
            media_keys: "reserve = 2",
            trunk: ("lab", server),
        };
        let text = site.text(&format!(
            r#"
            [lab]
            sip = "{server}"
            gateway = "{own}"
            customer_every_seconds = {every}
            [[lab.number]]
            number = "6002"
            does = "tone"
            {more}
            "#
        ));
        let file = folder.path().join("lab.toml");
        std::fs::write(&file, text).expect("a written file");
        let log = folder.path().join("lab.log");
        let child = Command::new(env!("CARGO_BIN_EXE_crosspoint"))
            .args(["lab", "--config", &file.to_string_lossy()])
            .env("CROSSPOINT_STATE", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).expect("a file"))
            .spawn()
            .expect("the program starts");
        let mut lab = Lab { child, http, page: format!("http://localhost:{http}/"), _folder: folder };
        let patience = tokio::time::Instant::now() + STEP;
        while tokio::time::Instant::now() < patience {
            if tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, http)).await.is_ok() {
                return Ok(lab);
            }
            if lab.child.try_wait().expect("a child of ours").is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(std::fs::read_to_string(&log).unwrap_or_default())
    }

    /// A person types a line into its terminal.
    pub fn types(&mut self, line: &str) {
        use std::io::Write;
        let terminal = self.child.stdin.as_mut().expect("piped");
        writeln!(terminal, "{line}").expect("it reads its terminal");
    }

    /// Ctrl-C.
    fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a child of ours");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub async fn element(browser: &Browser, id: &str) -> Element {
    browser.client().find(Locator::Id(id)).await.unwrap_or_else(|e| panic!("#{id}: {e}"))
}

/// Clicks as soon as there is something to click at.
pub async fn click(browser: &Browser, id: &str) {
    let there = format!("const at = document.getElementById('{id}'); return at.checkVisibility() && !at.disabled");
    browser.until(&format!("#{id} can be clicked"), &there, STEP).await;
    element(browser, id).await.click().await.unwrap_or_else(|e| panic!("#{id}: {e}"));
}

/// Waits until an element shows a text, among others.
pub async fn text_becomes(browser: &Browser, id: &str, text: &str) {
    let begun = std::time::Instant::now();
    loop {
        let found = browser.run(&format!("return document.getElementById('{id}').textContent"), &[]).await;
        if found.as_ref().is_ok_and(|shown| shown.as_str().is_some_and(|shown| shown.contains(text))) {
            return;
        }
        assert!(begun.elapsed() < STEP, "#{id} does not show {text:?}, but {found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Opens the page with a microphone, and signs in with what the page proposes.
pub async fn signed_in(lab: &Lab) -> Browser {
    let browser = Browser::open(Kind::Chromium, &lab.page, None).await;
    let violations = "window.violations = []; document.addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective));";
    browser.run(violations, &[]).await.expect("a page");
    browser.until("the lab's password is proposed", "return document.getElementById('password').value", STEP).await;
    click(&browser, "sign-in-button").await;
    text_becomes(&browser, "registration", "Registered").await;
    text_becomes(&browser, "own-number", "5001").await;
    browser
}

/// Strongest frequency of what the page plays, Hz; resolution 12 Hz.
pub const HEARD_HZ: &str = "
    const context = new AudioContext({ sampleRate: 48000 });
    await context.resume();
    const analyser = new AnalyserNode(context, { fftSize: 4096 });
    context.createMediaStreamSource(document.getElementById('remote').srcObject).connect(analyser);
    await new Promise((done) => setTimeout(done, 1500));
    const bins = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(bins);
    const peak = bins.indexOf(Math.max(...bins));
    return bins[peak] > -60 ? peak * 48000 / 4096 : -1;";

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_dials_by_keyboard_hears_the_number_and_hangs_up() {
    let lab = Lab::start(false).await;
    let browser = signed_in(&lab).await;
    let number = element(&browser, "number").await;
    number.send_keys("6002").await.expect("typed");
    number.send_keys(&char::from(Key::Enter).to_string()).await.expect("typed");
    text_becomes(&browser, "call-state", "Connected").await;
    let heard = browser.run(HEARD_HZ, &[]).await.expect("measured").as_f64().expect("a number");
    assert!((heard - 440.0).abs() <= 15.0, "heard {heard} Hz, not 440");
    browser.until("the microphone's level moves", "return document.getElementById('level').value > 0", STEP).await;
    click(&browser, "mute").await;
    text_becomes(&browser, "mute", "Unmute").await;
    browser
        .until("the duration counts", "return document.getElementById('duration').textContent > '00:00'", STEP)
        .await;
    click(&browser, "hang-up").await;
    browser.until("the call is over", "return document.getElementById('call').hidden", STEP).await;
    let violations = browser.run("return violations", &[]).await.expect("a list");
    assert_eq!(violations, serde_json::json!([]), "the page breaks its own Content-Security-Policy");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_calls_the_phone_rings_the_agent_answers_and_ctrl_c_ends_the_call() {
    let mut lab = Lab::start(true).await;
    let browser = signed_in(&lab).await;
    text_becomes(&browser, "call-state", "Incoming call").await;
    click(&browser, "answer").await;
    text_becomes(&browser, "call-state", "Connected").await;
    lab.interrupt();
    browser.until("the call is over", "return document.getElementById('call').hidden", STEP).await;
    text_becomes(&browser, "notice", "Call ended").await;
    for _ in 0..100 {
        if let Some(status) = lab.child.try_wait().expect("a child of ours") {
            assert!(status.success(), "crosspoint lab ended with {status}");
            browser.close().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("crosspoint lab does not end after Ctrl-C");
}

/// Calls a number, opens the second line by keyboard, and asks somebody else first.
async fn asks_first(browser: &Browser) {
    element(browser, "number").await.send_keys("6002").await.expect("typed");
    click(browser, "place-call").await;
    text_becomes(browser, "call-state", "Connected").await;
    element(browser, "transfer-open").await.send_keys(&char::from(Key::Enter).to_string()).await.expect("pressed");
    element(browser, "transfer-to").await.send_keys("6002").await.expect("typed");
    click(browser, "transfer-ask").await;
    text_becomes(browser, "transfer-state", "6002: Connected").await;
    let hidden = "return ['transfer-open', 'hold', 'mute'].every((id) => document.getElementById(id).hidden)";
    browser.until("no button of the first line is in the way", hidden, STEP).await;
    text_becomes(browser, "call-state", "On hold").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_asks_somebody_and_hands_the_call_on() {
    let lab = Lab::start(false).await;
    let browser = signed_in(&lab).await;
    asks_first(&browser).await;
    click(&browser, "transfer-complete").await;
    browser.until("the call is over", "return document.getElementById('call').hidden", STEP).await;
    text_becomes(&browser, "notice", "Transferred").await;
    let violations = browser.run("return violations", &[]).await.expect("a list");
    assert_eq!(violations, serde_json::json!([]), "the page breaks its own Content-Security-Policy");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_gateway_refuses_within_a_call_is_said_and_the_call_goes_on() {
    let lab = Lab::start(false).await;
    let browser = signed_in(&lab).await;
    element(&browser, "number").await.send_keys("6002").await.expect("typed");
    click(&browser, "place-call").await;
    text_becomes(&browser, "call-state", "Connected").await;
    click(&browser, "transfer-open").await;
    element(&browser, "transfer-to").await.send_keys("nobody!").await.expect("typed");
    click(&browser, "transfer-blind").await;
    text_becomes(&browser, "notice", "That cannot be done now").await;
    text_becomes(&browser, "call-state", "Connected").await;
    click(&browser, "hang-up").await;
    browser.until("the call is over", "return document.getElementById('call').hidden", STEP).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_makes_three_of_two_and_hears_them() {
    let lab = Lab::start(false).await;
    let browser = signed_in(&lab).await;
    asks_first(&browser).await;
    browser.client().set_window_size(300, 500).await.expect("resized");
    let wide = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    browser.until("nothing sticks out at the side", wide, STEP).await;
    click(&browser, "transfer-confer").await;
    browser.until("one line is left", "return document.getElementById('transfer-drop').hidden", STEP).await;
    text_becomes(&browser, "call-state", "Connected").await;
    text_becomes(&browser, "peer", "6002 + 6002").await;
    let closed = "return document.getElementById('transfer').hidden && !document.getElementById('hold').hidden";
    browser.until("the second line is put away", closed, STEP).await;
    let heard = browser.run(HEARD_HZ, &[]).await.expect("measured").as_f64().expect("a number");
    assert!((heard - 440.0).abs() <= 15.0, "heard {heard} Hz, not 440");
    click(&browser, "hang-up").await;
    browser.until("the call is over", "return document.getElementById('call').hidden", STEP).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_in_plain_words() {
    let lab = Lab::start(false).await;
    let browser = Browser::open(Kind::Chromium, &lab.page, None).await;
    browser.until("the lab's password is proposed", "return document.getElementById('password').value", STEP).await;
    element(&browser, "password").await.send_keys("wrong").await.expect("typed");
    click(&browser, "sign-in-button").await;
    text_becomes(&browser, "sign-in-error", "DN or password is wrong").await;
    browser.close().await;
}

/// A SIP Server that registers DNs for ten seconds, the least that is believed, while `knows` says that it knows them.
fn registrar(socket: UdpSocket, knows: Arc<AtomicBool>) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let Ok(request) = Message::parse(Bytes::copy_from_slice(&buffer[..length])) else { continue };
        let is_known = request.method() != Method::Register || knows.load(Ordering::Relaxed);
        let answer = Builder::response_to(&request, if is_known { 200 } else { 404 }, None, Some("r"));
        let _ = socket.send_to(&answer.header("Expires", "10").build(), from);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dn_that_is_removed_in_mid_shift_is_said_in_plain_words() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let server = socket.local_addr().expect("a bound socket");
    let knows = Arc::new(AtomicBool::new(true));
    std::thread::spawn({
        let knows = Arc::clone(&knows);
        move || registrar(socket, knows)
    });
    let more = format!("[[trunk]]\nname = \"genesys\"\naddresses = [\"{server}\"]\nregister = \"dns\"");
    let lab = Lab::start_with(false, &more).await;
    let browser = signed_in(&lab).await;
    knows.store(false, Ordering::Relaxed);
    text_becomes(&browser, "registration", "The SIP Server does not know the number 5001.").await;
    let dot = "return document.getElementById('dot').dataset.state === 'failed'";
    browser.until("the light is no longer green", dot, STEP).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dial_pad_stands_beside_the_settings_with_a_call_and_without() {
    let lab = Lab::start(false).await;
    let browser = signed_in(&lab).await;
    browser.client().set_window_size(1000, 900).await.expect("resized");
    let beside = "const at = (s) => document.querySelector(s).getBoundingClientRect();\
        return at('#dial').top === at('.settings').top && at('#dial').right <= at('.settings').left";
    browser.until("the dial pad is the first thing without a call", beside, STEP).await;
    element(&browser, "number").await.send_keys("6002").await.expect("typed");
    click(&browser, "place-call").await;
    text_becomes(&browser, "call-state", "Connected").await;
    browser.until("it stays where it is", beside, STEP).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_fits_a_widget_of_300_by_500() {
    let lab = Lab::start(false).await;
    let browser = signed_in(&lab).await;
    browser.client().set_window_size(300, 500).await.expect("resized");
    let wide = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    browser.until("nothing sticks out at the side", wide, STEP).await;
    if let Some(folder) = std::env::var_os("CROSSPOINT_SCREENSHOTS") {
        browser.screenshot(&Path::new(&folder).join("widget.png")).await.expect("a picture");
        browser.client().set_window_size(1000, 700).await.expect("resized");
        browser.screenshot(&Path::new(&folder).join("full.png")).await.expect("a picture");
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_in_mid_call_signs_in_by_itself_and_takes_the_call_up_again() {
    let lab = Lab::start(false).await;
    let browser = signed_in(&lab).await;
    let number = element(&browser, "number").await;
    number.send_keys("6002").await.expect("typed");
    number.send_keys(&char::from(Key::Enter).to_string()).await.expect("typed");
    text_becomes(&browser, "call-state", "Connected").await;
    for _ in 0..2 {
        browser.client().refresh().await.expect("loaded again");
        text_becomes(&browser, "registration", "Registered").await;
        text_becomes(&browser, "call-state", "Connected").await;
        text_becomes(&browser, "peer", "6002").await;
        let heard = browser.run(HEARD_HZ, &[]).await.expect("measured").as_f64().expect("a number");
        assert!((heard - 440.0).abs() <= 15.0, "heard {heard} Hz, not 440");
    }
    click(&browser, "hang-up").await;
    browser.until("the call is over", "return document.getElementById('call').hidden", STEP).await;
    browser.client().refresh().await.expect("loaded again");
    text_becomes(&browser, "registration", "Registered").await;
    click(&browser, "sign-out").await;
    browser.client().refresh().await.expect("loaded again");
    browser.until("signed out for good", "return !document.getElementById('sign-in').hidden", STEP).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_made_again_and_the_call_is_heard_all_the_time() {
    let mut lab = Lab::start(false).await;
    let proxy = Proxy::start((Ipv4Addr::LOCALHOST, lab.http).into()).await;
    lab.page = format!("http://localhost:{}/", proxy.port());
    let browser = signed_in(&lab).await;
    element(&browser, "number").await.send_keys("6002").await.expect("typed");
    click(&browser, "place-call").await;
    text_becomes(&browser, "call-state", "Connected").await;
    let hears = async || {
        let heard = browser.run(HEARD_HZ, &[]).await.expect("measured").as_f64().expect("a number");
        assert!((heard - 440.0).abs() <= 15.0, "heard {heard} Hz, not 440");
    };
    proxy.cut();
    text_becomes(&browser, "registration", "Connecting").await;
    hears().await;
    proxy.mend();
    text_becomes(&browser, "registration", "Registered").await;
    // The page looks for its way anew, for the network may be another one: an ICE restart, which the gateway absorbs.
    hears().await;
    text_becomes(&browser, "call-state", "Connected").await;
    click(&browser, "hang-up").await;
    browser.until("the call is over", "return document.getElementById('call').hidden", STEP).await;
    browser.close().await;
}
