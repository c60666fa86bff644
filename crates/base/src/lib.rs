//! Leaf types that every layer above the protocol needs: time and randomness as arguments, secrets, printable text.
//!
//! Nothing here knows a PDS, and nothing here names another crate of ours. A type belongs here only when at least two
//! crates that may not name each other need it.

pub mod clock;
pub mod printable;
pub mod randomness;
pub mod secret;
