//! Which of several media addresses a leg uses, and what browsers are asked for.

use std::net::SocketAddr;
use std::time::Instant;

use crosspoint::gateway::{BrowserCodec, Gateway, OpusTerms};
use crosspoint::id::{PortPairId, WorkerId};
use crosspoint::plan::{AudioCodec, AudioPlan, Fingerprint, OpusParams, Order, WorkerSite};
use crosspoint::sip::message::Method;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::peers::{Offered, Ua, request, signed_in};
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
    browser.call(rig, "1003", Some(&sdp::chromium_offer()), &[]);
    let invite = request(&rig.take(Ua::trunk().path), Method::Invite);
    String::from_utf8_lossy(invite.body()).into_owned()
}

/// The answer to an offer of the trunk's, or the refusal.
fn called(rig: &mut Rig, offer: &str) -> Result<String, u16> {
    let browser = signed_in(rig, "5001");
    let mut trunk = Ua::trunk();
    trunk.call(rig, "5001", Some(offer), &[]);
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
        let Offered { invite, .. } = Offered::inbound(&mut rig, "5001");
        let offer = String::from_utf8_lossy(invite.body()).into_owned();
        assert_eq!(offer.contains("maxplaybackrate=8000"), narrowband, "{offer}");
    }
}

/// What a browser of 5001 is offered when the trunk calls it.
fn offered(rig: &mut Rig) -> String {
    let Offered { invite, .. } = Offered::inbound(rig, "5001");
    String::from_utf8_lossy(invite.body()).into_owned()
}

/// What the port of a browser that calls out is opened with; `offer` is the browser's.
fn opened(rig: &mut Rig, offer: &str) -> AudioPlan {
    let mut browser = signed_in(rig, "5001");
    browser.call(rig, "1003", Some(offer), &[]);
    let plan = rig.orders.iter().find_map(|(_, order)| match order {
        Order::OpenBrowser(_, plan) => plan.remote.as_ref(),
        _ => None,
    });
    plan.expect("a browser's port is opened").audio
}

fn opus(plan: AudioPlan) -> OpusParams {
    match plan.codec {
        AudioCodec::Opus(params) => params,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_dn_says_how_opus_is_spoken_before_the_trunk_and_the_trunk_before_the_gateway() {
    let mut with = config();
    with.media.opus = OpusParams { bitrate_bps: 30_000, complexity: 2, fec: true, dtx: false };
    with.trunks[0].opus = OpusTerms { bitrate_bps: Some(20_000), complexity: Some(3), ..OpusTerms::default() };
    with.dns[0].opus = OpusTerms { bitrate_bps: Some(10_000), fec: Some(false), ..OpusTerms::default() };
    let plan = opened(&mut Rig::with(with.clone(), 1, 4), &sdp::chromium_offer());
    assert_eq!(opus(plan), OpusParams { bitrate_bps: 10_000, complexity: 3, fec: false, dtx: false });
    let offer = offered(&mut Rig::with(with.clone(), 1, 4));
    assert!(offer.contains("maxaveragebitrate=10000;useinbandfec=0\r\n"), "{offer}");
    with.dns[0].opus = OpusTerms::default();
    let plan = opened(&mut Rig::with(with, 1, 4), &sdp::chromium_offer());
    assert_eq!(opus(plan), OpusParams { bitrate_bps: 20_000, complexity: 3, fec: true, dtx: false });
}

#[test]
fn pauses_are_offered_where_configured_and_made_where_the_browser_takes_them_too() {
    let takes = sdp::chromium_offer().replace("useinbandfec=1", "useinbandfec=1;usedtx=1");
    for (configured, offer, made) in
        [(true, &takes, true), (true, &sdp::chromium_offer(), false), (false, &takes, false)]
    {
        let mut with = config();
        with.trunks[0].opus.dtx = Some(configured);
        assert_eq!(opus(opened(&mut Rig::with(with.clone(), 1, 4), offer)).dtx, made);
        let told = offered(&mut Rig::with(with, 1, 4));
        assert_eq!(told.contains("usedtx=1"), configured, "{told}");
    }
}

#[test]
fn packets_of_40_ms_are_asked_for_and_sent_unless_the_browser_wants_others() {
    let mut with = config();
    with.dns[0].opus.ptime_ms = Some(40);
    let told = offered(&mut Rig::with(with.clone(), 1, 4));
    assert!(told.contains("a=ptime:40\r\n"), "{told}");
    let plan = opened(&mut Rig::with(with.clone(), 1, 4), &sdp::chromium_offer());
    assert_eq!(plan.ptime_ms, 40);
    let wants = sdp::chromium_offer() + "a=ptime:20\r\n";
    assert_eq!(opened(&mut Rig::with(with.clone(), 1, 4), &wants).ptime_ms, 20);
    let mut at_most = sdp::chromium_offer();
    at_most.push_str("a=maxptime:20\r\n");
    assert_eq!(opened(&mut Rig::with(with, 1, 4), &at_most).ptime_ms, 20);
}

#[test]
fn a_dn_with_g711_first_is_joined_without_a_codec_of_ours() {
    let mut with = config();
    with.dns[0].codecs = vec![BrowserCodec::Pcmu, BrowserCodec::Opus];
    with.dns[0].opus.ptime_ms = Some(40);
    let told = offered(&mut Rig::with(with.clone(), 1, 4));
    assert!(told.contains("UDP/TLS/RTP/SAVPF 0 111 "), "{told}");
    assert!(told.contains("a=ptime:20\r\n"), "40 ms is for Opus alone: {told}");
    let plan = opened(&mut Rig::with(with, 1, 4), &sdp::chromium_offer());
    assert_eq!((plan.codec, plan.ptime_ms), (AudioCodec::Pcmu, 20));
}

#[test]
fn of_the_two_laws_that_of_the_trunk_goes_first() {
    let mut with = config();
    with.trunks[0].codecs = vec![AudioCodec::Pcma, AudioCodec::Pcmu];
    with.dns[0].codecs = vec![BrowserCodec::Pcmu, BrowserCodec::Opus, BrowserCodec::Pcma];
    let told = offered(&mut Rig::with(with.clone(), 1, 4));
    assert!(told.contains("UDP/TLS/RTP/SAVPF 8 111 0 "), "{told}");
    assert_eq!(opened(&mut Rig::with(with, 1, 4), &sdp::chromium_offer()).codec, AudioCodec::Pcma);
}

#[test]
fn a_dn_without_opus_neither_offers_nor_takes_it() {
    let mut with = config();
    with.dns[0].codecs = vec![BrowserCodec::Pcmu];
    let told = offered(&mut Rig::with(with.clone(), 1, 4));
    assert!(!told.contains("opus"), "{told}");
    let mut rig = Rig::with(with, 1, 4);
    let mut browser = signed_in(&mut rig, "5001");
    let only = sdp::chromium_offer().replace("SAVPF 111 63 9 0 8 13 110 126", "SAVPF 111 110");
    browser.call(&mut rig, "1003", Some(&only), &[]);
    assert_eq!(rig.take(browser.path).last().unwrap().status(), 488);
    rig.assert_clean();
}
