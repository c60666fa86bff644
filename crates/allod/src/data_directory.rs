//! The data directory: made for its owner alone, and its files' names.
//!
//! That one process at a time uses it is the storage engine's care: it locks its database file.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// The server's database.
const DATABASE_FILE: &str = "allod.sqlite";

/// The did:plc directory's database.
const PLC_DATABASE_FILE: &str = "plc.sqlite";

/// The blobs.
const BLOBS_FOLDER: &str = "blobs";
/// Where repositories are kept while they are imported.
const IMPORTS_DIRECTORY: &str = "imports";

/// The directory could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the data directory {} can't be used: {reason}", path.display())]
pub(crate) struct DataDirectoryError {
    path: PathBuf,
    reason: io::Error,
}

/// A data directory.
#[derive(Debug, Clone)]
pub(crate) struct DataDirectory(PathBuf);

impl DataDirectory {
    /// Makes the directory if it is missing, open to its owner alone.
    pub(crate) fn create(path: &Path) -> Result<Self, DataDirectoryError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|reason| DataDirectoryError { path: path.to_owned(), reason })?;
        Ok(Self(path.to_owned()))
    }

    /// Names a directory that may or may not be there.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The server's database.
    pub(crate) fn database(&self) -> PathBuf {
        self.0.join(DATABASE_FILE)
    }

    /// Where blobs are, unless the operator says otherwise.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.0.join(BLOBS_FOLDER)
    }

    /// The did:plc directory's database.
    pub(crate) fn plc_database(&self) -> PathBuf {
        self.0.join(PLC_DATABASE_FILE)
    }

    /// Where repositories are kept while they are imported.
    pub(crate) fn imports(&self) -> PathBuf {
        self.0.join(IMPORTS_DIRECTORY)
    }

    /// Where a running server takes administrative commands.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.0.join(allod_server::control::SOCKET_FILE)
    }
}
