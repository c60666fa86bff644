//! The directory from outside: its rules on whole logs, the service over HTTP, the client against a bad directory.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what a test can't do or find fails it"
)]

mod client;
mod directory;
mod export;
mod history;
mod rules;
mod running;
mod stream;
