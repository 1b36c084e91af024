#![no_main]
#[allow(dead_code)]
#[path = "../../tests/fuzz/sip.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::sip_digest(data));
