//! Two of our DNs talk without a trunk, and the desktops of both rule the call: each its own side of it.

use crosspoint::call::{CallCommand, Command, Declined, EventKind, Tones};
use crosspoint::gateway::{Input, LocalCalls};
use crosspoint::id::{CallId, DialId, LegId};
use crosspoint::plan::{Digit, Order, Source, Topology};
use crosspoint::sip::message::{Message, Method};

use crate::dn_to_dn::{joined, pair, talks, talks_out, with_whom};
use crate::handover::read;
use crate::peers::{Dialog, Ua, inbound_to, last_status, request, signed_in};
use crate::rig::{Rig, config};
use crate::sdp;

/// What a party on hold hears.
fn music() -> Source {
    Source::Tone(Tones::default().busy)
}

fn rig() -> Rig {
    let mut with = config();
    with.calls.local = LocalCalls::Always;
    with.hold = music();
    Rig::with(with, 1, 8)
}

/// 5001 has called 5002, and they talk.
struct Pair {
    rig: Rig,
    call: CallId,
    one: (Ua, Dialog),
    two: (Ua, Dialog),
    /// The legs, that of 5001 first.
    legs: [LegId; 2],
}

impl Pair {
    fn new() -> Pair {
        let mut rig = rig();
        let mut one = signed_in(&mut rig, "5001");
        let two = signed_in(&mut rig, "5002");
        let (at_one, at_two) = talks(&mut rig, &mut one, &two);
        let legs = joined(&rig);
        let call = rig.events[0].call;
        for ua in [&one, &two] {
            rig.take(ua.path);
        }
        Pair { rig, call, one: (one, at_one), two: (two, at_two), legs: [legs[0], legs[1]] }
    }

    /// The desktop of a DN asks something; returns what came of it.
    fn asks(&mut self, dn: &str, what: CallCommand) -> Vec<EventKind> {
        let before = self.rig.events.len();
        ask(&mut self.rig, self.call, dn, what);
        self.rig.events[before..].iter().map(|event| event.kind.clone()).collect()
    }

    /// What the two hear: the other one, or what is played to them.
    fn hear(&self) -> [Option<Source>; 2] {
        self.legs.map(|leg| {
            let orders = self.rig.orders.iter().rev();
            let heard = orders.filter_map(|(_, order)| match order {
                Order::Connect(Topology::Parked(parked, source)) if *parked == leg => Some(Some(source.clone())),
                Order::Connect(Topology::Pair(one, other)) if [*one, *other].contains(&leg) => Some(None),
                _ => None,
            });
            let mut heard = heard;
            heard.next().expect("it was connected")
        })
    }
}

fn ask(rig: &mut Rig, call: CallId, dn: &str, what: CallCommand) {
    rig.input(Input::Command(Command::OnCall { call, by: Some(dn.to_owned()), what }));
}

fn ended(rig: &mut Rig, ua: &Ua) -> bool {
    read(rig, ua).iter().any(|m| m.is_request() && m.method() == Method::Bye)
}

fn answered_by_trunk(rig: &mut Rig) -> Message {
    let trunk = Ua::trunk();
    let invite = request(&rig.take(trunk.path), Method::Invite);
    rig.deliver(trunk.path, trunk.respond(&invite, 200, Some(&sdp::trunk_answer())));
    invite
}

fn blind(to: &str) -> CallCommand {
    CallCommand::BlindTransfer { to: to.to_owned() }
}

#[test]
fn either_agent_holds_the_other_one_who_hears_music_until_it_is_taken_back() {
    for (dn, by_agent, held) in [("5001", true, 1), ("5002", false, 0)] {
        let mut pair = Pair::new();
        assert_eq!(pair.asks(dn, CallCommand::Hold), [EventKind::Held { by_agent }]);
        assert_eq!(pair.hear()[held], Some(music()));
        assert_eq!(pair.asks(dn, CallCommand::Hold), [], "it is held");
        assert_eq!(pair.asks(dn, CallCommand::Retrieve), [EventKind::Retrieved { by_agent }]);
        assert_eq!(pair.hear(), [None, None]);
        assert!(pair.rig.take(Ua::trunk().path).is_empty());
    }
}

#[test]
fn who_takes_the_other_one_back_is_still_on_hold_there() {
    let mut pair = Pair::new();
    pair.asks("5001", CallCommand::Hold);
    pair.asks("5002", CallCommand::Hold);
    assert_eq!(pair.hear(), [Some(music()), Some(music())]);
    assert_eq!(pair.asks("5001", CallCommand::Retrieve), [EventKind::Retrieved { by_agent: true }]);
    assert_eq!(pair.hear(), [Some(music()), Some(Source::Nothing)]);
    pair.asks("5002", CallCommand::Retrieve);
    assert_eq!(pair.hear(), [None, None]);
}

#[test]
fn a_phone_that_holds_by_itself_plays_music_too_and_is_asked_to_take_the_call_back() {
    let Pair { rig, call, one, two: (mut two, mut at_two), legs } = Pair::new();
    let mut pair = Pair { rig, call, one, two: (two.clone(), at_two.clone()), legs };
    let body = sdp::chromium_offer().replace("a=sendrecv", "a=sendonly");
    let reinvite = two.within(&mut at_two, Method::Invite, &[], Some(("application/sdp", &body)));
    pair.rig.deliver(two.path, reinvite);
    last_status(&pair.rig.take(two.path), 200);
    assert_eq!(pair.rig.kinds().last(), Some(&&EventKind::Held { by_agent: false }));
    assert_eq!(pair.hear()[0], Some(music()));
    assert_eq!(pair.asks("5002", CallCommand::Retrieve), [EventKind::Retrieved { by_agent: false }]);
    assert_eq!(request(&pair.rig.take(two.path), Method::Info).body(), b"{\"command\":\"retrieve\"}");
    assert!(pair.rig.take(pair.one.0.path).is_empty());
}

#[test]
fn the_page_of_the_one_who_was_called_holds_by_info_as_that_of_the_caller() {
    let mut pair = Pair::new();
    let (two, at_two) = &mut pair.two;
    for (command, held) in [("hold", Some(music())), ("retrieve", None)] {
        let body = format!("{{\"command\":\"{command}\"}}");
        let info = two.within(at_two, Method::Info, &[], Some(("application/vnd.crosspoint+json", &body)));
        pair.rig.deliver(two.path, info);
        last_status(&pair.rig.take(two.path), 200);
        let heard = pair.rig.orders.iter().rev().find_map(|(_, order)| match order {
            Order::Connect(Topology::Parked(leg, source)) if *leg == pair.legs[0] => Some(Some(source.clone())),
            Order::Connect(Topology::Pair(..)) => Some(None),
            _ => None,
        });
        assert_eq!(heard, Some(held));
    }
}

#[test]
fn the_one_who_was_called_hands_the_caller_on_and_leaves() {
    let mut pair = Pair::new();
    pair.asks("5002", CallCommand::Hold);
    assert_eq!(pair.asks("5002", blind("6001")), []);
    let invite = answered_by_trunk(&mut pair.rig);
    assert!(invite.request_uri().starts_with("sip:6001@"));
    assert_eq!(invite.from().uri, "sip:5002@192.0.2.54:5060", "who refers");
    let handed = EventKind::Transferred { to: "6001".into(), by_agent: false };
    let events: Vec<_> = pair.rig.events.iter().skip_while(|event| event.kind != handed).cloned().collect();
    let over = EventKind::Retrieved { by_agent: false };
    let parties = vec!["6001".to_owned()];
    let kinds: Vec<_> = events.iter().map(|event| event.kind.clone()).collect();
    assert_eq!(kinds, [handed, over, EventKind::ParticipantsUpdated { parties }]);
    let last = events.last().unwrap();
    assert_eq!((&last.dn[..], &last.peer[..], &last.others[..]), ("5001", "6001", &[][..]));
    assert!(ended(&mut pair.rig, &pair.two.0));
    assert_eq!(joined(&pair.rig)[0], pair.legs[0]);
    let (mut one, mut at_one) = pair.one;
    let bye = one.within(&mut at_one, Method::Bye, &[], None);
    pair.rig.deliver(one.path, bye);
    request(&pair.rig.take(Ua::trunk().path), Method::Bye);
    assert!(matches!(pair.rig.kinds().last(), Some(EventKind::Released { .. })));
    pair.rig.assert_clean();
}

#[test]
fn a_transfer_that_fails_gives_both_back_as_they_were_and_is_told_to_who_wished_it() {
    for (dn, by_agent, held) in [("5001", true, 1), ("5002", false, 0)] {
        let mut pair = Pair::new();
        pair.asks(dn, CallCommand::Hold);
        pair.asks(dn, blind("6001"));
        let trunk = Ua::trunk();
        let invite = request(&pair.rig.take(trunk.path), Method::Invite);
        pair.rig.deliver(trunk.path, trunk.respond(&invite, 486, None));
        let why = Declined::Refused(486);
        assert_eq!(pair.rig.kinds().last(), Some(&&EventKind::Declined { why, by_agent }));
        assert_eq!(pair.hear()[held], Some(music()), "who was on hold is on hold");
        pair.asks(dn, CallCommand::Retrieve);
        assert_eq!(pair.hear(), [None, None]);
    }
}

#[test]
fn a_transfer_is_taken_back_by_who_wished_it_alone() {
    let mut pair = Pair::new();
    pair.asks("5002", blind("6001"));
    let trunk = Ua::trunk();
    let invite = request(&pair.rig.take(trunk.path), Method::Invite);
    rig_rings(&mut pair.rig, &invite);
    pair.asks("5001", CallCommand::Retrieve);
    assert!(pair.rig.take(trunk.path).is_empty(), "it is not hers");
    let why = Declined::Refused(487);
    assert_eq!(pair.asks("5002", CallCommand::Retrieve), [EventKind::Declined { why, by_agent: false }]);
    request(&pair.rig.take(trunk.path), Method::Cancel);
    assert_eq!(pair.hear(), [None, None]);
}

#[test]
fn who_hands_on_and_wishes_to_hold_meanwhile_has_nobody_to_hold_in_the_end() {
    for dn in ["5001", "5002"] {
        let mut pair = Pair::new();
        pair.asks(dn, blind("6001"));
        assert_eq!(pair.asks(dn, CallCommand::Hold), []);
        answered_by_trunk(&mut pair.rig);
        assert!(!pair.rig.kinds().iter().any(|kind| matches!(kind, EventKind::Held { .. })), "{:?}", pair.rig.kinds());
        assert!(pair.rig.take(Ua::trunk().path).iter().all(|m| m.method() != Method::Invite));
        assert_eq!(joined(&pair.rig).len(), 2);
    }
}

#[test]
fn a_customer_who_had_the_call_on_hold_and_leaves_holds_nobody_any_more() {
    let mut rig = rig();
    let (mut talk, _, call) = with_a_colleague(&mut rig);
    let body = sdp::genesys_offer() + "a=sendonly\r\n";
    let hold = talk.trunk.within(&mut talk.at_trunk, Method::Invite, &[], Some(("application/sdp", &body)));
    rig.deliver(talk.trunk.path, hold);
    let ok = last_status(&rig.take(talk.trunk.path), 200);
    let ack = talk.trunk.ack(&talk.at_trunk, &ok, None);
    rig.deliver(talk.trunk.path, ack);
    assert!(rig.kinds().contains(&&EventKind::Held { by_agent: false }));
    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(talk.trunk.path, bye);
    assert_eq!(with_whom(&rig), pair("5001", "5002"));
    for what in [CallCommand::Hold, CallCommand::Retrieve] {
        ask(&mut rig, call, "5001", what);
    }
    let (_, last) = rig.orders.last().unwrap();
    assert!(matches!(last, Order::Connect(Topology::Pair(..))), "{last:?}");
}

fn rig_rings(rig: &mut Rig, invite: &Message) {
    let trunk = Ua::trunk();
    rig.deliver(trunk.path, trunk.respond(invite, 180, None));
}

#[test]
fn the_one_who_was_called_joins_the_caller_with_a_consultation_or_makes_three_of_them() {
    for conference in [true, false] {
        let mut pair = Pair::new();
        pair.asks("5002", CallCommand::Hold);
        talks_out(&mut pair.rig, &mut pair.two.0, "6001");
        let with = pair.rig.events.last().unwrap().call;
        assert_ne!(with, pair.call);
        if conference {
            pair.asks("5002", CallCommand::Conference { with });
            assert_eq!((joined(&pair.rig).len(), pair.rig.ports.len()), (3, 3));
            assert_eq!(with_whom(&pair.rig), self::pair("5002", "5001"));
            let parties = vec!["5001".to_owned(), "6001".to_owned()];
            let three =
                pair.rig.events.iter().find(|e| e.kind == EventKind::ParticipantsUpdated { parties: parties.clone() });
            assert_eq!(*three.expect("told").others, ["5001"], "it is her call too");
            let at = pair.rig.kinds().iter().position(|kind| **kind == EventKind::Retrieved { by_agent: true });
            assert_eq!(pair.rig.events[at.expect("nobody is on hold")].dn, "5002");
        } else {
            pair.asks("5002", CallCommand::AttendedTransfer { with });
            assert_eq!((joined(&pair.rig).len(), pair.rig.ports.len()), (2, 2));
            assert_eq!(with_whom(&pair.rig), self::pair("5001", "6001"));
            assert!(ended(&mut pair.rig, &pair.two.0));
        }
    }
}

#[test]
fn a_third_party_is_called_in_by_the_one_who_was_called() {
    let mut pair = Pair::new();
    let to = || CallCommand::SingleStepConference { to: "6001".into() };
    pair.asks("5002", to());
    let trunk = Ua::trunk();
    let invite = request(&pair.rig.take(trunk.path), Method::Invite);
    pair.rig.deliver(trunk.path, trunk.respond(&invite, 486, None));
    let why = Declined::Refused(486);
    assert_eq!(pair.rig.kinds().last(), Some(&&EventKind::Declined { why, by_agent: false }));
    pair.rig.take(trunk.path);
    pair.asks("5002", to());
    answered_by_trunk(&mut pair.rig);
    assert_eq!(joined(&pair.rig).len(), 3);
    assert_eq!(*pair.rig.events.last().unwrap().others, ["5001"]);
}

/// A customer of 5001, and 5002 whom she has asked without a trunk: three of them. Returns the calls, too.
fn with_a_colleague(rig: &mut Rig) -> (crate::peers::Talk, Ua, CallId) {
    let browser = signed_in(rig, "5001");
    let mut talk = inbound_to(rig, browser);
    let call = rig.events[0].call;
    let colleague = signed_in(rig, "5002");
    ask(rig, call, "5001", CallCommand::Hold);
    let trunk = Ua::trunk();
    let hold = request(&rig.take(trunk.path), Method::Invite);
    rig.deliver(trunk.path, trunk.respond(&hold, 200, Some(&sdp::trunk_answer())));
    talks(rig, &mut talk.browser, &colleague);
    let with = rig.events.last().unwrap().call;
    ask(rig, call, "5001", CallCommand::Conference { with });
    assert_eq!(joined(rig).len(), 3);
    answered_by_trunk(rig);
    rig.take(trunk.path);
    (talk, colleague, call)
}

#[test]
fn a_colleague_in_a_conference_is_told_of_and_leaves_it_by_his_desktop_as_by_his_phone() {
    let mut rig = rig();
    let (talk, colleague, call) = with_a_colleague(&mut rig);
    let parties = vec!["1003".to_owned(), "5002".to_owned()];
    let three = rig.events.iter().find(|e| e.kind == EventKind::ParticipantsUpdated { parties: parties.clone() });
    let three = three.expect("told");
    assert_eq!((three.call, &three.dn[..], &three.others[..]), (call, "5001", &["5002".to_owned()][..]));
    ask(&mut rig, call, "5002", CallCommand::HangUp);
    assert!(ended(&mut rig, &colleague));
    assert_eq!(joined(&rig).len(), 2);
    let two =
        rig.events.iter().rev().find(|event| matches!(event.kind, EventKind::ParticipantsUpdated { .. })).unwrap();
    assert_eq!(
        (&two.kind, &two.others[..]),
        (&EventKind::ParticipantsUpdated { parties: vec!["1003".into()] }, &[][..])
    );
    let events = rig.events.len();
    for late in [CallCommand::HangUp, CallCommand::Release, CallCommand::Hold, blind("6001")] {
        ask(&mut rig, call, "5002", late);
    }
    assert_eq!((rig.events.len(), rig.snapshot().calls.len()), (events, 1), "he has no say any more");
    ask(&mut rig, call, "5001", CallCommand::HangUp);
    assert!(read(&mut rig, &talk.browser).iter().any(|m| m.is_request() && m.method() == Method::Bye));
    read(&mut rig, &talk.trunk);
    rig.assert_clean();
}

#[test]
fn a_conference_ends_with_its_agent_or_for_all_at_once() {
    for (dn, what) in [("5001", CallCommand::HangUp), ("5002", CallCommand::Release)] {
        let mut rig = rig();
        let (talk, colleague, call) = with_a_colleague(&mut rig);
        ask(&mut rig, call, dn, what);
        for ua in [&talk.browser, &talk.trunk, &colleague] {
            assert!(ended(&mut rig, ua));
        }
        rig.assert_clean();
    }
}

#[test]
fn keys_go_to_the_other_one() {
    let mut pair = Pair::new();
    let digit = Digit { event: 5, duration: std::time::Duration::from_millis(160) };
    for (dn, to) in [("5002", 0), ("5001", 1)] {
        pair.asks(dn, CallCommand::SendDigits { digits: vec![digit] });
        let (_, last) = pair.rig.orders.last().unwrap();
        assert!(matches!(last, Order::SendDigit(leg, _) if *leg == pair.legs[to]), "{last:?}");
    }
}

#[test]
fn a_click_calls_a_colleague_without_a_trunk_as_the_browser_does() {
    let mut rig = rig();
    let mut one = signed_in(&mut rig, "5001");
    let two = signed_in(&mut rig, "5002");
    let dial = Command::Dial { dial: DialId(1), dn: "5001".into(), to: "5002".into(), told: Vec::new() };
    rig.input(Input::Command(dial));
    assert!(rig.take(two.path).is_empty(), "her own phone is first");
    let invite = request(&rig.take(one.path), Method::Invite);
    assert_eq!(invite.from().uri, "sip:5002@gw.test");
    rig.deliver(one.path, one.respond(&invite, 200, Some(&sdp::chromium_answer())));
    rig.take(one.path);
    let at_two = request(&rig.take(two.path), Method::Invite);
    assert_eq!((at_two.from().uri, at_two.to().uri), ("sip:5001@gw.test", "sip:5002@gw.test"));
    rig.deliver(two.path, two.respond(&at_two, 180, None));
    rig.deliver(two.path, two.respond(&at_two, 200, Some(&sdp::chromium_answer())));
    assert!(matches!(rig.kinds()[..], [EventKind::Dialing, EventKind::Ringing, EventKind::Established]));
    assert!(rig.events.iter().all(|event| *event.others == ["5002"] && event.dial == Some(DialId(1))));
    assert_eq!(joined(&rig).len(), 2);
    assert!(rig.take(Ua::trunk().path).is_empty());
    let call = rig.events[0].call;
    rig.take(two.path);
    ask(&mut rig, call, "5002", CallCommand::Hold);
    assert_eq!(rig.kinds().last(), Some(&&EventKind::Held { by_agent: false }));
    let mut dialog = one.dialog_of(&invite);
    let bye = one.within(&mut dialog, Method::Bye, &[], None);
    rig.deliver(one.path, bye);
    assert!(ended(&mut rig, &two));
    rig.assert_clean();
    assert_eq!(rig.snapshot().calls.len(), 0);
}

#[test]
fn a_colleague_who_is_called_by_click_and_refuses_ends_the_call_with_his_status() {
    let mut rig = rig();
    let one = signed_in(&mut rig, "5001");
    let two = signed_in(&mut rig, "5002");
    let dial = Command::Dial { dial: DialId(1), dn: "5001".into(), to: "5002".into(), told: Vec::new() };
    rig.input(Input::Command(dial));
    let invite = request(&rig.take(one.path), Method::Invite);
    rig.deliver(one.path, one.respond(&invite, 200, Some(&sdp::chromium_answer())));
    rig.take(one.path);
    let at_two = request(&rig.take(two.path), Method::Invite);
    rig.deliver(two.path, two.respond(&at_two, 486, None));
    assert!(ended(&mut rig, &one));
    rig.assert_clean();
    assert_eq!(rig.snapshot().workers[0].legs, 0);
}
