//! Private signing keys, wrapped: of accounts, and reserved for accounts to come.

use allod_atproto::{Did, crypto::DidKey};
use bytes::Bytes;

use super::{first, parsed};
use crate::{ConflictKey, Database, ReadError, Row, Txn, sql};

/// A wrapped private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// The public key.
    pub did_key: DidKey,
    /// The private key, wrapped under the master key.
    pub wrapped: Bytes,
}

fn wrapped_key(row: &Row) -> Result<WrappedKey, ReadError> {
    Ok(WrappedKey { did_key: parsed("signing key", DidKey::parse(&row.get::<String>(0)?))?, wrapped: row.get(1)? })
}

/// Reads an account's (or a sign-up's) signing key.
pub async fn by_did(db: &dyn Database, did: &Did) -> Result<Option<WrappedKey>, ReadError> {
    let rows = db.read(sql!("SELECT did_key, wrapped FROM signing_keys WHERE did = $1", did.as_str())).await?;
    first(&rows, wrapped_key)
}

/// Reads some account's (or sign-up's) signing key, to try whether it can be unwrapped.
pub async fn any(db: &dyn Database) -> Result<Option<(Did, WrappedKey)>, ReadError> {
    let rows = db.read(sql!("SELECT did_key, wrapped, did FROM signing_keys LIMIT 1")).await?;
    first(&rows, |row| Ok((parsed("DID", Did::parse(&row.get::<String>(2)?))?, wrapped_key(row)?)))
}

/// Adds an account's signing key.
pub fn insert(txn: &mut Txn, did: &Did, key: &WrappedKey, now: i64) {
    txn.run(sql!(
        "INSERT INTO signing_keys (did, did_key, wrapped, created_at) VALUES ($1, $2, $3, $4)",
        did.as_str(),
        key.did_key.as_str(),
        key.wrapped.clone(),
        now
    ));
}

/// Adds: another key takes the place of the account's. Conflict: [`ConflictKey::SigningKeyGone`].
pub fn replace(txn: &mut Txn, did: &Did, key: &WrappedKey, now: i64) {
    txn.expect(
        ConflictKey::SigningKeyGone,
        1,
        sql!(
            "UPDATE signing_keys SET did_key = $2, wrapped = $3, created_at = $4 WHERE did = $1",
            did.as_str(),
            key.did_key.as_str(),
            key.wrapped.clone(),
            now
        ),
    );
}

/// Adds: the signing key of an account, or of a sign-up that failed, goes.
pub fn remove(txn: &mut Txn, did: &Did) {
    txn.run(sql!("DELETE FROM signing_keys WHERE did = $1", did.as_str()));
}

/// Reads the key reserved for a DID.
pub async fn reserved_for(db: &dyn Database, did: &Did, now: i64) -> Result<Option<WrappedKey>, ReadError> {
    let rows = db.read(sql!(
        "SELECT did_key, wrapped FROM reserved_signing_keys WHERE did = $1 AND expires_at > $2",
        did.as_str(),
        now
    ));
    first(&rows.await?, wrapped_key)
}

/// Reads a reserved key by its public half.
pub async fn reserved(
    db: &dyn Database,
    did_key: &DidKey,
    now: i64,
) -> Result<Option<(WrappedKey, Option<String>)>, ReadError> {
    let rows = db.read(sql!(
        "SELECT did_key, wrapped, did FROM reserved_signing_keys WHERE did_key = $1 AND expires_at > $2",
        did_key.as_str(),
        now
    ));
    first(&rows.await?, |row| Ok((wrapped_key(row)?, row.get(2)?)))
}

/// Tells how many keys are reserved.
pub async fn reserved_count(db: &dyn Database) -> Result<i64, ReadError> {
    let rows = db.read(sql!("SELECT count(*) FROM reserved_signing_keys")).await?;
    Ok(first(&rows, |row| row.get(0))?.unwrap_or(0))
}

/// Adds a reserved key. Conflict: [`ConflictKey::ReservedKeyMoved`] when one is already reserved for the DID.
pub fn reserve(txn: &mut Txn, did: Option<&Did>, key: &WrappedKey, now: i64, expires_at: i64) {
    txn.run(sql!("DELETE FROM reserved_signing_keys WHERE expires_at <= $1", now));
    txn.expect(
        ConflictKey::ReservedKeyMoved,
        1,
        sql!(
            "INSERT INTO reserved_signing_keys (did_key, did, wrapped, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5)",
            key.did_key.as_str(),
            did.map(Did::as_str),
            key.wrapped.clone(),
            now,
            expires_at
        ),
    );
}

/// Adds: a key that was consumed is reserved again, unless its DID has another one by now.
pub fn give_back_reserved(txn: &mut Txn, did: Option<&Did>, key: &WrappedKey, now: i64, expires_at: i64) {
    txn.run(sql!(
        "INSERT INTO reserved_signing_keys (did_key, did, wrapped, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        key.did_key.as_str(),
        did.map(Did::as_str),
        key.wrapped.clone(),
        now,
        expires_at
    ));
}

/// Adds: the reserved key is used up. Conflict: [`ConflictKey::ReservedKeyMoved`] when it is gone.
pub fn consume_reserved(txn: &mut Txn, did_key: &DidKey) {
    txn.expect(
        ConflictKey::ReservedKeyMoved,
        1,
        sql!("DELETE FROM reserved_signing_keys WHERE did_key = $1", did_key.as_str()),
    );
}
