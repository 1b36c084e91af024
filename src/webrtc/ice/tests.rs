use super::*;
use crate::webrtc::stun::tests::Sample;

const PWD: &str = "our-password-of-32-characters-ok";
const NEW_PWD: &str = "a-new-password-of-32-characters-";

fn credentials(ufrag: &str, pwd: &str) -> IceCredentials {
    IceCredentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() }
}

fn path(port: u16) -> Path {
    Path::Udp { local: "192.0.2.1:10000".parse().unwrap(), remote: ([198, 51, 100, 7], port).into() }
}

struct Net {
    agent: Agent,
    now: Instant,
}

impl Net {
    fn new() -> Self {
        Net { agent: Agent::new(credentials("ours", PWD)), now: Instant::now() }
    }

    fn pass(&mut self, seconds: u64) -> bool {
        self.now += Duration::from_secs(seconds);
        self.agent.handle_timeout(self.now)
    }

    fn send(&mut self, port: u16, sample: Sample<'_>) -> Result<Check, Discard> {
        self.agent.handle_check(path(port), &sample.write(), self.now, &mut [0; 128])
    }

    fn check(&mut self, port: u16) -> bool {
        matches!(self.send(port, Sample::new("ours", "theirs", PWD)), Ok(Check::Valid(_)))
    }

    fn nominate(&mut self, port: u16) -> bool {
        matches!(self.send(port, Sample::new("ours", "theirs", PWD).nominating()), Ok(Check::Valid(_)))
    }
}

#[test]
fn check_is_answered_before_the_browsers_credentials_are_known() {
    let mut net = Net::new();
    assert!(net.check(1));
    assert!(net.agent.is_valid(path(1)));
    net.agent.set_remote_ufrag("theirs");
    assert!(net.check(1));
}

#[test]
fn whole_user_name_must_match_once_the_browser_is_known() {
    let mut net = Net::new();
    net.agent.set_remote_ufrag("theirs");
    assert_eq!(net.send(1, Sample::new("ours", "somebody", PWD)), Err(Discard::StunUser));
    assert!(!net.agent.is_valid(path(1)));
}

#[test]
fn wrong_password_or_ufrag_validates_nothing() {
    let mut net = Net::new();
    assert_eq!(net.send(1, Sample::new("ours", "theirs", NEW_PWD)), Err(Discard::StunIntegrity));
    assert_eq!(net.send(1, Sample::new("other", "theirs", PWD)), Err(Discard::StunUser));
    assert_eq!(net.agent.selected(), None);
    assert_eq!(net.agent.poll_timeout(), None);
}

#[test]
fn latest_nomination_wins() {
    let mut net = Net::new();
    assert!(net.check(1));
    assert_eq!(net.agent.selected(), Some(path(1)), "the first valid path, for want of a nomination");
    assert!(net.nominate(2));
    assert_eq!(net.agent.selected(), Some(path(2)));
    assert!(net.nominate(3));
    assert!(net.check(2));
    assert_eq!(net.agent.selected(), Some(path(3)));
    assert!(net.nominate(2));
    assert_eq!(net.agent.selected(), Some(path(2)));
}

#[test]
fn controlled_peer_gets_487_and_validates_nothing() {
    let mut net = Net::new();
    let mut sample = Sample::new("ours", "theirs", PWD).nominating();
    sample.attributes[0].0 = 0x8029;
    let mut reply = [0; 128];
    let check = net.agent.handle_check(path(1), &sample.write(), net.now, &mut reply);
    assert!(matches!(check, Ok(Check::Refused(_))));
    assert_eq!(reply[..2], [1, 0x11]);
    assert!(reply.windows(2).any(|code| code == [4, 87]));
    assert!(!net.agent.is_valid(path(1)));
}

#[test]
fn consent_is_lost_after_30_s_without_a_valid_check_and_once() {
    let mut net = Net::new();
    assert!(net.nominate(1));
    assert_eq!(net.agent.poll_timeout(), Some(net.now + CONSENT));
    assert!(!net.pass(29));
    assert!(net.send(1, Sample::new("ours", "theirs", NEW_PWD)).is_err());
    assert!(net.pass(1), "an invalid check is none");
    assert_eq!(net.agent.selected(), None);
    assert!(!net.pass(100));
    assert!(net.nominate(1), "a late check revives the leg");
    assert_eq!(net.agent.selected(), Some(path(1)));
}

#[test]
fn consent_goes_on_with_every_valid_check() {
    let mut net = Net::new();
    assert!(net.nominate(1));
    for _ in 0..20 {
        assert!(!net.pass(20));
        assert!(net.check(1));
    }
    assert_eq!(net.agent.selected(), Some(path(1)));
}

#[test]
fn consent_is_not_missed_before_the_first_check() {
    let mut net = Net::new();
    assert!(!net.pass(120), "a phone that rings for two minutes");
    assert_eq!(net.agent.poll_timeout(), None);
}

#[test]
fn dead_nominated_path_gives_way_to_a_live_one() {
    let mut net = Net::new();
    assert!(net.nominate(1));
    assert!(!net.pass(20));
    assert!(net.check(2));
    assert!(!net.pass(15));
    assert_eq!(net.agent.selected(), Some(path(2)));
    assert!(!net.agent.is_valid(path(1)));
}

#[test]
fn path_is_held_for_30_s_after_its_last_valid_check() {
    let mut net = Net::new();
    assert!(net.check(1));
    let then = net.now;
    assert!(net.agent.holds(path(1), then + Duration::from_millis(29_999)));
    assert!(!net.agent.holds(path(1), then + Duration::from_secs(30)));
    assert!(!net.agent.holds(path(2), then));
}

#[test]
fn old_and_new_credentials_are_good_until_the_new_pair_is_nominated() {
    let mut net = Net::new();
    net.agent.set_remote_ufrag("theirs");
    assert!(net.nominate(1));
    net.agent.restart(credentials("newer", NEW_PWD));
    net.agent.set_remote_ufrag("fresh");
    assert_eq!(net.agent.local_ufrags().collect::<Vec<_>>(), ["newer", "ours"]);
    assert!(net.nominate(1), "the old pair goes on");
    let new = || Sample::new("newer", "fresh", NEW_PWD);
    assert!(net.send(2, new()).is_ok());
    assert_eq!(net.agent.selected(), Some(path(1)), "not nominated yet");
    assert!(net.check(1));
    assert!(net.send(2, new().nominating()).is_ok());
    assert_eq!(net.agent.selected(), Some(path(2)));
    assert_eq!(net.send(1, Sample::new("ours", "theirs", PWD)), Err(Discard::StunUser));
    assert_eq!(net.agent.local_ufrags().collect::<Vec<_>>(), ["newer"]);
}

#[test]
fn restart_takes_the_new_ufrag_in_either_order() {
    for sdp_first in [false, true] {
        let mut net = Net::new();
        net.agent.set_remote_ufrag("theirs");
        if sdp_first {
            net.agent.set_remote_ufrag("fresh");
            net.agent.restart(credentials("newer", NEW_PWD));
        } else {
            net.agent.restart(credentials("newer", NEW_PWD));
            net.agent.set_remote_ufrag("fresh");
        }
        assert_eq!(net.send(1, Sample::new("newer", "theirs", NEW_PWD)), Err(Discard::StunUser));
        assert!(net.send(1, Sample::new("newer", "fresh", NEW_PWD)).is_ok());
        assert!(net.check(1));
    }
}

#[test]
fn same_credentials_again_are_no_restart() {
    let mut net = Net::new();
    net.agent.restart(credentials("ours", PWD));
    assert_eq!(net.agent.local_ufrags().count(), 1);
    net.agent.restart(credentials("newer", NEW_PWD));
    net.agent.restart(credentials("newer", NEW_PWD));
    assert_eq!(net.agent.local_ufrags().count(), 2);
}

#[test]
fn paths_are_bounded_and_stale_ones_make_room() {
    let mut net = Net::new();
    for port in 1..=16 {
        assert!(net.check(port));
    }
    assert_eq!(net.send(17, Sample::new("ours", "theirs", PWD)), Err(Discard::StunPath));
    assert!(net.check(5), "the known ones go on");
    net.now += CONSENT;
    assert!(net.check(17));
}

#[test]
fn reply_is_never_larger_than_a_request_that_is_not_authentic() {
    // There is none at all.
    let mut net = Net::new();
    let mut reply = [0xee; 128];
    for sample in [
        Sample::new("ours", "theirs", NEW_PWD),
        Sample::new("other", "theirs", PWD),
        Sample::new("ours", "theirs", NEW_PWD).with(0x7777, &[]),
    ] {
        let outcome = net.agent.handle_check(path(1), &sample.write(), net.now, &mut reply);
        assert!(outcome.is_err());
        assert_eq!(reply, [0xee; 128]);
    }
    assert!(net.check(1));
}
