//! Invite codes and who used them.

use allod_atproto::Did;

use super::{all, first};
use crate::{ConflictKey, Database, ReadError, Row, Txn, sql};

/// One invite code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteCode {
    /// The code.
    pub code: String,
    /// How many accounts it can make in all.
    pub uses_max: i64,
    /// How many it can still make.
    pub uses_left: i64,
    /// Whether it was disabled.
    pub disabled: bool,
    /// Whom it was given to: a DID or `admin`.
    pub for_account: String,
    /// Who made it: a DID or `admin`.
    pub created_by: String,
    /// When, in microseconds since the Unix epoch.
    pub created_at: i64,
}

fn invite_code(row: &Row) -> Result<InviteCode, ReadError> {
    Ok(InviteCode {
        code: row.get(0)?,
        uses_max: row.get(1)?,
        uses_left: row.get(2)?,
        disabled: row.get(3)?,
        for_account: row.get(4)?,
        created_by: row.get(5)?,
        created_at: row.get(6)?,
    })
}

/// Reads a code.
pub async fn by_code(db: &dyn Database, code: &str) -> Result<Option<InviteCode>, ReadError> {
    let rows = db.read(sql!(
        "SELECT code, uses_max, uses_left, disabled, for_account, created_by, created_at FROM invite_codes \
         WHERE code = $1",
        code
    ));
    first(&rows.await?, invite_code)
}

/// One use of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteUse {
    /// The code.
    pub code: String,
    /// The DID that used it.
    pub used_by: String,
    /// When, in microseconds since the Unix epoch.
    pub used_at: i64,
}

/// Reads up to `limit` codes, newest first, behind the one named by `after` (its creation time and the code).
pub async fn page_by_age(
    db: &dyn Database,
    after: Option<(i64, &str)>,
    limit: i64,
) -> Result<Vec<InviteCode>, ReadError> {
    let (time, code) = after.unwrap_or((i64::MAX, ""));
    let rows = db.read(sql!(
        "SELECT code, uses_max, uses_left, disabled, for_account, created_by, created_at FROM invite_codes \
         WHERE created_at < $1 OR (created_at = $1 AND code > $2) ORDER BY created_at DESC, code LIMIT $3",
        time,
        code,
        limit
    ));
    all(&rows.await?, invite_code)
}

/// Reads up to `limit` codes, the most used first, behind the one named by `after` (how often it was used and the code).
pub async fn page_by_uses(
    db: &dyn Database,
    after: Option<(i64, &str)>,
    limit: i64,
) -> Result<Vec<InviteCode>, ReadError> {
    let (uses, code) = after.unwrap_or((i64::MAX, ""));
    let rows = db.read(sql!(
        "SELECT code, uses_max, uses_left, disabled, for_account, created_by, created_at FROM invite_codes \
         WHERE uses_max - uses_left < $1 OR (uses_max - uses_left = $1 AND code > $2) \
         ORDER BY uses_max - uses_left DESC, code LIMIT $3",
        uses,
        code,
        limit
    ));
    all(&rows.await?, invite_code)
}

/// Reads up to `limit` codes of an owner, oldest first.
pub async fn of_owner(db: &dyn Database, owner: &str, limit: i64) -> Result<Vec<InviteCode>, ReadError> {
    let rows = db.read(sql!(
        "SELECT code, uses_max, uses_left, disabled, for_account, created_by, created_at FROM invite_codes \
         WHERE for_account = $1 ORDER BY created_at, code LIMIT $2",
        owner,
        limit
    ));
    all(&rows.await?, invite_code)
}

/// Reads up to `limit` uses of a code, oldest first, behind the one named by `after` (its time and DID).
pub async fn uses_of(
    db: &dyn Database,
    code: &str,
    after: Option<(i64, &str)>,
    limit: i64,
) -> Result<Vec<InviteUse>, ReadError> {
    let (time, did) = after.unwrap_or((i64::MIN, ""));
    let rows = db.read(sql!(
        "SELECT code, used_by, used_at FROM invite_code_uses \
         WHERE code = $1 AND (used_at > $2 OR (used_at = $2 AND used_by > $3)) ORDER BY used_at, used_by LIMIT $4",
        code,
        time,
        did,
        limit
    ));
    all(&rows.await?, |row| Ok(InviteUse { code: row.get(0)?, used_by: row.get(1)?, used_at: row.get(2)? }))
}

/// Reads when a DID used a code.
pub async fn use_by(db: &dyn Database, code: &str, used_by: &Did) -> Result<Option<InviteUse>, ReadError> {
    let rows = db.read(sql!(
        "SELECT code, used_by, used_at FROM invite_code_uses WHERE code = $1 AND used_by = $2",
        code,
        used_by.as_str()
    ));
    first(&rows.await?, |row| Ok(InviteUse { code: row.get(0)?, used_by: row.get(1)?, used_at: row.get(2)? }))
}

/// Adds: the code makes no account any more.
pub fn disable(txn: &mut Txn, code: &str) {
    txn.use_disk_reserve();
    txn.run(sql!("UPDATE invite_codes SET disabled = 1 WHERE code = $1", code));
}

/// Adds: the owner's codes make no account any more.
pub fn disable_of_owner(txn: &mut Txn, owner: &str) {
    txn.use_disk_reserve();
    txn.run(sql!("UPDATE invite_codes SET disabled = 1 WHERE for_account = $1", owner));
}

/// Tells whether the code's owner has an account here that is taken down, or whose invites are closed.
pub async fn is_owner_barred(db: &dyn Database, invite: &InviteCode) -> Result<bool, ReadError> {
    let rows = db.read(sql!(
        "SELECT 1 FROM accounts WHERE did = $1 AND (takedown_ref IS NOT NULL OR invites_disabled <> 0)",
        invite.for_account.as_str()
    ));
    Ok(!rows.await?.is_empty())
}

/// Adds: the owner has as many codes that `made_by_others` did not make as were read. Conflict:
/// [`ConflictKey::InvitesChanged`].
pub fn assert_own_count(txn: &mut Txn, owner: &Did, made_by_others: &str, count: i64) {
    txn.absent(
        ConflictKey::InvitesChanged,
        sql!(
            "SELECT 1 WHERE (SELECT COUNT(*) FROM invite_codes WHERE for_account = $1 AND created_by <> $2) <> $3",
            owner.as_str(),
            made_by_others,
            count
        ),
    );
}

/// Adds a new code.
pub fn insert(txn: &mut Txn, invite: &InviteCode) {
    txn.run(sql!(
        "INSERT INTO invite_codes (code, uses_max, uses_left, disabled, for_account, created_by, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        invite.code.as_str(),
        invite.uses_max,
        invite.uses_left,
        invite.disabled,
        invite.for_account.as_str(),
        invite.created_by.as_str(),
        invite.created_at,
    ));
}

/// Adds: one use of the code is taken for the DID, also when an account of the DID that is gone took one. Conflict:
/// [`ConflictKey::InviteUnusable`].
pub fn take_use(txn: &mut Txn, code: &str, used_by: &Did, now: i64) {
    txn.expect(
        ConflictKey::InviteUnusable,
        1,
        sql!(
            "UPDATE invite_codes SET uses_left = uses_left - 1 WHERE code = $1 AND disabled = 0 AND uses_left > 0 \
             AND for_account NOT IN (SELECT did FROM accounts WHERE did = invite_codes.for_account \
             AND (takedown_ref IS NOT NULL OR invites_disabled <> 0))",
            code
        ),
    );
    txn.expect(
        ConflictKey::InviteUnusable,
        1,
        sql!(
            "INSERT INTO invite_code_uses (code, used_by, used_at) VALUES ($1, $2, $3) \
             ON CONFLICT (code, used_by) DO UPDATE SET used_at = excluded.used_at",
            code,
            used_by.as_str(),
            now
        ),
    );
}

/// Adds: the use taken for the DID is given back.
pub fn give_back_use(txn: &mut Txn, code: &str, used_by: &Did) {
    txn.run(sql!(
        "UPDATE invite_codes SET uses_left = uses_left + 1 \
         WHERE code = $1 AND EXISTS (SELECT 1 FROM invite_code_uses WHERE code = $1 AND used_by = $2)",
        code,
        used_by.as_str()
    ));
    txn.run(sql!("DELETE FROM invite_code_uses WHERE code = $1 AND used_by = $2", code, used_by.as_str()));
}
