//! libFuzzer on the target `service_token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("service_token", data));
