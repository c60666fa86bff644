//! Accounts that wait to be let in, oldest first.

use allod_atproto::Did;

use super::{all, first, parsed, readable};
use crate::{ConflictKey, Database, ReadError, Row, Touched, Txn, sql};

/// One account that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The account.
    pub did: Did,
    /// Since when, in microseconds since the Unix epoch.
    pub since: i64,
    /// The exact signed operation that makes its DID, as the JSON that is sent; none when nothing is sent.
    pub operation: Option<String>,
    /// Whether it moves in, and is activated by its owner later.
    pub moves_in: bool,
    /// When it was decided to let it in; none while it waits.
    pub let_in_at: Option<i64>,
    /// When letting it in is tried again.
    pub next_try_at: i64,
    /// How often it was tried.
    pub tries: i64,
    /// What went wrong last, for the operator.
    pub last_error: Option<String>,
}

macro_rules! columns {
    () => {
        "did, since, operation, moves_in, let_in_at, next_try_at, tries, last_error"
    };
}

fn waiting(row: &Row) -> Result<Waiting, ReadError> {
    Ok(Waiting {
        did: parsed("sign_up_queue.did", Did::parse(&row.get::<String>(0)?))?,
        since: row.get(1)?,
        operation: row.get(2)?,
        moves_in: row.get(3)?,
        let_in_at: row.get(4)?,
        next_try_at: row.get(5)?,
        tries: row.get(6)?,
        last_error: row.get(7)?,
    })
}

/// Reads the place of an account; none when it does not wait.
pub async fn by_did(db: &dyn Database, did: &Did) -> Result<Option<Waiting>, ReadError> {
    let rows = db.read(sql!(concat!("SELECT ", columns!(), " FROM sign_up_queue WHERE did = $1"), did.as_str()));
    first(&rows.await?, waiting)
}

/// Reads up to `limit` accounts that wait or are being let in, oldest first, behind `after` (since when, and DID).
pub async fn page(db: &dyn Database, after: Option<(i64, &str)>, limit: i64) -> Result<Vec<Waiting>, ReadError> {
    let (since, did) = after.unwrap_or((i64::MIN, ""));
    let rows = db.read(sql!(
        concat!(
            "SELECT ",
            columns!(),
            " FROM sign_up_queue WHERE (since, did) > ($1, $2) ORDER BY since, did LIMIT $3"
        ),
        since,
        did,
        limit
    ));
    all(&rows.await?, waiting)
}

/// Tells which account has waited longest, of those that are not taken down and whose operation was never refused.
pub async fn oldest(db: &dyn Database) -> Result<Option<Did>, ReadError> {
    let rows = db.read(sql!(
        "SELECT q.did FROM sign_up_queue q WHERE q.let_in_at IS NULL AND q.last_error IS NULL AND NOT EXISTS \
         (SELECT 1 FROM accounts a WHERE a.did = q.did AND a.takedown_ref IS NOT NULL) ORDER BY q.since, q.did LIMIT 1"
    ));
    first(&rows.await?, |row| parsed("sign_up_queue.did", Did::parse(&row.get::<String>(0)?)))
}

/// Reads up to `limit` accounts that are to be let in and whose next try is due.
pub async fn due(db: &dyn Database, now: i64, limit: i64) -> Result<Vec<Waiting>, ReadError> {
    let rows = db.read(sql!(
        concat!(
            "SELECT ",
            columns!(),
            " FROM sign_up_queue WHERE let_in_at IS NOT NULL AND next_try_at <= $1 ORDER BY next_try_at LIMIT $2"
        ),
        now,
        limit
    ));
    Ok(readable(&rows.await?, waiting))
}

/// Counts the accounts that wait before this one, but not further than `max`.
pub async fn ahead(db: &dyn Database, since: i64, did: &Did, max: i64) -> Result<i64, ReadError> {
    let rows = db.read(sql!(
        "SELECT count(*) FROM (SELECT 1 FROM sign_up_queue WHERE let_in_at IS NULL AND (since, did) < ($1, $2) LIMIT $3)",
        since,
        did.as_str(),
        max
    ));
    Ok(first(&rows.await?, |row| row.get(0))?.unwrap_or(0))
}

/// Adds: the account waits.
pub fn insert(txn: &mut Txn, waiting: &Waiting) {
    txn.run(sql!(
        "INSERT INTO sign_up_queue (did, since, operation, moves_in, let_in_at, next_try_at, tries, last_error) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        waiting.did.as_str(),
        waiting.since,
        waiting.operation.as_deref(),
        waiting.moves_in,
        waiting.let_in_at,
        waiting.next_try_at,
        waiting.tries,
        waiting.last_error.as_deref(),
    ));
}

/// Adds: the account is to be let in. Conflict: [`ConflictKey::QueuePlaceMoved`] when it does not wait, or that was
/// decided before.
pub fn decide(txn: &mut Txn, did: &Did, now: i64, next_try_at: i64) {
    txn.expect(
        ConflictKey::QueuePlaceMoved,
        1,
        sql!(
            "UPDATE sign_up_queue SET let_in_at = $2, next_try_at = $3, tries = 0, last_error = NULL \
             WHERE did = $1 AND let_in_at IS NULL",
            did.as_str(),
            now,
            next_try_at
        ),
    );
}

/// Adds: the account waits on, for what made letting it in fail. Touches nothing when it was let in meanwhile.
pub fn put_back(txn: &mut Txn, did: &Did, error: &str) {
    txn.run(sql!("UPDATE sign_up_queue SET let_in_at = NULL, last_error = $2 WHERE did = $1", did.as_str(), error));
}

/// Adds: letting it in is tried again at `next_try_at`. Touches nothing when it was let in meanwhile.
pub fn postpone(txn: &mut Txn, did: &Did, next_try_at: i64, error: &str) {
    txn.run(sql!(
        "UPDATE sign_up_queue SET next_try_at = $2, tries = tries + 1, last_error = $3 \
         WHERE did = $1 AND let_in_at IS NOT NULL",
        did.as_str(),
        next_try_at,
        error
    ));
}

/// Adds: the account that was to be let in is in. Conflict: [`ConflictKey::QueuePlaceMoved`] when somebody else was
/// first.
pub fn remove(txn: &mut Txn, did: &Did) {
    txn.expect(
        ConflictKey::QueuePlaceMoved,
        1,
        sql!("DELETE FROM sign_up_queue WHERE did = $1 AND let_in_at IS NOT NULL", did.as_str()),
    );
    txn.touch(Touched::Account(did.to_string()));
    txn.run(sql!("UPDATE accounts SET is_queued = 0 WHERE did = $1", did.as_str()));
}

/// Adds: the account waits, and nothing was decided about it. Conflict: [`ConflictKey::QueuePlaceMoved`].
pub fn assert_undecided(txn: &mut Txn, did: &Did) {
    txn.absent(
        ConflictKey::QueuePlaceMoved,
        sql!(
            "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM sign_up_queue WHERE did = $1 AND let_in_at IS NULL)",
            did.as_str()
        ),
    );
}

/// Adds: the account does not wait. Conflict: [`ConflictKey::AccountQueued`].
pub fn assert_not_waiting(txn: &mut Txn, did: &Did) {
    txn.absent(ConflictKey::AccountQueued, sql!("SELECT 1 FROM sign_up_queue WHERE did = $1", did.as_str()));
}

/// Adds: an account that goes waits no longer. Conflict: [`ConflictKey::AccountBeingAdmitted`].
pub fn forget(txn: &mut Txn, did: &Did) {
    txn.absent(
        ConflictKey::AccountBeingAdmitted,
        sql!("SELECT 1 FROM sign_up_queue WHERE did = $1 AND let_in_at IS NOT NULL", did.as_str()),
    );
    txn.run(sql!("DELETE FROM sign_up_queue WHERE did = $1", did.as_str()));
}
