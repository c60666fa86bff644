//! `com.atproto.*`.

pub mod server;
