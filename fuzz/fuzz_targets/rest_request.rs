#![no_main]
#[allow(dead_code)]
#[path = "../../tests/fuzz/rest.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::rest_request(data));
