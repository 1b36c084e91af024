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
use crosspoint::rtp::{HEADER_LEN, write_header};

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
}

criterion_group!(benches, bridge);
criterion_main!(benches);
