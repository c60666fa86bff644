//! What operators and moderators did, newest last.

use super::all;
use crate::{Database, ReadError, Row, Txn, sql};

/// One thing that was done or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When, in microseconds since the Unix epoch.
    pub at: i64,
    /// Tells entries of one moment apart.
    pub nonce: Vec<u8>,
    /// Who.
    pub actor: String,
    /// By which method or command.
    pub method: String,
    /// To what: a DID, a record's or blob's address, codes.
    pub subject: String,
    /// What came of it.
    pub outcome: String,
}

fn entry(row: &Row) -> Result<AuditEntry, ReadError> {
    Ok(AuditEntry {
        at: row.get(0)?,
        nonce: row.get(1)?,
        actor: row.get(2)?,
        method: row.get(3)?,
        subject: row.get(4)?,
        outcome: row.get(5)?,
    })
}

/// Reads `limit` entries, newest first, behind the one named by `after` (its time and nonce).
pub async fn page(db: &dyn Database, after: Option<(i64, &[u8])>, limit: i64) -> Result<Vec<AuditEntry>, ReadError> {
    let (time, nonce) = after.unwrap_or((i64::MAX, &[]));
    let rows = db.read(sql!(
        "SELECT at, nonce, actor, method, subject, outcome FROM audit WHERE (at, nonce) < ($1, $2) \
         ORDER BY at DESC, nonce DESC LIMIT $3",
        time,
        nonce,
        limit
    ));
    all(&rows.await?, entry)
}

/// Adds an entry.
pub fn insert(txn: &mut Txn, entry: &AuditEntry) {
    txn.run(sql!(
        "INSERT INTO audit (at, nonce, actor, method, subject, outcome) VALUES ($1, $2, $3, $4, $5, $6)",
        entry.at,
        entry.nonce.as_slice(),
        entry.actor.as_str(),
        entry.method.as_str(),
        entry.subject.as_str(),
        entry.outcome.as_str(),
    ));
}

/// Tells whether there are more than `entries_max` entries.
pub async fn is_over(db: &dyn Database, entries_max: i64) -> Result<bool, ReadError> {
    let rows = db.read(sql!("SELECT 1 FROM audit ORDER BY at DESC, nonce DESC LIMIT 1 OFFSET $1", entries_max));
    Ok(!rows.await?.is_empty())
}

/// Adds: all but the newest `entries_max` entries go, apart from others of the oldest one's moment.
pub fn trim(txn: &mut Txn, entries_max: i64) {
    txn.run(sql!(
        "DELETE FROM audit WHERE at <= (SELECT at FROM audit ORDER BY at DESC, nonce DESC LIMIT 1 OFFSET $1)",
        entries_max
    ));
}
