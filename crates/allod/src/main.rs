//! The `allod` binary: reads arguments, environment and files, chooses the engine and starts what was asked for.
//!
//! The only place of the project that reads the environment, the system's clock and its randomness.
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.

mod cli;
mod commands;
mod config;
mod data_directory;
mod dev_network;
mod launch;
mod local_directory;
mod log_writer;
mod logging;
mod migration;
mod output;
mod process_limits;
mod runtime;
mod sequence_mark;
mod surroundings;
mod system;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // A developer may want to look into a server that has no keys of anybody.
    if !matches!(cli.command, cli::Command::Dev(_)) {
        process_limits::forbid_core_dumps();
    }
    run(cli, surroundings::Surroundings::of_the_process()).into()
}

/// Carries out a command line in its surroundings; gives the exit code.
fn run(cli: cli::Cli, surroundings: surroundings::Surroundings) -> u8 {
    surroundings::within(surroundings, || match commands::run(cli) {
        Ok(()) => 0,
        Err(failure) => {
            output::complain(&failure);
            failure.exit_code()
        }
    })
}
