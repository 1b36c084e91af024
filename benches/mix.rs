//! A tick of a mix with the packets that come within it, beside the bare codec calls that it cannot do without.
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
use crosspoint::id::LegId;
use crosspoint::media::Socket;
use crosspoint::packet::PacketBuf;
use crosspoint::plan::*;
use crosspoint::rtp::{HEADER_LEN, write_header};

use crate::rig::*;

const PARAMS: OpusParams = OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false };
const OPUS: AudioCodec = AudioCodec::Opus(PARAMS);
const ULAW: AudioCodec = AudioCodec::Pcmu;

/// One iteration: a packet of every leg, and the tick that sends one to each.
fn tick(c: &mut Criterion, name: &str, codecs: &[AudioCodec]) {
    let plans: Vec<_> = codecs.iter().map(|codec| plan(*codec)).collect();
    let mut rig = Rig::parked(&plans, &[]);
    let legs: Vec<_> = (1..=codecs.len() as u64).map(LegId).collect();
    rig.order(Order::Connect(Topology::Mix(legs.clone())));
    let mut said: Vec<_> = (0..codecs.len())
        .map(|k| {
            let mut speaker = Speaker::new(legs[k], plans[k], 400.0 + 90.0 * k as f64);
            let payloads: Vec<_> = (0..200).map(|_| speaker.next(20).1).collect();
            (legs[k], speaker.next(20).0, payloads)
        })
        .collect();
    let (mut packet, mut drain, mut k) = (PacketBuf::new(), peer::Drain::default(), 0);
    c.bench_function(name, |b| {
        b.iter(|| {
            for (leg, header, payloads) in &mut said {
                let payload = &payloads[k % payloads.len()];
                packet.received(HEADER_LEN + payload.len());
                write_header(packet.bytes_mut(), header);
                packet.bytes_mut()[HEADER_LEN..].copy_from_slice(payload);
                header.seq = header.seq.wrapping_add(1);
                header.timestamp = header.timestamp.wrapping_add(if header.pt == Pt(111) { 960 } else { 160 });
                rig.engine.handle_datagram(Socket::Rtp(pair(*leg)), address(*leg), &mut packet, rig.now, &mut drain);
            }
            k += 1;
            rig.now += Duration::from_millis(20);
            rig.engine.handle_timeout(rig.now, &mut drain);
        });
    });
    assert!(drain.0 > 0, "somebody hears something");
}

fn mix(c: &mut Criterion) {
    let tone: Vec<i16> = (0..160).map(|n| ((f64::from(n) * 0.55).sin() * PEAK) as i16).collect();
    let (mut out, mut pcm) = ([0; 1275], [0; 960]);
    c.bench_function("bare G.711 of three legs, both ways", |b| {
        b.iter(|| {
            for _ in 0..3 {
                g711::encode_ulaw(black_box(&tone), &mut out);
                g711::decode_ulaw(black_box(&out[..160]), &mut pcm);
            }
        });
    });
    let mut encoder = opus::Encoder::new(PARAMS).expect("libopus");
    let mut decoder = opus::Decoder::new().expect("libopus");
    c.bench_function("bare libopus of one leg, both ways", |b| {
        b.iter(|| {
            let len = encoder.encode(&tone, &mut out).expect("Opus");
            black_box(decoder.decode(&out[..len], &mut pcm).expect("Opus"))
        });
    });
    tick(c, "mix of three, G.711", &[ULAW; 3]);
    tick(c, "mix of three, one of them Opus", &[OPUS, ULAW, ULAW]);
    tick(c, "mix of eight, G.711", &[ULAW; 8]);
}

criterion_group!(benches, mix);
criterion_main!(benches);
