#![no_main]
#[allow(dead_code)]
#[path = "../../tests/fuzz/gateway.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::gateway_page(data));
