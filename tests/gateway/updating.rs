//! Offers and answers that come otherwise than by INVITE and its 200: in provisionals and PRACK, in UPDATE, in a refresh.

use std::time::Duration;

use crosspoint::call::EventKind;
use crosspoint::plan::{Order, RtpRemote, Topology};
use crosspoint::sip::endpoint::{Refresher, Reliable, SessionTimer};
use crosspoint::sip::message::{Builder, Message, Method, Name};

use crate::peers::{Dialog, Offered, Ua, last_status, request, signed_in};
use crate::rig::{Rig, config};
use crate::sdp;

const SDP: &str = "application/sdp";

/// Where the trunk leg's audio goes.
fn remote(rig: &Rig) -> Option<RtpRemote> {
    rig.orders.iter().rev().find_map(|(_, order)| match order {
        Order::UpdateRtp(_, remote) => Some(*remote),
        _ => None,
    })
}

fn is_joined(rig: &Rig) -> bool {
    rig.orders.iter().any(|(_, order)| matches!(order, Order::Connect(Topology::Pair(..))))
}

/// A call from the trunk that offers nothing and requires 100rel, up to our 180.
fn offerless(rig: &mut Rig) -> (Ua, Message, Ua, Dialog, Message) {
    let browser = signed_in(rig, "5001");
    let mut trunk = Ua::trunk();
    let mut call = trunk.call(rig, "5001", None, &[("Require", "100rel")]);
    let invite = request(&rig.take(browser.path), Method::Invite);
    rig.take(trunk.path);
    rig.deliver(browser.path, browser.respond(&invite, 180, None));
    let ringing = last_status(&rig.take(trunk.path), 180);
    call.learn(&ringing);
    (browser, invite, trunk, call, ringing)
}

fn prack(trunk: &mut Ua, call: &mut Dialog, provisional: &Message, sdp: Option<&str>) -> bytes::Bytes {
    let rack = format!("{} {} INVITE", provisional.number(Name::RSeq).unwrap(), provisional.cseq().number);
    trunk.within(call, Method::Prack, &[("RAck", &rack)], sdp.map(|sdp| (SDP, sdp)))
}

#[test]
fn a_reliable_180_to_an_offerless_invite_has_our_offer_and_its_prack_the_answer() {
    let mut rig = Rig::new();
    let (browser, invite, mut trunk, mut call, ringing) = offerless(&mut rig);
    assert!(ringing.has_option(Name::Require, "100rel"));
    assert!(String::from_utf8_lossy(ringing.body()).contains("m=audio"), "our offer");
    let answer = prack(&mut trunk, &mut call, &ringing, Some(&sdp::trunk_answer_from(20_700)));
    rig.deliver(trunk.path, answer);
    assert_eq!(last_status(&rig.take(trunk.path), 200).cseq().method, Method::Prack);
    assert_eq!(remote(&rig).map(|remote| remote.rtp.port()), Some(20_700));
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    let ok = last_status(&rig.take(trunk.path), 200);
    assert!(ok.body().is_empty(), "all has been said");
    assert!(is_joined(&rig), "nothing is left to wait for");
    let ack = trunk.ack(&call, &ok, None);
    rig.deliver(trunk.path, ack);
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Established));
    let bye = trunk.within(&mut call, Method::Bye, &[], None);
    rig.deliver(trunk.path, bye);
    rig.assert_clean();
}

#[test]
fn a_call_whose_prack_has_no_answer_to_our_offer_ends_with_its_ack() {
    let mut rig = Rig::new();
    let (browser, invite, mut trunk, mut call, ringing) = offerless(&mut rig);
    let bare = prack(&mut trunk, &mut call, &ringing, None);
    rig.deliver(trunk.path, bare);
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    let ok = last_status(&rig.take(trunk.path), 200);
    let ack = trunk.ack(&call, &ok, None);
    rig.deliver(trunk.path, ack);
    request(&rig.take(trunk.path), Method::Bye);
    rig.assert_clean();
}

#[test]
fn an_update_before_the_answer_is_taken_once_offer_and_answer_were_exchanged() {
    let mut rig = Rig::new();
    let (browser, invite, mut trunk, mut call, ringing) = offerless(&mut rig);
    let offer = sdp::genesys("192.0.2.91", 20_800);
    let early = trunk.within(&mut call, Method::Update, &[], Some((SDP, &offer)));
    rig.deliver(trunk.path, early);
    last_status(&rig.take(trunk.path), 491);
    let answer = prack(&mut trunk, &mut call, &ringing, Some(&sdp::trunk_answer()));
    rig.deliver(trunk.path, answer);
    rig.take(trunk.path);
    let update = trunk.within(&mut call, Method::Update, &[], Some((SDP, &offer)));
    rig.deliver(trunk.path, update);
    let ok = last_status(&rig.take(trunk.path), 200);
    assert!(String::from_utf8_lossy(ok.body()).contains("m=audio"));
    assert_eq!(remote(&rig).map(|remote| remote.rtp.to_string()).as_deref(), Some("192.0.2.91:20800"));
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    last_status(&rig.take(trunk.path), 200);
    assert!(is_joined(&rig));
}

#[test]
fn an_update_while_the_callers_own_offer_has_no_answer_gets_500_and_when_to_come_again() {
    let mut rig = Rig::new();
    let Offered { browser, mut trunk, mut call, invite } = Offered::ringing(&mut rig, "5001");
    call.learn(&last_status(&rig.take(trunk.path), 180));
    let offer = sdp::genesys("192.0.2.91", 20_800);
    let update = trunk.within(&mut call, Method::Update, &[], Some((SDP, &offer)));
    rig.deliver(trunk.path, update);
    let refusal = last_status(&rig.take(trunk.path), 500);
    assert!(refusal.number(Name::RetryAfter).is_some_and(|seconds| seconds <= 10));
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    last_status(&rig.take(trunk.path), 200);
}

/// 5001 dials, and the trunk gives early media by this provisional; the update of the callee follows.
fn early_update(reliable: bool) -> (Rig, Ua, Ua, Message, Message) {
    let mut with = config();
    with.trunks[0].policy.provisionals = Reliable::Supported;
    let mut rig = Rig::with(with, 1, 8);
    let Offered { browser, mut trunk, invite, .. } = Offered::outbound(&mut rig, "1003");
    let tag = format!("t{}", invite.call_id());
    let mut early = Builder::response_to(&invite, 183, None, Some(&tag)).header("Contact", &trunk.contact);
    if reliable {
        early = early.header("Require", "100rel").header("RSeq", "7");
    }
    rig.deliver(trunk.path, early.body(SDP, sdp::trunk_answer().as_bytes()).build());
    rig.take(trunk.path);
    let mut dialog = trunk.dialog_of(&invite);
    let offer = sdp::genesys("192.0.2.91", 20_800);
    let update = trunk.within(&mut dialog, Method::Update, &[], Some((SDP, &offer)));
    rig.deliver(trunk.path, update);
    let answer = rig.take(trunk.path).pop().expect("an answer");
    (rig, browser, trunk, invite, answer)
}

#[test]
fn a_callee_may_offer_anew_before_it_answers_only_if_its_answer_was_acknowledged() {
    let (_, _, _, _, refusal) = early_update(false);
    assert_eq!(refusal.status(), 491, "our offer has no answer for good");
    let (mut rig, browser, trunk, invite, ok) = early_update(true);
    assert_eq!(ok.status(), 200);
    let there = || Some("192.0.2.91:20800".to_owned());
    assert_eq!(remote(&rig).map(|remote| remote.rtp.to_string()), there());
    rig.deliver(trunk.path, trunk.respond(&invite, 200, None));
    last_status(&rig.take(browser.path), 200);
    assert_eq!(remote(&rig).map(|remote| remote.rtp.to_string()), there(), "what was said last holds");
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Established));
}

#[test]
fn a_prack_that_crosses_the_end_of_its_call_gets_200_and_one_of_nothing_481() {
    for cancels in [true, false] {
        let mut rig = Rig::new();
        let (browser, invite, mut trunk, mut call, ringing) = offerless(&mut rig);
        let status = if cancels {
            let cancel = trunk.cancel(&call, None);
            rig.deliver(trunk.path, cancel);
            let cancel = request(&rig.take(browser.path), Method::Cancel);
            rig.deliver(browser.path, browser.respond(&cancel, 200, None));
            rig.deliver(browser.path, browser.respond(&invite, 487, None));
            487
        } else {
            rig.deliver(browser.path, browser.respond(&invite, 486, None));
            486
        };
        let refusal = last_status(&rig.take(trunk.path), status);
        let late = prack(&mut trunk, &mut call, &ringing, Some(&sdp::trunk_answer()));
        rig.deliver(trunk.path, late);
        assert_eq!(rig.take_one(trunk.path).status(), 200);
        let again = prack(&mut trunk, &mut call, &ringing, None);
        rig.deliver(trunk.path, again);
        assert_eq!(rig.take_one(trunk.path).status(), 481, "it is acknowledged already");
        let ack = trunk.ack(&call, &refusal, None);
        rig.deliver(trunk.path, ack);
        rig.assert_clean();
        rig.advance(Duration::from_secs(40));
        assert_eq!((rig.snapshot().transactions, rig.snapshot().sessions), (0, 0));
    }
    let mut rig = Rig::new();
    let (_browser, _, mut trunk, mut call, _) = offerless(&mut rig);
    let cancel = trunk.cancel(&call, None);
    rig.deliver(trunk.path, cancel);
    rig.take(trunk.path);
    let wrong = trunk.within(&mut call, Method::Prack, &[("RAck", "1 1 INVITE")], None);
    rig.deliver(trunk.path, wrong);
    assert_eq!(rig.take_one(trunk.path).status(), 481);
}

/// A call that we refresh by re-INVITE, up to the refresh.
fn refreshing(rig: &mut Rig) -> (Ua, Message) {
    let Offered { mut browser, trunk, mut call, invite } = Offered::outbound(rig, "1003");
    rig.deliver(trunk.path, refreshed(&trunk, &invite, &sdp::trunk_answer()));
    browser.acknowledge(rig, &mut call);
    rig.take(trunk.path);
    rig.advance(Duration::from_secs(101));
    let refresh = request(&rig.take(trunk.path), Method::Invite);
    (trunk, refresh)
}

fn refreshed(trunk: &Ua, invite: &Message, answer: &str) -> bytes::Bytes {
    let ok = Builder::response_to(invite, 200, None, Some("t")).header("Contact", &trunk.contact);
    let ok = ok.header("Session-Expires", "200;refresher=uac").header("Allow", "INVITE, ACK, BYE");
    ok.body(SDP, answer.as_bytes()).build()
}

#[test]
fn another_answer_to_a_refresh_moves_the_audio_and_the_same_one_changes_nothing() {
    let mut with = config();
    let timer = SessionTimer { interval_s: 200, min_se_s: 90, refresher: Some(Refresher::Us) };
    with.trunks[0].policy.session = Some(timer);
    let mut rig = Rig::with(with, 1, 8);
    let (trunk, refresh) = refreshing(&mut rig);
    let orders = rig.orders.len();
    rig.deliver(trunk.path, refreshed(&trunk, &refresh, &sdp::trunk_answer()));
    assert_eq!(rig.orders.len(), orders);
    rig.take(trunk.path);

    rig.advance(Duration::from_secs(101));
    let refresh = request(&rig.take(trunk.path), Method::Invite);
    let moved = sdp::trunk_answer_from(20_900).replace("RTP/AVP 0 101", "RTP/AVP 8 101").replace("0 PCMU", "8 PCMA");
    rig.deliver(trunk.path, refreshed(&trunk, &refresh, &moved));
    let there = remote(&rig).unwrap();
    assert_eq!((there.rtp.port(), there.audio.codec), (20_900, crosspoint::plan::AudioCodec::Pcma));
    request(&rig.take(trunk.path), Method::Ack);

    rig.advance(Duration::from_secs(101));
    let refresh = request(&rig.take(trunk.path), Method::Invite);
    let held = format!("{}a=sendonly\r\n", sdp::trunk_answer());
    rig.deliver(trunk.path, refreshed(&trunk, &refresh, &held));
    assert!(!remote(&rig).unwrap().audio.send);
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Held { by_agent: false }));
    assert_eq!(rig.snapshot().calls.len(), 1);
}
