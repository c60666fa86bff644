//! What an engine knows of its own soundness.

use std::path::PathBuf;

/// How many different damages an engine lists.
pub const DAMAGES_MAX: usize = 100;

/// What an engine knows of its own soundness. The default is a sound one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreState {
    /// Why writes are refused until the engine is opened again; none while they are taken.
    pub failed: Option<String>,
    /// The damage that was found since it was opened.
    pub damages: Vec<Damage>,
    /// How much further damage was found, beyond [`DAMAGES_MAX`].
    pub further_damages: u64,
}

/// A place in a file that can't be read, or does not hold what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The page, counted from 1, where it is known.
    pub page: Option<u64>,
    /// What was being read, and what is wrong.
    pub what: String,
    /// How often it was met.
    pub count: u64,
}
