//! `cargo xtask bench`: figures of a running server, its CPU and memory read from /proc.
//!
//! Owns the measuring; the results go to standard output and, as JSON, to bench/results/. Linux only.

mod accounts;
mod disk;
mod firehose;
mod load;
mod process;
mod request;
mod signup;
mod start;
mod stream;
mod subject;
mod suite;
mod summary;
mod validate;
mod workloads;

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use clap::Subcommand;
use serde_json::{Map, Value};

/// What is measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// CPU, latency and memory of createAccount.
    Signup(signup::Options),
    /// Time from spawning the server to its first answer, and its memory when idle.
    Start(start::Options),
    /// Throughput, latency, CPU and memory of the data plane: one workload, or the whole suite.
    Load(suite::Options),
    /// Nanoseconds to check a record and to go between JSON and CBOR; needs no server.
    Validate,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// A server or a file could not be used.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server refused what it should do.
    #[error("the server answered {status}: {body}")]
    Refused { status: u16, body: String },
    /// Options that don't go together.
    #[error("{0}")]
    Usage(&'static str),
}

/// Measures, prints the figures and keeps them.
///
/// Errors: the server can't be built, started or driven.
pub(crate) fn run(root: &Path, bench: &Bench) -> Result<(), BenchError> {
    let (name, figures) = match bench {
        Bench::Signup(options) => (options.name().to_owned(), signup::measure(root, options)?),
        Bench::Start(options) => (options.name().to_owned(), start::measure(root, options)?),
        Bench::Load(options) => (options.name(), suite::measure(root, options)?),
        Bench::Validate => (validate::NAME.to_owned(), validate::measure(root)?),
    };
    let text = format!("{figures:#}\n");
    crate::tell(&text);
    let folder = root.join("bench/results");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.json"));
    std::fs::write(&path, text)?;
    crate::say(&format!("written to {}", path.display()));
    Ok(())
}

/// Builds the release server.
fn build(root: &Path) -> io::Result<()> {
    crate::say("building the release server");
    let status =
        Command::new("cargo").args(["build", "--release", "--locked", "-p", "allod"]).current_dir(root).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("the release server does not build")) }
}

/// Rounds to three digits behind the point, so that results read well.
fn rounded(value: f64) -> Value {
    Value::from((value * 1000.0).round() / 1000.0)
}

/// Makes a short name that no earlier run used, so that a server can be measured twice.
fn label() -> String {
    format!("{:x}", seed() & 0xff_ffff)
}

/// A number that no earlier run used.
#[expect(clippy::disallowed_methods, reason = "only tells this run's handles and blobs from an earlier run's")]
fn seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

/// Takes the fields out of an object made by `json!`.
fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}
