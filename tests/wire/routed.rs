//! The guide's inbound flow as far as SIP goes: a customer dials 18005551234, the lab routes it to an agent of a real gateway, and
//! DNs reach each other by the lab.

use std::time::Duration;

use crosspoint::app::Events;
use crosspoint::call::{CallCommand, CallEvent, Command, EventKind};
use crosspoint::id::{CallId, DialId};
use crosspoint::lab::floor::Phones;
use crosspoint::lab::routing::Queue;
use crosspoint::lab::scenario::AgentAct;
use crosspoint::lab::{self, CustomerStatus, LabConfig, LabHandle};

use crate::desk::{self, Desk, server};
use crate::rig::Rig;

const NUMBER: &str = "18005551234";

/// A gateway, a lab that routes and puts DNs through, and these phones.
async fn scene(answer_within: Duration) -> (Rig, LabHandle, [Desk; 2]) {
    let sip = server();
    let rig = desk::rig(sip, &[]).await;
    let phones = [Desk::sign_in_as(&rig, "5001").await, Desk::sign_in_as(&rig, "5002").await];
    let queue = Queue { number: NUMBER.to_owned(), skill: Some("support".to_owned()), level: 1, answer_within };
    let config = LabConfig {
        sip,
        gateway: rig.sip(),
        numbers: Vec::new(),
        dns: vec!["5001-5999".to_owned().try_into().expect("a range")],
        queues: vec![queue],
        ..LabConfig::default()
    };
    let floor = Phones::of(rig.app.remote(), &config.queues);
    (rig, lab::start_with(config, Some(floor)).expect("started"), phones)
}

/// Returns the next event of this kind.
async fn next(events: &mut Events, wanted: fn(&EventKind) -> bool) -> CallEvent {
    let found = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let event = events.next().await.expect("the gateway lives");
            if wanted(&event.kind) {
                return event.as_ref().clone();
            }
        }
    });
    found.await.expect("an event within 10 s")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_routed_to_the_agent_who_answers_with_its_number_and_data() {
    let (rig, lab, [first, second]) = scene(Duration::from_secs(1)).await;
    let mut events = rig.app.events();
    let mut customer = lab.customer(NUMBER).await.expect("routed");
    let offered = |status: &CustomerStatus| matches!(status, CustomerStatus::Offered(_));
    let CustomerStatus::Offered(dn) = customer.wait_for(offered).await else { panic!("nobody is rung") };
    let dialing = next(&mut events, |kind| *kind == EventKind::Dialing).await;
    assert_eq!((dialing.peer.as_str(), dialing.dnis.as_deref()), ("5551234567", Some(NUMBER)));
    let data: Vec<_> = dialing.data.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert!(data.contains(&("X-Genesys-UserData-customer_id", "98765")), "{data:?}");
    // Whoever is rung first does not answer.
    let (silent, other, expected) = match dn.as_str() {
        "5001" => (&first, &second, "5002"),
        _ => (&second, &first, "5001"),
    };
    silent.act(AgentAct::Rings).await.expect("it rings");
    other.act(AgentAct::Rings).await.expect("then the other one rings");
    other.act(AgentAct::Answers).await.expect("it answers");
    let talks = CustomerStatus::Talking(expected.to_owned());
    assert_eq!(customer.wait_for(|status| *status == talks).await, talks);
    let answered = next(&mut events, |kind| *kind == EventKind::Established).await;
    assert_eq!((answered.dn.as_str(), &answered.call_uuid), (expected, &dialing.call_uuid), "it is the same call");
    customer.hang_up();
    other.act(AgentAct::IsFree).await.expect("the call is over");
    desk::no_call_is_left(&rig).await;
    assert_eq!(lab.complaints(), [""; 0]);
}

/// 5001 talks to a customer: the call.
async fn talking(lab: &LabHandle, rig: &Rig, phones: &[Desk; 2]) -> CallId {
    let mut events = rig.app.events();
    let call = lab.call_dn("5001", "5551234567", lab::Sound::Echo).await;
    phones[0].act(AgentAct::Rings).await.expect("it rings");
    phones[0].act(AgentAct::Answers).await.expect("it answers");
    let established = next(&mut events, |kind| *kind == EventKind::Established).await;
    assert!(call.is_some());
    // The lab's ACK is on its way: until then another change of the call is under way.
    tokio::time::sleep(Duration::from_millis(300)).await;
    established.call
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_handed_on_to_another_agent_by_the_lab() {
    let (rig, lab, phones) = scene(Duration::from_secs(10)).await;
    let call = talking(&lab, &rig, &phones).await;
    let mut events = rig.app.events();
    rig.app.command(Command::of(call, CallCommand::BlindTransfer { to: "5002".to_owned() })).await;
    phones[1].act(AgentAct::Rings).await.expect("5002 rings");
    phones[1].act(AgentAct::Answers).await.expect("5002 answers");
    let handed_on = next(&mut events, |kind| matches!(kind, EventKind::Transferred { .. })).await;
    assert_eq!(handed_on.call, call);
    phones[0].act(AgentAct::IsFree).await.expect("5001 has left");
    phones[1].act(AgentAct::HangsUp).await.expect("5002 ends it");
    desk::no_call_is_left(&rig).await;
    assert_eq!(lab.complaints(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_agent_is_called_into_the_call_by_the_lab() {
    let (rig, lab, phones) = scene(Duration::from_secs(10)).await;
    let call = talking(&lab, &rig, &phones).await;
    let mut events = rig.app.events();
    rig.app.command(Command::of(call, CallCommand::SingleStepConference { to: "5002".to_owned() })).await;
    phones[1].act(AgentAct::Rings).await.expect("5002 rings");
    phones[1].act(AgentAct::Answers).await.expect("5002 answers");
    let three = next(&mut events, |kind| matches!(kind, EventKind::ParticipantsUpdated { .. })).await;
    assert_eq!(three.kind, EventKind::ParticipantsUpdated { parties: vec!["5551234567".into(), "5002".into()] });
    phones[0].act(AgentAct::HangsUp).await.expect("the agent ends it for all");
    desk::no_call_is_left(&rig).await;
    assert_eq!(lab.complaints(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_calls_the_agents_own_phone_and_then_another_agent() {
    let (rig, lab, phones) = scene(Duration::from_secs(10)).await;
    let mut events = rig.app.events();
    let dial = DialId(1);
    let (dn, to) = ("5001".to_owned(), "5002".to_owned());
    rig.app.command(Command::Dial { dial, dn, to, told: Vec::new() }).await;
    phones[0].act(AgentAct::IsTalking).await.expect("the agent's phone answers by itself");
    phones[1].act(AgentAct::Rings).await.expect("5002 rings");
    phones[1].act(AgentAct::Answers).await.expect("5002 answers");
    let mut ends = Vec::new();
    while ends.len() < 2 {
        ends.push(next(&mut events, |kind| *kind == EventKind::Established).await);
    }
    ends.sort_by_key(|event| event.dn.clone());
    assert_eq!((ends[0].dn.as_str(), ends[0].peer.as_str(), ends[0].dial), ("5001", "5002", Some(dial)));
    assert_eq!((ends[1].dn.as_str(), ends[1].peer.as_str(), ends[1].dial), ("5002", "5001", None));
    phones[0].act(AgentAct::HangsUp).await.expect("over");
    desk::no_call_is_left(&rig).await;
    assert_eq!(lab.complaints(), [""; 0]);
}
