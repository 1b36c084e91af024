//! Sessions and attempts, in simulated time.

use super::*;
use crate::desk::login::attempts::LONGEST_WAIT;
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

/// Fails once; returns how long the attempt had to wait.
fn fail(login: &mut Login, name: Option<&UserName>, address: IpAddr, now: Instant) -> Option<Duration> {
    match login.may_try(name, address, now) {
        Turn::After(wait) => {
            login.tried(name, address, false, now + wait);
            Some(wait)
        }
        Turn::Refused(_) => None,
    }
}

#[test]
fn guesses_from_one_address_come_ever_more_slowly_whomever_they_are_for() {
    let (mut login, now) = table(Config::default());
    let free = (0..3).map(|_| fail(&mut login, None, HERE, now)).collect::<Vec<_>>();
    assert_eq!(free, [Some(Duration::ZERO); 3]);
    let mut heard = 0;
    // An hour of an attempt every second.
    for second in 1..3600 {
        heard += u32::from(fail(&mut login, Some(&user("anna")), HERE, now + seconds(second)).is_some());
    }
    assert!(heard < 80, "{heard} in an hour");
    assert_eq!(login.may_try(Some(&user("anna")), THERE, now + seconds(9000)), Turn::After(Duration::ZERO));
}

#[test]
fn parallel_attempts_wait_in_one_line() {
    let (mut login, now) = table(Config::default());
    for _ in 0..4 {
        fail(&mut login, None, HERE, now);
    }
    let waits: Vec<_> = (0..12).map(|_| login.may_try(None, HERE, now + seconds(1))).collect();
    let heard: BTreeSet<_> =
        waits.iter().filter_map(|w| if let Turn::After(wait) = w { Some(*wait) } else { None }).collect();
    let refused = waits.iter().filter(|w| matches!(w, Turn::Refused(_))).count();
    assert_eq!(heard.len() + refused, 12, "no two at a time: {waits:?}");
    assert!(refused > 0 && heard.iter().all(|wait| *wait <= LONGEST_WAIT));
}

#[test]
fn who_guesses_from_many_addresses_waits_by_the_user_and_the_user_at_home_does_not() {
    let (mut login, now) = table(Config::default());
    let anna = user("anna");
    login.tried(Some(&anna), HERE, true, now);
    for guess in 0..50 {
        let from = IpAddr::V4(std::net::Ipv4Addr::from(0xcb00_7100 + guess));
        fail(&mut login, Some(&anna), from, now);
    }
    assert_ne!(login.may_try(Some(&anna), THERE, now), Turn::After(Duration::ZERO));
    assert_eq!(login.may_try(Some(&anna), HERE, now), Turn::After(Duration::ZERO));
}

#[test]
fn the_memory_of_addresses_is_bounded() {
    let (mut login, now) = table(Config { addresses: 10, ..Config::default() });
    for guess in 0..1000_u32 {
        let from = IpAddr::V4(std::net::Ipv4Addr::from(0xcb00_7100 + guess));
        fail(&mut login, None, from, now + Duration::from_millis(u64::from(guess)));
    }
    assert_eq!((login.attempts_remembered(), login.sessions()), (10, 0));
}
