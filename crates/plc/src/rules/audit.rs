//! Checking a whole audit log by carrying it out again.

use allod_atproto::{Cid, Did, plc::PlcData};

use super::{LogEntry, RuleError, follow};

/// What a sound log comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The state that the last valid operation sets; `None` when that is a tombstone.
    pub data: Option<PlcData>,
    /// The last valid operation, which the next one must follow.
    pub head: Cid,
}

/// Why an audit log is not sound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// There is no operation.
    #[error("the log is empty")]
    Empty,
    /// An operation should not have been taken.
    #[error("operation {index}: {error}")]
    Rule {
        /// Counted from 0.
        index: usize,
        /// What it breaks.
        error: RuleError,
    },
    /// An entry says another DID, CID or fate than follows from the operations.
    #[error("operation {index}: wrong {what}")]
    Statement {
        /// Counted from 0.
        index: usize,
        /// `did`, `cid` or `nullified`.
        what: &'static str,
    },
}

/// Verifies the audit log of `did`, oldest first: every signature, fork, time, CID and nullification.
///
/// The limits of new operations are not applied: old logs hold forms and sizes that are no longer taken.
pub fn verify_audit_log(did: &Did, log: &[LogEntry]) -> Result<State, AuditError> {
    let mut replayed: Vec<LogEntry> = Vec::with_capacity(log.len());
    for (index, entry) in log.iter().enumerate() {
        if entry.did != *did {
            return Err(AuditError::Statement { index, what: "did" });
        }
        let accepted = follow(did, &replayed, &entry.operation, entry.created_at_millis)
            .map_err(|error| AuditError::Rule { index, error })?;
        if accepted.cid != entry.cid {
            return Err(AuditError::Statement { index, what: "cid" });
        }
        for undone in replayed.iter_mut().filter(|earlier| accepted.nullified.contains(&earlier.cid)) {
            undone.nullified = true;
        }
        replayed.push(LogEntry { nullified: false, ..entry.clone() });
    }
    let is_told = |(told, found): (&LogEntry, &LogEntry)| told.nullified == found.nullified;
    if let Some(index) = log.iter().zip(&replayed).position(|pair| !is_told(pair)) {
        return Err(AuditError::Statement { index, what: "nullified" });
    }
    let head = replayed.iter().rfind(|entry| !entry.nullified).ok_or(AuditError::Empty)?;
    Ok(State { data: head.operation.data(), head: head.cid })
}
