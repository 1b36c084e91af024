//! The codecs alone, 20 ms frames of 8 kHz: G.711 both ways, and bare libopus at the default settings, for scale.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use crosspoint::codec::g711;
use crosspoint::codec::opus::{Decoder, Encoder, MAX_SAMPLES};
use crosspoint::plan::OpusParams;

/// Two seconds that are not constant: a sweep under a slow envelope.
fn signal() -> Vec<i16> {
    (0..16_000)
        .map(|n| {
            let t = f64::from(n) / 8000.0;
            let envelope = 6000.0 * (1.0 + (t * 20.0).sin());
            (envelope * (std::f64::consts::TAU * (200.0 + 300.0 * t) * t).sin()) as i16
        })
        .collect()
}

fn g711_frames(c: &mut Criterion) {
    let signal = signal();
    let mut octets = [0; 160];
    let mut pcm = [0; 160];
    c.bench_function("g711/encode_ulaw_20ms", |b| b.iter(|| g711::encode_ulaw(black_box(&signal[..160]), &mut octets)));
    c.bench_function("g711/encode_alaw_20ms", |b| b.iter(|| g711::encode_alaw(black_box(&signal[..160]), &mut octets)));
    c.bench_function("g711/decode_ulaw_20ms", |b| b.iter(|| g711::decode_ulaw(black_box(&octets), &mut pcm)));
    c.bench_function("g711/ulaw_to_alaw_20ms", |b| b.iter(|| g711::ulaw_to_alaw(black_box(&mut octets))));
}

fn opus_frames(c: &mut Criterion) {
    let signal = signal();
    let frames: Vec<&[i16]> = signal.chunks_exact(160).collect();
    let mut encoder = Encoder::new(OpusParams::default()).expect("default settings");
    let mut packet = [0; 400];
    let mut at = 0;
    c.bench_function("opus/encode_20ms", |b| {
        b.iter(|| {
            at = (at + 1) % frames.len();
            encoder.encode(black_box(frames[at]), &mut packet)
        });
    });
    let packets: Vec<Vec<u8>> = frames
        .iter()
        .map(|frame| {
            let len = encoder.encode(frame, &mut packet).expect("a frame");
            packet[..len].to_vec()
        })
        .collect();
    let mut decoder = Decoder::new().expect("memory");
    let mut pcm = [0; MAX_SAMPLES];
    c.bench_function("opus/decode_20ms", |b| {
        b.iter(|| {
            at = (at + 1) % packets.len();
            decoder.decode(black_box(&packets[at]), &mut pcm)
        });
    });
}

criterion_group!(benches, g711_frames, opus_frames);
criterion_main!(benches);
