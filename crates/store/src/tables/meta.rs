//! Single facts about the whole store: what it belongs to, and what is gone from it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{all, first};
use crate::{Database, ReadError, Seq, Txn, sql};

/// The newest event number that retention has removed, as 8 big-endian bytes. The engine keeps it.
pub const EVENTS_TRIMMED: &str = "events_trimmed";
/// A keyed hash of a fixed text under the master key: tells another key, and nothing about the key.
pub const MASTER_KEY_CHECK: &str = "master_key_check";
/// The public did:plc rotation key, a did:key.
pub const ROTATION_KEY: &str = "rotation_key";
/// The host name that the accounts' DID documents name.
pub const HOSTNAME: &str = "hostname";
/// The service's DID.
pub const SERVICE_DID: &str = "service_did";
/// The port that the accounts' DID documents name, in decimal digits; only where the host is this machine.
pub const PORT: &str = "port";

/// The query behind [`is_in_use`], which also the inspection of a closed file asks.
pub(crate) const IN_USE: &str = "SELECT EXISTS (SELECT 1 FROM accounts) OR EXISTS (SELECT 1 FROM signing_keys) \
     OR EXISTS (SELECT 1 FROM reserved_signing_keys) OR EXISTS (SELECT 1 FROM admin_tokens)";

/// All facts by their names.
pub type Facts = BTreeMap<String, Bytes>;

/// Reads every fact.
pub async fn facts(db: &dyn Database) -> Result<Facts, ReadError> {
    let rows = db.read(sql!("SELECT name, value FROM meta")).await?;
    Ok(all(&rows, |row| Ok((row.get(0)?, row.get(1)?)))?.into_iter().collect())
}

/// Tells whether there is anything that depends on the keys and names that the store was made with: accounts, sign-ups,
/// reserved keys, administration tokens.
pub async fn is_in_use(db: &dyn Database) -> Result<bool, ReadError> {
    let rows = db.read(sql!(IN_USE)).await?;
    Ok(first(&rows, |row| row.get(0))?.unwrap_or(false))
}

/// Reads the newest event number that retention has removed; none before it removed any.
pub async fn events_trimmed(db: &dyn Database) -> Result<Option<Seq>, ReadError> {
    let rows = db.read(sql!("SELECT value FROM meta WHERE name = $1", EVENTS_TRIMMED)).await?;
    let value = first(&rows, |row| row.get::<Bytes>(0))?;
    let seq = |value: Bytes| {
        let bytes = (&*value).try_into().map_err(|_| ReadError::Corrupt { what: EVENTS_TRIMMED })?;
        Ok(Seq::from_be_bytes(bytes))
    };
    value.map(seq).transpose()
}

/// Adds: the fact is this from now on.
pub fn put(txn: &mut Txn, name: &'static str, value: &[u8]) {
    txn.run(sql!(
        "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2",
        name,
        value
    ));
}

/// Reads the newest number that was given to an event, or that the sequence was raised to; 0 before the first.
pub async fn numbered_events(db: &dyn Database) -> Result<Seq, ReadError> {
    let rows = db.read(sql!("SELECT seq FROM event_counter WHERE id = 1")).await?;
    Ok(first(&rows, |row| row.get(0))?.unwrap_or(0))
}
