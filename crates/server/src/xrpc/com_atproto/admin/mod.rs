//! `com.atproto.admin.*`.

pub mod delete_account;
pub mod update_account_handle;
