//! The one place where sessions begin and go on: [`open`] checks everything that stands in the way of a new one,
//! [`refresh`] of one that exists. No other module can sign a token.

mod token;

use std::net::IpAddr;

use allod_atproto::Did;
use allod_base::{
    clock::{self, MICROS_PER_SEC},
    randomness,
};
use allod_store::{
    CommitError, ReadError, Txn,
    tables::{
        accounts::{self, Account},
        app_passwords::{self as app_password_rows, AppPassword},
        sessions::{self, Scope, SessionToken},
        sign_ups,
    },
};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

pub use token::{Claims, SessionKeys, TOKEN_BYTES_MAX, TokenError, TokenKind};

use super::{
    ACCESS_TOKEN_SECS, REFRESH_GRACE_SECS, REFRESH_TOKEN_SECS, SessionError, TokenPair, app_passwords, notice,
};
use crate::{
    app::App,
    domain::{
        email_codes::{CodeError, Purpose},
        mail::SendCodeError,
    },
};

/// How often a rotation that lost a race is tried again; the second try finds the winner's row.
const ROTATE_TRIES_MAX: usize = 3;

/// What the client that asks for a session has proved.
#[derive(Clone, Copy)]
pub(in crate::domain) enum Proof<'a> {
    /// The request that creates the account, in the same transaction after this.
    SignUp {
        /// Whether the account waits in the sign-up queue.
        waits: bool,
    },
    /// The request that created the account was sent again, with its password. It has no field for a mailed code.
    SignUpAgain,
    /// The account's password.
    Password {
        /// The mailed code, if one was sent along.
        code: Option<&'a str>,
        /// Whether a session is wanted for an account that was taken down too.
        allow_taken_down: bool,
    },
    /// An app password.
    AppPassword(&'a AppPassword),
}

/// Why no session was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The account was taken down.
    #[error("Account has been taken down")]
    TakenDown,
    /// The proof suffices only together with a mailed code.
    #[error("A sign in code has been sent to your email address")]
    AuthFactorRequired,
    /// The code is not valid, or the session could not be written.
    #[error(transparent)]
    AuthFactor(#[from] CodeError),
    /// No code could be mailed.
    #[error(transparent)]
    AuthFactorSend(#[from] SendCodeError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Adds a new session of `account` to a transaction and gives its tokens, to be shown once it is durable.
///
/// Conflicts of the transaction: [`accounts::ACCOUNT_CHANGED`] when the account's credentials or status changed
/// meanwhile, [`accounts::ACCOUNT_EXISTS`] when an account that was to be created exists,
/// [`app_password_rows::APP_PASSWORD_GONE`], [`allod_store::tables::email_codes::CODE_GONE`].
pub(in crate::domain) async fn open(
    app: &App,
    txn: &mut Txn,
    account: &Account,
    proof: Proof<'_>,
    address: Option<IpAddr>,
) -> Result<TokenPair, OpenError> {
    let scope = new_scope(app, account, proof).await?;
    check_auth_factor(app, txn, account, proof).await?;
    let now = app.newest_time.now_micros();
    let app_password = match proof {
        Proof::AppPassword(found) => Some(found.name.clone()),
        Proof::SignUp { .. } | Proof::SignUpAgain | Proof::Password { .. } => None,
    };
    notice::note(app, txn, account, address, app_password.as_deref()).await?;
    if let Some(name) = &app_password {
        app_password_rows::assert_there(txn, &account.did, name);
    }
    if matches!(proof, Proof::SignUp { .. }) {
        // A sign-up skips checks. That is safe only if the account does not exist yet.
        accounts::assert_absent(txn, &account.did);
    } else {
        // The credentials may have changed, or the account been taken down, while the password was compared.
        accounts::assert_same_credentials(txn, account);
        // Whoever signs in needs no answer to createAccount any more.
        sign_ups::forget(txn, &account.did);
        sessions::forget_expired(txn, &account.did, clock::to_store(now));
        txn.use_some_disk_reserve();
    }
    let identifier = BASE64URL_NOPAD.encode(&randomness::bytes::<32>(&*app.randomness));
    let row = SessionToken {
        token_hash: hash(&identifier),
        family: BASE64URL_NOPAD.encode(&randomness::bytes::<16>(&*app.randomness)),
        did: account.did.clone(),
        created_at: clock::to_store(now),
        expires_at: clock::to_store(now + REFRESH_TOKEN_SECS * MICROS_PER_SEC),
        next_hash: None,
        scope,
        app_password,
    };
    sessions::insert(txn, &row);
    Ok(pair(app, &row, &identifier, now))
}

/// What the new session allows.
async fn new_scope(app: &App, account: &Account, proof: Proof<'_>) -> Result<Scope, OpenError> {
    if let Proof::SignUp { waits } = proof {
        return Ok(if waits { Scope::Queued } else { Scope::Full });
    }
    if account.takedown_ref.is_some() {
        let is_allowed = matches!(proof, Proof::Password { allow_taken_down: true, .. });
        return if is_allowed { Ok(Scope::TakenDown) } else { Err(OpenError::TakenDown) };
    }
    if app.accounts.waits(account).await? {
        return Ok(Scope::Queued);
    }
    Ok(match proof {
        Proof::AppPassword(found) => app_passwords::scope(found),
        Proof::SignUp { .. } | Proof::SignUpAgain | Proof::Password { .. } => Scope::Full,
    })
}

/// Uses up the mailed code where the account asks for one; without one it is mailed.
async fn check_auth_factor(app: &App, txn: &mut Txn, account: &Account, proof: Proof<'_>) -> Result<(), OpenError> {
    if !account.email_auth_factor || account.email.is_none() {
        return Ok(());
    }
    let code = match proof {
        Proof::SignUpAgain => return Err(OpenError::AuthFactorRequired),
        Proof::Password { code, .. } => code.map(str::trim).filter(|code| !code.is_empty()),
        // A new account has no second factor; an app password is made by a session that passed it.
        Proof::SignUp { .. } | Proof::AppPassword(_) => return Ok(()),
    };
    if let Some(code) = code {
        app.email_codes.redeem(txn, &account.did, Purpose::SignIn, code).await?;
        return Ok(());
    }
    app.mail.send_code(account, Purpose::SignIn).await?;
    Err(OpenError::AuthFactorRequired)
}

/// Exchanges a refresh token for the next pair.
///
/// Used again within [`REFRESH_GRACE_SECS`] it gives the same successor, however many ask at once.
pub async fn refresh(app: &App, refresh_token: &str) -> Result<(Account, TokenPair), SessionError> {
    let now = app.newest_time.now_micros();
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
        txn.use_some_disk_reserve();
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

/// What a session allows now: one from the time when its account waited allows everything once it was admitted.
async fn scope_now(app: &App, account: &Account, scope: Scope) -> Result<Scope, ReadError> {
    let is_admitted = scope == Scope::Queued && !app.accounts.waits(account).await?;
    Ok(if is_admitted { Scope::Full } else { scope })
}

/// Ends the session of a token that was replaced longer ago than [`REFRESH_GRACE_SECS`]: either who shows it or who
/// replaced it has stolen it, and nobody can tell which.
async fn end_if_replayed(app: &App, family: Option<&str>, did: &Did) -> Result<(), SessionError> {
    let Some(family) = family else { return Ok(()) };
    if !sessions::is_alive(&*app.db, did, family, clock::to_store(app.newest_time.now_micros())).await? {
        return Ok(());
    }
    tracing::warn!(%did, "a refresh token that was replaced long ago was shown again: its session is ended");
    let mut txn = Txn::new();
    sessions::revoke_family(&mut txn, family);
    app.db.commit(txn).await?;
    Ok(())
}

/// The stored form of a refresh token's identifier.
pub(super) fn hash(identifier: &str) -> Vec<u8> {
    Sha256::digest(identifier.as_bytes()).to_vec()
}

/// The tokens of a session: `row` is its newest refresh token, known by `identifier`.
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
