//! Calls between a browser and the lab's stand-in Genesys, with each of the two libraries: every way that a call can go,
//! and a different tone from each side that the other must hear.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crosspoint::lab::{self, Behaviour, CallStatus, LabCall, LabConfig, LabHandle, Sound};

use crate::agent::{Agent, Library, STEP, SignIn};
use crate::network;
use crate::rig::{Rig, free_udp_port};
use crate::webdriver::Kind;

/// What the agent sends.
pub const AGENT_HZ: u32 = 1000;
/// What the lab plays, and what that is in dBFS: a full-scale sine is +3.17 dBm0 and -3.01 dBFS.
pub const LAB_HZ: u16 = 440;
pub const LAB_DBM0: i8 = -10;
pub const LAB_DBFS: f64 = -10.0 - 6.18;
/// The agent's amplitude of 0.25 as dBm0.
pub const AGENT_DBM0: f64 = -15.05 + 6.18;

/// How long a call waits for its browser to come back; a browser that is closed says no BYE.
const GRACE: Duration = Duration::from_secs(20);

const TONE: Sound = Sound::Tone { hz: LAB_HZ, dbm0: LAB_DBM0 };

pub struct Desk {
    pub rig: Rig,
    pub lab: LabHandle,
    pub agent: Agent,
}

fn numbers() -> Vec<(String, Behaviour)> {
    [
        ("6001", Behaviour::Answer(TONE)),
        ("6002", Behaviour::Refuse(603)),
        ("6003", Behaviour::Refuse(486)),
        ("6004", Behaviour::NoAnswer),
        ("6005", Behaviour::EarlyMedia(Duration::from_secs(4))),
        ("6006", Behaviour::HangUpAfter(Duration::from_secs(2))),
    ]
    .map(|(number, behaviour)| (number.to_owned(), behaviour))
    .to_vec()
}

/// A gateway with the lab behind it.
async fn rig(kind: Kind, dtls: &str) -> (Rig, LabHandle) {
    let media = if kind == Kind::Firefox { network::ADDRESS } else { Ipv4Addr::LOCALHOST };
    let rig = Rig::with_media(media, dtls, trunk(), "").await;
    let lab = lab_behind(&rig);
    (rig, lab)
}

/// Where the lab is to be.
fn trunk() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), free_udp_port()))
}

fn lab_behind(rig: &Rig) -> LabHandle {
    let config = LabConfig {
        sip: rig.trunk,
        gateway: rig.sip(),
        numbers: numbers(),
        schedule: None,
        password: None,
        ..LabConfig::default()
    };
    lab::start(config).expect("the lab starts")
}

/// An agent in Chromium at DN 5001 of a gateway with `keys` in its configuration, as [`Rig::with_keys`] has them.
pub async fn registered_with(keys: &[(&str, &str)]) -> Desk {
    let keys: Vec<_> = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let rig = Rig::with_keys(trunk(), &keys).await;
    let lab = lab_behind(&rig);
    let agent = rig.agent(Kind::Chromium, Library::JsSip, &rig.account("5001", AGENT_HZ)).await;
    let desk = Desk { rig, lab, agent };
    desk.agent.registered().await;
    desk
}

async fn open(kind: Kind, library: Library, account: impl FnOnce(&Rig) -> SignIn) -> Desk {
    open_with("1.2", kind, library, account).await
}

async fn open_with(dtls: &str, kind: Kind, library: Library, account: impl FnOnce(&Rig) -> SignIn) -> Desk {
    let (rig, lab) = rig(kind, dtls).await;
    let account = account(&rig);
    let agent = rig.agent(kind, library, &account).await;
    Desk { rig, lab, agent }
}

/// A registered agent at DN 5001.
pub async fn registered(kind: Kind, library: Library) -> Desk {
    let desk = open(kind, library, |rig| rig.account("5001", AGENT_HZ)).await;
    desk.agent.registered().await;
    desk
}

impl Desk {
    /// The lab's only call.
    pub async fn lab_call(&self) -> LabCall {
        let start = std::time::Instant::now();
        loop {
            if let [call] = &self.lab.calls().await[..] {
                return call.clone();
            }
            assert!(start.elapsed() < STEP, "the lab has no call");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn customer_calls(&self) -> LabCall {
        self.lab.call_dn("5001", "5551234567", TONE).await.expect("the lab calls")
    }

    /// Each side hears the tone of the other, and nothing is lost; by Opus.
    pub async fn both_hear_the_other(&self, call: &LabCall) {
        self.both_hear_the_other_by("audio/opus", call).await;
    }

    /// As [`Desk::both_hear_the_other`], by `codec`.
    pub async fn both_hear_the_other_by(&self, codec: &str, call: &LabCall) {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        self.agent.hears_tone(f64::from(LAB_HZ), LAB_DBFS).await;
        let report = call.report().await.expect("the lab has heard something");
        assert!((i32::from(report.dominant_hz) - AGENT_HZ as i32).abs() <= 10, "{report:?}");
        assert!((report.level_dbm0 - AGENT_DBM0).abs() <= 3.0, "{report:?}");
        // Pauses are the machine's; a packet that is missing is ours.
        assert_eq!(report.lost, 0, "{report:?}");
        let stats = self.agent.stats().await;
        assert_eq!(stats["in"]["codec"], codec, "{stats}");
        assert_eq!(stats["out"]["codec"], codec, "{stats}");
        assert_eq!(stats["in"]["lost"], 0, "{stats}");
    }

    /// Everything is over and nothing is left behind.
    pub async fn ends(self) {
        let start = std::time::Instant::now();
        loop {
            let figures = self.rig.app.figures().await.expect("the gateway runs");
            if figures.snapshot.calls.is_empty() {
                break;
            }
            assert!(start.elapsed() < STEP, "a call is left: {:?}", figures.snapshot.calls);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(self.lab.complaints(), Vec::<String>::new(), "rsip could not read what the gateway sent");
        self.agent.close().await;
        self.lab.stop().await;
        self.rig.app.shutdown().await;
    }
}

pub async fn over(call: &mut LabCall) -> CallStatus {
    tokio::time::timeout(STEP, call.wait_for(|_| false)).await.expect("the lab's call ends")
}

pub async fn answered(call: &mut LabCall) {
    let status = tokio::time::timeout(STEP, call.wait_for(|s| s == CallStatus::Answered)).await;
    assert_eq!(status.expect("the lab's call is answered"), CallStatus::Answered);
}

/// Calls out, talks, and hangs up.
async fn calls_out(kind: Kind, library: Library) {
    hangs_up(talks(registered(kind, library).await).await).await;
}

/// `tlsVersion` of getStats for DTLS 1.3 (RFC 9147 5.3).
const DTLS_1_3: &str = "FEFC";

/// Calls out over DTLS 1.3.
async fn calls_out_over_dtls_1_3(kind: Kind) {
    let desk = open_with("auto", kind, Library::JsSip, |rig| rig.account("5001", AGENT_HZ)).await;
    desk.agent.registered().await;
    let desk = talks(desk).await;
    let stats = desk.agent.stats().await;
    assert_eq!(stats["transport"]["tls"], DTLS_1_3, "{stats}");
    hangs_up(desk).await;
}

async fn talks(desk: Desk) -> Desk {
    desk.agent.act("dial('6001')").await;
    desk.agent.wait("call", "established").await;
    desk.both_hear_the_other(&desk.lab_call().await).await;
    desk
}

async fn hangs_up(desk: Desk) {
    let mut call = desk.lab_call().await;
    desk.agent.act("hangUp()").await;
    assert_eq!(over(&mut call).await, CallStatus::Ended(200));
    desk.ends().await;
}

/// Is called, answers, talks; the customer hangs up.
async fn is_called(kind: Kind, library: Library) {
    let desk = registered(kind, library).await;
    let mut call = desk.customer_calls().await;
    desk.agent.wait("call", "incoming").await;
    assert_eq!(desk.agent.see().await["peer"], "5551234567");
    desk.agent.act("answer()").await;
    answered(&mut call).await;
    desk.agent.wait("call", "established").await;
    desk.both_hear_the_other(&call).await;
    call.hang_up().await;
    desk.agent.wait("call", "ended").await;
    desk.ends().await;
}

async fn hangs_up_a_call_that_it_took(library: Library) {
    let desk = registered(Kind::Chromium, library).await;
    let mut call = desk.customer_calls().await;
    desk.agent.wait("call", "incoming").await;
    desk.agent.act("answer()").await;
    answered(&mut call).await;
    desk.agent.wait("call", "established").await;
    desk.agent.act("hangUp()").await;
    assert_eq!(over(&mut call).await, CallStatus::Ended(200));
    desk.ends().await;
}

async fn is_hung_up_on_by_the_number_it_called(library: Library) {
    let desk = registered(Kind::Chromium, library).await;
    desk.agent.act("dial('6006')").await;
    desk.agent.wait("call", "established").await;
    desk.agent.wait("call", "ended").await;
    desk.ends().await;
}

async fn cancels_while_it_rings(library: Library) {
    let desk = registered(Kind::Chromium, library).await;
    desk.agent.act("dial('6004')").await;
    // The trunk says 180 without media: the ringback tone, 440 and 480 Hz for 2 s out of 6, is the gateway's.
    desk.agent.wait("call", "early").await;
    let mut heard = Vec::new();
    while !heard.iter().any(|hz: &f64| [440.0, 480.0].iter().any(|tone: &f64| (hz - tone).abs() <= 5.0)) {
        assert!(heard.len() < 14, "no ringback tone; heard {heard:?} Hz");
        heard.push(desk.agent.hear(Duration::from_secs(1)).await.hz);
    }
    let mut call = desk.lab_call().await;
    desk.agent.act("hangUp()").await;
    desk.agent.wait("call", "failed").await;
    assert_eq!(over(&mut call).await, CallStatus::Ended(487));
    desk.ends().await;
}

async fn sees_the_customer_give_up(library: Library) {
    let desk = registered(Kind::Chromium, library).await;
    let mut call = desk.customer_calls().await;
    desk.agent.wait("call", "incoming").await;
    call.hang_up().await;
    desk.agent.wait("call", "failed").await;
    assert_eq!(over(&mut call).await, CallStatus::Ended(487));
    desk.ends().await;
}

async fn rejects_a_customer(library: Library) {
    let desk = registered(Kind::Chromium, library).await;
    let mut call = desk.customer_calls().await;
    desk.agent.wait("call", "incoming").await;
    desk.agent.act("reject(603)").await;
    assert_eq!(over(&mut call).await, CallStatus::Ended(603));
    desk.ends().await;
}

async fn is_busy_to_a_customer(library: Library) {
    let desk = registered(Kind::Chromium, library).await;
    let mut call = desk.customer_calls().await;
    desk.agent.wait("call", "incoming").await;
    desk.agent.act("reject(486)").await;
    assert_eq!(over(&mut call).await, CallStatus::Ended(486));
    desk.ends().await;
}

async fn hears_why_a_number_does_not_answer(library: Library) {
    let desk = registered(Kind::Chromium, library).await;
    for (number, status) in [("6002", 603), ("6003", 486), ("6999", 404)] {
        desk.agent.act(&format!("dial('{number}')")).await;
        desk.agent.wait("call", "failed").await;
        assert_eq!(desk.agent.see().await["status"], status, "{number}");
    }
    desk.ends().await;
}

async fn hears_early_media(library: Library) {
    let desk = registered(Kind::Chromium, library).await;
    desk.agent.act("dial('6005')").await;
    desk.agent.wait("call", "early").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let heard = desk.agent.hear(Duration::from_secs(1)).await;
    assert!((heard.hz - 440.0).abs() <= 5.0, "{heard:?}");
    desk.agent.wait("call", "established").await;
    desk.agent.act("hangUp()").await;
    desk.ends().await;
}

async fn sends_digits(library: Library, press: &str) {
    let desk = registered(Kind::Chromium, library).await;
    desk.agent.act("dial('6001')").await;
    desk.agent.wait("call", "established").await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let call = desk.lab_call().await;
    for key in ["5", "#", "0"] {
        desk.agent.act(&press.replace("KEY", key)).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    let report = call.report().await.expect("the lab has heard something");
    assert_eq!(report.digits, "5#0", "{report:?}");
    for length in &report.digit_lengths {
        assert!((120..=240).contains(&length.as_millis()), "a key of 160 ms lasted {length:?}: {report:?}");
    }
    desk.agent.act("hangUp()").await;
    desk.ends().await;
}

async fn sends_digits_as_telephone_events(library: Library) {
    sends_digits(library, "digitByRtp('KEY')").await;
}

async fn sends_digits_by_info(library: Library) {
    sends_digits(library, "digitByInfo('KEY')").await;
}

async fn is_refused_with_a_wrong_password(library: Library) {
    let desk =
        open(Kind::Chromium, library, |rig| SignIn { password: "guess".into(), ..rig.account("5001", 440) }).await;
    desk.agent.wait("registration", "failed").await;
    desk.ends().await;
}

async fn is_refused_as_an_unknown_dn(library: Library) {
    let desk = open(Kind::Chromium, library, |rig| rig.account("4711", 440)).await;
    desk.agent.wait("registration", "failed").await;
    desk.ends().await;
}

async fn vanishes_and_the_customer_is_released(library: Library) {
    let desk = registered(Kind::Chromium, library).await;
    let mut call = desk.customer_calls().await;
    desk.agent.wait("call", "incoming").await;
    desk.agent.act("answer()").await;
    answered(&mut call).await;
    let Desk { rig, lab, agent } = desk;
    agent.close().await;
    let patience = GRACE + STEP;
    let status = tokio::time::timeout(patience, call.wait_for(|_| false)).await.expect("the lab's call ends");
    assert_eq!(status, CallStatus::Ended(200));
    lab.stop().await;
    rig.app.shutdown().await;
}

/// Makes a test of each function for each library.
macro_rules! with_both_libraries {
    ($($name:ident,)*) => {
        mod jssip {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::agent::Library::JsSip).await;
            })*
        }
        mod sipjs {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::agent::Library::SipJs).await;
            })*
        }
    };
}

async fn calls_out_and_both_hear_the_tone_of_the_other(library: Library) {
    calls_out(Kind::Chromium, library).await;
}

async fn is_called_and_both_hear_the_tone_of_the_other(library: Library) {
    is_called(Kind::Chromium, library).await;
}

with_both_libraries! {
    calls_out_and_both_hear_the_tone_of_the_other,
    is_called_and_both_hear_the_tone_of_the_other,
    hangs_up_a_call_that_it_took,
    is_hung_up_on_by_the_number_it_called,
    cancels_while_it_rings,
    sees_the_customer_give_up,
    rejects_a_customer,
    is_busy_to_a_customer,
    hears_why_a_number_does_not_answer,
    hears_early_media,
    sends_digits_as_telephone_events,
    sends_digits_by_info,
    is_refused_with_a_wrong_password,
    is_refused_as_an_unknown_dn,
    vanishes_and_the_customer_is_released,
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_talks_over_dtls_1_3_where_both_sides_have_it() {
    calls_out_over_dtls_1_3(Kind::Chromium).await;
}

mod firefox {
    use crate::agent::Library;
    use crate::network;
    use crate::webdriver::Kind;

    #[test]
    fn jssip_calls_out_and_both_hear_the_tone_of_the_other() {
        network::of_its_own("calls::firefox::jssip_calls_out_and_both_hear_the_tone_of_the_other", || {
            super::calls_out(Kind::Firefox, Library::JsSip)
        });
    }

    #[test]
    fn talks_over_dtls_1_3_where_both_sides_have_it() {
        network::of_its_own("calls::firefox::talks_over_dtls_1_3_where_both_sides_have_it", || {
            super::calls_out_over_dtls_1_3(Kind::Firefox)
        });
    }

    #[test]
    fn sipjs_is_called_and_both_hear_the_tone_of_the_other() {
        network::of_its_own("calls::firefox::sipjs_is_called_and_both_hear_the_tone_of_the_other", || {
            super::is_called(Kind::Firefox, Library::SipJs)
        });
    }
}
