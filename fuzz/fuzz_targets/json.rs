//! libFuzzer on the target `json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("json", data));
