//! WebSocket lost and page reloaded in mid-call, in Chromium with both libraries: each side hears the other before and
//! after, and the customer's call is the same one all the time.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crosspoint::lab::{self, CallStatus, LabCall, LabConfig, LabHandle, Sound};

use crate::agent::{Agent, Library, STEP};
use crate::proxy::Proxy;
use crate::rig::{Rig, free_udp_port};
use crate::webdriver::Kind;

const AGENT_HZ: u32 = 1000;
const LAB_HZ: u16 = 440;
const LAB_DBM0: i8 = -10;
/// A full-scale sine is +3.17 dBm0 and -3.01 dBFS.
const LAB_DBFS: f64 = -10.0 - 6.18;

struct Desk {
    rig: Rig,
    lab: LabHandle,
    proxy: Proxy,
    agent: Agent,
}

impl Desk {
    /// A registered agent of a DN whose phones, of whatever make, are given their calls back.
    async fn open(library: Library) -> Desk {
        let trunk = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), free_udp_port()));
        let rig = Rig::start(trunk, "resume = true").await;
        let config = LabConfig {
            sip: trunk,
            gateway: rig.sip(),
            numbers: Vec::new(),
            schedule: None,
            password: None,
            ..LabConfig::default()
        };
        let lab = lab::start(config).expect("the lab starts");
        let proxy = Proxy::start(rig.app.addresses().http[0]).await;
        let agent = rig.agent(Kind::Chromium, library, &rig.account_by(&proxy, "5001", AGENT_HZ)).await;
        agent.registered().await;
        Desk { rig, lab, proxy, agent }
    }

    async fn rung(&self) -> LabCall {
        let tone = Sound::Tone { hz: LAB_HZ, dbm0: LAB_DBM0 };
        let call = self.lab.call_dn("5001", "5551234567", tone).await.expect("the lab calls");
        self.agent.wait("call", "incoming").await;
        call
    }

    async fn answered(&self, call: &mut LabCall) {
        self.agent.act("answer()").await;
        let status = tokio::time::timeout(STEP, call.wait_for(|s| s == CallStatus::Answered)).await;
        assert_eq!(status.expect("the lab's call is answered"), CallStatus::Answered);
        self.agent.wait("call", "established").await;
    }

    async fn both_hear_the_other(&self, call: &LabCall) {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        self.agent.hears_tone(f64::from(LAB_HZ), LAB_DBFS).await;
        let report = call.report().await.expect("the lab has heard something");
        assert!((i32::from(report.dominant_hz) - AGENT_HZ as i32).abs() <= 10, "{report:?}");
        assert_eq!(report.lost, 0, "{report:?}");
        assert_eq!(self.lab.calls().await.len(), 1, "the trunk knows of one call");
    }

    /// Legs that were bound to another connection, and those that a page took up again.
    async fn taken_up(&self) -> (u64, u64) {
        let counters = self.rig.app.figures().await.expect("the gateway runs").snapshot.counters;
        (counters.rebound, counters.resumed)
    }

    async fn ends(self) {
        assert_eq!(self.lab.complaints(), Vec::<String>::new(), "rsip could not read what the gateway sent");
        self.agent.close().await;
        self.lab.stop().await;
        self.rig.app.shutdown().await;
    }
}

/// The WebSocket is cut for some seconds: the media goes on meanwhile, and the BYE comes by the next connection.
async fn keeps_its_call_over_a_lost_websocket(library: Library) {
    let desk = Desk::open(library).await;
    let mut call = desk.rung().await;
    desk.answered(&mut call).await;
    desk.both_hear_the_other(&call).await;
    desk.proxy.cut();
    desk.agent.wait("registration", "disconnected").await;
    desk.both_hear_the_other(&call).await;
    desk.proxy.mend();
    desk.agent.registered().await;
    desk.both_hear_the_other(&call).await;
    assert_eq!(desk.agent.see().await["call"], "established");
    assert_eq!(desk.taken_up().await, (1, 0));
    call.hang_up().await;
    desk.agent.wait("call", "ended").await;
    desk.ends().await;
}

/// The page is loaded anew in mid-call.
async fn gets_its_call_back_after_a_reload(library: Library) {
    let desk = Desk::open(library).await;
    let mut call = desk.rung().await;
    desk.answered(&mut call).await;
    desk.both_hear_the_other(&call).await;
    desk.agent.reload().await;
    desk.agent.wait("call", "established").await;
    desk.both_hear_the_other(&call).await;
    assert_eq!(desk.taken_up().await, (0, 1));
    desk.agent.act("hangUp()").await;
    let status = tokio::time::timeout(STEP, call.wait_for(|_| false)).await.expect("the lab's call ends");
    assert_eq!(status, CallStatus::Ended(200));
    desk.ends().await;
}

/// The page is loaded anew while the customer is on hold: he is afterwards, and is taken back.
#[tokio::test(flavor = "multi_thread")]
async fn jssip_finds_its_call_on_hold_after_a_reload_and_takes_the_customer_back() {
    let desk = Desk::open(Library::JsSip).await;
    let mut call = desk.rung().await;
    desk.answered(&mut call).await;
    desk.both_hear_the_other(&call).await;
    desk.agent.act("hold()").await;
    let is_held = "return agent.session.isOnHold().local && !agent.session._dialog.uac_pending_reply";
    desk.agent.browser().until("the hold is answered", is_held, STEP).await;
    desk.agent.reload().await;
    desk.agent.wait("call", "established").await;
    let told = "const log = agent.log.join(); return log.includes(';held') && log.includes('hold local')";
    desk.agent.browser().until("it is told that the call is on hold, and holds it", told, STEP).await;
    desk.agent.browser().until("the hold is answered", is_held, STEP).await;
    assert_eq!(call.status(), CallStatus::Answered);
    desk.agent.act("unhold()").await;
    desk.both_hear_the_other(&call).await;
    desk.ends().await;
}

/// Two DNs of ours, joined here.
#[tokio::test(flavor = "multi_thread")]
async fn two_browsers_are_joined_without_the_trunk_and_speak_opus_in_full_band() {
    let trunk = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), free_udp_port()));
    let rig = Rig::start(trunk, "[calls]\nlocal_calls = \"always\"").await;
    let caller = rig.agent(Kind::Chromium, Library::JsSip, &rig.account("5001", AGENT_HZ)).await;
    caller.registered().await;
    let callee = rig.agent(Kind::Chromium, Library::SipJs, &rig.account("5002", 600)).await;
    callee.registered().await;
    caller.act("dial('5002')").await;
    callee.wait("call", "incoming").await;
    assert_eq!(callee.see().await["peer"], "5001");
    callee.act("answer()").await;
    caller.wait("call", "established").await;
    callee.wait("call", "established").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let sent = 20.0 * (crate::agent::AMPLITUDE / std::f64::consts::SQRT_2).log10();
    caller.hears_tone(600.0, sent).await;
    callee.hears_tone(f64::from(AGENT_HZ), sent).await;
    for agent in [&caller, &callee] {
        let stats = agent.stats().await;
        assert_eq!(stats["in"]["codec"], "audio/opus", "{stats}");
        assert_eq!(stats["in"]["lost"], 0, "{stats}");
        assert!(!stats["in"]["fmtp"].to_string().contains("maxplaybackrate=8000"), "{stats}");
    }
    let figures = rig.app.figures().await.expect("the gateway runs");
    assert_eq!(figures.snapshot.trunks[0].counters.outbound, 0, "the trunk hears nothing");
    caller.act("hangUp()").await;
    callee.wait("call", "ended").await;
    callee.close().await;
    caller.close().await;
    rig.app.shutdown().await;
}

/// The page is loaded anew while it rings.
async fn rings_again_after_a_reload(library: Library) {
    let desk = Desk::open(library).await;
    let mut call = desk.rung().await;
    desk.agent.reload().await;
    desk.agent.wait("call", "incoming").await;
    desk.answered(&mut call).await;
    desk.both_hear_the_other(&call).await;
    desk.ends().await;
}

/// The WebSocket is cut while it rings: what rang before falls silent, and the next INVITE can be answered.
async fn rings_again_after_a_lost_websocket(library: Library) {
    let desk = Desk::open(library).await;
    let mut call = desk.rung().await;
    desk.proxy.cut();
    desk.agent.wait("registration", "disconnected").await;
    desk.proxy.mend();
    desk.agent.registered().await;
    // What rang before may look as if it still did.
    desk.agent.browser().until("it rings anew", "return agent.rung === 2", STEP).await;
    desk.agent.wait("call", "incoming").await;
    desk.answered(&mut call).await;
    desk.both_hear_the_other(&call).await;
    desk.ends().await;
}

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

with_both_libraries! {
    keeps_its_call_over_a_lost_websocket,
    gets_its_call_back_after_a_reload,
    rings_again_after_a_reload,
    rings_again_after_a_lost_websocket,
}
