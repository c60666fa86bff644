//! Configuration: one TOML file, the environment over it, every setting described once in [`settings`].
//!
//! Reads nothing by itself: the file's text, the environment and the files that hold secrets are handed over in
//! [`Sources`]. Later sources win: file, then `PDS_*` names, then `ALLOD_*` names.

mod assemble;
mod given;
mod mail_value;
mod problem;
mod reader;
mod reference_names;
mod secrets;
pub(crate) mod settings;
mod value;

pub(crate) use assemble::{Loaded, Settings, load};
pub(crate) use given::{ConfigFile, Sources};
pub(crate) use problem::Problem;
pub(crate) use reader::Effective;
pub(crate) use value::LogFormat;

/// Tells whether a configuration file sets a secret, by the beginnings of its lines.
pub(crate) fn holds_secrets(text: &str) -> bool {
    let is_secret = |line: &str| {
        let mut secrets = settings::ALL.iter().filter(|entry| entry.secret);
        secrets.any(|entry| line.strip_prefix(entry.key).is_some_and(|rest| rest.trim_start().starts_with('=')))
    };
    text.lines().any(|line| is_secret(line.trim_start()))
}
