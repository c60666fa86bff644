//! The identities of accounts here: what their DIDs publish, and how that is checked and changed.

pub mod changes;
pub mod handle;
mod operations;
pub mod owner;
pub mod published;
pub mod recheck;
pub mod recovery_key;
pub mod resolution;
pub mod signing_key;
