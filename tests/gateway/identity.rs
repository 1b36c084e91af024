//! Who calls, and what else goes along with a call: from the trunk to the browser and the events, and what a browser may
//! say to the trunk.

use crosspoint::call::EventKind;
use crosspoint::sip::message::{Message, Method, Name};

use crate::peers::{Offered, Ua, inbound_call, last_status, outbound_call, request, signed_in};
use crate::rig::{Rig, config};
use crate::sdp;

/// The INVITE that reaches the browser for a call of the trunk with these header fields.
fn rung_with(rig: &mut Rig, extra: &[(&str, &str)]) -> Message {
    let browser = signed_in(rig, "5001");
    let mut trunk = Ua::trunk();
    trunk.call(rig, "5001", Some(&sdp::genesys_offer()), extra);
    request(&rig.take(browser.path), Method::Invite)
}

/// The INVITE that reaches the trunk for a browser's with these header fields.
fn dialled_with(rig: &mut Rig, extra: &[(&str, &str)]) -> Message {
    let mut browser = signed_in(rig, "5001");
    browser.call(rig, "1003", Some(&sdp::chromium_offer()), extra);
    request(&rig.take(Ua::trunk().path), Method::Invite)
}

fn text(message: &Message, name: &str) -> Option<String> {
    let mut all = message.all_headers().filter(|(found, _)| found.as_str().eq_ignore_ascii_case(name));
    all.next().map(|(_, value)| String::from_utf8_lossy(value).into_owned())
}

#[test]
fn what_the_configuration_names_goes_along_to_the_browser_and_into_the_events() {
    let mut rig = Rig::new();
    let extra = [
        ("X-Genesys-GVP-Session-ID", "A1;gvp.rm.datanodes=1"),
        ("x-iscc-cofid", "location=SiteB;cofid=7"),
        ("User-to-User", "56a390f3d2b7310023;encoding=hex"),
        ("Diversion", "<sip:0309@x>;reason=unconditional"),
        ("X-Internal", "nobody's business"),
        ("P-Charging-Vector", "icid-value=1"),
    ];
    let invite = rung_with(&mut rig, &extra);
    for (name, value) in &extra[..4] {
        assert_eq!(text(&invite, name).as_deref(), Some(*value), "{name}");
    }
    assert_eq!((text(&invite, "X-Internal"), text(&invite, "P-Charging-Vector")), (None, None));
    let told: Vec<(&str, &str)> = rig.events[0].data.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(told, extra[..4]);
}

#[test]
fn user_data_mapped_to_headers_of_the_site_is_carried_where_its_list_says_so() {
    let mut with = config();
    with.trunks[0].carry.inbound = vec!["X-Cust*".to_owned()];
    let mut rig = Rig::with(with, 1, 4);
    let invite = rung_with(&mut rig, &[("x-customer-id", "4711"), ("X-Genesys-GVP-Session-ID", "A1")]);
    assert_eq!(text(&invite, "X-Customer-ID").as_deref(), Some("4711"));
    assert_eq!(text(&invite, "X-Genesys-GVP-Session-ID"), None);
}

#[test]
fn a_withheld_number_is_shown_to_nobody_whatever_the_trunk_asserts() {
    for privacy in ["id", "header; id", "user"] {
        let mut with = config();
        with.trunks[0].carry.inbound.push("P-Asserted-Identity".to_owned());
        let mut rig = Rig::with(with, 1, 4);
        let extra = [("P-Asserted-Identity", "\"Ann\" <sip:0301234567@192.0.2.81>"), ("Privacy", privacy)];
        let invite = rung_with(&mut rig, &extra);
        assert_eq!(invite.from().uri, "sip:anonymous@anonymous.invalid");
        assert_eq!(text(&invite, "Privacy").as_deref(), Some(privacy));
        let raw = String::from_utf8_lossy(invite.raw()).into_owned();
        assert!(!raw.contains("0301234567") && !raw.contains("Ann\""), "{raw}");
        assert_eq!(rig.events[0].peer, "");
    }
    let mut rig = Rig::new();
    let invite = rung_with(&mut rig, &[("P-Asserted-Identity", "<sip:0301234567@x>"), ("Privacy", "none")]);
    assert_eq!(invite.from().uri, "sip:0301234567@gw.test");
}

#[test]
fn a_browser_tells_the_trunk_what_it_may_and_asserts_nothing_whatever_is_configured() {
    let mut with = config();
    let all = ["*", "P-Asserted-Identity", "X-Genesys-*", "Diversion", "Via", "Contact", "Route"];
    with.trunks[0].carry.outbound = all.map(str::to_owned).to_vec();
    let mut rig = Rig::with(with, 1, 4);
    let extra = [
        ("User-to-User", "04414243;encoding=hex"),
        ("X-Screen", "17"),
        ("P-Asserted-Identity", "<sip:110@police>"),
        ("P-Preferred-Identity", "<sip:110@police>"),
        ("X-Genesys-CallUUID", "FORGED0"),
        ("x-genesys-anything", "FORGED1"),
        ("Diversion", "<sip:FORGED2@x>"),
        ("X-Crosspoint-Resume", "1"),
        ("Route", "<sip:203.0.113.9;lr>"),
        ("Require", "FORGED3"),
    ];
    let invite = dialled_with(&mut rig, &extra[..9]);
    assert_eq!(text(&invite, "User-to-User").as_deref(), Some("04414243;encoding=hex"));
    assert_eq!(text(&invite, "X-Screen").as_deref(), Some("17"));
    let raw = String::from_utf8_lossy(invite.raw()).into_owned();
    assert!(["police", "FORGED", "Crosspoint-Resume", "203.0.113.9"].iter().all(|word| !raw.contains(word)), "{raw}");
    assert_eq!(invite.headers(Name::PAssertedIdentity).count(), 1, "our own");
}

#[test]
fn without_being_asked_only_user_to_user_and_privacy_go_out() {
    let mut rig = Rig::new();
    let invite = dialled_with(&mut rig, &[("User-to-User", "aa"), ("Privacy", "id"), ("X-Screen", "17")]);
    assert_eq!(
        (text(&invite, "User-to-User").as_deref(), text(&invite, "Privacy").as_deref()),
        (Some("aa"), Some("id"))
    );
    assert_eq!(text(&invite, "X-Screen"), None);
}

#[test]
fn data_that_the_trunk_changes_in_mid_call_is_kept_and_told_once() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let changes = |rig: &Rig| rig.kinds().iter().filter(|kind| ***kind == EventKind::AttachedDataChanged).count();
    for (uuid, user) in [("NEW0", "aa"), ("NEW0", "aa"), ("NEW0", "bb")] {
        let extra = [("X-Genesys-CallUUID", uuid), ("User-to-User", user)];
        let offer = sdp::genesys_offer();
        let again = talk.trunk.within(&mut talk.at_trunk, Method::Invite, &extra, Some(("application/sdp", &offer)));
        rig.deliver(talk.trunk.path, again);
        let ok = last_status(&rig.take(talk.trunk.path), 200);
        let ack = talk.trunk.ack(&talk.at_trunk, &ok, None);
        rig.deliver(talk.trunk.path, ack);
    }
    assert_eq!(changes(&rig), 2);
    let last = rig.events.last().unwrap();
    assert_eq!(last.call_uuid.as_deref(), Some("NEW0"));
    assert!(last.data.contains(&("User-to-User".to_owned(), "bb".to_owned())), "{:?}", last.data);
    let forged = talk.browser.within(&mut talk.at_browser, Method::Info, &[("User-to-User", "cc")], None);
    rig.deliver(talk.browser.path, forged);
    assert_eq!(changes(&rig), 2, "a browser attaches nothing");
}

#[test]
fn what_the_trunk_says_when_it_answers_is_the_calls_data_too() {
    let mut rig = Rig::new();
    let Offered { browser, trunk, invite, .. } = Offered::outbound(&mut rig, "1003");
    let ringing = String::from_utf8_lossy(&trunk.respond(&invite, 180, None)).into_owned();
    rig.deliver(trunk.path, ringing.replacen("Call-ID:", "X-Genesys-CallUUID: U7\r\nCall-ID:", 1).into());
    assert_eq!(rig.events.last().unwrap().call_uuid.as_deref(), Some("U7"));
    assert_eq!(text(&last_status(&rig.take(browser.path), 183), "X-Genesys-CallUUID").as_deref(), Some("U7"));
    assert!(rig.kinds().contains(&&EventKind::CallUuidChanged));
    assert!(!rig.kinds().contains(&&EventKind::AttachedDataChanged));
}

#[test]
fn what_is_carried_has_a_bound() {
    let mut rig = Rig::new();
    let names: Vec<String> = (0..60).map(|n| format!("X-Genesys-{n}")).collect();
    let extra: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let invite = rung_with(&mut rig, &extra);
    let carried = invite.all_headers().filter(|(name, _)| name.as_str().starts_with("X-Genesys-")).count();
    assert_eq!(carried, 32);
    let mut rig = Rig::new();
    let long = "v".repeat(5000);
    let invite = rung_with(&mut rig, &[("X-Genesys-A", &long), ("X-Genesys-B", &long), ("X-Genesys-C", "short")]);
    let carried: Vec<bool> = ["A", "B", "C"].map(|n| text(&invite, &format!("X-Genesys-{n}")).is_some()).to_vec();
    assert_eq!(carried, [true, false, true]);
}

#[test]
fn an_outbound_call_begins_without_data() {
    let mut rig = Rig::new();
    outbound_call(&mut rig);
    assert!(rig.events[0].data.is_empty());
}
