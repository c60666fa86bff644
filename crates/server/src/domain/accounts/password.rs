//! Another password for an account, by a mailed code or by the operator.

use std::net::IpAddr;

use allod_atproto::Did;
use allod_base::{randomness, secret::Secret};
use allod_store::{CommitError, ConflictKey, ReadError, Txn, tables::accounts};

use crate::{
    app::App,
    domain::{
        email_codes::{CodeError, Purpose},
        emails::ADDRESS_BYTES_MAX,
        mail::{Content, Letter},
        passwords::{HashError, Requester},
    },
};

/// Why the password is the old one.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// It is too short or too long.
    #[error("Invalid password length.")]
    Length,
    /// There is no such account.
    #[error("account not found")]
    NotFound,
    /// The mailbox got enough of the kind lately.
    #[error("Rate Limit Exceeded")]
    TooManyLetters,
    /// The code is not good.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// Too many passwords are waiting to be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<CommitError> for PasswordError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(ConflictKey::AccountChanged) => Self::NotFound,
            CommitError::Conflict(ConflictKey::TooManyEmails) => Self::TooManyLetters,
            error @ (CommitError::Conflict(_)
            | CommitError::Unavailable { .. }
            | CommitError::Unknown { .. }
            | CommitError::Refused { .. }) => CodeError::from(error).into(),
        }
    }
}

/// Mails a code to an address, if an account has it. Nobody can tell by the answer or by the time it takes.
pub async fn request_reset(app: &App, email: &str) -> Result<(), PasswordError> {
    // What is no address has no account; it is not kept until somebody looks.
    let is_address = (3..=ADDRESS_BYTES_MAX).contains(&email.trim().len());
    let mut txn = Txn::new();
    app.mail.post_reset_request(&mut txn, if is_address { email } else { "" });
    app.db.commit(txn).await?;
    Ok(())
}

/// Sets another password by a mailed code, for a client at `address`. Every sign-in of the account ends, app passwords'
/// too.
pub async fn reset(app: &App, code: &str, password: Secret<String>, address: IpAddr) -> Result<(), PasswordError> {
    check_length(app, &password)?;
    let mut txn = Txn::new();
    let did = app.email_codes.redeem_anywhere(&mut txn, Purpose::ResetPassword, code).await?;
    set(app, &did, password, Some(address), txn).await
}

/// Sets another password by the operator's word, together with what `txn` adds. Every sign-in of the account ends, app
/// passwords' too.
pub async fn set_by_operator(app: &App, did: &Did, password: Secret<String>, txn: Txn) -> Result<(), PasswordError> {
    check_length(app, &password)?;
    set(app, did, password, None, txn).await
}

fn check_length(app: &App, password: &Secret<String>) -> Result<(), PasswordError> {
    let config = &app.config.sign_up;
    let chars = password.expose().chars().count();
    let fits = (config.password_chars_min..=config.password_chars_max).contains(&chars);
    if fits { Ok(()) } else { Err(PasswordError::Length) }
}

async fn set(
    app: &App,
    did: &Did,
    password: Secret<String>,
    address: Option<IpAddr>,
    mut txn: Txn,
) -> Result<(), PasswordError> {
    let account = accounts::by_did(&*app.db, did).await?.ok_or(PasswordError::NotFound)?;
    let hash = app
        .passwords
        .hash(Requester { address, account: did.as_str() }, password, randomness::bytes(&*app.randomness))
        .await?;
    accounts::set_password(&mut txn, did, &hash);
    if let Some(to) = account.email {
        let content = Content::PasswordChanged { handle: account.handle.clone() };
        app.mail.post(&mut txn, Letter { to, account: Some(did.clone()), content });
    }
    app.db.commit(txn).await?;
    Ok(())
}
