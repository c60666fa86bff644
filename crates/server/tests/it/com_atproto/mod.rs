//! `com.atproto.*`.

mod account;
pub(crate) mod admin;
mod identity;
mod repo;
pub(crate) mod server;
mod sync;
mod temp;
