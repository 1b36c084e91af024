#![no_main]
#[allow(dead_code)]
#[path = "../../tests/fuzz/rtp.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::demux(data));
