#![no_main]
#[allow(dead_code)]
#[path = "../../tests/fuzz/journal.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::journal(data));
