#![no_main]
#[path = "../../tests/fuzz/http.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::credentials(data));
