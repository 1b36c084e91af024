#![no_main]
#[allow(dead_code)]
#[path = "../../tests/fuzz/media.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::media_engine(data));
