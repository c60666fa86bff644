//! libFuzzer on the target `control_command`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("control_command", data));
