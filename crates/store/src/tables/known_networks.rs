//! Networks that accounts have signed in from: keyed hashes alone.

use allod_atproto::Did;

use super::first;
use crate::{Database, ReadError, Txn, sql};

/// How many networks are known of one account; of more the ones unseen for longest are forgotten.
pub const NETWORKS_MAX: i64 = 20;

/// How a network stands to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Familiarity {
    /// No network of the account is known.
    First,
    /// Others are, this one is not.
    New,
    /// It is known.
    Known,
}

/// Tells how a network stands to an account.
pub async fn familiarity(db: &dyn Database, did: &Did, network_hash: &[u8]) -> Result<Familiarity, ReadError> {
    let rows = db.read(sql!(
        "SELECT count(*), COALESCE(max(network_hash = $2), 0) FROM known_networks WHERE did = $1",
        did.as_str(),
        network_hash
    ));
    let found = first(&rows.await?, |row| Ok((row.get::<i64>(0)?, row.get::<bool>(1)?)))?;
    Ok(match found {
        None | Some((0, _)) => Familiarity::First,
        Some((_, false)) => Familiarity::New,
        Some((_, true)) => Familiarity::Known,
    })
}

/// Adds: the account has signed in from this network now.
pub fn remember(txn: &mut Txn, did: &Did, network_hash: &[u8], now: i64) {
    txn.run(sql!(
        "INSERT INTO known_networks (did, network_hash, last_seen) VALUES ($1, $2, $3) \
         ON CONFLICT (did, network_hash) DO UPDATE SET last_seen = excluded.last_seen",
        did.as_str(),
        network_hash,
        now
    ));
    txn.run(sql!(
        "DELETE FROM known_networks WHERE did = $1 AND network_hash NOT IN \
         (SELECT network_hash FROM known_networks WHERE did = $1 ORDER BY last_seen DESC, network_hash LIMIT $2)",
        did.as_str(),
        NETWORKS_MAX
    ));
}

/// Adds: nothing is known of the account.
pub fn forget(txn: &mut Txn, did: &Did) {
    txn.run(sql!("DELETE FROM known_networks WHERE did = $1", did.as_str()));
}

/// Tells whether a network was last seen before `time`.
pub async fn any_seen_before(db: &dyn Database, time: i64) -> Result<bool, ReadError> {
    let rows = db.read(sql!("SELECT 1 FROM known_networks WHERE last_seen < $1 LIMIT 1", time)).await?;
    Ok(!rows.is_empty())
}

/// Adds: networks that were last seen before `time` are forgotten.
pub fn forget_seen_before(txn: &mut Txn, time: i64) {
    txn.run(sql!("DELETE FROM known_networks WHERE last_seen < $1", time));
}
