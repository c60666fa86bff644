//! Named tokens that open the administration methods, by their hashes.

use super::{first, readable};
use crate::{ConflictKey, Database, ReadError, Row, Txn, sql};

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AdminScope {
    /// Everything that the administration password opens.
    Admin,
    /// What moderators need: looking at accounts, takedowns, invites, mail to users.
    Moderator,
}

impl AdminScope {
    fn code(self) -> i64 {
        match self {
            Self::Admin => 0,
            Self::Moderator => 1,
        }
    }
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminToken {
    /// Its name, under which what is done with it is noted.
    pub name: String,
    /// The keyed hash of the token.
    pub token_hash: Vec<u8>,
    /// What it opens.
    pub scope: AdminScope,
    /// When it was made, in microseconds since the Unix epoch.
    pub created_at: i64,
    /// When it ends; never without one.
    pub expires_at: Option<i64>,
}

fn admin_token(row: &Row) -> Result<AdminToken, ReadError> {
    let code: i64 = row.get(2)?;
    let scope = [AdminScope::Admin, AdminScope::Moderator].into_iter().find(|scope| scope.code() == code);
    Ok(AdminToken {
        name: row.get(0)?,
        token_hash: row.get(1)?,
        scope: scope.ok_or(ReadError::Corrupt { what: "admin_tokens.scope" })?,
        created_at: row.get(3)?,
        expires_at: row.get(4)?,
    })
}

/// Reads the token with this hash.
pub async fn by_hash(db: &dyn Database, token_hash: &[u8]) -> Result<Option<AdminToken>, ReadError> {
    let rows = db.read(sql!(
        "SELECT name, token_hash, scope, created_at, expires_at FROM admin_tokens WHERE token_hash = $1",
        token_hash
    ));
    first(&rows.await?, admin_token)
}

/// Reads every token, in the order of the names.
pub async fn list(db: &dyn Database) -> Result<Vec<AdminToken>, ReadError> {
    let rows = db.read(sql!("SELECT name, token_hash, scope, created_at, expires_at FROM admin_tokens ORDER BY name"));
    Ok(readable(&rows.await?, admin_token))
}

/// Adds a token. Conflicts: [`ConflictKey::AdminTokenExists`], and [`ConflictKey::TooManyAdminTokens`] when there are
/// `tokens_max` already.
pub fn insert(txn: &mut Txn, token: &AdminToken, tokens_max: i64) {
    txn.absent(
        ConflictKey::TooManyAdminTokens,
        sql!("SELECT 1 FROM admin_tokens GROUP BY 1 = 1 HAVING COUNT(*) >= $1", tokens_max),
    );
    txn.expect(
        ConflictKey::AdminTokenExists,
        1,
        sql!(
            "INSERT INTO admin_tokens (name, token_hash, scope, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
            token.name.as_str(),
            token.token_hash.as_slice(),
            token.scope.code(),
            token.created_at,
            token.expires_at,
        ),
    );
}

/// Adds: the token opens nothing any more. Conflict: [`ConflictKey::AdminTokenGone`].
pub fn remove(txn: &mut Txn, name: &str) {
    txn.use_disk_reserve();
    txn.expect(ConflictKey::AdminTokenGone, 1, sql!("DELETE FROM admin_tokens WHERE name = $1", name));
}
