//! Transfer, referral and conference by themselves: signals in, actions out.

use std::time::{Duration, Instant};

use super::*;
use crate::call::wish::Declined;
use crate::id::CallId;
use crate::sdp::description::Direction::SendRecv;

const AGENT: LegId = LegId(1);
const CUSTOMER: LegId = LegId(2);
const TARGET: LegId = LegId(3);
const PATIENCE: Duration = Duration::from_secs(60);
const LIMITS: SetupLimits = SetupLimits { answer: PATIENCE, target: None, targets: 1 };

fn parts(held: &[LegId]) -> Parts {
    let (referrer, stays, target) = (AGENT, CUSTOMER, TARGET);
    Parts {
        referrer,
        by_agent: true,
        is_second: false,
        stays,
        target,
        to: "6001".into(),
        held: held.to_vec(),
        report: Reporter::Refer(3),
    }
}

fn blind(held: &[LegId], now: Instant) -> Transfer {
    Transfer::begin(parts(held), false, LIMITS, now).0
}

fn told(status: u16, last: bool) -> Action {
    Action::Report { leg: AGENT, by: Reporter::Refer(3), status, last }
}

fn ended(leg: LegId) -> Signal {
    Signal::Ended { leg, cause: ReleaseCause::Agent, reason: None }
}

fn refused(status: u16) -> Signal {
    Signal::Refused { leg: TARGET, status, heard: true }
}

fn ringing(early_media: bool) -> Signal {
    Signal::Ringing { leg: TARGET, status: if early_media { 183 } else { 180 }, early_media }
}

fn park(source: ParkSource) -> Action {
    Action::Park { leg: CUSTOMER, source }
}

fn declined(status: u16) -> Action {
    Action::Emit(EventKind::Declined { why: Declined::Refused(status), by_agent: true })
}

fn gone(leg: LegId) -> [Action; 2] {
    [Action::CloseMedia(leg), Action::Forget(leg)]
}

#[test]
fn a_blind_transfer_lets_the_customer_hear_hold_then_ringing_then_the_target() {
    let now = Instant::now();
    let (mut transfer, actions) = Transfer::begin(parts(&[]), false, LIMITS, now);
    assert_eq!(actions, [park(ParkSource::Hold)]);
    let step = transfer.on(ringing(false), now);
    assert_eq!(step.actions, [park(ParkSource::Ringback), told(180, false)]);
    assert_eq!(transfer.on(ringing(false), now).actions, [], "said once");
    let step = transfer.on(ringing(true), now);
    assert_eq!(step.actions, [Action::Connect(CUSTOMER, TARGET), told(183, false)]);
    let step = transfer.on(Signal::Answered { leg: TARGET }, now);
    assert_eq!(step.actions[..2], [Action::Connect(CUSTOMER, TARGET), told(200, true)]);
    assert!(matches!(&step.actions[2], Action::HangUp { leg: AGENT, .. }));
    assert_eq!(step.actions[3..5], gone(AGENT));
    assert_eq!(step.actions[5..], [Action::Emit(EventKind::Transferred { to: "6001".into(), by_agent: true })]);
    assert!(matches!(step.next, Next::Joined { peer: None, uuid: None, .. }));
}

#[test]
fn a_customer_on_hold_is_retrieved_once_the_target_has_answered_and_491_is_tried_again() {
    let mut now = Instant::now();
    let mut transfer = blind(&[CUSTOMER], now);
    let step = transfer.on(Signal::Answered { leg: TARGET }, now);
    let retrieve = Action::Reinvite { leg: CUSTOMER, direction: SendRecv };
    assert!(step.actions.contains(&retrieve) && matches!(step.next, Next::Stay));
    assert!(matches!(transfer.on(Signal::ReinviteDone { leg: CUSTOMER, status: 491 }, now).next, Next::Stay));
    now += Duration::from_millis(500);
    assert_eq!(transfer.deadline(), Some(now));
    assert_eq!(transfer.on(Signal::Deadline { target_alive: true }, now).actions, [retrieve]);
    let step = transfer.on(Signal::ReinviteDone { leg: CUSTOMER, status: 200 }, now);
    assert!(matches!(step.next, Next::Joined { .. }));
}

#[test]
fn a_failed_transfer_gives_the_call_back_as_it_was() {
    let now = Instant::now();
    for status in [486, 480, 404, 503, 603] {
        let step = blind(&[], now).on(refused(status), now);
        assert_eq!(step.actions[..2], gone(TARGET));
        assert_eq!(step.actions[2..], [told(status, true), declined(status)]);
        assert!(matches!(step.next, Next::GivenBack { near: AGENT, far: CUSTOMER }));
    }
}

#[test]
fn a_target_that_does_not_answer_is_cancelled_in_time() {
    let now = Instant::now();
    let mut transfer = blind(&[], now);
    assert_eq!(transfer.deadline(), Some(now + PATIENCE));
    let early = transfer.on(Signal::Deadline { target_alive: true }, now);
    assert_eq!((early.actions.len(), transfer.deadline()), (0, Some(now + PATIENCE)));
    let step = transfer.on(Signal::Deadline { target_alive: true }, now + PATIENCE);
    assert!(matches!(&step.actions[0], Action::HangUp { leg: TARGET, .. }));
    assert_eq!(step.actions[3..], [told(408, true), declined(408)]);
}

#[test]
fn a_silent_server_is_passed_over_for_the_next_and_one_that_is_alive_is_not() {
    let now = Instant::now();
    let wait = Duration::from_secs(2);
    let limits = SetupLimits { target: Some(wait), targets: 2, ..LIMITS };
    let (mut transfer, _) = Transfer::begin(parts(&[]), false, limits, now);
    assert_eq!(transfer.deadline(), Some(now + wait));
    assert_eq!(transfer.on(Signal::Deadline { target_alive: true }, now + wait).actions, []);
    let (mut transfer, _) = Transfer::begin(parts(&[]), false, limits, now);
    let step = transfer.on(Signal::Deadline { target_alive: false }, now + wait);
    assert!(matches!(&step.actions[0], Action::HangUp { leg: TARGET, .. }));
    assert_eq!(step.actions[1], Action::NoteSilence(TARGET));
    assert_eq!(step.actions[2..4], gone(TARGET));
    assert_eq!(step.actions[4..], [Action::TryTarget(1)]);
    transfer.set_target(LegId(4), now + wait);
    let step = transfer.on(Signal::Refused { leg: LegId(4), status: 503, heard: true }, now + wait);
    assert!(step.actions.contains(&told(503, true)) && matches!(step.next, Next::GivenBack { .. }), "there are two");
}

#[test]
fn a_transfer_is_taken_back_by_a_wish_to_retrieve() {
    let now = Instant::now();
    let mut transfer = blind(&[], now);
    transfer.on(ringing(true), now);
    let step = transfer.on(Signal::Wish { what: Wish::Retrieve, by: None }, now);
    assert!(matches!(&step.actions[0], Action::HangUp { leg: TARGET, .. }));
    assert_eq!(step.actions[3..], [told(487, true), declined(487)]);
}

#[test]
fn an_agent_may_leave_before_the_target_answers_and_a_failure_then_ends_the_call() {
    let now = Instant::now();
    let mut transfer = blind(&[], now);
    let step = transfer.on(ended(AGENT), now);
    assert_eq!(step.actions, gone(AGENT));
    let step = transfer.on(ringing(false), now);
    assert_eq!(step.actions, [park(ParkSource::Ringback)], "nobody is there to be told");
    let step = transfer.on(refused(486), now);
    assert_eq!(step.actions, gone(TARGET));
    assert!(matches!(step.next, Next::Release { cause: ReleaseCause::Refused(486), .. }));
    let mut transfer = blind(&[], now);
    transfer.on(ended(AGENT), now);
    let step = transfer.on(Signal::Answered { leg: TARGET }, now);
    let emit = Action::Emit(EventKind::Transferred { to: "6001".into(), by_agent: true });
    assert_eq!(step.actions, [Action::Connect(CUSTOMER, TARGET), emit]);
}

#[test]
fn a_customer_that_hangs_up_ends_the_transfer_and_who_asked_hears_of_it() {
    let now = Instant::now();
    let step = blind(&[], now).on(ended(CUSTOMER), now);
    assert_eq!(step.actions, [told(487, true)]);
    assert!(matches!(step.next, Next::Release { .. }));
}

#[test]
fn the_trunk_refers_the_agent_to_somebody_else_with_another_identifier() {
    let now = Instant::now();
    let (referrer, stays) = (CUSTOMER, AGENT);
    let parts = Parts { referrer, by_agent: false, stays, ..parts(&[]) };
    let (mut transfer, actions) = Transfer::begin(parts, false, LIMITS, now);
    assert_eq!(actions, [], "the agent goes on talking");
    assert!(transfer.note_uuid(TARGET, Some("UUID2")) && !transfer.note_uuid(CUSTOMER, Some("UUID1")));
    let step = transfer.on(Signal::Answered { leg: TARGET }, now);
    assert_eq!(step.actions[0], Action::Connect(AGENT, TARGET));
    assert!(matches!(&step.actions[2], Action::HangUp { leg: CUSTOMER, .. }));
    let Next::Joined { peer: Some(peer), uuid: Some(uuid), .. } = step.next else { panic!("{:?}", step.next) };
    assert_eq!((peer.as_str(), uuid.as_str()), ("6001", "UUID2"));
}

fn referral(now: Instant) -> Referral {
    Referral::begin(AGENT, "6001".into(), Some(CallId(9)), Reporter::Refer(3), PATIENCE, now)
}

fn followed(status: u16, last: bool) -> Signal {
    Signal::Followed { status, last }
}

#[test]
fn the_trunks_progress_is_passed_on_and_its_success_ends_both_calls() {
    let now = Instant::now();
    let mut referral = referral(now);
    assert_eq!(referral.on(Signal::Referred { status: 202, is_followed: true }, now).actions, []);
    assert_eq!(referral.on(followed(100, false), now).actions, [], "said by our own first NOTIFY");
    assert_eq!(referral.on(followed(180, false), now).actions, [told(180, false)]);
    assert_eq!(referral.on(followed(180, false), now).actions, []);
    let step = referral.on(followed(200, true), now);
    let emit = Action::Emit(EventKind::Transferred { to: "6001".into(), by_agent: true });
    assert_eq!(step.actions, [told(200, true), emit, Action::ReleaseOther(CallId(9))]);
    let step = referral.on(ended(CUSTOMER), now);
    assert!(matches!(step.next, Next::Release { cause: ReleaseCause::Transferred, .. }));
}

#[test]
fn a_trunk_that_does_not_hang_up_what_it_has_transferred_is_helped() {
    let now = Instant::now();
    let mut referral = referral(now);
    let step = referral.on(Signal::Referred { status: 202, is_followed: false }, now);
    assert_eq!(step.actions[0], told(200, true), "norefersub: nothing more will be heard");
    let due = referral.deadline();
    assert!(due < now + Duration::from_secs(5));
    let step = referral.on(Signal::Deadline { target_alive: true }, due);
    assert!(matches!(step.next, Next::Release { cause: ReleaseCause::Transferred, .. }));
}

#[test]
fn a_referral_that_fails_in_any_way_leaves_the_call_as_it_was() {
    let now = Instant::now();
    let ways = [
        (Signal::Referred { status: 405, is_followed: true }, 405, now),
        (followed(486, true), 486, now),
        (followed(100, true), 503, now),
        (Signal::Deadline { target_alive: true }, 408, now + PATIENCE),
    ];
    for (signal, status, at) in ways {
        let step = referral(now).on(signal, at);
        assert_eq!(step.actions, [told(status, true), declined(status)]);
        assert!(matches!(step.next, Next::Done));
    }
}

fn members(stays: bool, held: &[LegId]) -> Members {
    let guest = |leg, number: &str| Guest { leg, number: number.to_owned() };
    Members { agent: AGENT, guests: [guest(CUSTOMER, "1003"), guest(TARGET, "6001")], held: held.to_vec(), stays }
}

fn parties(numbers: &[&str]) -> Action {
    Action::Emit(EventKind::ParticipantsUpdated { parties: numbers.iter().map(|n| (*n).to_owned()).collect() })
}

#[test]
fn three_are_mixed_and_who_was_on_hold_is_retrieved() {
    let (_, actions) = Conference::begin(members(false, &[CUSTOMER]));
    let retrieve = Action::Reinvite { leg: CUSTOMER, direction: SendRecv };
    assert_eq!(actions, [Action::Mix(vec![AGENT, CUSTOMER, TARGET]), retrieve, parties(&["1003", "6001"])]);
}

#[test]
fn one_guest_leaves_and_the_agent_talks_to_the_other() {
    let now = Instant::now();
    for (leaver, other, number) in [(CUSTOMER, TARGET, "6001"), (TARGET, CUSTOMER, "1003")] {
        let (mut conference, _) = Conference::begin(members(false, &[]));
        let step = conference.on(ended(leaver), now);
        assert_eq!(step.actions[..2], gone(leaver));
        assert_eq!(step.actions[2..], [Action::Connect(AGENT, other), parties(&[number])]);
        assert!(matches!(step.next, Next::Joined { peer: Some(peer), .. } if peer == number));
    }
}

#[test]
fn a_conference_ends_with_its_agent_unless_the_configuration_lets_the_others_stay() {
    let now = Instant::now();
    let (mut conference, _) = Conference::begin(members(false, &[]));
    assert!(!conference.outlives(AGENT) && conference.outlives(TARGET));
    assert!(matches!(conference.on(ended(AGENT), now).next, Next::Release { .. }));
    let (mut conference, _) = Conference::begin(members(true, &[]));
    assert!(conference.outlives(AGENT));
    let step = conference.on(ended(AGENT), now);
    assert_eq!(step.actions[..2], gone(AGENT));
    assert!(step.actions.contains(&Action::Connect(CUSTOMER, TARGET)));
    assert!(matches!(step.next, Next::Joined { peer: None, .. }));
}

#[test]
fn a_guest_still_on_hold_is_retrieved_after_the_other_has_left() {
    let now = Instant::now();
    let (mut conference, _) = Conference::begin(members(false, &[CUSTOMER]));
    assert!(matches!(conference.on(ended(TARGET), now).next, Next::Stay));
    assert!(matches!(conference.on(ended(CUSTOMER), now).next, Next::Release { .. }), "two are a call");
    let (mut conference, _) = Conference::begin(members(false, &[CUSTOMER]));
    conference.on(ended(TARGET), now);
    let step = conference.on(Signal::ReinviteDone { leg: CUSTOMER, status: 200 }, now);
    assert!(matches!(step.next, Next::Joined { peer: Some(peer), .. } if peer == "1003"));
}
