//! Captures: which calls, what belongs to each, and the events that tell of it.

use crosspoint::call::{CallCommand, CaptureEnd, Command, Declined, EventKind};
use crosspoint::gateway::{CaptureOrder, CapturePolicy, DnSet, GatewayConfig, Input};
use crosspoint::id::{CallId, LegId};
use crosspoint::plan::Order;
use crosspoint::sip::message::Method;

use crate::handover::{consult, invite_of, read, refer, replaces};
use crate::peers::{Talk, inbound_call, inbound_to, outbound_call, signed_in};
use crate::rig::{Rig, config};
use crate::sdp;

fn with(policy: CapturePolicy) -> Rig {
    Rig::with(GatewayConfig { capture: policy, ..config() }, 1, 8)
}

fn on_demand() -> Rig {
    with(CapturePolicy { available: true, ..CapturePolicy::default() })
}

fn always() -> Rig {
    with(CapturePolicy { available: true, always: true, dns: Vec::new() })
}

fn command(rig: &mut Rig, on: bool) {
    let call = rig.snapshot().calls[0].call;
    rig.input(Input::Command(Command::of(call, CallCommand::Capture { on })));
}

fn taps(rig: &Rig) -> Vec<(LegId, Option<CallId>)> {
    let tap = |order: &Order| if let Order::Tap(leg, call) = order { Some((*leg, *call)) } else { None };
    rig.orders.iter().filter_map(|(_, order)| tap(order)).collect()
}

/// Call-IDs whose messages are taken, without those that are left again.
fn taken(rig: &Rig) -> Vec<&str> {
    let mut taken = Vec::new();
    for order in &rig.captures {
        match order {
            CaptureOrder::Take { call_id, .. } => taken.push(call_id.as_str()),
            CaptureOrder::Leave { call_id, .. } => taken.retain(|known| known != call_id),
            CaptureOrder::Open { .. } | CaptureOrder::Close { .. } => {}
        }
    }
    taken
}

fn told(rig: &Rig) -> Vec<&EventKind> {
    let about = |kind: &&EventKind| {
        matches!(kind, EventKind::CaptureStarted { .. } | EventKind::CaptureStopped { .. } | EventKind::Declined { .. })
    };
    rig.kinds().into_iter().filter(about).collect()
}

fn opened(rig: &Rig) -> (CallId, String) {
    let open = |order: &CaptureOrder| match order {
        CaptureOrder::Open { call, name } => Some((*call, name.clone())),
        _ => None,
    };
    rig.captures.iter().rev().find_map(open).expect("a capture")
}

fn hang_up(rig: &mut Rig, talk: &mut Talk) {
    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(talk.trunk.path, bye);
}

fn call_ids(talk: &Talk) -> [&str; 2] {
    let mut both = [talk.at_trunk.call_id.as_str(), talk.at_browser.call_id.as_str()];
    both.sort_unstable();
    both
}

#[test]
fn no_call_is_captured_unless_somebody_says_so() {
    for mut rig in [Rig::new(), on_demand()] {
        let mut talk = inbound_call(&mut rig);
        hang_up(&mut rig, &mut talk);
        assert_eq!((rig.captures.len(), taps(&rig).len(), told(&rig).len()), (0, 0, 0));
    }
}

#[test]
fn a_call_that_is_always_captured_is_so_from_its_first_message_to_its_last_answer() {
    for call in [inbound_call, outbound_call] {
        let mut rig = always();
        let mut talk = call(&mut rig);
        let (id, name) = opened(&rig);
        assert_eq!(rig.kinds()[..2], [&EventKind::Dialing, &EventKind::CaptureStarted { name: name.clone() }]);
        assert!(name.starts_with("5001-call-1-") && name.len() == "5001-call-1-".len() + 8, "{name}");
        let mut both = taken(&rig);
        both.sort_unstable();
        assert_eq!(both, call_ids(&talk));
        let legs: Vec<LegId> = taps(&rig).into_iter().map(|(leg, call)| (leg, call.unwrap()).0).collect();
        assert_eq!(legs, [LegId(1), LegId(2)]);
        assert_eq!(rig.snapshot().calls[0].capture.as_deref(), Some(name.as_str()));
        hang_up(&mut rig, &mut talk);
        assert_eq!(rig.captures.last(), Some(&CaptureOrder::Close { call: id, at_once: false }));
        let kinds = rig.kinds();
        assert_eq!(kinds[kinds.len() - 2], &EventKind::CaptureStopped { name, why: CaptureEnd::CallEnded });
        assert!(matches!(kinds[kinds.len() - 1], EventKind::Released { .. }), "the last one, as ever");
        rig.assert_clean();
    }
}

#[test]
fn a_port_is_open_before_it_is_tapped() {
    let mut rig = always();
    inbound_call(&mut rig);
    for (leg, _) in taps(&rig) {
        let at = |is: &dyn Fn(&Order) -> bool| rig.orders.iter().position(|(_, order)| is(order)).unwrap();
        let open = at(&|order| matches!(order, Order::OpenBrowser(of, _) | Order::OpenRtp(of, _) if *of == leg));
        assert!(open < at(&|order| matches!(order, Order::Tap(of, _) if *of == leg)));
    }
}

#[test]
fn calls_of_some_dns_are_captured_and_of_others_not() {
    let dns = vec![DnSet::One("5002".into()), DnSet::Range { first: 5010, last: 5019, digits: 4 }];
    for (dn, is_captured) in [("5001", false), ("5002", true), ("5015", true), ("5020", false)] {
        let mut rig = with(CapturePolicy { available: true, always: false, dns: dns.clone() });
        let browser = signed_in(&mut rig, dn);
        inbound_to(&mut rig, browser);
        assert_eq!(!rig.captures.is_empty(), is_captured, "{dn}");
        assert_eq!(taps(&rig).len(), if is_captured { 2 } else { 0 }, "{dn}");
    }
}

#[test]
fn a_call_under_way_is_captured_on_demand_and_no_longer_when_somebody_says_so() {
    let mut rig = on_demand();
    let mut talk = inbound_call(&mut rig);
    command(&mut rig, true);
    command(&mut rig, true);
    let (id, name) = opened(&rig);
    let mut both = taken(&rig);
    both.sort_unstable();
    assert_eq!(both, call_ids(&talk));
    assert_eq!(taps(&rig), [(LegId(1), Some(id)), (LegId(2), Some(id))]);
    command(&mut rig, false);
    command(&mut rig, false);
    assert_eq!(taps(&rig)[2..], [(LegId(1), None), (LegId(2), None)]);
    assert_eq!(rig.captures.last(), Some(&CaptureOrder::Close { call: id, at_once: true }));
    assert_eq!(rig.snapshot().calls[0].capture, None);
    command(&mut rig, true);
    let again = opened(&rig).1;
    assert_ne!(again, name, "another file");
    hang_up(&mut rig, &mut talk);
    let expected = [
        EventKind::CaptureStarted { name: name.clone() },
        EventKind::CaptureStopped { name, why: CaptureEnd::Asked },
        EventKind::CaptureStarted { name: again.clone() },
        EventKind::CaptureStopped { name: again, why: CaptureEnd::CallEnded },
    ];
    assert_eq!(told(&rig), expected.iter().collect::<Vec<_>>());
    rig.assert_clean();
}

#[test]
fn a_capture_without_a_folder_is_declined() {
    let mut rig = Rig::new();
    inbound_call(&mut rig);
    command(&mut rig, true);
    assert_eq!(told(&rig), [&EventKind::Declined { why: Declined::NoCapture, by_agent: true }]);
    assert!(rig.captures.is_empty());
}

#[test]
fn the_target_of_a_transfer_belongs_to_the_capture_too() {
    let mut rig = on_demand();
    let mut talk = inbound_call(&mut rig);
    command(&mut rig, true);
    rig.take(talk.trunk.path);
    assert_eq!(refer(&mut rig, &mut talk, "<sip:6001@gw.test>").status(), 202);
    let invite = invite_of(&mut rig, &talk);
    assert_eq!(taken(&rig).last(), Some(&invite.call_id()));
    assert_eq!(taps(&rig).last(), Some(&(LegId(3), Some(opened(&rig).0))));
    rig.deliver(talk.trunk.path, talk.trunk.respond(&invite, 200, Some(&sdp::trunk_answer())));
    read(&mut rig, &talk.browser);
    // The agent has left; what still answers the BYE is the call's.
    assert_eq!(taken(&rig).len(), 3);
    hang_up(&mut rig, &mut talk);
    assert!(matches!(told(&rig).last(), Some(EventKind::CaptureStopped { why: CaptureEnd::CallEnded, .. })));
}

#[test]
fn a_leg_that_goes_over_to_another_call_is_captured_with_that_one_or_no_more() {
    for other_is_captured in [false, true] {
        let mut rig = on_demand();
        let mut talk = inbound_call(&mut rig);
        if other_is_captured {
            command(&mut rig, true);
        }
        let other = consult(&mut rig, &mut talk, "6001");
        let consultation = rig.snapshot().calls.iter().map(|call| call.call).max().unwrap();
        rig.input(Input::Command(Command::of(consultation, CallCommand::Capture { on: true })));
        let before = taps(&rig).len();
        let to = replaces("6001", &other.at_browser, false);
        assert_eq!(refer(&mut rig, &mut talk, &to).status(), 202);
        let moved: Vec<_> = taps(&rig).split_off(before);
        let leg = moved[0].0;
        let its_own: Vec<_> = moved.into_iter().filter(|(of, _)| *of == leg).collect();
        let now = rig.captures.iter().rev().find_map(|order| match order {
            CaptureOrder::Take { call, call_id } if *call_id == other.at_trunk.call_id => Some(*call),
            _ => None,
        });
        match other_is_captured {
            true => {
                assert_eq!(its_own, [(leg, None), (leg, Some(CallId(1)))]);
                assert_eq!(now, Some(CallId(1)));
            }
            false => {
                assert_eq!(its_own, [(leg, None)]);
                assert!(!taken(&rig).contains(&other.at_trunk.call_id.as_str()));
            }
        }
    }
}

#[test]
fn a_disk_that_is_full_ends_the_capture_and_not_the_call() {
    for why in [CaptureEnd::Failed, CaptureEnd::Full] {
        let mut rig = always();
        let mut talk = inbound_call(&mut rig);
        let (call, name) = opened(&rig);
        rig.input(Input::CaptureEnded { call, name: "another".into(), why });
        assert_eq!(told(&rig).len(), 1, "the end of an earlier capture is no end of this one");
        rig.input(Input::CaptureEnded { call, name: name.clone(), why });
        assert_eq!(told(&rig).last(), Some(&&EventKind::CaptureStopped { name, why }));
        assert_eq!(taps(&rig)[2..], [(LegId(1), None), (LegId(2), None)]);
        assert_eq!(rig.snapshot().calls.len(), 1);
        hang_up(&mut rig, &mut talk);
        assert_eq!(told(&rig).len(), 2);
        rig.assert_clean();
    }
}
