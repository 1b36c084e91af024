//! What an agent can do with a routed customer from the desktop or the phone, each act heard or read at the other end.

use crosspoint::lab::{Customer, CustomerStatus, LabCall};
use serde_json::{Value, json};

use crate::agent::STEP;
use crate::calls::{LAB_DBFS, LAB_HZ};
use crate::desktop::{connects, presses};
use crate::floor::{Floor, MUSIC_HZ, Seat, THIRD, THIRD_HZ, is_heard, speaks, stands, third_dbfs};
use crate::phone::{click, element, text_becomes};

/// What the agent says.
const AGENT_HZ: u16 = 1000;

/// An agent who talks with a customer.
struct Scene {
    floor: Floor,
    ann: Seat,
    customer: Customer,
    line: LabCall,
}

impl Scene {
    async fn talking() -> Scene {
        let floor = Floor::open().await;
        let ann = Seat::take(&floor, "5001", AGENT_HZ).await;
        ann.is_ready().await;
        let mut customer = floor.customer().await;
        ann.shows("Ringing").await;
        presses(&ann.browser, "Answer").await;
        ann.shows("Established").await;
        stands(&mut customer, CustomerStatus::Talking("5001".to_owned())).await;
        let line = floor.line("5001").await;
        speaks(&line).await;
        Scene { floor, ann, customer, line }
    }

    /// The agent hangs up by the button of an operation, and nothing is left.
    async fn ends(mut self) {
        presses(&self.ann.browser, "Hangup").await;
        self.ann.has_no_call().await;
        stands(&mut self.customer, CustomerStatus::Ended).await;
        self.floor.is_empty().await;
        self.ann.browser.close().await;
        self.floor.closes().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_asks_somebody_swaps_back_to_the_customer_and_makes_three_of_two_from_the_desktop() {
    let scene = Scene::talking().await;
    let Scene { floor, ann, line, .. } = &scene;
    ann.talks_with(line).await;
    ann.types_number(THIRD).await;
    presses(&ann.browser, "InitiateTransfer").await;
    let third = floor.line(THIRD).await;
    is_heard("who is asked", &third, AGENT_HZ).await;
    is_heard("the customer who waits", line, MUSIC_HZ).await;

    presses(&ann.browser, "SwapCalls").await;
    is_heard("who waits now", &third, MUSIC_HZ).await;
    ann.talks_with(line).await;

    presses(&ann.browser, "CompleteConference").await;
    is_heard("the customer in the conference", line, THIRD_HZ).await;
    is_heard("the third one", &third, AGENT_HZ).await;
    ann.hears(&[(LAB_HZ, LAB_DBFS), (THIRD_HZ, third_dbfs())]).await;
    scene.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_pressed_and_data_attached_and_taken_away_from_the_desktop() {
    let scene = Scene::talking().await;
    let Scene { ann, line, .. } = &scene;
    let keys = "document.querySelector('#gws-calls .digits input').value = '159#'";
    ann.browser.run(keys, &[]).await.expect("typed");
    presses(&ann.browser, "SendDtmf").await;
    let begun = std::time::Instant::now();
    loop {
        let digits = line.report().await.expect("it has media").digits;
        if digits == "159#" {
            break;
        }
        assert!(begun.elapsed() < STEP, "the customer hears the keys {digits:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }

    let attaches = async |name: &str, value: &str, shown: Value| {
        let fills = "const card = document.querySelector('#gws-calls article'); card.querySelector('details').open = true;\
            const [name, value] = card.querySelectorAll('details input'); [name.value, value.value] = args;";
        ann.browser.run(fills, &[json!(name), json!(value)]).await.expect("typed");
        presses(&ann.browser, "UpdateUserData").await;
        let begun = std::time::Instant::now();
        loop {
            let known = ann.shows("Established").await;
            if known[name] == shown {
                return;
            }
            assert!(begun.elapsed() < STEP, "{name} does not become {shown}: {known}");
        }
    };
    attaches("ticket", "T-4711", json!("T-4711")).await;
    attaches("ticket", "T-4712", json!("T-4712")).await;
    attaches("ticket", "", Value::Null).await;
    assert_eq!(ann.shows("Established").await["customer_id"], "98765", "what was there before");
    scene.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_the_phone_controls_have_its_buttons_alone_and_the_desktop_follows() {
    let floor = Floor::open().await;
    let ann = Seat::take(&floor, "5001", AGENT_HZ).await;
    let choose = "const select = document.getElementById('gws-controls'); select.value = 'sip'; select.dispatchEvent(new Event('change'));";
    ann.browser.run(choose, &[]).await.expect("chosen");
    ann.is_ready().await;
    let mut customer = floor.customer().await;
    ann.shows("Ringing").await;
    text_becomes(&ann.browser, "call-state", "Incoming call").await;
    let phone_only = "return document.getElementById('answer').checkVisibility()\
        && [...document.querySelectorAll('#gws-calls :is(.actions, .numbered, .digits) button')].every((b) => !b.checkVisibility())";
    ann.browser.until("the phone alone has the buttons of a call that rings", phone_only, STEP).await;
    click(&ann.browser, "answer").await;
    ann.shows("Established").await;
    stands(&mut customer, CustomerStatus::Talking("5001".to_owned())).await;
    let line = floor.line("5001").await;
    speaks(&line).await;
    click(&ann.browser, "hold").await;
    ann.shows("Held").await;
    is_heard("the customer on hold", &line, MUSIC_HZ).await;
    click(&ann.browser, "hold").await;
    ann.shows("Established").await;
    ann.talks_with(&line).await;
    click(&ann.browser, "hang-up").await;
    ann.has_no_call().await;
    ann.is_ready_after_its_work().await;
    stands(&mut customer, CustomerStatus::Ended).await;
    floor.is_empty().await;
    ann.browser.close().await;
    floor.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_to_dial_waits_for_ready_has_the_phone_answer_by_itself_and_then_the_number_and_shows_its_data() {
    let floor = Floor::open().await;
    let ann = Seat::take(&floor, "5001", AGENT_HZ).await;
    element(&ann.browser, "gws-number").await.send_keys(THIRD).await.expect("typed");
    ann.browser.run("document.getElementById('gws-dial').requestSubmit()", &[]).await.expect("sent");
    text_becomes(&ann.browser, "notice", "not ready").await;
    assert!(floor.lab.calls().await.is_empty(), "an agent who is not ready has dialled");
    ann.is_ready().await;

    // The guide's own request, by the login that the page has.
    let dials = "const me = await fetch('/api/v2/me', { cache: 'no-store' });
        const headers = { 'Content-Type': 'application/json', [me.headers.get('X-CSRF-HEADER')]: me.headers.get('X-CSRF-TOKEN') };
        const body = JSON.stringify({ destination: args[0], userData: { customer_id: 12345, campaign: 'sales' } });
        const answer = await fetch('/api/v2/me/calls', { method: 'POST', headers, body });
        return [answer.status, await answer.json()];";
    let answer = ann.browser.run(dials, &[json!(THIRD)]).await.expect("asked");
    assert_eq!(answer, json!([200, { "statusCode": 0 }]));
    text_becomes(&ann.browser, "call-state", "Connected").await;
    let line = floor.line(THIRD).await;
    let known = ann.shows("Established").await;
    for (name, value) in [("peer", THIRD), ("customer_id", "12345"), ("campaign", "sales")] {
        assert_eq!(known[name], value, "{name} of the call: {known}");
    }
    ann.hears(&[(THIRD_HZ, third_dbfs())]).await;
    is_heard("the one who was called", &line, AGENT_HZ).await;
    presses(&ann.browser, "Hangup").await;
    ann.has_no_call().await;
    ann.is_ready_after_its_work().await;
    floor.is_empty().await;
    ann.browser.close().await;
    floor.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_at_the_gateways_own_desk_is_said_in_plain_words_and_the_right_one_helps() {
    let floor = Floor::open().await;
    let ann = Seat::sign_in(&floor, "5001", AGENT_HZ).await;
    connects(&ann.browser, "agent5001", "wrong").await;
    text_becomes(&ann.browser, "gws-error", "User or password is wrong").await;
    connects(&ann.browser, "agent5001", "secret").await;
    text_becomes(&ann.browser, "gws-status", "Connected").await;
    ann.is_ready().await;
    ann.browser.close().await;
    floor.closes().await;
}
