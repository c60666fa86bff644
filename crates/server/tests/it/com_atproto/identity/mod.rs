//! `com.atproto.identity.*`.

mod get_recommended_did_credentials;
mod resolve_handle;
