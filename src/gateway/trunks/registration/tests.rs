//! Registration in simulated time, against a registrar of a few lines.

use rand::SeedableRng;

use super::*;
use crate::gateway::config::Secret;
use crate::gateway::trunks::policy::TrunkAccount;
use crate::gateway::trunks::proof::account;
use crate::sip::digest::client::Account;
use crate::sip::message::{Builder, Message};

const CONTACT: &str = "sip:5001@192.0.2.54:5060";

/// What was asked for, when.
type Log = Vec<(Duration, Ask<u8>)>;

struct World {
    book: Registration<u8>,
    start: Instant,
    now: Instant,
    sent: Log,
}

/// The answer of the SIP Server to one REGISTER; `None`: silence, known at once.
type Server<'a> = &'a mut dyn FnMut(&Ask<u8>) -> Option<Message>;

fn response(status: u16, headers: &[(&str, &str)]) -> Message {
    let head = Builder::response(status, "")
        .header("Via", "SIP/2.0/UDP 192.0.2.54;branch=z9hG4bK1")
        .header("From", "<sip:5001@192.0.2.81>;tag=1")
        .header("To", "<sip:5001@192.0.2.81>;tag=2")
        .header("Call-ID", "1")
        .header("CSeq", "1 REGISTER");
    headers.iter().fold(head, |out, (name, value)| out.header(name, value)).build_message()
}

fn ok(ask: &Ask<u8>) -> Option<Message> {
    Some(response(200, &[("Expires", &ask.expires.as_secs().to_string())]))
}

impl World {
    fn new(policy: DnRegistration, peers: &[(u8, bool)]) -> World {
        let now = Instant::now();
        let mut book = Registration::new(policy, StdRng::seed_from_u64(3));
        book.set_peers(peers, now);
        World { book, start: now, now, sent: Vec::new() }
    }

    fn one() -> World {
        World::new(DnRegistration::default(), &[(1, true)])
    }

    fn account() -> Option<Account> {
        let trunk = TrunkAccount {
            realm: "genesys".to_owned(),
            username: None,
            secret: Some(Secret::Plain("pass".to_owned())),
        };
        account(&trunk, "5001", None)
    }

    fn run(&mut self, by: Duration, server: Server<'_>) {
        let until = self.now + by;
        loop {
            while let Some(ask) = self.book.next(self.now) {
                self.sent.push((self.now - self.start, ask.clone()));
                match server(&ask) {
                    Some(answer) => {
                        self.book.answered(&ask.dn, ask.peer, &answer, CONTACT, World::account(), self.now);
                    }
                    None => self.book.failed(&ask.dn, ask.peer, self.now),
                }
            }
            let Some(at) = self.book.poll_timeout().filter(|at| *at <= until) else { break };
            assert!(at >= self.now);
            self.now = at;
        }
        self.now = until;
    }

    fn kinds(&self) -> Vec<u64> {
        self.sent.iter().map(|(_, ask)| ask.expires.as_secs()).collect()
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn three_thousand_dns_are_registered_and_refreshed_for_three_hours_without_a_burst_and_without_a_gap() {
    let mut world = World::one();
    for dn in 0..3000 {
        world.book.present(&format!("{}", 10_000 + dn), world.now);
    }
    world.run(secs(3 * 3600), &mut ok);
    let mut histogram: HashMap<u64, u32> = HashMap::new();
    let mut last: HashMap<&str, Duration> = HashMap::new();
    for (at, ask) in &world.sent {
        *histogram.entry(at.as_secs()).or_default() += 1;
        if let Some(before) = last.insert(&ask.dn, *at) {
            assert!(*at - before < secs(1800), "{} lapsed at {at:?}", ask.dn);
        }
    }
    assert_eq!(last.len(), 3000);
    assert!(last.values().all(|at| secs(3 * 3600) - *at < secs(1800)), "all are registered at the end");
    assert_eq!(histogram.values().max(), Some(&50), "the pace");
    // From the third round on the refreshes have spread out by themselves: the mean is 1.9 per second.
    let settled = histogram.iter().filter(|(second, _)| **second > 2 * 1800).map(|(_, count)| *count).max();
    assert!(settled.unwrap() <= 20, "{settled:?}");
    let gaps: Vec<Duration> = world.sent.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(gaps.iter().all(|gap| *gap >= Duration::from_millis(20)), "never two at a time");
}

#[test]
fn a_dn_that_signs_in_during_a_storm_of_refreshes_goes_first() {
    let mut world = World::one();
    for dn in 0..1000 {
        world.book.present(&format!("{}", 10_000 + dn), world.now);
    }
    world.run(secs(60), &mut ok);
    world.book.set_peers(&[(1, false)], world.now);
    world.book.set_peers(&[(1, true)], world.now);
    world.sent.clear();
    world.book.present("5001", world.now);
    world.run(Duration::from_millis(999), &mut ok);
    assert_eq!(&*world.sent[0].1.dn, "5001");
    assert_eq!(world.sent.len(), 50);
}

#[test]
fn a_dn_is_refreshed_at_80_to_95_percent_of_what_was_granted() {
    let mut world = World::one();
    world.book.present("5001", world.now);
    let mut brief = |_: &Ask<u8>| Some(response(200, &[("Contact", &format!("<{CONTACT}>;expires=600"))]));
    world.run(secs(6000), &mut brief);
    for pair in world.sent.windows(2) {
        let gap = pair[1].0 - pair[0].0;
        assert!(gap >= secs(480) && gap <= secs(570), "{gap:?}");
        assert_eq!((&pair[0].1.call_id, pair[0].1.cseq + 1), (&pair[1].1.call_id, pair[1].1.cseq));
    }
    assert_eq!(world.sent[0].1.expires, secs(1800));
}

#[test]
fn a_page_that_reloads_sends_nothing_to_the_sip_server() {
    let mut world = World::one();
    world.book.present("5001", world.now);
    world.run(secs(10), &mut ok);
    for _ in 0..20 {
        world.book.absent("5001", world.now);
        world.run(secs(19), &mut ok);
        world.book.present("5001", world.now);
        world.run(secs(3), &mut ok);
    }
    assert_eq!(world.kinds(), [1800]);
    assert_eq!(world.book.standing("5001"), Some(Standing::Registered));
}

#[test]
fn a_browser_that_stays_away_has_its_dn_given_up_after_the_grace_once() {
    let mut world = World::one();
    world.book.present("5001", world.now);
    world.run(secs(10), &mut ok);
    world.book.absent("5001", world.now);
    world.book.absent("5001", world.now);
    world.run(secs(7200), &mut ok);
    assert_eq!(world.kinds(), [1800, 0]);
    assert_eq!(world.sent[1].0, secs(30));
    assert_eq!(world.book.standing("5001"), None);
    assert_eq!((world.book.lines.len(), world.book.dns.len(), world.book.poll_timeout()), (0, 0, None));
}

#[test]
fn a_browser_that_is_back_while_its_dn_is_given_up_is_registered_again_behind_the_answer() {
    let mut world = World::one();
    world.book.present("5001", world.now);
    world.run(secs(10), &mut ok);
    world.book.absent("5001", world.now);
    world.now += secs(20);
    let leave = world.book.next(world.now).unwrap();
    assert_eq!(leave.expires, Duration::ZERO);
    world.book.present("5001", world.now);
    assert_eq!(world.book.next(world.now + secs(1)), None, "never two of one DN at a time");
    world.book.answered("5001", 1, &ok(&leave).unwrap(), CONTACT, None, world.now);
    world.sent.clear();
    world.run(secs(5), &mut ok);
    assert_eq!(world.kinds(), [1800]);
    assert!(world.sent[0].1.cseq > leave.cseq);
}

#[test]
fn a_dn_whose_browser_left_before_the_answer_is_given_up_behind_it() {
    let mut world = World::one();
    world.book.present("5001", world.now);
    let ask = world.book.next(world.now).unwrap();
    world.book.absent("5001", world.now);
    world.now += secs(21);
    assert_eq!(world.book.next(world.now), None);
    world.book.answered("5001", 1, &ok(&ask).unwrap(), CONTACT, None, world.now);
    world.run(secs(5), &mut ok);
    assert_eq!(world.kinds(), [0]);
}

#[test]
fn an_unknown_dn_is_told_apart_though_its_404_carries_contact_and_expires() {
    let mut world = World::one();
    world.book.present("5001", world.now);
    let mut server =
        |_: &Ask<u8>| Some(response(404, &[("Contact", &format!("<{CONTACT}>;expires=1800")), ("Expires", "1800")]));
    world.run(secs(3600), &mut server);
    assert_eq!(world.book.standing("5001"), Some(Standing::Unknown));
    assert!((7..=12).contains(&world.sent.len()), "asked again every five minutes or so: {}", world.sent.len());
    assert_eq!(world.book.poll_news().as_deref(), Some("5001"));
    // It is entered there, and the agent signs in anew.
    world.book.absent("5001", world.now);
    world.book.present("5001", world.now);
    world.run(secs(1), &mut ok);
    assert_eq!(world.book.standing("5001"), Some(Standing::Registered));
}

#[test]
fn an_interval_too_brief_is_asked_for_longer_by_all() {
    let policy = DnRegistration { expires: secs(60), ..DnRegistration::default() };
    let mut world = World::new(policy, &[(1, true)]);
    world.book.present("5001", world.now);
    world.run(secs(1), &mut |ask| match ask.expires.as_secs() {
        300.. => ok(ask),
        _ => Some(response(423, &[("Min-Expires", "300")])),
    });
    world.book.present("5002", world.now);
    world.run(secs(1), &mut ok);
    assert_eq!(world.kinds(), [60, 300, 300]);
}

#[test]
fn a_423_that_asks_for_no_more_than_was_offered_makes_no_loop() {
    for min in ["1", "1800", "4000000000"] {
        let mut world = World::one();
        world.book.present("5001", world.now);
        world.run(secs(60), &mut |_| Some(response(423, &[("Min-Expires", min)])));
        assert_eq!((world.sent.len(), world.book.standing("5001")), (1, Some(Standing::Refused(423))), "{min}");
    }
}

#[test]
fn a_server_that_asks_for_silence_gets_it_from_all_dns_and_then_paced() {
    let mut world = World::one();
    for dn in 0..200 {
        world.book.present(&format!("{}", 10_000 + dn), world.now);
    }
    let mut refused = 0;
    world.run(secs(119), &mut |_| {
        refused += 1;
        Some(response(503, &[("Retry-After", "120 (restarting)")]))
    });
    assert_eq!(refused, 1);
    world.sent.clear();
    world.run(secs(10), &mut ok);
    assert_eq!(world.sent.len(), 200);
    assert!(world.sent.iter().all(|(at, _)| *at >= secs(120)));
    assert!(world.sent.windows(2).all(|pair| pair[1].0 - pair[0].0 >= Duration::from_millis(20)));
}

#[test]
fn a_silent_server_is_asked_less_and_less_often() {
    let mut world = World::one();
    world.book.present("5001", world.now);
    world.run(secs(3600), &mut |_| None);
    let gaps: Vec<u64> = world.sent.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs()).collect();
    assert!((30..=45).contains(&gaps[0]) && (60..=90).contains(&gaps[1]), "{gaps:?}");
    assert!(gaps[5..].iter().all(|gap| (300..=450).contains(gap)), "{gaps:?}");
    assert_eq!(world.book.standing("5001"), Some(Standing::Unreachable));
    world.run(secs(460), &mut ok);
    assert_eq!(world.book.standing("5001"), Some(Standing::Registered));
}

#[test]
fn one_refresh_that_is_lost_does_not_make_the_dn_unreachable() {
    let mut world = World::one();
    world.book.present("5001", world.now);
    world.run(secs(10), &mut ok);
    world.run(secs(1720), &mut |_| None);
    assert!(world.sent.len() >= 2);
    assert_eq!(world.book.standing("5001"), Some(Standing::Registered), "what was granted still holds");
}

#[test]
fn a_trunk_that_was_down_is_told_of_all_dns_again_paced() {
    let mut world = World::one();
    for dn in 0..500 {
        world.book.present(&format!("{}", 10_000 + dn), world.now);
    }
    world.run(secs(30), &mut ok);
    world.book.set_peers(&[(1, false)], world.now);
    world.sent.clear();
    world.run(secs(7200), &mut |_| panic!("nothing is sent to a peer that is down"));
    assert_eq!(world.book.counts(), RegistrationCounts { unreachable: 500, ..RegistrationCounts::default() });
    world.book.set_peers(&[(1, true)], world.now);
    let from = world.now - world.start;
    world.run(secs(11), &mut ok);
    assert_eq!(world.sent.len(), 500);
    let first_second = world.sent.iter().filter(|(at, _)| *at < from + secs(1)).count();
    assert_eq!(first_second, 50);
    assert_eq!(world.book.counts(), RegistrationCounts { registered: 500, ..RegistrationCounts::default() });
}

#[test]
fn both_peers_are_told_of_each_dn_and_one_that_is_down_holds_up_nothing() {
    let mut world = World::new(DnRegistration::default(), &[(1, true), (2, false)]);
    world.book.present("5001", world.now);
    world.run(secs(1), &mut ok);
    assert_eq!(world.sent.iter().map(|(_, ask)| ask.peer).collect::<Vec<_>>(), [1]);
    assert_eq!(world.book.standing("5001"), Some(Standing::Registered));
    world.book.set_peers(&[(1, true), (2, true)], world.now);
    world.run(secs(1), &mut ok);
    assert_eq!(world.sent.iter().map(|(_, ask)| ask.peer).collect::<Vec<_>>(), [1, 2]);
    assert_ne!(world.sent[0].1.call_id, world.sent[1].1.call_id);
    world.book.absent("5001", world.now);
    world.run(secs(30), &mut ok);
    assert_eq!(world.kinds(), [1800, 1800, 0, 0]);
}

#[test]
fn a_peer_that_takes_the_place_of_another_is_told_of_all_dns() {
    let mut world = World::one();
    world.book.present("5001", world.now);
    world.run(secs(1), &mut ok);
    world.book.set_peers(&[(2, true)], world.now);
    world.run(secs(1), &mut ok);
    assert_eq!(world.sent.iter().map(|(_, ask)| ask.peer).collect::<Vec<_>>(), [1, 2]);
}

fn challenge(realm: &str, nonce: &str, stale: bool) -> Message {
    let stale = if stale { ", stale=true" } else { "" };
    let value = format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\"{stale}");
    response(401, &[("WWW-Authenticate", &value)])
}

#[test]
fn a_challenge_of_the_trunk_is_answered_once_and_its_nonce_used_again() {
    let mut world = World::one();
    world.book.present("5001", world.now);
    let ask = world.book.next(world.now).unwrap();
    assert_eq!(world.book.credentials("5001", 1, "sip:192.0.2.81"), None);
    world.book.answered("5001", 1, &challenge("genesys", "n1", false), CONTACT, World::account(), world.now);
    world.now += secs(1);
    let again = world.book.next(world.now).unwrap();
    assert_eq!((again.cseq, &again.call_id), (ask.cseq + 1, &ask.call_id));
    let (name, value) = world.book.credentials("5001", 1, "sip:192.0.2.81").unwrap();
    let value = String::from_utf8(value).unwrap();
    assert!(name == "Authorization" && value.contains("username=\"5001\"") && value.contains("nc=00000001"), "{value}");
    world.book.answered("5001", 1, &ok(&again).unwrap(), CONTACT, World::account(), world.now);
    world.now += secs(1800);
    world.book.next(world.now).unwrap();
    let (_, value) = world.book.credentials("5001", 1, "sip:192.0.2.81").unwrap();
    let value = String::from_utf8(value).unwrap();
    assert!(value.contains("nonce=\"n1\"") && value.contains("nc=00000002"), "{value}");
}

#[test]
fn a_challenge_of_another_realm_is_never_answered() {
    let mut world = World::one();
    world.book.present("5001", world.now);
    world.run(secs(60), &mut |_| Some(challenge("stranger", "n1", false)));
    assert_eq!((world.sent.len(), world.book.standing("5001")), (1, Some(Standing::Refused(401))));
    assert_eq!(world.book.credentials("5001", 1, "sip:192.0.2.81"), None);
}

#[test]
fn a_wrong_password_is_tried_once_and_a_stale_nonce_is_not_one() {
    let mut world = World::one();
    world.book.present("5001", world.now);
    let mut nonce = 0;
    world.run(secs(60), &mut |_| {
        nonce += 1;
        Some(challenge("genesys", &nonce.to_string(), false))
    });
    assert_eq!((world.sent.len(), world.book.standing("5001")), (2, Some(Standing::Refused(401))));
    let mut world = World::one();
    world.book.present("5001", world.now);
    let mut answers = vec![ok, |_: &Ask<u8>| Some(challenge("genesys", "2", true)), |_: &Ask<u8>| {
        Some(challenge("genesys", "1", false))
    }];
    world.run(secs(60), &mut |ask| answers.pop().unwrap()(ask));
    assert_eq!(world.book.standing("5001"), Some(Standing::Registered));
}

#[test]
fn a_server_that_challenges_for_ever_is_not_answered_for_ever() {
    let mut world = World::one();
    world.book.present("5001", world.now);
    world.run(secs(60), &mut |_| Some(challenge("genesys", "1", true)));
    assert_eq!(world.sent.len(), 3);
}

#[test]
fn an_expiry_of_nothing_or_of_centuries_is_brought_into_range() {
    for (said, least, most) in [("0", 8, 10), ("4294967295", 69_000, 86_400)] {
        let mut world = World::one();
        world.book.present("5001", world.now);
        world.run(secs(1), &mut |_| Some(response(200, &[("Expires", said)])));
        let next = world.book.poll_timeout().unwrap() - world.start;
        assert!((least..=most).contains(&next.as_secs()), "{said}: {next:?}");
    }
}

/// One random course: browsers come and go, peers fail and come back, every answer there is.
fn course(seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    let policy = DnRegistration { per_second: 10, expires: secs(120), ..DnRegistration::default() };
    let mut world = World::new(policy, &[(1, true), (2, true)]);
    let mut open: Vec<Ask<u8>> = Vec::new();
    let mut held: BTreeSet<(Arc<str>, u8)> = BTreeSet::new();
    let mut last: Option<Instant> = None;
    let mut up = [true, true];
    for _ in 0..400 {
        match dice.random_range(0..10) {
            0..=2 => world.book.present(&dice.random_range(1..6).to_string(), world.now),
            3 | 4 => world.book.absent(&dice.random_range(1..6).to_string(), world.now),
            5 => {
                up[dice.random_range(0..2)] ^= true;
                world.book.set_peers(&[(1, up[0]), (2, up[1])], world.now);
            }
            _ => world.now += Duration::from_millis(dice.random_range(0..20_000)),
        }
        while let Some(ask) = world.book.next(world.now) {
            assert!(last.is_none_or(|at| world.now - at >= Duration::from_millis(100)), "seed {seed}: the pace");
            let twice = open.iter().any(|other| (&other.dn, other.peer) == (&ask.dn, ask.peer));
            assert!(!twice, "seed {seed}: two REGISTERs of {} at a time", ask.dn);
            assert!(up[usize::from(ask.peer) - 1], "seed {seed}: {} is down", ask.peer);
            last = Some(world.now);
            open.push(ask);
        }
        if open.is_empty() || dice.random_bool(0.3) {
            continue;
        }
        let ask = open.swap_remove(dice.random_range(0..open.len()));
        let answer = match dice.random_range(0..12) {
            0 => None,
            1 => Some(response(404, &[("Expires", "1800")])),
            2 => Some(response(503, &[("Retry-After", "7")])),
            3 => Some(response(423, &[("Min-Expires", "300")])),
            4 => Some(challenge("genesys", &dice.random::<u32>().to_string(), dice.random_bool(0.5))),
            5 => Some(response(500, &[])),
            _ => {
                let key = (ask.dn.clone(), ask.peer);
                if ask.expires.is_zero() {
                    held.remove(&key)
                } else {
                    held.insert(key)
                };
                ok(&ask)
            }
        };
        match answer {
            Some(answer) => {
                world.book.answered(&ask.dn, ask.peer, &answer, CONTACT, World::account(), world.now);
            }
            None => world.book.failed(&ask.dn, ask.peer, world.now),
        }
    }
    // Both peers are up and answer: who is there becomes registered with both, who is not is forgotten.
    for ask in open {
        world.book.failed(&ask.dn, ask.peer, world.now);
    }
    world.book.set_peers(&[(1, true), (2, true)], world.now);
    let here: Vec<Arc<str>> =
        world.book.dns.iter().filter(|(_, leaving)| leaving.is_none()).map(|(dn, _)| dn.clone()).collect();
    world.run(secs(1000), &mut ok);
    for dn in &here {
        assert_eq!(world.book.standing(dn), Some(Standing::Registered), "seed {seed}: {dn}");
    }
    assert_eq!((world.book.dns.len(), world.book.lines.len()), (here.len(), here.len() * 2), "seed {seed}");
    here.iter().for_each(|dn| world.book.absent(dn, world.now));
    world.run(secs(60), &mut ok);
    assert_eq!((world.book.lines.len(), world.book.poll_timeout()), (0, None), "seed {seed}");
}

#[test]
fn five_hundred_random_courses_keep_the_pace_and_end_with_those_registered_who_are_there() {
    (0..500).for_each(course);
}
