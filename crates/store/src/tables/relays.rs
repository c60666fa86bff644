//! Relays, and how far each was told that there is something to fetch.

use super::{first, readable};
use crate::{Database, ReadError, Row, Seq, Txn, sql};

/// What is known of one relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// Its base URL.
    pub url: String,
    /// The newest event's number when it was last told with success; 0 before.
    pub told_seq: Seq,
    /// When it was last asked to come, in microseconds since the Unix epoch.
    pub last_try_at: i64,
    /// When it last agreed.
    pub last_success_at: Option<i64>,
    /// Why it did not, the last time; none after a success.
    pub last_error: Option<String>,
    /// How often in a row it did not.
    pub failures: i64,
    /// Not to be asked again before.
    pub next_try_at: i64,
}

fn relay(row: &Row) -> Result<Relay, ReadError> {
    Ok(Relay {
        url: row.get(0)?,
        told_seq: row.get(1)?,
        last_try_at: row.get(2)?,
        last_success_at: row.get(3)?,
        last_error: row.get(4)?,
        failures: row.get(5)?,
        next_try_at: row.get(6)?,
    })
}

/// Reads what is known of a relay.
pub async fn by_url(db: &dyn Database, url: &str) -> Result<Option<Relay>, ReadError> {
    let rows = db.read(sql!(
        "SELECT url, told_seq, last_try_at, last_success_at, last_error, failures, next_try_at FROM relays \
         WHERE url = $1",
        url
    ));
    first(&rows.await?, relay)
}

/// Lists every relay that was ever asked, by URL.
pub async fn list(db: &dyn Database) -> Result<Vec<Relay>, ReadError> {
    let rows = db.read(sql!(
        "SELECT url, told_seq, last_try_at, last_success_at, last_error, failures, next_try_at FROM relays ORDER BY url"
    ));
    Ok(readable(&rows.await?, relay))
}

/// Adds: this is now known of a relay.
pub fn put(txn: &mut Txn, relay: &Relay) {
    txn.run(sql!(
        "INSERT INTO relays (url, told_seq, last_try_at, last_success_at, last_error, failures, next_try_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (url) DO UPDATE SET told_seq = $2, last_try_at = $3, last_success_at = $4, last_error = $5, \
         failures = $6, next_try_at = $7",
        relay.url.as_str(),
        relay.told_seq,
        relay.last_try_at,
        relay.last_success_at,
        relay.last_error.as_deref(),
        relay.failures,
        relay.next_try_at
    ));
}
