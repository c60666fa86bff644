//! Who administers and moderates the server, and what they can do.

pub mod accounts;
pub mod credentials;
pub mod did_web;
pub mod handles;
pub mod identities;
pub mod tokens;

pub use allod_store::tables::admin_tokens::AdminScope;
