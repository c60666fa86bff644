//! A look at a database that stays closed: for checks that must neither change it nor wait for the server that uses it.

use std::path::Path;

use bytes::Bytes;
use rusqlite::{Connection, OpenFlags};

use super::{
    OpenError,
    migrate::{self, APPLICATION_ID},
};
use crate::{
    migrations,
    tables::meta::{Facts, IN_USE},
};

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The facts about the whole store.
    pub facts: Facts,
    /// Whether anything in it depends on the keys and names that it was made with.
    pub is_in_use: bool,
}

/// Looks into a file. Takes no lock and changes nothing.
///
/// # Errors
/// [`OpenError::NotOurs`], [`OpenError::SchemaNewer`], or [`OpenError::Engine`] when it can't be read.
pub fn inspect(path: &Path) -> Result<Inspection, OpenError> {
    let failed = |source| OpenError::Engine { what: "look into the database", source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    let id: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(failed)?;
    if id != APPLICATION_ID {
        return Err(OpenError::NotOurs);
    }
    migrate::check_known(&connection, migrations::SQLITE)?;
    let facts = || {
        let mut statement = connection.prepare("SELECT name, value FROM meta")?;
        let fact = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, Bytes::from(row.get::<_, Vec<u8>>(1)?)));
        statement.query_map([], fact)?.collect::<rusqlite::Result<Facts>>()
    };
    // A file of an older build may lack some of these tables, but has accounts.
    let accounts = || connection.query_row("SELECT EXISTS (SELECT 1 FROM accounts)", [], |row| row.get(0));
    let is_in_use = connection.query_row(IN_USE, [], |row| row.get(0)).or_else(|_| accounts()).map_err(failed)?;
    Ok(Inspection { facts: facts().map_err(failed)?, is_in_use })
}
