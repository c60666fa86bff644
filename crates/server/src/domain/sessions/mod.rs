//! Sign-ins: a family of refresh tokens, each replaced by the next, and the short-lived access tokens beside them.

pub mod app_passwords;
mod issue;
pub mod notice;

use std::{net::IpAddr, sync::Arc};

use allod_atproto::Did;
use allod_base::{
    clock::{self, MICROS_PER_SEC},
    secret::Secret,
};
use allod_store::{
    CommitError, ConflictKey, ReadError, Txn,
    tables::{accounts::Account, sessions},
};

pub use allod_store::tables::sessions::Scope;
pub use issue::{Claims, OpenError, SessionKeys, TOKEN_BYTES_MAX, TokenError, TokenKind, refresh};
pub(in crate::domain) use issue::{Proof, open};

use super::{
    email_codes::CodeError,
    passwords::{HashError, Requester, VERIFIED_PASSWORD_CHARS_MAX},
};
use crate::app::App;

/// How long an access token lasts, in seconds.
pub const ACCESS_TOKEN_SECS: u64 = 120 * 60;
/// How long a refresh token lasts, in seconds.
pub const REFRESH_TOKEN_SECS: u64 = 90 * 24 * 60 * 60;
/// How long a replaced refresh token still gives its successor, in seconds.
pub const REFRESH_GRACE_SECS: u64 = 2 * 60 * 60;

/// The two tokens of a sign-in.
#[derive(Clone)]
pub struct TokenPair {
    /// Sent with every request.
    pub access: String,
    /// Exchanged for the next pair.
    pub refresh: String,
}

/// Who a valid access token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The account.
    pub account: Arc<Account>,
    /// The sign-in.
    pub family: String,
    /// What it allows.
    pub scope: Scope,
}

/// What somebody shows to sign in.
pub struct SignIn {
    /// A handle, a DID or an e-mail address, as typed.
    pub identifier: String,
    /// The account's password or an app password.
    pub password: Secret<String>,
    /// The code that was mailed, where the account asks for one.
    pub auth_factor_code: Option<String>,
    /// Whether the owner of an account that was taken down wants in, for what is left to do there.
    pub allow_taken_down: bool,
    /// The caller's address.
    pub address: Option<IpAddr>,
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No such account, or not its password.
    #[error("Invalid identifier or password")]
    Credentials,
    /// The password is longer than any that could be stored.
    #[error("Password too long. Consider resetting your password.")]
    PasswordTooLong,
    /// The password is right, and the account or its second factor stands in the way.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Too many passwords are waiting to be checked.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl SignInError {
    /// Whether the client sent a wrong password or code.
    pub fn is_failed_attempt(&self) -> bool {
        match self {
            Self::Credentials | Self::PasswordTooLong => true,
            Self::Open(error) => matches!(error, OpenError::AuthFactor(CodeError::Invalid | CodeError::Expired)),
            Self::Hash(_) | Self::Read(_) => false,
        }
    }
}

/// Why a token does not open anything.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The token itself is not good.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The sign-in was ended, or the refresh token used and its grace is over.
    #[error("Token has been revoked")]
    Revoked,
    /// The account is gone.
    #[error("Could not find user info for account: {0}")]
    AccountGone(Did),
    /// The account was taken down.
    #[error("Account has been taken down")]
    TakenDown,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The session could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Signs in by handle, DID or e-mail address and password.
///
/// Takes the same time whether or not the account exists: one hash, whatever the number of its app passwords.
pub async fn sign_in(app: &App, request: SignIn) -> Result<(Account, TokenPair), SignInError> {
    let SignIn { identifier, password, auth_factor_code, allow_taken_down, address } = request;
    if password.expose().chars().count() > VERIFIED_PASSWORD_CHARS_MAX {
        return Err(SignInError::PasswordTooLong);
    }
    let account = app.accounts.find(&identifier).await?;
    let app_password = match &account {
        Some(account) => app_passwords::find(app, &account.did, &password).await?,
        None => None,
    };
    let identifier = identifier.trim().to_lowercase();
    let by = Requester { address, account: &identifier };
    let account = match (account, &app_password) {
        (Some(account), Some(_)) => account,
        (account, _) => {
            let hash = account.as_ref().and_then(|account| account.password_hash.as_deref());
            let right = app.passwords.verify(by, password, hash).await?;
            account.filter(|_| right).ok_or(SignInError::Credentials)?
        }
    };
    let proof = match &app_password {
        Some(found) => Proof::AppPassword(found),
        None => Proof::Password { code: auth_factor_code.as_deref(), allow_taken_down },
    };
    let mut txn = Txn::new();
    let tokens = open(app, &mut txn, &account, proof, address).await?;
    match app.db.commit(txn).await {
        Ok(_) => Ok((account, tokens)),
        Err(CommitError::Conflict(ConflictKey::AccountChanged | ConflictKey::AppPasswordGone)) => {
            Err(SignInError::Credentials)
        }
        Err(error) => Err(OpenError::AuthFactor(error.into()).into()),
    }
}

/// Tells whom an access token speaks for; a token of an ended sign-in speaks for nobody, and of those of an account
/// that was taken down only such as were made for that.
pub async fn authenticate(app: &App, access_token: &str) -> Result<Session, SessionError> {
    let now = app.newest_time.now_micros();
    let audience = app.config.service.did.as_str();
    let claims = app.session_keys.read(TokenKind::Access, access_token, audience, now / MICROS_PER_SEC)?;
    let scope = claims.access_scope().ok_or(TokenError::Scope)?;
    let family = claims.sid.ok_or(TokenError::Invalid)?;
    let account = app.remembered.account(&*app.db, &claims.sub).await?;
    let is_taken_down = account.as_ref().is_some_and(|account| account.takedown_ref.is_some());
    if is_taken_down && scope != Scope::TakenDown {
        return Err(SessionError::TakenDown);
    }
    let Some(account) = account else { return Err(SessionError::AccountGone(claims.sub)) };
    if !app.remembered.is_alive(&*app.db, &claims.sub, &family, clock::to_store(now)).await? {
        return Err(SessionError::Revoked);
    }
    Ok(Session { account, family, scope })
}

/// Ends the sign-in a refresh token belongs to. An ended or expired one is ended already.
pub async fn end(app: &App, refresh_token: &str) -> Result<(), SessionError> {
    let audience = app.config.service.did.as_str();
    let claims = app.session_keys.read_expired_too(TokenKind::Refresh, refresh_token, audience)?;
    let identifier = claims.jti.ok_or(TokenError::Invalid)?;
    if let Some(row) = sessions::by_hash(&*app.db, &issue::hash(&identifier)).await? {
        let mut txn = Txn::new();
        sessions::revoke_family(&mut txn, &row.family);
        app.db.commit(txn).await?;
    }
    Ok(())
}
