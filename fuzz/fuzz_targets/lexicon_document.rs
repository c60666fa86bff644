//! libFuzzer on the target `lexicon_document`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| allod_fuzz::run("lexicon_document", data));
