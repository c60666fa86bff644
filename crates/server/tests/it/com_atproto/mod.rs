//! `com.atproto.*`.

mod account;
mod identity;
pub(crate) mod server;
mod sync;
