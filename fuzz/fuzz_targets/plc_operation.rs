//! libFuzzer on the target `plc_operation`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("plc_operation", data));
