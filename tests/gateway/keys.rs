//! Keys for a trunk that has no telephone-event: they go by INFO, each after the response to the one before it.

use std::time::Duration;

use crosspoint::call::{CallCommand, Command, EventKind};
use crosspoint::gateway::Input;
use crosspoint::id::{LegId, WorkerId};
use crosspoint::plan::{Digit, Order, Report};
use crosspoint::sip::message::{Message, Method};

use crate::peers::{Talk, inbound_call, last_status, outbound_call, request};
use crate::rig::Rig;
use crate::sdp;

/// The trunk says by re-INVITE that it takes audio alone, or keys as well.
fn reoffer(rig: &mut Rig, talk: &mut Talk, events: bool) {
    let mut offer = sdp::genesys_offer();
    if !events {
        let (kept, _) = offer.split_once("a=rtpmap:101").expect("events");
        offer = kept.replace(" 101\r\n", "\r\n");
    }
    let reinvite = talk.trunk.within(&mut talk.at_trunk, Method::Invite, &[], Some(("application/sdp", &offer)));
    rig.deliver(talk.trunk.path, reinvite);
    let ok = last_status(&rig.take(talk.trunk.path), 200);
    let ack = talk.trunk.ack(&talk.at_trunk, &ok, None);
    rig.deliver(talk.trunk.path, ack);
    rig.take(talk.browser.path);
}

fn agents_leg(rig: &Rig) -> LegId {
    rig.orders
        .iter()
        .find_map(|(_, order)| if let Order::OpenBrowser(leg, _) = order { Some(*leg) } else { None })
        .unwrap()
}

fn heard(rig: &mut Rig, leg: LegId, event: u8, ms: u64) {
    let digit = Digit { event, duration: Duration::from_millis(ms) };
    rig.input(Input::Media(WorkerId(0), Report::Digit(leg, digit)));
}

fn keys(messages: &[Message]) -> Vec<String> {
    let infos = messages.iter().filter(|m| m.is_request() && m.method() == Method::Info);
    infos
        .map(|info| {
            assert_eq!(info.content_type(), Some("application/dtmf-relay"));
            String::from_utf8(info.body().to_vec()).unwrap()
        })
        .collect()
}

fn sent_by_rtp(rig: &Rig) -> usize {
    rig.orders.iter().filter(|(_, order)| matches!(order, Order::SendDigit(..))).count()
}

#[test]
fn a_key_of_the_browser_goes_by_info_to_a_trunk_without_telephone_event() {
    for call in [inbound_call, outbound_call] {
        let mut rig = Rig::new();
        let mut talk = call(&mut rig);
        let agent = agents_leg(&rig);
        heard(&mut rig, agent, 5, 160);
        assert!(rig.take(talk.trunk.path).is_empty(), "the media thread has carried it");
        reoffer(&mut rig, &mut talk, false);
        heard(&mut rig, agent, 11, 220);
        let sent = rig.take(talk.trunk.path);
        assert_eq!(keys(&sent), ["Signal=#\r\nDuration=220\r\n"]);
        rig.deliver(talk.trunk.path, talk.trunk.respond(&request(&sent, Method::Info), 200, None));
        assert_eq!(rig.kinds().iter().filter(|kind| matches!(kind, EventKind::Digit { .. })).count(), 2);
        assert_eq!(rig.snapshot().counters.info_digits_sent, 1);
        reoffer(&mut rig, &mut talk, true);
        heard(&mut rig, agent, 5, 160);
        assert!(rig.take(talk.trunk.path).is_empty(), "it takes them by RTP again");
    }
}

#[test]
fn keys_by_info_or_command_wait_for_each_other() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    reoffer(&mut rig, &mut talk, false);
    let info = ("application/dtmf-relay", "Signal=1\r\nDuration=90\r\n");
    let info = talk.browser.within(&mut talk.at_browser, Method::Info, &[], Some(info));
    rig.deliver(talk.browser.path, info);
    let call = rig.snapshot().calls[0].call;
    let digits = [2, 16, 13].map(|event| Digit { event, duration: Duration::from_secs(10) }).to_vec();
    rig.input(Input::Command(Command::of(call, CallCommand::SendDigits { digits })));
    let mut all = Vec::new();
    for status in [200, 500, 200] {
        let sent = rig.take(talk.trunk.path);
        assert_eq!(keys(&sent).len(), 1, "one at a time");
        all.extend(keys(&sent));
        rig.deliver(talk.trunk.path, talk.trunk.respond(&request(&sent, Method::Info), status, None));
    }
    // A flash is no key of this form; and none is longer than may be.
    assert_eq!(all, ["Signal=1\r\nDuration=90\r\n", "Signal=2\r\nDuration=6000\r\n", "Signal=B\r\nDuration=6000\r\n"]);
    assert!(rig.take(talk.trunk.path).is_empty());
    assert_eq!(sent_by_rtp(&rig), 0, "the media thread could not send them");
}

#[test]
fn a_trunk_that_does_not_know_the_form_is_sent_no_more_and_its_call_goes_on() {
    for status in [405, 415, 501] {
        let mut rig = Rig::new();
        let mut talk = inbound_call(&mut rig);
        reoffer(&mut rig, &mut talk, false);
        let agent = agents_leg(&rig);
        (1..4).for_each(|event| heard(&mut rig, agent, event, 100));
        let sent = rig.take(talk.trunk.path);
        rig.deliver(talk.trunk.path, talk.trunk.respond(&request(&sent, Method::Info), status, None));
        heard(&mut rig, agent, 4, 100);
        assert!(rig.take(talk.trunk.path).is_empty(), "{status}");
        assert_eq!(rig.snapshot().calls.len(), 1);
        let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
        rig.deliver(talk.trunk.path, bye);
        let bye = request(&rig.take(talk.browser.path), Method::Bye);
        rig.deliver(talk.browser.path, talk.browser.respond(&bye, 200, None));
        rig.assert_clean();
    }
}

#[test]
fn a_key_that_gets_no_response_holds_up_the_next_no_longer_than_its_transaction_and_leaves_nothing_behind() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    reoffer(&mut rig, &mut talk, false);
    let agent = agents_leg(&rig);
    (1..3).for_each(|event| heard(&mut rig, agent, event, 100));
    assert_eq!(keys(&rig.take(talk.trunk.path))[0], "Signal=1\r\nDuration=100\r\n");
    let bye = talk.browser.within(&mut talk.at_browser, Method::Bye, &[], None);
    rig.deliver(talk.browser.path, bye);
    let bye = request(&rig.take(talk.trunk.path), Method::Bye);
    rig.deliver(talk.trunk.path, talk.trunk.respond(&bye, 200, None));
    rig.advance(Duration::from_secs(40));
    assert!(keys(&rig.take(talk.trunk.path)).iter().all(|key| key.starts_with("Signal=1")));
    rig.assert_clean();
}
