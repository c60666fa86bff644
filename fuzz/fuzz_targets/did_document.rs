//! libFuzzer on the target `did_document`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("did_document", data));
