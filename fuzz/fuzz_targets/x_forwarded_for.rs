//! libFuzzer on the target `x_forwarded_for`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("x_forwarded_for", data));
