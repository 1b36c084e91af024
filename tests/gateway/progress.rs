//! What an agent hears before its call is answered: ringback, early media of the fork that counts, busy; and redirections.

use std::time::Duration;

use crosspoint::call::EventKind;
use crosspoint::plan::{Order, Source, Topology};
use crosspoint::sip::message::{Builder, Message, Method, Name};

use crate::peers::{Dialog, Ua, last_status, request, signed_in};
use crate::rig::{Rig, config, first_line};
use crate::sdp;

struct Dialled {
    rig: Rig,
    browser: Ua,
    trunk: Ua,
    at_browser: Dialog,
    invite: Message,
}

fn dialled(rig: Rig) -> Dialled {
    let mut rig = rig;
    let mut browser = signed_in(&mut rig, "5001");
    let at_browser = browser.call(&mut rig, "1003", Some(&sdp::chromium_offer()), &[]);
    let trunk = Ua::trunk();
    let invite = request(&rig.take(trunk.path), Method::Invite);
    rig.take(browser.path);
    Dialled { rig, browser, trunk, at_browser, invite }
}

impl Dialled {
    /// A response of one fork of the trunk's.
    fn fork(&mut self, tag: &str, status: u16, sdp: Option<&str>) {
        let mut builder =
            Builder::response_to(&self.invite, status, None, Some(tag)).header("Contact", &self.trunk.contact);
        if let Some(sdp) = sdp {
            builder = builder.body("application/sdp", sdp.as_bytes());
        }
        self.rig.deliver(self.trunk.path, builder.build());
    }

    fn heard(&self) -> Vec<&Topology> {
        let connects = self.rig.orders.iter().filter_map(|(_, order)| match order {
            Order::Connect(topology) => Some(topology),
            _ => None,
        });
        connects.collect()
    }

    /// Where the trunk leg's audio comes from and goes to.
    fn remote(&self) -> Option<u16> {
        self.rig.orders.iter().rev().find_map(|(_, order)| match order {
            Order::UpdateRtp(_, remote) => Some(remote.rtp.port()),
            _ => None,
        })
    }
}

#[test]
fn a_trunk_that_rings_without_media_makes_the_gateway_play_ringback() {
    let mut call = dialled(Rig::new());
    call.fork("a", 180, None);
    let progress = last_status(&call.rig.take(call.browser.path), 183);
    assert!(
        String::from_utf8_lossy(progress.body()).contains("a=setup:passive"),
        "an early answer, so that it is heard"
    );
    let tone = config().tones.ringback;
    assert!(matches!(call.heard()[..], [Topology::Parked(_, Source::Tone(played))] if *played == tone));
    call.fork("a", 180, None);
    assert!(call.rig.take(call.browser.path).is_empty());
    call.fork("a", 200, Some(&sdp::trunk_answer()));
    last_status(&call.rig.take(call.browser.path), 200);
    assert!(matches!(call.heard()[..], [Topology::Parked(_, _), Topology::Pair(_, _)]), "{:?}", call.heard());
}

#[test]
fn a_browser_that_offered_nothing_hears_180_alone() {
    let mut rig = Rig::new();
    let mut browser = signed_in(&mut rig, "5001");
    browser.call(&mut rig, "1003", None, &[]);
    let trunk = Ua::trunk();
    let invite = request(&rig.take(trunk.path), Method::Invite);
    rig.deliver(trunk.path, trunk.respond(&invite, 180, None));
    assert!(last_status(&rig.take(browser.path), 180).body().is_empty());
}

#[test]
fn the_trunks_own_early_media_takes_the_place_of_our_tone_and_a_later_180_does_not_end_it() {
    let mut call = dialled(Rig::new());
    call.fork("a", 180, None);
    call.fork("a", 183, Some(&sdp::trunk_answer()));
    assert!(matches!(call.heard()[..], [Topology::Parked(_, _), Topology::Pair(_, _)]));
    call.fork("a", 180, None);
    assert_eq!(call.heard().len(), 2);
}

#[test]
fn of_two_forks_with_early_media_the_one_that_answers_is_heard() {
    for (answering, with_sdp, port) in
        [("a", false, 20_400), ("a", true, 20_400), ("b", false, 20_500), ("b", true, 20_500)]
    {
        let mut call = dialled(Rig::new());
        call.fork("a", 183, Some(&sdp::trunk_answer_from(20_400)));
        assert_eq!(call.remote(), Some(20_400));
        call.fork("b", 183, Some(&sdp::trunk_answer_from(20_500)));
        assert_eq!(call.remote(), Some(20_500), "the latest is heard while nobody has answered");
        let answer = sdp::trunk_answer_from(port);
        call.fork(answering, 200, with_sdp.then_some(answer.as_str()));
        assert_eq!(call.remote(), Some(port), "{answering} answered");
        let ack = request(&call.rig.take(call.trunk.path), Method::Ack);
        assert_eq!(ack.to().tag(), Some(answering));
        assert_eq!(call.rig.kinds().last(), Some(&&EventKind::Established));
    }
}

#[test]
fn a_fork_that_answers_without_ever_having_said_what_to_talk_by_is_ended() {
    let mut call = dialled(Rig::new());
    call.fork("a", 183, Some(&sdp::trunk_answer()));
    call.fork("b", 200, None);
    let sent = call.rig.take(call.trunk.path);
    request(&sent, Method::Ack);
    assert_eq!(request(&sent, Method::Bye).to().tag(), Some("b"));
    last_status(&call.rig.take(call.browser.path), 488);
}

#[test]
fn a_refused_agent_hears_busy_for_a_bounded_time_where_it_is_configured() {
    let mut with = config();
    with.calls.refusal_tone = Duration::from_secs(5);
    let mut call = dialled(Rig::with(with.clone(), 1, 4));
    call.fork("a", 486, None);
    let progress = last_status(&call.rig.take(call.browser.path), 183);
    assert!(!progress.body().is_empty());
    assert!(matches!(call.heard()[..], [Topology::Parked(_, Source::Tone(played))] if *played == with.tones.busy));
    call.rig.advance(Duration::from_secs(4));
    assert!(call.rig.take(call.browser.path).is_empty());
    call.rig.advance(Duration::from_secs(2));
    let refusal = last_status(&call.rig.take(call.browser.path), 486);
    let ack = call.browser.ack(&call.at_browser, &refusal, None);
    call.rig.deliver(call.browser.path, ack);
    call.rig.assert_clean();

    let mut call = dialled(Rig::with(with, 1, 4));
    call.fork("a", 503, None);
    let cancel = call.browser.cancel(&call.at_browser, None);
    call.rig.deliver(call.browser.path, cancel);
    last_status(&call.rig.take(call.browser.path), 487);
    call.rig.assert_clean();
}

fn moved(call: &mut Dialled, to: &str) {
    let builder = Builder::response_to(&call.invite, 302, None, Some("m")).header("Contact", to);
    call.rig.deliver(call.trunk.path, builder.build());
}

#[test]
fn a_302_is_followed_at_the_same_trunk_whatever_host_it_names() {
    let mut call = dialled(Rig::new());
    moved(&mut call, "<sip:1004@198.51.100.66:5099>");
    let invite = request(&call.rig.take(call.trunk.path), Method::Invite);
    assert_eq!(invite.request_uri(), "sip:1004@192.0.2.81:5060");
    assert!(call.rig.take(call.browser.path).is_empty(), "the browser hears nothing of it");
    call.rig.deliver(call.trunk.path, call.trunk.respond(&invite, 200, Some(&sdp::trunk_answer())));
    last_status(&call.rig.take(call.browser.path), 200);
    assert_eq!(call.rig.kinds().last(), Some(&&EventKind::Established));
}

#[test]
fn redirections_in_a_circle_or_without_end_are_given_up() {
    let mut call = dialled(Rig::new());
    moved(&mut call, "<sip:1003@192.0.2.81>");
    last_status(&call.rig.take(call.browser.path), 480);
    call.rig.assert_clean();

    let mut call = dialled(Rig::new());
    let mut followed = 0;
    for number in 2000.. {
        moved(&mut call, &format!("<sip:{number}@192.0.2.81>"));
        let sent = call.rig.take(call.trunk.path);
        let Some(next) = sent.into_iter().find(|m| m.is_request() && m.method() == Method::Invite) else { break };
        call.invite = next;
        followed += 1;
        assert!(followed < 100, "without end");
    }
    assert!((1..=20).contains(&followed), "{followed}");
    last_status(&call.rig.take(call.browser.path), 480);
    call.rig.assert_clean();
}

#[test]
fn a_302_is_refused_where_the_configuration_says_so_or_the_agent_may_not_dial_the_number() {
    let mut refusing = config();
    refusing.trunks[0].follow_redirects = false;
    let mut bounded = config();
    bounded.dns[0].dial = vec!["1003".to_owned()];
    for with in [refusing, bounded] {
        let mut call = dialled(Rig::with(with, 1, 4));
        moved(&mut call, "<sip:1004@192.0.2.81>");
        let refusal = last_status(&call.rig.take(call.browser.path), 480);
        assert!(refusal.header(Name::Contact).is_none(), "{}", first_line(&refusal));
        call.rig.assert_clean();
    }
}
