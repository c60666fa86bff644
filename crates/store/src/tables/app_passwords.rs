//! App passwords: made for single apps, found by the hash of what was made.

use allod_atproto::Did;

use super::{all, first};
use crate::{ConflictKey, Database, ReadError, Row, Txn, sql};

/// One app password, without the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPassword {
    /// What its owner calls it.
    pub name: String,
    /// Whether it opens private conversations too.
    pub privileged: bool,
    /// When it was made, in microseconds since the Unix epoch.
    pub created_at: i64,
}

fn app_password(row: &Row) -> Result<AppPassword, ReadError> {
    Ok(AppPassword { name: row.get(0)?, privileged: row.get(1)?, created_at: row.get(2)? })
}

/// Reads the app password with this hash.
pub async fn by_hash(db: &dyn Database, did: &Did, hash: &[u8]) -> Result<Option<AppPassword>, ReadError> {
    let rows = db.read(sql!(
        "SELECT name, privileged, created_at FROM app_passwords WHERE did = $1 AND password_hash = $2",
        did.as_str(),
        hash
    ));
    first(&rows.await?, app_password)
}

/// Reads an account's app passwords, oldest first.
pub async fn of_account(db: &dyn Database, did: &Did) -> Result<Vec<AppPassword>, ReadError> {
    let rows = db.read(sql!(
        "SELECT name, privileged, created_at FROM app_passwords WHERE did = $1 ORDER BY created_at, name",
        did.as_str()
    ));
    all(&rows.await?, app_password)
}

/// Adds an app password, of which the account may have `count_max`. Conflicts: [`ConflictKey::TooManyAppPasswords`],
/// [`ConflictKey::AppPasswordNameTaken`].
pub fn insert(txn: &mut Txn, did: &Did, password: &AppPassword, hash: &[u8], count_max: i64) {
    txn.absent(
        ConflictKey::TooManyAppPasswords,
        sql!("SELECT 1 FROM app_passwords WHERE did = $1 GROUP BY did HAVING COUNT(*) >= $2", did.as_str(), count_max),
    );
    txn.expect(
        ConflictKey::AppPasswordNameTaken,
        1,
        sql!(
            "INSERT INTO app_passwords (did, name, password_hash, privileged, created_at) VALUES ($1, $2, $3, $4, $5)",
            did.as_str(),
            password.name.as_str(),
            hash,
            password.privileged,
            password.created_at
        ),
    );
}

/// Adds: the app password is there. Conflict: [`ConflictKey::AppPasswordGone`].
pub fn assert_there(txn: &mut Txn, did: &Did, name: &str) {
    txn.absent(
        ConflictKey::AppPasswordGone,
        sql!(
            "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM app_passwords WHERE did = $1 AND name = $2)",
            did.as_str(),
            name
        ),
    );
}

/// Adds: the app password goes, if it is there.
pub fn remove(txn: &mut Txn, did: &Did, name: &str) {
    txn.use_disk_reserve();
    txn.run(sql!("DELETE FROM app_passwords WHERE did = $1 AND name = $2", did.as_str(), name));
}

/// Adds: all app passwords of the account go.
pub fn remove_all(txn: &mut Txn, did: &Did) {
    txn.use_disk_reserve();
    txn.run(sql!("DELETE FROM app_passwords WHERE did = $1", did.as_str()));
}
