//! Two tabs of one browser in which the same agent works: both show the call, and one phone has it.

use std::time::{Duration, Instant};

use crosspoint::lab::CustomerStatus;
use fantoccini::wd::WindowHandle;

use crate::agent::STEP;
use crate::desktop::presses;
use crate::floor::{Floor, Seat, is_the_customer, speaks, stands};
use crate::phone::text_becomes;

const AGENT_HZ: u16 = 1000;

/// An agent with two tabs, of which one is looked at.
struct Tabs {
    floor: Floor,
    ann: Seat,
    tabs: [WindowHandle; 2],
}

impl Tabs {
    /// Both have the desktop, and the first one the phone; the second one is looked at.
    async fn open() -> Tabs {
        let floor = Floor::open().await;
        let ann = Seat::take(&floor, "5001", AGENT_HZ).await;
        let client = ann.browser.client();
        let first = client.window().await.expect("a tab");
        let second = client.new_window(true).await.expect("another one").handle;
        client.switch_to_window(second.clone()).await.expect("it is there");
        client.goto(&floor.page()).await.expect("the page opens");
        ann.sits_down().await;
        ann.connects().await;
        Tabs { floor, ann, tabs: [first, second] }
    }

    /// Looks at a tab.
    async fn at(&self, tab: usize) -> &Seat {
        self.ann.browser.client().switch_to_window(self.tabs[tab].clone()).await.expect("it is there");
        &self.ann
    }

    /// Waits until one phone alone has the call, and returns whose it is.
    async fn who_has_the_call(&self) -> usize {
        let begun = Instant::now();
        let has = "return document.getElementById('call-state').textContent === 'Connected' && !document.getElementById('call').hidden";
        let free = "return document.getElementById('call').hidden";
        loop {
            let mut found = [None; 2];
            for (tab, of_tab) in found.iter_mut().enumerate() {
                let browser = &self.at(tab).await.browser;
                let is = async |body| browser.run(body, &[]).await == Ok(true.into());
                *of_tab = if is(has).await { Some(true) } else { is(free).await.then_some(false) };
            }
            match found {
                [Some(true), Some(false)] => return 0,
                [Some(false), Some(true)] => return 1,
                _ => assert!(begun.elapsed() < STEP, "who has the call (the first tab, the second one): {found:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn close(self) {
        self.floor.is_empty().await;
        self.ann.browser.close().await;
        self.floor.closes().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_tabs_of_an_agent_show_and_control_the_call_and_the_one_with_the_phone_has_the_sound() {
    let tabs = Tabs::open().await;
    tabs.at(0).await.is_ready().await;
    text_becomes(&tabs.at(1).await.browser, "gws-state", "Ready").await;
    let mut customer = tabs.floor.customer().await;
    is_the_customer(&tabs.at(1).await.shows("Ringing").await);
    tabs.at(1).await.has_no_call().await;
    is_the_customer(&tabs.at(0).await.shows("Ringing").await);
    text_becomes(&tabs.at(0).await.browser, "call-state", "Incoming call").await;

    presses(&tabs.at(1).await.browser, "Answer").await;
    stands(&mut customer, CustomerStatus::Talking("5001".to_owned())).await;
    assert_eq!(tabs.who_has_the_call().await, 0, "the tab with the phone");
    let line = tabs.floor.line("5001").await;
    speaks(&line).await;
    tabs.at(0).await.talks_with(&line).await;
    presses(&tabs.at(0).await.browser, "Hold").await;
    tabs.at(1).await.shows("Held").await;
    presses(&tabs.at(1).await.browser, "Retrieve").await;
    tabs.at(0).await.shows("Established").await;
    tabs.at(0).await.talks_with(&line).await;

    presses(&tabs.at(1).await.browser, "Hangup").await;
    stands(&mut customer, CustomerStatus::Ended).await;
    for tab in [0, 1] {
        tabs.at(tab).await.has_no_call().await;
        tabs.at(tab).await.is_ready_after_its_work().await;
    }
    tabs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_in_each_tab_rings_and_one_of_them_has_the_call_when_it_is_answered_and_the_other_falls_silent() {
    let tabs = Tabs::open().await;
    tabs.at(1).await.picks_up_the_phone().await;
    tabs.at(1).await.is_ready().await;
    let mut customer = tabs.floor.customer().await;
    for tab in [0, 1] {
        text_becomes(&tabs.at(tab).await.browser, "call-state", "Incoming call").await;
    }
    presses(&tabs.at(1).await.browser, "Answer").await;
    stands(&mut customer, CustomerStatus::Talking("5001".to_owned())).await;
    let has = tabs.who_has_the_call().await;
    let line = tabs.floor.line("5001").await;
    speaks(&line).await;
    tabs.at(has).await.talks_with(&line).await;
    tabs.at(1 - has).await.shows("Established").await;
    presses(&tabs.at(1 - has).await.browser, "Hangup").await;
    stands(&mut customer, CustomerStatus::Ended).await;
    tabs.at(has).await.has_no_call().await;
    tabs.close().await;
}
