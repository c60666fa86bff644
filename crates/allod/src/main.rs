//! Allod.
fn main() {}
