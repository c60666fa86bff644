//! How far the scrub is: the job that reads everything that is stored, again and again.

use bytes::Bytes;

use super::first;
use crate::{Database, ReadError, Txn, sql};

/// How far the scrub is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrub {
    /// When this round began, in microseconds since the Unix epoch.
    pub started_at: i64,
    /// When it ended; none while it goes on.
    pub ended_at: Option<i64>,
    /// The account it is at; those before it in the order of DIDs are done. Empty at the beginning.
    pub did: String,
    /// The last blob of that account that is done; empty before the first.
    pub cid: Bytes,
}

/// Reads how far it is; none when there never was a round.
pub async fn read(db: &dyn Database) -> Result<Option<Scrub>, ReadError> {
    let rows = db.read(sql!("SELECT started_at, ended_at, did, cid FROM scrub WHERE id = 1")).await?;
    first(&rows, |row| Ok(Scrub { started_at: row.get(0)?, ended_at: row.get(1)?, did: row.get(2)?, cid: row.get(3)? }))
}

/// Adds: this is the scrub's position.
pub fn write(txn: &mut Txn, scrub: &Scrub) {
    txn.run(sql!(
        "INSERT INTO scrub (id, started_at, ended_at, did, cid) VALUES (1, $1, $2, $3, $4) \
         ON CONFLICT (id) DO UPDATE SET started_at = $1, ended_at = $2, did = $3, cid = $4",
        scrub.started_at,
        scrub.ended_at,
        scrub.did.as_str(),
        scrub.cid.clone()
    ));
}
