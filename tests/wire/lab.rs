//! The gateway between a browser's signalling and the lab: `rsip` reads every message that the trunk is sent.

use std::net::SocketAddr;
use std::time::Duration;

use crosspoint::lab::scenario::AgentAct;
use crosspoint::lab::{self, Behaviour, CallStatus, LabConfig, LabHandle, Sound};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, Request, dial, open_plain};
use crate::desk::{self, Desk, server};
use crate::rig::{Rig, config};

/// A gateway whose trunk is a lab, and a browser signed in as 5001.
async fn scene() -> (Rig, LabHandle, Client<TcpStream>) {
    let sip: SocketAddr = {
        let free = std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
        free.local_addr().expect("bound")
    };
    let mut config = config("");
    config.trunks[0].addresses = vec![sip.into()];
    let rig = Rig::with(config).await;
    // Until its worker has bound the first ports, a gateway answers 503.
    let ready = tokio::time::timeout(Duration::from_secs(10), async {
        while !rig.app.figures().await.is_some_and(|f| f.snapshot.free_pairs.iter().any(|(_, free)| *free > 0)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    ready.await.expect("bound ports");
    let numbers = vec![
        ("6001".to_owned(), Behaviour::Answer(Sound::Echo)),
        ("6005".to_owned(), Behaviour::Refuse(603)),
        ("6006".to_owned(), Behaviour::Refuse(486)),
    ];
    let lab = lab::start(LabConfig {
        sip,
        gateway: rig.sip(),
        numbers,
        schedule: None,
        password: None,
        ..LabConfig::default()
    })
    .expect("started");
    let mut browser = open_plain(rig.http(), Request::default()).await.unwrap_or_else(|_| panic!("a WebSocket"));
    let answer = browser.sign_in("5001").await;
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    (rig, lab, browser)
}

/// Returns the next message that begins so.
async fn until(browser: &mut Client<TcpStream>, begins: &str) -> String {
    loop {
        let message = browser.sip().await;
        if message.starts_with(begins) {
            return message;
        }
        assert!(!message.starts_with("SIP/2.0 4") && !message.starts_with("SIP/2.0 5"), "{message}");
    }
}

/// Answers the 200: a callee may not send BYE before (RFC 3261 §15), the gateway would wait 32 s for it.
async fn acknowledge(browser: &mut Client<TcpStream>, answer: &str) {
    let line = |name: &str| answer.lines().find(|l| l.starts_with(name)).expect("a header of every answer").to_owned();
    let contact = line("Contact:");
    let target = contact.split(['<', '>']).nth(1).expect("a URI in brackets");
    let ack = format!(
        "ACK {target} SIP/2.0\r\nVia: SIP/2.0/WS k4tn5q.invalid;branch=z9hG4bKack\r\nMax-Forwards: 69\r\n\
         {}\r\n{}\r\n{}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
        line("To:"),
        line("From:"),
        line("Call-ID:"),
    );
    browser.send(Message::text(ack)).await;
}

#[tokio::test]
async fn a_browser_hears_that_a_number_refuses_and_rsip_reads_our_invite() {
    for (number, begins) in [("6005", "SIP/2.0 603 "), ("6006", "SIP/2.0 486 ")] {
        let (_rig, lab, mut browser) = scene().await;
        dial(&mut browser, number).await;
        loop {
            let message = browser.sip().await;
            if !message.starts_with("SIP/2.0 1") {
                assert!(message.starts_with(begins), "{message}");
                break;
            }
        }
        assert_eq!(lab.calls().await.iter().map(|c| c.number().to_owned()).collect::<Vec<_>>(), [number]);
        assert_eq!(lab.complaints(), [""; 0]);
    }
}

#[tokio::test]
async fn a_number_that_answers_gives_the_browser_an_answer_to_its_offer() {
    let (_rig, lab, mut browser) = scene().await;
    dial(&mut browser, "6001").await;
    let answer = until(&mut browser, "SIP/2.0 200 ").await;
    assert!(answer.contains("a=setup:passive") && answer.contains("a=fingerprint:sha-256 "), "{answer}");
    acknowledge(&mut browser, &answer).await;
    let mut call = lab.calls().await.remove(0);
    assert_eq!(call.wait_for(|s| s == CallStatus::Answered).await, CallStatus::Answered);
    call.hang_up().await;
    until(&mut browser, "BYE ").await;
    assert_eq!(lab.complaints(), [""; 0]);
}

#[tokio::test]
async fn a_customer_hears_that_the_agent_is_busy() {
    let (_rig, lab, mut browser) = scene().await;
    let mut call = lab.call_dn("5001", "5550100", Sound::Silence).await.expect("a call");
    let invite = until(&mut browser, "INVITE ").await;
    assert!(invite.contains("m=audio "), "{invite}");
    let copied = |name: &str| invite.lines().filter(|l| l.starts_with(name)).collect::<Vec<_>>().join("\r\n");
    let busy = format!(
        "SIP/2.0 486 Busy Here\r\n{}\r\n{}\r\n{};tag=busy\r\n{}\r\n{}\r\nContent-Length: 0\r\n\r\n",
        copied("Via:"),
        copied("From:"),
        copied("To:"),
        copied("Call-ID:"),
        copied("CSeq:"),
    );
    browser.send(Message::text(busy)).await;
    let status = tokio::time::timeout(Duration::from_secs(10), call.wait_for(|s| s == CallStatus::Answered)).await;
    assert_eq!(status.expect("an end"), CallStatus::Ended(486));
    assert_eq!(lab.complaints(), [""; 0]);
}

#[tokio::test]
async fn a_customer_of_an_unknown_dn_hears_404_and_of_an_absent_one_480() {
    let (_rig, lab, _browser) = scene().await;
    for (dn, status) in [("7777", 404), ("5002", 480)] {
        let mut call = lab.call_dn(dn, "5550100", Sound::Silence).await.expect("a call");
        let end = tokio::time::timeout(Duration::from_secs(10), call.wait_for(|s| s == CallStatus::Answered)).await;
        assert_eq!(end.expect("an end"), CallStatus::Ended(status), "{dn}");
    }
    assert_eq!(lab.complaints(), [""; 0]);
}

/// A lab that asks for a password, and a gateway that registers DNs there and leaves transfers to it.
async fn registering() -> (Rig, LabHandle, Desk) {
    let sip = server();
    let numbers =
        vec![("6001".to_owned(), Behaviour::Answer(Sound::Echo)), ("6006".to_owned(), Behaviour::Refuse(486))];
    let keys = [
        ("trunk.0.register", "\"dns\""),
        ("trunk.0.account", "{ realm = \"genesys\", password = \"of the trunk\" }"),
        ("trunk.0.refer", "true"),
    ];
    let rig = desk::rig(sip, &keys.map(|(key, value)| (key.to_owned(), value.to_owned()))).await;
    let config = LabConfig {
        sip,
        gateway: rig.sip(),
        numbers,
        schedule: None,
        password: Some("of the trunk".into()),
        ..LabConfig::default()
    };
    let lab = lab::start(config).expect("started");
    let desk = Desk::sign_in(&rig).await;
    (rig, lab, desk)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dn_registers_with_the_lab_by_its_password_and_is_called_at_its_contact() {
    let (rig, lab, desk) = registering().await;
    let registered = tokio::time::timeout(Duration::from_secs(10), async {
        while lab.contact("5001").await.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    registered.await.expect("registered within 10 s");
    assert_eq!(lab.contact("5001").await, Some(format!("sip:5001@{}", rig.sip())));
    assert_eq!(lab.contact("5002").await, None);
    let mut call = lab.call_dn("5001", "5550100", Sound::Silence).await.expect("a call");
    desk.act(AgentAct::Rings).await.expect("it rings");
    call.hang_up().await;
    assert_eq!(call.wait_for(|_| false).await, CallStatus::Ended(487));
    assert_eq!(lab.complaints(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refer_to_the_lab_ends_the_call_or_gives_it_back() {
    let (_rig, lab, desk) = registering().await;
    desk.act(AgentAct::Dials("6001".into())).await.expect("dialled");
    desk.act(AgentAct::IsTalking).await.expect("answered");
    let mut call = lab.calls().await.remove(0);
    desk.act(AgentAct::Transfers("6006".into())).await.expect("asked");
    desk.was_sent("NOTIFY ").await;
    assert_eq!(call.status(), CallStatus::Answered, "6006 is busy: the call is given back");
    desk.act(AgentAct::Transfers("6001".into())).await.expect("asked");
    desk.act(AgentAct::IsFree).await.expect("the agent is let go");
    assert_eq!(call.wait_for(|_| false).await, CallStatus::Ended(200));
    assert_eq!(lab.complaints(), [""; 0]);
}
