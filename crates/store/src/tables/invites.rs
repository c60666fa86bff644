//! Invite codes and who used them.

use allod_atproto::Did;

use super::{all, first};
use crate::{Database, ReadError, Row, Txn, sql};

/// The conflict when a code has no use left, is disabled or does not exist.
pub const INVITE_UNUSABLE: &str = "invite unusable";

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

/// Reads up to `limit` codes, newest first.
pub async fn newest(db: &dyn Database, limit: i64) -> Result<Vec<InviteCode>, ReadError> {
    let rows = db.read(sql!(
        "SELECT code, uses_max, uses_left, disabled, for_account, created_by, created_at FROM invite_codes \
         ORDER BY created_at DESC, code LIMIT $1",
        limit
    ));
    all(&rows.await?, invite_code)
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

/// Adds: one use of the code is taken for the DID. Conflict: [`INVITE_UNUSABLE`].
pub fn take_use(txn: &mut Txn, code: &str, used_by: &Did, now: i64) {
    txn.expect(
        INVITE_UNUSABLE,
        1,
        sql!(
            "UPDATE invite_codes SET uses_left = uses_left - 1 WHERE code = $1 AND disabled = 0 AND uses_left > 0",
            code
        ),
    );
    txn.expect(
        INVITE_UNUSABLE,
        1,
        sql!("INSERT INTO invite_code_uses (code, used_by, used_at) VALUES ($1, $2, $3)", code, used_by.as_str(), now),
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
