//! WebSocket lost, page reloaded, network changed in mid-call: the call goes on, and the trunk hears nothing of it.

use std::time::Duration;

use crosspoint::call::{EventKind, ReleaseCause};
use crosspoint::gateway::Input;
use crosspoint::path::Path;
use crosspoint::plan::{Order, Report, Topology};
use crosspoint::sip::message::{Message, Method, Name};

use crate::peers::{
    Dialog, Offered, Talk, Ua, inbound_call, inbound_to, last_status, outbound_call, request, signed_in,
};
use crate::rig::{PASSWORD, Rig, config};
use crate::sdp;

const GRACE: Duration = Duration::from_secs(20);

fn close(rig: &mut Rig, path: Path) {
    rig.input(Input::FlowClosed(path.flow().unwrap()));
}

fn sign_in(rig: &mut Rig, ua: &mut Ua) {
    assert_eq!(ua.sign_in(rig, PASSWORD).status(), 200);
}

fn has(messages: &[Message], method: Method) -> bool {
    messages.iter().any(|m| m.is_request() && m.method() == method)
}

fn is_over(rig: &Rig) -> bool {
    rig.kinds().iter().any(|kind| matches!(kind, EventKind::Released { .. }))
}

/// Answers the question whether a phone knows its dialog.
fn asked(rig: &mut Rig, ua: &Ua, status: u16) -> Message {
    let info = request(&rig.take(ua.path), Method::Info);
    assert!(info.body().is_empty() && info.to().tag().is_some(), "in the dialog, and about nothing");
    rig.deliver(ua.path, ua.respond(&info, status, None));
    info
}

/// A phone whose calls are given back, in a call.
fn resumable() -> (Rig, Talk) {
    let mut rig = Rig::with(config(), 2, 4);
    let mut browser = Ua::browser(&mut rig, "5001");
    browser.resumes = true;
    sign_in(&mut rig, &mut browser);
    let talk = inbound_to(&mut rig, browser);
    (rig, talk)
}

/// Lets the page of a call be reloaded up to the INVITE that gives it the call back.
fn invited_again(rig: &mut Rig, talk: &Talk) -> (Ua, Message) {
    close(rig, talk.browser.path);
    let mut page = talk.browser.reloaded(rig);
    sign_in(rig, &mut page);
    asked(rig, &page, 404);
    let invite = request(&rig.take(page.path), Method::Invite);
    (page, invite)
}

/// The page takes the call; returns its new dialog.
fn takes(rig: &mut Rig, page: &Ua, invite: &Message) -> Dialog {
    rig.deliver(page.path, page.respond(invite, 200, Some(&sdp::chromium_answer())));
    let sent = rig.take(page.path);
    request(&sent, Method::Ack);
    for bye in sent.iter().filter(|m| m.is_request() && m.method() == Method::Bye) {
        rig.deliver(page.path, page.respond(bye, 481, None));
    }
    page.dialog_of(invite)
}

#[test]
fn a_lost_websocket_is_taken_up_by_the_next_connection_of_its_instance() {
    for status in [200, 415, 469, 501] {
        let mut rig = Rig::new();
        let mut talk = inbound_call(&mut rig);
        close(&mut rig, talk.browser.path);
        rig.advance(Duration::from_secs(5));
        let mut back = talk.browser.reconnected(&mut rig);
        sign_in(&mut rig, &mut back);
        asked(&mut rig, &back, status);
        rig.advance(Duration::from_secs(100));
        assert!(rig.take(talk.trunk.path).is_empty(), "the trunk hears nothing");
        assert_eq!((rig.snapshot().calls.len(), rig.snapshot().counters.rebound), (1, 1));
        let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
        rig.deliver(talk.trunk.path, bye);
        request(&rig.take(back.path), Method::Bye);
        rig.assert_clean();
    }
}

#[test]
fn a_change_of_network_is_taken_up_before_the_old_connection_is_known_to_be_dead() {
    for keeps_instance in [true, false] {
        let mut rig = Rig::new();
        let mut browser = Ua::browser(&mut rig, "5001");
        if !keeps_instance {
            browser.instance.clear();
        }
        sign_in(&mut rig, &mut browser);
        let talk = inbound_to(&mut rig, browser);
        let mut back = talk.browser.reconnected(&mut rig);
        sign_in(&mut rig, &mut back);
        asked(&mut rig, &back, 200);
        close(&mut rig, talk.browser.path);
        rig.advance(Duration::from_secs(60));
        assert!(!is_over(&rig) && rig.take(talk.trunk.path).is_empty());
    }
}

#[test]
fn a_phone_without_an_instance_is_known_by_its_dn_where_that_has_one_binding() {
    let mut rig = Rig::new();
    let mut browser = Ua::browser(&mut rig, "5001");
    browser.instance.clear();
    sign_in(&mut rig, &mut browser);
    let talk = inbound_to(&mut rig, browser);
    close(&mut rig, talk.browser.path);
    let mut back = Ua { instance: String::new(), ..Ua::browser(&mut rig, "5001") };
    sign_in(&mut rig, &mut back);
    asked(&mut rig, &back, 200);
    rig.advance(Duration::from_secs(60));
    assert!(!is_over(&rig) && rig.take(talk.trunk.path).is_empty());
}

#[test]
fn another_phone_of_the_dn_or_the_same_instance_of_another_dn_takes_nothing() {
    let (mut rig, talk) = resumable();
    let mut tab = Ua { resumes: true, ..Ua::browser(&mut rig, "5001") };
    sign_in(&mut rig, &mut tab);
    close(&mut rig, talk.browser.path);
    let mut reloaded = tab.reloaded(&mut rig);
    sign_in(&mut rig, &mut reloaded);
    let mut thief = Ua { user: "5002".to_owned(), ..talk.browser.reloaded(&mut rig) };
    sign_in(&mut rig, &mut thief);
    let mut third = Ua { resumes: true, ..Ua::browser(&mut rig, "5001") };
    sign_in(&mut rig, &mut third);
    for ua in [&tab, &reloaded, &thief, &third] {
        assert!(!rig.take(ua.path).iter().any(Message::is_request));
    }
    let mut page = talk.browser.reloaded(&mut rig);
    sign_in(&mut rig, &mut page);
    asked(&mut rig, &page, 481);
    assert!(has(&rig.take(page.path), Method::Invite));
}

#[test]
fn a_request_in_the_dialog_by_another_connection_of_the_dn_binds_it_and_a_strangers_does_not() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let other = signed_in(&mut rig, "5001");
    let stranger = Ua::browser(&mut rig, "5001");
    close(&mut rig, talk.browser.path);
    for (ua, bound) in [(stranger, 0), (other, 1)] {
        let info = talk.browser.within(&mut talk.at_browser, Method::Info, &[], None);
        rig.deliver(ua.path, info);
        last_status(&rig.take(ua.path), 200);
        assert_eq!(rig.snapshot().counters.rebound, bound);
    }
    rig.advance(Duration::from_secs(60));
    assert!(!is_over(&rig) && rig.take(talk.trunk.path).is_empty());
}

#[test]
fn a_reloaded_page_gets_its_call_back_on_the_same_worker_and_the_trunk_hears_nothing() {
    let (mut rig, talk) = resumable();
    let (old, worker) =
        rig.ports.iter().find(|(_, port)| port.pair.is_none()).map(|(leg, p)| (*leg, p.worker)).unwrap();
    let (trunk, _) = rig.ports.iter().find(|(_, port)| port.pair.is_some()).map(|(leg, p)| (*leg, p.worker)).unwrap();
    rig.orders.clear();
    let (mut page, invite) = invited_again(&mut rig, &talk);
    let resume = invite.extension("X-Crosspoint-Resume").unwrap();
    assert_eq!(resume, rig.snapshot().calls[0].call.0.to_string().as_bytes());
    assert_eq!(invite.from().uri, "sip:1003@gw.test");
    let mut dialog = takes(&mut rig, &page, &invite);
    let Some((at, Order::OpenBrowser(new, _))) = rig.orders.first().cloned() else { panic!("{:?}", rig.orders) };
    assert_eq!((at, new != old), (worker, true));
    assert!(rig.orders.contains(&(worker, Order::Connect(Topology::Pair(trunk, new)))), "{:?}", rig.orders);
    assert!(rig.orders.contains(&(worker, Order::Close(old))));
    rig.advance(Duration::from_secs(100));
    assert!(rig.take(talk.trunk.path).is_empty(), "the trunk hears nothing");
    assert_eq!((rig.snapshot().calls.len(), rig.snapshot().counters.resumed, rig.ports.len()), (1, 1, 2));
    let bye = page.within(&mut dialog, Method::Bye, &[], None);
    rig.deliver(page.path, bye);
    request(&rig.take(talk.trunk.path), Method::Bye);
    assert!(matches!(rig.kinds().last(), Some(EventKind::Released { cause: ReleaseCause::Agent, .. })));
    rig.assert_clean();
}

#[test]
fn a_call_that_the_browser_made_is_given_back_as_one_from_the_number_that_it_dialled() {
    let mut rig = Rig::new();
    let mut talk = outbound_call(&mut rig);
    talk.browser.resumes = true;
    let (page, invite) = invited_again(&mut rig, &talk);
    assert_eq!((invite.from().uri, invite.to().uri), ("sip:1003@gw.test", "sip:5001@gw.test"));
    takes(&mut rig, &page, &invite);
    rig.advance(Duration::from_secs(60));
    assert!(!is_over(&rig) && rig.take(talk.trunk.path).is_empty());
}

#[test]
fn a_phone_of_another_make_is_given_its_call_back_only_where_its_dn_lets_it() {
    for lets in [false, true] {
        let mut with = config();
        with.dns[0].resume = lets;
        let mut rig = Rig::with(with, 1, 4);
        let talk = inbound_call(&mut rig);
        close(&mut rig, talk.browser.path);
        let mut page = talk.browser.reloaded(&mut rig);
        sign_in(&mut rig, &mut page);
        asked(&mut rig, &page, 481);
        let sent = rig.take(page.path);
        assert_eq!(has(&sent, Method::Invite), lets);
        if lets {
            let invite = request(&sent, Method::Invite);
            let text = String::from_utf8_lossy(invite.raw()).into_owned();
            assert!(text.contains(";answer-after=0") && text.contains(";info=alert-autoanswer"), "{text}");
        } else {
            rig.advance(GRACE - Duration::from_secs(1));
            assert!(rig.take(talk.trunk.path).is_empty());
            rig.advance(Duration::from_secs(2));
            request(&rig.take(talk.trunk.path), Method::Bye);
            rig.assert_clean();
        }
    }
}

#[test]
fn a_call_on_hold_is_on_hold_after_the_reload() {
    let (mut rig, mut talk) = resumable();
    let hold = sdp::chromium("sendonly", "kX3v", 3, "actpass");
    let bytes = talk.browser.within(&mut talk.at_browser, Method::Invite, &[], Some(("application/sdp", &hold)));
    rig.deliver(talk.browser.path, bytes);
    let ok = last_status(&rig.take(talk.browser.path), 200);
    let ack = talk.browser.ack(&talk.at_browser, &ok, None);
    rig.deliver(talk.browser.path, ack);
    let held = request(&rig.take(talk.trunk.path), Method::Invite);
    rig.deliver(talk.trunk.path, talk.trunk.respond(&held, 200, Some(&sdp::trunk_answer())));
    rig.take(talk.trunk.path);
    rig.orders.clear();
    let (mut page, invite) = invited_again(&mut rig, &talk);
    let resume = String::from_utf8_lossy(invite.extension("X-Crosspoint-Resume").unwrap()).into_owned();
    assert!(resume.ends_with(";held"), "{resume}");
    let mut dialog = takes(&mut rig, &page, &invite);
    let joins = |rig: &Rig| rig.orders.iter().any(|(_, o)| matches!(o, Order::Connect(Topology::Pair(..))));
    assert!(!joins(&rig), "{:?}", rig.orders);
    // The page says to its own end what is so already, then takes the customer back.
    for (direction, version) in [("sendonly", 3), ("sendrecv", 4)] {
        assert!(rig.take(talk.trunk.path).is_empty(), "the trunk hears nothing");
        let offer = sdp::chromium(direction, "kX3v", version, "actpass");
        let bytes = page.within(&mut dialog, Method::Invite, &[], Some(("application/sdp", &offer)));
        rig.deliver(page.path, bytes);
        let ok = last_status(&rig.take(page.path), 200);
        let ack = page.ack(&dialog, &ok, None);
        rig.deliver(page.path, ack);
    }
    let retrieved = request(&rig.take(talk.trunk.path), Method::Invite);
    rig.deliver(talk.trunk.path, talk.trunk.respond(&retrieved, 200, Some(&sdp::trunk_answer())));
    assert!(joins(&rig));
}

#[test]
fn a_reload_while_it_rings_is_rung_anew() {
    let mut rig = Rig::new();
    let Offered { browser, mut trunk, mut call, invite: first } = Offered::ringing(&mut rig, "5001");
    last_status(&rig.take(trunk.path), 180);
    close(&mut rig, browser.path);
    rig.advance(Duration::from_secs(3));
    let mut page = browser.reloaded(&mut rig);
    sign_in(&mut rig, &mut page);
    let sent = rig.take(page.path);
    // JsSIP would ring on but for the BYE, SIP.js but for the CANCEL; a page that was reloaded knows neither.
    assert_eq!(request(&sent, Method::Cancel).call_id(), first.call_id());
    assert_eq!(request(&sent, Method::Bye).call_id(), first.call_id());
    let second = request(&sent, Method::Invite);
    assert!(second.call_id() != first.call_id() && second.extension("X-Crosspoint-Resume").is_none());
    assert!(rig.take(trunk.path).iter().all(|m| m.status() < 200), "the trunk is still told that it rings");
    rig.deliver(page.path, page.respond(&second, 180, None));
    rig.deliver(page.path, page.respond(&second, 200, Some(&sdp::chromium_answer())));
    trunk.acknowledge(&mut rig, &mut call);
    rig.advance(Duration::from_secs(100));
    assert!(!is_over(&rig));
    assert_eq!(rig.ports.len(), 2);
}

#[test]
fn a_phone_that_rang_and_does_not_come_back_is_480_after_the_grace() {
    let mut rig = Rig::new();
    let Offered { browser, trunk, .. } = Offered::ringing(&mut rig, "5001");
    close(&mut rig, browser.path);
    rig.advance(GRACE - Duration::from_secs(1));
    assert!(rig.take(trunk.path).iter().all(|m| m.status() < 200));
    rig.advance(Duration::from_secs(2));
    last_status(&rig.take(trunk.path), 480);
    rig.assert_clean();
    rig.advance(Duration::from_secs(100));
    assert_eq!((rig.snapshot().transactions, rig.snapshot().sessions), (0, 0));
}

#[test]
fn a_phone_that_dials_goes_on_where_it_can_and_its_call_is_cancelled_where_it_cannot() {
    for (status, goes_on) in [(469, true), (481, false)] {
        let mut rig = Rig::new();
        let Offered { browser, trunk, mut call, invite } = Offered::outbound(&mut rig, "1003");
        rig.deliver(trunk.path, trunk.respond(&invite, 180, None));
        close(&mut rig, browser.path);
        let mut back = Ua { resumes: true, ..browser.reconnected(&mut rig) };
        sign_in(&mut rig, &mut back);
        asked(&mut rig, &back, status);
        assert_eq!(has(&rig.take(trunk.path), Method::Cancel), !goes_on);
        if goes_on {
            rig.deliver(trunk.path, trunk.respond(&invite, 200, Some(&sdp::trunk_answer())));
            back.acknowledge(&mut rig, &mut call);
            rig.advance(Duration::from_secs(60));
            assert!(!is_over(&rig));
        } else {
            rig.assert_clean();
        }
    }
}

#[test]
fn neither_an_unregister_nor_lost_consent_ends_a_call_before_the_grace_is_over() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let (leg, worker) = rig.ports.iter().find(|(_, port)| port.pair.is_none()).map(|(l, p)| (*l, p.worker)).unwrap();
    assert_eq!(talk.browser.sign_in_for(&mut rig, PASSWORD, 0).status(), 200);
    assert!(rig.snapshot().registrations.is_empty());
    close(&mut rig, talk.browser.path);
    rig.input(Input::Media(worker, Report::ConsentLost(leg)));
    rig.advance(GRACE - Duration::from_secs(1));
    assert!(!is_over(&rig) && rig.take(talk.trunk.path).is_empty());
    rig.advance(Duration::from_secs(2));
    assert!(matches!(rig.kinds().last(), Some(EventKind::Released { cause: ReleaseCause::FlowLost, .. })));
    rig.assert_clean();
}

#[test]
fn a_page_that_is_reloaded_twice_is_given_its_call_back_once() {
    let (mut rig, talk) = resumable();
    let (page, first) = invited_again(&mut rig, &talk);
    rig.deliver(page.path, page.respond(&first, 180, None));
    close(&mut rig, page.path);
    let mut again = page.reloaded(&mut rig);
    sign_in(&mut rig, &mut again);
    asked(&mut rig, &again, 404);
    let second = request(&rig.take(again.path), Method::Invite);
    takes(&mut rig, &again, &second);
    rig.advance(Duration::from_secs(100));
    assert!(!is_over(&rig) && rig.take(talk.trunk.path).is_empty());
    assert_eq!((rig.ports.len(), rig.snapshot().sessions), (2, 2));
}

#[test]
fn a_page_that_will_not_have_its_call_back_loses_it_when_the_grace_is_over() {
    let (mut rig, talk) = resumable();
    let (page, invite) = invited_again(&mut rig, &talk);
    rig.deliver(page.path, page.respond(&invite, 486, None));
    rig.advance(Duration::from_secs(1));
    assert!(!is_over(&rig));
    rig.advance(GRACE);
    request(&rig.take(talk.trunk.path), Method::Bye);
    rig.assert_clean();
}

#[test]
fn a_customer_who_hangs_up_while_the_page_is_away_ends_the_call() {
    let (mut rig, mut talk) = resumable();
    let (page, _) = invited_again(&mut rig, &talk);
    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(talk.trunk.path, bye);
    last_status(&rig.take(talk.trunk.path), 200);
    rig.advance(Duration::from_secs(100));
    assert!(rig.take(page.path).iter().all(|m| m.is_request()));
    rig.assert_clean();
    assert_eq!((rig.snapshot().transactions, rig.snapshot().sessions), (0, 0));
}

#[test]
fn an_answer_whose_ack_was_lost_with_the_connection_is_sent_again_down_the_next_one() {
    let mut rig = Rig::new();
    let Offered { browser, trunk, mut call, invite } = Offered::outbound(&mut rig, "1003");
    rig.deliver(trunk.path, trunk.respond(&invite, 200, Some(&sdp::trunk_answer())));
    close(&mut rig, browser.path);
    let mut back = browser.reconnected(&mut rig);
    sign_in(&mut rig, &mut back);
    asked(&mut rig, &back, 200);
    rig.advance(Duration::from_secs(5));
    let ok = back.acknowledge(&mut rig, &mut call);
    rig.advance(Duration::from_secs(60));
    assert!(!is_over(&rig));
    assert_eq!(ok.header(Name::CallId), call.invite.header(Name::CallId));
}
