//! Which of several media addresses a leg uses, and what browsers are asked for.

use std::net::SocketAddr;
use std::time::Instant;

use crosspoint::gateway::Gateway;
use crosspoint::id::{PortPairId, WorkerId};
use crosspoint::plan::{Fingerprint, WorkerSite};
use crosspoint::sip::message::Method;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::peers::{Ua, request, signed_in};
use crate::rig::{Rig, config};
use crate::sdp;

const FIRST: &str = "192.0.2.54";
const SECOND: &str = "203.0.113.54";
const SIX: &str = "2001:db8::54";

/// A rig whose one worker has three media addresses, the less preferred ones reported first.
fn rig(named: Option<&str>) -> Rig {
    let mut with = config();
    with.trunks[0].media = named.map(|ip| ip.parse().unwrap());
    let candidates = [SIX, FIRST, SECOND].map(|ip| SocketAddr::new(ip.parse().unwrap(), 10_000));
    let site = WorkerSite { worker: WorkerId(0), candidates: candidates.to_vec() };
    let mut rig = Rig::with(with.clone(), 1, 0);
    rig.gateway = Gateway::new(with, vec![site], Fingerprint([7; 32]), StdRng::seed_from_u64(1), Instant::now());
    rig.announce(
        [SECOND, FIRST, SIX]
            .iter()
            .enumerate()
            .map(|(at, ip)| (PortPairId(at as u64), SocketAddr::new(ip.parse().unwrap(), 11_000))),
    );
    rig
}

fn dialled(rig: &mut Rig) -> String {
    let mut browser = signed_in(rig, "5001");
    let call = browser.invite("1003", Some(&sdp::chromium_offer()), &[]);
    rig.deliver(browser.path, call.invite.raw().clone());
    let invite = request(&rig.take(Ua::trunk().path), Method::Invite);
    String::from_utf8_lossy(invite.body()).into_owned()
}

/// The answer to an offer of the trunk's, or the refusal.
fn called(rig: &mut Rig, offer: &str) -> Result<String, u16> {
    let browser = signed_in(rig, "5001");
    let mut trunk = Ua::trunk();
    let call = trunk.invite("5001", Some(offer), &[]);
    rig.deliver(trunk.path, call.invite.raw().clone());
    let Some(invite) = rig.take(browser.path).into_iter().find(|m| m.is_request()) else {
        return Err(rig.take(trunk.path).last().unwrap().status());
    };
    rig.deliver(browser.path, browser.respond(&invite, 200, Some(&sdp::chromium_answer())));
    let ok = rig.take(trunk.path).into_iter().find(|m| m.status() == 200).unwrap();
    Ok(String::from_utf8_lossy(ok.body()).into_owned())
}

#[test]
fn the_first_media_address_of_the_trunks_family_is_used_whatever_ports_were_ready_first() {
    let offer = dialled(&mut rig(None));
    assert!(offer.contains(&format!("c=IN IP4 {FIRST}\r\n")), "{offer}");
}

#[test]
fn a_trunk_uses_the_media_address_that_it_names() {
    let offer = dialled(&mut rig(Some(SECOND)));
    assert!(offer.contains(&format!("c=IN IP4 {SECOND}\r\n")), "{offer}");
    let answer = called(&mut rig(Some(SECOND)), &sdp::genesys_offer()).unwrap();
    assert!(answer.contains(&format!("c=IN IP4 {SECOND}\r\n")), "{answer}");
}

#[test]
fn an_offer_of_ipv6_is_answered_with_ipv6() {
    let six = sdp::genesys_offer().replace("c=IN IP4 192.0.2.90", "c=IN IP6 2001:db8::90");
    let answer = called(&mut rig(None), &six).unwrap();
    assert!(answer.contains(&format!("c=IN IP6 {SIX}\r\n")), "{answer}");
    assert_eq!(called(&mut rig(Some(FIRST)), &six), Err(488), "the address is prescribed, and of the other family");
}

#[test]
fn without_a_pair_at_the_address_that_is_due_there_is_503_though_others_are_free() {
    let mut rig = rig(Some(SECOND));
    called(&mut rig, &sdp::genesys_offer()).unwrap();
    assert_eq!(called(&mut rig, &sdp::genesys_offer()), Err(503));
}

#[test]
fn browsers_are_asked_for_narrow_band_unless_the_configuration_says_otherwise() {
    for narrowband in [true, false] {
        let mut with = config();
        with.media.narrowband = narrowband;
        let mut rig = Rig::with(with, 1, 4);
        let browser = signed_in(&mut rig, "5001");
        let mut trunk = Ua::trunk();
        let call = trunk.invite("5001", Some(&sdp::genesys_offer()), &[]);
        rig.deliver(trunk.path, call.invite.raw().clone());
        let invite = request(&rig.take(browser.path), Method::Invite);
        let offer = String::from_utf8_lossy(invite.body()).into_owned();
        assert_eq!(offer.contains("maxplaybackrate=8000"), narrowband, "{offer}");
    }
}
