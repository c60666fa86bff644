//! Codes that are mailed to prove who reads an account's mail: for one account and one purpose each, used once.
//!
//! A code has 50 random bits in the form `XXXXX-XXXXX` that clients check. Only its keyed hash is stored.

use allod_atproto::Did;
use allod_base::{
    clock::{self, MICROS_PER_SEC},
    randomness,
    secret::Secret,
};
use allod_store::{
    CommitError, ConflictKey, ReadError, Txn,
    tables::{
        accounts::Account,
        email_codes::{self, EmailCode},
    },
};
use subtle::ConstantTimeEq;

use super::{
    keyed_hash::HashUse,
    mail::{self, Content, Letter},
};
use crate::app::App;

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

/// Why no code was mailed.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The account has no address.
    #[error("account does not have an email address")]
    NoAddress,
    /// There were too many of late. An earlier code is as good as before.
    #[error("Rate Limit Exceeded")]
    TooMany,
    /// The letter could not be posted.
    #[error(transparent)]
    Commit(CommitError),
}

/// Makes a code for an account and posts it to the account's address; an earlier one for the same purpose is void.
pub async fn send(app: &App, account: &Account, purpose: Purpose) -> Result<(), SendError> {
    let to = account.email.clone().ok_or(SendError::NoAddress)?;
    let mut txn = Txn::new();
    // Deleting an account takes a code, and signing in may.
    txn.use_some_disk_reserve();
    let code = issue(app, &mut txn, &account.did, purpose);
    let content = Content::Code { purpose, handle: account.handle.clone(), code };
    mail::post(app, &mut txn, Letter { to, account: Some(account.did.clone()), content });
    match app.db.commit(txn).await {
        Ok(_) => Ok(()),
        Err(CommitError::Conflict(ConflictKey::TooManyEmails)) => Err(SendError::TooMany),
        Err(error) => Err(SendError::Commit(error)),
    }
}

/// Adds a new code for an account, in place of an earlier one for the same purpose.
pub fn issue(app: &App, txn: &mut Txn, did: &Did, purpose: Purpose) -> Secret<String> {
    let random: [u8; CODE_CHARS] = randomness::bytes(&*app.randomness);
    let plain: String =
        random.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 31)).map(|byte| char::from(*byte))).collect();
    let now = app.newest_time.now_micros();
    let row = EmailCode {
        did: did.clone(),
        purpose: purpose.code(),
        code_hash: code_hash(app, did, purpose, &plain),
        place: place(app, purpose, &plain),
        issued_at: clock::to_store(now),
        expires_at: clock::to_store(now + CODE_SECS * MICROS_PER_SEC),
        tries_left: TRIES_MAX,
    };
    email_codes::issue(txn, &row);
    let (first, second) = plain.split_at(GROUP_CHARS);
    Secret::new(format!("{first}-{second}"))
}

/// Takes a code: adds to `txn` that it is used up, so that of many who show it one commits. The others' commits fail
/// with a conflict that [`CodeError::from`] reads as [`CodeError::Invalid`].
///
/// A try is counted before it is known whether the code is right, so that many at once are not more tries.
pub async fn redeem(app: &App, txn: &mut Txn, did: &Did, purpose: Purpose, code: &str) -> Result<(), CodeError> {
    let row = email_codes::of_account(&*app.db, did, purpose.code()).await?;
    take(app, txn, row, purpose, &plain(code)).await.map(|_| ())
}

/// Takes a code that tells nobody's account but its own: found by its first half, held against the whole.
pub async fn redeem_anywhere(app: &App, txn: &mut Txn, purpose: Purpose, code: &str) -> Result<Did, CodeError> {
    let plain = plain(code);
    let place = place(app, purpose, &plain);
    let mut outcome = Err(CodeError::Invalid);
    for row in email_codes::at_place(&*app.db, &place, purpose.code(), ALIKE_MAX).await? {
        match take(app, txn, Some(row), purpose, &plain).await {
            Err(CodeError::Invalid) => {}
            other => outcome = other,
        }
    }
    outcome
}

async fn take(
    app: &App,
    txn: &mut Txn,
    row: Option<EmailCode>,
    purpose: Purpose,
    plain: &str,
) -> Result<Did, CodeError> {
    let row = row.filter(|row| row.tries_left > 0).ok_or(CodeError::Invalid)?;
    let mut counting = Txn::new();
    email_codes::count_try(&mut counting, &row);
    app.db.commit(counting).await?;
    if !bool::from(code_hash(app, &row.did, purpose, plain).ct_eq(&row.code_hash)) {
        return Err(CodeError::Invalid);
    }
    if row.expires_at <= clock::to_store(app.newest_time.now_micros()) {
        return Err(CodeError::Expired);
    }
    email_codes::use_up(txn, &row);
    Ok(row.did)
}

/// What somebody typed, as it is hashed: upper case, without the dash and white space.
fn plain(code: &str) -> String {
    code.chars().filter(|c| !c.is_whitespace() && *c != '-').take(CODE_CHARS + 1).collect::<String>().to_uppercase()
}

fn code_hash(app: &App, did: &Did, purpose: Purpose, plain: &str) -> Vec<u8> {
    let purpose = purpose.code().to_be_bytes();
    app.keyed_hash.hash(HashUse::EmailCode, &[did.as_str().as_bytes(), &purpose, plain.as_bytes()]).to_vec()
}

fn place(app: &App, purpose: Purpose, plain: &str) -> Vec<u8> {
    let half: String = plain.chars().take(GROUP_CHARS).collect();
    app.keyed_hash.hash(HashUse::EmailCodePlace, &[&purpose.code().to_be_bytes(), half.as_bytes()]).to_vec()
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
