//! Calls between our DNs that are handed on, or become a conference; and with whom they are then.

use crosspoint::call::EventKind;
use crosspoint::gateway::LocalCalls;
use crosspoint::id::LegId;
use crosspoint::plan::{Order, Topology};
use crosspoint::sip::message::{Message, Method};

use crate::handover::{fragments, read, replaces};
use crate::peers::{Dialog, Ua, inbound_to, last_status, request, signed_in};
use crate::rig::{Rig, config};
use crate::sdp;

fn rig() -> Rig {
    let mut with = config();
    with.calls.local = LocalCalls::Always;
    Rig::with(with, 1, 8)
}

/// One DN calls another, who answers; the dialog at each.
pub fn talks(rig: &mut Rig, caller: &mut Ua, callee: &Ua) -> (Dialog, Dialog) {
    let mut call = caller.invite(&callee.user, Some(&sdp::chromium_offer()), &[]);
    rig.deliver(caller.path, call.invite.raw().clone());
    let invite = request(&rig.take(callee.path), Method::Invite);
    rig.deliver(callee.path, callee.respond(&invite, 200, Some(&sdp::chromium_answer())));
    request(&rig.take(callee.path), Method::Ack);
    let ok = last_status(&rig.take(caller.path), 200);
    call.learn(&ok);
    let ack = caller.ack(&call, &ok, None);
    rig.deliver(caller.path, ack);
    (call, callee.dialog_of(&invite))
}

/// A DN calls a number at the trunk, which answers.
pub fn talks_out(rig: &mut Rig, caller: &mut Ua, number: &str) -> (Dialog, Dialog) {
    let trunk = Ua::trunk();
    let mut call = caller.invite(number, Some(&sdp::chromium_offer()), &[]);
    rig.deliver(caller.path, call.invite.raw().clone());
    let invite = request(&rig.take(trunk.path), Method::Invite);
    rig.deliver(trunk.path, trunk.respond(&invite, 200, Some(&sdp::trunk_answer())));
    rig.take(trunk.path);
    let ok = last_status(&rig.take(caller.path), 200);
    call.learn(&ok);
    let ack = caller.ack(&call, &ok, None);
    rig.deliver(caller.path, ack);
    (call, trunk.dialog_of(&invite))
}

/// The response to a REFER, and what came with it.
fn refers(rig: &mut Rig, ua: &mut Ua, dialog: &mut Dialog, to: &str) -> (u16, Vec<Message>) {
    rig.take(ua.path);
    let refer = ua.within(dialog, Method::Refer, &[("Refer-To", to)], None);
    rig.deliver(ua.path, refer);
    let all = read(rig, ua);
    let status = all.iter().find(|m| !m.is_request()).map(Message::status).unwrap_or_default();
    (status, all)
}

pub fn joined(rig: &Rig) -> Vec<LegId> {
    let found = rig.orders.iter().rev().find_map(|(_, order)| match order {
        Order::Connect(Topology::Pair(one, other)) => Some(vec![*one, *other]),
        Order::Connect(Topology::Mix(legs)) => Some(legs.clone()),
        _ => None,
    });
    found.expect("somebody is joined")
}

/// Whose call it is and with whom; there is but one.
pub fn with_whom(rig: &Rig) -> (String, String) {
    let calls = rig.snapshot().calls;
    assert_eq!(calls.len(), 1, "{calls:?}");
    (calls[0].dn.clone(), calls[0].peer.clone())
}

pub fn pair(dn: &str, peer: &str) -> (String, String) {
    (dn.to_owned(), peer.to_owned())
}

#[test]
fn a_customer_is_handed_on_to_a_colleague_by_a_local_consultation() {
    let mut rig = rig();
    let browser = signed_in(&mut rig, "5001");
    let mut talk = inbound_to(&mut rig, browser);
    let mut colleague = signed_in(&mut rig, "5002");
    let (beside, mut at_colleague) = talks(&mut rig, &mut talk.browser, &colleague);
    let to = replaces("5002", &beside, false);
    let (status, told) = refers(&mut rig, &mut talk.browser, &mut talk.at_browser, &to);
    assert_eq!((status, fragments(&told).last()), (202, Some(&(200, true))));
    assert_eq!(told.iter().filter(|m| m.is_request() && m.method() == Method::Bye).count(), 2, "both lines are free");
    assert_eq!(with_whom(&rig), pair("5002", "1003"));
    assert_eq!((rig.ports.len(), joined(&rig).len()), (2, 2));
    let handed = rig.events.iter().find(|event| matches!(event.kind, EventKind::Transferred { .. })).unwrap();
    assert_eq!(handed.dn, "5001", "it was hers");
    let last = rig.events.iter().find(|event| event.dn == "5002" && event.peer == "1003").unwrap();
    assert_eq!(last.kind, EventKind::ParticipantsUpdated { parties: vec!["1003".into()] });
    let bye = colleague.within(&mut at_colleague, Method::Bye, &[], None);
    rig.deliver(colleague.path, bye);
    request(&rig.take(talk.trunk.path), Method::Bye);
    rig.assert_clean();
}

#[test]
fn a_colleague_is_handed_on_to_another_one_and_to_the_trunk() {
    for outside in [false, true] {
        let mut rig = rig();
        let mut agent = signed_in(&mut rig, "5001");
        let mut one = signed_in(&mut rig, "5002");
        let (mut first, mut at_one) = talks(&mut rig, &mut agent, &one);
        let number = if outside { "6001" } else { "5003" };
        let other = signed_in(&mut rig, "5003");
        let beside = match outside {
            true => talks_out(&mut rig, &mut agent, number).0,
            false => talks(&mut rig, &mut agent, &other).0,
        };
        let (status, told) = refers(&mut rig, &mut agent, &mut first, &replaces(number, &beside, false));
        assert_eq!((status, fragments(&told).last()), (202, Some(&(200, true))));
        assert_eq!(with_whom(&rig), pair("5002", number));
        assert_eq!(rig.ports.len(), 2);
        let bye = one.within(&mut at_one, Method::Bye, &[], None);
        rig.deliver(one.path, bye);
        let far = if outside { Ua::trunk().path } else { other.path };
        request(&rig.take(far), Method::Bye);
        rig.assert_clean();
    }
}

#[test]
fn the_one_who_was_called_hands_on_as_the_caller_does() {
    let mut rig = rig();
    let mut caller = signed_in(&mut rig, "5001");
    let mut callee = signed_in(&mut rig, "5002");
    let (mut at_caller, mut at_callee) = talks(&mut rig, &mut caller, &callee);
    let (status, _) = refers(&mut rig, &mut callee, &mut at_callee, "<sip:6001@gw.test>");
    assert_eq!(status, 202);
    let trunk = Ua::trunk();
    let invite = request(&rig.take(trunk.path), Method::Invite);
    rig.deliver(trunk.path, trunk.respond(&invite, 200, Some(&sdp::trunk_answer())));
    assert_eq!(with_whom(&rig), pair("5001", "6001"));
    let handed = rig.kinds().iter().any(|kind| matches!(kind, EventKind::Transferred { to, .. } if to == "6001"));
    assert!(handed && rig.ports.len() == 2);
    rig.take(trunk.path);
    let bye = caller.within(&mut at_caller, Method::Bye, &[], None);
    rig.deliver(caller.path, bye);
    request(&rig.take(trunk.path), Method::Bye);
    read(&mut rig, &callee);
    rig.assert_clean();
}

#[test]
fn a_colleague_who_still_rings_is_not_joined_nor_anybody_with_himself() {
    let mut rig = rig();
    let mut agent = signed_in(&mut rig, "5001");
    let one = signed_in(&mut rig, "5002");
    let (mut first, _) = talks(&mut rig, &mut agent, &one);
    let other = signed_in(&mut rig, "5003");
    let mut ringing = agent.invite("5003", Some(&sdp::chromium_offer()), &[]);
    rig.deliver(agent.path, ringing.invite.raw().clone());
    let invite = request(&rig.take(other.path), Method::Invite);
    rig.deliver(other.path, other.respond(&invite, 180, None));
    ringing.learn(&last_status(&rig.take(agent.path), 183));
    assert_eq!(refers(&mut rig, &mut agent, &mut first, &replaces("5003", &ringing, false)).0, 403);
    let (same, _) = talks(&mut rig, &mut agent, &one);
    assert_eq!(refers(&mut rig, &mut agent, &mut first, &replaces("5002", &same, false)).0, 403);
    assert_eq!(rig.snapshot().calls.len(), 3);
}

fn conference(rig: &mut Rig, ua: &mut Ua, dialog: &mut Dialog, with: &Dialog) -> u16 {
    rig.take(ua.path);
    let body = format!("{{\"command\":\"conference\",\"with\":\"{}\"}}", with.call_id);
    let info = ua.within(dialog, Method::Info, &[], Some(("application/vnd.crosspoint+json", &body)));
    rig.deliver(ua.path, info);
    read(rig, ua).iter().find(|m| !m.is_request()).map(Message::status).unwrap_or_default()
}

#[test]
fn a_customer_an_agent_and_a_colleague_make_three_of_whom_any_guest_may_leave() {
    for colleague_leaves in [true, false] {
        let mut rig = rig();
        let browser = signed_in(&mut rig, "5001");
        let mut talk = inbound_to(&mut rig, browser);
        let mut colleague = signed_in(&mut rig, "5002");
        let (beside, mut at_colleague) = talks(&mut rig, &mut talk.browser, &colleague);
        assert_eq!(conference(&mut rig, &mut talk.browser, &mut talk.at_browser, &beside), 200);
        assert_eq!((joined(&rig).len(), rig.ports.len()), (3, 3));
        let parties = vec!["1003".to_owned(), "5002".to_owned()];
        assert!(rig.kinds().contains(&&EventKind::ParticipantsUpdated { parties }));
        let left = if colleague_leaves {
            let bye = colleague.within(&mut at_colleague, Method::Bye, &[], None);
            rig.deliver(colleague.path, bye);
            "1003"
        } else {
            let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
            rig.deliver(talk.trunk.path, bye);
            "5002"
        };
        assert_eq!(with_whom(&rig), pair("5001", left));
        assert_eq!(joined(&rig).len(), 2);
        let bye = talk.browser.within(&mut talk.at_browser, Method::Bye, &[], None);
        rig.deliver(talk.browser.path, bye);
        read(&mut rig, &colleague);
        rig.assert_clean();
    }
}

#[test]
fn the_one_who_was_called_has_its_conference_too() {
    let mut rig = rig();
    let mut caller = signed_in(&mut rig, "5001");
    let mut callee = signed_in(&mut rig, "5002");
    let (_, mut at_callee) = talks(&mut rig, &mut caller, &callee);
    let (beside, _) = talks_out(&mut rig, &mut callee, "6001");
    assert_eq!(conference(&mut rig, &mut callee, &mut at_callee, &beside), 200);
    assert_eq!(with_whom(&rig), pair("5002", "5001"));
    assert_eq!(joined(&rig).len(), 3);
    let bye = callee.within(&mut at_callee, Method::Bye, &[], None);
    rig.deliver(callee.path, bye);
    read(&mut rig, &caller);
    rig.assert_clean();
}
