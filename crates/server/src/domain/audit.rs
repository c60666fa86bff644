//! The audit log: who changed what, when, by which method, and what was refused.
//!
//! What was done is noted in the transaction that does it, so that neither is there without the other. Callers without
//! a credential are not in it, and of those with a wrong one the first in some minutes is.

use std::fmt::{self, Display};

use allod_atproto::Did;
use allod_store::{
    CommitError, ReadError, Txn,
    tables::audit::{self, AuditEntry},
};

use data_encoding::HEXLOWER;

use super::core::Core;

/// Who administers or moderates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Whoever has the administration password.
    Password,
    /// Whoever has the token of this name.
    Token(String),
    /// The moderation service.
    ModerationService(Did),
    /// Whoever can open the data directory.
    CommandLine,
    /// Somebody who showed a wrong credential.
    Unknown,
    /// The server itself: what its jobs found.
    Server,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password => f.write_str("password"),
            Self::Token(name) => write!(f, "token:{name}"),
            Self::ModerationService(did) => f.write_str(did.as_str()),
            Self::CommandLine => f.write_str("command-line"),
            Self::Unknown => f.write_str("unknown"),
            Self::Server => f.write_str("server"),
        }
    }
}

/// Who does something, and by which method or command.
#[derive(Debug, Clone)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// By which method or command.
    pub method: &'static str,
}

/// How many entries are kept.
pub const ENTRIES_MAX: i64 = 100_000;

/// How long a subject or an outcome may be, in characters; what is longer is cut off, and ends in an ellipsis.
pub const TEXT_CHARS_MAX: usize = 512;

/// The outcome of what was done.
pub const DONE: &str = "done";

/// The audit log of one server.
#[derive(Clone)]
pub struct AuditLog {
    core: Core,
}

/// Why no entries are listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The cursor is none of this list's.
    #[error("Malformed cursor")]
    Cursor,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl AuditLog {
    /// Keeps the log in the store.
    pub fn new(core: Core) -> Self {
        Self { core }
    }

    /// Adds: it was done.
    pub fn note(&self, txn: &mut Txn, by: &By, subject: &str) {
        self.add(txn, by, subject, DONE);
    }

    /// Notes that something was done that no transaction of ours does. Where that can't be written, the log of the
    /// server has it.
    pub async fn done(&self, by: &By, subject: &str) {
        self.alone(by, subject, DONE).await;
    }

    /// Notes that something was refused. Where even that can't be written, the log of the server has it.
    pub async fn refused(&self, by: &By, subject: &str, why: &(dyn Display + Sync)) {
        self.alone(by, subject, &format!("refused: {why}")).await;
    }

    /// Notes what was found of a subject.
    pub async fn found(&self, by: &By, subject: &str, outcome: &str) {
        self.alone(by, subject, outcome).await;
    }

    async fn alone(&self, by: &By, subject: &str, outcome: &str) {
        let mut txn = Txn::new();
        self.add(&mut txn, by, subject, outcome);
        if let Err(error) = self.core.db.commit(txn).await {
            tracing::warn!(%error, actor = %by.actor, by.method, subject, outcome, "could not be noted in the audit log");
        }
    }

    /// Reads entries, newest first, and what asks for the next page.
    pub async fn page(&self, cursor: Option<&str>, limit: i64) -> Result<(Vec<AuditEntry>, Option<String>), ListError> {
        let after = cursor.map(|cursor| {
            let (at, nonce) = cursor.split_once("::")?;
            Some((at.parse().ok()?, HEXLOWER.decode(nonce.as_bytes()).ok()?))
        });
        let after: Option<(i64, Vec<u8>)> = after.map(|after| after.ok_or(ListError::Cursor)).transpose()?;
        let after = after.as_ref().map(|(at, nonce)| (*at, nonce.as_slice()));
        let entries = audit::page(&*self.core.db, after, limit).await?;
        let is_full = i64::try_from(entries.len()).is_ok_and(|count| count == limit);
        let last = entries.last().filter(|_| is_full);
        let cursor = last.map(|last| format!("{}::{}", last.at, HEXLOWER.encode(&last.nonce)));
        Ok((entries, cursor))
    }

    /// Drops the oldest entries when there are more than [`ENTRIES_MAX`].
    pub async fn trim(&self) -> Result<(), CommitError> {
        if !audit::is_over(&*self.core.db, ENTRIES_MAX).await.unwrap_or(true) {
            return Ok(());
        }
        let mut txn = Txn::new();
        audit::trim(&mut txn, ENTRIES_MAX);
        self.core.db.commit(txn).await.map(|_| ())
    }

    fn add(&self, txn: &mut Txn, by: &By, subject: &str, outcome: &str) {
        let cut = |text: &str| match text.char_indices().nth(TEXT_CHARS_MAX) {
            Some(_) => text.chars().take(TEXT_CHARS_MAX - 1).chain(['…']).collect(),
            None => text.to_owned(),
        };
        let nonce: [u8; 8] = self.core.random_bytes();
        audit::insert(
            txn,
            &AuditEntry {
                at: self.core.stored_now(),
                nonce: nonce.to_vec(),
                actor: by.actor.to_string(),
                method: by.method.to_owned(),
                subject: cut(subject),
                outcome: cut(outcome),
            },
        );
    }
}
