//! The lab's scenarios with a real browser as the agent: each with audio, heard both ways before and after what changes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crosspoint::lab::Recorder;
use crosspoint::lab::scenario::{self, AgentAct, Place, Scenario};

use crate::agent::{Agent, Library, STEP};
use crate::rig::{Rig, free_udp_port};
use crate::tshark;
use crate::webdriver::Kind;

/// What the agent sends, Hz.
const AGENT_HZ: u16 = 1000;
/// From dBm0 to dBFS: a full-scale sine is +3.17 dBm0 and −3.01 dBFS.
const DBFS: f64 = -6.18;
/// Softer than this is silence, dBFS.
const SILENT_DBFS: f64 = -55.0;

async fn act(agent: Arc<Agent>, act: AgentAct) -> Result<(), String> {
    match act {
        // It signed in when its page was opened: the SIP Server hears of it as soon as it is there.
        AgentAct::SignsIn => agent.registered().await,
        AgentAct::SignsOut => drop(agent.act("stop()").await),
        AgentAct::Reads(_) => return Err(format!("{act:?} is for a person")),
        AgentAct::Asks(number) => drop(agent.act(&format!("consult('{number}')")).await),
        AgentAct::Completes => drop(agent.act("complete()").await),
        AgentAct::Confers => drop(agent.act("confer()").await),
        AgentAct::Presses(keys) => drop(agent.act(&format!("press('{keys}')")).await),
        AgentAct::Rings => agent.wait("call", "incoming").await,
        AgentAct::Answers => drop(agent.act("answer()").await),
        AgentAct::Dials(number) => drop(agent.act(&format!("dial('{number}')")).await),
        AgentAct::HangsUp => drop(agent.act("hangUp()").await),
        AgentAct::Holds => drop(agent.act("hold()").await),
        AgentAct::Retrieves => drop(agent.act("unhold()").await),
        AgentAct::Transfers(number) => drop(agent.act(&format!("refer('{number}')")).await),
        AgentAct::IsTalking => agent.wait("call", "established").await,
        AgentAct::IsFree => {
            let start = std::time::Instant::now();
            while !matches!(agent.see().await["call"].as_str(), Some("ended" | "failed" | "idle")) {
                if start.elapsed() > STEP {
                    return Err(format!("the agent's call does not end: {}", agent.see().await));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        AgentAct::Hears { hz, dbm0 } => agent.hears_tone(f64::from(hz), f64::from(dbm0) + DBFS).await,
        AgentAct::HearsSilence => {
            let start = std::time::Instant::now();
            loop {
                let heard = agent.hear(Duration::from_secs(1)).await;
                if heard.total_dbfs <= SILENT_DBFS {
                    break;
                }
                // What is left to play of the sound before, on a busy machine.
                if start.elapsed() > STEP {
                    return Err(format!("the agent hears {heard:?}"));
                }
            }
        }
    }
    Ok(())
}

/// Plays a scenario, and finds nothing left of it in the gateway.
async fn plays(name: &str, library: Library, recorder: Option<Arc<Recorder>>) {
    let server = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), free_udp_port()));
    let scenario = Scenario::find(name, server).unwrap_or_else(|why| panic!("{why}"));
    assert!(scenario.has_media(), "{name} listens to nothing");
    let rig = Rig::with_keys(server, &scenario.config().expect("its keys")).await;
    let agent = Arc::new(rig.agent(Kind::Chromium, library, &rig.account("5001", u32::from(AGENT_HZ))).await);
    agent.registered().await;
    let place = Place {
        gateway: rig.sip(),
        dn: "5001".to_owned(),
        agent_hz: Some(AGENT_HZ),
        media: true,
        patience: STEP,
        recorder,
    };
    let said = Mutex::new(String::new());
    let say = |line: &str| {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.push_str(line);
        said.push('\n');
    };
    let own = agent.clone();
    let result = scenario::play(&scenario, &place, &move |what| Box::pin(act(own.clone(), what)), &say).await;
    let seen = agent.see().await;
    if let Err(why) = result {
        panic!("{name}: {why}\n{}\nthe page: {seen}", said.lock().unwrap_or_else(PoisonError::into_inner));
    }
    let gone = tokio::time::timeout(STEP, async {
        while !rig.app.figures().await.expect("alive").snapshot.calls.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    gone.await.unwrap_or_else(|_| panic!("{name}: a call is left"));
    if let Some(agent) = Arc::into_inner(agent) {
        agent.close().await;
    }
    rig.app.shutdown().await;
}

/// A test of each scenario for a library.
macro_rules! scenarios {
    ($($test:ident: $name:literal with $library:ident,)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            plays($name, Library::$library, None).await;
        })*
    };
}

scenarios! {
    jssip_answers_and_both_hear_the_other: "inbound" with JsSip,
    sipjs_is_held_in_three_ways_and_hears_the_customer_after_each: "held-by-server" with SipJs,
    jssip_is_transferred_to_another_address_codec_and_payload_type: "transfer-3pcc" with JsSip,
    sipjs_hears_whom_an_offerless_reinvite_brings: "reinvite-offerless" with SipJs,
    jssip_is_answered_by_notify_talk_without_a_click: "notify-talk" with JsSip,
    jssip_is_held_and_retrieved_by_notify: "hold-talk" with JsSip,
    jssip_talks_after_a_click_to_dial_whose_ack_came_late: "click-to-dial" with JsSip,
    jssip_hears_whom_the_sip_server_refers_it_to: "refer-from-server" with JsSip,
    sipjs_hears_who_replaces_the_customer: "replaces" with SipJs,
    jssip_transfers_and_the_two_hear_each_other: "blind-transfer" with JsSip,
    jssip_holds_and_the_customer_hears_nothing_until_it_retrieves: "agent-holds" with JsSip,
    sipjs_keeps_its_call_when_a_reinvite_is_refused: "reinvite-refused" with SipJs,
    jssip_is_heard_where_a_silent_server_was_passed_over: "failover" with JsSip,
    jssip_is_called_by_the_second_peer: "continuity" with JsSip,
    a_customer_on_hold_hears_the_music_of_the_gateway: "hold-music" with JsSip,
    jssip_dials_and_hears_who_answers: "dialled" with JsSip,
    jssip_hears_the_fork_that_answers: "forked-early-media" with JsSip,
    sipjs_is_called_at_talk_and_answers_by_itself: "deferred" with SipJs,
    jssip_stands_nailed_and_is_joined_to_one_call_after_the_other: "nailed" with JsSip,
    sipjs_stands_nailed_and_is_joined_to_one_call_after_the_other: "nailed" with SipJs,
    jssip_asks_first_and_hands_the_customer_over: "attended-transfer" with JsSip,
    three_hear_each_other_after_jssip_has_asked_for_it: "conference" with JsSip,
    jssip_presses_keys_by_rfc_4733: "keys" with JsSip,
    sipjs_presses_keys_by_info: "keys" with SipJs,
    jssip_talks_on_when_another_address_of_the_pool_takes_over: "pool" with JsSip,
}

#[tokio::test(flavor = "multi_thread")]
async fn tshark_reads_every_packet_that_the_trunk_is_sent() {
    let recorder = Arc::new(Recorder::default());
    plays("held-by-server", Library::JsSip, Some(recorder.clone())).await;
    tshark::reads_without_a_complaint(&recorder, "127.0.0.1", &["sip", "rtp", "rtcp"]);
}
