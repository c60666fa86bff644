//! Sessions: one row per refresh token, by its hash; a family is one sign-in.

use allod_atproto::Did;

use super::{first, parsed};
use crate::{ConflictKey, Database, ReadError, Row, Touched, Txn, sql};

/// What a sign-in allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything: it was made with the account's own password.
    Full,
    /// What apps need, without managing the account or its credentials.
    App,
    /// The same, and private conversations.
    AppPrivileged,
    /// What the owner of an account that was taken down may still do: look, appeal and move out.
    TakenDown,
    /// Nothing but to ask for its place: the account waits in the sign-up queue.
    Queued,
}

impl Scope {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Full, Self::App, Self::AppPrivileged, Self::TakenDown, Self::Queued];

    fn code(self) -> i64 {
        match self {
            Self::Full => 0,
            Self::App => 1,
            Self::AppPrivileged => 2,
            Self::TakenDown => 3,
            Self::Queued => 4,
        }
    }
}

/// One refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionToken {
    /// SHA-256 of the token's identifier.
    pub token_hash: Vec<u8>,
    /// The sign-in it descends from.
    pub family: String,
    /// Whose it is.
    pub did: Did,
    /// When it was issued, in microseconds since the Unix epoch.
    pub created_at: i64,
    /// Until when it can be used.
    pub expires_at: i64,
    /// The hash of the token that replaced it.
    pub next_hash: Option<Vec<u8>>,
    /// What it allows.
    pub scope: Scope,
    /// The name of the app password it was made with.
    pub app_password: Option<String>,
}

fn session(row: &Row) -> Result<SessionToken, ReadError> {
    let code: i64 = row.get(6)?;
    let scope = Scope::ALL.into_iter().find(|scope| scope.code() == code);
    Ok(SessionToken {
        token_hash: row.get(0)?,
        family: row.get(1)?,
        did: parsed("sessions.did", Did::parse(&row.get::<String>(2)?))?,
        created_at: row.get(3)?,
        expires_at: row.get(4)?,
        next_hash: row.get(5)?,
        scope: scope.ok_or(ReadError::Corrupt { what: "sessions.scope" })?,
        app_password: row.get(7)?,
    })
}

/// Reads a token.
pub async fn by_hash(db: &dyn Database, token_hash: &[u8]) -> Result<Option<SessionToken>, ReadError> {
    let rows = db.read(sql!(
        "SELECT token_hash, family, did, created_at, expires_at, next_hash, scope, app_password FROM sessions \
         WHERE token_hash = $1",
        token_hash
    ));
    first(&rows.await?, session)
}

/// Tells whether a family of this account has a token that can still be used.
pub async fn is_alive(db: &dyn Database, did: &Did, family: &str, now: i64) -> Result<bool, ReadError> {
    let rows = db.read(sql!(
        "SELECT 1 FROM sessions WHERE family = $1 AND did = $2 AND expires_at > $3 LIMIT 1",
        family,
        did.as_str(),
        now
    ));
    Ok(!rows.await?.is_empty())
}

/// Tells whether a family was opened after `since`, in microseconds since the Unix epoch. Tokens that were replaced are
/// kept for their grace, so `since` must not be longer ago than that.
pub async fn opened_after(db: &dyn Database, did: &Did, family: &str, since: i64) -> Result<bool, ReadError> {
    let rows = db.read(sql!(
        "SELECT 1 FROM sessions WHERE family = $1 AND did = $2 GROUP BY family HAVING MIN(created_at) > $3",
        family,
        did.as_str(),
        since
    ));
    Ok(!rows.await?.is_empty())
}

/// Adds a token.
pub fn insert(txn: &mut Txn, session: &SessionToken) {
    txn.expect(
        ConflictKey::SessionMoved,
        1,
        sql!(
            "INSERT INTO sessions (token_hash, family, did, created_at, expires_at, next_hash, scope, app_password) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            session.token_hash.as_slice(),
            session.family.as_str(),
            session.did.as_str(),
            session.created_at,
            session.expires_at,
            session.next_hash.as_deref(),
            session.scope.code(),
            session.app_password.as_deref(),
        ),
    );
}

/// Adds: the token is replaced by `next_hash` and itself usable only until `grace_until` at the most.
/// Conflict: [`ConflictKey::SessionMoved`] when it was replaced or revoked meanwhile.
pub fn rotate(txn: &mut Txn, token_hash: &[u8], next_hash: &[u8], grace_until: i64) {
    txn.expect(
        ConflictKey::SessionMoved,
        1,
        sql!(
            "UPDATE sessions SET next_hash = $2, \
             expires_at = CASE WHEN expires_at < $3 THEN expires_at ELSE $3 END \
             WHERE token_hash = $1 AND next_hash IS NULL",
            token_hash,
            next_hash,
            grace_until
        ),
    );
}

/// Adds: every token of the family goes.
pub fn revoke_family(txn: &mut Txn, family: &str) {
    txn.use_disk_reserve();
    txn.touch(Touched::Session(family.to_owned()));
    txn.run(sql!("DELETE FROM sessions WHERE family = $1", family));
}

/// Adds: every sign-in of the account ends, whatever it was made with.
pub fn revoke_all(txn: &mut Txn, did: &Did) {
    txn.use_disk_reserve();
    txn.touch(Touched::Account(did.to_string()));
    txn.run(sql!("DELETE FROM sessions WHERE did = $1", did.as_str()));
}

/// Adds: every sign-in that was made with this app password ends.
pub fn revoke_app_password(txn: &mut Txn, did: &Did, name: &str) {
    txn.use_disk_reserve();
    txn.touch(Touched::Account(did.to_string()));
    txn.run(sql!("DELETE FROM sessions WHERE did = $1 AND app_password = $2", did.as_str(), name));
}

/// Adds: the account's expired tokens go.
pub fn forget_expired(txn: &mut Txn, did: &Did, now: i64) {
    txn.run(sql!("DELETE FROM sessions WHERE did = $1 AND expires_at <= $2", did.as_str(), now));
}
