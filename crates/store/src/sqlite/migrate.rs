//! Brings a file's schema up to what this build knows, and refuses files it does not understand.

use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use super::OpenError;
use crate::migrations::Migration;

/// Written into the file's header, so that no other program's database is taken for ours: `ALOD`.
pub(super) const APPLICATION_ID: i64 = 0x414C_4F44;

/// Applies the missing steps, each in a transaction of its own; tells whether anything was written.
pub(super) fn migrate(connection: &mut Connection, steps: &[Migration]) -> Result<bool, OpenError> {
    let wrote = begin_schema(connection)?;
    let newest = check_known(connection, steps)?;
    let mut wrote_steps = false;
    for step in steps.iter().filter(|step| step.version > newest) {
        apply(connection, step).map_err(|source| OpenError::Migration { name: step.name, source })?;
        wrote_steps = true;
    }
    Ok(wrote || wrote_steps)
}

/// Checks that every applied step is one of this build; gives the newest one's number, 0 when there is none.
pub(super) fn check_known(connection: &Connection, steps: &[Migration]) -> Result<i64, OpenError> {
    let applied = applied_steps(connection)?;
    let newest = applied.last().map_or(0, |(version, _)| *version);
    for (version, checksum) in &applied {
        match steps.iter().find(|step| step.version == *version) {
            Some(step) if checksum_of(step) == *checksum => {}
            Some(step) => return Err(OpenError::MigrationChanged { name: step.name }),
            None => {
                let known = steps.last().map_or(0, |step| step.version);
                return Err(OpenError::SchemaNewer { found: newest, known });
            }
        }
    }
    Ok(newest)
}

/// Marks an empty file as ours and makes the list of applied steps; checks the mark of any other.
fn begin_schema(connection: &mut Connection) -> Result<bool, OpenError> {
    let failed = |source| OpenError::Engine { what: "read the schema", source };
    let id: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(failed)?;
    if id == APPLICATION_ID {
        return Ok(false);
    }
    let table: Option<String> = connection
        .query_row("SELECT name FROM sqlite_schema LIMIT 1", [], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    if id != 0 || table.is_some() {
        return Err(OpenError::NotOurs);
    }
    let begin = || {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             PRAGMA application_id = {APPLICATION_ID};
             CREATE TABLE schema_migrations (
                 version INTEGER NOT NULL PRIMARY KEY,
                 name TEXT NOT NULL,
                 checksum BLOB NOT NULL
             ) STRICT;
             COMMIT;"
        ))
    };
    begin().map_err(|source| OpenError::Migration { name: "0000_begin", source })?;
    Ok(true)
}

fn applied_steps(connection: &Connection) -> Result<Vec<(i64, Vec<u8>)>, OpenError> {
    let read = || {
        let mut statement = connection.prepare("SELECT version, checksum FROM schema_migrations ORDER BY version")?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()
    };
    read().map_err(|source| OpenError::Engine { what: "read the schema", source })
}

fn apply(connection: &mut Connection, step: &Migration) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(step.sql)?;
    transaction.execute(
        "INSERT INTO schema_migrations (version, name, checksum) VALUES (?1, ?2, ?3)",
        params![step.version, step.name, checksum_of(step)],
    )?;
    transaction.commit()
}

fn checksum_of(step: &Migration) -> Vec<u8> {
    Sha256::digest(step.sql.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Migration = Migration { version: 1, name: "0001_a", sql: "CREATE TABLE a (x INTEGER) STRICT;" };
    const SECOND: Migration = Migration { version: 2, name: "0002_b", sql: "CREATE TABLE b (x INTEGER) STRICT;" };

    #[test]
    fn steps_are_applied_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert!(migrate(&mut connection, &[FIRST]).unwrap());
        assert!(!migrate(&mut connection, &[FIRST]).unwrap());
        assert!(migrate(&mut connection, &[FIRST, SECOND]).unwrap());
        connection.execute_batch("SELECT * FROM a, b").unwrap();
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &[FIRST, SECOND]).unwrap();
        let error = migrate(&mut connection, &[FIRST]).unwrap_err();
        assert!(matches!(error, OpenError::SchemaNewer { found: 2, known: 1 }), "{error}");
    }

    #[test]
    fn a_changed_step_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &[FIRST]).unwrap();
        let edited = Migration { sql: "CREATE TABLE a (y INTEGER) STRICT;", ..FIRST };
        let error = migrate(&mut connection, &[edited]).unwrap_err();
        assert!(matches!(error, OpenError::MigrationChanged { name: "0001_a" }), "{error}");
    }

    #[test]
    fn a_failing_step_leaves_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        let broken = Migration { version: 2, name: "0002_b", sql: "CREATE TABLE b (x INTEGER); CREATE TABLE a (x);" };
        let error = migrate(&mut connection, &[FIRST, broken]).unwrap_err();
        assert!(matches!(error, OpenError::Migration { name: "0002_b", .. }), "{error}");
        assert!(connection.execute_batch("SELECT * FROM b").is_err());
        assert!(migrate(&mut connection, &[FIRST, SECOND]).unwrap());
    }

    #[test]
    fn another_programs_file_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(matches!(migrate(&mut connection, &[FIRST]), Err(OpenError::NotOurs)));
    }
}
