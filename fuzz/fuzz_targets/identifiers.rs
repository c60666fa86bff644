//! libFuzzer on the target `identifiers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("identifiers", data));
