//! `com.atproto.account.*`: the methods of the protocol's first year.

mod create;
mod create_invite_code;
mod delete;
mod get;
mod request_password_reset;
mod reset_password;
