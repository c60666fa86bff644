//! `com.atproto.admin.*`.

mod delete_account;
mod update_account_handle;
