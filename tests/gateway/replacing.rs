//! INVITEs of the trunk that take the place of a dialog (RFC 3891).

use std::time::Duration;

use crosspoint::call::EventKind;
use crosspoint::plan::{Order, Topology};
use crosspoint::sip::message::{Message, Method, Name};

use crate::handover::{consult_ringing, read};
use crate::peers::{Dialog, Talk, Ua, inbound_call, last_status, outbound_call, request, signed_in};
use crate::rig::Rig;
use crate::sdp;

/// What the trunk writes to replace a dialog that it has with us.
fn replaces(dialog: &Dialog, flags: &str) -> String {
    let tag = |value: &str| value.split(";tag=").nth(1).unwrap_or("none").to_owned();
    format!("{};to-tag={};from-tag={}{flags}", dialog.call_id, tag(&dialog.remote), tag(&dialog.local))
}

fn invite(rig: &mut Rig, trunk: &mut Ua, value: &str) -> (Dialog, Message) {
    rig.take(trunk.path);
    let headers = [
        ("Replaces", value),
        ("Require", "replaces"),
        ("X-Genesys-CallUUID", "NEWUUID00000000000000000000000AB"),
        ("P-Asserted-Identity", "<sip:6001@192.0.2.81>"),
    ];
    let offer = sdp::genesys("192.0.2.91", 30_000);
    let dialog = trunk.call(rig, "5001", Some(&offer), &headers);
    let all: Vec<Message> =
        rig.sent.get(&trunk.path).into_iter().flatten().filter(|m| m.call_id() == dialog.call_id).cloned().collect();
    let last = all.into_iter().rfind(|m| !m.is_request() && m.status() != 100).unwrap();
    (dialog, last)
}

#[test]
fn the_trunk_replaces_the_party_of_a_call_and_the_agent_talks_on() {
    for call in [inbound_call, outbound_call] {
        let mut rig = Rig::new();
        let mut talk = call(&mut rig);
        read(&mut rig, &talk.browser);
        let value = replaces(&talk.at_trunk, "");
        let (mut dialog, ok) = invite(&mut rig, &mut talk.trunk, &value);
        assert_eq!(ok.status(), 200);
        let bye = request(&rig.take(talk.trunk.path), Method::Bye);
        assert_eq!(bye.call_id(), talk.at_trunk.call_id);
        dialog.learn(&ok);
        let ack = talk.trunk.ack(&dialog, &ok, None);
        rig.deliver(talk.trunk.path, ack);
        assert!(rig.take(talk.browser.path).is_empty(), "the browser hears nothing of it but another voice");
        assert!(matches!(
            rig.orders.iter().rev().find_map(|(_, order)| match order {
                Order::Connect(topology) => Some(topology),
                _ => None,
            }),
            Some(Topology::Pair(..))
        ));
        assert!(rig.kinds().contains(&&EventKind::CallUuidChanged));
        assert!(rig.kinds().contains(&&EventKind::ParticipantsUpdated { parties: vec!["6001".into()] }));
        assert_eq!(rig.events.last().unwrap().call_uuid.as_deref(), Some("NEWUUID00000000000000000000000AB"));
        assert_eq!((rig.ports.len(), rig.snapshot().calls.len()), (2, 1));
        let bye = talk.trunk.within(&mut dialog, Method::Bye, &[], None);
        rig.deliver(talk.trunk.path, bye);
        request(&read(&mut rig, &talk.browser), Method::Bye);
        rig.assert_clean();
    }
}

#[test]
fn early_only_replaces_no_answered_dialog_and_an_unknown_one_is_481() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let early = replaces(&talk.at_trunk, ";early-only");
    assert_eq!(invite(&mut rig, &mut talk.trunk, &early).1.status(), 486);
    for value in ["nobody;to-tag=1;from-tag=2".to_owned(), replaces(&talk.at_trunk, "").replace("to-tag=", "to-tag=x")]
    {
        assert_eq!(invite(&mut rig, &mut talk.trunk, &value).1.status(), 481, "{value}");
    }
    assert_eq!(invite(&mut rig, &mut talk.trunk, "rubbish").1.status(), 400);
    let browsers = replaces(&talk.at_browser, "");
    assert_eq!(invite(&mut rig, &mut talk.trunk, &browsers).1.status(), 403, "a browser's dialog is not the trunk's");
    assert_eq!((rig.snapshot().calls.len(), rig.ports.len()), (1, 2));
}

#[test]
fn a_dialog_that_is_over_is_declined() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let value = replaces(&talk.at_trunk, "");
    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(talk.trunk.path, bye);
    read(&mut rig, &talk.browser);
    assert_eq!(invite(&mut rig, &mut talk.trunk, &value).1.status(), 603);
    rig.advance(Duration::from_secs(33));
    assert_eq!(invite(&mut rig, &mut talk.trunk, &value).1.status(), 481, "forgotten");
    rig.assert_clean();
}

#[test]
fn one_that_rings_here_is_481_and_one_that_we_called_is_answered_by_the_replacement() {
    let mut rig = Rig::new();
    let browser = signed_in(&mut rig, "5001");
    let mut trunk = Ua::trunk();
    let mut dialog = trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
    let ringing = request(&rig.take(browser.path), Method::Invite);
    rig.deliver(browser.path, browser.respond(&ringing, 180, None));
    dialog.learn(&last_status(&rig.take(trunk.path), 180));
    let value = replaces(&dialog, "");
    assert_eq!(invite(&mut rig, &mut trunk, &value).1.status(), 481);

    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let (other, ringing) = consult_ringing(&mut rig, &mut talk, "6001");
    let value = replaces(&other.at_trunk, ";early-only");
    let (_, ok) = invite(&mut rig, &mut talk.trunk, &value);
    assert_eq!(ok.status(), 200);
    let cancel = request(&rig.take(talk.trunk.path), Method::Cancel);
    assert_eq!(cancel.via().branch(), ringing.via().branch());
    let answered = last_status(&rig.take(talk.browser.path), 200);
    assert_eq!(answered.call_id(), other.at_browser.call_id);
}

#[test]
fn a_browser_replaces_nothing() {
    let mut rig = Rig::new();
    let mut talk: Talk = inbound_call(&mut rig);
    read(&mut rig, &talk.browser);
    let value = replaces(&talk.at_trunk, "");
    let dialog = talk.browser.invite("5001", Some(&sdp::chromium_offer()), &[("Replaces", &value)]);
    rig.deliver(talk.browser.path, dialog.invite.raw().clone());
    assert_eq!(last_status(&rig.take(talk.browser.path), 403).header(Name::CallId).unwrap(), dialog.call_id.as_bytes());
    let mut stranger = Ua::server(crate::rig::udp("203.0.113.9:5060".parse().unwrap()));
    stranger.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[("Replaces", &value)]);
    assert_eq!(rig.take_one(stranger.path).status(), 403);
    assert_eq!(rig.ports.len(), 2);
}
