//! Sign-ins: a family of refresh tokens, each replaced by the next, and the short-lived access tokens beside them.

mod token;

use std::sync::Arc;

use allod_atproto::Did;
use allod_store::{
    CommitError, ReadError, Txn,
    tables::{
        accounts::{self, Account},
        sessions::{self, SessionToken},
    },
};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

pub use token::{Claims, SessionKeys, TOKEN_BYTES_MAX, TokenError, TokenKind};

use super::{
    clock::{self, MICROS_PER_SEC},
    passwords::{HashError, VERIFIED_PASSWORD_CHARS_MAX},
    randomness,
    secret::Secret,
};
use crate::app::App;

/// How long an access token lasts, in seconds.
pub const ACCESS_TOKEN_SECS: u64 = 120 * 60;
/// How long a refresh token lasts, in seconds.
pub const REFRESH_TOKEN_SECS: u64 = 90 * 24 * 60 * 60;
/// How long a replaced refresh token still gives its successor, in seconds.
pub const REFRESH_GRACE_SECS: u64 = 2 * 60 * 60;

/// How often a rotation that lost a race is tried again; the second try finds the winner's row.
const ROTATE_TRIES_MAX: usize = 3;

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
    /// The account was taken down.
    #[error("Account has been taken down")]
    TakenDown,
    /// Too many passwords are waiting to be checked.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The session could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
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

/// Adds a new sign-in to a transaction and gives its tokens, to be shown once it is durable.
pub fn open(app: &App, txn: &mut Txn, did: &Did) -> TokenPair {
    let family = BASE64URL_NOPAD.encode(&randomness::bytes::<16>(&*app.randomness));
    let identifier = BASE64URL_NOPAD.encode(&randomness::bytes::<32>(&*app.randomness));
    let now = app.clock.now_micros();
    let row = token_row(&identifier, &family, did, now);
    sessions::insert(txn, &row);
    pair(app, did, &family, &identifier, now, row.expires_at)
}

/// Signs in by handle, DID or e-mail address and password.
///
/// Takes the same time whether or not the account exists.
pub async fn sign_in(
    app: &App,
    identifier: &str,
    password: Secret<String>,
) -> Result<(Account, TokenPair), SignInError> {
    if password.expose().chars().count() > VERIFIED_PASSWORD_CHARS_MAX {
        return Err(SignInError::PasswordTooLong);
    }
    let account = super::accounts::find(app, identifier).await?;
    let hash = account.as_ref().and_then(|account| account.password_hash.as_deref());
    let right = app.passwords.verify(password, hash).await?;
    let account = account.filter(|_| right).ok_or(SignInError::Credentials)?;
    if account.takedown_ref.is_some() {
        return Err(SignInError::TakenDown);
    }
    let mut txn = Txn::new();
    let tokens = open(app, &mut txn, &account.did);
    sessions::forget_expired(&mut txn, &account.did, clock::to_store(app.clock.now_micros()));
    app.db.commit(txn).await?;
    Ok((account, tokens))
}

/// Tells whom an access token speaks for; a token of an ended sign-in speaks for nobody.
pub async fn authenticate(app: &App, access_token: &str) -> Result<Session, SessionError> {
    let now = app.clock.now_micros();
    let audience = app.config.service.did.as_str();
    let claims = app.session_keys.read(TokenKind::Access, access_token, audience, now / MICROS_PER_SEC)?;
    let family = claims.sid.ok_or(TokenError::Invalid)?;
    if !app.remembered.is_alive(&*app.db, &claims.sub, &family, clock::to_store(now)).await? {
        return Err(SessionError::Revoked);
    }
    let account = app.remembered.account(&*app.db, &claims.sub).await?;
    let account = account.ok_or(SessionError::AccountGone(claims.sub))?;
    Ok(Session { account, family })
}

/// Exchanges a refresh token for the next pair.
///
/// Used again within [`REFRESH_GRACE_SECS`] it gives the same successor, however many ask at once.
pub async fn refresh(app: &App, refresh_token: &str) -> Result<(Account, TokenPair), SessionError> {
    let now = app.clock.now_micros();
    let audience = app.config.service.did.as_str();
    let claims = app.session_keys.read(TokenKind::Refresh, refresh_token, audience, now / MICROS_PER_SEC)?;
    let identifier = claims.jti.ok_or(TokenError::Invalid)?;
    let account = accounts::by_did(&*app.db, &claims.sub).await?;
    let account = account.ok_or_else(|| SessionError::AccountGone(claims.sub.clone()))?;
    if account.takedown_ref.is_some() {
        return Err(SessionError::TakenDown);
    }
    let next_identifier = app.session_keys.next_identifier(&identifier);
    let next_hash = hash(&next_identifier);
    for _ in 0..ROTATE_TRIES_MAX {
        let current = sessions::by_hash(&*app.db, &hash(&identifier)).await?.ok_or(SessionError::Revoked)?;
        if current.expires_at <= clock::to_store(now) || current.did != claims.sub {
            return Err(SessionError::Revoked);
        }
        if current.next_hash.is_some() {
            let next = sessions::by_hash(&*app.db, &next_hash).await?.ok_or(SessionError::Revoked)?;
            let tokens = pair(app, &claims.sub, &next.family, &next_identifier, now, next.expires_at);
            return Ok((account, tokens));
        }
        let next = token_row(&next_identifier, &current.family, &claims.sub, now);
        let mut txn = Txn::new();
        let grace_until = clock::to_store(now + REFRESH_GRACE_SECS * MICROS_PER_SEC);
        sessions::rotate(&mut txn, &current.token_hash, &next.token_hash, grace_until);
        sessions::insert(&mut txn, &next);
        sessions::forget_expired(&mut txn, &claims.sub, clock::to_store(now));
        match app.db.commit(txn).await {
            Ok(_) => {
                let tokens = pair(app, &claims.sub, &next.family, &next_identifier, now, next.expires_at);
                return Ok((account, tokens));
            }
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(SessionError::Revoked)
}

/// Ends the sign-in a refresh token belongs to. An ended or expired one is ended already.
pub async fn end(app: &App, refresh_token: &str) -> Result<(), SessionError> {
    let audience = app.config.service.did.as_str();
    let claims = app.session_keys.read_expired_too(TokenKind::Refresh, refresh_token, audience)?;
    let identifier = claims.jti.ok_or(TokenError::Invalid)?;
    if let Some(row) = sessions::by_hash(&*app.db, &hash(&identifier)).await? {
        let mut txn = Txn::new();
        sessions::revoke_family(&mut txn, &row.family);
        app.db.commit(txn).await?;
    }
    Ok(())
}

fn hash(identifier: &str) -> Vec<u8> {
    Sha256::digest(identifier.as_bytes()).to_vec()
}

fn token_row(identifier: &str, family: &str, did: &Did, now_micros: u64) -> SessionToken {
    SessionToken {
        token_hash: hash(identifier),
        family: family.to_owned(),
        did: did.clone(),
        created_at: clock::to_store(now_micros),
        expires_at: clock::to_store(now_micros + REFRESH_TOKEN_SECS * MICROS_PER_SEC),
        next_hash: None,
    }
}

fn pair(app: &App, did: &Did, family: &str, identifier: &str, now_micros: u64, refresh_ends: i64) -> TokenPair {
    let iat = now_micros / MICROS_PER_SEC;
    let claims = |kind, exp| Claims {
        scope: SessionKeys::scope(kind),
        aud: app.config.service.did.to_string(),
        sub: did.clone(),
        iat,
        exp,
        sid: None,
        jti: None,
    };
    let access = Claims { sid: Some(family.to_owned()), ..claims(TokenKind::Access, iat + ACCESS_TOKEN_SECS) };
    let refresh = Claims {
        jti: Some(identifier.to_owned()),
        ..claims(TokenKind::Refresh, clock::from_store(refresh_ends) / MICROS_PER_SEC)
    };
    TokenPair {
        access: app.session_keys.sign(TokenKind::Access, &access),
        refresh: app.session_keys.sign(TokenKind::Refresh, &refresh),
    }
}
