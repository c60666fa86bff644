//! `com.atproto.server.*`.

mod create_account;
pub(crate) mod create_invite_code;
mod create_invite_codes;
mod create_session;
mod delete_session;
mod describe_server;
mod get_session;
mod refresh_session;
mod reserve_signing_key;
