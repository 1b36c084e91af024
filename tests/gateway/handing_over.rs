//! A trunk that does transfers itself: what our REFER names, and what becomes of one that finds nobody.

use std::time::Duration;

use crosspoint::gateway::{GatewayConfig, Route};
use crosspoint::plan::{Order, Topology};
use crosspoint::sip::message::{Message, Method, Name};

use crate::handover::{fragments, read, refer};
use crate::peers::{Talk, inbound_call, request};
use crate::rig::{Rig, config};
use crate::sdp;

fn referring() -> GatewayConfig {
    let mut with = config();
    with.trunks[0].refer = true;
    with
}

fn referred_to(sent: &[Message]) -> String {
    let refer = request(sent, Method::Refer);
    String::from_utf8_lossy(refer.header(Name::ReferTo).unwrap()).into_owned()
}

#[test]
fn the_number_of_a_refer_is_written_as_the_dial_rules_have_it() {
    let mut with = referring();
    let rule = Route { prefix: "0".into(), strip: 1, add: "+49".into(), ..Route::default() };
    with.routes = vec![rule, Route::default()];
    for (dialled, written) in [("0301", "+49301"), ("6001", "6001")] {
        let mut rig = Rig::with(with.clone(), 1, 8);
        let mut talk = inbound_call(&mut rig);
        rig.take(talk.trunk.path);
        assert_eq!(refer(&mut rig, &mut talk, &format!("<sip:{dialled}@gw.test>")).status(), 202);
        let to = referred_to(&rig.take(talk.trunk.path));
        assert_eq!(to, format!("<sip:{written}@192.0.2.81:5060>"));
    }
}

#[test]
fn a_number_that_the_dial_rules_lead_to_another_trunk_is_called_there() {
    let mut with = referring();
    let mut other = with.trunks[0].clone();
    other.name = "carrier".to_owned();
    other.destinations = vec![crate::rig::by_udp(crate::rig::spare_addr())];
    with.trunks.push(other);
    with.routes = vec![Route { prefix: "0".into(), trunk: 1, ..Route::default() }, Route::default()];
    let mut rig = Rig::with(with, 1, 8);
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    assert_eq!(refer(&mut rig, &mut talk, "<sip:0301@gw.test>").status(), 202);
    assert!(rig.take(talk.trunk.path).iter().all(|m| m.method() != Method::Refer));
    let invite = request(&rig.take(crate::rig::udp(crate::rig::spare_addr())), Method::Invite);
    assert!(invite.request_uri().starts_with("sip:0301@"));
}

/// The gateway calls the target itself, and the transfer comes about.
fn comes_about(rig: &mut Rig, talk: &Talk) {
    let invite = request(&read(rig, &talk.trunk), Method::Invite);
    assert_eq!(invite.request_uri(), "sip:6001@192.0.2.81:5060");
    rig.deliver(talk.trunk.path, talk.trunk.respond(&invite, 200, Some(&sdp::trunk_answer_from(20_500))));
    let told = read(rig, &talk.browser);
    assert_eq!(fragments(&told).last(), Some(&(200, true)));
    assert!(matches!(
        rig.orders.iter().rev().find(|(_, o)| matches!(o, Order::Connect(_))),
        Some((_, Order::Connect(Topology::Pair(..))))
    ));
}

#[test]
fn a_refer_that_finds_nobody_or_is_not_known_is_done_by_the_gateway() {
    for status in [405, 501, 503] {
        let mut rig = Rig::with(referring(), 1, 8);
        let mut talk = inbound_call(&mut rig);
        rig.take(talk.trunk.path);
        assert_eq!(refer(&mut rig, &mut talk, "<sip:6001@gw.test>").status(), 202);
        let asked = request(&rig.take(talk.trunk.path), Method::Refer);
        rig.deliver(talk.trunk.path, talk.trunk.respond(&asked, status, None));
        comes_about(&mut rig, &talk);
    }
    let mut rig = Rig::with(referring(), 1, 8);
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    assert_eq!(refer(&mut rig, &mut talk, "<sip:6001@gw.test>").status(), 202);
    read(&mut rig, &talk.browser);
    request(&rig.take(talk.trunk.path), Method::Refer);
    rig.advance(Duration::from_secs(33));
    comes_about(&mut rig, &talk);
}

#[test]
fn a_refer_that_is_refused_for_good_gives_the_call_back() {
    let mut rig = Rig::with(referring(), 1, 8);
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    refer(&mut rig, &mut talk, "<sip:6001@gw.test>");
    let asked = request(&rig.take(talk.trunk.path), Method::Refer);
    rig.deliver(talk.trunk.path, talk.trunk.respond(&asked, 603, None));
    assert!(rig.take(talk.trunk.path).iter().all(|m| m.method() != Method::Invite));
    assert_eq!(fragments(&read(&mut rig, &talk.browser)).last(), Some(&(603, true)));
    assert_eq!(rig.snapshot().calls.len(), 1);
}
