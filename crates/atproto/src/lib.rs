//! The AT Protocol, pure: no clock, randomness, network, disk or runtime.
//!
//! Bytes and text from elsewhere enter through the `parse` and `decode` functions of this crate,
//! all of which are bounded in depth and size. Time and randomness are arguments.

mod base58;
pub mod car;
pub mod cbor;
pub mod cid;
pub mod crypto;
pub mod did_doc;
pub mod frame;
pub mod json;
pub mod plc;
pub mod repo;
pub mod service_auth;
pub mod syntax;

pub use cid::Cid;
pub use syntax::{
    AtIdentifier, AtUri, CidString, Datetime, Did, Handle, Language, Nsid, RecordKey, SyntaxError, Tid, Uri,
};
