//! Liveness in simulated time.

use super::*;

const PING: Duration = Duration::from_secs(30);

fn watching(ping: Duration) -> (Liveness<u8>, Instant) {
    let (mut liveness, now) = starting(ping);
    if !ping.is_zero() {
        [1, 2].iter().for_each(|key| liveness.answered(*key, true, now));
    }
    (liveness, now + ping)
}

/// Nothing has answered yet.
fn starting(ping: Duration) -> (Liveness<u8>, Instant) {
    let now = Instant::now();
    let mut liveness = Liveness::new(ping);
    liveness.retarget([1, 2], now);
    (liveness, now)
}

#[test]
fn a_target_that_has_never_answered_options_is_unknown_and_calls_try_it_last() {
    let (mut liveness, mut now) = starting(PING);
    run(&mut liveness, &mut now, Duration::from_secs(60), &[2]);
    assert_eq!((liveness.of(1), liveness.health(), liveness.ranked()), (Health::Unknown, Health::Degraded, vec![2, 1]));
    let (mut liveness, mut now) = starting(PING);
    run(&mut liveness, &mut now, Duration::from_secs(600), &[]);
    assert_eq!((liveness.health(), liveness.is_out()), (Health::Unknown, false));
    liveness.heard(1, now);
    assert_eq!(liveness.of(1), Health::Up);
    run(&mut liveness, &mut now, Duration::from_secs(60), &[]);
    assert_eq!(liveness.of(1), Health::Unknown, "a call's messages are no answer to OPTIONS");
    liveness.answered(1, true, now);
    run(&mut liveness, &mut now, Duration::from_secs(60), &[]);
    assert_eq!(liveness.of(1), Health::Down, "it does know OPTIONS");
}

#[test]
fn a_target_that_refuses_the_connection_or_to_serve_is_down_though_it_never_answered_well() {
    let (mut liveness, mut now) = starting(PING);
    for _ in 0..3 {
        liveness.failed(1, now);
        liveness.answered(2, false, now);
        now += Duration::from_secs(10);
    }
    assert_eq!((liveness.of(1), liveness.of(2), liveness.is_out()), (Health::Down, Health::Down, true));
}

/// Lets time pass; targets in `alive` answer at once.
fn run(liveness: &mut Liveness<u8>, now: &mut Instant, by: Duration, alive: &[u8]) -> Vec<(u8, Duration)> {
    let (start, until) = (*now, *now + by);
    let mut sent = Vec::new();
    while let Some(at) = liveness.poll_timeout().filter(|at| *at <= until) {
        *now = at.max(*now);
        for key in liveness.due(*now) {
            sent.push((key, *now - start));
            if alive.contains(&key) {
                liveness.answered(key, true, *now);
            }
        }
    }
    *now = until;
    sent
}

#[test]
fn a_target_is_asked_at_once_and_then_every_interval() {
    let (mut liveness, mut now) = watching(PING);
    let sent = run(&mut liveness, &mut now, Duration::from_secs(61), &[1, 2]);
    let at: Vec<u64> = sent.iter().filter(|(key, _)| *key == 1).map(|(_, at)| at.as_secs()).collect();
    assert_eq!(at, [0, 30, 60]);
    assert_eq!(liveness.health(), Health::Up);
}

#[test]
fn a_silent_target_is_degraded_and_then_down_and_the_trunk_degraded() {
    let (mut liveness, mut now) = watching(PING);
    run(&mut liveness, &mut now, PATIENCE, &[2]);
    assert_eq!((liveness.of(1), liveness.ranked()), (Health::Degraded, vec![2, 1]));
    run(&mut liveness, &mut now, PATIENCE, &[2]);
    assert_eq!((liveness.of(1), liveness.health()), (Health::Down, Health::Degraded));
    let changes: Vec<_> = std::iter::from_fn(|| liveness.poll_change()).map(|c| (c.target, c.health)).collect();
    assert_eq!(changes, [(1, Health::Degraded), (1, Health::Down)]);
    assert!(!liveness.is_out(), "the other one serves");
}

#[test]
fn a_trunk_whose_targets_are_all_down_is_out_until_the_first_answer() {
    let (mut liveness, mut now) = watching(PING);
    run(&mut liveness, &mut now, Duration::from_secs(20), &[]);
    assert!(liveness.is_out() && liveness.health() == Health::Down);
    run(&mut liveness, &mut now, RECOVERY + PATIENCE, &[2]);
    assert!(!liveness.is_out());
    assert_eq!((liveness.of(2), liveness.health(), liveness.ranked()), (Health::Up, Health::Degraded, vec![2, 1]));
}

#[test]
fn a_down_target_is_asked_every_ten_seconds() {
    let (mut liveness, mut now) = watching(PING);
    run(&mut liveness, &mut now, Duration::from_secs(20), &[]);
    let sent = run(&mut liveness, &mut now, Duration::from_secs(140), &[]);
    let of_one = sent.iter().filter(|(key, _)| *key == 1).count();
    assert!((9..=11).contains(&of_one), "{sent:?}");
}

#[test]
fn any_message_of_a_target_brings_it_back() {
    let (mut liveness, mut now) = watching(PING);
    run(&mut liveness, &mut now, Duration::from_secs(20), &[2]);
    liveness.heard(1, now);
    assert_eq!(liveness.of(1), Health::Up);
}

#[test]
fn a_target_that_says_503_goes_down_without_a_storm_and_its_own_messages_do_not_bring_it_back() {
    let (mut liveness, mut now) = watching(PING);
    let until = now + Duration::from_secs(60);
    let mut asked = 0;
    while let Some(at) = liveness.poll_timeout().filter(|at| *at <= until) {
        now = at.max(now);
        for key in liveness.due(now) {
            asked += usize::from(key == 1);
            liveness.answered(key, key == 2, now);
        }
    }
    assert_eq!(liveness.of(1), Health::Down);
    assert!(asked <= 8, "{asked}");
    liveness.heard(1, now);
    assert_eq!(liveness.of(1), Health::Down);
    liveness.answered(1, true, now);
    assert_eq!(liveness.of(1), Health::Up);
}

#[test]
fn a_silent_call_has_the_target_asked_at_once_and_ranks_it_behind() {
    let (mut liveness, mut now) = watching(PING);
    run(&mut liveness, &mut now, Duration::from_secs(5), &[1, 2]);
    liveness.silent(1, now);
    assert_eq!((liveness.of(1), liveness.ranked()), (Health::Degraded, vec![2, 1]));
    assert_eq!(liveness.poll_timeout(), Some(now));
    run(&mut liveness, &mut now, Duration::from_secs(1), &[1, 2]);
    assert_eq!(liveness.of(1), Health::Up);
}

#[test]
fn without_options_a_silent_call_puts_the_target_last_for_half_a_minute_and_the_trunk_is_never_out() {
    let (mut liveness, mut now) = watching(Duration::ZERO);
    assert_eq!(liveness.poll_timeout(), None);
    liveness.silent(1, now);
    liveness.silent(2, now);
    assert_eq!(liveness.health(), Health::Down);
    assert!(!liveness.is_out(), "nothing but a call can tell that it is back");
    assert!(run(&mut liveness, &mut now, QUARANTINE, &[]).is_empty());
    assert_eq!(liveness.of(1), Health::Degraded);
    liveness.heard(1, now);
    assert_eq!(liveness.ranked(), [1, 2]);
}

#[test]
fn a_new_list_of_targets_keeps_what_is_known_of_those_that_stay() {
    let (mut liveness, mut now) = watching(PING);
    run(&mut liveness, &mut now, Duration::from_secs(20), &[2]);
    liveness.retarget([3, 1], now);
    assert_eq!(liveness.iter().collect::<Vec<_>>(), [(3, Health::Up), (1, Health::Down)]);
    assert_eq!(liveness.of(2), Health::Down, "it is no target any more");
    assert_eq!(run(&mut liveness, &mut now, Duration::ZERO, &[3]).first().map(|(key, _)| *key), Some(3));
}

#[test]
fn a_trunk_without_any_target_is_out() {
    let mut liveness: Liveness<u8> = Liveness::new(Duration::ZERO);
    liveness.retarget([], Instant::now());
    assert!(liveness.is_out());
}
