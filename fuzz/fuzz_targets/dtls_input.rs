#![no_main]
#[allow(dead_code)]
#[path = "../../tests/fuzz/webrtc.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::dtls_input(data));
