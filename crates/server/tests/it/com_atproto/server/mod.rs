//! `com.atproto.server.*`.

mod create_account;
mod create_app_password;
pub(crate) mod create_invite_code;
mod create_invite_codes;
mod create_session;
mod delete_session;
mod describe_server;
mod get_service_auth;
mod get_session;
mod list_app_passwords;
mod refresh_session;
mod reserve_signing_key;
mod revoke_app_password;
