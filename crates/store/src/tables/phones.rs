//! Telephone numbers, as keyed hashes: which were shown to be somebody's, and how many accounts each has made.

use allod_atproto::Did;

use crate::{ConflictKey, Database, ReadError, Txn, sql};

/// What is kept of a number and the code that was sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// A keyed hash of the number.
    pub number_hash: [u8; 32],
    /// A keyed hash of the number and the code.
    pub code_hash: [u8; 32],
}

/// Tells whether the code was found right, and can still be used.
pub async fn is_approved(db: &dyn Database, shown: &Shown, now: i64) -> Result<bool, ReadError> {
    let rows = db.read(sql!(
        "SELECT 1 FROM phone_codes WHERE number_hash = $1 AND code_hash = $2 AND used_by IS NULL AND ends_at > $3",
        shown.number_hash.as_slice(),
        shown.code_hash.as_slice(),
        now
    ));
    Ok(!rows.await?.is_empty())
}

/// Tells whether the number has made `accounts_max` accounts or more.
pub async fn is_spent(db: &dyn Database, number_hash: &[u8; 32], accounts_max: u32) -> Result<bool, ReadError> {
    let rows = db.read(sql!(
        "SELECT 1 FROM phone_accounts WHERE number_hash = $1 LIMIT 1 OFFSET $2",
        number_hash.as_slice(),
        i64::from(accounts_max) - 1
    ));
    Ok(!rows.await?.is_empty())
}

/// Adds: the code was found right and can be used until `ends_at`. One that was used stays used.
pub fn approve(txn: &mut Txn, shown: &Shown, ends_at: i64) {
    txn.run(sql!(
        "INSERT INTO phone_codes (number_hash, code_hash, ends_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        shown.number_hash.as_slice(),
        shown.code_hash.as_slice(),
        ends_at
    ));
}

/// Adds: the code is used up for the DID's account, which counts for the number.
/// Conflicts: [`ConflictKey::PhoneCodeUsed`], [`ConflictKey::PhoneNumberSpent`].
pub fn use_up(txn: &mut Txn, shown: &Shown, did: &Did, accounts_max: u32, now: i64) {
    txn.expect(
        ConflictKey::PhoneCodeUsed,
        1,
        sql!(
            "UPDATE phone_codes SET used_by = $3 \
             WHERE number_hash = $1 AND code_hash = $2 AND used_by IS NULL AND ends_at > $4",
            shown.number_hash.as_slice(),
            shown.code_hash.as_slice(),
            did.as_str(),
            now
        ),
    );
    txn.absent(
        ConflictKey::PhoneNumberSpent,
        sql!(
            "SELECT 1 FROM phone_accounts WHERE number_hash = $1 LIMIT 1 OFFSET $2",
            shown.number_hash.as_slice(),
            i64::from(accounts_max) - 1
        ),
    );
    txn.run(sql!(
        "INSERT INTO phone_accounts (number_hash, did, since) VALUES ($1, $2, $3)",
        shown.number_hash.as_slice(),
        did.as_str(),
        now
    ));
}

/// Adds: there is no account, so the code can be used again and the number has made one less.
pub fn give_back(txn: &mut Txn, did: &Did) {
    txn.run(sql!("DELETE FROM phone_accounts WHERE did = $1", did.as_str()));
    txn.run(sql!("UPDATE phone_codes SET used_by = NULL WHERE used_by = $1", did.as_str()));
}

/// Adds: the account is gone. What its number has made stays counted, no longer for anybody in particular.
pub fn forget_account(txn: &mut Txn, did: &Did) {
    txn.run(sql!("UPDATE phone_accounts SET did = NULL WHERE did = $1", did.as_str()));
    txn.run(sql!("UPDATE phone_codes SET used_by = 'gone' WHERE used_by = $1", did.as_str()));
}

/// Tells whether there is a code to be forgotten.
pub async fn any_code_ended(db: &dyn Database, now: i64) -> Result<bool, ReadError> {
    let rows = db.read(sql!("SELECT 1 FROM phone_codes WHERE ends_at <= $1 LIMIT 1", now)).await?;
    Ok(!rows.is_empty())
}

/// Adds: codes whose time is over are forgotten, used or not.
pub fn forget_ended(txn: &mut Txn, now: i64) {
    txn.run(sql!("DELETE FROM phone_codes WHERE ends_at <= $1", now));
}
