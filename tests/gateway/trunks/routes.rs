//! Dial rules, and several trunks.

use std::time::Duration;

use crosspoint::gateway::{DnSet, GatewayConfig, Route};
use crosspoint::sip::message::Method;

use super::dial;
use crate::peers::{last_status, request};
use crate::rig::{Rig, by_udp, config, spare_addr, trunk_addr, udp};

/// Two trunks: `genesys` and, for numbers with a leading zero, `city`.
fn two_trunks() -> GatewayConfig {
    let mut with = config();
    let mut city = with.trunks[0].clone();
    city.name = "city".to_owned();
    city.destinations = vec![by_udp(spare_addr())];
    with.trunks.push(city);
    let town = Route { prefix: "0".into(), trunk: 1, strip: 1, add: "+49".into(), ..Route::default() };
    let inside = Route { numbers: vec![DnSet::Range { first: 1000, last: 6999, digits: 4 }], ..Route::default() };
    with.routes = vec![town, inside];
    with
}

#[test]
fn the_number_that_is_dialled_chooses_the_trunk_and_is_written_as_it_wants_it() {
    let mut rig = Rig::with(two_trunks(), 1, 8);
    dial(&mut rig, "5001", "030123");
    let invite = request(&rig.take(udp(spare_addr())), Method::Invite);
    assert_eq!(
        (invite.request_uri(), invite.to().uri),
        ("sip:+4930123@192.0.2.82:5060", "sip:+4930123@192.0.2.82:5060")
    );
    dial(&mut rig, "5002", "1003");
    let invite = request(&rig.take(udp(trunk_addr())), Method::Invite);
    assert_eq!(invite.request_uri(), "sip:1003@192.0.2.81:5060");
    let outbound: Vec<u64> = rig.snapshot().trunks.iter().map(|trunk| trunk.counters.outbound).collect();
    assert_eq!(outbound, [1, 1]);
}

#[test]
fn a_number_that_no_rule_knows_is_404_and_makes_no_call() {
    let mut rig = Rig::with(two_trunks(), 1, 8);
    let (browser, _) = dial(&mut rig, "5001", "7000");
    last_status(&rig.take(browser.path), 404);
    assert_eq!(rig.snapshot().counters.calls, 0);
    rig.assert_clean();
}

#[test]
fn a_stolen_dn_cannot_dial_the_world_though_there_is_a_route() {
    let mut with = two_trunks();
    with.dns[0].dial = vec!["1".to_owned()];
    let mut rig = Rig::with(with, 1, 8);
    for number in ["030123", "%30030123", "+4930123"] {
        let (browser, _) = dial(&mut rig, "5001", number);
        last_status(&rig.take(browser.path), 403);
    }
    assert!(rig.take(udp(spare_addr())).is_empty() && rig.take(udp(trunk_addr())).is_empty());
    dial(&mut rig, "5001", "1003");
    request(&rig.take(udp(trunk_addr())), Method::Invite);
}

#[test]
fn a_call_goes_to_the_next_trunk_that_its_number_may_go_to_when_the_first_is_silent() {
    let mut with = two_trunks();
    with.routes = vec![Route { trunk: 1, ..Route::default() }, Route { add: "8".into(), ..Route::default() }];
    let mut rig = Rig::with(with, 1, 8);
    dial(&mut rig, "5001", "1003");
    let invite = request(&rig.take(udp(spare_addr())), Method::Invite);
    assert_eq!(invite.request_uri(), "sip:1003@192.0.2.82:5060");
    rig.advance(Duration::from_millis(2001));
    let invite = request(&rig.take(udp(trunk_addr())), Method::Invite);
    assert_eq!(invite.request_uri(), "sip:81003@192.0.2.81:5060");
    let silent: Vec<u64> = rig.snapshot().trunks.iter().map(|trunk| trunk.counters.silent).collect();
    assert_eq!(silent, [0, 1]);
}
