//! Calls that the stand-in puts through: to a DN, and from a number that is routed to an agent. A second lab is the gateway.

use std::sync::Mutex;
use std::time::Instant;

use super::*;
use crate::lab::routing::{Agent, Queue};

const NUMBER: &str = "18005551234";

/// Agents who are what a test says, and become what the lab says.
#[derive(Debug, Default)]
struct Agents {
    all: Mutex<Vec<Agent>>,
    told: Mutex<Vec<Told>>,
}

/// CallUUID, ConnID and user data of a call.
type Told = (String, String, Vec<(String, String)>);

impl Agents {
    fn new(dns: &[&str]) -> Arc<Agents> {
        let since = Instant::now();
        let agent = |(place, dn): (usize, &&str)| Agent {
            user: format!("agent of {dn}"),
            dn: (*dn).to_owned(),
            skills: vec![("support".to_owned(), 5)],
            is_free: true,
            since: since + Duration::from_millis(place as u64),
        };
        let all = dns.iter().enumerate().map(agent).collect();
        Arc::new(Agents { all: Mutex::new(all), told: Mutex::default() })
    }

    fn ready(&self) -> Vec<String> {
        self.all.lock().unwrap().iter().filter(|agent| agent.is_free).map(|agent| agent.dn.clone()).collect()
    }
}

impl Floor for Agents {
    fn agents(&self) -> Vec<Agent> {
        self.all.lock().unwrap().clone()
    }

    fn not_ready(&self, user: &str) {
        let mut all = self.all.lock().unwrap();
        all.iter_mut().filter(|agent| agent.user == user).for_each(|agent| agent.is_free = false);
    }

    fn told(&self, call_uuid: &str, conn_id: &str, user_data: &[(String, String)]) {
        self.told.lock().unwrap().push((call_uuid.to_owned(), conn_id.to_owned(), user_data.to_vec()));
    }

    fn interaction(&self, _user: &str, _data: serde_json::Value) -> bool {
        false
    }
}

fn free_address() -> SocketAddr {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The stand-in, and a gateway with these phones.
fn both(phones: &[(&str, Behaviour)], agents: &Arc<Agents>) -> (LabHandle, LabHandle) {
    let (lab, gateway) = (free_address(), free_address());
    let numbers = phones.iter().map(|(number, does)| ((*number).to_owned(), does.clone())).collect();
    let phones = LabConfig { sip: gateway, gateway: lab, numbers, ..LabConfig::default() };
    let queue = Queue {
        number: NUMBER.to_owned(),
        skill: Some("support".to_owned()),
        level: 1,
        answer_within: Duration::from_millis(600),
    };
    let lab = LabConfig {
        sip: lab,
        gateway,
        numbers: Vec::new(),
        dns: vec!["5001-5999".to_owned().try_into().unwrap()],
        queues: vec![queue],
        ..LabConfig::default()
    };
    (start_with(lab, Some(agents.clone())).unwrap(), start(phones).unwrap())
}

async fn stop(lab: LabHandle, gateway: LabHandle) {
    assert_eq!((lab.complaints(), gateway.complaints()), (Vec::new(), Vec::new()));
    lab.stop().await;
    gateway.stop().await;
}

fn answers(hz: u16) -> Behaviour {
    Behaviour::Answer(Sound::Tone { hz, dbm0: -10 })
}

async fn stands(customer: &mut Customer, wanted: CustomerStatus) {
    let found = tokio::time::timeout(WAIT, customer.wait_for(|status| *status == wanted)).await.unwrap();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn a_customer_is_routed_to_an_agent_who_is_ready_and_told_of_with_its_data() {
    let agents = Agents::new(&["5001"]);
    let (lab, gateway) = both(&[("5001", answers(440))], &agents);
    let mut customer = lab.customer(NUMBER).await.unwrap();
    stands(&mut customer, CustomerStatus::Talking("5001".to_owned())).await;
    let told = agents.told.lock().unwrap().remove(0);
    let is_hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
    assert!(told.0.len() == 32 && told.1.len() == 16 && is_hex(&told.1), "{told:?}");
    assert!(told.2.contains(&("customer_id".to_owned(), "98765".to_owned())), "{told:?}");
    customer.hang_up();
    stands(&mut customer, CustomerStatus::Ended).await;
    let mut taken = gateway.calls().await.remove(0);
    assert_eq!(until(&mut taken, CallStatus::Ended(200)).await, CallStatus::Ended(200));
    assert!(lab.customer("911").await.is_none(), "nobody routes that");
    stop(lab, gateway).await;
}

#[tokio::test]
async fn an_agent_who_does_not_answer_is_not_ready_from_then_on_and_the_next_one_rings() {
    let agents = Agents::new(&["5001", "5002", "5003"]);
    let phones = [("5001", Behaviour::NoAnswer), ("5002", Behaviour::Refuse(486)), ("5003", answers(440))];
    let (lab, gateway) = both(&phones, &agents);
    let mut customer = lab.customer(NUMBER).await.unwrap();
    stands(&mut customer, CustomerStatus::Talking("5003".to_owned())).await;
    assert_eq!(agents.ready(), ["5003"]);
    stop(lab, gateway).await;
}

#[tokio::test]
async fn whoever_dials_the_number_hears_an_announcement_and_then_the_agent() {
    let agents = Agents::new(&["5001"]);
    agents.all.lock().unwrap()[0].is_free = false;
    let (lab, gateway) = both(&[("5001", answers(440))], &agents);
    let mut caller = gateway.call_dn(NUMBER, "5550100", Sound::Tone { hz: 1000, dbm0: -15 }).await.unwrap();
    assert_eq!(until(&mut caller, CallStatus::Answered).await, CallStatus::Answered);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(caller.report().await.unwrap().dominant_hz, 620, "nobody is free");
    agents.all.lock().unwrap()[0].is_free = true;
    tokio::time::sleep(Duration::from_millis(1800)).await;
    assert_eq!(caller.report().await.unwrap().dominant_hz, 440, "the agent");
    let mut phone = gateway.calls().await.into_iter().find(|call| call.number() == "5001").unwrap();
    assert_eq!(phone.report().await.unwrap().dominant_hz, 1000, "the caller");
    caller.hang_up().await;
    assert_eq!(until(&mut phone, CallStatus::Ended(200)).await, CallStatus::Ended(200));
    stop(lab, gateway).await;
}

#[tokio::test]
async fn a_dn_that_is_dialled_is_put_through_with_its_refusals_and_its_keys() {
    let agents = Agents::new(&[]);
    let phones = [("5002", Behaviour::EchoDigits), ("5003", Behaviour::Refuse(486)), ("5004", Behaviour::NoAnswer)];
    let (lab, gateway) = both(&phones, &agents);
    let mut call = gateway.call_dn("5002", "5001", Sound::Silence).await.unwrap();
    assert_eq!(until(&mut call, CallStatus::Answered).await, CallStatus::Answered);
    call.press("12").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(call.report().await.unwrap().digits, "12", "they went there and came back");
    call.hang_up().await;
    let mut busy = gateway.call_dn("5003", "5001", Sound::Silence).await.unwrap();
    assert_eq!(until(&mut busy, CallStatus::Answered).await, CallStatus::Ended(486));
    let mut rings = gateway.call_dn("5004", "5001", Sound::Silence).await.unwrap();
    assert_eq!(until(&mut rings, CallStatus::Ringing).await, CallStatus::Ringing);
    rings.hang_up().await;
    assert_eq!(until(&mut rings, CallStatus::Answered).await, CallStatus::Ended(487));
    let phones = gateway.calls().await;
    for number in ["5002", "5004"] {
        let mut phone = phones.iter().find(|call| call.number() == number && call.call_id() != rings.call_id());
        let phone = phone.as_mut().unwrap();
        let mut phone = phone.clone();
        assert!(matches!(until(&mut phone, CallStatus::Ended(200)).await, CallStatus::Ended(_)), "{number}");
    }
    stop(lab, gateway).await;
}
