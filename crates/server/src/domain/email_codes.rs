//! Codes that are mailed to prove who reads an account's mail: for one account and one purpose each, used once.
//!
//! A code has 50 random bits in the form `XXXXX-XXXXX` that clients check. Only its keyed hash is stored.

use std::sync::Arc;

use allod_atproto::Did;
use allod_base::{
    clock::{self, MICROS_PER_SEC},
    secret::Secret,
};
use allod_store::{
    CommitError, ConflictKey, ReadError, Txn,
    tables::email_codes::{self, EmailCode},
};
use subtle::ConstantTimeEq;

use super::{
    core::Core,
    keyed_hash::{HashUse, KeyedHash},
};

/// How long a code can be used, in seconds.
pub const CODE_SECS: u64 = 15 * 60;
/// How often a code may be tried.
pub const TRIES_MAX: i64 = 5;
/// How many codes are looked at that begin alike; there are two by chance alone.
const ALIKE_MAX: i64 = 4;

const CODE_CHARS: usize = 10;
const GROUP_CHARS: usize = 5;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What a code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To confirm the account's address.
    ConfirmEmail,
    /// To give the account another address.
    UpdateEmail,
    /// To choose a new password.
    ResetPassword,
    /// To delete the account.
    DeleteAccount,
    /// To have an operation of the account's did:plc signed.
    PlcOperation,
    /// To sign in, beside the password.
    SignIn,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::ConfirmEmail,
        Self::UpdateEmail,
        Self::ResetPassword,
        Self::DeleteAccount,
        Self::PlcOperation,
        Self::SignIn,
    ];

    /// The column's value.
    pub fn code(self) -> i64 {
        match self {
            Self::ConfirmEmail => 1,
            Self::UpdateEmail => 2,
            Self::ResetPassword => 3,
            Self::DeleteAccount => 4,
            Self::PlcOperation => 5,
            Self::SignIn => 6,
        }
    }
}

/// Why a code is not taken.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// It is none, was used, replaced, or tried too often.
    #[error("Token is invalid")]
    Invalid,
    /// It could be used until some time ago.
    #[error("Token is expired")]
    Expired,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The try could not be counted, or what the code permits could not be written.
    #[error(transparent)]
    Commit(CommitError),
}

impl From<CommitError> for CodeError {
    fn from(error: CommitError) -> Self {
        if matches!(error, CommitError::Conflict(ConflictKey::EmailCodeGone)) {
            Self::Invalid
        } else {
            Self::Commit(error)
        }
    }
}

/// The codes of one server.
#[derive(Clone)]
pub struct EmailCodes {
    core: Core,
    keyed_hash: Arc<KeyedHash>,
}

impl EmailCodes {
    /// Keeps codes in the store.
    pub fn new(core: Core, keyed_hash: Arc<KeyedHash>) -> Self {
        Self { core, keyed_hash }
    }

    /// Adds a new code for an account, in place of an earlier one for the same purpose.
    pub fn issue(&self, txn: &mut Txn, did: &Did, purpose: Purpose) -> Secret<String> {
        let random: [u8; CODE_CHARS] = self.core.random_bytes();
        let plain: String = random
            .iter()
            .filter_map(|byte| ALPHABET.get(usize::from(byte & 31)).map(|byte| char::from(*byte)))
            .collect();
        let now = self.core.newest_time.now_micros();
        let row = EmailCode {
            did: did.clone(),
            purpose: purpose.code(),
            code_hash: self.code_hash(did, purpose, &plain),
            place: self.place(purpose, &plain),
            issued_at: clock::to_store(now),
            expires_at: clock::to_store(now + CODE_SECS * MICROS_PER_SEC),
            tries_left: TRIES_MAX,
        };
        email_codes::issue(txn, &row);
        let (first, second) = plain.split_at(GROUP_CHARS);
        Secret::new(format!("{first}-{second}"))
    }

    /// Takes a code: adds to `txn` that it is used up, so that of many who show it one commits. The others' commits
    /// fail with a conflict that [`CodeError::from`] reads as [`CodeError::Invalid`].
    ///
    /// A try is counted before it is known whether the code is right, so that many at once are not more tries.
    pub async fn redeem(&self, txn: &mut Txn, did: &Did, purpose: Purpose, code: &str) -> Result<(), CodeError> {
        let row = email_codes::of_account(&*self.core.db, did, purpose.code()).await?;
        self.take(txn, row, purpose, &plain(code)).await.map(|_| ())
    }

    /// Takes a code that tells nobody's account but its own: found by its first half, held against the whole.
    pub async fn redeem_anywhere(&self, txn: &mut Txn, purpose: Purpose, code: &str) -> Result<Did, CodeError> {
        let plain = plain(code);
        let place = self.place(purpose, &plain);
        let mut outcome = Err(CodeError::Invalid);
        for row in email_codes::at_place(&*self.core.db, &place, purpose.code(), ALIKE_MAX).await? {
            match self.take(txn, Some(row), purpose, &plain).await {
                Err(CodeError::Invalid) => {}
                other => outcome = other,
            }
        }
        outcome
    }

    /// Adds: codes that expired before a time are deleted, if there are any.
    pub async fn forget_expired(&self, txn: &mut Txn, before: i64) -> Result<(), ReadError> {
        if email_codes::any_expired(&*self.core.db, before).await? {
            email_codes::forget_expired(txn, before);
        }
        Ok(())
    }

    async fn take(
        &self,
        txn: &mut Txn,
        row: Option<EmailCode>,
        purpose: Purpose,
        plain: &str,
    ) -> Result<Did, CodeError> {
        let row = row.filter(|row| row.tries_left > 0).ok_or(CodeError::Invalid)?;
        let mut counting = Txn::new();
        email_codes::count_try(&mut counting, &row);
        self.core.db.commit(counting).await?;
        if !bool::from(self.code_hash(&row.did, purpose, plain).ct_eq(&row.code_hash)) {
            return Err(CodeError::Invalid);
        }
        if row.expires_at <= clock::to_store(self.core.newest_time.now_micros()) {
            return Err(CodeError::Expired);
        }
        email_codes::use_up(txn, &row);
        Ok(row.did)
    }

    fn code_hash(&self, did: &Did, purpose: Purpose, plain: &str) -> Vec<u8> {
        let purpose = purpose.code().to_be_bytes();
        self.keyed_hash.hash(HashUse::EmailCode, &[did.as_str().as_bytes(), &purpose, plain.as_bytes()]).to_vec()
    }

    fn place(&self, purpose: Purpose, plain: &str) -> Vec<u8> {
        let half: String = plain.chars().take(GROUP_CHARS).collect();
        self.keyed_hash.hash(HashUse::EmailCodePlace, &[&purpose.code().to_be_bytes(), half.as_bytes()]).to_vec()
    }
}

/// What somebody typed, as it is hashed: upper case, without the dash and white space.
fn plain(code: &str) -> String {
    code.chars().filter(|c| !c.is_whitespace() && *c != '-').take(CODE_CHARS + 1).collect::<String>().to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_read_with_indulgence() {
        for typed in ["ABCDE-FGHIJ", " abcde-fghij\n", "abcdefghij", "AbCdE FgHiJ"] {
            assert_eq!(plain(typed), "ABCDEFGHIJ");
        }
        assert_ne!(plain("ABCDE-FGHIJK"), "ABCDEFGHIJ");
    }
}
