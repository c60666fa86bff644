//! Wire types of the protocol's methods, generated from `lexicons/`, and the lexicons themselves as a run-time schema
//! set.
//!
//! [`com_atproto`] has one module per NSID with `Params`, `Input`, `Output`, `Error` and the named definitions; each
//! method is also a type that implements [`Method`]. [`schema`] checks JSON against the same lexicons.
//! Owns nothing of what a method does, and does no I/O.

pub mod app_bsky;
mod generated;
pub mod method;
pub mod schema;
pub mod wire;

pub use generated::com_atproto;
pub use method::{DeclaredError, Kind, Method, MethodInfo};

#[cfg(test)]
mod generated_tests;
