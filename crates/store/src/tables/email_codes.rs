//! Codes that were mailed: one for an account and a purpose, known by its hash.

use allod_atproto::Did;

use super::{all, first, parsed};
use crate::{ConflictKey, Database, ReadError, Row, Txn, sql};

/// A code that was mailed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailCode {
    /// Whose it is.
    pub did: Did,
    /// What for.
    pub purpose: i64,
    /// A keyed hash of account, purpose and code.
    pub code_hash: Vec<u8>,
    /// A keyed hash of its first half, by which it is found when the account is not told.
    pub place: Vec<u8>,
    /// When it was made.
    pub issued_at: i64,
    /// Until when it can be used.
    pub expires_at: i64,
    /// How often it may still be tried.
    pub tries_left: i64,
}

macro_rules! columns {
    () => {
        "did, purpose, code_hash, place, issued_at, expires_at, tries_left"
    };
}

fn email_code(row: &Row) -> Result<EmailCode, ReadError> {
    Ok(EmailCode {
        did: parsed("email_codes.did", Did::parse(&row.get::<String>(0)?))?,
        purpose: row.get(1)?,
        code_hash: row.get(2)?,
        place: row.get(3)?,
        issued_at: row.get(4)?,
        expires_at: row.get(5)?,
        tries_left: row.get(6)?,
    })
}

/// Reads an account's code for a purpose.
pub async fn of_account(db: &dyn Database, did: &Did, purpose: i64) -> Result<Option<EmailCode>, ReadError> {
    let rows = db.read(sql!(
        concat!("SELECT ", columns!(), " FROM email_codes WHERE did = $1 AND purpose = $2"),
        did.as_str(),
        purpose
    ));
    first(&rows.await?, email_code)
}

/// Reads the codes for a purpose whose first half is this; more than one by chance alone.
pub async fn at_place(db: &dyn Database, place: &[u8], purpose: i64, limit: i64) -> Result<Vec<EmailCode>, ReadError> {
    let rows = db.read(sql!(
        concat!("SELECT ", columns!(), " FROM email_codes WHERE place = $1 AND purpose = $2 LIMIT $3"),
        place,
        purpose,
        limit
    ));
    all(&rows.await?, email_code)
}

/// Adds a code, in place of an earlier one for the same purpose.
pub fn issue(txn: &mut Txn, code: &EmailCode) {
    txn.run(sql!(
        "INSERT INTO email_codes (did, purpose, code_hash, place, issued_at, expires_at, tries_left) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (did, purpose) DO UPDATE SET code_hash = $3, place = $4, \
         issued_at = $5, expires_at = $6, tries_left = $7",
        code.did.as_str(),
        code.purpose,
        code.code_hash.as_slice(),
        code.place.as_slice(),
        code.issued_at,
        code.expires_at,
        code.tries_left
    ));
}

/// Adds: the code is tried once more. Conflict: [`ConflictKey::EmailCodeGone`] when it may not be.
pub fn count_try(txn: &mut Txn, code: &EmailCode) {
    txn.use_some_disk_reserve();
    txn.expect(
        ConflictKey::EmailCodeGone,
        1,
        sql!(
            "UPDATE email_codes SET tries_left = tries_left - 1 \
             WHERE did = $1 AND purpose = $2 AND code_hash = $3 AND tries_left > 0",
            code.did.as_str(),
            code.purpose,
            code.code_hash.as_slice()
        ),
    );
}

/// Adds: the code is used up. Conflict: [`ConflictKey::EmailCodeGone`] when it was before, or there is another one.
pub fn use_up(txn: &mut Txn, code: &EmailCode) {
    txn.expect(
        ConflictKey::EmailCodeGone,
        1,
        sql!(
            "DELETE FROM email_codes WHERE did = $1 AND purpose = $2 AND code_hash = $3",
            code.did.as_str(),
            code.purpose,
            code.code_hash.as_slice()
        ),
    );
}

/// Adds: all codes of the account are void.
pub fn remove_all(txn: &mut Txn, did: &Did) {
    txn.run(sql!("DELETE FROM email_codes WHERE did = $1", did.as_str()));
}

/// Tells whether there is a code that could be used until before `time`.
pub async fn any_expired(db: &dyn Database, time: i64) -> Result<bool, ReadError> {
    let rows = db.read(sql!("SELECT 1 FROM email_codes WHERE expires_at <= $1 LIMIT 1", time)).await?;
    Ok(!rows.is_empty())
}

/// Adds: codes that could be used until before `time` are forgotten.
pub fn forget_expired(txn: &mut Txn, time: i64) {
    txn.run(sql!("DELETE FROM email_codes WHERE expires_at <= $1", time));
}
