//! Opening the file: permissions, pragmas and durability of the directory entry.

use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{OpenError, SqliteOptions, Synchronous};

/// How long a statement waits for a lock held from outside, for instance by an operator's shell.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The log's file is cut back to this size when it is begun anew.
const WAL_FILE_BYTES_KEPT: u32 = 16 * 1024 * 1024;
const WRITER_STATEMENTS_CACHED_MAX: usize = 256;
const READER_STATEMENTS_CACHED_MAX: usize = 128;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Checkpointer,
    Reader,
}

/// Creates the directory (0700) and the empty file (0600) where they are missing; true when the file is new or empty.
pub(super) fn prepare_file(path: &Path) -> Result<bool, OpenError> {
    let failed = |what| move |source| OpenError::Io { what, path: path.to_owned(), source };
    let directory = directory_of(path);
    if !directory.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed("create the directory of"))?;
        if let Some(parent) = directory.parent() {
            sync_directory(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
                .map_err(failed("sync the directory of"))?;
        }
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = path.metadata().map_err(failed("look at"))?;
            if metadata.permissions().mode() & 0o077 != 0 {
                std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed("protect"))?;
            }
            Ok(metadata.len() == 0)
        }
        Err(error) => Err(failed("create")(error)),
    }
}

/// Opens one connection with everything set that this engine relies on.
pub(super) fn connect(options: &SqliteOptions, role: Role) -> Result<Connection, OpenError> {
    let failed = |source| OpenError::Engine { what: "open a connection", source };
    let flags = match role {
        Role::Writer | Role::Checkpointer => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Role::Reader => OpenFlags::SQLITE_OPEN_READ_ONLY,
    } | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match options.vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(&options.path, flags, vfs),
        None => Connection::open_with_flags(&options.path, flags),
    }
    .map_err(failed)?;
    configure(&connection, options, role).map_err(failed)?;
    Ok(connection)
}

fn configure(connection: &Connection, options: &SqliteOptions, role: Role) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // One plan for a statement, whatever is bound to it: otherwise each new value may have it planned all over again.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // After a failed sync nothing may be copied into the main file; the ordinary end of the engine checkpoints itself.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let cache_kib = match role {
        Role::Writer => options.writer_cache_kib,
        Role::Reader => options.reader_cache_kib,
        Role::Checkpointer => 64,
    };
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    match role {
        Role::Reader => connection.set_prepared_statement_cache_capacity(READER_STATEMENTS_CACHED_MAX),
        Role::Checkpointer => set_durability(connection, options.synchronous)?,
        Role::Writer => {
            connection.set_prepared_statement_cache_capacity(WRITER_STATEMENTS_CACHED_MAX);
            set_durability(connection, options.synchronous)?;
            let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
            if mode != "wal" {
                return Err(rusqlite::Error::InvalidParameterName(format!("journal mode {mode} in place of wal")));
            }
            connection.pragma_update(None, "journal_size_limit", WAL_FILE_BYTES_KEPT)?;
        }
    }
    Ok(())
}

fn set_durability(connection: &Connection, synchronous: Synchronous) -> rusqlite::Result<()> {
    let text = match synchronous {
        Synchronous::Full => "FULL",
        #[cfg(feature = "rig")]
        Synchronous::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", text)?;
    connection.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// Makes the names in the directory durable.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The directory a file is in.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn a_statement_is_planned_once_whatever_is_bound_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new(folder.path().join("a.sqlite"));
        rusqlite::Connection::open(&options.path).unwrap();
        let connection = connect(&options, Role::Writer).unwrap();
        connection.execute_batch("CREATE TABLE a (x INTEGER PRIMARY KEY, y TEXT, z TEXT) STRICT").unwrap();
        connection.execute_batch("CREATE INDEX a_of_some ON a (x) WHERE y > 'm'").unwrap();
        let mut statement = connection.prepare_cached("SELECT z FROM a WHERE x > ?1 AND y > ?2").unwrap();
        for x in 0..3 {
            assert!(statement.query((x, "z")).unwrap().next().unwrap().is_none());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
