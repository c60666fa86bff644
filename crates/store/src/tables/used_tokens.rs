//! One-use tokens that were used.

use crate::{ConflictKey, Database, ReadError, Txn, sql};

/// Adds: the token with this hash is used, remembered until it would expire. Conflict: [`ConflictKey::TokenUsed`].
pub fn use_up(txn: &mut Txn, token_hash: &[u8], expires_at: i64) {
    txn.expect(
        ConflictKey::TokenUsed,
        1,
        sql!("INSERT INTO used_tokens (token_hash, expires_at) VALUES ($1, $2)", token_hash, expires_at),
    );
}

/// Adds: tokens that have expired are forgotten.
pub fn forget_expired(txn: &mut Txn, now: i64) {
    txn.run(sql!("DELETE FROM used_tokens WHERE expires_at <= $1", now));
}

/// Tells whether there is a token to be forgotten.
pub async fn any_expired(db: &dyn Database, now: i64) -> Result<bool, ReadError> {
    let rows = db.read(sql!("SELECT 1 FROM used_tokens WHERE expires_at <= $1 LIMIT 1", now)).await?;
    Ok(!rows.is_empty())
}
