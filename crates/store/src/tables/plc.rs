//! The did:plc directory's log of operations, numbered in commit order.

use allod_atproto::{Cid, Did};

use super::{all, first, parsed};
use crate::{ConflictKey, Database, ReadError, Row, Seq, Txn, sql};

/// One operation of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlcRow {
    /// Its number, from 1.
    pub seq: Seq,
    /// The DID.
    pub did: Did,
    /// The operation's CID.
    pub cid: Cid,
    /// The operation's JSON.
    pub operation: String,
    /// When it was taken, in microseconds since the Unix epoch.
    pub created_at: i64,
    /// Whether a later operation undid it.
    pub nullified: bool,
}

/// An operation to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPlcOperation {
    /// The DID.
    pub did: Did,
    /// The operation's CID.
    pub cid: Cid,
    /// The operation's JSON.
    pub operation: String,
    /// When it is taken, in microseconds since the Unix epoch.
    pub created_at: i64,
    /// The CIDs of the operations that it undoes.
    pub nullifies: Vec<Cid>,
}

fn plc_row(row: &Row) -> Result<PlcRow, ReadError> {
    Ok(PlcRow {
        seq: row.get(0)?,
        did: parsed("plc_operations.did", Did::parse(&row.get::<String>(1)?))?,
        cid: parsed("plc_operations.cid", Cid::parse(&row.get::<String>(2)?))?,
        operation: row.get(3)?,
        created_at: row.get(4)?,
        nullified: row.get(5)?,
    })
}

/// Reads a DID's whole log, oldest first, undone operations included. Its length is bounded by the directory's rate
/// per DID, not here.
pub async fn log(db: &dyn Database, did: &Did) -> Result<Vec<PlcRow>, ReadError> {
    let rows = db.read(sql!(
        "SELECT seq, did, cid, operation, created_at, nullified FROM plc_operations WHERE did = $1 ORDER BY seq",
        did.as_str()
    ));
    all(&rows.await?, plc_row)
}

/// Reads a DID's last operation that was not undone.
pub async fn last(db: &dyn Database, did: &Did) -> Result<Option<PlcRow>, ReadError> {
    let rows = db.read(sql!(
        "SELECT seq, did, cid, operation, created_at, nullified FROM plc_operations \
         WHERE did = $1 AND nullified = 0 ORDER BY seq DESC LIMIT 1",
        did.as_str()
    ));
    first(&rows.await?, plc_row)
}

/// Reads up to `limit` operations with a number above `after`, in order.
pub async fn after_seq(db: &dyn Database, after: Seq, limit: i64) -> Result<Vec<PlcRow>, ReadError> {
    let rows = db.read(sql!(
        "SELECT seq, did, cid, operation, created_at, nullified FROM plc_operations \
         WHERE seq > $1 ORDER BY seq LIMIT $2",
        after,
        limit
    ));
    all(&rows.await?, plc_row)
}

/// Reads up to `limit` operations taken later than `time`, in the order of their times, and of their numbers where
/// times are equal.
pub async fn after_time(db: &dyn Database, time: i64, limit: i64) -> Result<Vec<PlcRow>, ReadError> {
    let rows = db.read(sql!(
        "SELECT seq, did, cid, operation, created_at, nullified FROM plc_operations \
         WHERE created_at > $1 ORDER BY created_at, seq LIMIT $2",
        time,
        limit
    ));
    all(&rows.await?, plc_row)
}

/// Reads up to `limit` operations of exactly this time with a number above `after`, in order.
pub async fn at_time(db: &dyn Database, time: i64, after: Seq, limit: i64) -> Result<Vec<PlcRow>, ReadError> {
    let rows = db.read(sql!(
        "SELECT seq, did, cid, operation, created_at, nullified FROM plc_operations \
         WHERE created_at = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        time,
        after,
        limit
    ));
    all(&rows.await?, plc_row)
}

/// Reads the newest operation's number; 0 when there is none.
pub async fn newest_seq(db: &dyn Database) -> Result<Seq, ReadError> {
    let rows = db.read(sql!("SELECT seq FROM plc_counter"));
    Ok(first(&rows.await?, |row| row.get(0))?.unwrap_or(0))
}

/// Adds an operation to a log whose newest one, undone or not, is `head`; `None` for a log that does not exist yet.
/// Conflict: [`ConflictKey::PlcLogMoved`].
///
/// A head never comes back, so one that still is what the caller read means that the whole log is.
pub fn append(txn: &mut Txn, head: Option<&Cid>, new: &NewPlcOperation) {
    let (did, cid) = (new.did.as_str(), new.cid.to_string());
    let moved = match head {
        None => sql!("INSERT INTO plc_heads (did, head) VALUES ($1, $2)", did, cid.as_str()),
        Some(head) => {
            sql!("UPDATE plc_heads SET head = $3 WHERE did = $1 AND head = $2", did, head.to_string(), cid.as_str())
        }
    };
    txn.expect(ConflictKey::PlcLogMoved, 1, moved);
    for undone in &new.nullifies {
        txn.expect(
            ConflictKey::PlcLogMoved,
            1,
            sql!(
                "UPDATE plc_operations SET nullified = 1 WHERE did = $1 AND cid = $2 AND nullified = 0",
                did,
                undone.to_string()
            ),
        );
    }
    txn.expect(
        ConflictKey::PlcLogMoved,
        1,
        sql!(
            "INSERT INTO plc_operations (seq, did, cid, operation, created_at, nullified) \
             SELECT seq + 1, $1, $2, $3, $4, 0 FROM plc_counter",
            did,
            cid,
            new.operation.as_str(),
            new.created_at
        ),
    );
    txn.run(sql!("UPDATE plc_counter SET seq = seq + 1"));
}
