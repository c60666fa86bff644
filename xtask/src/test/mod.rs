//! `cargo xtask test`: every check and every test, in the order in which they are quickest to fail.
//!
//! Owns the list of steps and the summary. A step that lacks a tool says which; it is skipped on a person's machine
//! and fails in CI.

mod canaries;
mod clients;
mod count;
mod documents;
mod step;
mod tools;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::{lexgen, tidy};
use count::Count;
use step::{Outcome, Report, Step};

/// What `test` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// Runs only this step; can be given more than once.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Leaves out other people's clients, which need node, npm, python3 and curl.
    #[arg(long)]
    no_clients: bool,
    /// Lists the steps and runs none.
    #[arg(long)]
    list: bool,
    /// Set in continuous integration: warnings are errors, and nothing is skipped.
    #[arg(long, env = "CI", hide_env = true, num_args = 0..=1, default_missing_value = "true")]
    ci: Option<String>,
}

impl Options {
    fn in_ci(&self) -> bool {
        self.ci.as_deref().is_some_and(|value| !matches!(value, "" | "0" | "false"))
    }
}

/// Why the run is no success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TestError {
    /// A step or a test failed.
    #[error("not everything passed")]
    Failed,
    /// `--only` names nothing.
    #[error("there is no step {0:?}; `cargo xtask test --list` shows them")]
    UnknownStep(String),
    /// There is no room for what is to be searched.
    #[error("the folder for what servers write can't be made: {0}")]
    Folder(io::Error),
}

/// What a step needs to know of its surroundings.
pub(crate) struct Surroundings<'a> {
    root: &'a Path,
    in_ci: bool,
    /// Where everything that servers write is left for the search at the end, if there is one.
    canaries: Option<PathBuf>,
}

/// The steps, in order.
const STEPS: &[Step] = &[
    Step { name: "fmt", about: "the code is formatted", run: fmt },
    Step { name: "lexgen", about: "the generated wire types are fresh", run: lexgen },
    Step { name: "tidy", about: "the project's own rules hold", run: tidy },
    Step { name: "deny", about: "cargo-deny agrees, where it is installed", run: deny },
    Step { name: "clippy", about: "the lints hold", run: clippy },
    Step { name: "rust", about: "unit, conformance, black-box and command-line tests", run: rust },
    Step { name: "curl", about: "the curl lines of README.md and docs/legacy.md work as written", run: clients::curl },
    Step {
        name: "node",
        about: "npm @atproto/api, repo and sync, @atcute/car and mst, @did-plc/lib",
        run: clients::node,
    },
    Step { name: "python", about: "PyPI atproto", run: clients::python },
    Step { name: "directory", about: "npm @did-plc/server in place of Allod's directory", run: clients::directory },
    Step { name: "canaries", about: "no secret is in what servers logged and kept in all of this", run: canaries },
];

/// The steps that are other people's clients.
const CLIENT_STEPS: &[&str] = &["curl", "node", "python", "directory"];

/// Runs the steps and prints a summary that ends with `N passed, N failed`.
///
/// Errors: a step or test failed, or `--only` names no step.
pub(crate) fn run(root: &Path, options: &Options) -> Result<(), TestError> {
    if let Some(unknown) = options.only.iter().find(|name| !STEPS.iter().any(|step| step.name == name.as_str())) {
        return Err(TestError::UnknownStep(unknown.clone()));
    }
    if options.list {
        for step in STEPS {
            crate::tell(&format!("{:<10} {}", step.name, step.about));
        }
        return Ok(());
    }
    let is_wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    // Writing everything down takes room and some time; a person asks for it by the name of the step.
    let is_searched = is_wanted("rust") && is_wanted("canaries") && (options.in_ci() || !options.only.is_empty());
    let canaries = is_searched.then(|| root.join("target").join("canaries"));
    if let Some(Err(error)) = canaries.as_deref().map(canaries::prepare) {
        return Err(TestError::Folder(error));
    }
    let surroundings = Surroundings { root, in_ci: options.in_ci(), canaries };
    let mut report = Report::default();
    for step in STEPS {
        let left_out = options.no_clients && CLIENT_STEPS.contains(&step.name);
        if is_wanted(step.name) && !left_out {
            report.add(step, &surroundings);
        }
    }
    report.print();
    if report.failed() { Err(TestError::Failed) } else { Ok(()) }
}

fn fmt(at: &Surroundings<'_>) -> io::Result<Outcome> {
    check(cargo(at).args(["fmt", "--all", "--check"]))
}

fn lexgen(at: &Surroundings<'_>) -> io::Result<Outcome> {
    lexgen::run(at.root, &lexgen::Options::to_check()).map_err(io::Error::other)?;
    Ok(Outcome::Ran(Count::one(true)))
}

fn tidy(at: &Surroundings<'_>) -> io::Result<Outcome> {
    tidy::run(at.root).map_err(io::Error::other)?;
    Ok(Outcome::Ran(Count::one(true)))
}

/// The tool is nobody's duty: `tidy` checks bans and licences from the same file.
fn deny(at: &Surroundings<'_>) -> io::Result<Outcome> {
    if tools::version("cargo-deny", "--version").is_none() {
        return Ok(Outcome::NotNeeded("cargo-deny is not installed; tidy has checked bans and licences".to_owned()));
    }
    check(cargo(at).args(["deny", "check", "bans", "licenses", "sources"]))
}

fn clippy(at: &Surroundings<'_>) -> io::Result<Outcome> {
    let mut command = cargo(at);
    command.args(["clippy", "--workspace", "--all-targets", "--locked"]);
    if at.in_ci {
        command.args(["--", "-D", "warnings"]);
    }
    check(&mut command)
}

fn rust(at: &Surroundings<'_>) -> io::Result<Outcome> {
    let mut count = Count::default();
    let mut command = cargo(at);
    command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    if let Some(folder) = &at.canaries {
        command.env(canaries::FOLDER_VARIABLE, folder);
    }
    let status = step::stream(&mut command, |line| count += Count::of_cargo(line))?;
    Ok(Outcome::Ran(count.with_status(status.success())))
}

fn canaries(at: &Surroundings<'_>) -> io::Result<Outcome> {
    let Some(folder) = &at.canaries else {
        let how = "nothing was written down: CI=true, or --only rust --only canaries";
        return Ok(Outcome::NotNeeded(how.to_owned()));
    };
    let searched = canaries::search(folder)?;
    let objections = searched.objections();
    for objection in &objections {
        crate::say(objection);
    }
    crate::tell(&searched.told());
    Ok(Outcome::Ran(Count::one(objections.is_empty())))
}

/// Runs a command that is one check.
fn check(command: &mut Command) -> io::Result<Outcome> {
    let status = command.status()?;
    Ok(Outcome::Ran(Count::one(status.success())))
}

fn cargo(at: &Surroundings<'_>) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(at.root);
    command
}
