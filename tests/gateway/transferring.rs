//! Transfers asked for by the browser: blind and attended, done by the gateway or by the trunk, and given back.

use std::time::Duration;

use crosspoint::call::{CallCommand, Command, Declined, EventKind, ReleaseCause};
use crosspoint::gateway::{CallState, Input};
use crosspoint::plan::{Order, Topology};
use crosspoint::sip::message::{Message, Method, Name};

use crate::handover::{Consult, consult, consult_ringing, frag, fragments, invite_of, read, read_as, refer, replaces};
use crate::peers::{Talk, Ua, inbound_call, inbound_to, last_status, outbound_call, request, signed_in};
use crate::rig::{Rig, by_udp, config, spare_addr, udp};
use crate::sdp;

const TARGET: &str = "<sip:6001@gw.test>";

/// The trunk answers the INVITE of a transfer.
fn target_says(rig: &mut Rig, talk: &Talk, invite: &Message, status: u16) {
    let sdp = matches!(status, 183 | 200).then(sdp::trunk_answer);
    rig.deliver(talk.trunk.path, talk.trunk.respond(invite, status, sdp.as_deref()));
}

/// A blind transfer that its target has heard of.
fn on_its_way() -> (Rig, Talk, Message) {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    refer(&mut rig, &mut talk, TARGET);
    let invite = invite_of(&mut rig, &talk);
    (rig, talk, invite)
}

/// A blind transfer whose target rings.
fn target_rings() -> (Rig, Talk, Message) {
    let (mut rig, talk, invite) = on_its_way();
    target_says(&mut rig, &talk, &invite, 180);
    (rig, talk, invite)
}

fn connected(rig: &Rig) -> &Topology {
    let found = rig.orders.iter().rev().find_map(|(_, order)| match order {
        Order::Connect(topology) => Some(topology),
        _ => None,
    });
    found.expect("somebody was connected")
}

fn count(rig: &Rig, is: impl Fn(&EventKind) -> bool) -> usize {
    rig.kinds().into_iter().filter(|kind| is(kind)).count()
}

fn hang_up_of_trunk(rig: &mut Rig, talk: &mut Talk) {
    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(talk.trunk.path, bye);
}

#[test]
fn a_blind_transfer_is_done_by_the_gateway_and_the_agent_is_let_go() {
    for call in [inbound_call, outbound_call] {
        let mut rig = Rig::new();
        let mut talk = call(&mut rig);
        rig.take(talk.trunk.path);
        assert_eq!(refer(&mut rig, &mut talk, TARGET).status(), 202);
        assert_eq!(fragments(&read(&mut rig, &talk.browser)), [frag(100, false)]);
        assert!(matches!(connected(&rig), Topology::Parked(..)), "the customer hears what a party on hold hears");
        let invite = invite_of(&mut rig, &talk);
        assert_eq!(invite.request_uri(), "sip:6001@192.0.2.81:5060");
        assert_eq!(invite.header(Name::ReferredBy).unwrap(), b"<sip:5001@192.0.2.54:5060>");
        target_says(&mut rig, &talk, &invite, 180);
        assert_eq!(fragments(&read(&mut rig, &talk.browser)), [frag(180, false)]);
        target_says(&mut rig, &talk, &invite, 200);
        let seen = read(&mut rig, &talk.browser);
        assert_eq!(fragments(&seen), [frag(200, true)]);
        let bye = request(&seen, Method::Bye);
        assert_eq!(bye.header(Name::Reason).unwrap(), b"SIP;cause=200;text=\"Call transferred\"");
        assert!(matches!(connected(&rig), Topology::Pair(..)));
        assert_eq!(rig.kinds().last(), Some(&&EventKind::Transferred { to: "6001".into(), by_agent: true }));
        assert_eq!(rig.ports.len(), 2, "the two at the trunk");
        rig.take(talk.trunk.path);
        hang_up_of_trunk(&mut rig, &mut talk);
        let bye = request(&rig.take(talk.trunk.path), Method::Bye);
        assert_eq!(bye.call_id(), invite.call_id());
        assert!(matches!(rig.kinds().last(), Some(EventKind::Released { cause: ReleaseCause::Trunk, .. })));
        rig.assert_clean();
    }
}

#[test]
fn early_media_of_the_target_is_heard_by_the_customer() {
    let (mut rig, talk, invite) = on_its_way();
    target_says(&mut rig, &talk, &invite, 183);
    assert!(matches!(connected(&rig), Topology::Pair(..)));
    assert_eq!(fragments(&read(&mut rig, &talk.browser)).last(), Some(&frag(183, false)));
}

#[test]
fn a_transfer_that_fails_gives_the_call_back() {
    for status in [486, 603, 404, 500] {
        let mut rig = Rig::new();
        let mut talk = inbound_call(&mut rig);
        let pair = connected(&rig).clone();
        refer(&mut rig, &mut talk, TARGET);
        let invite = invite_of(&mut rig, &talk);
        read(&mut rig, &talk.browser);
        target_says(&mut rig, &talk, &invite, status);
        assert_eq!(fragments(&read(&mut rig, &talk.browser)), [frag(status, true)]);
        let Topology::Pair(one, other) = pair else { panic!("{pair:?}") };
        assert!(
            matches!(connected(&rig), Topology::Pair(a, b) if [*a, *b].contains(&one) && [*a, *b].contains(&other))
        );
        assert_eq!(rig.kinds().last(), Some(&&EventKind::Declined { why: Declined::Refused(status), by_agent: true }));
        assert_eq!((rig.ports.len(), rig.snapshot().calls[0].state), (2, CallState::Established));
        assert_eq!(refer(&mut rig, &mut talk, TARGET).status(), 202, "it may be tried again");
        invite_of(&mut rig, &talk);
        hang_up_of_trunk(&mut rig, &mut talk);
        rig.advance(Duration::from_secs(70));
        rig.assert_clean();
    }
}

#[test]
fn a_target_that_does_not_answer_is_cancelled_and_the_call_given_back() {
    let (mut rig, talk, invite) = target_rings();
    read(&mut rig, &talk.browser);
    rig.advance(Duration::from_secs(61));
    let cancel = request(&rig.take(talk.trunk.path), Method::Cancel);
    assert_eq!(cancel.via().branch(), invite.via().branch());
    assert_eq!(fragments(&read(&mut rig, &talk.browser)), [frag(408, true)]);
    assert!(matches!(connected(&rig), Topology::Pair(..)));
}

#[test]
fn a_silent_server_is_passed_over_by_a_transfer_and_the_next_one_has_it() {
    let mut with = config();
    with.trunks[0].destinations.push(by_udp(spare_addr()));
    let mut rig = Rig::with(with, 1, 8);
    let mut talk = inbound_call(&mut rig);
    refer(&mut rig, &mut talk, TARGET);
    let first = invite_of(&mut rig, &talk);
    read(&mut rig, &talk.browser);
    rig.advance(Duration::from_secs(3));
    let spare = Ua::server(udp(spare_addr()));
    let second = request(&rig.take(spare.path), Method::Invite);
    assert_eq!(second.request_uri(), "sip:6001@192.0.2.82:5060");
    assert_eq!(second.header(Name::ReferredBy), first.header(Name::ReferredBy));
    rig.deliver(spare.path, spare.respond(&second, 200, Some(&sdp::trunk_answer())));
    assert_eq!(fragments(&read(&mut rig, &talk.browser)), [frag(200, true)]);
    // The first one wakes up too late: it is acknowledged and hung up.
    target_says(&mut rig, &talk, &first, 200);
    let sent = rig.take(talk.trunk.path);
    assert_eq!(request(&sent, Method::Bye).call_id(), first.call_id());
    assert_eq!(rig.ports.len(), 2);
    hang_up_of_trunk(&mut rig, &mut talk);
    rig.advance(Duration::from_secs(40));
    rig.assert_clean();
}

#[test]
fn a_transfer_can_be_taken_back_while_the_target_rings() {
    let (mut rig, talk, _) = target_rings();
    read(&mut rig, &talk.browser);
    let call = rig.snapshot().calls[0].call;
    rig.input(Input::Command(Command::of(call, CallCommand::Retrieve)));
    request(&rig.take(talk.trunk.path), Method::Cancel);
    assert_eq!(fragments(&read(&mut rig, &talk.browser)), [frag(487, true)]);
    assert!(matches!(connected(&rig), Topology::Pair(..)));
    assert_eq!(rig.snapshot().calls[0].state, CallState::Established);
}

#[test]
fn an_agent_may_hang_up_before_the_target_answers() {
    for (status, goes_on) in [(200, true), (486, false)] {
        let (mut rig, mut talk, invite) = on_its_way();
        let bye = talk.browser.within(&mut talk.at_browser, Method::Bye, &[], None);
        rig.deliver(talk.browser.path, bye);
        assert!(!rig.snapshot().calls.is_empty(), "the customer waits for the target");
        target_says(&mut rig, &talk, &invite, status);
        let sent = rig.take(talk.trunk.path);
        assert_eq!(sent.iter().any(|m| m.is_request() && m.method() == Method::Bye), !goes_on);
        assert_eq!(count(&rig, |kind| matches!(kind, EventKind::Transferred { .. })), usize::from(goes_on));
        if goes_on {
            assert!(matches!(connected(&rig), Topology::Pair(..)));
            hang_up_of_trunk(&mut rig, &mut talk);
        }
        rig.assert_clean();
    }
}

#[test]
fn a_browser_that_vanishes_while_it_transfers_leaves_the_transfer_alone() {
    let (mut rig, mut talk, invite) = target_rings();
    rig.input(Input::FlowClosed(talk.browser.path.flow().unwrap()));
    rig.advance(Duration::from_secs(30));
    target_says(&mut rig, &talk, &invite, 200);
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Transferred { to: "6001".into(), by_agent: true }));
    rig.advance(Duration::from_secs(60));
    assert_eq!(rig.snapshot().calls.len(), 1, "the two at the trunk talk");
    hang_up_of_trunk(&mut rig, &mut talk);
    rig.assert_clean();
}

#[test]
fn a_customer_that_hangs_up_ends_the_transfer() {
    let (mut rig, mut talk, _) = target_rings();
    read(&mut rig, &talk.browser);
    hang_up_of_trunk(&mut rig, &mut talk);
    let seen = read(&mut rig, &talk.browser);
    assert_eq!(fragments(&seen), [frag(487, true)]);
    request(&seen, Method::Bye);
    request(&rig.take(talk.trunk.path), Method::Cancel);
    rig.assert_clean();
}

#[test]
fn a_customer_on_hold_is_retrieved_by_the_transfer() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let call = rig.snapshot().calls[0].call;
    rig.take(talk.trunk.path);
    rig.input(Input::Command(Command::of(call, CallCommand::Hold)));
    let hold = request(&rig.take(talk.trunk.path), Method::Invite);
    rig.deliver(talk.trunk.path, talk.trunk.respond(&hold, 200, Some(&sdp::trunk_answer())));
    rig.take(talk.trunk.path);
    refer(&mut rig, &mut talk, TARGET);
    let invite = invite_of(&mut rig, &talk);
    target_says(&mut rig, &talk, &invite, 200);
    let sent = rig.take(talk.trunk.path);
    assert_eq!(sent.iter().filter(|m| m.is_request() && m.method() == Method::Invite).count(), 1);
    let retrieve = request(&sent, Method::Invite);
    assert_eq!(retrieve.call_id(), hold.call_id());
    assert!(String::from_utf8_lossy(retrieve.body()).contains("a=sendrecv"));
    rig.deliver(talk.trunk.path, talk.trunk.respond(&retrieve, 200, Some(&sdp::trunk_answer())));
    assert!(matches!(rig.kinds().last(), Some(EventKind::Retrieved { by_agent: true })), "{:?}", rig.kinds());
    hang_up_of_trunk(&mut rig, &mut talk);
    rig.assert_clean();
}

/// What the attended transfer of a consultation leaves behind.
fn assert_completed(rig: &mut Rig, talk: &mut Talk, other: &Consult) {
    let seen = read(rig, &talk.browser);
    assert_eq!(fragments(&seen), [frag(100, false), frag(200, true)]);
    let byes: Vec<&str> =
        seen.iter().filter(|m| m.is_request() && m.method() == Method::Bye).map(|m| m.call_id()).collect();
    assert_eq!(byes, [talk.at_browser.call_id.as_str(), other.at_browser.call_id.as_str()]);
    assert!(matches!(connected(rig), Topology::Pair(..)));
    assert_eq!(count(rig, |kind| matches!(kind, EventKind::Transferred { to, .. } if to == "6001")), 1);
    let merged = |kind: &EventKind| matches!(kind, EventKind::Released { cause: ReleaseCause::Transferred, .. });
    assert_eq!(count(rig, merged), 1, "the consultation is over");
    assert_eq!((rig.snapshot().calls.len(), rig.ports.len()), (1, 2));
    rig.take(talk.trunk.path);
    hang_up_of_trunk(rig, talk);
    assert_eq!(request(&rig.take(talk.trunk.path), Method::Bye).call_id(), other.at_trunk.call_id);
    rig.assert_clean();
}

#[test]
fn an_attended_transfer_joins_the_parties_of_two_calls() {
    for call in [inbound_call, outbound_call] {
        for swapped in [false, true] {
            let mut rig = Rig::new();
            let mut talk = call(&mut rig);
            let other = consult(&mut rig, &mut talk, "6001");
            // JsSIP names the tags of a call that it took the other way round.
            let to = replaces("6001", &other.at_browser, swapped);
            assert_eq!(refer(&mut rig, &mut talk, &to).status(), 202);
            assert_completed(&mut rig, &mut talk, &other);
        }
    }
}

#[test]
fn a_consultation_that_still_rings_is_completed_by_its_answer() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let (other, invite) = consult_ringing(&mut rig, &mut talk, "6001");
    let to = replaces("6001", &other.at_browser, false);
    assert_eq!(refer(&mut rig, &mut talk, &to).status(), 202);
    let seen = read(&mut rig, &talk.browser);
    assert_eq!(fragments(&seen), [frag(100, false)]);
    last_status(&seen, 487);
    assert_eq!(rig.snapshot().calls.len(), 1);
    target_says(&mut rig, &talk, &invite, 200);
    let seen = read(&mut rig, &talk.browser);
    assert_eq!(fragments(&seen), [frag(200, true)]);
    assert_eq!(request(&seen, Method::Bye).call_id(), talk.at_browser.call_id);
    rig.take(talk.trunk.path);
    hang_up_of_trunk(&mut rig, &mut talk);
    assert_eq!(request(&rig.take(talk.trunk.path), Method::Bye).call_id(), invite.call_id());
    rig.assert_clean();
}

#[test]
fn a_refer_in_a_wrong_state_or_with_junk_is_refused_and_changes_nothing() {
    let long = format!("<sip:6001@gw.test?Subject={}>", "x".repeat(3000));
    let table: [(&[(&str, &str)], u16); 12] = [
        (&[], 400),
        (&[("Refer-To", TARGET), ("Refer-To", TARGET)], 400),
        (&[("Refer-To", "nonsense")], 400),
        (&[("Refer-To", "<sip:gw.test>")], 400),
        (&[("Refer-To", "<sip:6001%3Bx@gw.test>")], 400),
        (&[("Refer-To", "<sip:6001@gw.test;method=BYE>")], 400),
        (&[("Refer-To", "<sip:6001@gw.test?Replaces=x>")], 400),
        (&[("Refer-To", &long)], 400),
        (&[("Refer-To", "<http://gw.test/>")], 416),
        (&[("Refer-To", "<sip:00881612345@gw.test>")], 403),
        (&[("Refer-To", "<sip:6001@gw.test?Replaces=c%3Bto-tag%3D1%3Bfrom-tag%3D2>")], 404),
        (&[("Refer-To", "<tel:+00881612345>")], 403),
    ];
    let mut with = config();
    with.dns[0].dial = vec!["1".into(), "6".into()];
    let mut rig = Rig::with(with, 1, 8);
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    for (headers, status) in table {
        let bytes = talk.browser.within(&mut talk.at_browser, Method::Refer, headers, None);
        rig.deliver(talk.browser.path, bytes);
        assert_eq!(rig.take_one(talk.browser.path).status(), status, "{headers:?}");
    }
    assert!(rig.take(talk.trunk.path).is_empty());
    assert_eq!(refer(&mut rig, &mut talk, TARGET).status(), 202);
    assert_eq!(refer(&mut rig, &mut talk, TARGET).status(), 491, "one at a time");
    let bye = talk.browser.within(&mut talk.at_browser, Method::Bye, &[], None);
    rig.deliver(talk.browser.path, bye);
    read(&mut rig, &talk.browser);
    assert_eq!(refer(&mut rig, &mut talk, TARGET).status(), 481, "no dialog is left");
}

#[test]
fn a_refer_before_the_answer_is_refused() {
    let mut rig = Rig::new();
    let mut browser = signed_in(&mut rig, "5001");
    let mut trunk = Ua::trunk();
    trunk.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
    let ringing = request(&rig.take(browser.path), Method::Invite);
    let mut at_browser = browser.dialog_of(&ringing);
    rig.deliver(browser.path, browser.respond(&ringing, 180, None));
    let bytes = browser.within(&mut at_browser, Method::Refer, &[("Refer-To", TARGET)], None);
    rig.deliver(browser.path, bytes);
    assert_eq!(last_status(&rig.take(browser.path), 403).cseq().method, Method::Refer);
}

#[test]
fn nobody_hands_on_the_call_of_another_agent_or_from_another_connection() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let stranger = signed_in(&mut rig, "5002");
    let mut theirs = inbound_to(&mut rig, stranger);
    let to = replaces("6001", &theirs.at_browser, false);
    assert_eq!(refer(&mut rig, &mut talk, &to).status(), 403);
    let own = replaces("6001", &talk.at_browser.clone(), false);
    assert_eq!(refer(&mut rig, &mut talk, &own).status(), 404, "a call is not its own consultation");
    let bytes = talk.browser.within(&mut talk.at_browser, Method::Refer, &[("Refer-To", TARGET)], None);
    rig.deliver(theirs.browser.path, bytes);
    assert_eq!(rig.take_one(theirs.browser.path).status(), 403, "the tags alone do not prove it");
    assert_eq!(rig.snapshot().calls.len(), 2);
    for talk in [&mut talk, &mut theirs] {
        hang_up_of_trunk(&mut rig, talk);
    }
    rig.assert_clean();
}

#[test]
fn a_browser_that_wants_no_notify_gets_none() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let headers = [("Refer-To", TARGET), ("Refer-Sub", "false")];
    let bytes = talk.browser.within(&mut talk.at_browser, Method::Refer, &headers, None);
    rig.deliver(talk.browser.path, bytes);
    let accepted = rig.take_one(talk.browser.path);
    assert_eq!((accepted.status(), accepted.header(Name::ReferSub)), (202, Some(&b"false"[..])));
    let invite = invite_of(&mut rig, &talk);
    target_says(&mut rig, &talk, &invite, 200);
    let seen = read(&mut rig, &talk.browser);
    assert_eq!(fragments(&seen), []);
    request(&seen, Method::Bye);
}

/// A rig whose trunk does transfers itself.
fn handing_over() -> Rig {
    let mut with = config();
    with.trunks[0].refer = true;
    Rig::with(with, 1, 8)
}

/// The SIP Server tells how our REFER goes.
fn sipfrag(rig: &mut Rig, talk: &mut Talk, status: u16, state: &str) {
    let body = format!("SIP/2.0 {status} Whatever\r\n");
    let headers = [("Event", "refer"), ("Subscription-State", state)];
    let body = ("message/sipfrag;version=2.0", body.as_str());
    let bytes = talk.trunk.within(&mut talk.at_trunk, Method::Notify, &headers, Some(body));
    rig.deliver(talk.trunk.path, bytes);
    last_status(&rig.take(talk.trunk.path), 200);
}

#[test]
fn a_trunk_that_takes_refer_is_given_it_and_its_progress_goes_back() {
    let mut rig = handing_over();
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    assert_eq!(refer(&mut rig, &mut talk, TARGET).status(), 202);
    let passed = rig.take_one(talk.trunk.path);
    assert_eq!((passed.method(), passed.call_id()), (Method::Refer, talk.at_trunk.call_id.as_str()));
    assert_eq!(passed.header(Name::ReferTo).unwrap(), b"<sip:6001@192.0.2.81:5060>");
    assert_eq!(passed.header(Name::ReferredBy).unwrap(), b"<sip:5001@192.0.2.54:5060>");
    rig.deliver(talk.trunk.path, talk.trunk.respond(&passed, 202, None));
    sipfrag(&mut rig, &mut talk, 180, "active;expires=60");
    assert_eq!(fragments(&read(&mut rig, &talk.browser)), [frag(100, false), frag(180, false)]);
    sipfrag(&mut rig, &mut talk, 200, "terminated;reason=noresource");
    assert_eq!(fragments(&read(&mut rig, &talk.browser)), [frag(200, true)]);
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Transferred { to: "6001".into(), by_agent: true }));
    rig.advance(Duration::from_secs(4));
    request(&read(&mut rig, &talk.browser), Method::Bye);
    request(&rig.take(talk.trunk.path), Method::Bye);
    assert!(matches!(rig.kinds().last(), Some(EventKind::Released { cause: ReleaseCause::Transferred, .. })));
    rig.assert_clean();
}

#[test]
fn a_refer_that_the_trunk_refuses_or_gives_up_leaves_the_call_alone() {
    for refused in [true, false] {
        let mut rig = handing_over();
        let mut talk = inbound_call(&mut rig);
        rig.take(talk.trunk.path);
        refer(&mut rig, &mut talk, TARGET);
        let passed = rig.take_one(talk.trunk.path);
        read(&mut rig, &talk.browser);
        let status = if refused { 603 } else { 486 };
        if refused {
            rig.deliver(talk.trunk.path, talk.trunk.respond(&passed, 603, None));
        } else {
            rig.deliver(talk.trunk.path, talk.trunk.respond(&passed, 202, None));
            sipfrag(&mut rig, &mut talk, 486, "terminated;reason=noresource");
        }
        assert_eq!(fragments(&read(&mut rig, &talk.browser)), [frag(status, true)]);
        assert_eq!(rig.snapshot().calls[0].state, CallState::Established);
        assert!(matches!(connected(&rig), Topology::Pair(..)));
    }
}

#[test]
fn an_attended_transfer_by_the_trunk_names_the_dialog_that_the_trunk_knows() {
    let mut rig = handing_over();
    let mut talk = inbound_call(&mut rig);
    let other = consult(&mut rig, &mut talk, "6001");
    rig.take(talk.trunk.path);
    let to = replaces("6001", &other.at_browser, false);
    assert_eq!(refer(&mut rig, &mut talk, &to).status(), 202);
    let passed = rig.take_one(talk.trunk.path);
    let value = String::from_utf8_lossy(passed.header(Name::ReferTo).unwrap()).into_owned();
    let call_id = other.at_trunk.call_id.replace('@', "%40");
    assert!(value.starts_with(&format!("<sip:6001@192.0.2.81:5060?Replaces={call_id}%3B")), "{value}");
    // The tags are those of our dialog with the trunk: its own first.
    let (theirs, ours) = (other.trunk_tag(), other.our_tag());
    assert!(value.contains(&format!("to-tag%3D{theirs}%3Bfrom-tag%3D{ours}>")), "{value}");
    rig.deliver(talk.trunk.path, talk.trunk.respond(&passed, 202, None));
    sipfrag(&mut rig, &mut talk, 200, "terminated;reason=noresource");
    hang_up_of_trunk(&mut rig, &mut talk);
    rig.advance(Duration::from_secs(4));
    rig.assert_clean();
}

#[test]
fn a_page_asks_by_info_and_hears_by_info() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let body = ("application/vnd.crosspoint+json", "{\"command\":\"transfer\",\"to\":\"6001\"}");
    let info = talk.browser.within(&mut talk.at_browser, Method::Info, &[], Some(body));
    rig.deliver(talk.browser.path, info);
    last_status(&read(&mut rig, &talk.browser), 200);
    let invite = invite_of(&mut rig, &talk);
    target_says(&mut rig, &talk, &invite, 180);
    target_says(&mut rig, &talk, &invite, 200);
    let seen = read(&mut rig, &talk.browser);
    let told: Vec<String> = seen
        .iter()
        .filter(|m| m.is_request() && m.method() == Method::Info)
        .map(|m| String::from_utf8_lossy(m.body()).into_owned())
        .collect();
    let expected = [
        "{\"event\":\"transfer\",\"status\":180,\"last\":false}",
        "{\"event\":\"transfer\",\"status\":200,\"last\":true}",
    ];
    assert_eq!(told, expected);
    request(&seen, Method::Bye);
}

#[test]
fn a_page_completes_a_consultation_by_the_call_id_of_its_other_dialog() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let other = consult(&mut rig, &mut talk, "6001");
    for (with, status) in [("no-such-call", 404), (&*other.at_browser.call_id, 200)] {
        let body = format!("{{\"command\":\"transfer\",\"with\":\"{with}\"}}");
        let body = ("application/vnd.crosspoint+json", body.as_str());
        let info = talk.browser.within(&mut talk.at_browser, Method::Info, &[], Some(body));
        rig.deliver(talk.browser.path, info);
        last_status(&read(&mut rig, &talk.browser), status);
    }
    assert!(matches!(connected(&rig), Topology::Pair(..)));
    assert_eq!(rig.snapshot().calls.len(), 1);
}

#[test]
fn commands_do_what_refer_does() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let call = rig.snapshot().calls[0].call;
    rig.input(Input::Command(Command::of(call, CallCommand::BlindTransfer { to: "6001".into() })));
    let invite = invite_of(&mut rig, &talk);
    target_says(&mut rig, &talk, &invite, 486);
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Declined { why: Declined::Refused(486), by_agent: true }));
    let _other = consult(&mut rig, &mut talk, "6001");
    let calls: Vec<_> = rig.snapshot().calls.iter().map(|view| view.call).filter(|id| *id != call).collect();
    rig.input(Input::Command(Command::of(call, CallCommand::AttendedTransfer { with: calls[0] })));
    assert_eq!(count(&rig, |kind| matches!(kind, EventKind::Transferred { to, .. } if to == "6001")), 1);
    let before = rig.events.len();
    rig.input(Input::Command(Command::of(call, CallCommand::AttendedTransfer { with: calls[0] })));
    assert!(matches!(rig.events[before].kind, EventKind::Declined { .. }), "there is no agent any more");
    let _ = read_as(&mut rig, &talk.trunk);
}
