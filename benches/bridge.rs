//! The engine per packet, beside the bare libopus calls in the same run (target: at most 1.10 times these).
#[allow(dead_code)]
#[path = "../tests/media/peer.rs"]
mod peer;
#[allow(dead_code)]
#[path = "../tests/media/rig.rs"]
mod rig;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use crosspoint::codec::{g711, opus};
use crosspoint::media::Socket;
use crosspoint::packet::PacketBuf;
use crosspoint::plan::*;
use crosspoint::rtp::{HEADER_LEN, RtpHeader, write_header};

use crate::rig::*;

const OPUS: AudioCodec = AudioCodec::Opus(OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false });

fn engine(c: &mut Criterion, name: &str, from: AudioCodec, to: AudioCodec) {
    let mut rig = Rig::new(plan(from), plan(to));
    let mut speaker = Speaker::new(A, plan(from), 700.0);
    let payloads: Vec<_> = (0..500).map(|_| speaker.next(20).1).collect();
    let (mut header, _) = speaker.next(20);
    let ticks = if from == OPUS { 960 } else { 160 };
    let (mut packet, mut drain, mut k) = (PacketBuf::new(), peer::Drain::default(), 0);
    c.bench_function(name, |b| {
        b.iter(|| {
            packet.received(HEADER_LEN + payloads[k].len());
            write_header(packet.bytes_mut(), &header);
            packet.bytes_mut()[HEADER_LEN..].copy_from_slice(&payloads[k]);
            header.seq = header.seq.wrapping_add(1);
            header.timestamp = header.timestamp.wrapping_add(ticks);
            k = (k + 1) % payloads.len();
            rig.now += Duration::from_millis(20);
            rig.engine.handle_datagram(Socket::Rtp(pair(A)), address(A), &mut packet, rig.now, &mut drain);
        });
    });
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
    let mut speaker = Speaker::new(A, plan(OPUS), 700.0);
    let payloads: Vec<_> = (0..500).map(|_| speaker.next(20).1).collect();
    let (mut decoder, mut pcm, mut k) = (opus::Decoder::new().expect("libopus"), [0; 960], 0);
    c.bench_function("bare libopus decode", |b| {
        b.iter(|| {
            k = (k + 1) % payloads.len();
            black_box(decoder.decode(&payloads[k], &mut pcm).expect("Opus"))
        });
    });
    engine(c, "engine Opus to G.711", OPUS, AudioCodec::Pcmu);
    let AudioCodec::Opus(params) = OPUS else { return };
    let mut encoder = opus::Encoder::new(params).expect("libopus");
    let mut out = [0; 1275];
    // The very samples that the engine encodes below: what an encoder takes depends on what it hears.
    let mut speaker = Speaker::new(A, plan(AudioCodec::Pcmu), 700.0);
    let mut frame = || {
        let mut pcm = [0; 160];
        g711::decode_ulaw(&speaker.next(20).1, &mut pcm);
        pcm
    };
    let frames: Vec<_> = (0..500).map(|_| frame()).collect();
    c.bench_function("bare libopus encode", |b| {
        b.iter(|| {
            k = (k + 1) % frames.len();
            black_box(encoder.encode(&frames[k], &mut out).expect("Opus"))
        });
    });
    engine(c, "engine G.711 to Opus", AudioCodec::Pcmu, OPUS);
    engine(c, "engine G.711 forward", AudioCodec::Pcmu, AudioCodec::Pcmu);
    call(c, "20 ms of a call, both speak all the time", false);
    call(c, "20 ms of a call, they speak by turns, with DTX", true);
}

criterion_group!(benches, bridge);
criterion_main!(benches);
