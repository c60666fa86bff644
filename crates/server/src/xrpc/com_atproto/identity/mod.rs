//! `com.atproto.identity.*`.

pub mod get_recommended_did_credentials;
pub mod resolve_handle;
