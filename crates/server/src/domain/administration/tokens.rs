//! Named tokens that open the administration methods, so that each person and script has its own and loses it alone.

use allod_base::{
    clock::{self, MICROS_PER_SEC},
    randomness,
    secret::Secret,
};
use allod_store::{
    CommitError, ConflictKey, ReadError, Txn,
    tables::admin_tokens::{self, AdminScope, AdminToken},
};
use data_encoding::BASE64URL_NOPAD;

use crate::domain::audit::By;
use crate::{app::App, domain::keyed_hash::HashUse};

/// What every token begins with, so that it is known for what it is where it should not be.
pub const TOKEN_PREFIX: &str = "allod-admin-";

/// How many tokens there may be.
pub const TOKENS_MAX: i64 = 1_000;

/// The longest name of a token, in characters.
pub const NAME_CHARS_MAX: usize = 64;

/// The longest life of a token that ends, in days.
pub const DAYS_MAX: u32 = 3_650;

const SECS_PER_DAY: u64 = 24 * 60 * 60;

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateTokenError {
    /// The name is none.
    #[error("a name is 1 to {NAME_CHARS_MAX} letters, digits, '-', '_' and '.'")]
    Name,
    /// The life is none.
    #[error("a token lives from 1 to {DAYS_MAX} days")]
    Days,
    /// There is one of this name.
    #[error("there is a token of this name already")]
    NameTaken,
    /// There are too many.
    #[error("there are {TOKENS_MAX} tokens already; revoke some")]
    TooMany,
    /// It could not be written.
    #[error(transparent)]
    Commit(CommitError),
}

/// Makes a token. It is shown this once.
pub async fn create(
    app: &App,
    by: &By,
    name: &str,
    scope: AdminScope,
    days: Option<u32>,
) -> Result<(Secret<String>, AdminToken), CreateTokenError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !name.chars().all(is_plain) {
        return Err(CreateTokenError::Name);
    }
    if days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
        return Err(CreateTokenError::Days);
    }
    let random: [u8; 32] = randomness::bytes(&*app.randomness);
    let secret = Secret::new(format!("{TOKEN_PREFIX}{}", BASE64URL_NOPAD.encode(&random)));
    let now_micros = app.newest_time.now_micros();
    let end = |days: u32| clock::to_store(now_micros + u64::from(days) * SECS_PER_DAY * MICROS_PER_SEC);
    let token = AdminToken {
        name: name.to_owned(),
        token_hash: hash(app, &secret),
        scope,
        created_at: clock::to_store(now_micros),
        expires_at: days.map(end),
    };
    let mut txn = Txn::new();
    admin_tokens::insert(&mut txn, &token, TOKENS_MAX);
    app.audit.note(&mut txn, by, &format!("token:{name}"));
    match app.db.commit(txn).await {
        Ok(_) => Ok((secret, token)),
        Err(CommitError::Conflict(ConflictKey::AdminTokenExists)) => Err(CreateTokenError::NameTaken),
        Err(CommitError::Conflict(ConflictKey::TooManyAdminTokens)) => Err(CreateTokenError::TooMany),
        Err(error) => Err(CreateTokenError::Commit(error)),
    }
}

/// Lists the tokens.
pub async fn list(app: &App) -> Result<Vec<AdminToken>, ReadError> {
    admin_tokens::list(&*app.db).await
}

/// Ends a token at once; tells whether there was one.
pub async fn revoke(app: &App, by: &By, name: &str) -> Result<bool, CommitError> {
    let mut txn = Txn::new();
    admin_tokens::remove(&mut txn, name);
    app.audit.note(&mut txn, by, &format!("token:{name}"));
    match app.db.commit(txn).await {
        Ok(_) => Ok(true),
        Err(CommitError::Conflict(ConflictKey::AdminTokenGone)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Finds the token that somebody shows, unless it has ended.
pub async fn find(app: &App, shown: &Secret<String>) -> Result<Option<AdminToken>, ReadError> {
    if !shown.expose().starts_with(TOKEN_PREFIX) {
        return Ok(None);
    }
    let now = clock::to_store(app.newest_time.now_micros());
    let token = admin_tokens::by_hash(&*app.db, &hash(app, shown)).await?;
    Ok(token.filter(|token| token.expires_at.is_none_or(|end| now < end)))
}

fn hash(app: &App, token: &Secret<String>) -> Vec<u8> {
    app.keyed_hash.hash(HashUse::AdminToken, &[token.expose().as_bytes()]).to_vec()
}
