//! `com.atproto.temp.*`.

pub mod add_reserved_handle;
pub mod check_handle_availability;
pub mod check_signup_queue;
pub mod request_phone_verification;
pub mod revoke_account_credentials;
