//! The directory service: logs kept in a store, answers over HTTP.
//!
//! Owns what the directory does with an operation: read the log, decide by the [`rules`], append if the
//! log is still the one that was read. Two operations for one DID can't both pass: the store compares and swaps the
//! log's head in the transaction that appends.
//!
//! Spec: <https://web.plc.directory/spec/v0.1/did-plc>, <https://web.plc.directory/api/redoc>

mod export;
mod http;
mod serve;
mod stream;

use std::sync::Arc;

use allod_atproto::{Did, plc::Operation};
use allod_store::{
    CommitError, ConflictKey, Db, ReadError, Txn,
    tables::plc::{self, NewPlcOperation, PlcRow},
};
use tokio::sync::{Semaphore, watch};

use crate::{
    limits::{STREAMS_MAX, SUBMIT_ATTEMPTS_MAX, StreamLimits},
    rules::{self, LogEntry, RuleError},
    time::Clock,
};

pub use serve::serve;

const MICROS_PER_MILLI: u64 = 1000;

/// A did:plc directory. Cheap to clone; every clone is the same directory.
#[derive(Clone)]
pub struct Directory {
    shared: Arc<Shared>,
}

struct Shared {
    db: Db,
    clock: Arc<dyn Clock>,
    stream_limits: StreamLimits,
    /// Counts the operations taken since the start, to wake the streams.
    taken: watch::Sender<u64>,
    streams: Arc<Semaphore>,
}

/// Why an operation was not taken, or not known to be.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The operation breaks a rule.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// Other operations for the same DID came in between every time.
    #[error("Proposed prev does not match the most recent operation")]
    Contended,
    /// The log can't be read. Nothing changed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log can't be written; see the error for what that means.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Directory {
    /// Starts a directory over `db`, which is its own; checks that the log can be read.
    pub async fn start(db: Db, clock: Arc<dyn Clock>) -> Result<Self, ReadError> {
        Self::start_with(db, clock, StreamLimits::default()).await
    }

    /// Starts a directory with other bounds.
    pub async fn start_with(db: Db, clock: Arc<dyn Clock>, stream_limits: StreamLimits) -> Result<Self, ReadError> {
        plc::newest_seq(&*db).await?;
        let (taken, _) = watch::channel(0);
        let streams = Arc::new(Semaphore::new(STREAMS_MAX as usize));
        Ok(Self { shared: Arc::new(Shared { db, clock, stream_limits, taken, streams }) })
    }

    /// Takes an operation; durable when it answers `Ok`.
    ///
    /// Its time is the clock's, to the millisecond, or one millisecond after the log's newest operation when that is
    /// later: a log's times always increase.
    pub async fn submit(&self, did: &Did, operation: &Operation) -> Result<(), SubmitError> {
        for _ in 0..SUBMIT_ATTEMPTS_MAX {
            let log = self.log(did).await?;
            let head = log.last().map(|entry| entry.cid);
            let now = self.shared.clock.now_micros() / MICROS_PER_MILLI;
            let created_at_millis = log.last().map_or(now, |entry| now.max(entry.created_at_millis.saturating_add(1)));
            let accepted = rules::check_next(did, &log, operation, created_at_millis)?;
            let new = NewPlcOperation {
                did: did.clone(),
                cid: accepted.cid,
                operation: operation.to_json().to_string(),
                created_at: to_store(created_at_millis),
                nullifies: accepted.nullified,
            };
            let mut txn = Txn::new();
            plc::append(&mut txn, head.as_ref(), &new);
            match self.shared.db.commit(txn).await {
                Ok(_) => {
                    self.shared.taken.send_modify(|taken| *taken = taken.wrapping_add(1));
                    return Ok(());
                }
                Err(CommitError::Conflict(ConflictKey::PlcLogMoved)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(SubmitError::Contended)
    }

    /// Reads a DID's log, oldest first, undone operations included; empty when the DID does not exist.
    pub async fn log(&self, did: &Did) -> Result<Vec<LogEntry>, ReadError> {
        plc::log(&*self.shared.db, did).await?.into_iter().map(log_entry).collect()
    }

    /// Reads a DID's last valid operation.
    pub async fn last(&self, did: &Did) -> Result<Option<LogEntry>, ReadError> {
        plc::last(&*self.shared.db, did).await?.map(log_entry).transpose()
    }
}

fn log_entry(row: PlcRow) -> Result<LogEntry, ReadError> {
    let operation = Operation::parse_text(&row.operation);
    Ok(LogEntry {
        operation: operation.map_err(|_| ReadError::Corrupt { what: "plc_operations.operation" })?,
        created_at_millis: from_store(row.created_at),
        did: row.did,
        cid: row.cid,
        nullified: row.nullified,
    })
}

fn to_store(millis: u64) -> i64 {
    i64::try_from(millis.saturating_mul(MICROS_PER_MILLI)).unwrap_or(i64::MAX)
}

fn from_store(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0) / MICROS_PER_MILLI
}
