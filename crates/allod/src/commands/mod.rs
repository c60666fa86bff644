//! The commands, one file each.

mod account;
mod admin_token;
mod administer;
mod audit;
mod config;
mod data;
mod dev;
mod firehose;
mod handle;
mod invite;
mod mail;
mod migrate_in;
mod plc;
mod queue;
mod repo;
mod secrets;
mod serve;
mod status;
mod takedown;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    fmt,
    path::{Path, PathBuf},
};

use crate::{
    cli::{Cli, Command},
    config::{self as settings, ConfigFile, Loaded, Problem, Settings, Sources, load},
    data_directory::{DataDirectoryError, secret_file_warning},
    runtime, surroundings,
};

pub(crate) use secrets::{
    new_key, new_master_key, new_password, new_rotation_key, new_token_secret, private_key_hex, toml_fragment,
};

/// The files of which the first that is there is read when nobody names one.
const DEFAULT_CONFIG_FILES: [&str; 2] = ["allod.toml", SYSTEM_CONFIG_FILE];

/// Where the configuration of an installed server is.
const SYSTEM_CONFIG_FILE: &str = "/etc/allod/allod.toml";

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
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage(_) => 2,
            Self::Failed(_) => 1,
        }
    }
}

impl From<DataDirectoryError> for Failure {
    fn from(error: DataDirectoryError) -> Self {
        match error {
            DataDirectoryError::Io { .. } => Self::failed(error),
            DataDirectoryError::Reference { .. } | DataDirectoryError::OtherUser { .. } => {
                Self::Usage(error.to_string())
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Failed(message) => f.write_str(message),
            Self::Config(problems) => {
                write!(f, "the configuration is invalid")?;
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
        Command::Audit { page, target } => audit::run(page, &target),
        Command::Status(target) => status::run(&target),
        Command::Firehose(command) => firehose::run(command),
        Command::Mail(command) => mail::run(command),
        Command::Invite(command) => invite::run(command),
        Command::Handle(command) => handle::run(command),
        Command::Queue(command) => queue::run(command),
        Command::Repo(command) => repo::run(&command),
        Command::Config(command) => config::run(&command),
        Command::Data(command) => data::run(&command),
        Command::Secrets(crate::cli::Secrets::Generate { toml }) => {
            secrets::generate(toml);
            Ok(())
        }
        Command::Secrets(crate::cli::Secrets::MasterKey(config)) => secrets::print_master_key(config.as_path()),
    }
}

/// Reads the configuration from the file and the environment.
fn load_config(file: Option<&Path>) -> Result<Loaded, Failure> {
    let path = match file {
        Some(path) => Some(path.to_owned()),
        None => first_that_exists(&DEFAULT_CONFIG_FILES),
    };
    let file = path.map(read_config_file).transpose()?;
    Ok(load_with(file))
}

/// The first of the files that is there.
fn first_that_exists(paths: &[&str]) -> Option<PathBuf> {
    paths.iter().map(PathBuf::from).find(|path| path.exists())
}

/// Reads the configuration from a file that was read, and the environment.
fn load_with(file: Option<ConfigFile>) -> Loaded {
    let read = RefCell::new(Vec::new());
    if let Some(file) = file.as_ref().filter(|file| settings::holds_secrets(&file.text)) {
        read.borrow_mut().push(file.path.clone());
    }
    let read_file = |path: &Path| {
        read.borrow_mut().push(path.to_owned());
        std::fs::read(path)
    };
    let sources = Sources { file, environment: surroundings::environment(), read_file: &read_file };
    let mut loaded = load(&sources, runtime::cores());
    let open_to_others = |path: &PathBuf| Some(Problem::at(path.display().to_string(), secret_file_warning(path)?));
    loaded.warnings.extend(read.borrow().iter().filter_map(open_to_others));
    loaded
}

fn read_config_file(path: PathBuf) -> Result<ConfigFile, Failure> {
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(ConfigFile { path, text }),
        Err(reason) => {
            Err(Failure::Config(vec![Problem::at(path.display().to_string(), format!("can't be read: {reason}"))]))
        }
    }
}

/// Takes the settings of a usable configuration, and its warnings.
fn usable(loaded: Loaded) -> Result<(Settings, Vec<Problem>), Failure> {
    match loaded.settings {
        Some(settings) => Ok((settings, loaded.warnings)),
        None => Err(Failure::Config(loaded.problems)),
    }
}
