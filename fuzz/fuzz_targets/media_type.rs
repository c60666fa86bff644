//! libFuzzer on the target `media_type`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("media_type", data));
