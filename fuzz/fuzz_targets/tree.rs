//! libFuzzer on the target `tree`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("tree", data));
