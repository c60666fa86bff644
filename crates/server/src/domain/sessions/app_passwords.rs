//! App passwords: made by the server for single apps, which sign in with them and can't manage the account.
//!
//! They have 80 random bits, so a keyed hash keeps them: all of an account's are compared in one look-up.

use allod_atproto::Did;
use allod_base::{clock, printable::is_printable, randomness, secret::Secret};
use allod_store::{
    CommitError, ConflictKey, ReadError, Txn,
    tables::{
        app_passwords::{self, AppPassword},
        sessions,
    },
};

use super::Scope;
use crate::{app::App, domain::keyed_hash::HashUse};

/// How many app passwords an account may have.
pub const APP_PASSWORDS_MAX: i64 = 250;
/// How long an app password's name may be, in characters.
pub const NAME_CHARS_MAX: usize = 128;

const GROUPS: usize = 4;
const GROUP_CHARS: usize = 4;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Why there is no new app password.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The name is empty or longer than [`NAME_CHARS_MAX`].
    #[error("the name must have from 1 to {NAME_CHARS_MAX} characters")]
    Name,
    /// The name has characters that change how the text around them is shown.
    #[error("the name must not have control or bidirectional formatting characters")]
    NameUnprintable,
    /// The account has one of this name.
    #[error("there is an app password of this name already")]
    NameTaken,
    /// The account has [`APP_PASSWORDS_MAX`].
    #[error("an account has at most {APP_PASSWORDS_MAX} app passwords: revoke some")]
    TooMany,
    /// The write failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Makes an app password; it is told this once.
pub async fn create(
    app: &App,
    did: &Did,
    name: &str,
    privileged: bool,
) -> Result<(AppPassword, Secret<String>), CreateError> {
    let name = name.trim();
    if !(1..=NAME_CHARS_MAX).contains(&name.chars().count()) {
        return Err(CreateError::Name);
    }
    if !is_printable(name) {
        return Err(CreateError::NameUnprintable);
    }
    let password = new_password(app);
    let created_at = clock::to_store(app.clock.now_micros());
    let row = AppPassword { name: name.to_owned(), privileged, created_at };
    let mut txn = Txn::new();
    app_passwords::insert(&mut txn, did, &row, &hash(app, did, password.expose()), APP_PASSWORDS_MAX);
    match app.db.commit(txn).await {
        Ok(_) => Ok((row, password)),
        Err(CommitError::Conflict(ConflictKey::AppPasswordNameTaken)) => Err(CreateError::NameTaken),
        Err(CommitError::Conflict(ConflictKey::TooManyAppPasswords)) => Err(CreateError::TooMany),
        Err(error) => Err(error.into()),
    }
}

/// Lists an account's app passwords, oldest first.
pub async fn list(app: &App, did: &Did) -> Result<Vec<AppPassword>, ReadError> {
    app_passwords::of_account(&*app.db, did).await
}

/// Revokes an app password and ends the sign-ins made with it. One that is not there is revoked already.
pub async fn revoke(app: &App, did: &Did, name: &str) -> Result<(), CommitError> {
    let mut txn = Txn::new();
    app_passwords::remove(&mut txn, did, name.trim());
    sessions::revoke_app_password(&mut txn, did, name.trim());
    app.db.commit(txn).await.map(|_| ())
}

/// Finds the app password that this is.
pub(super) async fn find(app: &App, did: &Did, password: &Secret<String>) -> Result<Option<AppPassword>, ReadError> {
    if !is_shaped_like_one(password.expose()) {
        return Ok(None);
    }
    app_passwords::by_hash(&*app.db, did, &hash(app, did, password.expose())).await
}

/// What a sign-in with it allows.
pub(super) fn scope(password: &AppPassword) -> Scope {
    if password.privileged { Scope::AppPrivileged } else { Scope::App }
}

fn hash(app: &App, did: &Did, password: &str) -> [u8; 32] {
    app.keyed_hash.hash(HashUse::AppPassword, &[did.as_str().as_bytes(), password.as_bytes()])
}

fn new_password(app: &App) -> Secret<String> {
    let random: [u8; GROUPS * GROUP_CHARS] = randomness::bytes(&*app.randomness);
    let mut password = String::with_capacity(GROUPS * (GROUP_CHARS + 1));
    for (index, byte) in random.iter().enumerate() {
        if index > 0 && index % GROUP_CHARS == 0 {
            password.push('-');
        }
        password.extend(ALPHABET.get(usize::from(byte & 31)).map(|byte| char::from(*byte)));
    }
    Secret::new(password)
}

fn is_shaped_like_one(text: &str) -> bool {
    let mut groups = 0;
    let fits = text.split('-').all(|group| {
        groups += 1;
        group.len() == GROUP_CHARS && group.bytes().all(|byte| ALPHABET.contains(&byte))
    });
    fits && groups == GROUPS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_own_shape() {
        assert!(is_shaped_like_one("abcd-efgh-2345-zzzz"));
        for other in
            ["", "abcd", "abcd-efgh-2345", "abcd-efgh-2345-zzzz-", "abcd-efgh-2345-zzz1", "Abcd-efgh-2345-zzzz"]
        {
            assert!(!is_shaped_like_one(other), "{other}");
        }
    }
}
