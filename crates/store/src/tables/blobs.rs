//! Blobs and the records that refer to them.
//!
//! A blob without a reference has `unreferenced_since` set: it is not shown, and goes when it has been so for long.
//! Which references count is decided by the record set that the repository's row names, so that an import can write
//! those of a new set beside those of the old one.

use allod_atproto::{Cid, Did, Tid, repo::RecordPath};
use bytes::Bytes;

use super::{
    Page, PageSize, all, first, parsed, readable,
    records::{RecordSet, rev_number},
};
use crate::{ConflictKey, Database, ReadError, Row, SqlValue, Statement, Txn, sql};

/// How many identifiers one look-up asks for; the statements name as many parameters.
const CIDS_PER_READ: usize = 16;

/// A stored blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The hash of its bytes.
    pub cid: Cid,
    /// What its bytes are.
    pub mime_type: String,
    /// How many bytes it has.
    pub size: u64,
    /// The object that holds its bytes, named within the account's folder.
    pub object: String,
    /// Since when no record refers to it, in microseconds since the Unix epoch; `None` while one does.
    pub unreferenced_since: Option<i64>,
    /// The decision that took its bytes down, wherever they are; not read for a blob that is due to be removed.
    pub takedown_ref: Option<String>,
    /// Whether its type was found by looking at its bytes, because the client did not say.
    pub is_type_guessed: bool,
}

/// A blob that was uploaded.
#[derive(Debug, Clone, Copy)]
pub struct NewBlob<'a> {
    /// The hash of its bytes.
    pub cid: Cid,
    /// What its bytes are.
    pub mime_type: &'a str,
    /// How many bytes it has.
    pub size: u64,
    /// The object that holds its bytes.
    pub object: &'a str,
    /// The CRC-32C of each 64 KiB of its bytes, 4 bytes each, little-endian.
    pub checksums: &'a [u8],
    /// Whether its type was found by looking at its bytes.
    pub is_type_guessed: bool,
}

/// A blob that is due to be removed, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueBlob {
    /// Whose it is.
    pub did: Did,
    /// The blob.
    pub blob: Blob,
}

/// A blob that a record refers to and that is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingBlob {
    /// The hash of its bytes.
    pub cid: Cid,
    /// A record that refers to it: `collection/rkey`.
    pub path: String,
}

fn cid_param(cid: &Cid) -> SqlValue {
    SqlValue::from(cid.to_bytes().as_slice())
}

fn size_param(size: u64) -> SqlValue {
    SqlValue::Integer(i64::try_from(size).unwrap_or(i64::MAX))
}

fn cid_at(row: &Row, index: usize) -> Result<Cid, ReadError> {
    parsed("blob cid", Cid::from_bytes(&row.get::<Bytes>(index)?))
}

fn blob(row: &Row) -> Result<Blob, ReadError> {
    Ok(Blob {
        cid: cid_at(row, 0)?,
        mime_type: row.get(1)?,
        size: parsed("blobs.size", u64::try_from(row.get::<i64>(2)?))?,
        object: row.get(3)?,
        unreferenced_since: row.get(4)?,
        takedown_ref: row.get(5)?,
        is_type_guessed: row.get(6)?,
    })
}

/// Reads those of an account's blobs that are among `cids`, in the order of their identifiers.
pub async fn by_cids(db: &dyn Database, did: &Did, cids: &[Cid]) -> Result<Vec<Blob>, ReadError> {
    let mut sorted = cids.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut blobs = Vec::with_capacity(sorted.len());
    for chunk in sorted.chunks(CIDS_PER_READ) {
        let mut params = vec![SqlValue::from(did.as_str())];
        params.extend(padded(chunk, CIDS_PER_READ).map(cid_param));
        let rows = db.read(Statement::new(
            "SELECT cid, mime_type, size, object, unreferenced_since, \
             (SELECT takedown_ref FROM denied_blobs WHERE denied_blobs.cid = blobs.cid), is_type_guessed FROM blobs WHERE did = $1 \
             AND cid IN ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ORDER BY cid",
            params,
        ));
        blobs.extend(all(&rows.await?, blob)?);
    }
    Ok(blobs)
}

/// Repeats the last element until there are `count`.
fn padded<T>(elements: &[T], count: usize) -> impl Iterator<Item = &T> {
    elements.iter().chain(elements.last().into_iter().cycle()).take(count)
}

/// Reads one of an account's blobs.
pub async fn by_cid(db: &dyn Database, did: &Did, cid: &Cid) -> Result<Option<Blob>, ReadError> {
    let rows = db.read(sql!(
        "SELECT cid, mime_type, size, object, unreferenced_since, \
         (SELECT takedown_ref FROM denied_blobs WHERE denied_blobs.cid = blobs.cid), is_type_guessed FROM blobs \
         WHERE did = $1 AND cid = $2",
        did.as_str(),
        cid_param(cid)
    ));
    first(&rows.await?, blob)
}

/// Reads one of an account's blobs and the checksums of its bytes, which a blob may not have yet.
pub async fn with_checksums(
    db: &dyn Database,
    did: &Did,
    cid: &Cid,
) -> Result<Option<(Blob, Option<Bytes>)>, ReadError> {
    let rows = db.read(sql!(
        "SELECT cid, mime_type, size, blobs.object, unreferenced_since, \
         (SELECT takedown_ref FROM denied_blobs WHERE denied_blobs.cid = blobs.cid), is_type_guessed, crc32c \
         FROM blobs LEFT JOIN blob_checksums ON blob_checksums.object = blobs.object WHERE did = $1 AND cid = $2",
        did.as_str(),
        cid_param(cid)
    ));
    first(&rows.await?, |row| Ok((blob(row)?, row.get(7)?)))
}

/// Reads up to `limit` of an account's blobs behind `after`, in the order of their identifiers, and the checksums of
/// their bytes.
pub async fn stored_after(
    db: &dyn Database,
    did: &Did,
    after: &[u8],
    limit: i64,
) -> Result<Vec<(Blob, Option<Bytes>)>, ReadError> {
    let rows = db.read(sql!(
        "SELECT cid, mime_type, size, blobs.object, unreferenced_since, \
         (SELECT takedown_ref FROM denied_blobs WHERE denied_blobs.cid = blobs.cid), is_type_guessed, crc32c \
         FROM blobs LEFT JOIN blob_checksums ON blob_checksums.object = blobs.object \
         WHERE did = $1 AND cid > $2 ORDER BY cid LIMIT $3",
        did.as_str(),
        after,
        limit
    ));
    all(&rows.await?, |row| Ok((blob(row)?, row.get(7)?)))
}

/// Adds: these are the checksums of an object's bytes, if a blob has it.
pub fn set_checksums(txn: &mut Txn, object: &str, checksums: &[u8]) {
    txn.run(sql!(
        "INSERT INTO blob_checksums (object, crc32c) SELECT object, $2 FROM blobs WHERE object = $1 \
         ON CONFLICT (object) DO UPDATE SET crc32c = excluded.crc32c",
        object,
        checksums
    ));
}

fn drop_checksums(txn: &mut Txn, object: &str) {
    txn.run(sql!("DELETE FROM blob_checksums WHERE object = $1", object));
}

/// Reads the path of a record of an account that refers to a blob; the first of them.
pub async fn referring_path(db: &dyn Database, did: &Did, cid: &Cid) -> Result<Option<String>, ReadError> {
    let rows = db.read(sql!(
        "SELECT MIN(r.path) FROM repos p JOIN record_blobs r ON r.record_set = p.record_set \
         WHERE p.did = $1 AND r.cid = $2",
        did.as_str(),
        cid_param(cid)
    ));
    Ok(first(&rows.await?, |row| row.get(0))?.flatten())
}

/// Adds a blob, unreferenced unless a record came before it (of an import), and counts its bytes, of which the account may hold `quota_bytes_max`.
/// Conflicts: [`ConflictKey::BlobMoved`] when it is stored already, [`ConflictKey::BlobQuotaExceeded`].
pub fn insert(txn: &mut Txn, did: &Did, blob: &NewBlob<'_>, now: i64, quota_bytes_max: u64) {
    txn.expect(
        ConflictKey::BlobMoved,
        1,
        sql!(
            "INSERT INTO blobs (did, cid, mime_type, size, object, created_at, is_type_guessed, unreferenced_since) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN EXISTS \
             (SELECT 1 FROM repos JOIN record_blobs ON record_blobs.record_set = repos.record_set \
             WHERE repos.did = $1 AND record_blobs.cid = $2) THEN NULL ELSE CAST($6 AS BIGINT) END)",
            did.as_str(),
            cid_param(&blob.cid),
            blob.mime_type,
            size_param(blob.size),
            blob.object,
            now,
            blob.is_type_guessed
        ),
    );
    set_checksums(txn, blob.object, blob.checksums);
    txn.expect(
        ConflictKey::BlobQuotaExceeded,
        1,
        sql!(
            "INSERT INTO blob_usage (did, bytes) SELECT $1, $2 \
             WHERE CAST($2 AS BIGINT) <= CAST($3 AS BIGINT) \
             ON CONFLICT (did) DO UPDATE SET bytes = blob_usage.bytes + excluded.bytes \
             WHERE blob_usage.bytes + excluded.bytes <= $3",
            did.as_str(),
            size_param(blob.size),
            size_param(quota_bytes_max)
        ),
    );
}

/// Adds: a blob that no record refers to was uploaded again. Conflict: [`ConflictKey::BlobMoved`] when one does by now,
/// it is gone or taken down, or its bytes are in another object than `object`.
pub fn renew(txn: &mut Txn, did: &Did, blob: &NewBlob<'_>, now: i64) {
    txn.expect(
        ConflictKey::BlobMoved,
        1,
        sql!(
            "UPDATE blobs SET mime_type = $4, unreferenced_since = $5, is_type_guessed = $6 \
             WHERE did = $1 AND cid = $2 AND object = $3 AND unreferenced_since IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM denied_blobs WHERE denied_blobs.cid = $2)",
            did.as_str(),
            cid_param(&blob.cid),
            blob.object,
            blob.mime_type,
            now,
            blob.is_type_guessed
        ),
    );
}

/// Adds: a blob's bytes are in another object from now on. Conflict: [`ConflictKey::BlobMoved`] when they are not in
/// `previous` any more, or the blob is taken down.
pub fn replace_object(txn: &mut Txn, did: &Did, cid: &Cid, previous: &str, object: &str, checksums: &[u8]) {
    txn.expect(
        ConflictKey::BlobMoved,
        1,
        sql!(
            "UPDATE blobs SET object = $4 WHERE did = $1 AND cid = $2 AND object = $3 \
             AND NOT EXISTS (SELECT 1 FROM denied_blobs WHERE denied_blobs.cid = $2)",
            did.as_str(),
            cid_param(cid),
            previous,
            object
        ),
    );
    drop_checksums(txn, previous);
    set_checksums(txn, object, checksums);
}

/// Adds: the record refers to these blobs, which are thereby permanent. What it referred to before is dropped
/// beforehand by [`drop_references`].
/// Conflict: [`ConflictKey::BlobGone`] when one is not stored or was taken down.
pub fn refer(txn: &mut Txn, did: &Did, set: RecordSet, path: &RecordPath, rev: Tid, cids: &[Cid]) {
    for cid in cids {
        txn.expect(
            ConflictKey::BlobGone,
            1,
            sql!(
                "UPDATE blobs SET unreferenced_since = NULL WHERE did = $1 AND cid = $2 \
                 AND NOT EXISTS (SELECT 1 FROM denied_blobs WHERE denied_blobs.cid = $2)",
                did.as_str(),
                cid_param(cid)
            ),
        );
        insert_reference(txn, set, path, rev, cid);
    }
}

/// Adds: a record of a set that is being prepared refers to these blobs, stored or not: an imported record may come
/// before its blobs. The blobs stay as they are until [`settle`].
pub fn refer_missing_allowed(txn: &mut Txn, set: RecordSet, path: &RecordPath, rev: Tid, cids: &[Cid]) {
    for cid in cids {
        insert_reference(txn, set, path, rev, cid);
    }
}

fn insert_reference(txn: &mut Txn, set: RecordSet, path: &RecordPath, rev: Tid, cid: &Cid) {
    txn.run(sql!(
        "INSERT INTO record_blobs (record_set, cid, path, rev) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (record_set, cid, path) DO UPDATE SET rev = excluded.rev",
        set.number(),
        cid_param(cid),
        path.as_str(),
        rev_number(rev)
    ));
}

/// Adds: the record refers to nothing any more; blobs that thereby lose their last reference are unreferenced from
/// `now` on. Two look-ups for a record that refers to nothing.
pub fn drop_references(txn: &mut Txn, did: &Did, set: RecordSet, path: &RecordPath, now: i64) {
    txn.run(sql!(
        "UPDATE blobs SET unreferenced_since = $4 WHERE did = $1 AND unreferenced_since IS NULL AND cid IN \
         (SELECT cid FROM record_blobs WHERE record_set = $2 AND path = $3) \
         AND NOT EXISTS (SELECT 1 FROM record_blobs AS other WHERE other.record_set = $2 \
         AND other.cid = blobs.cid AND other.path <> $3)",
        did.as_str(),
        set.number(),
        path.as_str(),
        now
    ));
    txn.run(sql!("DELETE FROM record_blobs WHERE record_set = $1 AND path = $2", set.number(), path.as_str()));
}

/// Adds: which of an account's blobs are referred to is told anew by its repository's record set. For the transaction
/// that gives the repository another set.
pub fn settle(txn: &mut Txn, did: &Did, now: i64) {
    txn.run(sql!(
        "UPDATE blobs SET unreferenced_since = NULL WHERE did = $1 AND unreferenced_since IS NOT NULL \
         AND EXISTS (SELECT 1 FROM repos JOIN record_blobs ON record_blobs.record_set = repos.record_set \
         WHERE repos.did = $1 AND record_blobs.cid = blobs.cid)",
        did.as_str()
    ));
    txn.run(sql!(
        "UPDATE blobs SET unreferenced_since = $2 WHERE did = $1 AND unreferenced_since IS NULL \
         AND NOT EXISTS (SELECT 1 FROM repos JOIN record_blobs ON record_blobs.record_set = repos.record_set \
         WHERE repos.did = $1 AND record_blobs.cid = blobs.cid)",
        did.as_str(),
        now
    ));
}

/// Reads the blobs that the records of a set refer to, stored or not but not taken down, in the order of their
/// identifiers behind `after`; with `since` only those that a record written later refers to.
pub async fn referenced(
    db: &dyn Database,
    set: RecordSet,
    since: Option<Tid>,
    after: Option<&Cid>,
    limit: i64,
) -> Result<Vec<Cid>, ReadError> {
    let rows = db.read(sql!(
        "SELECT DISTINCT r.cid FROM record_blobs r WHERE r.record_set = $1 AND r.cid > $2 AND r.rev > $3 \
         AND NOT EXISTS (SELECT 1 FROM denied_blobs d WHERE d.cid = r.cid) \
         ORDER BY r.cid LIMIT $4",
        set.number(),
        after_param(after),
        since.map_or(-1, rev_number),
        limit
    ));
    all(&rows.await?, |row| cid_at(row, 0))
}

/// Counts the blobs that an account's records refer to: those that are stored and those that [`missing`] lists.
pub async fn referenced_count(db: &dyn Database, did: &Did) -> Result<i64, ReadError> {
    let rows = db.read(sql!(
        "SELECT COUNT(DISTINCT record_blobs.cid) FROM repos \
         JOIN record_blobs ON record_blobs.record_set = repos.record_set WHERE repos.did = $1 \
         AND (EXISTS (SELECT 1 FROM blobs b WHERE b.did = $1 AND b.cid = record_blobs.cid) \
         OR NOT EXISTS (SELECT 1 FROM denied_blobs d WHERE d.cid = record_blobs.cid))",
        did.as_str()
    ));
    Ok(first(&rows.await?, |row| row.get(0))?.unwrap_or(0))
}

/// Counts the blobs that are stored for an account and that its records refer to.
pub async fn referenced_stored_count(db: &dyn Database, did: &Did) -> Result<i64, ReadError> {
    let rows = db.read(sql!("SELECT COUNT(*) FROM blobs WHERE did = $1 AND unreferenced_since IS NULL", did.as_str()));
    Ok(first(&rows.await?, |row| row.get(0))?.unwrap_or(0))
}

/// Reads which records of a set refer to which blobs, for the records behind `after` and up to `to`.
pub async fn references_between(
    db: &dyn Database,
    set: RecordSet,
    after: &str,
    to: &str,
) -> Result<Vec<(String, Cid)>, ReadError> {
    let rows = db.read(sql!(
        "SELECT path, cid FROM record_blobs WHERE record_set = $1 AND path > $2 AND path <= $3 ORDER BY path",
        set.number(),
        after,
        to
    ));
    all(&rows.await?, |row| Ok((row.get(0)?, cid_at(row, 1)?)))
}

/// Reads the blobs that an account's records refer to and that are not stored, each with one record that does, in the
/// order of their identifiers behind `after`.
pub async fn missing(
    db: &dyn Database,
    did: &Did,
    after: Option<&Cid>,
    size: PageSize,
) -> Result<Page<MissingBlob>, ReadError> {
    let query = sql!(
        "SELECT r.cid, MIN(r.path) FROM repos p JOIN record_blobs r ON r.record_set = p.record_set \
         WHERE p.did = $1 AND r.cid > $2 \
         AND NOT EXISTS (SELECT 1 FROM blobs b WHERE b.did = $1 AND b.cid = r.cid) \
         AND NOT EXISTS (SELECT 1 FROM denied_blobs d WHERE d.cid = r.cid) \
         GROUP BY r.cid ORDER BY r.cid LIMIT $3",
        did.as_str(),
        after_param(after),
        size.rows
    );
    size.read(db, query, |row| Ok(MissingBlob { cid: cid_at(row, 0)?, path: row.get(1)? })).await
}

/// No identifier sorts before or with no bytes.
fn after_param(after: Option<&Cid>) -> SqlValue {
    after.map_or_else(|| SqlValue::from(&b""[..]), cid_param)
}

/// Reads up to `limit` blobs that no record has referred to since `until` or longer. That one was taken down
/// is known without it.
pub async fn unreferenced_until(db: &dyn Database, until: i64, limit: i64) -> Result<Vec<DueBlob>, ReadError> {
    let rows = db.read(sql!(
        "SELECT cid, mime_type, size, object, unreferenced_since, NULL, is_type_guessed, did FROM blobs \
         WHERE unreferenced_since <= $1 ORDER BY unreferenced_since LIMIT $2",
        until,
        limit
    ));
    Ok(readable(&rows.await?, |row| {
        Ok(DueBlob { did: parsed("blobs.did", Did::parse(&row.get::<String>(7)?))?, blob: blob(row)? })
    }))
}

/// Adds: the blob goes, if no record has referred to it since `until` or longer. Conflict: [`ConflictKey::BlobMoved`]
/// otherwise.
pub fn remove_unreferenced(txn: &mut Txn, did: &Did, blob: &Blob, until: i64) {
    txn.use_disk_reserve();
    txn.expect(
        ConflictKey::BlobMoved,
        1,
        sql!(
            "DELETE FROM blobs WHERE did = $1 AND cid = $2 AND object = $3 \
             AND unreferenced_since <= $4 \
             AND NOT EXISTS (SELECT 1 FROM repos JOIN record_blobs ON record_blobs.record_set = repos.record_set \
             WHERE repos.did = $1 AND record_blobs.cid = $2)",
            did.as_str(),
            cid_param(&blob.cid),
            blob.object.as_str(),
            until
        ),
    );
    drop_checksums(txn, &blob.object);
    txn.run(sql!("UPDATE blob_usage SET bytes = bytes - $2 WHERE did = $1", did.as_str(), size_param(blob.size)));
}

/// Adds: an account that is gone holds no blobs; they go when those that no record refers to go.
pub fn disown(txn: &mut Txn, did: &Did) {
    txn.run(sql!("UPDATE blobs SET unreferenced_since = 0 WHERE did = $1", did.as_str()));
}

/// How many objects one look-up asks for; the statement names as many parameters.
pub const OBJECTS_PER_READ: usize = 16;

/// Tells which of up to [`OBJECTS_PER_READ`] objects hold a blob.
pub async fn known_objects(db: &dyn Database, objects: &[String]) -> Result<Vec<String>, ReadError> {
    if objects.is_empty() {
        return Ok(Vec::new());
    }
    let params: Vec<SqlValue> =
        padded(objects, OBJECTS_PER_READ).map(|object| SqlValue::from(object.as_str())).collect();
    let rows = db.read(Statement::new(
        "SELECT object FROM blobs WHERE object IN \
         ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        params,
    ));
    all(&rows.await?, |row| row.get(0))
}

/// What an account's blobs come to, by its counter and by its blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The account.
    pub did: String,
    /// What the counter says.
    pub counted_bytes: i64,
    /// What the blobs say.
    pub stored_bytes: i64,
}

/// Reads up to `limit` accounts' usage in the order of their DIDs, behind `after`.
pub async fn usages(db: &dyn Database, after: &str, limit: i64) -> Result<Vec<Usage>, ReadError> {
    let rows = db.read(sql!(
        "SELECT u.did, u.bytes, (SELECT CAST(COALESCE(SUM(b.size), 0) AS BIGINT) FROM blobs b WHERE b.did = u.did) \
         FROM blob_usage u WHERE u.did > $1 ORDER BY u.did LIMIT $2",
        after,
        limit
    ));
    all(&rows.await?, |row| Ok(Usage { did: row.get(0)?, counted_bytes: row.get(1)?, stored_bytes: row.get(2)? }))
}

/// Adds: the account's counter says what its blobs say.
pub fn recount(txn: &mut Txn, did: &str) {
    txn.run(sql!(
        "UPDATE blob_usage SET bytes = (SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM blobs WHERE did = $1) \
         WHERE did = $1",
        did
    ));
}
