//! `com.atproto.*`.

mod account;
mod identity;
mod repo;
pub(crate) mod server;
mod sync;
