//! A consistent copy of the whole file, made while writes go on.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rusqlite::{Connection, OpenFlags, backup::Backup};

use super::{
    OpenError, SqliteOptions,
    connection::{self, Role},
    lock::beside,
};

/// Why a backup was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum BackupError {
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("can't copy: {0}")]
    Copy(#[from] rusqlite::Error),
    #[error("can't write the copy: {0}")]
    Io(#[from] io::Error),
    #[error("the copy is incomplete")]
    Unfinished,
}

/// Copies to a file beside `to` that gets its name only when it is complete and durable.
pub(super) fn copy(options: &SqliteOptions, to: &Path) -> Result<(), BackupError> {
    if to.exists() {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists).into());
    }
    let partial = beside(to, ".partial");
    let copied = copy_to_partial(options, &partial).and_then(|()| {
        std::fs::rename(&partial, to)?;
        connection::sync_directory(connection::directory_of(to)).map_err(BackupError::from)
    });
    if copied.is_err() {
        drop(std::fs::remove_file(&partial));
    }
    copied
}

fn copy_to_partial(options: &SqliteOptions, partial: &Path) -> Result<(), BackupError> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(partial)?;
    let source = connection::connect(options, Role::Reader)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(partial, flags)?;
    target.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;")?;
    {
        let backup = Backup::new(&source, &mut target)?;
        // All pages in one step, so under one snapshot.
        if backup.step(-1)? != rusqlite::backup::StepResult::Done {
            return Err(BackupError::Unfinished);
        }
    }
    drop(target);
    File::open(partial)?.sync_all()?;
    Ok(())
}
