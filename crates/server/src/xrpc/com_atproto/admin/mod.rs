//! `com.atproto.admin.*`.

pub mod delete_account;
