//! The engine per packet, beside the bare libopus calls in the same run (target: at most 1.10 times these).
#[allow(dead_code)]
#[path = "../tests/media/peer.rs"]
mod peer;
#[allow(dead_code)]
#[path = "../tests/media/rig.rs"]
mod rig;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use crosspoint::codec::{g711, opus};
use crosspoint::media::Socket;
use crosspoint::packet::PacketBuf;
use crosspoint::plan::*;
use crosspoint::rtp::{HEADER_LEN, RtpHeader, write_header};

use crate::rig::*;

/// Frames of the sound that the engine and bare libopus work on.
const LOOP: usize = 500;

const OPUS: AudioCodec = AudioCodec::Opus(OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false });

/// Sends the next packet of ten seconds of sound through an engine, again and again.
fn packets(from: AudioCodec, to: AudioCodec) -> impl FnMut() {
    let mut rig = Rig::new(plan(from), plan(to));
    let mut speaker = Speaker::new(A, plan(from), 700.0);
    let payloads: Vec<_> = (0..LOOP).map(|_| speaker.next(20).1).collect();
    let (mut header, _) = speaker.next(20);
    let ticks = if from == OPUS { 960 } else { 160 };
    let (mut packet, mut drain, mut k) = (PacketBuf::new(), peer::Drain::default(), 0);
    move || {
        packet.received(HEADER_LEN + payloads[k].len());
        write_header(packet.bytes_mut(), &header);
        packet.bytes_mut()[HEADER_LEN..].copy_from_slice(&payloads[k]);
        header.seq = header.seq.wrapping_add(1);
        header.timestamp = header.timestamp.wrapping_add(ticks);
        k = (k + 1) % payloads.len();
        rig.now += Duration::from_millis(20);
        rig.engine.handle_datagram(Socket::Rtp(pair(A)), address(A), &mut packet, rig.now, &mut drain);
    }
}

/// Decodes the packets that the engine decodes.
fn decodings() -> impl FnMut() {
    let mut speaker = Speaker::new(A, plan(OPUS), 700.0);
    let payloads: Vec<_> = (0..LOOP).map(|_| speaker.next(20).1).collect();
    let (mut decoder, mut pcm, mut k) = (opus::Decoder::new().expect("libopus"), [0; 960], 0);
    move || {
        black_box(decoder.decode(&payloads[k], &mut pcm).expect("Opus"));
        k = (k + 1) % payloads.len();
    }
}

/// Encodes the very samples that the engine encodes: what an encoder takes depends on what it hears.
fn encodings() -> impl FnMut() {
    let mut speaker = Speaker::new(A, plan(AudioCodec::Pcmu), 700.0);
    let mut frame = || {
        let mut pcm = [0; 160];
        g711::decode_ulaw(&speaker.next(20).1, &mut pcm);
        pcm
    };
    let frames: Vec<_> = (0..LOOP).map(|_| frame()).collect();
    let AudioCodec::Opus(params) = OPUS else { unreachable!("it is Opus") };
    let (mut encoder, mut out, mut k) = (opus::Encoder::new(params).expect("libopus"), [0; 1275], 0);
    move || {
        black_box(encoder.encode(&frames[k], &mut out).expect("Opus"));
        k = (k + 1) % frames.len();
    }
}

fn alone(c: &mut Criterion, name: &str, mut work: impl FnMut()) {
    c.bench_function(name, |b| b.iter(&mut work));
}

/// The engine beside bare libopus, ten seconds of sound of each in turn: a machine that is slower for a while is so for both,
/// which it is not where one is measured for seconds behind the other.
fn in_turn(name: &str, mut ours: impl FnMut(), mut bare: impl FnMut()) {
    const ROUNDS: usize = 200;
    let time = |work: &mut dyn FnMut()| {
        let begin = Instant::now();
        (0..LOOP).for_each(|_| work());
        begin.elapsed().as_secs_f64() * 1e6 / LOOP as f64
    };
    let rounds = (0..ROUNDS).map(|round| {
        if round % 2 == 0 {
            let ours = time(&mut ours);
            (ours, time(&mut bare))
        } else {
            let bare = time(&mut bare);
            (time(&mut ours), bare)
        }
    });
    let rounds: Vec<(f64, f64)> = rounds.collect();
    let median = |of: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values[ROUNDS / 2]
    };
    let (ours, bare, ratio) = (median(|r| r.0), median(|r| r.1), median(|r| r.0 / r.1));
    println!("{name}: {ours:.2} µs ÷ {bare:.2} µs = {ratio:.3}, medians of {ROUNDS} rounds");
}

/// A voice of seven harmonics in syllables, and between them nothing but the noise of a room.
fn said(frame: usize, speaks: bool) -> Vec<i16> {
    let sample = |n: usize| {
        let t = n as f64 / 8000.0;
        let phase = std::f64::consts::TAU * (130.0 * t - 7.5 * (4.0 * t).cos());
        let syllable = 0.2 + 0.8 * (t / 0.3 * std::f64::consts::PI).sin().powi(2);
        (1..8).map(|k| (phase * f64::from(k)).sin() * 3000.0 / f64::from(k)).sum::<f64>() * syllable
    };
    let room = |n: usize| (n.wrapping_mul(2_654_435_761) >> 7 & 31) as i16 - 16;
    (frame * 160..(frame + 1) * 160).map(|n| if speaks { sample(n) as i16 } else { room(n) }).collect()
}

/// 20 ms of a call with DTX towards the browser and from it. `by_turns`: each side is silent half of the time, the trunk to
/// the bit, the browser as its encoder has it.
fn call(c: &mut Criterion, name: &str, by_turns: bool) {
    const FRAMES: usize = 1000;
    let params = OpusParams { dtx: true, ..OpusParams::default() };
    let opus = AudioCodec::Opus(params);
    let mut rig = Rig::new(plan(opus), plan(AudioCodec::Pcmu));
    let mut encoder = opus::Encoder::new(params).expect("libopus");
    let mut silent = false;
    let frames: Vec<_> = (0..FRAMES)
        .map(|k| {
            let browsers_turn = k % 200 < 100;
            let mut payload = vec![0; 1275];
            let len = encoder.encode(&said(k, !by_turns || browsers_turn), &mut payload).expect("Opus");
            payload.truncate(len);
            let told = std::mem::replace(&mut silent, len <= 2);
            let mut trunk = vec![0xff; 160];
            if !by_turns || !browsers_turn {
                crosspoint::codec::g711::encode_ulaw(&said(k, true), &mut trunk);
            }
            ((len > 2 || !told).then_some(payload), trunk)
        })
        .collect();
    let (mut browser, _) = Speaker::new(A, plan(opus), 0.0).next(20);
    let (mut trunk, _) = Speaker::new(B, plan(AudioCodec::Pcmu), 0.0).next(20);
    let (mut packet, mut drain, mut k) = (PacketBuf::new(), peer::Drain::default(), 0);
    let mut send = |rig: &mut Rig, leg, header: &RtpHeader, payload: &[u8], drain: &mut peer::Drain| {
        packet.received(HEADER_LEN + payload.len());
        write_header(packet.bytes_mut(), header);
        packet.bytes_mut()[HEADER_LEN..].copy_from_slice(payload);
        rig.engine.handle_datagram(Socket::Rtp(pair(leg)), address(leg), &mut packet, rig.now, drain);
    };
    c.bench_function(name, |b| {
        b.iter(|| {
            let (said, heard) = &frames[k % FRAMES];
            if let Some(said) = said {
                send(&mut rig, A, &browser, said, &mut drain);
                browser.seq = browser.seq.wrapping_add(1);
            }
            send(&mut rig, B, &trunk, heard, &mut drain);
            trunk.seq = trunk.seq.wrapping_add(1);
            trunk.timestamp = trunk.timestamp.wrapping_add(160);
            browser.timestamp = browser.timestamp.wrapping_add(960);
            k += 1;
            rig.now += Duration::from_millis(20);
            rig.engine.handle_timeout(rig.now, &mut drain);
        });
    });
}

fn bridge(c: &mut Criterion) {
    let pcmu = AudioCodec::Pcmu;
    alone(c, "bare libopus decode", decodings());
    alone(c, "engine Opus to G.711", packets(OPUS, pcmu));
    alone(c, "bare libopus encode", encodings());
    alone(c, "engine G.711 to Opus", packets(pcmu, OPUS));
    alone(c, "engine G.711 forward", packets(pcmu, pcmu));
    call(c, "20 ms of a call, both speak all the time", false);
    call(c, "20 ms of a call, they speak by turns, with DTX", true);
    // Not where only some were asked for, nor in the short run of a test.
    if std::env::args().skip(1).all(|word| word == "--bench") {
        in_turn("Opus to G.711, engine beside libopus", packets(OPUS, pcmu), decodings());
        in_turn("G.711 to Opus, engine beside libopus", packets(pcmu, OPUS), encodings());
    }
}

criterion_group!(benches, bridge);
criterion_main!(benches);
