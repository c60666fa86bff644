//! What is fuzzed: one function for each way in, which takes any bytes and panics when something is wrong.
//!
//! Owns the targets, the mutations and the runner of the plain form. `fuzz/` makes libFuzzer targets of the same
//! functions, and has the corpus. A target demands more than that nothing panics: what is read and written comes to the
//! same, and two ways of judging one thing agree.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a target says by a panic that something is wrong"
)]

mod identifiers;
mod identities;
mod mutation;
mod origins;
mod records;
mod repositories;
mod requests;
mod runner;

pub use runner::{Outcome, run};

/// A way in.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name, also of its folder in the corpus and of its file in `fuzz/`.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
}

/// The targets, by name.
pub const TARGETS: &[Target] = &[
    Target { name: "car", run: repositories::car },
    Target { name: "cbor", run: records::cbor },
    Target { name: "content_coding", run: requests::content_coding },
    Target { name: "control_command", run: requests::control_command },
    Target { name: "did_document", run: identities::did_document },
    Target { name: "forwarded", run: origins::forwarded },
    Target { name: "frame", run: repositories::frame },
    Target { name: "host", run: origins::host },
    Target { name: "identifiers", run: identifiers::identifiers },
    Target { name: "json", run: records::json },
    Target { name: "lexicon_document", run: records::lexicon_document },
    Target { name: "listener_message", run: requests::listener_message },
    Target { name: "media_type", run: requests::media_type },
    Target { name: "plc_operation", run: identities::plc_operation },
    Target { name: "query", run: requests::query },
    Target { name: "record", run: records::record },
    Target { name: "request_body", run: records::request_body },
    Target { name: "service_token", run: identities::service_token },
    Target { name: "session_token", run: requests::session_token },
    Target { name: "tree", run: repositories::tree },
    Target { name: "websocket", run: requests::websocket },
    Target { name: "x_forwarded_for", run: origins::x_forwarded_for },
];

/// Finds a target.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
