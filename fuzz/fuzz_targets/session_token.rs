//! libFuzzer on the target `session_token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("session_token", data));
