//! `com.atproto.identity.*`.

mod resolve_handle;
