//! Configuration: one TOML file, the environment over it, every setting described once in [`settings`].
//!
//! Reads nothing by itself: the file's text, the environment and the files that hold secrets are handed over in
//! [`Sources`]. Later sources win: file, then `PDS_*` names, then `ALLOD_*` names.

mod assemble;
mod given;
mod mail_value;
mod nearest;
mod problem;
mod reader;
mod reference_names;
pub(crate) mod settings;
mod value;

pub(crate) use assemble::{Loaded, Settings, load};
pub(crate) use given::{ConfigFile, Sources};
pub(crate) use problem::Problem;
pub(crate) use reader::Effective;
pub(crate) use value::LogFormat;
