//! Repository heads and records.

use allod_atproto::{Cid, Did, Tid};
use bytes::Bytes;

use super::{all, first, parsed};
use crate::{Database, ReadError, Row, Txn, sql};

/// The conflict when a repository's head is not the expected one.
pub const HEAD_MOVED: &str = "head moved";

/// The signed head of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The commit's CID.
    pub commit: Cid,
    /// The commit's revision.
    pub rev: Tid,
    /// The tree's root.
    pub data: Cid,
    /// The signed commit, encoded.
    pub commit_block: Bytes,
}

/// One record of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The collection's NSID.
    pub collection: String,
    /// The record key.
    pub rkey: String,
    /// The record's CID.
    pub cid: Cid,
    /// The record, encoded as DAG-CBOR.
    pub block: Bytes,
}

fn head(row: &Row) -> Result<Head, ReadError> {
    Ok(Head {
        commit: parsed("repos.head", Cid::parse(&row.get::<String>(0)?))?,
        rev: parsed("repos.rev", Tid::parse(&row.get::<String>(1)?))?,
        data: parsed("repos.data", Cid::parse(&row.get::<String>(2)?))?,
        commit_block: row.get(3)?,
    })
}

/// Reads a repository's head.
pub async fn head_of(db: &dyn Database, did: &Did) -> Result<Option<Head>, ReadError> {
    let rows = db.read(sql!("SELECT head, rev, data, commit_block FROM repos WHERE did = $1", did.as_str())).await?;
    first(&rows, head)
}

/// Reads all records of a repository in key order.
pub async fn records_of(db: &dyn Database, did: &Did) -> Result<Vec<Record>, ReadError> {
    let rows = db.read(sql!(
        "SELECT collection, rkey, cid, block FROM records WHERE did = $1 ORDER BY collection, rkey",
        did.as_str()
    ));
    all(&rows.await?, |row| {
        Ok(Record {
            collection: row.get(0)?,
            rkey: row.get(1)?,
            cid: parsed("records.cid", Cid::parse(&row.get::<String>(2)?))?,
            block: row.get(3)?,
        })
    })
}

/// Adds a repository's first head. Conflict: [`HEAD_MOVED`] when it has one.
pub fn create(txn: &mut Txn, did: &Did, head: &Head) {
    txn.expect(
        HEAD_MOVED,
        1,
        sql!(
            "INSERT INTO repos (did, head, rev, data, commit_block) VALUES ($1, $2, $3, $4, $5)",
            did.as_str(),
            head.commit.to_string(),
            head.rev.as_str(),
            head.data.to_string(),
            head.commit_block.clone()
        ),
    );
}
