//! Silence: what is sent of it, and what is heard where a peer sends nothing of it.

use std::time::Duration;

use crosspoint::codec::{g711, opus};
use crosspoint::media::Discard;
use crosspoint::plan::*;
use crosspoint::rtp::RtpHeader;

use crate::rig::*;

const ULAW: AudioCodec = AudioCodec::Pcmu;
const FRAME: usize = 160;

fn opus_with(dtx: bool) -> AudioCodec {
    AudioCodec::Opus(OpusParams { dtx, ..OpusParams::default() })
}

/// A voice: harmonics of a pitch that moves, in syllables.
fn voice(n: usize) -> i16 {
    let t = n as f64 / 8000.0;
    let phase = std::f64::consts::TAU * (130.0 * t - 30.0 / 4.0 * (4.0 * t).cos());
    let syllable = 0.2 + 0.8 * (t / 0.3 * std::f64::consts::PI).sin().powi(2);
    ((1..8).map(|k| (phase * f64::from(k)).sin() * 3000.0 / f64::from(k)).sum::<f64>() * syllable) as i16
}

/// Decodes Opus as a browser does: what is not there by its timestamp is the decoder's to make up.
fn decode_with_pauses(heard: &[Heard]) -> Vec<i16> {
    let mut decoder = opus::Decoder::new().expect("libopus");
    let mut pcm = Vec::new();
    let begun = heard[0].header.timestamp;
    for packet in heard {
        let at = (packet.header.timestamp.wrapping_sub(begun) / 6) as usize;
        let mut frame = [0; 960];
        while pcm.len() < at {
            decoder.conceal(&mut frame[..FRAME]).expect("libopus");
            pcm.extend_from_slice(&frame[..FRAME]);
        }
        let len = decoder.decode(&packet.payload, &mut frame).expect("Opus");
        pcm.extend_from_slice(&frame[..len]);
    }
    pcm
}

/// The trunk speaks while `speaks` says so, in frames of 20 ms, and is silent to the bit otherwise.
fn trunk_to_browser(dtx: bool, frames: usize, speaks: impl Fn(usize) -> bool) -> Vec<Heard> {
    let mut rig = Rig::new(plan(opus_with(dtx)), plan(ULAW));
    let (mut header, _) = Speaker::new(B, plan(ULAW), 0.0).next(20);
    for k in 0..frames {
        let mut payload = [0xff; FRAME];
        if speaks(k) {
            let pcm: Vec<i16> = (k * FRAME..(k + 1) * FRAME).map(voice).collect();
            g711::encode_ulaw(&pcm, &mut payload);
        }
        rig.arrive(B, header, &payload);
        header.seq = header.seq.wrapping_add(1);
        header.timestamp = header.timestamp.wrapping_add(160);
        rig.pass(Duration::from_millis(20));
    }
    rig.heard(A)
}

#[test]
fn of_true_silence_a_browser_with_dtx_is_sent_a_whole_packet_every_400_ms_and_an_end_of_it() {
    let speaks = |k: usize| !(100..300).contains(&k);
    let heard = trunk_to_browser(true, 400, speaks);
    let begun = heard[0].header.timestamp;
    let frame = |h: &Heard| (h.header.timestamp.wrapping_sub(begun) / 960) as usize;
    let silence: Vec<_> = heard.iter().filter(|h| (110..300).contains(&frame(h))).collect();
    assert!((17..=22).contains(&silence.len()), "{} packets in 3.8 s", silence.len());
    let (ends, whole): (Vec<&Heard>, Vec<&Heard>) = silence.into_iter().partition(|h| h.payload.len() <= 2);
    assert!(ends.len().abs_diff(whole.len()) <= 1, "{} and {}", ends.len(), whole.len());
    for two in whole.windows(2) {
        assert_eq!(two[1].header.timestamp.wrapping_sub(two[0].header.timestamp), 20 * 960);
    }
    for two in heard.windows(2) {
        assert_eq!(two[1].header.seq, two[0].header.seq.wrapping_add(1), "nothing looks lost");
    }
    assert_eq!(heard.iter().filter(|h| frame(h) < 100).count(), 100);
    assert_eq!(heard.iter().filter(|h| frame(h) >= 300).count(), 100);
    assert_eq!(trunk_to_browser(false, 400, speaks).len(), 400, "without DTX all of it is sent");
}

#[test]
fn a_word_after_silence_is_whole_and_begins_without_a_click() {
    for (from, to) in [(100, 120), (100, 131), (100, 170), (100, 300)] {
        let speaks = |k: usize| !(from..to).contains(&k);
        let with = decode_with_pauses(&trunk_to_browser(true, to + 60, speaks));
        let without = decode_with_pauses(&trunk_to_browser(false, to + 60, speaks));
        assert_eq!(with.len(), without.len());
        let (most, least) = (steepest(&with[1600..]), steepest(&without[1600..]));
        assert!(most <= least * 5 / 4, "a step of {most}, of {least} without DTX");
        let power = |pcm: &[i16]| pcm.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>().max(1.0);
        // The beginning of the word, in pieces of 10 ms from the look-ahead of the encoder on.
        for k in 0..8 {
            let piece = to * FRAME + 60 + k * 80..to * FRAME + 60 + (k + 1) * 80;
            let off = 10.0 * (power(&with[piece.clone()]) / power(&without[piece])).log10();
            assert!(off > -2.0, "{off:.1} dB after {} frames of silence, piece {k}", to - from);
        }
    }
}

/// What a browser with DTX sends: voice, and 400 ms after 400 ms of pauses between `from` and `to`, as libopus makes them.
struct Pausing {
    encoder: opus::Encoder,
    header: RtpHeader,
    silent: bool,
    frame: usize,
}

impl Pausing {
    fn new() -> Self {
        let params = OpusParams { dtx: true, ..OpusParams::default() };
        let (header, _) = Speaker::new(A, plan(opus_with(true)), 0.0).next(20);
        Pausing { encoder: opus::Encoder::new(params).expect("libopus"), header, silent: false, frame: 0 }
    }

    /// Makes the next frame; `None` where nothing is sent. Like browsers it sends the first empty packet of a pause.
    fn next(&mut self, speaks: bool) -> Option<(RtpHeader, Vec<u8>)> {
        let at = self.frame * FRAME;
        // A room is never silent to the bit.
        let room = |n: usize| (n.wrapping_mul(2_654_435_761) >> 7 & 31) as i16 - 16;
        let pcm: Vec<i16> = (at..at + FRAME).map(|n| if speaks { voice(n) } else { room(n) }).collect();
        let mut payload = vec![0; 400];
        let len = self.encoder.encode(&pcm, &mut payload).expect("a frame");
        payload.truncate(len);
        let told = std::mem::replace(&mut self.silent, len <= 2);
        let sent = (len > 2 || !told).then_some((self.header, payload));
        if sent.is_some() {
            self.header.seq = self.header.seq.wrapping_add(1);
        }
        self.header.timestamp = self.header.timestamp.wrapping_add(960);
        self.frame += 1;
        sent
    }
}

#[test]
fn a_trunk_hears_noise_at_the_pace_of_its_packets_while_a_browser_pauses() {
    for ptime_ms in [20, 30] {
        let trunk = AudioPlan { ptime_ms, ..plan(ULAW) };
        let mut rig = Rig::new(plan(opus_with(true)), trunk);
        let mut browser = Pausing::new();
        let mut arrivals = Vec::new();
        let mut sent = 0;
        let mut heard = Vec::new();
        for k in 0..600 {
            if let Some((header, payload)) = browser.next(k % 200 < 80) {
                rig.arrive(A, header, &payload);
                sent += 1;
            }
            rig.pass(Duration::from_millis(20));
            let now = rig.heard(B);
            arrivals.push(now.len());
            heard.extend(now);
        }
        assert!(sent < 450, "it does pause: {sent} of 600 were sent");
        assert_unbroken(&heard, u32::from(ptime_ms) * 8);
        assert!(heard[1..].iter().all(|h| !h.header.marker), "one stretch of audio");
        let length = heard.len() * usize::from(ptime_ms);
        assert!((11_940..=12_000).contains(&length), "{length} ms of 12 s");
        assert!(arrivals.windows(3).all(|three| three.iter().sum::<usize>() >= 1), "never 60 ms without a packet");
        assert!(arrivals.iter().all(|count| *count <= 2), "never more than two at once");
        let pcm = decode(ULAW, &heard);
        assert!(steepest(&pcm) < 6000, "{}", steepest(&pcm));
        assert!(pcm[170 * FRAME..190 * FRAME].iter().all(|s| s.abs() < 200), "the pause is quiet");
    }
}

#[test]
fn speech_that_ends_a_pause_late_is_not_cut_and_time_is_caught_up_in_the_next_pause() {
    let mut rig = Rig::new(plan(opus_with(true)), plan(ULAW));
    let mut browser = Pausing::new();
    let mut heard = Vec::new();
    let mut waiting = std::collections::VecDeque::new();
    for k in 0..600 {
        // The network is 60 ms slower from the first word after the first pause on, and fast again in the second.
        waiting.push_back(browser.next(k % 200 < 80));
        let slow = if (200..300).contains(&k) { 3 } else { 0 };
        while waiting.len() > slow {
            if let Some((header, payload)) = waiting.pop_front().flatten() {
                rig.arrive(A, header, &payload);
            }
        }
        rig.pass(Duration::from_millis(20));
        heard.extend(rig.heard(B));
    }
    for two in heard.windows(2) {
        assert_eq!(two[1].header.seq, two[0].header.seq.wrapping_add(1));
        assert!(two[1].header.timestamp.wrapping_sub(two[0].header.timestamp) as i32 > 0, "time goes on");
    }
    assert_eq!(heard.iter().filter(|h| h.header.marker).count(), 2, "the beginning, and the late word");
    let elapsed = heard[heard.len() - 1].header.timestamp.wrapping_sub(heard[0].header.timestamp) / 160;
    assert!((596..=600).contains(&elapsed), "{elapsed} frames of 600: the time of the late word is taken out again");
    let stats = rig.engine.stats(A).expect("open");
    assert_eq!((stats.late, stats.lost), (0, 0), "nothing of it is dropped");
}

fn with_noise() -> AudioPlan {
    AudioPlan { recv_noise: Some(Pt(13)), ..plan(ULAW) }
}

/// The trunk speaks for a second, describes its noise, says nothing for two seconds but one more description, and speaks.
fn pausing_trunk(rig: &mut Rig, level: u8) {
    let mut speaker = Speaker::new(B, plan(ULAW), 400.0);
    for k in 0..200 {
        let (mut header, payload) = speaker.next(20);
        match k {
            50 | 100 => {
                header.pt = Pt(13);
                rig.arrive(B, header, &[level, 100]);
            }
            51..150 => speaker.seq = speaker.seq.wrapping_sub(1),
            _ => rig.arrive(B, header, &payload),
        }
        rig.pass(Duration::from_millis(20));
    }
}

#[test]
fn comfort_noise_of_the_trunk_is_heard_at_its_level_until_it_speaks_again() {
    for to in [opus_with(false), ULAW] {
        let mut rig = Rig::new(plan(to), with_noise());
        pausing_trunk(&mut rig, 45);
        let heard = rig.heard(A);
        assert_eq!(heard.len(), 200);
        assert_unbroken(&heard, if to == ULAW { 160 } else { 960 });
        let pcm = decode(to, &heard);
        let noise = &pcm[70 * FRAME..145 * FRAME];
        let power = noise.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / noise.len() as f64;
        let level = 10.0 * (power / 32_767f64.powi(2)).log10();
        assert!((-49.0..-42.0).contains(&level), "{level} dBov, {to:?}");
        assert!(crate::rig::level(&pcm[155 * FRAME..], 400.0) > PEAK / 2.0, "it is heard again");
        if to == ULAW {
            assert_smooth(&pcm, &[400.0]);
        }
        assert_eq!(rig.engine.counters().discards.total(), 0);
    }
}

#[test]
fn comfort_noise_that_was_not_negotiated_is_counted_and_not_heard() {
    let mut rig = Rig::new(plan(opus_with(false)), plan(ULAW));
    pausing_trunk(&mut rig, 45);
    assert_eq!(rig.heard(A).len(), 100);
    assert_eq!(rig.engine.counters().discards.get(Discard::PayloadType), 2);
}

#[test]
fn noise_of_a_pause_ends_with_the_join_and_with_hold() {
    let mut rig = Rig::new(plan(opus_with(false)), with_noise());
    let (mut header, payload) = Speaker::new(B, plan(ULAW), 400.0).next(20);
    rig.arrive(B, header, &payload);
    (header.seq, header.timestamp, header.pt) =
        (header.seq.wrapping_add(1), header.timestamp.wrapping_add(160), Pt(13));
    rig.arrive(B, header, &[50]);
    rig.pass(Duration::from_secs(1));
    assert!((48..=52).contains(&rig.heard(A).len()));
    rig.order(Order::UpdateRtp(A, remote(A, AudioPlan { send: false, ..plan(opus_with(false)) })));
    rig.pass(Duration::from_secs(1));
    assert!(rig.heard(A).is_empty(), "on hold");
    rig.order(Order::UpdateRtp(A, remote(A, plan(opus_with(false)))));
    rig.order(Order::Connect(Topology::Parked(A, Source::Nothing)));
    rig.pass(Duration::from_secs(1));
    assert!(rig.heard(A).is_empty());
}
