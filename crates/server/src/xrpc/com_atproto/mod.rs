//! `com.atproto.*`.

pub mod account;
pub mod identity;
pub mod server;
pub mod sync;
