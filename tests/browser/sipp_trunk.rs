//! A browser and sipp, a SIP peer that nobody here wrote: calls both ways, with the sound echoed by the trunk.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::agent::Library;
use crate::rig::{Echo, Rig, free_udp_port};
use crate::webdriver::Kind;

/// RMS of a sine of [`crate::agent::AMPLITUDE`], dBFS.
const SENT_DBFS: f64 = -15.05;

async fn trunk_rig() -> (Rig, u16) {
    let port = free_udp_port();
    // sipp takes an OPTIONS for a call gone wrong.
    let quiet = [("trunk.0.ping_seconds".to_owned(), "0".to_owned())];
    (Rig::with_keys(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), &quiet).await, port)
}

async fn calls_out_and_hears_its_own_tone_from_the_trunk(library: Library) {
    let (rig, port) = trunk_rig().await;
    let sipp = Echo::answers(port);
    let agent = rig.agent(Kind::Chromium, library, &rig.account("5001", 1000)).await;
    agent.registered().await;
    agent.act("dial('5559876543')").await;
    agent.wait("call", "established").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    agent.hears_tone(1000.0, SENT_DBFS).await;
    let stats = agent.stats().await;
    assert_eq!(stats["in"]["codec"], "audio/opus", "{stats}");
    assert_eq!(stats["in"]["lost"], 0, "{stats}");
    agent.act("hangUp()").await;
    agent.wait("call", "ended").await;
    sipp.succeeds().await;
    agent.close().await;
}

async fn is_called_and_hears_its_own_tone_from_the_trunk(library: Library) {
    let (rig, port) = trunk_rig().await;
    let agent = rig.agent(Kind::Chromium, library, &rig.account("5001", 800)).await;
    agent.registered().await;
    let sipp = Echo::calls(port, rig.sip(), "5001");
    agent.wait("call", "incoming").await;
    assert_eq!(agent.see().await["peer"], "5559876543");
    agent.act("answer()").await;
    agent.wait("call", "established").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    agent.hears_tone(800.0, SENT_DBFS).await;
    agent.wait("call", "ended").await;
    sipp.succeeds().await;
    agent.close().await;
}

/// The agent's desktop answers: nobody touches the phone.
async fn answers_at_notify_talk(library: Library, mode: &str) {
    let port = free_udp_port();
    let rig = Rig::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), &format!("answer = \"{mode}\"")).await;
    let agent = rig.agent(Kind::Chromium, library, &rig.account("5001", 900)).await;
    agent.registered().await;
    let sipp = Echo::talks(port, rig.sip(), "5001");
    agent.wait("call", "established").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    agent.hears_tone(900.0, SENT_DBFS).await;
    agent.wait("call", "ended").await;
    sipp.succeeds().await;
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jssip_is_told_to_answer_while_it_rings_and_does() {
    answers_at_notify_talk(Library::JsSip, "page").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sipjs_is_called_at_talk_and_answers_by_itself() {
    answers_at_notify_talk(Library::SipJs, "deferred").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jssip_calls_out_and_hears_its_own_tone_from_the_trunk() {
    calls_out_and_hears_its_own_tone_from_the_trunk(Library::JsSip).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sipjs_calls_out_and_hears_its_own_tone_from_the_trunk() {
    calls_out_and_hears_its_own_tone_from_the_trunk(Library::SipJs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jssip_is_called_by_the_trunk_and_hears_its_own_tone() {
    is_called_and_hears_its_own_tone_from_the_trunk(Library::JsSip).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sipjs_is_called_by_the_trunk_and_hears_its_own_tone() {
    is_called_and_hears_its_own_tone_from_the_trunk(Library::SipJs).await;
}
