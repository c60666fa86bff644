//! libFuzzer on the target `forwarded`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("forwarded", data));
