#![no_main]
#[allow(dead_code)]
#[path = "../../tests/fuzz/sdp.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::sdp(data));
