//! Sessions and attempts, in simulated time.

use super::*;
use rand::SeedableRng;

fn table(config: Config) -> (Login, Instant) {
    (Login::new(config, StdRng::seed_from_u64(7)), Instant::now())
}

fn user(name: &str) -> UserName {
    UserName(Arc::from(name))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));

#[test]
fn a_session_is_found_by_its_secret_and_by_nothing_else() {
    let (mut login, now) = table(Config::default());
    let session = login.open(&user("anna"), now);
    assert_eq!(login.find(&session.secret.0, now), Some(session.clone()));
    assert_eq!(session.secret.0.len(), 48);
    assert_ne!(session.secret, login.open(&user("anna"), now).secret);
    assert_eq!(login.find(&session.secret.0[..47], now), None);
    assert_eq!(login.find("", now), None);
    assert_eq!(login.find(&session.csrf.0, now), None);
}

#[test]
fn a_session_ends_half_an_hour_after_its_last_request_and_says_so() {
    let (mut login, now) = table(Config::default());
    let session = login.open(&user("anna"), now);
    assert!(login.find(&session.secret.0, now + seconds(1799)).is_some());
    assert_eq!(login.poll_timeout(), Some(now + seconds(1799 + 1800)));
    assert!(login.find(&session.secret.0, now + seconds(1799 + 1799)).is_some());
    assert_eq!(login.find(&session.secret.0, now + seconds(1799 + 1799 + 1800)), None);
    assert_eq!(login.take_ended(), [session]);
    assert_eq!((login.sessions(), login.poll_timeout()), (0, None));
}

#[test]
fn who_logs_out_is_logged_out_in_all_tabs_and_no_other_login_of_the_user_is() {
    let (mut login, now) = table(Config::default());
    let (here, elsewhere) = (login.open(&user("anna"), now), login.open(&user("anna"), now));
    login.close(&here.secret);
    assert_eq!(login.find(&here.secret.0, now), None);
    assert_eq!(login.find(&elsewhere.secret.0, now), Some(elsewhere));
    assert_eq!(login.take_ended(), [here]);
}

#[test]
fn one_session_too_many_ends_the_idlest() {
    let (mut login, now) = table(Config { sessions: 3, per_user: 2, ..Config::default() });
    let first = login.open(&user("anna"), now);
    let second = login.open(&user("anna"), now + seconds(1));
    assert!(login.find(&first.secret.0, now + seconds(2)).is_some());
    let third = login.open(&user("anna"), now + seconds(3));
    assert_eq!(login.take_ended(), [second], "the user's idlest");
    let bert = login.open(&user("bert"), now + seconds(4));
    login.open(&user("carl"), now + seconds(5));
    assert_eq!(login.take_ended(), [first], "the idlest of all");
    assert!([third, bert].iter().all(|s| login.find(&s.secret.0, now + seconds(6)).is_some()));
    assert_eq!(login.sessions(), 3);
}

#[test]
fn users_who_are_taken_out_are_logged_out() {
    let (mut login, now) = table(Config::default());
    let (anna, bert) = (login.open(&user("anna"), now), login.open(&user("bert"), now));
    login.retain(|user| &*user.0 != "anna");
    assert_eq!(login.take_ended(), [anna]);
    assert!(login.find(&bert.secret.0, now).is_some());
}

/// Tries once, waiting as it is told to; returns how long that was.
fn attempt(login: &mut Login, name: &str, address: IpAddr, outcome: Outcome, now: Instant) -> Option<Duration> {
    let known = user(name);
    let mut attempt = login.begin(name, Some(&known).filter(|_| name != "nobody"), address, now);
    let mut at = now;
    loop {
        match login.turn(&mut attempt, at) {
            Turn::Now => break,
            Turn::After(wait) => at += wait,
            Turn::Refused(_) => {
                login.end(attempt, Outcome::Unheard, at);
                return None;
            }
        }
    }
    login.end(attempt, outcome, at);
    Some(at - now)
}

/// Fails once; returns how long the attempt had to wait.
fn fail(login: &mut Login, name: &str, address: IpAddr, now: Instant) -> Option<Duration> {
    attempt(login, name, address, Outcome::Wrong, now)
}

fn succeed(login: &mut Login, name: &str, address: IpAddr, now: Instant) -> Option<Duration> {
    attempt(login, name, address, Outcome::Right, now)
}

/// Returns whether an attempt could be made at once; it leaves no trace.
fn is_free(login: &mut Login, name: &str, address: IpAddr, now: Instant) -> bool {
    let known = user(name);
    let mut attempt = login.begin(name, Some(&known), address, now);
    let turn = login.turn(&mut attempt, now);
    login.end(attempt, Outcome::Unheard, now);
    turn == Turn::Now
}

#[test]
fn guesses_from_one_address_come_ever_more_slowly_whomever_they_are_for() {
    let (mut login, now) = table(Config::default());
    let free = (0..3).map(|_| fail(&mut login, "nobody", HERE, now)).collect::<Vec<_>>();
    assert_eq!(free, [Some(Duration::ZERO); 3]);
    let mut heard = 0;
    // An hour of an attempt every second.
    for second in 1..3600 {
        heard += u32::from(fail(&mut login, "anna", HERE, now + seconds(second)).is_some());
    }
    assert!(heard < 80, "{heard} in an hour");
    assert!(is_free(&mut login, "anna", THERE, now + seconds(9000)));
}

#[test]
fn a_fresh_address_has_three_attempts_at_once_and_then_one_after_the_other() {
    let (mut login, now) = table(Config::default());
    let mut all: Vec<_> = (0..256).map(|n| login.begin(&format!("user{n}"), None, HERE, now)).collect();
    let is_now = |login: &mut Login, attempt: &mut Attempt, at| login.turn(attempt, at) == Turn::Now;
    assert!(!is_now(&mut login, &mut all[0], now), "so many at a time are refused");
    for refused in all.split_off(100) {
        login.end(refused, Outcome::Unheard, now);
    }
    assert_eq!(all.iter_mut().map(|a| is_now(&mut login, a, now)).filter(|now| *now).count(), 3);
    let waiting = all.split_off(3);
    all.into_iter().for_each(|failed| login.end(failed, Outcome::Wrong, now));
    let mut heard = 0;
    for mut attempt in waiting {
        match login.turn(&mut attempt, now) {
            Turn::Now => panic!("after three failures there is a gap"),
            Turn::After(_) => heard += 1,
            Turn::Refused(_) => {}
        }
        login.end(attempt, Outcome::Unheard, now);
    }
    assert!(heard <= 4, "{heard} stay in the line of an address that has failed");
}

#[test]
fn a_site_that_logs_in_from_one_address_is_not_slowed_down_by_its_own_number() {
    let (mut login, now) = table(Config::default());
    let names: Vec<_> = (0..100).map(|n| user(&format!("agent{n}"))).collect();
    let mut line: Vec<_> = names.iter().map(|name| login.begin(name.as_str(), Some(name), HERE, now)).collect();
    let mut at = now;
    while !line.is_empty() {
        let (mut right, mut rest) = (Vec::new(), Vec::new());
        for mut attempt in line {
            match login.turn(&mut attempt, at) {
                Turn::Now => right.push(attempt),
                Turn::After(_) => rest.push(attempt),
                Turn::Refused(wait) => panic!("refused for {wait:?}"),
            }
        }
        assert_eq!(right.len(), (right.len() + rest.len()).min(3));
        right.into_iter().for_each(|attempt| login.end(attempt, Outcome::Right, at));
        (line, at) = (rest, at + Duration::from_millis(50));
    }
    assert_eq!(login.attempts_remembered(), (0, 0), "nothing has failed");
}

#[test]
fn an_attempt_counts_from_its_turn_on_and_not_while_it_waits() {
    let (mut login, now) = table(Config::default());
    let (anna, wrong) = (user("anna"), Outcome::Wrong);
    let mut pending: Vec<_> = (0..3).map(|_| login.begin("anna", Some(&anna), HERE, now)).collect();
    assert!(pending.iter_mut().all(|attempt| login.turn(attempt, now) == Turn::Now));
    assert!(!is_free(&mut login, "bert", HERE, now), "the address");
    assert!(!is_free(&mut login, "anna", THERE, now), "the user");
    assert!(is_free(&mut login, "bert", THERE, now));
    // Their clients go.
    pending.into_iter().for_each(|attempt| login.end(attempt, wrong, now));
    assert!(!is_free(&mut login, "bert", HERE, now));
    assert!(is_free(&mut login, "bert", HERE, now + seconds(1)));
    // Whoever goes while it waits has tried nothing.
    let (mut login, now) = table(Config::default());
    for _ in 0..50 {
        let waiting = login.begin("anna", Some(&anna), HERE, now);
        login.end(waiting, wrong, now);
    }
    assert_eq!(login.attempts_remembered(), (0, 0));
}

#[test]
fn a_client_that_keeps_failing_does_not_delay_a_colleague_who_is_known_at_the_same_address() {
    let (mut login, now) = table(Config::default());
    succeed(&mut login, "anna", HERE, now);
    succeed(&mut login, "stale", HERE, now);
    for second in 0..600 {
        fail(&mut login, "stale", HERE, now + seconds(second));
        fail(&mut login, "nobody", HERE, now + seconds(second));
        assert_eq!(succeed(&mut login, "anna", HERE, now + seconds(second)), Some(Duration::ZERO));
    }
    assert!(!is_free(&mut login, "stale", HERE, now + seconds(600)));
}

#[test]
fn ones_own_login_does_not_pay_for_guesses_at_a_colleague() {
    let (mut login, now) = table(Config::default());
    succeed(&mut login, "anna", HERE, now);
    let (mut known, mut unknown) = (0, 0);
    for second in 0..3600 {
        let at = now + seconds(second);
        for _ in 0..3 {
            known += u32::from(fail(&mut login, "anna", HERE, at).is_some());
            unknown += u32::from(fail(&mut login, "bert", HERE, at).is_some());
        }
        succeed(&mut login, "insider", HERE, at);
    }
    assert!(known < 1000, "{known} guesses in an hour at a colleague who is known here");
    assert!(unknown < 100, "{unknown} guesses in an hour at one who is not");
}

#[test]
fn who_guesses_from_many_addresses_waits_by_the_user_and_the_user_at_home_does_not() {
    let (mut login, now) = table(Config::default());
    succeed(&mut login, "anna", HERE, now);
    for guess in 0..50 {
        let from = IpAddr::V4(std::net::Ipv4Addr::from(0xcb00_7100 + guess));
        fail(&mut login, "anna", from, now);
    }
    assert!(!is_free(&mut login, "anna", THERE, now));
    assert!(is_free(&mut login, "anna", HERE, now));
}

#[test]
fn a_name_that_nobody_has_is_slowed_down_like_one_that_somebody_has() {
    let (mut login, now) = table(Config::default());
    let mut paces = Vec::new();
    for name in ["anna", "nobody"] {
        let from = |guess: u32| IpAddr::V4(std::net::Ipv4Addr::from(0xcb00_7100 + guess));
        paces.push((0..20).map(|guess| fail(&mut login, name, from(guess), now)).collect::<Vec<_>>());
    }
    assert_eq!(paces[0], paces[1]);
    assert!(paces[0].iter().any(|wait| *wait != Some(Duration::ZERO)), "{paces:?}");
}

#[test]
fn the_memory_of_addresses_and_of_names_is_bounded() {
    let (mut login, now) = table(Config { addresses: 10, ..Config::default() });
    for guess in 0..1000_u32 {
        let from = IpAddr::V4(std::net::Ipv4Addr::from(0xcb00_7100 + guess));
        fail(&mut login, &format!("user{guess}"), from, now + Duration::from_millis(u64::from(guess)));
    }
    assert_eq!((login.attempts_remembered(), login.sessions()), ((10, 10), 0));
}
