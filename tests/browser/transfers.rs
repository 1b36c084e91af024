//! Transfers and conferences asked for by real libraries: a tone from each party, measured before and after at whoever is
//! to hear it.

use std::time::{Duration, Instant};

use crosspoint::lab::{CallStatus, LabCall, Sound};

use crate::agent::{Library, STEP};
use crate::calls::{AGENT_HZ, Desk, LAB_DBFS, LAB_DBM0, LAB_HZ, answered, over, registered};
use crate::webdriver::Kind;

/// What the target of a transfer plays.
const TARGET_HZ: u16 = 620;
/// Louder than the agent's tone, which is at about -9 dBm0.
const LOUD_DBM0: i8 = -3;

/// A customer calls, the agent answers, and both hear the other.
async fn talking(library: Library) -> (Desk, LabCall) {
    let desk = registered(Kind::Chromium, library).await;
    let mut customer = desk.customer_calls().await;
    desk.agent.wait("call", "incoming").await;
    desk.agent.act("answer()").await;
    answered(&mut customer).await;
    desk.agent.wait("call", "established").await;
    desk.both_hear_the_other(&customer).await;
    (desk, customer)
}

/// The call that the number took, once it is answered; it plays a tone of its own.
async fn target(desk: &Desk, customer: &LabCall) -> LabCall {
    let start = Instant::now();
    loop {
        let calls = desk.lab.calls().await;
        if let Some(call) = calls.iter().find(|call| call.call_id() != customer.call_id()) {
            let mut call = call.clone();
            answered(&mut call).await;
            call.play(Sound::Tone { hz: TARGET_HZ, dbm0: LAB_DBM0 }).await;
            return call;
        }
        assert!(start.elapsed() < STEP, "nobody was called");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Asserts that the party hears this tone, alone.
async fn hears(call: &LabCall, hz: u32) {
    let start = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let report = call.report().await.expect("a call with media");
        if (i32::from(report.dominant_hz) - hz as i32).abs() <= 10 && report.level_dbm0 > -20.0 {
            return;
        }
        assert!(start.elapsed() < STEP, "{} hears no {hz} Hz: {report:?}", call.number());
    }
}

/// The agent is out of it: customer and target hear each other, and the end of one is that of the other.
async fn handed_on(desk: Desk, mut customer: LabCall, target: LabCall) {
    desk.agent.wait("transfer", "accepted").await;
    desk.agent.wait("call", "ended").await;
    hears(&customer, TARGET_HZ.into()).await;
    hears(&target, LAB_HZ.into()).await;
    target.hang_up().await;
    assert_eq!(over(&mut customer).await, CallStatus::Ended(200));
    desk.ends().await;
}

async fn transfers_blind(library: Library) {
    let (desk, customer) = talking(library).await;
    desk.agent.act("refer('6001')").await;
    let target = target(&desk, &customer).await;
    handed_on(desk, customer, target).await;
}

async fn transfers_after_asking(library: Library) {
    let (desk, customer) = talking(library).await;
    desk.agent.act("consult('6001')").await;
    let target = target(&desk, &customer).await;
    desk.agent.wait("call", "established").await;
    desk.agent.hears_tone(TARGET_HZ.into(), LAB_DBFS).await;
    hears(&target, AGENT_HZ).await;
    desk.agent.act("complete('6001')").await;
    handed_on(desk, customer, target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jssip_transfers_blind_and_the_parties_hear_each_other() {
    transfers_blind(Library::JsSip).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sipjs_transfers_blind_and_the_parties_hear_each_other() {
    transfers_blind(Library::SipJs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jssip_transfers_after_a_consultation_and_the_parties_hear_each_other() {
    transfers_after_asking(Library::JsSip).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sipjs_transfers_after_a_consultation_and_the_parties_hear_each_other() {
    transfers_after_asking(Library::SipJs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_to_a_busy_number_gives_the_call_back_with_its_sound() {
    let (desk, customer) = talking(Library::JsSip).await;
    desk.agent.act("refer('6003')").await;
    desk.agent.wait("transfer", "failed").await;
    desk.both_hear_the_other(&customer).await;
    desk.agent.act("hangUp()").await;
    desk.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hear_each_other_in_a_conference_that_the_page_asks_for() {
    let (desk, customer) = talking(Library::JsSip).await;
    desk.agent.act("consult('6001')").await;
    let guest = target(&desk, &customer).await;
    desk.agent.wait("call", "established").await;
    desk.agent.act("wish({ command: 'conference', with: agent.callIdOfFirst() })").await;
    let loud = |hz| Sound::Tone { hz, dbm0: LOUD_DBM0 };
    let silent = Sound::Tone { hz: 300, dbm0: -90 };
    // One speaks up and the other falls silent: the agent's own tone is softer, and nobody hears himself.
    for (speaker, other, hz) in [(&customer, &guest, LAB_HZ), (&guest, &customer, TARGET_HZ)] {
        other.play(silent.clone()).await;
        speaker.play(loud(hz)).await;
        hears(other, hz.into()).await;
        hears(speaker, AGENT_HZ).await;
        desk.agent.hears_tone(hz.into(), LAB_DBFS + f64::from(LOUD_DBM0 - LAB_DBM0)).await;
    }
    desk.agent.act("hangUp()").await;
    for mut call in [customer, guest] {
        assert_eq!(over(&mut call).await, CallStatus::Ended(200));
    }
    desk.ends().await;
}
