//! From one of our DNs to another: by the trunk, and here only where it is configured.

use std::time::Duration;

use crosspoint::call::{CallCommand, Command};
use crosspoint::gateway::{Input, LocalCalls};
use crosspoint::plan::{Order, Topology};
use crosspoint::sip::message::{Message, Method};

use crate::peers::{Dialog, Ua, last_status, request, signed_in};
use crate::rig::{PASSWORD, Rig, config};
use crate::sdp;

fn rig(local: LocalCalls, workers: u64) -> Rig {
    let mut with = config();
    with.calls.local = local;
    Rig::with(with, workers, 4)
}

/// 5001 dials 5002.
fn dials(rig: &mut Rig, extra: &[(&str, &str)]) -> (Ua, Dialog, Ua) {
    let mut caller = signed_in(rig, "5001");
    let callee = signed_in(rig, "5002");
    let call = caller.call(rig, "5002", Some(&sdp::chromium_offer()), extra);
    (caller, call, callee)
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}

#[test]
fn a_dn_is_called_by_the_trunk_unless_it_is_configured() {
    let mut rig = rig(LocalCalls::Never, 1);
    let (_, _, callee) = dials(&mut rig, &[]);
    let invite = request(&rig.take(Ua::trunk().path), Method::Invite);
    assert!(invite.request_uri().starts_with("sip:5002@"));
    assert!(rig.take(callee.path).is_empty());
}

#[test]
fn two_browsers_talk_on_one_worker_in_full_band_and_the_trunk_hears_nothing() {
    let mut rig = rig(LocalCalls::Always, 2);
    let (mut caller, mut call, callee) = dials(&mut rig, &[("User-to-User", "aa")]);
    let invite = request(&rig.take(callee.path), Method::Invite);
    assert_eq!((invite.from().uri, invite.to().uri), ("sip:5001@gw.test", "sip:5002@gw.test"));
    assert!(String::from_utf8_lossy(invite.raw()).contains("User-to-User: aa"));
    assert!(!text(&invite).contains("maxplaybackrate=8000"), "{}", text(&invite));
    rig.deliver(callee.path, callee.respond(&invite, 180, None));
    rig.deliver(callee.path, callee.respond(&invite, 200, Some(&sdp::chromium_answer())));
    request(&rig.take(callee.path), Method::Ack);
    let ok = last_status(&rig.take(caller.path), 200);
    assert!(!text(&ok).contains("maxplaybackrate=8000"), "{}", text(&ok));
    call.learn(&ok);
    let ack = caller.ack(&call, &ok, None);
    rig.deliver(caller.path, ack);
    let workers: Vec<_> = rig.ports.values().map(|port| port.worker).collect();
    assert!(workers.len() == 2 && workers[0] == workers[1], "{workers:?}");
    let pairs = rig.orders.iter().filter(|(_, o)| matches!(o, Order::Connect(Topology::Pair(..)))).count();
    assert_eq!(pairs, 1);
    assert!(rig.take(Ua::trunk().path).is_empty());
    let bye = caller.within(&mut call, Method::Bye, &[], None);
    rig.deliver(caller.path, bye);
    request(&rig.take(callee.path), Method::Bye);
    rig.assert_clean();
    rig.advance(Duration::from_secs(100));
    assert_eq!(rig.snapshot().sessions, 0);
}

#[test]
fn both_agents_of_a_local_call_are_placed_until_it_ends() {
    let mut rig = rig(LocalCalls::Always, 2);
    let (caller, call, callee) = dials(&mut rig, &[]);
    let mut trunk = Ua::trunk();
    for dn in ["5001", "5002"] {
        trunk.call(&mut rig, dn, Some(&sdp::genesys_offer()), &[]);
    }
    let workers: Vec<_> = rig.ports.values().map(|port| port.worker).collect();
    assert!(workers.iter().all(|worker| *worker == workers[0]), "all legs of one agent on one worker: {workers:?}");
    let invites = rig.take(callee.path);
    let ringing = invites.iter().find(|m| m.is_request() && m.from().uri == "sip:5001@gw.test").unwrap();
    rig.deliver(callee.path, callee.respond(ringing, 180, None));
    rig.deliver(caller.path, caller.cancel(&call, None));
    request(&rig.take(callee.path), Method::Cancel);
    rig.input(crosspoint::gateway::Input::Shutdown);
    rig.advance(Duration::from_secs(100));
    rig.assert_clean();
    assert_eq!(rig.snapshot().entries, 0);
}

#[test]
fn agents_who_talk_on_two_workers_call_each_other_by_the_trunk() {
    let mut rig = rig(LocalCalls::Always, 2);
    for dn in ["5001", "5002"] {
        let mut busy = Ua::browser(&mut rig, dn);
        busy.sign_in(&mut rig, PASSWORD);
        let mut trunk = Ua::trunk();
        trunk.call(&mut rig, dn, Some(&sdp::genesys_offer()), &[]);
    }
    rig.take(Ua::trunk().path);
    let (_, _, callee) = dials(&mut rig, &[]);
    request(&rig.take(Ua::trunk().path), Method::Invite);
    assert!(!rig.take(callee.path).iter().any(|m| m.is_request() && m.method() == Method::Invite));
}

#[test]
fn a_dn_that_is_not_signed_in_is_called_by_the_trunk() {
    let mut rig = rig(LocalCalls::Always, 1);
    let mut caller = signed_in(&mut rig, "5001");
    for number in ["5002", "1003", "5001"] {
        caller.call(&mut rig, number, Some(&sdp::chromium_offer()), &[]);
        assert!(request(&rig.take(Ua::trunk().path), Method::Invite).request_uri().contains(number));
    }
}

#[test]
fn a_local_callee_who_refuses_or_does_not_answer_is_told_to_the_caller() {
    let mut rig = rig(LocalCalls::Always, 1);
    let (caller, _, callee) = dials(&mut rig, &[]);
    let invite = request(&rig.take(callee.path), Method::Invite);
    rig.deliver(callee.path, callee.respond(&invite, 486, None));
    last_status(&rig.take(caller.path), 486);
    rig.assert_clean();
    let mut rig = rig_that_rings(5);
    let (caller, _, _) = dials(&mut rig, &[]);
    rig.advance(Duration::from_secs(6));
    last_status(&rig.take(caller.path), 480);
    rig.assert_clean();
}

fn rig_that_rings(seconds: u64) -> Rig {
    let mut with = config();
    with.calls.local = LocalCalls::Always;
    with.calls.ring_timeout = Duration::from_secs(seconds);
    Rig::with(with, 1, 4)
}

#[test]
fn calls_stay_here_only_while_the_trunk_is_down_where_that_is_configured() {
    let mut with = config();
    with.calls.local = LocalCalls::TrunkDown;
    with.trunks[0].policy.ping = Duration::from_secs(10);
    let mut rig = Rig::with(with, 1, 4);
    let (_, _, callee) = dials(&mut rig, &[]);
    request(&rig.take(Ua::trunk().path), Method::Invite);
    assert!(!rig.take(callee.path).iter().any(Message::is_request));
    // Nobody answers our OPTIONS.
    rig.advance(Duration::from_secs(200));
    rig.take(Ua::trunk().path);
    let (_, _, callee) = dials(&mut rig, &[]);
    request(&rig.take(callee.path), Method::Invite);
    assert!(!rig.take(Ua::trunk().path).iter().any(|m| m.is_request() && m.method() == Method::Invite));
}

#[test]
fn the_desktop_of_the_agent_who_is_called_makes_its_phone_answer() {
    let mut rig = rig(LocalCalls::Always, 1);
    let (_caller, _, callee) = dials(&mut rig, &[]);
    let invite = request(&rig.take(callee.path), Method::Invite);
    rig.deliver(callee.path, callee.respond(&invite, 180, None));
    assert!(rig.take(callee.path).is_empty());
    assert!(rig.events.iter().all(|event| *event.others == ["5002"]), "the call is the other agent's as well");
    let call = rig.events[0].call;
    rig.input(Input::Command(Command::of(call, CallCommand::Answer)));
    assert_eq!(request(&rig.take(callee.path), Method::Info).body(), b"{\"command\":\"answer\"}");
}
