//! `com.atproto.account.*`: the methods of the protocol's first year, over the same domain functions as today's.

pub mod create;
pub mod create_invite_code;
pub mod delete;
pub mod get;
pub mod request_password_reset;
pub mod reset_password;
