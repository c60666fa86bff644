//! libFuzzer on the target `cbor`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("cbor", data));
