//! libFuzzer on the target `listener_message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("listener_message", data));
