//! Generates `crates/lexicon/src/generated` from `lexicons/`: wire types, one module per NSID, and the embedded
//! lexicon documents of the run-time schema set. `--check` compares instead of writing.
//!
//! Owns which lexicons get types; knows nothing of what the types are used for.

#![expect(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "templates read best as they are; speed is no matter"
)]
#![expect(clippy::indexing_slicing, reason = "a missing key of a JSON value gives null")]

mod documentation;
mod field;
mod method;
mod module;
mod names;
mod records;
mod source;
mod tree;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, process};

use clap::Args;

use source::Source;

/// Where the generated code lives, from the workspace's root.
const GENERATED: &str = "crates/lexicon/src/generated";

/// What `lexgen` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// Fails when the checked-in code is not what lexicons/ gives, and writes nothing.
    #[arg(long)]
    check: bool,
}

impl Options {
    /// Asks for the check alone.
    pub(crate) fn to_check() -> Self {
        Self { check: true }
    }
}

/// Why no code could be generated, or why the checked-in code is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LexgenError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// A lexicon is not JSON.
    #[error("{path}: {source}")]
    Json { path: PathBuf, source: serde_json::Error },
    /// A lexicon says something for which no code can be generated.
    #[error("{nsid}: {reason}")]
    Lexicon { nsid: String, reason: String },
    /// rustfmt refused the code.
    #[error("rustfmt failed: {0}")]
    Format(String),
    /// The checked-in code differs.
    #[error("stale generated code, run `cargo xtask lexgen`: {}", .0.join(", "))]
    Stale(Vec<String>),
}

impl LexgenError {
    /// Makes the error of one lexicon.
    fn lexicon(nsid: &str, reason: impl Into<String>) -> Self {
        Self::Lexicon { nsid: nsid.to_owned(), reason: reason.into() }
    }
}

/// Files by their path below [`GENERATED`].
type Files = BTreeMap<String, String>;

/// Generates the code and writes it, or compares it with what is checked in.
///
/// Errors: an unreadable lexicon, a construct without code, or (with `--check`) stale, missing or left-over files.
pub(crate) fn run(root: &Path, options: &Options) -> Result<(), LexgenError> {
    let lexicons = root.join("lexicons");
    let sources = source::read_typed(&lexicons)?;
    let records = records::closure(&source::read_every(&lexicons)?, &sources)?;
    let mut files = tree::modules(&sources, &records)?;
    for source in &sources {
        files.insert(names::module_path(&source.nsid), module::text(source, &sources)?);
    }
    let files = format(root, &files)?;
    let target = root.join(GENERATED);
    let present = read_tree(&target)?;
    let stale: Vec<String> = differing(&files, &present);
    if options.check {
        return if stale.is_empty() { Ok(()) } else { Err(LexgenError::Stale(stale)) };
    }
    for path in stale {
        let at = target.join(&path);
        match files.get(&path) {
            Some(text) => write(&at, text)?,
            None => fs::remove_file(&at).map_err(|source| LexgenError::File { path: at, source })?,
        }
    }
    Ok(())
}

/// Lists the paths whose text differs, is missing, or has no lexicon any more.
fn differing(wanted: &Files, present: &Files) -> Vec<String> {
    let mut paths: Vec<String> =
        wanted.iter().filter(|(path, text)| present.get(*path) != Some(text)).map(|(path, _)| path.clone()).collect();
    paths.extend(present.keys().filter(|path| !wanted.contains_key(*path)).cloned());
    paths
}

/// Runs rustfmt over the files in a folder of their own, with the workspace's settings.
fn format(root: &Path, files: &Files) -> Result<Files, LexgenError> {
    let folder = root.join("target").join(format!("lexgen-{}", process::id()));
    for (path, text) in files {
        write(&folder.join(path), text)?;
    }
    let output = Command::new("rustfmt")
        .arg("--edition=2024")
        .arg("--config-path")
        .arg(root.join("rustfmt.toml"))
        .args(files.keys().map(|path| folder.join(path)))
        .output()
        .map_err(|error| LexgenError::Format(error.to_string()))?;
    if !output.status.success() {
        return Err(LexgenError::Format(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let formatted = read_tree(&folder)?;
    fs::remove_dir_all(&folder).map_err(|source| LexgenError::File { path: folder, source })?;
    Ok(formatted)
}

/// Writes a file and the folders above it.
fn write(path: &Path, text: &str) -> Result<(), LexgenError> {
    let failed = |source| LexgenError::File { path: path.to_path_buf(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)
}

/// Reads every file below a folder; a missing folder has none.
fn read_tree(folder: &Path) -> Result<Files, LexgenError> {
    let mut files = Files::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(current) = waiting.pop() {
        let failed = |source| LexgenError::File { path: current.clone(), source };
        if !current.exists() {
            continue;
        }
        for entry in fs::read_dir(&current).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).map_err(|source| LexgenError::File { path: path.clone(), source })?;
            let below = path.strip_prefix(folder).unwrap_or(&path);
            files.insert(below.to_string_lossy().replace('\\', "/"), text);
        }
    }
    Ok(files)
}

/// Finds the lexicon of an NSID.
fn find<'a>(sources: &'a [Source], nsid: &str) -> Option<&'a Source> {
    sources.iter().find(|source| source.nsid == nsid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checked_in_code_is_what_the_lexicons_give() {
        run(&crate::workspace_root(), &Options { check: true }).unwrap();
    }

    #[test]
    fn changed_missing_and_left_over_files_are_stale() {
        let files = |list: &[(&str, &str)]| -> Files {
            list.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
        };
        let wanted = files(&[("same.rs", "a"), ("changed.rs", "b"), ("missing.rs", "c")]);
        let present = files(&[("same.rs", "a"), ("changed.rs", "x"), ("left_over.rs", "d")]);
        assert_eq!(differing(&wanted, &present), ["changed.rs", "missing.rs", "left_over.rs"]);
    }
}
