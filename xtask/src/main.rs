//! Project tasks, run as `cargo xtask <task>`. Each task is one module with a `run` function.

mod bench;
mod fuzz;
mod http;
mod lexgen;
mod servers;
mod test;
mod tidy;
mod timing;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The command line of `cargo xtask`.
#[derive(Parser)]
#[command(name = "cargo xtask", about = "Project tasks")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

/// One task and its options.
#[derive(Subcommand)]
enum Task {
    /// Generates the wire types in crates/lexicon from lexicons/.
    Lexgen(lexgen::Options),
    /// Checks what no compiler checks: dependency direction, mirrored tests, licences, sizes, names.
    Tidy,
    /// Prints which module of the domain imports which.
    Graph,
    /// Runs every check and every test, other people's clients included.
    Test(test::Options),
    /// Runs each fuzz target for some seconds.
    Fuzz(fuzz::Options),
    /// Measures a running server, or one that it starts itself.
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let root = workspace_root();
    let outcome: Result<(), Box<dyn std::error::Error>> = match Arguments::parse().task {
        Task::Lexgen(options) => lexgen::run(&root, &options).map_err(Into::into),
        Task::Tidy => tidy::run(&root).map_err(Into::into),
        Task::Graph => tidy::print_graph(&root).map_err(Into::into),
        Task::Test(options) => test::run(&root, &options).map_err(Into::into),
        Task::Fuzz(options) => fuzz::run(&root, &options).map_err(Into::into),
        Task::Bench(bench) => bench::run(&root, &bench).map_err(Into::into),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Finds the workspace's root: the folder above this crate's own.
fn workspace_root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// Writes one line for the person at the terminal.
#[expect(clippy::print_stderr, reason = "a command line tool speaks here and nowhere else")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// Writes one line of a result.
#[expect(clippy::print_stdout, reason = "a command line tool speaks here and nowhere else")]
fn tell(line: &str) {
    println!("{line}");
}
