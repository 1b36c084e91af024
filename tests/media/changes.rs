//! What changes in mid-call: addresses, codecs, packet lengths, who is heard; without a click, on one SSRC and one clock.

use std::net::SocketAddr;
use std::time::Duration;

use crosspoint::media::Discard;
use crosspoint::plan::*;

use crate::peer::{another, check, connected, from_home, to_home};
use crate::rig::*;

const OPUS: AudioCodec = AudioCodec::Opus(OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false });
const ULAW: AudioCodec = AudioCodec::Pcmu;
const ALAW: AudioCodec = AudioCodec::Pcma;
const HZ: f64 = 400.0;

fn at(rtp: &str, audio: AudioPlan) -> RtpRemote {
    let rtp: SocketAddr = rtp.parse().expect("an address");
    RtpRemote { rtp, rtcp: SocketAddr::new(rtp.ip(), rtp.port() + 1), audio }
}

fn with(codec: AudioCodec, change: impl FnOnce(&mut AudioPlan)) -> AudioPlan {
    let mut plan = plan(codec);
    change(&mut plan);
    plan
}

/// Asserts that the source and its numbers go on, and its clock by the length of each packet.
fn assert_one_stream(heard: &[Heard], per_packet: impl Fn(&Heard) -> u32) {
    for two in heard.windows(2) {
        assert_eq!(two[1].header.ssrc, two[0].header.ssrc);
        assert_eq!(two[1].header.seq, two[0].header.seq.wrapping_add(1));
        let step = two[1].header.timestamp.wrapping_sub(two[0].header.timestamp);
        assert_eq!(step, per_packet(&two[0]), "at {}", two[1].header.seq);
    }
}

#[test]
fn the_trunk_changes_address_codec_numbers_and_ptime_without_a_click_in_what_it_hears() {
    for from in [OPUS, ULAW] {
        let mut rig = Rig::new(plan(from), plan(ULAW));
        let mut speaker = Speaker::new(A, plan(from), HZ);
        let changes = [
            remote(B, plan(ALAW)),
            remote(B, with(ALAW, |plan| plan.ptime_ms = 30)),
            at("10.0.9.9:7000", with(ALAW, |plan| plan.ptime_ms = 30)),
            at("10.0.9.9:7000", with(ULAW, |plan| plan.ptime_ms = 10)),
            at("10.0.9.9:7000", with(ULAW, |plan| (plan.send_pt, plan.recv_pt) = (Pt(96), Pt(96)))),
            remote(B, plan(ULAW)),
        ];
        let mut pcm = Vec::new();
        let mut heard = Vec::new();
        let mut marks = 0;
        for change in std::iter::once(remote(B, plan(ULAW))).chain(changes) {
            rig.order(Order::UpdateRtp(B, change));
            for _ in 0..25 {
                speaker.speak(&mut rig, 20);
            }
            for (to, packet) in rig.heard_anywhere(B) {
                assert_eq!((to, packet.header.pt), (change.rtp, change.audio.send_pt), "as negotiated");
                pcm.extend(decode(change.audio.codec, std::slice::from_ref(&packet)));
                marks += u32::from(packet.header.marker);
                heard.push(packet);
            }
        }
        assert_one_stream(&heard, |packet| packet.payload.len() as u32);
        assert!((5..=6).contains(&marks), "{marks} of the beginning and the changes of codec or address");
        assert_smooth(&pcm[1600..], &[HZ]);
        assert_sine(&pcm[1600..], HZ);
    }
}

#[test]
fn the_trunk_changes_its_codec_and_what_was_on_its_way_is_still_heard() {
    for to in [OPUS, ULAW] {
        let mut rig = Rig::new(plan(to), plan(ULAW));
        let mut speaker = Speaker::new(B, plan(ULAW), HZ);
        for (from, now) in [(ULAW, ALAW), (ALAW, ULAW)] {
            for _ in 0..25 {
                speaker.speak(&mut rig, 20);
            }
            rig.order(Order::UpdateRtp(B, remote(B, plan(now))));
            // It has not got our answer yet.
            speaker.change(plan(from));
            for _ in 0..5 {
                speaker.speak(&mut rig, 20);
            }
            speaker.change(plan(now));
        }
        for _ in 0..25 {
            speaker.speak(&mut rig, 20);
        }
        let heard = rig.heard(A);
        assert_eq!(heard.len(), 85);
        assert_unbroken(&heard, if to == OPUS { 960 } else { 160 });
        let pcm = decode(to, &heard);
        assert_sine(&pcm[1600..], HZ);
        if to == ULAW {
            assert_smooth(&pcm, &[HZ]);
        }
        assert_eq!(rig.engine.counters().discards.total(), 0);
    }
}

#[test]
fn a_former_codec_is_not_understood_for_ever() {
    let mut rig = Rig::new(plan(OPUS), plan(ULAW));
    let mut speaker = Speaker::new(B, plan(ULAW), HZ);
    speaker.speak(&mut rig, 20);
    rig.order(Order::UpdateRtp(B, remote(B, plan(ALAW))));
    rig.pass(Duration::from_secs(11));
    rig.heard(A);
    speaker.speak(&mut rig, 20);
    assert!(rig.heard(A).is_empty());
    assert_eq!(rig.engine.counters().discards.get(Discard::PayloadType), 1);
}

#[test]
fn a_key_is_heard_once_though_its_number_changes_while_it_is_down() {
    let event = |pt| Some(EventFormat { pt: Pt(pt), clock_hz: 8000 });
    let mut rig = Rig::new(plan(ULAW), plan(ULAW));
    let (mut header, _) = Speaker::new(B, plan(ULAW), HZ).next(20);
    for k in 1..=10u16 {
        if k == 5 {
            let changed = with(ULAW, |plan| (plan.send_event, plan.recv_events) = (event(97), [event(97), None]));
            rig.order(Order::UpdateRtp(B, remote(B, changed)));
        }
        // The peer goes over to the new number three packets later.
        (header.pt, header.marker) = (Pt(if k < 8 { 101 } else { 97 }), k == 1);
        header.seq = header.seq.wrapping_add(1);
        let duration = (k.min(8) * 160).to_be_bytes();
        rig.arrive(B, header, &[4, if k >= 8 { 0x8a } else { 10 }, duration[0], duration[1]]);
        rig.pass(Duration::from_millis(20));
    }
    rig.pass(Duration::from_millis(200));
    let keys: Vec<_> = rig.heard(A);
    assert!(keys.iter().all(|key| key.header.pt == Pt(101) && key.payload[0] == 4));
    assert_eq!(keys.iter().filter(|key| key.header.marker).count(), 1);
    let reports = rig.reports();
    assert_eq!(reports, [Report::Digit(B, Digit { event: 4, duration: Duration::from_millis(160) })]);
    // What it is sent bears its new number.
    rig.order(Order::SendDigit(B, Digit { event: 1, duration: Duration::from_millis(80) }));
    rig.pass(Duration::from_millis(200));
    assert!(rig.heard(B).iter().all(|key| key.header.pt == Pt(97)));
}

#[test]
fn of_two_forks_with_early_media_the_one_that_answers_is_heard_and_the_other_is_not() {
    for latch in [Latch::Off, Latch::Port, Latch::Any] {
        let mut rig = Rig::parked(&[plan(OPUS)], &[]);
        let forks = ["10.0.0.7:4000", "10.0.0.7:5000"].map(|rtp| at(rtp, plan(ULAW)));
        let trunk = RtpPlan { pair: pair(B), ssrc: 2, latch, dejitter: Default::default(), remote: Some(forks[0]) };
        rig.order(Order::OpenRtp(B, Box::new(trunk)));
        rig.order(Order::Connect(Topology::Pair(A, B)));
        let mut speakers = [600.0, 1400.0].map(|hz| Speaker::new(B, plan(ULAW), hz));
        let mut agent = Speaker::new(A, plan(OPUS), HZ);
        speakers[1].ssrc = 0x1111;
        let mut both = |rig: &mut Rig, frames: usize| {
            let mut heard = Vec::new();
            for _ in 0..frames {
                for (fork, speaker) in forks.iter().zip(&mut speakers) {
                    let (header, payload) = speaker.next(20);
                    rig.arrive_from(fork.rtp, B, header, &payload);
                }
                agent.speak(rig, 20);
                heard.extend(rig.heard(A));
            }
            decode(OPUS, &heard)[1600..].to_vec()
        };
        let first = both(&mut rig, 50);
        assert!(level(&first, 600.0) > PEAK * 0.8 && level(&first, 1400.0) < PEAK / 50.0, "{latch:?}");
        // The second fork answers: 200 with its own description.
        rig.order(Order::UpdateRtp(B, forks[1]));
        rig.heard_anywhere(B);
        let second = both(&mut rig, 50);
        assert!(level(&second, 1400.0) > PEAK * 0.8 && level(&second, 600.0) < PEAK / 50.0, "{latch:?}");
        assert!(rig.heard_anywhere(B).iter().all(|(to, _)| *to == forks[1].rtp), "and it is the one that hears us");
    }
}

#[test]
fn garbage_and_packets_of_other_lengths_in_mid_call_leave_the_voice_whole() {
    let mut rig = Rig::new(plan(OPUS), plan(ULAW));
    let mut speaker = Speaker::new(B, plan(ULAW), HZ);
    let mut sent = 0;
    for round in 0..60usize {
        // The peer changes its packet length unasked, and back.
        let ms = [20, 10, 30, 60, 40][round / 4 % 5];
        speaker.speak(&mut rig, ms);
        sent += ms;
        let (mut header, _) = Speaker::new(B, plan(ULAW), HZ).next(20);
        (header.seq, header.timestamp) = (speaker.seq, speaker.timestamp);
        match round % 6 {
            // Another type (G.722), no payload at all, a key of no sense, another source with wild numbers, noise.
            0 => header.pt = Pt(9),
            1 => {
                rig.arrive(B, header, &[]);
                speaker.seq = speaker.seq.wrapping_add(1);
                continue;
            }
            2 => header.pt = Pt(101),
            3 => (header.ssrc, header.pt) = (7, Pt(77)),
            4 => {
                let mut noise = crosspoint::packet::PacketBuf::new();
                noise.copy_from(&[0x80, 0, 1]);
                let socket = crosspoint::media::Socket::Rtp(pair(B));
                rig.engine.handle_datagram(socket, address(B), &mut noise, rig.now, &mut rig.out);
                continue;
            }
            _ => continue,
        }
        rig.arrive(B, header, &[0xFE; 33]);
        if header.ssrc == speaker.ssrc {
            speaker.seq = speaker.seq.wrapping_add(1);
        }
    }
    let pcm = decode(OPUS, &rig.heard(A));
    assert!(pcm.len() >= sent * 8 - 960, "{} ms of {sent}", pcm.len() / 8);
    assert!(level(&pcm[1600..], HZ) > PEAK * 0.8, "{}", level(&pcm[1600..], HZ));
}

#[test]
fn hours_of_hold_with_music_leave_srtp_as_it_was_and_then_both_hear_each_other() {
    // Music of an hour at 50 packets/s carries the sequence number around more than twice.
    let (mut rig, mut browser) = connected(plan(ULAW), plan(ALAW));
    let mut speakers = [Speaker::new(A, plan(ULAW), 500.0), Speaker::new(B, plan(ALAW), 1500.0)];
    let mut talk = |rig: &mut Rig, browser: &mut crate::peer::Browser| {
        let mut heard = Vec::new();
        for _ in 0..50 {
            browser.speak(rig, &mut speakers[0]);
            speakers[1].speak(rig, 20);
            heard.extend(browser.heard(rig));
        }
        let at_b = rig.heard(B);
        assert_unbroken(&at_b, 160);
        assert_sine(&decode(ALAW, &at_b)[800..], 500.0);
        assert_sine(&decode(ULAW, &heard)[800..], 1500.0);
        heard
    };
    talk(&mut rig, &mut browser);
    let tone = Cadence { parts: vec![TonePart { hz: [440, 0], length: Duration::MAX }], level_dbm0: -10 };
    rig.order(Order::Connect(Topology::Parked(A, Source::Tone(tone))));
    rig.order(Order::UpdateRtp(B, remote(B, with(ALAW, |plan| (plan.send, plan.recv) = (false, false)))));
    let (mut music, mut reports, mut last) = (0, [0, 0], None);
    for _ in 0..3600 / 15 {
        rig.pass(Duration::from_secs(15));
        from_home(&mut rig, &check("gateway:browser"));
        for packet in to_home(&mut rig) {
            match crosspoint::rtp::classify(&packet) {
                crosspoint::rtp::Kind::Rtp => {
                    let plain = browser.open(packet);
                    let header = crosspoint::rtp::RtpView::parse(&plain).expect("RTP").header();
                    assert!(last.is_none_or(|seq: u16| header.seq == seq.wrapping_add(1)));
                    last = Some(header.seq);
                    music += 1;
                }
                crosspoint::rtp::Kind::Rtcp => {
                    browser.open_rtcp(packet);
                    reports[0] += 1;
                }
                _ => {}
            }
        }
        reports[1] += rig.out.0.len();
        rig.out.0.clear();
    }
    assert!((179_900..=180_100).contains(&music), "{music}");
    assert!(reports.iter().all(|count| (500..1000).contains(count)), "RTCP went on: {reports:?}");
    assert!(rig.reports().iter().all(|report| matches!(report, Report::Connected(A))));
    rig.order(Order::UpdateRtp(B, remote(B, plan(ALAW))));
    rig.order(Order::Connect(Topology::Pair(A, B)));
    let heard = talk(&mut rig, &mut browser);
    assert_eq!(heard[0].header.seq, last.expect("music").wrapping_add(1));
}

#[test]
fn a_second_browser_takes_over_without_a_gap_towards_the_trunk() {
    let (mut rig, mut browser) = connected(plan(OPUS), plan(ULAW));
    let mut old = Speaker::new(A, plan(OPUS), HZ);
    let mut trunk = Speaker::new(B, plan(ULAW), 1500.0);
    let step = |rig: &mut Rig, browser: &mut crate::peer::Browser, speaker: &mut Speaker, trunk: &mut Speaker| {
        browser.speak(rig, speaker);
        trunk.speak(rig, 20);
    };
    for _ in 0..50 {
        step(&mut rig, &mut browser, &mut old, &mut trunk);
    }
    let mut page = another(&mut rig, C, plan(OPUS));
    let mut new = Speaker::new(C, plan(OPUS), HZ);
    (new.ssrc, new.seq, new.timestamp) = (0x7777, 9, 77);
    for _ in 0..10 {
        // Both are there; the old one is still the one that is heard.
        page.speak(&mut rig, &mut new);
        step(&mut rig, &mut browser, &mut old, &mut trunk);
    }
    assert!(page.heard(&mut rig).is_empty());
    rig.order(Order::Connect(Topology::Pair(C, B)));
    rig.order(Order::Close(A));
    assert!(!rig.reports().iter().any(|report| matches!(report, Report::Closed(B | C, _))));
    for _ in 0..50 {
        step(&mut rig, &mut page, &mut new, &mut trunk);
    }
    let heard = rig.heard(B);
    assert_unbroken(&heard, 160);
    assert_eq!(heard.len(), 110);
    let marked: Vec<_> = heard.iter().enumerate().filter(|(_, h)| h.header.marker).map(|(k, _)| k).collect();
    assert_eq!(marked, [0, 60], "the marker shows where");
    let pcm = decode(ULAW, &heard);
    assert_sine(&pcm[1600..60 * 160], HZ);
    assert_sine(&pcm[62 * 160..], HZ);
    let at_page = page.heard(&mut rig);
    assert_eq!(at_page.len(), 50);
    assert_sine(&decode(OPUS, &at_page)[1600..], 1500.0);
}

#[test]
fn an_ice_restart_in_mid_call_is_not_heard_by_the_trunk() {
    let (mut rig, mut browser) = connected(plan(OPUS), plan(ULAW));
    let mut speaker = Speaker::new(A, plan(OPUS), HZ);
    for k in 0..100 {
        match k {
            30 => {
                let fresh = IceCredentials { ufrag: "fresh".into(), pwd: crate::peer::PWD.into() };
                rig.order(Order::RestartIce(A, fresh));
            }
            40 => from_home(&mut rig, &check("fresh:browser")),
            _ => {}
        }
        browser.speak(&mut rig, &mut speaker);
        rig.pass(Duration::from_millis(20));
    }
    let heard = rig.heard(B);
    assert_eq!(heard.len(), 100);
    assert_unbroken(&heard, 160);
    assert!(heard[1..].iter().all(|h| !h.header.marker));
    let pcm = decode(ULAW, &heard);
    assert_smooth(&pcm[1600..], &[HZ]);
    assert_sine(&pcm[1600..], HZ);
    assert_eq!(rig.reports(), [Report::Connected(A)]);
}
