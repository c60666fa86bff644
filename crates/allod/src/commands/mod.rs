//! The commands, one file each.

mod account;
mod admin_token;
mod administer;
mod audit;
mod config;
mod dev;
mod firehose;
mod invite;
mod mail;
mod migrate_in;
mod plc;
mod queue;
mod repo;
mod secrets;
mod serve;
mod takedown;

use std::{
    fmt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    cli::{Cli, Command},
    config::{ConfigFile, Loaded, Problem, Settings, Sources, load},
    output, runtime,
};

pub(crate) use secrets::{new_key, new_password, new_rotation_key, new_token_secret, private_key_hex};

/// The file that is read when nobody names one.
const DEFAULT_CONFIG_FILE: &str = "allod.toml";

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration is wrong.
    Config(Vec<Problem>),
    /// The command line asks for something that can't be.
    Usage(String),
    /// It was tried and failed.
    Failed(String),
}

impl Failure {
    /// A failure told by its cause.
    pub(crate) fn failed(cause: impl fmt::Display) -> Self {
        Self::Failed(cause.to_string())
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::from(1),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Failed(message) => f.write_str(message),
            Self::Config(problems) => {
                write!(f, "the configuration is not usable")?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

/// Carries out the command line.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Serve(config) => serve::run(config.as_path()),
        Command::Plc(arguments) => plc::run(&arguments),
        Command::Account(command) => account::run(command),
        Command::Takedown(command) => takedown::run(command),
        Command::AdminToken(command) => admin_token::run(command),
        Command::Audit { limit, target } => audit::run(limit, &target),
        Command::Firehose(command) => firehose::run(&command),
        Command::Mail(command) => mail::run(command),
        Command::Invite(command) => invite::run(command),
        Command::Queue(command) => queue::run(command),
        Command::Repo(command) => repo::run(&command),
        Command::Config(command) => config::run(&command),
        Command::Secrets(crate::cli::Secrets::Generate) => {
            secrets::generate();
            Ok(())
        }
    }
}

/// Reads the configuration from the file and the environment.
fn load_config(file: Option<&Path>) -> Result<Loaded, Failure> {
    let path = match file {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(DEFAULT_CONFIG_FILE)).filter(|path| path.exists()),
    };
    let file = path.map(read_config_file).transpose()?;
    let read_file = |path: &Path| std::fs::read(path);
    let sources = Sources { file, environment: std::env::vars_os().collect(), read_file: &read_file };
    Ok(load(&sources, runtime::cores()))
}

fn read_config_file(path: PathBuf) -> Result<ConfigFile, Failure> {
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(ConfigFile { path, text }),
        Err(reason) => {
            Err(Failure::Config(vec![Problem::at(path.display().to_string(), format!("can't be read: {reason}"))]))
        }
    }
}

/// Takes the settings of a usable configuration, remarking its warnings.
fn usable(loaded: Loaded) -> Result<Settings, Failure> {
    for warning in &loaded.warnings {
        output::remark(format_args!("warning: {warning}"));
    }
    loaded.settings.ok_or(Failure::Config(loaded.problems))
}
