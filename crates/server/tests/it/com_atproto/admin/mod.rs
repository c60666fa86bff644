//! `com.atproto.admin.*`.

mod delete_account;
