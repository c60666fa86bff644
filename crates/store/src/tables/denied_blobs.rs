//! Bytes that were taken down: nobody sees them, whoever has them, and nobody may upload them again.

use allod_atproto::{Cid, Did};

use super::first;
use crate::{ConflictKey, Database, ReadError, SqlValue, Txn, sql};

fn cid_param(cid: &Cid) -> SqlValue {
    SqlValue::from(cid.to_bytes().as_slice())
}

/// Reads the decision that took the bytes down.
pub async fn takedown_of(db: &dyn Database, cid: &Cid) -> Result<Option<String>, ReadError> {
    let rows = db.read(sql!("SELECT takedown_ref FROM denied_blobs WHERE cid = $1", cid_param(cid))).await?;
    first(&rows, |row| row.get(0))
}

/// Adds: the bytes, which this account has, are taken down.
pub fn deny(txn: &mut Txn, cid: &Cid, did: &Did, takedown_ref: &str, now: i64) {
    txn.use_disk_reserve();
    txn.run(sql!(
        "INSERT INTO denied_blobs (cid, did, takedown_ref, denied_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (cid) DO UPDATE SET did = excluded.did, takedown_ref = excluded.takedown_ref, \
         denied_at = excluded.denied_at",
        cid_param(cid),
        did.as_str(),
        takedown_ref,
        now
    ));
}

/// Adds: the bytes are not taken down any more.
pub fn allow(txn: &mut Txn, cid: &Cid) {
    txn.run(sql!("DELETE FROM denied_blobs WHERE cid = $1", cid_param(cid)));
}

/// Adds: the bytes are not taken down. Conflict: [`ConflictKey::BlobDenied`].
pub fn assert_allowed(txn: &mut Txn, cid: &Cid) {
    txn.absent(ConflictKey::BlobDenied, sql!("SELECT 1 FROM denied_blobs WHERE cid = $1", cid_param(cid)));
}
