//! Preferences: objects that an account's apps keep for it.

use allod_atproto::Did;

use super::all;
use crate::{Database, ReadError, Txn, sql};

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    /// Its `$type`.
    pub kind: String,
    /// Where it stands among the others.
    pub position: i64,
    /// The object, `$type` included.
    pub json: String,
}

/// Reads an account's preferences, in order.
pub async fn of_account(db: &dyn Database, did: &Did) -> Result<Vec<Preference>, ReadError> {
    let rows = db.read(sql!(
        "SELECT kind, position, json FROM preferences WHERE did = $1 ORDER BY position, kind",
        did.as_str()
    ));
    all(&rows.await?, |row| Ok(Preference { kind: row.get(0)?, position: row.get(1)?, json: row.get(2)? }))
}

/// Adds: these take the place of the account's preferences, but for those of the kind `kept`.
pub fn replace(txn: &mut Txn, did: &Did, preferences: &[Preference], kept: Option<&str>) {
    txn.run(sql!("DELETE FROM preferences WHERE did = $1 AND kind <> $2", did.as_str(), kept.unwrap_or_default()));
    for preference in preferences {
        txn.run(sql!(
            "INSERT INTO preferences (did, kind, position, json) VALUES ($1, $2, $3, $4)",
            did.as_str(),
            preference.kind.as_str(),
            preference.position,
            preference.json.as_str()
        ));
    }
}

/// Adds: the account's preferences go.
pub fn remove_all(txn: &mut Txn, did: &Did) {
    txn.run(sql!("DELETE FROM preferences WHERE did = $1", did.as_str()));
}
