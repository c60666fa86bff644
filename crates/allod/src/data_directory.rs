//! The data directory: made for its owner alone, its files' names, and what it must not be.
//!
//! That one process at a time uses it is the storage engine's care: it locks its database file.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
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
/// Which event numbers may have been given out.
const EVENT_SEQUENCE_FILE: &str = "event-sequence";

/// What the reference distribution keeps in its data directory: one of these is enough to know it.
const REFERENCE_NAMES: [&str; 3] = ["account.sqlite", "sequencer.sqlite", "actors"];

/// The permissions of everybody but the owner.
const OTHERS_MODE: u32 = 0o077;

/// Why the directory can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirectoryError {
    /// The system refused.
    #[error("the data directory {} can't be used: {reason}", path.display())]
    Io {
        /// Where it is.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// It is of another program.
    #[error(
        "the data directory {} belongs to the reference distribution (it contains {found}). Allod can't read that format. \
         Nothing was changed. Choose an empty directory; accounts move with `allod account migrate-in` while the \
         reference server runs",
        path.display()
    )]
    Reference {
        /// Where it is.
        path: PathBuf,
        /// What it is known by.
        found: &'static str,
    },
    /// It belongs to another user, and what is made in it now could not be opened by that user.
    #[error(
        "the data in {} belongs to the user with ID {owner}: the server could not open files that root creates there. \
         Run the command as that user (sudo -u '#{owner}' allod …)",
        path.display()
    )]
    OtherUser {
        /// Where it is.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
}

/// A data directory.
#[derive(Debug, Clone)]
pub(crate) struct DataDirectory(PathBuf);

impl DataDirectory {
    /// Makes the directory if it is missing, open to its owner alone. One of the reference distribution is refused.
    pub(crate) fn create(path: &Path) -> Result<Self, DataDirectoryError> {
        let data = Self(path.to_owned());
        data.check_format()?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|reason| DataDirectoryError::Io { path: path.to_owned(), reason })?;
        Ok(data)
    }

    /// Names a directory that may or may not be there.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Checks that what is there is no other program's.
    pub(crate) fn check_format(&self) -> Result<(), DataDirectoryError> {
        let Self(path) = self;
        if !self.database().exists()
            && let Some(found) = REFERENCE_NAMES.into_iter().find(|name| path.join(name).exists())
        {
            return Err(DataDirectoryError::Reference { path: path.clone(), found });
        }
        Ok(())
    }

    /// Checks that files that this process makes can be opened by the server: root would make them its own.
    pub(crate) fn check_owner(&self) -> Result<(), DataDirectoryError> {
        match (self.database().metadata(), fs::metadata("/proc/self")) {
            (Ok(database), Ok(process)) if process.uid() == 0 && database.uid() != 0 => {
                Err(DataDirectoryError::OtherUser { path: self.0.clone(), owner: database.uid() })
            }
            _ => Ok(()),
        }
    }

    /// What is wrong with the directory's permissions, with the command that mends it.
    pub(crate) fn permission_warning(&self) -> Option<String> {
        let mode = self.0.metadata().ok()?.mode() & 0o7777;
        let path = self.0.display();
        (mode & OTHERS_MODE != 0).then(|| {
            format!(
                "the data directory {path} is open to other users of this machine (mode {mode:04o}): close it with \
                 `chmod 700 {path}`"
            )
        })
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

    /// Which event numbers may have been given out.
    pub(crate) fn event_sequence(&self) -> PathBuf {
        self.0.join(EVENT_SEQUENCE_FILE)
    }

    /// Where a running server takes administrative commands.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.0.join(allod_server::control::SOCKET_FILE)
    }
}

/// Writes a file for its owner alone, whole or not at all, and durably.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => fs::File::open(directory)?.sync_all(),
        _ => fs::File::open(".")?.sync_all(),
    }
}

/// What is wrong with the permissions of a file that holds secrets. Its group may read it: the server's user has to.
pub(crate) fn secret_file_warning(path: &Path) -> Option<String> {
    let mode = path.metadata().ok()?.mode() & 0o7777;
    let path = path.display();
    (mode & 0o007 != 0).then(|| {
        format!(
            "holds secrets and is open to every user of this machine (mode {mode:04o}): close it with `chmod o= {path}`"
        )
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_directory_of_the_reference_distribution_is_known_by_its_files() {
        for name in REFERENCE_NAMES {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join(name)).unwrap();
            let error = DataDirectory::create(folder.path()).unwrap_err().to_string();
            assert!(error.contains("reference distribution") && error.contains(name), "{error}");
            fs::write(folder.path().join(DATABASE_FILE), "").unwrap();
            assert!(DataDirectory::create(folder.path()).is_ok(), "Allod's own data is there");
        }
    }

    #[test]
    fn permissions_of_others_are_told_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let data = DataDirectory::create(&path).unwrap();
        assert_eq!(data.permission_warning(), None);
        for mode in [0o755, 0o750, 0o701] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let warning = data.permission_warning().unwrap();
            assert!(warning.contains(&format!("{mode:04o}")) && warning.contains("chmod 700"), "{warning}");
        }
        let file = folder.path().join("secret");
        write_private(&file, "x").unwrap();
        assert_eq!(secret_file_warning(&file), None);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(secret_file_warning(&file), None);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(secret_file_warning(&file).unwrap().contains("chmod o="));
    }
}
