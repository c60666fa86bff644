//! libFuzzer on the target `websocket`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("websocket", data));
