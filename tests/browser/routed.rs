//! The guide's inbound flow as its agents see and hear it, with two of them side by side: from the customer's dialling to the
//! agent who is ready for the next one. Each way of speech is measured by frequency and level after each step.

use crosspoint::lab::CustomerStatus;

use crate::calls::{LAB_DBFS, LAB_HZ};
use crate::desktop::presses;
use crate::floor::{Floor, MUSIC_HZ, Seat, THIRD, THIRD_HZ, is_heard, is_the_customer, speaks, stands, third_dbfs};
use crate::phone::text_becomes;

/// What the agents say.
const FIRST_HZ: u16 = 1000;
const SECOND_HZ: u16 = 600;

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_routed_popped_up_answered_held_handed_on_joined_by_a_third_and_released() {
    let floor = Floor::open().await;
    let (ann, ben) = tokio::join!(Seat::take(&floor, "5001", FIRST_HZ), Seat::take(&floor, "5002", SECOND_HZ));
    ann.is_ready().await;
    ben.is_ready().await;

    // Routed to who is longest ready, with all that is known of the customer.
    let mut customer = floor.customer().await;
    is_the_customer(&ann.shows("Ringing").await);
    text_becomes(&ann.browser, "call-state", "Incoming call").await;
    ben.has_no_call().await;

    presses(&ann.browser, "Answer").await;
    ann.shows("Established").await;
    stands(&mut customer, CustomerStatus::Talking("5001".to_owned())).await;
    let line = floor.line("5001").await;
    speaks(&line).await;
    ann.talks_with(&line).await;

    presses(&ann.browser, "Hold").await;
    ann.shows("Held").await;
    is_heard("the customer on hold", &line, MUSIC_HZ).await;
    ann.hears_nobody().await;
    presses(&ann.browser, "Retrieve").await;
    ann.shows("Established").await;
    ann.talks_with(&line).await;

    // Handed on: the second agent's page rings with all that is known of the customer, and the first one is free.
    ann.types_number("5002").await;
    presses(&ann.browser, "SingleStepTransfer").await;
    is_the_customer(&ben.shows("Ringing").await);
    text_becomes(&ben.browser, "call-state", "Incoming call").await;
    presses(&ben.browser, "Answer").await;
    is_the_customer(&ben.shows("Established").await);
    ann.has_no_call().await;
    ben.talks_with(&line).await;
    ann.is_ready_after_its_work().await;

    // Three: each hears the other two.
    ben.types_number(THIRD).await;
    presses(&ben.browser, "SingleStepConference").await;
    let third = floor.line(THIRD).await;
    ben.hears(&[(LAB_HZ, LAB_DBFS), (THIRD_HZ, third_dbfs())]).await;
    is_heard("the customer in the conference", &line, THIRD_HZ).await;
    is_heard("the third one", &third, SECOND_HZ).await;

    presses(&ben.browser, "Hangup").await;
    ben.has_no_call().await;
    ben.is_ready_after_its_work().await;
    stands(&mut customer, CustomerStatus::Ended).await;
    floor.is_empty().await;
    ann.browser.close().await;
    ben.browser.close().await;
    floor.closes().await;
}
