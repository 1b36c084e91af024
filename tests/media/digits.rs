//! Keys across the join.

use std::time::Duration;

use crosspoint::plan::*;
use crosspoint::rtp::{EventPayload, RtpHeader};

use crate::rig::*;

const OPUS: AudioCodec = AudioCodec::Opus(OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false });

/// Presses a key for so many 20 ms at a leg's peer: updates, then three ends.
fn press(rig: &mut Rig, speaker: &mut Speaker, per_ms: u16, event: u8, updates: u16) {
    for k in 1..=updates + 3 {
        let end = k > updates;
        let payload = EventPayload { event, end, volume: 10, duration: k.min(updates) * 20 * per_ms };
        let (seq, timestamp, ssrc) = (speaker.seq, speaker.timestamp, speaker.ssrc);
        speaker.seq = seq.wrapping_add(1);
        let header = RtpHeader { pt: Pt(101), marker: k == 1, seq, timestamp, ssrc };
        rig.arrive(speaker.leg, header, &payload.to_bytes());
        rig.pass(Duration::from_millis(20));
    }
    speaker.timestamp = speaker.timestamp.wrapping_add(u32::from(updates + 3) * 20 * u32::from(per_ms));
}

fn events(heard: &[Heard]) -> Vec<(RtpHeader, EventPayload)> {
    let events = heard.iter().filter(|h| h.header.pt == Pt(101));
    events.map(|h| (h.header, EventPayload::parse(&h.payload).expect("an event"))).collect()
}

#[test]
fn a_key_keeps_its_length_from_48_khz_to_8_khz_and_back() {
    for (from, to, per_ms, ticks) in [(OPUS, AudioCodec::Pcmu, 48, 800), (AudioCodec::Pcmu, OPUS, 8, 4800)] {
        let mut rig = Rig::new(plan(from), plan(to));
        let mut speaker = Speaker::new(A, plan(from), 1000.0);
        speaker.speak(&mut rig, 20);
        press(&mut rig, &mut speaker, per_ms, 5, 5);
        rig.pass(Duration::from_millis(200));
        speaker.speak(&mut rig, 20);
        let heard = rig.heard(B);
        let events = events(&heard);
        let ends: Vec<_> = events.iter().filter(|(_, e)| e.end).collect();
        assert_eq!(ends.len(), 3);
        assert!(ends.iter().all(|(_, e)| e.event == 5 && e.duration == ticks), "{events:?}");
        assert!(events.iter().all(|(h, _)| h.timestamp == events[0].0.timestamp && h.ssrc == 2));
        assert_eq!(events.iter().filter(|(h, _)| h.marker).count(), 1);
        for two in heard.windows(2) {
            assert_eq!(two[1].header.seq, two[0].header.seq.wrapping_add(1), "one numbering for audio and events");
            assert!(two[1].header.timestamp.wrapping_sub(two[0].header.timestamp) < 1 << 31, "time never steps back");
        }
        let digit = Digit { event: 5, duration: Duration::from_millis(100) };
        assert_eq!(rig.reports(), [Report::Digit(A, digit)]);
    }
}

#[test]
fn a_key_in_the_second_format_that_was_agreed_is_a_key_of_the_same_length() {
    let second = EventFormat { pt: Pt(126), clock_hz: 8000 };
    let mut from = plan(OPUS);
    from.recv_events[1] = Some(second);
    let mut rig = Rig::new(from, plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(A, from, 1000.0);
    speaker.speak(&mut rig, 20);
    // Chromium counts an event's length by its own clock, and its timestamps by that of the audio.
    for k in 1..=8_u16 {
        let payload = EventPayload { event: 5, end: k > 5, volume: 10, duration: k.min(5) * 160 };
        let (seq, timestamp, ssrc) = (speaker.seq, speaker.timestamp, speaker.ssrc);
        speaker.seq = seq.wrapping_add(1);
        let header = RtpHeader { pt: second.pt, marker: k == 1, seq, timestamp, ssrc };
        rig.arrive(A, header, &payload.to_bytes());
        rig.pass(Duration::from_millis(20));
    }
    rig.pass(Duration::from_millis(200));
    let events = events(&rig.heard(B));
    let ends: Vec<_> = events.iter().filter(|(_, e)| e.end).collect();
    assert!(ends.len() == 3 && ends.iter().all(|(_, e)| e.event == 5 && e.duration == 800), "{events:?}");
    assert_eq!(rig.reports(), [Report::Digit(A, Digit { event: 5, duration: Duration::from_millis(100) })]);
}

#[test]
fn audio_is_silent_while_a_key_is_down() {
    let mut rig = Rig::new(plan(OPUS), plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(A, plan(OPUS), 1000.0);
    rig.order(Order::SendDigit(B, Digit { event: 1, duration: Duration::from_millis(100) }));
    for _ in 0..20 {
        speaker.speak(&mut rig, 20);
    }
    let heard = rig.heard(B);
    let first_end = heard.iter().position(|h| h.header.pt == Pt(101) && h.payload[1] & 0x80 != 0).expect("an end");
    assert!(heard[..first_end].iter().all(|h| h.header.pt == Pt(101)), "no tone beside the key");
    assert_eq!(events(&heard).iter().filter(|(_, e)| e.end).count(), 3);
    assert!(heard[first_end..].iter().filter(|h| h.header.pt == Pt(0)).count() >= 14);
}

#[test]
fn a_key_whose_ends_are_lost_still_ends() {
    let mut rig = Rig::new(plan(OPUS), plan(AudioCodec::Pcmu));
    let payload = EventPayload { event: 9, end: false, volume: 10, duration: 960 };
    let header = RtpHeader { pt: Pt(101), marker: true, seq: 1, timestamp: 0, ssrc: 5 };
    rig.arrive(A, header, &payload.to_bytes());
    rig.pass(Duration::from_secs(1));
    assert_eq!(events(&rig.heard(B)).iter().filter(|(_, e)| e.end).count(), 3);
    assert_eq!(rig.reports().len(), 1);
}

#[test]
fn no_event_goes_to_a_leg_that_did_not_negotiate_it() {
    let mut to = plan(AudioCodec::Pcmu);
    to.send_event = None;
    let mut rig = Rig::new(plan(OPUS), to);
    let mut speaker = Speaker::new(A, plan(OPUS), 1000.0);
    press(&mut rig, &mut speaker, 48, 5, 5);
    rig.order(Order::SendDigit(B, Digit { event: 1, duration: Duration::from_millis(100) }));
    speaker.speak(&mut rig, 20);
    let heard = rig.heard(B);
    assert_eq!(heard.len(), 1, "the audio");
    assert_eq!(heard[0].header.pt, Pt(0));
}
