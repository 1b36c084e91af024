//! The procedures by themselves: signals in, actions out.

use std::time::{Duration, Instant};

use super::procedure::{Next, Procedure, Release, Step};
use super::{Action, Direction, EventKind, ParkSource, ReleaseCause, Setup, SetupLimits, Signal};
use crate::id::LegId;
use crate::plan::LegStats;

const CALLER: LegId = LegId(1);
const ONE: LegId = LegId(2);
const TWO: LegId = LegId(3);

fn limits() -> SetupLimits {
    SetupLimits { answer: Duration::from_secs(60), target: Some(Duration::from_secs(6)), targets: 1 }
}

fn setup(direction: Direction, limits: SetupLimits, callees: &[LegId], now: Instant) -> Procedure {
    let mut setup = Setup::begin(direction, CALLER, limits, now);
    callees.iter().for_each(|leg| setup.add_callee(*leg, now));
    Procedure::Setup(setup)
}

fn refused(leg: LegId, status: u16) -> Signal {
    Signal::Refused { leg, status, heard: true }
}

fn rejection(step: &Step) -> Option<u16> {
    step.actions.iter().find_map(|action| match action {
        Action::Reject { status } => Some(*status),
        _ => None,
    })
}

#[test]
fn the_fork_that_answers_wins_and_the_others_are_told_elsewhere() {
    let now = Instant::now();
    let mut setup = setup(Direction::Inbound, limits(), &[ONE, TWO], now);
    let step = setup.on(Signal::Answered { leg: TWO }, now);
    assert!(matches!(step.next, Next::Answered(TWO)));
    let reason = b"SIP;cause=200;text=\"Call completed elsewhere\"".to_vec();
    assert_eq!(
        step.actions,
        [
            Action::Accept,
            Action::HangUp { leg: ONE, reason },
            Action::CloseMedia(ONE),
            Action::Forget(ONE),
            Action::Emit(EventKind::Established),
        ]
    );
}

#[test]
fn the_more_telling_of_two_refusals_reaches_the_caller() {
    let now = Instant::now();
    for (first, second, told) in [(480, 486, 486), (486, 480, 486), (480, 480, 480), (404, 486, 486)] {
        let mut setup = setup(Direction::Inbound, limits(), &[ONE, TWO], now);
        assert_eq!(rejection(&setup.on(refused(ONE, first), now)), None);
        let step = setup.on(refused(TWO, second), now);
        assert_eq!(rejection(&step), Some(told));
        assert!(matches!(step.next, Next::Release { cause: ReleaseCause::Refused(status), .. } if status == told));
    }
}

#[test]
fn a_decline_ends_the_search() {
    let now = Instant::now();
    let mut setup = setup(Direction::Inbound, limits(), &[ONE, TWO], now);
    let step = setup.on(refused(ONE, 603), now);
    assert_eq!(rejection(&step), Some(603));
    assert!(step.actions.contains(&Action::CloseMedia(TWO)));
}

#[test]
fn a_challenge_of_the_trunk_never_reaches_the_browser() {
    let now = Instant::now();
    for status in [401, 407] {
        let mut setup = setup(Direction::Outbound, limits(), &[ONE], now);
        assert_eq!(rejection(&setup.on(refused(ONE, status), now)), Some(502));
    }
}

#[test]
fn a_silent_target_gives_way_to_the_next_and_the_last_one_to_503() {
    let now = Instant::now();
    let mut procedure = setup(Direction::Outbound, SetupLimits { targets: 2, ..limits() }, &[ONE], now);
    let late = now + Duration::from_secs(6);
    let step = procedure.on(Signal::Deadline { target_alive: false }, late);
    assert!(matches!(step.actions.first(), Some(Action::HangUp { leg: ONE, .. })));
    assert!(step.actions.contains(&Action::TryTarget(1)));
    let Procedure::Setup(setup) = &mut procedure else { panic!("still in set-up") };
    setup.add_callee(TWO, late);
    let step = procedure.on(Signal::Deadline { target_alive: false }, late + Duration::from_secs(6));
    assert_eq!(rejection(&step), Some(503));
}

#[test]
fn a_target_that_is_alive_may_take_its_time() {
    let now = Instant::now();
    let mut procedure = setup(Direction::Outbound, limits(), &[ONE], now);
    let late = now + Duration::from_secs(6);
    let step = procedure.on(Signal::Deadline { target_alive: true }, late);
    assert!(step.actions.is_empty());
    assert_eq!(procedure.deadline(), Some(now + Duration::from_secs(60)));
    let step = procedure.on(Signal::Deadline { target_alive: true }, now + Duration::from_secs(60));
    assert_eq!(rejection(&step), Some(480));
}

#[test]
fn the_same_progress_is_told_once() {
    let now = Instant::now();
    let mut setup = setup(Direction::Outbound, limits(), &[ONE], now);
    let ringing = |early_media| Signal::Ringing { leg: ONE, status: if early_media { 183 } else { 180 }, early_media };
    let first = setup.on(ringing(false), now).actions;
    let tone = Action::Park { leg: CALLER, source: ParkSource::Ringback };
    let told = Action::Progress { status: 183, early_media: true };
    assert_eq!(first, [tone.clone(), told, Action::Emit(EventKind::Ringing)]);
    assert_eq!(setup.on(ringing(false), now).actions, [tone], "and parks where it is");
    assert_eq!(setup.on(ringing(true), now).actions, [Action::Connect(CALLER, ONE)]);
    assert!(setup.on(ringing(false), now).actions.is_empty(), "what is heard goes on");
}

#[test]
fn a_refused_browser_hears_busy_or_congestion_for_as_long_as_it_is_configured() {
    let now = Instant::now();
    for (status, source) in [(486, ParkSource::Busy), (404, ParkSource::Congestion)] {
        let mut procedure = setup(Direction::Outbound, limits(), &[ONE], now);
        let Procedure::Setup(setup) = &mut procedure else { panic!() };
        setup.set_refusal_tone(Duration::from_secs(4));
        let step = procedure.on(refused(ONE, status), now);
        assert!(step.actions.contains(&Action::Park { leg: CALLER, source }));
        assert_eq!(rejection(&step), None);
        let over = now + Duration::from_secs(4);
        assert_eq!(procedure.deadline(), Some(over));
        assert_eq!(rejection(&procedure.on(Signal::Deadline { target_alive: false }, over)), Some(status));
    }
}

#[test]
fn a_release_waits_for_the_last_words_of_every_port_but_not_for_ever() {
    let now = Instant::now();
    let (release, actions) = Release::begin(ReleaseCause::Agent, None, vec![CALLER, ONE], now);
    assert_eq!(actions.len(), 4);
    let mut procedure = Procedure::Release(release);
    let closed = |leg| Signal::MediaClosed { leg, stats: LegStats::default() };
    assert!(matches!(procedure.on(closed(ONE), now).next, Next::Stay));
    assert!(matches!(procedure.on(closed(CALLER), now).next, Next::Gone));

    let (release, _) = Release::begin(ReleaseCause::Agent, None, vec![CALLER], now);
    let mut procedure = Procedure::Release(release);
    let at = procedure.deadline().unwrap();
    assert!(matches!(procedure.on(Signal::Deadline { target_alive: false }, at).next, Next::Gone));
}

#[test]
fn the_peers_own_reason_is_passed_on() {
    let now = Instant::now();
    let reason = b"SIP;cause=403;text=\"Forbidden\"".to_vec();
    let (_, actions) = Release::begin(ReleaseCause::Trunk, Some(reason.clone()), vec![CALLER], now);
    assert_eq!(actions.first(), Some(&Action::HangUp { leg: CALLER, reason }));
}
