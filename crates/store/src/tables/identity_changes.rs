//! Changes of identities that a directory has to take before they are made here.

use allod_atproto::{Did, Handle, crypto::DidKey};

use super::{first, parsed, readable, signing_keys::WrappedKey};
use crate::{ConflictKey, Database, ReadError, Row, Txn, sql};

/// One change under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityChange {
    /// Whose.
    pub did: Did,
    /// The exact signed operation, as the JSON that is sent.
    pub operation: String,
    /// The handle the account will have.
    pub handle: Option<Handle>,
    /// Until when that handle was held for the account before.
    pub handle_held_until: Option<i64>,
    /// The key that will sign its repository.
    pub key: Option<WrappedKey>,
    /// When it began, in microseconds since the Unix epoch.
    pub created_at: i64,
    /// Until when it is tried when the directory does not have it.
    pub deadline: i64,
    /// When the reconciler looks at it next.
    pub next_try_at: i64,
    /// How often the reconciler has looked.
    pub tries: i64,
    /// What went wrong last, for the operator.
    pub last_error: Option<String>,
}

fn change(row: &Row) -> Result<IdentityChange, ReadError> {
    let handle: Option<String> = row.get(2)?;
    let did_key: Option<String> = row.get(4)?;
    let wrapped: Option<bytes::Bytes> = row.get(5)?;
    let key = did_key.zip(wrapped).map(|(did_key, wrapped)| {
        Ok::<_, ReadError>(WrappedKey {
            did_key: parsed("identity_changes.did_key", DidKey::parse(&did_key))?,
            wrapped,
        })
    });
    Ok(IdentityChange {
        did: parsed("identity_changes.did", Did::parse(&row.get::<String>(0)?))?,
        operation: row.get(1)?,
        handle: handle.map(|handle| parsed("identity_changes.handle", Handle::parse(&handle))).transpose()?,
        handle_held_until: row.get(3)?,
        key: key.transpose()?,
        created_at: row.get(6)?,
        deadline: row.get(7)?,
        next_try_at: row.get(8)?,
        tries: row.get(9)?,
        last_error: row.get(10)?,
    })
}

/// Reads the change of a DID that is under way.
pub async fn by_did(db: &dyn Database, did: &Did) -> Result<Option<IdentityChange>, ReadError> {
    let rows = db.read(sql!(
        "SELECT did, operation, handle, handle_held_until, did_key, wrapped, created_at, deadline, next_try_at, tries, \
         last_error FROM identity_changes WHERE did = $1",
        did.as_str()
    ));
    first(&rows.await?, change)
}

/// Reads up to `limit` changes whose next look is due.
pub async fn due(db: &dyn Database, now: i64, limit: i64) -> Result<Vec<IdentityChange>, ReadError> {
    let rows = db.read(sql!(
        "SELECT did, operation, handle, handle_held_until, did_key, wrapped, created_at, deadline, next_try_at, tries, \
         last_error FROM identity_changes WHERE next_try_at <= $1 ORDER BY next_try_at LIMIT $2",
        now,
        limit
    ));
    Ok(readable(&rows.await?, change))
}

/// Reads up to `limit` changes, due or not, in the order of their DIDs; those after `after`.
pub async fn page(db: &dyn Database, after: Option<&Did>, limit: i64) -> Result<Vec<IdentityChange>, ReadError> {
    let rows = db.read(sql!(
        "SELECT did, operation, handle, handle_held_until, did_key, wrapped, created_at, deadline, next_try_at, tries, \
         last_error FROM identity_changes WHERE did > $1 ORDER BY did LIMIT $2",
        after.map_or("", Did::as_str),
        limit
    ));
    Ok(readable(&rows.await?, change))
}

/// Adds a change. Conflict: [`ConflictKey::IdentityChangeMoved`] when the DID has one already.
pub fn insert(txn: &mut Txn, change: &IdentityChange) {
    txn.expect(
        ConflictKey::IdentityChangeMoved,
        1,
        sql!(
            "INSERT INTO identity_changes (did, operation, handle, handle_held_until, did_key, wrapped, created_at, \
             deadline, next_try_at, tries, last_error) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            change.did.as_str(),
            change.operation.as_str(),
            change.handle.as_ref().map(Handle::as_str),
            change.handle_held_until,
            change.key.as_ref().map(|key| key.did_key.as_str()),
            change.key.as_ref().map(|key| key.wrapped.clone()),
            change.created_at,
            change.deadline,
            change.next_try_at,
            change.tries,
            change.last_error.as_deref(),
        ),
    );
}

/// Adds: this very change is over. Conflict: [`ConflictKey::IdentityChangeMoved`] when it is already.
pub fn remove(txn: &mut Txn, change: &IdentityChange) {
    txn.expect(
        ConflictKey::IdentityChangeMoved,
        1,
        sql!(
            "DELETE FROM identity_changes WHERE did = $1 AND operation = $2",
            change.did.as_str(),
            change.operation.as_str()
        ),
    );
}

/// Adds: whatever change of a DID is under way is forgotten.
pub fn forget(txn: &mut Txn, did: &Did) {
    txn.run(sql!("DELETE FROM identity_changes WHERE did = $1", did.as_str()));
}

/// Adds: the reconciler looks again at `next_try_at`. Touches nothing when the change is over.
pub fn postpone(txn: &mut Txn, did: &Did, next_try_at: i64, error: &str) {
    txn.run(sql!(
        "UPDATE identity_changes SET next_try_at = $2, tries = tries + 1, last_error = $3 WHERE did = $1",
        did.as_str(),
        next_try_at,
        error
    ));
}
