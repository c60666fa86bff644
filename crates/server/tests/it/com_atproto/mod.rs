//! `com.atproto.*`.

mod account;
mod admin;
mod identity;
mod repo;
pub(crate) mod server;
mod sync;
