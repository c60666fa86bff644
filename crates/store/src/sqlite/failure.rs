//! What an error of the engine means: for one transaction, for its group, or for the whole store.

use rusqlite::ffi;

use crate::{CommitError, ReadError};

/// How far a failure reaches.
#[derive(Debug)]
pub(super) enum Failure {
    /// Only this transaction: it is rolled back to its savepoint and answered so.
    Transaction(CommitError),
    /// The group's transaction is gone or must go; nothing of it is applied. Writes may go on afterwards.
    Group(String),
    /// The file or the disk can't be trusted any more: no further write until the engine is opened again.
    Store(String),
}

/// The kinds of engine errors that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A unique, primary key, foreign key, check or not-null rule of the schema.
    Constraint,
    /// Disk full, out of memory: passes.
    Resource,
    /// Somebody outside holds a lock.
    Busy,
    /// Input and output, corruption, a file gone or read-only.
    Broken,
    /// The statement is wrong.
    Statement,
}

/// Sorts an engine error.
pub(super) fn kind(error: &rusqlite::Error) -> Kind {
    let (rusqlite::Error::SqliteFailure(error, _) | rusqlite::Error::SqlInputError { error, .. }) = error else {
        return Kind::Statement;
    };
    let code = error.extended_code;
    if code == ffi::SQLITE_CONSTRAINT_DATATYPE {
        return Kind::Statement;
    }
    match code & 0xff {
        ffi::SQLITE_CONSTRAINT => Kind::Constraint,
        ffi::SQLITE_FULL | ffi::SQLITE_NOMEM => Kind::Resource,
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_PROTOCOL => Kind::Busy,
        ffi::SQLITE_IOERR
        | ffi::SQLITE_CORRUPT
        | ffi::SQLITE_NOTADB
        | ffi::SQLITE_CANTOPEN
        | ffi::SQLITE_READONLY
        | ffi::SQLITE_PERM
        | ffi::SQLITE_NOLFS => Kind::Broken,
        _ => Kind::Statement,
    }
}

/// What a failed statement inside a transaction means; `which` names the assertion it belongs to.
pub(super) fn of_statement(error: &rusqlite::Error, which: Option<&'static str>) -> Failure {
    let reason = error.to_string();
    match (kind(error), which) {
        (Kind::Constraint, Some(which)) => Failure::Transaction(CommitError::Conflict { which }),
        (Kind::Constraint, None) | (Kind::Statement, _) => Failure::Transaction(CommitError::Refused { reason }),
        (Kind::Resource, _) => Failure::Transaction(CommitError::Unavailable { reason }),
        (Kind::Busy, _) => Failure::Group(reason),
        (Kind::Broken, _) => Failure::Store(reason),
    }
}

/// What a failed read means.
///
/// It never stops writes: the writer finds by itself the damage that concerns it.
pub(super) fn of_read(error: &rusqlite::Error) -> ReadError {
    let reason = error.to_string();
    match kind(error) {
        Kind::Statement | Kind::Constraint => ReadError::Refused { reason },
        Kind::Resource | Kind::Busy => ReadError::Unavailable { reason },
        Kind::Broken => ReadError::Damaged { reason },
    }
}
