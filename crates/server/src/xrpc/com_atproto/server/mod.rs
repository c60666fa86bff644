//! `com.atproto.server.*`.

pub mod describe_server;
