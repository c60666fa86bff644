//! Runs a target over mutations of its corpus for a time, where there is no libFuzzer: `cargo xtask fuzz` calls it.
//!
//! `allod-fuzz-targets CORPUS ARTIFACTS SECS SEED TARGET`; an input that the target panics on is left in the folder
//! `ARTIFACTS`. The number of runs is told in libFuzzer's words.

#![expect(clippy::print_stderr, reason = "a program that says what it found")]

use std::{
    env, fs, io,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use allod_fuzz_targets::{find, run};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

fn main() -> ExitCode {
    match fuzz(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells whether the target survived.
fn fuzz(arguments: &[String]) -> io::Result<bool> {
    let [corpus, artifacts, secs, seed, name] = arguments else {
        return Err(io::Error::other("arguments: CORPUS ARTIFACTS SECS SEED TARGET"));
    };
    let (Ok(secs), Ok(seed)) = (secs.parse(), seed.parse()) else {
        return Err(io::Error::other("the seconds and the seed are numbers"));
    };
    let target = find(name).ok_or_else(|| io::Error::other(format!("there is no target {name}")))?;
    let end = now() + Duration::from_secs(secs);
    let outcome = run(target, Path::new(corpus), seed, move |_| now() < end)?;
    eprintln!("stat::number_of_executed_units: {}", outcome.runs);
    let Some(bytes) = outcome.failure else { return Ok(true) };
    let digest = HEXLOWER.encode(&Sha256::digest(&bytes));
    fs::write(Path::new(artifacts).join(format!("crash-{digest}")), &bytes)?;
    eprintln!("{name}: panicked on {}", bytes.escape_ascii());
    Ok(false)
}

#[expect(clippy::disallowed_methods, reason = "the developer said for how long")]
fn now() -> Instant {
    Instant::now()
}
