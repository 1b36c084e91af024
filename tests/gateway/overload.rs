//! Which worker a call is placed on, when no more calls are taken, and that calls under way notice nothing of it.

use crosspoint::call::{AnswerMode, CallCommand, Command};
use crosspoint::gateway::{Input, LocalCalls, Overload};
use crosspoint::id::WorkerId;
use crosspoint::plan::Report;
use crosspoint::sip::message::{Message, Method, Name};

use crate::peers::{Ua, inbound_call, inbound_to, last_status, request, signed_in};
use crate::rig::{Rig, config};
use crate::sdp;

/// The workers' reports of a second.
fn loads(rig: &mut Rig, permille: &[u16]) {
    for (worker, permille) in (0..).map(WorkerId).zip(permille) {
        rig.input(Input::Media(worker, Report::Load { permille: *permille }));
    }
}

/// The trunk calls a DN; returns what it hears of it at last.
fn called(rig: &mut Rig, dn: &str) -> Message {
    let mut trunk = Ua::trunk();
    let call = trunk.invite(dn, Some(&sdp::genesys_offer()), &[]);
    rig.deliver(trunk.path, call.invite.raw().clone());
    rig.take(trunk.path).pop().unwrap()
}

/// A browser dials 1003; returns what it hears of it at last.
fn dials(rig: &mut Rig, browser: &mut Ua) -> Message {
    let call = browser.invite("1003", Some(&sdp::chromium_offer()), &[]);
    rig.deliver(browser.path, call.invite.raw().clone());
    rig.take(browser.path).pop().unwrap()
}

fn warning(refusal: &Message) -> String {
    String::from_utf8_lossy(refusal.header(Name::Warning).unwrap_or_default()).into_owned()
}

fn legs(rig: &Rig) -> Vec<usize> {
    rig.snapshot().workers.iter().map(|worker| worker.legs).collect()
}

#[test]
fn from_85_percent_on_new_calls_of_both_sides_get_503_with_retry_after_and_the_reason() {
    let mut rig = Rig::new();
    let mut browser = signed_in(&mut rig, "5001");
    loads(&mut rig, &[850]);
    let (inbound, outbound) = (called(&mut rig, "5001"), dials(&mut rig, &mut browser));
    for refusal in [inbound, outbound] {
        assert_eq!(refusal.status(), 503);
        assert_eq!(refusal.header(Name::RetryAfter).unwrap(), b"5");
        assert!(warning(&refusal).contains("overloaded"), "{}", warning(&refusal));
    }
    assert!(rig.take(browser.path).is_empty(), "nothing rings");
    let snapshot = rig.snapshot();
    assert_eq!((snapshot.counters.overload, snapshot.counters.refused), (2, 2));
    assert!(snapshot.workers[0].is_overloaded && snapshot.workers[0].permille == 850);
    rig.assert_clean();
}

#[test]
fn calls_are_taken_again_five_percent_below_and_not_before() {
    let mut rig = Rig::new();
    signed_in(&mut rig, "5001");
    for (permille, status) in [(860, 503), (849, 503), (805, 503), (799, 100), (849, 100)] {
        loads(&mut rig, &[permille, 0]);
        assert_eq!(called(&mut rig, "5001").status(), status, "at {permille}");
        loads(&mut rig, &[permille]);
    }
}

#[test]
fn what_belongs_to_a_call_is_never_refused() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    loads(&mut rig, &[1000]);
    let offer = sdp::chromium("sendrecv", "kX4v", 3, "actpass");
    let again = talk.browser.within(&mut talk.at_browser, Method::Invite, &[], Some(("application/sdp", &offer)));
    rig.deliver(talk.browser.path, again);
    let ok = last_status(&rig.take(talk.browser.path), 200);
    let ack = talk.browser.ack(&talk.at_browser, &ok, None);
    rig.deliver(talk.browser.path, ack);
    rig.take(talk.trunk.path);
    let call = rig.snapshot().calls[0].call;
    rig.input(Input::Command(Command::of(call, CallCommand::BlindTransfer { to: "1004".to_owned() })));
    let invite = request(&rig.take(talk.trunk.path), Method::Invite);
    assert!(invite.request_uri().starts_with("sip:1004@"), "the target of a transfer is called");
    assert_eq!(rig.snapshot().counters.overload, 0);
}

#[test]
fn a_burst_between_two_reports_is_stopped_at_the_limit() {
    let mut rig = Rig::with(config(), 1, 30);
    loads(&mut rig, &[800]);
    let mut taken = 0;
    for dn in 5001..5021 {
        let dn = dn.to_string();
        signed_in(&mut rig, &dn);
        taken += usize::from(called(&mut rig, &dn).status() != 503);
    }
    assert_eq!(taken, 13, "of 4 thousandths each, as long as nothing else is known");
}

#[test]
fn a_call_goes_where_the_least_is_to_do_and_then_where_the_fewest_legs_are() {
    let mut rig = Rig::with(config(), 3, 8);
    loads(&mut rig, &[500, 203, 208]);
    for dn in ["5001", "5002", "5003", "5004"] {
        signed_in(&mut rig, dn);
        called(&mut rig, dn);
    }
    assert_eq!(legs(&rig), [0, 4, 4]);
}

#[test]
fn an_agents_calls_stay_together_whatever_the_load() {
    let mut rig = Rig::with(config(), 2, 8);
    loads(&mut rig, &[100, 200]);
    signed_in(&mut rig, "5001");
    called(&mut rig, "5001");
    loads(&mut rig, &[700, 200]);
    called(&mut rig, "5001");
    assert_eq!(legs(&rig), [4, 0]);
    loads(&mut rig, &[900, 200]);
    assert_eq!(called(&mut rig, "5001").status(), 503, "they cannot be elsewhere, and would be too much here");
    signed_in(&mut rig, "5002");
    assert_eq!(called(&mut rig, "5002").status(), 100);
    assert_eq!(legs(&rig), [4, 2]);
}

#[test]
fn with_several_workers_only_that_all_are_over_refuses_a_call() {
    let mut rig = Rig::with(config(), 2, 8);
    signed_in(&mut rig, "5001");
    signed_in(&mut rig, "5002");
    loads(&mut rig, &[900, 840]);
    assert_eq!(called(&mut rig, "5001").status(), 100);
    assert_eq!(legs(&rig), [0, 2]);
    loads(&mut rig, &[900, 860]);
    assert_eq!(called(&mut rig, "5002").status(), 503);
}

#[test]
fn where_configured_browsers_are_offered_g711_first_and_then_nothing() {
    let mut with = config();
    with.calls.overload.answer = Overload::G711;
    let mut rig = Rig::with(with, 1, 8);
    let mut browser = signed_in(&mut rig, "5001");
    loads(&mut rig, &[850]);
    called(&mut rig, "5001");
    let invite = request(&rig.take(browser.path), Method::Invite);
    let offer = String::from_utf8_lossy(invite.body()).into_owned();
    assert!(offer.contains("UDP/TLS/RTP/SAVPF 0 8 111 "), "{offer}");
    assert_eq!(dials(&mut rig, &mut browser).status(), 100);
    let opus = rig.orders.iter().any(|(_, order)| format!("{order:?}").contains("codec: Opus"));
    assert!(!opus, "the browser's own list has Opus first");
    loads(&mut rig, &[930]);
    assert_eq!(dials(&mut rig, &mut browser).status(), 503);
    let counters = rig.snapshot().counters;
    assert_eq!((counters.overload_g711, counters.overload), (2, 1));
}

#[test]
fn a_dn_with_all_its_calls_is_busy_to_others_and_may_not_call() {
    let mut with = config();
    with.dns[0].calls = 1;
    let mut rig = Rig::with(with, 1, 8);
    let mut talk = inbound_call(&mut rig);
    let refusal = called(&mut rig, "5001");
    assert_eq!(refusal.status(), 486);
    assert!(warning(&refusal).contains("as many calls as it may have"), "{}", warning(&refusal));
    assert_eq!(dials(&mut rig, &mut talk.browser).status(), 403);
    signed_in(&mut rig, "5002");
    assert_eq!(called(&mut rig, "5002").status(), 100, "each DN counts for itself");
    // A phone that is slow to acknowledge its BYE does not keep the next call out.
    rig.mute_workers = true;
    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(talk.trunk.path, bye);
    rig.take(talk.trunk.path);
    assert_eq!(called(&mut rig, "5001").status(), 100);
    assert_eq!(rig.snapshot().counters.too_many_of_dn, 2);
}

#[test]
fn a_dn_with_all_its_calls_is_busy_to_its_colleagues_too() {
    let mut with = config();
    with.dns[0].calls = 1;
    with.calls.local = LocalCalls::Always;
    let mut rig = Rig::with(with, 1, 8);
    inbound_call(&mut rig);
    let mut colleague = signed_in(&mut rig, "5002");
    let call = colleague.invite("5001", Some(&sdp::chromium_offer()), &[]);
    rig.deliver(colleague.path, call.invite.raw().clone());
    last_status(&rig.take(colleague.path), 486);
}

#[test]
fn a_leg_that_stands_for_no_call_is_none_of_the_dns_calls_and_no_load() {
    let mut with = config();
    with.dns[0].calls = 1;
    with.dns[0].answer = AnswerMode::Nailed;
    let mut rig = Rig::with(with, 1, 8);
    loads(&mut rig, &[849]);
    let browser = signed_in(&mut rig, "5001");
    let invite = request(&rig.take(browser.path), Method::Invite);
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    assert_eq!(rig.snapshot().workers[0].permille, 849);
    assert_eq!(called(&mut rig, "5001").status(), 180);
    assert_eq!(called(&mut rig, "5001").status(), 486);
}

#[test]
fn a_call_that_is_over_makes_room() {
    let mut with = config();
    with.calls.overload.percent = 50;
    let mut rig = Rig::with(with, 1, 8);
    loads(&mut rig, &[495]);
    let talk = inbound_call(&mut rig);
    loads(&mut rig, &[499]);
    assert_eq!(rig.snapshot().workers[0].permille, 501, "half of the call is in the report");
    let mut talk = talk;
    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(talk.trunk.path, bye);
    rig.take(talk.trunk.path);
    assert_eq!(rig.snapshot().workers[0].permille, 497);
    loads(&mut rig, &[440]);
    inbound_to(&mut rig, talk.browser);
}
