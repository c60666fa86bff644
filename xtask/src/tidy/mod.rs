//! Checks what no compiler checks: who may depend on whom, which file needs a twin, what may not be forgotten.
//!
//! Each rule is a pure function from the tree's text to findings; this module reads the tree and prints them.

mod crates;
mod documents;
mod endpoints;
mod graph;
mod layers;
mod licences;
mod metadata;
mod paths;
mod sources;
mod unused;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use metadata::Metadata;

/// Folders that hold nothing of ours.
const SKIPPED_FOLDERS: &[&str] = &["target", ".git", "node_modules", "allod-dev", "__pycache__"];
/// Kinds of files that rules look at.
const READ_EXTENSIONS: &[&str] = &["rs", "md", "toml", "mjs", "py"];

/// Why the tree could not be checked, or that it breaks rules.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TidyError {
    /// A file could not be read.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// Cargo failed or answered something else.
    #[error("cargo: {0}")]
    Metadata(String),
    /// deny.toml does not say what the checks need.
    #[error("deny.toml: {0}")]
    Policy(String),
    /// Rules are broken.
    #[error("{} untidy, see above", .0)]
    Untidy(usize),
}

/// A file of the project, its path relative to the root, with `/` between folders.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// Makes a file out of nothing, for tests.
    #[cfg(test)]
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Tells whether this is Rust that a person wrote.
    fn is_own_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|kind| kind == "rs") && !self.path.contains("/generated/")
    }

    /// Counts the lines, with numbers from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    line: Option<usize>,
    message: String,
}

impl Finding {
    fn at(source: &Source, line: usize, message: impl Into<String>) -> Self {
        Self { path: source.path.clone(), line: Some(line), message: message.into() }
    }

    fn of(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), line: None, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

/// Checks the tree below `root` and prints what is wrong.
///
/// Errors: something can't be read, or a rule is broken.
pub(crate) fn run(root: &Path) -> Result<(), TidyError> {
    let tree = read_tree(root)?;
    let metadata = read_metadata(root)?;
    let policy = find(&tree, "deny.toml").map_or("", |source| source.text.as_str());
    let policy = licences::Policy::parse(policy).map_err(TidyError::Policy)?;

    let mut findings = Vec::new();
    findings.extend(crates::check(&metadata));
    findings.extend(licences::check(&metadata, &policy));
    findings.extend(layers::check(&tree));
    findings.extend(graph::check(&tree));
    findings.extend(endpoints::check(&tree));
    findings.extend(sources::check(&tree));
    findings.extend(documents::check(&tree, &metadata));
    findings.extend(unused::check(&tree, &metadata));
    for finding in &findings {
        crate::say(&finding.to_string());
    }
    if findings.is_empty() { Ok(()) } else { Err(TidyError::Untidy(findings.len())) }
}

/// Prints which module of the domain imports which, as a table.
///
/// Errors: something can't be read.
pub(crate) fn print_graph(root: &Path) -> Result<(), TidyError> {
    for line in graph::table(&read_tree(root)?) {
        crate::tell(&line);
    }
    Ok(())
}

/// Finds a file by its path.
fn find<'a>(tree: &'a [Source], path: &str) -> Option<&'a Source> {
    tree.iter().find(|source| source.path == path)
}

#[expect(clippy::disallowed_methods, reason = "cargo wrote it")]
fn read_metadata(root: &Path) -> Result<Metadata, TidyError> {
    let answer = cargo(root, &["metadata", "--format-version", "1", "--locked"])?;
    let mut metadata: Metadata =
        serde_json::from_str(&answer).map_err(|error| TidyError::Metadata(error.to_string()))?;
    let tree = ["tree", "--workspace", "--locked", "--target", "all", "--prefix", "none", "--format", "{p}"];
    metadata.linked = metadata::linked(&cargo(root, &tree)?);
    // A workspace of its own, which no other step builds.
    cargo(&root.join("fuzz"), &["metadata", "--format-version", "1", "--locked"])?;
    Ok(metadata)
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<String, TidyError> {
    let output = Command::new("cargo").args(arguments).current_dir(root).output();
    let output = output.map_err(|error| TidyError::Metadata(error.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(TidyError::Metadata(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

fn read_tree(root: &Path) -> Result<Vec<Source>, TidyError> {
    let mut sources = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|source| TidyError::File { path: folder.clone(), source })?;
        for entry in entries {
            let path = entry.map_err(|source| TidyError::File { path: folder.clone(), source })?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !SKIPPED_FOLDERS.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|kind| READ_EXTENSIONS.contains(&kind.to_string_lossy().as_ref())) {
                let text = std::fs::read_to_string(&path);
                let text = text.map_err(|source| TidyError::File { path: path.clone(), source })?;
                let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                sources.push(Source { path: relative, text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}
