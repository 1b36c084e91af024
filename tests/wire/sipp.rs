//! Calls with sipp, a SIP peer that nobody here wrote: holds, offerless re-INVITE, PRACK, session timers, glare, crossings and
//! loss. Its scenarios are in `tests/data/sipp`; it fails by itself where something else comes than they say.

use std::net::SocketAddr;
use std::time::Duration;

use crosspoint::lab::scenario::AgentAct;

use crate::desk::{Desk, no_call_is_left, rig, server};
use crate::rig::Rig;

#[path = "../common/sipp.rs"]
mod process;

use process::Sipp;

/// Longest time that one scenario takes, seconds.
const TIME: u64 = 90;

fn start(scenario: &str, own: SocketAddr, more: &[&str]) -> Sipp {
    Sipp::start(&format!("data/sipp/{scenario}"), own, TIME, &[&["-aa"], more].concat())
}

async fn scene() -> (Rig, Desk, SocketAddr) {
    let own = server();
    let rig = rig(own, &[]).await;
    let desk = Desk::sign_in(&rig).await;
    (rig, desk, own)
}

/// sipp calls 5001, which answers; `then` is what the agent does once they talk.
async fn is_called(scenario: &str, then: Option<AgentAct>) {
    let (rig, desk, own) = scene().await;
    let gateway = rig.sip().to_string();
    let sipp = start(scenario, own, &["-m", "1", "-s", "5001", &gateway]);
    desk.act(AgentAct::Rings).await.expect("it rings");
    tokio::time::sleep(Duration::from_millis(300)).await;
    desk.act(AgentAct::Answers).await.expect("it answers");
    if let Some(act) = then {
        desk.was_sent("ACK ").await;
        desk.act(act).await.expect("the act is done");
    }
    sipp.succeeds().await;
    no_call_is_left(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sipp_holds_and_retrieves() {
    is_called("hold", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sipp_reinvites_without_an_offer() {
    is_called("reinvite-offerless", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sipp_requires_a_reliable_180_and_gets_its_prack_answered() {
    is_called("prack", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sipp_is_told_the_smallest_session_interval() {
    is_called("timer-422", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sipp_and_the_gateway_reinvite_at_once_and_the_gateway_tries_again() {
    is_called("glare", Some(AgentAct::Holds)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sipp_cancels_too_late_and_the_call_lives() {
    is_called("cancel-late", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_end_in_the_right_state_where_every_fifth_packet_is_lost() {
    let (rig, desk, own) = scene().await;
    desk.phone().answers_at_once = true;
    let gateway = rig.sip().to_string();
    let more = ["-lost", "20", "-m", "5", "-l", "1", "-r", "1", "-rp", "1000", "-s", "5001", &gateway];
    let sipp = start("call", own, &more);
    sipp.succeeds().await;
    no_call_is_left(&rig).await;
    let free = rig.app.figures().await.expect("alive").snapshot.free_pairs;
    assert!(free.iter().all(|(_, pairs)| *pairs > 0), "{free:?}");
}
