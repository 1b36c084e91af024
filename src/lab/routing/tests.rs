//! Routing in simulated time.

use super::*;

const NUMBER: &str = "18005551234";

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn router() -> Router {
    let queue = |number: &str, skill: Option<&str>| Queue {
        number: number.to_owned(),
        skill: skill.map(str::to_owned),
        level: 3,
        answer_within: seconds(15),
    };
    Router::new(vec![queue(NUMBER, Some("support")), queue("18005550000", None)])
}

/// An agent who is good at `support`, and has been ready since `since`.
fn agent(user: &str, level: u8, is_free: bool, since: Instant) -> Agent {
    let skills = vec![("support".to_owned(), level)];
    Agent { user: user.to_owned(), dn: format!("dn of {user}"), skills, is_free, since }
}

fn outputs(router: &mut Router) -> Vec<Output> {
    std::iter::from_fn(|| router.poll_output()).collect()
}

fn offer(customer: u64, user: &str) -> Output {
    Output::Offer { customer: CustomerId(customer), user: user.to_owned(), dn: format!("dn of {user}") }
}

#[test]
fn a_customer_goes_to_who_is_longest_ready_of_those_who_can() {
    let start = Instant::now();
    let now = start + seconds(100);
    let mut router = router();
    let agents = vec![
        agent("novice", 2, true, start),
        agent("busy", 9, false, start),
        agent("late", 9, true, start + seconds(50)),
        agent("early", 3, true, start + seconds(20)),
    ];
    router.set_agents(agents, now);
    assert!(router.enter(CustomerId(1), NUMBER, None, now));
    assert_eq!(outputs(&mut router), [offer(1, "early")]);
    assert!(router.enter(CustomerId(2), NUMBER, None, now));
    assert_eq!(outputs(&mut router), [offer(2, "late")], "one who rings is not free");
    assert!(router.enter(CustomerId(3), NUMBER, None, now));
    assert_eq!(outputs(&mut router), [Output::Announce(CustomerId(3))]);
    assert!(router.enter(CustomerId(4), "18005550000", None, now));
    assert_eq!(outputs(&mut router), [offer(4, "novice")], "that number asks for no skill");
    assert!(!router.enter(CustomerId(5), "911", None, now));
}

#[test]
fn who_came_first_is_served_first_when_somebody_becomes_ready() {
    let now = Instant::now();
    let mut router = router();
    for id in [1, 2] {
        router.enter(CustomerId(id), NUMBER, None, now);
    }
    assert_eq!(outputs(&mut router), [Output::Announce(CustomerId(1)), Output::Announce(CustomerId(2))]);
    router.set_agents(vec![agent("ann", 5, true, now)], now);
    assert_eq!(outputs(&mut router), [offer(1, "ann")]);
    assert_eq!(router.waiting(), 1);
}

#[test]
fn an_agent_who_does_not_answer_becomes_not_ready_and_the_customer_goes_to_the_next() {
    let start = Instant::now();
    let mut router = router();
    let both = |ann: Instant| vec![agent("ann", 5, true, ann), agent("bob", 5, true, start + seconds(1))];
    router.set_agents(both(start), start);
    router.enter(CustomerId(1), NUMBER, None, start);
    assert_eq!(outputs(&mut router), [offer(1, "ann")]);
    assert_eq!(router.poll_timeout(), Some(start + seconds(15)));
    let now = start + seconds(15);
    router.handle_timeout(now);
    let withdrawn = [Output::Withdraw(CustomerId(1)), Output::NotReady("ann".to_owned()), offer(1, "bob")];
    assert_eq!(outputs(&mut router), withdrawn);
    router.refused(CustomerId(1), now);
    let told = [Output::NotReady("bob".to_owned()), Output::Announce(CustomerId(1))];
    assert_eq!(outputs(&mut router), told, "neither is called again while it is in the same state");
    router.set_agents(both(now + seconds(1)), now + seconds(1));
    assert_eq!(outputs(&mut router), [offer(1, "ann")], "ready anew");
}

#[test]
fn a_customer_gives_up_while_it_waits_and_not_while_it_is_offered() {
    let start = Instant::now();
    let mut router = router();
    router.enter(CustomerId(1), NUMBER, Some(seconds(10)), start);
    router.enter(CustomerId(2), NUMBER, Some(seconds(12)), start);
    outputs(&mut router);
    router.handle_timeout(start + seconds(10));
    assert_eq!(outputs(&mut router), [Output::Abandon(CustomerId(1))]);
    router.set_agents(vec![agent("ann", 5, true, start)], start + seconds(11));
    assert_eq!(outputs(&mut router), [offer(2, "ann")]);
    router.handle_timeout(start + seconds(13));
    router.answered(CustomerId(2));
    router.handle_timeout(start + seconds(100));
    assert_eq!((outputs(&mut router), router.poll_timeout()), (Vec::new(), None));
}

#[test]
fn an_agent_is_called_again_only_after_its_state_has_had_time_to_come() {
    let start = Instant::now();
    let mut router = router();
    router.set_agents(vec![agent("ann", 5, true, start)], start);
    router.enter(CustomerId(1), NUMBER, None, start);
    router.answered(CustomerId(1));
    router.enter(CustomerId(2), NUMBER, None, start);
    outputs(&mut router);
    let now = start + seconds(60);
    router.left(CustomerId(1), now);
    assert_eq!(outputs(&mut router), [], "the desk has not told yet what the agent does after the call");
    router.handle_timeout(now + SETTLE);
    assert_eq!(outputs(&mut router), [offer(2, "ann")]);
}
