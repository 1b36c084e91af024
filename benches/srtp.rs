//! SRTP: protect and unprotect one packet of 100 bytes payload, per profile.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use crosspoint::webrtc::srtp::{Profile, Side, session};

const HEADER: usize = 12;
const LEN: usize = HEADER + 100;

fn protect_and_unprotect(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("srtp protect+unprotect 100 bytes");
    for profile in [Profile::Aes128Gcm, Profile::Aes256Gcm, Profile::AesCm128HmacSha1_80] {
        let material = vec![7; profile.material_len()];
        let (_, mut out) = session(profile, &material, Side::Client).expect("the length is the profile's");
        let (mut in_, _) = session(profile, &material, Side::Server).expect("the length is the profile's");
        let mut packet = [0x55; LEN + 16];
        let mut seq = 0u16;
        group.bench_function(format!("{profile:?}"), |bencher| {
            bencher.iter(|| {
                seq = seq.wrapping_add(1);
                packet[..2].copy_from_slice(&[0x80, 0]);
                packet[2..4].copy_from_slice(&seq.to_be_bytes());
                let sealed = out.protect_rtp(black_box(&mut packet), LEN).expect("a fresh sequence number");
                in_.unprotect_rtp(black_box(&mut packet[..sealed])).expect("what was just protected")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, protect_and_unprotect);
criterion_main!(benches);
