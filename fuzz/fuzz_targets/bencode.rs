#![no_main]
#[path = "../../tests/fuzz/load.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::bencode(data));
