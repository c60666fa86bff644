//! The newest times the server has seen, in `meta`: what has expired must stay expired when the clock is set back.

use super::first;
use crate::{Database, ReadError, Txn, sql};

/// The newest times that were seen, in microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NewestTimes {
    /// The time that never went back, also while the clock did.
    pub monotone: i64,
    /// The newest time that the clock showed.
    pub wall: i64,
}

/// Reads the newest times that were kept; 0 where none was.
pub async fn read(db: &dyn Database) -> Result<NewestTimes, ReadError> {
    let rows = db.read(sql!(
        "SELECT COALESCE(max(CASE name WHEN 'newest_time' THEN CAST(value AS INTEGER) END), 0), \
         COALESCE(max(CASE name WHEN 'newest_wall_time' THEN CAST(value AS INTEGER) END), 0) FROM meta \
         WHERE name IN ('newest_time', 'newest_wall_time')"
    ));
    let times = first(&rows.await?, |row| Ok(NewestTimes { monotone: row.get(0)?, wall: row.get(1)? }))?;
    Ok(times.unwrap_or_default())
}

/// Adds: these times were seen. Times that are newer stay.
pub fn raise(txn: &mut Txn, times: NewestTimes) {
    for (name, time) in [("newest_time", times.monotone), ("newest_wall_time", times.wall)] {
        txn.run(sql!(
            "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value \
             WHERE CAST(meta.value AS INTEGER) < CAST(excluded.value AS INTEGER)",
            name,
            time.to_string().as_bytes()
        ));
    }
}
