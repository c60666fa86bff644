//! `com.atproto.server.*`.

mod activate_account;
mod check_account_status;
pub(crate) mod confirm_email;
mod create_account;
mod create_app_password;
pub(crate) mod create_invite_code;
mod create_invite_codes;
mod create_session;
mod deactivate_account;
mod delete_account;
mod delete_session;
mod describe_server;
mod get_account_invite_codes;
mod get_service_auth;
mod get_session;
mod list_app_passwords;
mod refresh_session;
mod request_account_delete;
mod request_email_confirmation;
mod request_email_update;
mod request_password_reset;
mod reserve_signing_key;
mod reset_password;
mod revoke_app_password;
mod update_email;
