//! Runs targets over mutations of their corpus for a time, where there is no libFuzzer: `cargo xtask fuzz` calls it.
//!
//! `allod-fuzz-targets CORPUS SECS SEED TARGET…`; an input that a target panics on is left in `crash-TARGET`.

#![expect(clippy::print_stdout, reason = "a program that says what it found")]

use std::{
    env, fs, io,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use allod_fuzz_targets::{find, run};

fn main() -> ExitCode {
    match fuzz(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells whether every target named survived.
fn fuzz(arguments: &[String]) -> io::Result<bool> {
    let [corpus, secs, seed, names @ ..] = arguments else {
        return Err(io::Error::other("CORPUS SECS SEED TARGET…"));
    };
    let (Ok(secs), Ok(seed)) = (secs.parse(), seed.parse()) else {
        return Err(io::Error::other("the seconds and the seed are numbers"));
    };
    let mut are_sound = true;
    for name in names {
        let target = find(name).ok_or_else(|| io::Error::other(format!("there is no target {name}")))?;
        let end = now() + Duration::from_secs(secs);
        let outcome = run(target, Path::new(corpus), seed, move |_| now() < end)?;
        println!("{name}: {} runs over {} entries", outcome.runs, outcome.corpus);
        if let Some(bytes) = outcome.failure {
            fs::write(format!("crash-{name}"), &bytes)?;
            println!("{name}: panicked on {}", bytes.escape_ascii());
            are_sound = false;
        }
    }
    Ok(are_sound)
}

#[expect(clippy::disallowed_methods, reason = "the developer said for how long")]
fn now() -> Instant {
    Instant::now()
}
