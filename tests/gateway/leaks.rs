//! What is left when it is over: nothing, however often.

use std::time::Duration;

use crosspoint::sip::message::Method;

use crate::peers::{Talk, Ua, inbound_to, last_status, request, signed_in};
use crate::rig::{PASSWORD, Rig, config};
use crate::sdp;

const CALLS: usize = 20_000;

/// The customer hangs up.
fn end(rig: &mut Rig, mut talk: Talk) -> Ua {
    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    rig.deliver(talk.trunk.path, bye);
    let bye = request(&rig.take(talk.browser.path), Method::Bye);
    rig.deliver(talk.browser.path, talk.browser.respond(&bye, 200, None));
    rig.take(talk.trunk.path);
    talk.browser
}

/// The browser calls and gives up while it rings.
fn give_up(rig: &mut Rig, mut browser: Ua) -> Ua {
    let call = browser.call(rig, "1003", Some(&sdp::chromium_offer()), &[]);
    let trunk = Ua::trunk();
    let invite = request(&rig.take(trunk.path), Method::Invite);
    rig.deliver(trunk.path, trunk.respond(&invite, 180, None));
    let cancel = browser.cancel(&call, None);
    rig.deliver(browser.path, cancel);
    let cancelled = request(&rig.take(trunk.path), Method::Cancel);
    rig.deliver(trunk.path, trunk.respond(&cancelled, 200, None));
    rig.deliver(trunk.path, trunk.respond(&invite, 487, None));
    let refusal = last_status(&rig.take(browser.path), 487);
    let ack = browser.ack(&call, &refusal, None);
    rig.deliver(browser.path, ack);
    rig.take(trunk.path);
    browser
}

/// The trunk refuses.
fn refused(rig: &mut Rig, mut browser: Ua) -> Ua {
    let call = browser.call(rig, "1003", Some(&sdp::chromium_offer()), &[]);
    let trunk = Ua::trunk();
    let invite = request(&rig.take(trunk.path), Method::Invite);
    rig.deliver(trunk.path, trunk.respond(&invite, 486, None));
    let refusal = last_status(&rig.take(browser.path), 486);
    let ack = browser.ack(&call, &refusal, None);
    rig.deliver(browser.path, ack);
    rig.take(trunk.path);
    browser
}

#[test]
fn twenty_thousand_calls_leave_every_table_as_it_was() {
    let mut rig = Rig::with(config(), 2, 4);
    let mut browser = signed_in(&mut rig, "5001");
    assert_eq!(rig.snapshot().entries, 0);
    for round in 1..=CALLS {
        browser = match round % 4 {
            0 => give_up(&mut rig, browser),
            1 => refused(&mut rig, browser),
            _ => {
                let talk = inbound_to(&mut rig, browser);
                end(&mut rig, talk)
            }
        };
        if round % 1000 == 0 {
            rig.advance(Duration::from_secs(70));
            assert_eq!(browser.sign_in(&mut rig, PASSWORD).status(), 200);
            let snapshot = rig.snapshot();
            assert_eq!((snapshot.entries, snapshot.transactions, snapshot.sessions), (0, 0, 0), "after {round} calls");
            assert_eq!((snapshot.registrations.len(), snapshot.flows), (1, 1));
            rig.assert_clean();
            // What the test itself keeps.
            rig.events.clear();
            rig.orders.clear();
            rig.ledger.clear();
        }
    }
    assert_eq!(rig.snapshot().counters.calls, CALLS as u64);
}
