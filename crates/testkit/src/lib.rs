//! Starts a whole server for a test or a bench: own store, fake clock, seeded randomness, mailbox, did:plc directory.
//!
//! ```no_run
//! # async fn example() {
//! let pds = allod_testkit::TestPds::start().await;
//! let alice = pds.account("alice").await;
//! let session = pds.xrpc_get("com.atproto.server.getSession").bearer(&alice.access).ok().await;
//! assert_eq!(session["did"], alice.did.as_str());
//! # }
//! ```
//!
//! Helpers go through public methods. Time moves by [`TestPds::advance`] alone. When a [`TestPds`] is dropped, it
//! checks that no error was logged unread and that a [`Consumer`] could follow every event; when a method answers, that
//! the answer is as its lexicon says. A check that fails panics: this crate is for tests.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "this crate is for tests, where a panic is the report"
)]

mod call;
mod canaries;
mod clock;
mod consumer;
mod disk;
mod errors;
mod failpoints;
mod json;
mod network;
mod options;
mod pds;
mod plc;
mod randomness;
mod server;
mod stream;

pub use call::{Call, Reply};
pub use clock::FakeClock;
pub use consumer::{Consumer, Followed};
pub use disk::ScriptedDisk;
pub use failpoints::{At, ScriptedFailpoints};
pub use json::read_json;
pub use network::ScriptedNetwork;
pub use options::Options;
pub use pds::{Actor, TestPds};
pub use plc::{Behaviour, ScriptedPlc, Submission};
pub use randomness::SeededRandomness;
pub use stream::{Stream, Told};
