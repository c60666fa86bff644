//! What the targets share.

/// Runs a target on bytes.
pub fn run(name: &str, data: &[u8]) {
    let target = allod_fuzz_targets::find(name).expect("the file is named for a target");
    (target.run)(data);
}
