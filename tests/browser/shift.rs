//! An agent's shift at the gateway's own server: in the page, in two tabs as in the guide, and in a frame of another site.

use crosspoint::desk::PasswordHash;
use serde_json::{Value, json};

use crate::agent::STEP;
use crate::desktop::{connects, has_finished_its_work, presses};
use crate::floor::CUSTOMER;
use crate::page_server::PageServer;
use crate::phone::{HEARD_HZ, Lab, click, element, signed_in, text_becomes};
use crate::webdriver::{Browser, Kind};

/// Two agents whose password is `secret`, and three seconds to finish a call.
pub fn agents(more: &str) -> String {
    let hash = PasswordHash::make("secret", [7; 16]);
    let agent = |dn: &str| {
        format!(
            "[[agent]]\nuser = \"agent{dn}\"\nname = \"Ann {dn}\"\npassword = \"{}\"\ndns = [\"{dn}\"]\nskills = {{ support = 5 }}\n",
            hash.as_str()
        )
    };
    let queue = "[[lab.queue]]\nnumber = \"18005551234\"\nskill = \"support\"\n";
    format!("{}{}{queue}[desk]\nafter_call_work_seconds = 3\n{more}", agent("5001"), agent("5002"))
}

/// Signs the phone in, connects to the gateway's own desk, and is ready.
async fn at_work(lab: &Lab) -> Browser {
    let browser = signed_in(lab).await;
    gets_ready(&browser).await;
    browser
}

async fn gets_ready(browser: &Browser) {
    connects(browser, "agent5001", "secret").await;
    text_becomes(browser, "gws-status", "Connected").await;
    text_becomes(browser, "gws-title", "Ann 5001").await;
    click(browser, "gws-ready").await;
    text_becomes(browser, "gws-state", "Ready").await;
    let green = "return document.getElementById('gws-dot').dataset.state === 'registered'";
    browser.until("the light is green", green, STEP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_sees_the_customer_answers_holds_hands_over_and_is_ready_after_its_work() {
    let mut lab = Lab::start_with(false, &agents("")).await;
    let browser = at_work(&lab).await;
    lab.types("c");
    text_becomes(&browser, "gws-calls", CUSTOMER).await;
    text_becomes(&browser, "gws-calls", "98765").await;
    text_becomes(&browser, "gws-calls", "Ringing").await;
    presses(&browser, "Answer").await;
    text_becomes(&browser, "gws-calls", "Connected").await;
    text_becomes(&browser, "call-state", "Connected").await;
    let one_set = "return ['hold', 'hang-up'].every((id) => !document.getElementById(id).checkVisibility())";
    browser.until("one call has one set of buttons", one_set, STEP).await;
    presses(&browser, "Hold").await;
    text_becomes(&browser, "gws-calls", "On hold").await;
    presses(&browser, "Retrieve").await;
    text_becomes(&browser, "gws-calls", "Connected").await;
    let number = "document.querySelector('#gws-calls .numbered input').value = '6002'";
    browser.run(number, &[]).await.expect("typed");
    presses(&browser, "SingleStepTransfer").await;
    browser.until("the call is over", "return document.getElementById('call').hidden", STEP).await;
    has_finished_its_work(&browser).await;
    let violations = browser.run("return violations", &[]).await.expect("a list");
    assert_eq!(violations, json!([]), "the page breaks its own Content-Security-Policy");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_rings_by_event_is_answered_by_the_phone_and_released_by_the_desktop() {
    let mut lab = Lab::start_with(false, &agents("")).await;
    let browser = at_work(&lab).await;
    click(&browser, "gws-auto-answer").await;
    lab.types("c");
    text_becomes(&browser, "call-state", "Connected").await;
    text_becomes(&browser, "gws-calls", "Connected").await;
    presses(&browser, "Hangup").await;
    browser.until("the call is over", "return document.getElementById('call').hidden", STEP).await;
    has_finished_its_work(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_asks_somebody_first_by_the_desktop_and_hands_the_customer_over() {
    let mut lab = Lab::start_with(false, &agents("")).await;
    let browser = at_work(&lab).await;
    lab.types("c");
    text_becomes(&browser, "gws-calls", CUSTOMER).await;
    presses(&browser, "Answer").await;
    text_becomes(&browser, "gws-calls", "Connected").await;
    let number = "document.querySelector('#gws-calls .numbered input').value = '6002'";
    browser.run(number, &[]).await.expect("typed");
    presses(&browser, "InitiateTransfer").await;
    let cards = "const all = [...document.querySelectorAll('#gws-calls article')].map((a) => a.dataset.state).sort();\
        return all.join() === 'Established,Held'";
    browser.until("one is asked, the other one waits", cards, STEP).await;
    text_becomes(&browser, "gws-calls", "6002").await;
    presses(&browser, "CompleteTransfer").await;
    browser.until("both calls are over", "return document.getElementById('call').hidden", STEP).await;
    has_finished_its_work(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_dialled_from_the_desktop_and_heard_on_the_phone() {
    let lab = Lab::start_with(false, &agents("")).await;
    let browser = at_work(&lab).await;
    element(&browser, "gws-number").await.send_keys("6002").await.expect("typed");
    browser.run("document.getElementById('gws-dial').requestSubmit()", &[]).await.expect("sent");
    text_becomes(&browser, "gws-calls", "6002").await;
    text_becomes(&browser, "call-state", "Connected").await;
    text_becomes(&browser, "gws-calls", "Connected").await;
    let heard = browser.run(HEARD_HZ, &[]).await.expect("measured").as_f64().expect("a number");
    assert!((heard - 440.0).abs() <= 15.0, "heard {heard} Hz, not 440");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_proposes_the_agent_whose_number_the_phone_is_signed_in_as() {
    let lab = Lab::start_with(false, &agents("")).await;
    let browser = Browser::open(Kind::Chromium, &lab.page, None).await;
    let proposes = async |user: &str| {
        let body = format!("return document.getElementById('gws-user').value === '{user}'");
        browser.until(&format!("{user} is proposed"), &body, STEP).await;
    };
    proposes("agent5001").await;
    let dn = element(&browser, "dn").await;
    dn.clear().await.expect("empty");
    dn.send_keys("5002").await.expect("typed");
    click(&browser, "sign-in-button").await;
    proposes("agent5002").await;
    browser.close().await;
}

/// Tab 1 and Tab 2 of the guide: the desktop is at `/ui/ad/v1/index.html`, the phone is another page.
#[tokio::test(flavor = "multi_thread")]
async fn desktop_and_phone_are_two_pages_side_by_side() {
    let mut lab = Lab::start_with(false, &agents("")).await;
    let phone = signed_in(&lab).await;
    let desktop = Browser::open(Kind::Chromium, &format!("{}ui/ad/v1/index.html", lab.page), None).await;
    desktop.until("the form is there", "return document.getElementById('gws').checkVisibility()", STEP).await;
    let no_phone = "return ['sign-in', 'desk'].every((id) => !document.getElementById(id).checkVisibility())";
    desktop.until("the desktop has no phone", no_phone, STEP).await;
    gets_ready(&desktop).await;
    lab.types("c");
    text_becomes(&desktop, "gws-calls", CUSTOMER).await;
    text_becomes(&phone, "call-state", "Incoming call").await;
    presses(&desktop, "Answer").await;
    text_becomes(&phone, "call-state", "Connected").await;
    presses(&desktop, "Hangup").await;
    phone.until("the call is over", "return document.getElementById('call').hidden", STEP).await;
    desktop.close().await;
    phone.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_javascript_of_the_guide_works_as_written_with_the_official_client() {
    let pages = PageServer::start().await;
    let more = format!("[cometd]\norigins = [\"{}\"]", pages.origin());
    let mut lab = Lab::start_with(false, &agents(&more)).await;
    let phone = signed_in(&lab).await;
    let desktop = Browser::open(Kind::Chromium, &format!("{}/guide.html", pages.origin()), None).await;
    let gws = lab.page.trim_end_matches('/').to_owned();
    let run = |body: &str| format!("const gws = '{gws}'; {body}");
    desktop.run(&run("connectGWS(gws, 'agent5001', 'secret')"), &[]).await.expect("called");
    let connected = "return heard.some(([what]) => what === 'CometD connected:')";
    desktop.until("it is connected", connected, STEP).await;
    let ready = run("return await rest(gws, 'agent5001', 'secret', 'PUT', '/api/v2/me/state', { state: 'Ready' })");
    assert_eq!(desktop.run(&ready, &[]).await.expect("asked"), json!([200, { "statusCode": 0 }]));
    let state = "return heard.some(([what, data]) => what === 'Agent state changed:' && data.state === 'Ready')";
    desktop.until("the state is told", state, STEP).await;
    lab.types("c");
    text_becomes(&desktop, "status", &format!("Incoming: {CUSTOMER}")).await;
    let id = "return heard.findLast(([what]) => what === 'Genesys call event:')[1].call.id";
    let id = desktop.run(id, &[]).await.expect("an event").as_str().expect("an id").to_owned();
    let answer = run(&format!(
        "return await rest(gws, 'agent5001', 'secret', 'PUT', '/api/v2/me/calls/{id}', {{ action: 'answer' }})"
    ));
    assert_eq!(desktop.run(&answer, &[]).await.expect("asked"), json!([200, { "statusCode": 0 }]));
    text_becomes(&phone, "call-state", "Connected").await;
    let hand_over = format!(
        "return await rest(gws, 'agent5001', 'secret', 'POST', '/api/v2/me/calls/{id}/transfer', {{ destination: '6002', type: 'blind' }})"
    );
    assert_eq!(desktop.run(&run(&hand_over), &[]).await.expect("asked"), json!([200, { "statusCode": 0 }]));
    phone.until("the call is over", "return document.getElementById('call').hidden", STEP).await;
    let released = "return heard.some(([, data]) => data?.call?.state === 'Released')";
    desktop.until("the end is told", released, STEP).await;
    desktop.close().await;
    phone.close().await;
}

/// A lab whose page may stand in frames of `http://127.0.0.1:PORT`, and a page there that shows it: two sites to a browser.
async fn framed(allow: &str) -> (Lab, Browser) {
    let pages = PageServer::start().await;
    let foreign = pages.origin().replace("localhost", "127.0.0.1");
    let more = agents("[cometd]\ncookie = \"embedded\"");
    let lab = Lab::start_as(false, &format!("frame_ancestors = [\"{foreign}\"]"), &more).await;
    let page = lab.page.replace(':', "%3A").replace('/', "%2F");
    let browser = Browser::open(Kind::Chromium, &format!("{foreign}/frame.html?src={page}&allow={allow}"), None).await;
    browser.client().clone().enter_frame(0).await.expect("a frame");
    (lab, browser)
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_frame_of_another_site_the_agent_logs_in_talks_and_is_heard() {
    let (mut lab, browser) = framed("microphone;autoplay").await;
    browser.until("the lab's password is proposed", "return document.getElementById('password').value", STEP).await;
    click(&browser, "sign-in-button").await;
    text_becomes(&browser, "registration", "Registered").await;
    gets_ready(&browser).await;
    let wide = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    browser.until("nothing sticks out at the side", wide, STEP).await;
    lab.types("c");
    text_becomes(&browser, "gws-calls", CUSTOMER).await;
    presses(&browser, "Answer").await;
    text_becomes(&browser, "call-state", "Connected").await;
    browser.until("the microphone's level moves", "return document.getElementById('level').value > 0", STEP).await;
    let hint = browser.run("return document.getElementById('framed').hidden", &[]).await;
    assert_eq!(hint, Ok(Value::Bool(true)), "a window is offered though the frame has a microphone");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_without_a_microphone_offers_a_window_of_its_own() {
    let (_lab, browser) = framed("").await;
    browser.until("a window is offered", "return !document.getElementById('framed').hidden", STEP).await;
    let before = browser.client().windows().await.expect("windows").len();
    click(&browser, "pop-up").await;
    let begun = std::time::Instant::now();
    while browser.client().windows().await.expect("windows").len() == before {
        assert!(begun.elapsed() < STEP, "no window opens");
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_a_widget_the_page_listens_by_the_cometd_of_the_desktop_around_it() {
    let mut lab = Lab::start_with(false, &agents("")).await;
    let browser = Browser::open(Kind::Chromium, &format!("{}widget.html", lab.page), None).await;
    for (id, text) in [("user", "agent5001"), ("password", "secret")] {
        element(&browser, id).await.send_keys(text).await.expect("typed");
    }
    browser.run("document.getElementById('log-in').requestSubmit()", &[]).await.expect("sent");
    browser.until("the widget is there", "return document.querySelector('iframe')", STEP).await;
    browser.client().clone().enter_frame(0).await.expect("a frame");
    browser.until("the page is there", "return document.getElementById('gws')", STEP).await;
    text_becomes(&browser, "gws-status", "Connected").await;
    browser.until("the password is proposed", "return document.getElementById('password').value", STEP).await;
    click(&browser, "sign-in-button").await;
    text_becomes(&browser, "registration", "Registered").await;
    click(&browser, "gws-ready").await;
    text_becomes(&browser, "gws-state", "Ready").await;
    lab.types("c");
    text_becomes(&browser, "gws-calls", CUSTOMER).await;
    browser.close().await;
}
