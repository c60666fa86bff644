//! libFuzzer on the target `request_body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("request_body", data));
