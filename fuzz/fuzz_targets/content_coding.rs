//! libFuzzer on the target `content_coding`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("content_coding", data));
