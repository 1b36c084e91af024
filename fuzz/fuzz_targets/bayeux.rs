#![no_main]
#[allow(dead_code)]
#[path = "../../tests/fuzz/bayeux.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::bayeux(data));
