//! What an error of the engine means: for one transaction, for its group, or for the whole store.

use rusqlite::ffi;

use crate::{CommitError, ConflictKey, ReadError};

/// How far a failure reaches.
#[derive(Debug)]
pub(super) enum Failure {
    /// Only this transaction: it is rolled back to its savepoint and answered so.
    Transaction(CommitError),
    /// Likewise: the disk is full.
    DiskFull(String),
    /// The group's transaction is gone or must go; nothing of it is applied. Writes may go on afterwards.
    Group(String),
    /// The file or the disk can't be trusted any more: no further write until the engine is opened again.
    Store(Broken),
}

/// Why the file or the disk can't be trusted any more.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) cause: Cause,
    pub(super) reason: String,
}

/// What stops all writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The file holds what no engine has written.
    Damage,
    /// Input and output failed, or the engine itself.
    Failure,
}

/// The kinds of engine errors that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A unique, primary key, foreign key, check or not-null rule of the schema.
    Constraint,
    /// Disk full: passes.
    Full,
    /// Out of memory: passes.
    Resource,
    /// Somebody outside holds a lock.
    Busy,
    /// Corruption, or input and output, a file gone or read-only.
    Broken(Cause),
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
        ffi::SQLITE_FULL => Kind::Full,
        ffi::SQLITE_NOMEM => Kind::Resource,
        ffi::SQLITE_CORRUPT => Kind::Broken(Cause::Damage),
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_PROTOCOL => Kind::Busy,
        ffi::SQLITE_IOERR
        | ffi::SQLITE_NOTADB
        | ffi::SQLITE_CANTOPEN
        | ffi::SQLITE_READONLY
        | ffi::SQLITE_PERM
        | ffi::SQLITE_NOLFS => Kind::Broken(Cause::Failure),
        _ => Kind::Statement,
    }
}

/// What a failed statement inside a transaction means; `key` is that of the assertion it belongs to.
pub(super) fn of_statement(error: &rusqlite::Error, key: Option<ConflictKey>) -> Failure {
    let reason = error.to_string();
    match (kind(error), key) {
        (Kind::Constraint, Some(key)) => Failure::Transaction(CommitError::Conflict(key)),
        (Kind::Constraint, None) | (Kind::Statement, _) => Failure::Transaction(CommitError::Refused { reason }),
        (Kind::Full, _) => Failure::DiskFull(reason),
        (Kind::Resource, _) => Failure::Transaction(CommitError::Unavailable { reason }),
        (Kind::Busy, _) => Failure::Group(reason),
        (Kind::Broken(cause), _) => Failure::Store(Broken { cause, reason }),
    }
}

/// What a failed read means.
///
/// It never stops writes: the writer finds by itself the damage that concerns it.
pub(super) fn of_read(error: &rusqlite::Error) -> ReadError {
    let reason = error.to_string();
    match kind(error) {
        Kind::Statement | Kind::Constraint => ReadError::Refused { reason },
        Kind::Full | Kind::Resource | Kind::Busy => ReadError::Unavailable { reason },
        Kind::Broken(_) => ReadError::Damaged { reason },
    }
}
