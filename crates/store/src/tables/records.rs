//! Records, by the set they belong to, and what some of them are about.

use allod_atproto::{Cid, Did, Tid, repo::RecordPath};
use bytes::Bytes;

use super::{Page, PageSize, all, first, parsed};
use crate::{ConflictKey, Database, ReadError, Row, Txn, sql};

/// How many bits a set's number has.
const RECORD_SET_BITS: u32 = 48;

/// The number of a set of records. A repository has one; an import makes another beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordSet(i64);

impl RecordSet {
    /// Makes a number of random bytes, of which the lowest 48 bits are kept. That no two sets have the same is for the
    /// unique index to see.
    pub fn from_random(bytes: [u8; 8]) -> Self {
        Self(i64::from_be_bytes(bytes) & ((1 << RECORD_SET_BITS) - 1))
    }

    pub(super) fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// The number.
    pub fn number(self) -> i64 {
        self.0
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its path: collection and key.
    pub path: String,
    /// Its CID.
    pub cid: Cid,
    /// The revision that wrote it.
    pub rev: Tid,
    /// The moderation decision that hides it.
    pub takedown_ref: Option<String>,
    /// The record, encoded as DAG-CBOR.
    pub block: Bytes,
}

/// What an export needs of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRow {
    /// Its path.
    pub path: String,
    /// Its CID.
    pub cid: Cid,
    /// The record, encoded as DAG-CBOR.
    pub block: Bytes,
}

/// What the tree is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The record's path.
    pub path: String,
    /// Its CID.
    pub cid: Cid,
}

/// Sorts behind every path: what a path is made of ends with "~".
pub const BEHIND_ALL: &str = "\u{7f}";

/// Which way a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the lowest key up.
    Ascending,
    /// From the highest key down.
    Descending,
}

fn record(row: &Row) -> Result<Record, ReadError> {
    Ok(Record {
        path: row.get(0)?,
        cid: cid(row, 1)?,
        rev: rev(row, 2)?,
        takedown_ref: row.get(3)?,
        block: row.get(4)?,
    })
}

fn cid(row: &Row, index: usize) -> Result<Cid, ReadError> {
    parsed("records.cid", Cid::from_bytes(&row.get::<Bytes>(index)?))
}

fn rev(row: &Row, index: usize) -> Result<Tid, ReadError> {
    parsed("records.rev", u64::try_from(row.get::<i64>(index)?)).map(Tid::from_u64)
}

/// A revision as its column has it. Revisions are TIDs, whose highest bit is 0.
pub(super) fn rev_number(rev: Tid) -> i64 {
    i64::try_from(rev.to_u64()).unwrap_or(i64::MAX)
}

/// Reads the record at `path` of an account that takes part in the network.
pub async fn of_active(db: &dyn Database, did: &Did, path: &RecordPath) -> Result<Option<Record>, ReadError> {
    let rows = db.read(sql!(
        "SELECT r.path, r.cid, r.rev, r.takedown_ref, r.block \
         FROM accounts a JOIN repos p ON p.did = a.did JOIN records r ON r.record_set = p.record_set \
         WHERE a.did = $1 AND a.deactivated_at IS NULL AND a.takedown_ref IS NULL AND r.path = $2",
        did.as_str(),
        path.as_str()
    ));
    first(&rows.await?, record)
}

/// Reads records of a collection that are not taken down, of an account that takes part in the network: in the order
/// given, with keys strictly between `above` and `below` where these are given.
pub async fn page(
    db: &dyn Database,
    did: &Did,
    collection: &str,
    (above, below): (Option<&str>, Option<&str>),
    order: Order,
    size: PageSize,
) -> Result<Page<Record>, ReadError> {
    const ASCENDING: &str = "SELECT r.path, r.cid, r.rev, r.takedown_ref, r.block \
         FROM accounts a JOIN repos p ON p.did = a.did JOIN records r ON r.record_set = p.record_set \
         WHERE a.did = $1 AND a.deactivated_at IS NULL AND a.takedown_ref IS NULL \
         AND r.path > $2 AND r.path < $3 AND r.takedown_ref IS NULL ORDER BY r.path ASC LIMIT $4";
    const DESCENDING: &str = "SELECT r.path, r.cid, r.rev, r.takedown_ref, r.block \
         FROM accounts a JOIN repos p ON p.did = a.did JOIN records r ON r.record_set = p.record_set \
         WHERE a.did = $1 AND a.deactivated_at IS NULL AND a.takedown_ref IS NULL \
         AND r.path > $2 AND r.path < $3 AND r.takedown_ref IS NULL ORDER BY r.path DESC LIMIT $4";
    let text = match order {
        Order::Ascending => ASCENDING,
        Order::Descending => DESCENDING,
    };
    // "0" is the character behind "/".
    let above = format!("{collection}/{}", above.unwrap_or_default());
    let below = below.map_or_else(|| format!("{collection}0"), |key| format!("{collection}/{key}"));
    size.read(db, sql!(text, did.as_str(), above, below, size.rows), record).await
}

/// Reads up to `limit` paths and CIDs of a set in the order of the tree's keys, behind `after`.
pub async fn entries(db: &dyn Database, set: RecordSet, after: &str, limit: i64) -> Result<Vec<Entry>, ReadError> {
    let rows = db.read(sql!(
        "SELECT path, cid FROM records WHERE record_set = $1 AND path > $2 ORDER BY path LIMIT $3",
        set.0,
        after,
        limit
    ));
    all(&rows.await?, |row| Ok(Entry { path: row.get(0)?, cid: cid(row, 1)? }))
}

/// Reads records of a set in the order of the tree's keys: those behind `after` and up to `to` that `since` does not
/// have yet. The answer ends with about `bytes_max` bytes; only an empty one says that there are no more.
pub async fn blocks(
    db: &dyn Database,
    set: RecordSet,
    (after, to): (&str, &str),
    since: Option<Tid>,
    bytes_max: usize,
) -> Result<Vec<BlockRow>, ReadError> {
    let query = sql!(
        "SELECT path, cid, block FROM records \
         WHERE record_set = $1 AND path > $2 AND path <= $3 AND rev > $4 ORDER BY path",
        set.0,
        after,
        to,
        since.map_or(-1, rev_number)
    );
    let rows = db.read(query.up_to_bytes(bytes_max)).await?;
    all(&rows, |row| Ok(BlockRow { path: row.get(0)?, cid: cid(row, 1)?, block: row.get(2)? }))
}

/// Reads the record at `path` of a set.
pub async fn at(db: &dyn Database, set: RecordSet, path: &str) -> Result<Option<Record>, ReadError> {
    let rows = db.read(sql!(
        "SELECT path, cid, rev, takedown_ref, block FROM records WHERE record_set = $1 AND path = $2",
        set.0,
        path
    ));
    first(&rows.await?, record)
}

/// Reads the keys of a collection's records that are about `subject`, sorted.
pub async fn about(
    db: &dyn Database,
    set: RecordSet,
    collection: &str,
    subject: &str,
) -> Result<Vec<String>, ReadError> {
    let rows = db.read(sql!(
        "SELECT rkey FROM backlinks WHERE record_set = $1 AND collection = $2 AND subject = $3 ORDER BY rkey",
        set.0,
        collection,
        subject
    ));
    all(&rows.await?, |row| row.get(0))
}

/// Adds a record that is new. Conflict: [`ConflictKey::RecordDiffers`] when there is one.
pub fn create(txn: &mut Txn, set: RecordSet, path: &RecordPath, cid: &Cid, rev: Tid, block: Bytes) {
    txn.expect(
        ConflictKey::RecordDiffers,
        1,
        sql!(
            "INSERT INTO records (record_set, path, cid, rev, block) VALUES ($1, $2, $3, $4, $5)",
            set.0,
            path.as_str(),
            &cid.to_bytes()[..],
            rev_number(rev),
            block
        ),
    );
}

/// Adds: a record is replaced. Conflict: [`ConflictKey::RecordDiffers`] when there is none.
pub fn update(txn: &mut Txn, set: RecordSet, path: &RecordPath, cid: &Cid, rev: Tid, block: Bytes) {
    txn.expect(
        ConflictKey::RecordDiffers,
        1,
        sql!(
            "UPDATE records SET cid = $3, rev = $4, block = $5 WHERE record_set = $1 AND path = $2",
            set.0,
            path.as_str(),
            &cid.to_bytes()[..],
            rev_number(rev),
            block
        ),
    );
}

/// Adds: a record goes. Conflict: [`ConflictKey::RecordDiffers`] when there is none.
pub fn delete(txn: &mut Txn, set: RecordSet, path: &RecordPath) {
    let statement = sql!("DELETE FROM records WHERE record_set = $1 AND path = $2", set.0, path.as_str());
    txn.expect(ConflictKey::RecordDiffers, 1, statement);
}

/// Adds: a record is about `subject`.
pub fn add_subject(txn: &mut Txn, set: RecordSet, path: &RecordPath, subject: &str) {
    txn.run(sql!(
        "INSERT INTO backlinks (record_set, collection, subject, rkey) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        set.0,
        path.collection(),
        subject,
        path.rkey()
    ));
}

/// Adds: a record is about nothing.
pub fn remove_subjects(txn: &mut Txn, set: RecordSet, path: &RecordPath) {
    txn.run(sql!(
        "DELETE FROM backlinks WHERE record_set = $1 AND collection = $2 AND rkey = $3",
        set.0,
        path.collection(),
        path.rkey()
    ));
}

/// Adds: a set that no repository has is to be deleted from `delete_after` on.
pub fn retire(txn: &mut Txn, set: RecordSet, did: &Did, delete_after: i64) {
    txn.run(sql!(
        "INSERT INTO old_record_sets (record_set, did, delete_after) VALUES ($1, $2, $3) \
         ON CONFLICT (record_set) DO UPDATE SET delete_after = $3",
        set.0,
        did.as_str(),
        delete_after
    ));
}

/// Adds: a set that is not due to be deleted at `now` is to be deleted from `delete_after` on. Conflict:
/// [`ConflictKey::RecordSetGone`].
pub fn keep(txn: &mut Txn, set: RecordSet, now: i64, delete_after: i64) {
    txn.expect(
        ConflictKey::RecordSetGone,
        1,
        sql!(
            "UPDATE old_record_sets SET delete_after = $3 WHERE record_set = $1 AND delete_after > $2",
            set.0,
            now,
            delete_after
        ),
    );
}

/// Adds: a set that is not due to be deleted at `now` is a repository's from now on. Conflict:
/// [`ConflictKey::RecordSetGone`].
pub fn adopt(txn: &mut Txn, set: RecordSet, now: i64) {
    let statement = sql!("DELETE FROM old_record_sets WHERE record_set = $1 AND delete_after > $2", set.0, now);
    txn.expect(ConflictKey::RecordSetGone, 1, statement);
}

/// Adds: a set that is no repository's may be deleted now.
pub fn abandon(txn: &mut Txn, set: RecordSet, now: i64) {
    txn.run(sql!("UPDATE old_record_sets SET delete_after = $2 WHERE record_set = $1", set.0, now));
}

/// Reads the record at `path` of an account of any status.
pub async fn of_account(db: &dyn Database, did: &Did, path: &RecordPath) -> Result<Option<Record>, ReadError> {
    let rows = db.read(sql!(
        "SELECT r.path, r.cid, r.rev, r.takedown_ref, r.block \
         FROM repos p JOIN records r ON r.record_set = p.record_set WHERE p.did = $1 AND r.path = $2",
        did.as_str(),
        path.as_str()
    ));
    first(&rows.await?, record)
}

/// Adds: the record is taken down, or not any more. Conflict: [`ConflictKey::RecordGone`].
pub fn set_takedown(txn: &mut Txn, did: &Did, path: &RecordPath, takedown_ref: Option<&str>) {
    txn.use_disk_reserve();
    txn.expect(
        ConflictKey::RecordGone,
        1,
        sql!(
            "UPDATE records SET takedown_ref = $3 \
             WHERE record_set = (SELECT record_set FROM repos WHERE did = $1) AND path = $2",
            did.as_str(),
            path.as_str(),
            takedown_ref
        ),
    );
}

/// Adds: records that are taken down in one set are so in the other, whatever they say there.
pub fn carry_takedowns(txn: &mut Txn, from: RecordSet, to: RecordSet) {
    txn.run(sql!(
        "UPDATE records SET takedown_ref = (SELECT old.takedown_ref FROM records AS old \
         WHERE old.record_set = $1 AND old.path = records.path) \
         WHERE record_set = $2 AND path IN \
         (SELECT path FROM records WHERE record_set = $1 AND takedown_ref IS NOT NULL)",
        from.0,
        to.0
    ));
}

/// Adds: the set is due to be deleted at `now`. Conflict: [`ConflictKey::RecordSetGone`].
pub fn assert_due(txn: &mut Txn, set: RecordSet, now: i64) {
    txn.expect(
        ConflictKey::RecordSetGone,
        1,
        sql!(
            "UPDATE old_record_sets SET delete_after = delete_after WHERE record_set = $1 AND delete_after <= $2",
            set.0,
            now
        ),
    );
}

/// Reads up to `limit` sets whose deletion is due.
pub async fn due_for_deletion(db: &dyn Database, now: i64, limit: i64) -> Result<Vec<RecordSet>, ReadError> {
    let rows = db.read(sql!(
        "SELECT record_set FROM old_record_sets WHERE delete_after <= $1 ORDER BY delete_after LIMIT $2",
        now,
        limit
    ));
    all(&rows.await?, |row| row.get(0).map(RecordSet))
}

/// Tells whether any record of a set is left.
pub async fn is_empty(db: &dyn Database, set: RecordSet) -> Result<bool, ReadError> {
    let rows = db.read(sql!(
        "SELECT 1 FROM records WHERE record_set = $1 \
         UNION ALL SELECT 1 FROM backlinks WHERE record_set = $1 \
         UNION ALL SELECT 1 FROM record_blobs WHERE record_set = $1 LIMIT 1",
        set.0
    ));
    Ok(rows.await?.is_empty())
}

/// Adds: up to `limit` records of a set that is no repository's go, what they are about and the blobs they refer to.
pub fn delete_portion(txn: &mut Txn, set: RecordSet, limit: i64) {
    txn.use_disk_reserve();
    for text in [
        "DELETE FROM records WHERE record_set = $1 AND path IN \
         (SELECT path FROM records WHERE record_set = $1 ORDER BY path LIMIT $2)",
        "DELETE FROM backlinks WHERE record_set = $1 AND (collection, subject, rkey) IN \
         (SELECT collection, subject, rkey FROM backlinks WHERE record_set = $1 \
          ORDER BY collection, subject, rkey LIMIT $2)",
        "DELETE FROM record_blobs WHERE record_set = $1 AND (cid, path) IN \
         (SELECT cid, path FROM record_blobs WHERE record_set = $1 ORDER BY cid, path LIMIT $2)",
    ] {
        txn.run(sql!(text, set.0, limit));
    }
}

/// Adds: the set is deleted.
pub fn forget(txn: &mut Txn, set: RecordSet) {
    txn.use_disk_reserve();
    txn.run(sql!("DELETE FROM old_record_sets WHERE record_set = $1", set.0));
}
