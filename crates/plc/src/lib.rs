//! The did:plc directory: rules, service and client.
//!
//! [`rules`] decides, purely, whether an operation may follow a log and whether a log is sound. [`directory`] is the
//! service that keeps such logs over a [`Db`](allod_store::Db) of its own and answers over HTTP. [`client`] talks to
//! any directory, this one or another, and tells a definite refusal from an answer that never came.

pub mod client;
pub mod directory;
pub mod limits;
pub mod rules;
mod time;

pub use time::Clock;
