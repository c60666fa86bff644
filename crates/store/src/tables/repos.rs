//! Repository heads, and which repositories have records of a collection.

use allod_atproto::{Cid, Did, Tid};
use bytes::Bytes;

use super::{Page, PageSize, all, first, parsed, records::RecordSet};
use crate::{ConflictKey, Database, ReadError, Row, Txn, sql};

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
    /// Which records are the repository's.
    pub record_set: RecordSet,
}

/// A line of a list of repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The account.
    pub did: Did,
    /// The newest commit.
    pub commit: Cid,
    /// Its revision.
    pub rev: Tid,
    /// When the account was created, which orders the list.
    pub created_at: i64,
    /// Whether its owner, or its not having moved in yet, keeps it out of the network.
    pub deactivated: bool,
    /// Whether a moderation decision keeps it out of the network.
    pub taken_down: bool,
}

fn head(row: &Row) -> Result<Head, ReadError> {
    Ok(Head {
        commit: parsed("repos.head", Cid::parse(&row.get::<String>(0)?))?,
        rev: parsed("repos.rev", Tid::parse(&row.get::<String>(1)?))?,
        data: parsed("repos.data", Cid::parse(&row.get::<String>(2)?))?,
        commit_block: row.get(3)?,
        record_set: RecordSet::from_number(row.get(4)?),
    })
}

/// Reads a repository's head.
pub async fn head_of(db: &dyn Database, did: &Did) -> Result<Option<Head>, ReadError> {
    let rows =
        db.read(sql!("SELECT head, rev, data, commit_block, record_set FROM repos WHERE did = $1", did.as_str()));
    first(&rows.await?, head)
}

/// Reads repositories in order of their accounts' age, behind the one named by `after` (creation time
/// and DID).
pub async fn page(db: &dyn Database, after: Option<(i64, &str)>, size: PageSize) -> Result<Page<Listed>, ReadError> {
    let (time, did) = after.unwrap_or((i64::MIN, ""));
    let query = sql!(
        "SELECT a.did, r.head, r.rev, a.created_at, a.deactivated_at IS NOT NULL, a.takedown_ref IS NOT NULL \
         FROM accounts a JOIN repos r ON r.did = a.did \
         WHERE (a.created_at, a.did) > ($1, $2) AND NOT EXISTS (SELECT 1 FROM sign_up_queue q WHERE q.did = a.did) \
         ORDER BY a.created_at, a.did LIMIT $3",
        time,
        did,
        size.rows
    );
    let listed = |row: &Row| {
        Ok(Listed {
            did: parsed("repos.did", Did::parse(&row.get::<String>(0)?))?,
            commit: parsed("repos.head", Cid::parse(&row.get::<String>(1)?))?,
            rev: parsed("repos.rev", Tid::parse(&row.get::<String>(2)?))?,
            created_at: row.get(3)?,
            deactivated: row.get(4)?,
            taken_down: row.get(5)?,
        })
    };
    size.read_of_many(db, query, listed).await
}

/// Reads up to `limit` active accounts that have records of a collection, in the order of their DIDs, behind `after`.
pub async fn with_collection(
    db: &dyn Database,
    collection: &str,
    after: &str,
    size: PageSize,
) -> Result<Page<Did>, ReadError> {
    let query = sql!(
        "SELECT c.did FROM repo_collections c JOIN accounts a ON a.did = c.did \
         WHERE c.collection = $1 AND c.did > $2 AND a.deactivated_at IS NULL AND a.takedown_ref IS NULL \
         ORDER BY c.did LIMIT $3",
        collection,
        after,
        size.rows
    );
    size.read_of_many(db, query, |row| parsed("repo_collections.did", Did::parse(&row.get::<String>(0)?))).await
}

/// Reads the collections that a repository has records of, sorted, as far as they come to `bytes_max` bytes.
pub async fn collections_of(db: &dyn Database, did: &Did, bytes_max: usize) -> Result<Vec<String>, ReadError> {
    let query = sql!("SELECT collection FROM repo_collections WHERE did = $1 ORDER BY collection", did.as_str());
    all(&db.read(query.up_to_bytes(bytes_max)).await?, |row| row.get(0))
}

/// Adds a repository's first head. Conflict: [`ConflictKey::HeadMoved`] when it has one.
pub fn create(txn: &mut Txn, did: &Did, head: &Head) {
    txn.expect(
        ConflictKey::HeadMoved,
        1,
        sql!(
            "INSERT INTO repos (did, head, rev, data, commit_block, record_set) VALUES ($1, $2, $3, $4, $5, $6)",
            did.as_str(),
            head.commit.to_string(),
            head.rev.as_str(),
            head.data.to_string(),
            head.commit_block.clone(),
            head.record_set.number()
        ),
    );
}

/// Adds: the repository's head goes from `previous` to `head`. Conflict: [`ConflictKey::HeadMoved`].
pub fn advance(txn: &mut Txn, did: &Did, previous: &Cid, head: &Head) {
    txn.expect(
        ConflictKey::HeadMoved,
        1,
        sql!(
            "UPDATE repos SET head = $3, rev = $4, data = $5, commit_block = $6, record_set = $7 \
             WHERE did = $1 AND head = $2",
            did.as_str(),
            previous.to_string(),
            head.commit.to_string(),
            head.rev.as_str(),
            head.data.to_string(),
            head.commit_block.clone(),
            head.record_set.number()
        ),
    );
}

/// Adds: the repository has records of a collection.
pub fn add_collection(txn: &mut Txn, did: &Did, collection: &str) {
    txn.run(sql!(
        "INSERT INTO repo_collections (collection, did) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        collection,
        did.as_str()
    ));
}

/// Adds: the repository has no more records of a collection.
pub fn remove_collection(txn: &mut Txn, did: &Did, collection: &str) {
    txn.run(sql!("DELETE FROM repo_collections WHERE collection = $1 AND did = $2", collection, did.as_str()));
}

/// Adds: the repository has no records at all, until [`add_collection`] says otherwise.
pub fn clear_collections(txn: &mut Txn, did: &Did) {
    txn.run(sql!("DELETE FROM repo_collections WHERE did = $1", did.as_str()));
}

/// Adds: the repository goes; its records are left to be deleted in portions.
pub fn remove(txn: &mut Txn, did: &Did, now: i64) {
    txn.run(sql!(
        "INSERT INTO old_record_sets (record_set, did, delete_after) \
         SELECT record_set, did, $2 FROM repos WHERE did = $1",
        did.as_str(),
        now
    ));
    txn.run(sql!("DELETE FROM repos WHERE did = $1", did.as_str()));
    clear_collections(txn, did);
}
