//! libFuzzer on the target `query`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("query", data));
