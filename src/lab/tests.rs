//! Two labs on loopback call each other.

use super::*;

mod routed;

const WAIT: Duration = Duration::from_secs(10);

/// Two labs on loopback, one calling the numbers of the other.
struct Pair {
    customers: LabHandle,
    numbers: LabHandle,
}

fn pair(numbers: &[(&str, Behaviour)]) -> Pair {
    let config = |gateway: SocketAddr, numbers: Vec<(String, Behaviour)>| LabConfig {
        sip: "127.0.0.1:0".parse().unwrap(),
        gateway,
        numbers,
        schedule: None,
        password: None,
        ..LabConfig::default()
    };
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let numbers = start(config(nowhere, numbers.iter().map(|(n, b)| ((*n).to_owned(), b.clone())).collect())).unwrap();
    let customers = start(config(numbers.address(), Vec::new())).unwrap();
    Pair { customers, numbers }
}

impl Pair {
    async fn call(&self, number: &str, sound: Sound) -> LabCall {
        self.customers.call_dn(number, "5550100", sound).await.unwrap()
    }

    async fn stop(self) {
        assert_eq!(self.numbers.complaints(), [""; 0]);
        assert_eq!(self.customers.complaints(), [""; 0]);
        self.customers.stop().await;
        self.numbers.stop().await;
    }
}

async fn until(call: &mut LabCall, wanted: CallStatus) -> CallStatus {
    tokio::time::timeout(WAIT, call.wait_for(|s| s == wanted)).await.unwrap()
}

#[tokio::test]
async fn an_echo_sends_back_the_tone_at_its_level_without_gaps() {
    let pair = pair(&[("6001", Behaviour::Answer(Sound::Echo))]);
    let mut call = pair.call("6001", Sound::Tone { hz: 1000, dbm0: -15 }).await;
    assert_eq!(until(&mut call, CallStatus::Answered).await, CallStatus::Answered);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let heard = call.report().await.unwrap();
    assert_eq!(heard.dominant_hz, 1000, "{heard:?}");
    assert!((heard.level_dbm0 + 15.0).abs() < 1.0, "{heard:?}");
    assert_eq!((heard.lost, heard.strange), (0, 0));
    call.hang_up().await;
    assert_eq!(until(&mut call, CallStatus::Ended(200)).await, CallStatus::Ended(200));
    assert!(call.report().await.unwrap().received > 40, "the figures outlive the call");
    pair.stop().await;
}

#[tokio::test]
async fn refused_busy_and_unknown_numbers_end_with_their_status() {
    let pair = pair(&[("6005", Behaviour::Refuse(603)), ("6006", Behaviour::Refuse(486))]);
    for (number, status) in [("6005", 603), ("6006", 486), ("6999", 404)] {
        let mut call = pair.call(number, Sound::Silence).await;
        assert_eq!(until(&mut call, CallStatus::Answered).await, CallStatus::Ended(status));
    }
    pair.stop().await;
}

#[tokio::test]
async fn a_number_that_never_answers_is_cancelled() {
    let pair = pair(&[("6007", Behaviour::NoAnswer)]);
    let mut call = pair.call("6007", Sound::Silence).await;
    assert_eq!(until(&mut call, CallStatus::Ringing).await, CallStatus::Ringing);
    call.hang_up().await;
    assert_eq!(until(&mut call, CallStatus::Answered).await, CallStatus::Ended(487));
    pair.stop().await;
}

#[tokio::test]
async fn early_media_is_heard_before_the_answer() {
    let pair = pair(&[("6008", Behaviour::EarlyMedia(Duration::from_millis(1500)))]);
    let mut call = pair.call("6008", Sound::Silence).await;
    until(&mut call, CallStatus::Ringing).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(call.status(), CallStatus::Ringing);
    assert_eq!(call.report().await.unwrap().dominant_hz, 440);
    assert_eq!(until(&mut call, CallStatus::Answered).await, CallStatus::Answered);
    pair.stop().await;
}

#[tokio::test]
async fn a_number_hangs_up_by_itself() {
    let pair = pair(&[("6009", Behaviour::HangUpAfter(Duration::from_millis(300)))]);
    let mut call = pair.call("6009", Sound::Silence).await;
    assert_eq!(until(&mut call, CallStatus::Answered).await, CallStatus::Answered);
    assert_eq!(until(&mut call, CallStatus::Ended(200)).await, CallStatus::Ended(200));
    pair.stop().await;
}

#[tokio::test]
async fn keys_come_back_once_each() {
    let pair = pair(&[("6010", Behaviour::EchoDigits)]);
    let mut call = pair.call("6010", Sound::Silence).await;
    until(&mut call, CallStatus::Answered).await;
    call.press("12#D").await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let heard = call.report().await.unwrap();
    assert_eq!(heard.digits, "12#D");
    assert_eq!(heard.digit_lengths, [Duration::from_millis(100); 4]);
    pair.stop().await;
}

#[tokio::test]
async fn stopping_ends_the_calls_of_the_other_side_too() {
    let pair = pair(&[("6001", Behaviour::Answer(Sound::Echo))]);
    let mut call = pair.call("6001", Sound::Silence).await;
    until(&mut call, CallStatus::Answered).await;
    let mut taken = pair.numbers.calls().await.remove(0);
    assert_eq!((taken.number(), taken.status()), ("6001", CallStatus::Answered));
    pair.customers.stop().await;
    assert_eq!(until(&mut taken, CallStatus::Ended(200)).await, CallStatus::Ended(200));
    pair.numbers.stop().await;
}

#[tokio::test]
async fn customers_call_on_schedule() {
    let numbers = pair(&[("5001", Behaviour::Answer(Sound::Silence))]);
    let every = Duration::from_millis(200);
    let config = LabConfig {
        sip: "127.0.0.1:0".parse().unwrap(),
        gateway: numbers.numbers.address(),
        numbers: Vec::new(),
        schedule: Some(("5001".into(), every)),
        password: None,
        ..LabConfig::default()
    };
    let scheduled = start(config).unwrap();
    tokio::time::sleep(every * 4).await;
    assert!(numbers.numbers.calls().await.len() >= 2);
    scheduled.stop().await;
    numbers.stop().await;
}

#[tokio::test]
async fn what_rsip_cannot_read_is_a_complaint() {
    let pair = pair(&[]);
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(b"NONSENSE\r\n\r\n", pair.numbers.address()).await.unwrap();
    tokio::time::timeout(WAIT, async {
        while pair.numbers.complaints().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
}
