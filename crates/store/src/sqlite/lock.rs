//! One process, one database file: an exclusive lock on a file beside it.
//!
//! The database file itself is not used for this: `SQLite` keeps its own locks on it, and closing any
//! other descriptor of that file would silently drop them.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::OpenError;

/// Holds the lock until dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
}

impl FileLock {
    /// Takes the lock of the database at `path` without waiting.
    pub(super) fn take(path: &Path) -> Result<Self, OpenError> {
        let lock_path = beside(path, ".lock");
        let io = |source| OpenError::Io { what: "lock", path: lock_path.clone(), source };
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock_path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Explicitly, because a child process between fork and exec still holds a copy of the descriptor.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "could not unlock the database's lock file");
        }
    }
}

/// `path` with `ending` added to its file name.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
