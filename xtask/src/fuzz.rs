//! `cargo xtask fuzz`: every target for some seconds, by libFuzzer where there is a nightly compiler, else by the plain
//! runner of `crates/fuzz-targets`.
//!
//! Owns how the targets are built for libFuzzer: what cargo-fuzz does, without a sanitizer, as none of our code is unsafe.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Args;

/// What makes the compiler count edges and comparisons for libFuzzer.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
/// The longest input that libFuzzer makes, in bytes.
const INPUT_BYTES_MAX: u32 = 65_536;
/// How long one input may take, in seconds.
const INPUT_SECS_MAX: u32 = 10;

/// What `fuzz` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// How long each target runs, in seconds.
    #[arg(long, value_name = "N", default_value_t = 20)]
    secs: u64,
    /// Runs only this target; can be given more than once.
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Mutates without coverage, also where there is a nightly compiler.
    #[arg(long)]
    plain: bool,
    /// What the plain form's mutations begin with.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Why the run is no success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FuzzError {
    /// A program can't be run, or a folder can't be read.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// Nothing was built.
    #[error("the targets can't be built")]
    Build,
    /// A target found something.
    #[error("targets that failed: {}", .0.join(", "))]
    Found(Vec<String>),
    /// `--target` names nothing.
    #[error("there is no target {0:?}")]
    Unknown(String),
}

/// Runs the targets one after the other.
///
/// Errors: they can't be built, or one of them finds something.
pub(crate) fn run(root: &Path, options: &Options) -> Result<(), FuzzError> {
    let names = names(root, &options.target)?;
    if options.plain || !has_nightly() {
        return plain(root, options, &names);
    }
    build(root)?;
    let mut found = Vec::new();
    for name in names {
        crate::say(&format!("{name}: {} seconds", options.secs));
        if !fuzz(root, options, &name)? {
            found.push(name);
        }
    }
    if found.is_empty() { Ok(()) } else { Err(FuzzError::Found(found)) }
}

/// Lists the targets that are wanted, by the files of `fuzz/fuzz_targets`.
fn names(root: &Path, wanted: &[String]) -> Result<Vec<String>, FuzzError> {
    let folder = root.join("fuzz/fuzz_targets");
    let failed = |source| FuzzError::Io { what: folder.display().to_string(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(name)) {
        return Err(FuzzError::Unknown(unknown.clone()));
    }
    names.retain(|name| wanted.is_empty() || wanted.contains(name));
    names.sort();
    Ok(names)
}

fn has_nightly() -> bool {
    let mut rustc = Command::new("rustup");
    rustc.args(["run", "nightly", "rustc", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    rustc.status().is_ok_and(|status| status.success())
}

fn plain(root: &Path, options: &Options, names: &[String]) -> Result<(), FuzzError> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root).args(["run", "--locked", "--quiet", "-p", "allod-fuzz-targets", "--", "fuzz/corpus"]);
    cargo.args([options.secs.to_string(), options.seed.to_string()]).args(names);
    if succeeds(&mut cargo)? { Ok(()) } else { Err(FuzzError::Found(vec!["see above".to_owned()])) }
}

fn build(root: &Path) -> Result<(), FuzzError> {
    let mut cargo = Command::new("rustup");
    cargo.args(["run", "nightly", "cargo", "build", "--release", "--locked", "--bins"]);
    // The target is named so that build scripts and macros are not measured.
    cargo.args(["--target", "x86_64-unknown-linux-gnu"]).env("RUSTFLAGS", COVERAGE).current_dir(root.join("fuzz"));
    if succeeds(&mut cargo)? { Ok(()) } else { Err(FuzzError::Build) }
}

/// Tells whether the target survived. What libFuzzer adds to the corpus stays below `fuzz/target`.
fn fuzz(root: &Path, options: &Options, name: &str) -> Result<bool, FuzzError> {
    let folder = root.join("fuzz");
    let grown = folder.join("target/corpus").join(name);
    let artifacts = folder.join("artifacts").join(name);
    for folder in [&grown, &artifacts] {
        fs::create_dir_all(folder).map_err(|source| FuzzError::Io { what: folder.display().to_string(), source })?;
    }
    let mut target = Command::new(folder.join("target/x86_64-unknown-linux-gnu/release").join(name));
    target.arg(grown).arg(folder.join("corpus").join(name)).arg(format!("-max_total_time={}", options.secs));
    target.args([format!("-max_len={INPUT_BYTES_MAX}"), format!("-timeout={INPUT_SECS_MAX}")]);
    target.args(["-print_final_stats=1", "-verbosity=0", "-rss_limit_mb=2048"]);
    target.arg(format!("-artifact_prefix={}/", artifacts.display()));
    succeeds(&mut target)
}

fn succeeds(command: &mut Command) -> Result<bool, FuzzError> {
    let status = command.status();
    let what = || command.get_program().to_string_lossy().into_owned();
    status.map(|status| status.success()).map_err(|source| FuzzError::Io { what: what(), source })
}
