//! Sign-ins: a family of refresh tokens, each replaced by the next, and the short-lived access tokens beside them.

pub mod app_passwords;
pub mod notice;
mod token;

use std::{net::IpAddr, sync::Arc};

use allod_atproto::Did;
use allod_store::{
    CommitError, ReadError, Txn,
    tables::{
        accounts::{self, ACCOUNT_CHANGED, Account},
        app_passwords::{self as app_password_rows, APP_PASSWORD_GONE},
        sessions::{self, SessionToken},
    },
};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

pub use allod_store::tables::sessions::Scope;
pub use token::{Claims, SessionKeys, TOKEN_BYTES_MAX, TokenError, TokenKind};

use super::{
    clock::{self, MICROS_PER_SEC},
    email_codes::{self, CodeError, Purpose, SendError},
    passwords::{HashError, VERIFIED_PASSWORD_CHARS_MAX},
    randomness,
    secret::Secret,
    sign_up::queue,
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
    /// The account was taken down.
    #[error("Account has been taken down")]
    TakenDown,
    /// The password is right, and a code is needed too, which was mailed.
    #[error("A sign in code has been sent to your email address")]
    AuthFactorRequired,
    /// The code is not good, or the session could not be written.
    #[error(transparent)]
    AuthFactor(#[from] CodeError),
    /// No code could be mailed.
    #[error(transparent)]
    AuthFactorSend(#[from] SendError),
    /// Too many passwords are waiting to be checked.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
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
    open_with(app, txn, did, Scope::Full, None)
}

/// Adds a new sign-in of an account that waits to be let in, which opens nothing but the way to ask for how long.
pub fn open_waiting(app: &App, txn: &mut Txn, did: &Did) -> TokenPair {
    open_with(app, txn, did, Scope::Queued, None)
}

fn open_with(app: &App, txn: &mut Txn, did: &Did, scope: Scope, app_password: Option<String>) -> TokenPair {
    let family = BASE64URL_NOPAD.encode(&randomness::bytes::<16>(&*app.randomness));
    let identifier = BASE64URL_NOPAD.encode(&randomness::bytes::<32>(&*app.randomness));
    let now = app.clock.now_micros();
    let row = SessionToken {
        token_hash: hash(&identifier),
        family,
        did: did.clone(),
        created_at: clock::to_store(now),
        expires_at: clock::to_store(now + REFRESH_TOKEN_SECS * MICROS_PER_SEC),
        next_hash: None,
        scope,
        app_password,
    };
    sessions::insert(txn, &row);
    pair(app, &row, &identifier, now)
}

/// Signs in by handle, DID or e-mail address and password.
///
/// Takes the same time whether or not the account exists: one hash, whatever the number of its app passwords.
pub async fn sign_in(app: &App, request: SignIn) -> Result<(Account, TokenPair), SignInError> {
    let SignIn { identifier, password, auth_factor_code, allow_taken_down, address } = request;
    if password.expose().chars().count() > VERIFIED_PASSWORD_CHARS_MAX {
        return Err(SignInError::PasswordTooLong);
    }
    let account = super::accounts::find(app, &identifier).await?;
    let app_password = match &account {
        Some(account) => app_passwords::find(app, &account.did, &password).await?,
        None => None,
    };
    let mut txn = Txn::new();
    let (account, tokens) = match (account, app_password) {
        (Some(account), Some(found)) => {
            if account.takedown_ref.is_some() {
                return Err(SignInError::TakenDown);
            }
            app_password_rows::assert_there(&mut txn, &account.did, &found.name);
            let scope = app_passwords::scope(&found);
            notice::note(app, &mut txn, &account, address, Some(&found.name)).await?;
            let tokens = open_with(app, &mut txn, &account.did, scope, Some(found.name));
            (account, tokens)
        }
        (account, _) => {
            let hash = account.as_ref().and_then(|account| account.password_hash.as_deref());
            let right = app.passwords.verify(password, hash).await?;
            let account = account.filter(|_| right).ok_or(SignInError::Credentials)?;
            let scope = match account.takedown_ref {
                None if queue::waits(app, &account).await? => Scope::Queued,
                None => Scope::Full,
                Some(_) if allow_taken_down => Scope::TakenDown,
                Some(_) => return Err(SignInError::TakenDown),
            };
            check_auth_factor(app, &mut txn, &account, auth_factor_code.as_deref()).await?;
            notice::note(app, &mut txn, &account, address, None).await?;
            let tokens = open_with(app, &mut txn, &account.did, scope, None);
            (account, tokens)
        }
    };
    // A password that was changed, or an account taken down, while this one was compared ends no session made after.
    accounts::assert_same_credentials(&mut txn, &account);
    sessions::forget_expired(&mut txn, &account.did, clock::to_store(app.clock.now_micros()));
    match app.db.commit(txn).await {
        Ok(_) => Ok((account, tokens)),
        Err(CommitError::Conflict { which: ACCOUNT_CHANGED | APP_PASSWORD_GONE }) => Err(SignInError::Credentials),
        Err(error) => Err(CodeError::from(error).into()),
    }
}

/// Uses up the code that was mailed, where the account asks for one; without one it is mailed.
async fn check_auth_factor(app: &App, txn: &mut Txn, account: &Account, code: Option<&str>) -> Result<(), SignInError> {
    if !account.email_auth_factor || account.email.is_none() {
        return Ok(());
    }
    if let Some(code) = code.map(str::trim).filter(|code| !code.is_empty()) {
        email_codes::redeem(app, txn, &account.did, Purpose::SignIn, code).await?;
        return Ok(());
    }
    email_codes::send(app, account, Purpose::SignIn).await?;
    Err(SignInError::AuthFactorRequired)
}

/// Tells whom an access token speaks for; a token of an ended sign-in speaks for nobody, and of those of an account that
/// was taken down only such as were made for that.
pub async fn authenticate(app: &App, access_token: &str) -> Result<Session, SessionError> {
    let now = app.clock.now_micros();
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
        let Some(current) = sessions::by_hash(&*app.db, &hash(&identifier)).await? else {
            end_if_replayed(app, claims.sid.as_deref(), &claims.sub).await?;
            return Err(SessionError::Revoked);
        };
        if current.did != claims.sub {
            return Err(SessionError::Revoked);
        }
        let scope = scope_now(app, &account, current.scope).await?;
        if current.expires_at <= clock::to_store(now) {
            if current.next_hash.is_some() {
                end_if_replayed(app, Some(&current.family), &claims.sub).await?;
            }
            return Err(SessionError::Revoked);
        }
        if current.next_hash.is_some() {
            let next = sessions::by_hash(&*app.db, &next_hash).await?.ok_or(SessionError::Revoked)?;
            let tokens = pair(app, &SessionToken { scope, ..next }, &next_identifier, now);
            return Ok((account, tokens));
        }
        let next = SessionToken {
            token_hash: next_hash.clone(),
            created_at: clock::to_store(now),
            expires_at: clock::to_store(now + REFRESH_TOKEN_SECS * MICROS_PER_SEC),
            next_hash: None,
            scope,
            ..current.clone()
        };
        let mut txn = Txn::new();
        let grace_until = clock::to_store(now + REFRESH_GRACE_SECS * MICROS_PER_SEC);
        sessions::rotate(&mut txn, &current.token_hash, &next.token_hash, grace_until);
        sessions::insert(&mut txn, &next);
        sessions::forget_expired(&mut txn, &claims.sub, clock::to_store(now));
        match app.db.commit(txn).await {
            Ok(_) => return Ok((account, pair(app, &next, &next_identifier, now))),
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(SessionError::Revoked)
}

/// What a sign-in allows now: one from the time when its account waited allows everything once it was let in.
async fn scope_now(app: &App, account: &Account, scope: Scope) -> Result<Scope, ReadError> {
    let is_let_in = scope == Scope::Queued && !queue::waits(app, account).await?;
    Ok(if is_let_in { Scope::Full } else { scope })
}

/// A token that was replaced longer ago than [`REFRESH_GRACE_SECS`] is shown by somebody who has no business with it, or
/// was by whoever replaced it: nobody can tell which, so the sign-in ends for both.
async fn end_if_replayed(app: &App, family: Option<&str>, did: &Did) -> Result<(), SessionError> {
    let Some(family) = family else { return Ok(()) };
    if !sessions::is_alive(&*app.db, did, family, clock::to_store(app.clock.now_micros())).await? {
        return Ok(());
    }
    tracing::warn!(%did, "a refresh token that was replaced long ago was shown again: its sign-in is ended");
    let mut txn = Txn::new();
    sessions::revoke_family(&mut txn, family);
    app.db.commit(txn).await?;
    Ok(())
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

/// The tokens of a sign-in: `row` is its newest refresh token, known by `identifier`.
fn pair(app: &App, row: &SessionToken, identifier: &str, now_micros: u64) -> TokenPair {
    let iat = now_micros / MICROS_PER_SEC;
    let claims = |scope, exp, jti| Claims {
        scope,
        aud: app.config.service.did.to_string(),
        sub: row.did.clone(),
        iat,
        exp,
        sid: Some(row.family.clone()),
        jti,
    };
    let access = claims(SessionKeys::access_scope(row.scope), iat + ACCESS_TOKEN_SECS, None);
    let refresh_ends = clock::from_store(row.expires_at) / MICROS_PER_SEC;
    let refresh = claims(SessionKeys::refresh_scope(), refresh_ends, Some(identifier.to_owned()));
    TokenPair {
        access: app.session_keys.sign(TokenKind::Access, &access),
        refresh: app.session_keys.sign(TokenKind::Refresh, &refresh),
    }
}
